"""What the audit log makes of invites that nobody saw: made, and gone before a sample could show them.

Discord tells of an invite (INVITE_CREATE) only where the bot may manage its channel, and while it listens. The log
names the others too (entry 40). Such an invite is one more way by which a join may have come, never a proof: whether
its channel was deleted under it nobody has heard. What is told of live waits for the sample that should show it
(``GuildState.logged``); the whole log is read once a join has no use, when that sample is there.
"""

from typing import Final

import msgspec

from ledger.records import CreationLogged
from ledger.samples import SKEW_US, is_unseen, logged_source
from ledger.state import Gap, GuildState

LOGGED_LATE_US: Final = 5_000_000
"""An entry of the log is at most so much younger than the invite that it tells of."""


def is_news(state: GuildState, made: CreationLogged) -> bool:
    """Whether a join may have used the invite, and nothing else has told of it, or of who made it."""
    if not is_unseen(state, made):
        return False
    held = state.logged.get(entry(made))
    is_awaited = awaits(state, made) and (held is None or (held.by is None and made.by is not None))
    return is_awaited or with_creation(state.gaps, made) != state.gaps


def entry(made: CreationLogged) -> str:
    """What tells an entry from another one of the same code, which can come back."""
    return f"{made.code}/{made.at_us}"


def awaits(state: GuildState, made: CreationLogged) -> bool:
    """Whether the invite may have been made after the last sample, so that the next one should show it."""
    return state.baseline is None or made.at_us >= state.baseline.requested_us - SKEW_US


def with_end(made: CreationLogged, deleted_us: int) -> CreationLogged:
    """The invite, of which the log says as well that it was deleted then; or an earlier one of the same code."""
    if deleted_us < made.at_us:
        return made
    dead_us = deleted_us + SKEW_US
    return msgspec.structs.replace(made, dead_us=min(made.dead_us or dead_us, dead_us))


def with_creation(gaps: tuple[Gap, ...], made: CreationLogged) -> tuple[Gap, ...]:
    """The gaps, of which those in which the invite may have come and gone have it as a source."""
    return tuple(_with(gap, made) for gap in gaps)


def _with(gap: Gap, made: CreationLogged) -> Gap:
    """Where the log has told of it before, perhaps in the middle of it, the gap learns who made it at most."""
    source, known = logged_source(made), {(each.code, each.created_at_us): each for each in gap.sources}
    before = known.get((made.code, made.made_us))
    if before is None:
        return msgspec.structs.replace(gap, sources=(*gap.sources, source)) if _came_and_went(gap, made) else gap
    if before.inviter is not None or made.by is None:
        return gap
    named = msgspec.structs.replace(before, inviter=made.by, inviter_is_bot=made.by_bot)
    sources = tuple(named if each is before else each for each in gap.sources)
    return msgspec.structs.replace(gap, sources=sources)


def _came_and_went(gap: Gap, made: CreationLogged) -> bool:
    """It was made after the sample before, which would show it, and before the sample behind, which does not."""
    after, before = gap.opened.requested_us - SKEW_US, gap.closed.answered_us + SKEW_US
    return after <= made.at_us and made.made_us <= before
