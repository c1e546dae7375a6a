"""Every message has a fate in every phase, by one table, and ``decide`` keeps to it in any state it can be in."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import messages as m
from ledger.decide import decide
from ledger.decision import Decision
from ledger.effects import FetchSample, ListMembers, Welcome
from ledger.fates import DECIDED, FATES, Fate, fate_of
from ledger.ids import SessionId
from ledger.phases import MOVES, Phase
from ledger.presence import Presence
from ledger.state import GuildState
from tests.ledger.lives import (
    GREETING,
    GUILD,
    KILL,
    MESSAGES,
    SECOND,
    START_US,
    UNDER_WAY,
    Life,
    Script,
    addressed,
    in_bytes,
    messages,
    played,
    scripts,
    unchanged,
)

FORBIDDEN = m.SampleFailed(request=UNDER_WAY, reason="forbidden", forbidden=True, at_us=START_US)
NEW_SESSION = m.GuildCameUp(session=SessionId("s3"), at_us=START_US)
WAYS: dict[Phase, Script] = {
    Phase.REHYDRATING: [KILL],
    Phase.SYNCING: [NEW_SESSION],
    Phase.LIVE: [NEW_SESSION],  # and samples until one is taken
    Phase.BLIND: [NEW_SESSION, FORBIDDEN],
    Phase.AWAY: [m.GuildWentAway(at_us=START_US)],
}
"""From any state to each phase in which anybody decides."""


def taken_to(phase: Phase, script: Script) -> Life:
    """A life with this past that has come to the phase."""
    life = played([*script, *WAYS[phase]])
    for after_s in range(200, 260, 10):
        if phase is Phase.LIVE and life.presence.phase is not Phase.LIVE:
            life.tell(unchanged(life, START_US + after_s * SECOND))
    assert life.presence.phase is phase
    return life


def test_the_table_names_every_message_and_every_phase():
    assert set(FATES) == set(get_args(m.Message)) == set(MESSAGES)
    assert all(set(row) == set(Phase) for row in FATES.values())


def test_what_becomes_of_a_message_depends_on_whether_the_guild_is_there_and_on_nothing_else():
    """Just restored or away; in a session; in one, and blind."""
    for row in FATES.values():
        assert row[Phase.REHYDRATING] is row[Phase.AWAY]
        assert row[Phase.SYNCING] is row[Phase.LIVE]


@pytest.mark.parametrize(
    "answer",
    [
        m.SampleArrived,
        m.SampleFailed,
        m.ReviewMembers,
        m.AuditArrived,
        m.AuditFailed,
        m.WitnessAnswered,
        m.WitnessFailed,
        m.AnnouncingFailed,
    ],
)
def test_an_answer_of_discords_counts_wherever_the_guild_is_there_in_a_session(answer: type[m.Message]):
    counts = {phase for phase in WAYS if FATES[answer][phase] is not Fate.IGNORED}
    assert counts == {Phase.SYNCING, Phase.LIVE, Phase.BLIND}


@pytest.mark.parametrize("phase", WAYS)
@given(scripts(forgetting=True), st.lists(messages, min_size=1, max_size=5))
def test_any_message_in_any_state_of_a_phase_is_decided_as_the_table_says(
    phase: Phase, script: Script, told: list[m.Message]
):
    life = taken_to(phase, script)
    before = in_bytes(life.state)
    for each in told:
        message = addressed(life.presence, each)
        decision = decide(life.state, life.presence, message)
        _keeps_to_the_table(life, message, decision)
        keys = [draft.key for draft in decision.drafts]
        assert len(keys) == len(set(keys))
        assert not {*keys} & {record.key for record in life.records}
    assert in_bytes(life.state) == before, "decide reads only"


def _keeps_to_the_table(life: Life, message: m.Message, decision: Decision) -> None:
    phase = decision.presence.phase
    assert phase is life.presence.phase or phase in MOVES[life.presence.phase]
    match fate_of(life.presence.phase, message), fate_of(phase, message):
        case Fate.IGNORED, _:
            assert decision == Decision(presence=life.presence)
        case Fate.POSTPONED, Fate.POSTPONED:
            assert decision.effects == ()
            assert (decision.presence.request, decision.presence.asks) == (life.presence.request, life.presence.asks)
        case Fate.POSTPONED | Fate.HANDLED, Fate.HANDLED:
            pass
        case _:
            raise AssertionError(phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in WAYS])
@given(messages)
def test_deciding_where_nobody_decides_is_our_bug(phase: Phase, message: m.Message):
    assert fate_of(phase, message) not in DECIDED
    with pytest.raises(AssertionError, match="nobody decides"):
        decide(GuildState(guild=GUILD), Presence(phase=phase), message)


def test_a_refresh_that_crosses_an_outage_and_a_restart_makes_no_guild_live():
    """It was asked for in a life that knew the session; the next one has not heard that the guild is there."""
    life = played([GREETING])
    sample = unchanged(life, START_US)
    life.tell(m.GuildWentAway(at_us=START_US))
    life.kill()
    decision = life.tell(msgspec.structs.replace(sample, request=None))
    assert (decision.effects, life.presence.phase, life.presence.asked) == ((), Phase.REHYDRATING, 0)


def test_a_guild_whose_coming_was_dropped_is_welcomed_all_the_same():
    life = Life()
    effects = life.tell(m.NoteGap(at_us=START_US, greeting=GREETING)).effects
    assert [type(effect) for effect in effects] == [Welcome, FetchSample, ListMembers]
