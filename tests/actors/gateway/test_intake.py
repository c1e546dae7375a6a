"""The way in: it never raises and never waits, whatever the mailbox or the payload does."""

from collections.abc import Callable

import pytest
from structlog.typing import FilteringBoundLogger

from actors.clock import SystemClock
from actors.gateway.intake import Intake
from actors.guild import GuildAddress
from actors.mailbox import CAPACITY, Admission, Lane
from actors.roster import Roster
from actors.traffic import DispatchTally
from ledger import messages as m
from ledger.ids import GuildId, SessionId
from tests.actors.gateway.town import Lines

GUILD = {"id": str(1 << 22), "features": []}


class Ward:
    """A roster whose guilds have mailboxes and nobody who reads them."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.addresses: dict[GuildId, GuildAddress] = {}
        self.kept: dict[str, bytes] = {}
        clock = self.clock = SystemClock()
        self.tally = DispatchTally()
        self.intake = Intake(
            roster=Roster(clock, self.addresses.__setitem__),
            clock=clock,
            keep=self.keep,
            tally=self.tally,
            slot=(1, 2),
            log=log,
        )
        self.number = 0

        self.listening = Listening(clock)
        self.way_in: Callable[[int], Intake] = lambda _: self.intake

    def keep(self, digest: str, payload: bytes) -> None:
        self.kept[digest] = payload

    def hear(self, name: str, payload: object, session: str = "s") -> None:
        self.number += 1
        self.intake.hear(name, payload, SessionId(session), self.number)

    def waiting(self, guild: str) -> tuple[int, int, int]:
        return self.addresses[GuildId(guild)].statistics().waiting


@pytest.fixture
def ward(log: FilteringBoundLogger) -> Ward:
    return Ward(log)


def a_join(guild: str, user: int) -> dict[str, object]:
    return {"guild_id": guild, "user": {"id": str(user)}, "joined_at": "2026-08-01T00:00:00Z"}


def test_a_full_mailbox_is_said_once_until_it_takes_something_again(ward: Ward, lines: Lines):
    for user in range(CAPACITY[Lane.MEMBERS] + 3):
        ward.hear("GUILD_MEMBER_ADD", a_join("5", user))
    [line] = lines.named("dispatch.dropped")
    assert (line["guild"], line["why"]) == ("5", "gap")
    assert ward.waiting("5")[Lane.MEMBERS] == CAPACITY[Lane.MEMBERS]
    ward.hear("INVITE_DELETE", {"guild_id": "5", "code": "abc"})
    ward.hear("GUILD_MEMBER_ADD", a_join("5", 1))
    assert len(lines.named("dispatch.dropped")) == 2


@pytest.mark.parametrize("silent_s", [0.0, 30.0])
def test_a_guild_hears_since_when_what_a_full_mailbox_dropped_may_have_happened(ward: Ward, silent_s: float):
    """A RESUME replays a raid at once; else since the first was dropped, however late there is room."""
    for user in range(CAPACITY[Lane.MEMBERS]):
        ward.hear("GUILD_MEMBER_ADD", a_join("5", user))
    if silent_s:
        ward.intake.expect_replay(silent_s)
    before_us = ward.clock.stamp_us()
    ward.hear("GUILD_MEMBER_ADD", a_join("5", 1))
    after_us = ward.clock.stamp_us()
    ward.hear("GUILD_MEMBER_ADD", a_join("5", 2))
    address = ward.addresses[GuildId("5")]
    holder = address.hand_over()
    while (envelope := address.take(holder)) and not isinstance(envelope.message, m.NoteGap):
        address.finish(holder, envelope)
    assert envelope is not None
    assert isinstance(envelope.message, m.NoteGap)
    silent_us = round(silent_s * 1_000_000)
    assert before_us - 1_000_000 < envelope.message.since_us + silent_us < after_us < envelope.message.at_us


def test_ready_speaks_for_the_guilds_of_its_shard_only(ward: Ward):
    mine, also_mine, others = (str((1 << 22) | 1), str(3 << 22), str(2 << 22))
    for guild in (mine, also_mine, others):
        ward.hear("GUILD_CREATE", {"id": guild})
    ward.hear("READY", {"guilds": [{"id": mine, "unavailable": True}]})
    assert [ward.waiting(guild)[Lane.CONTROL] for guild in (mine, also_mine, others)] == [1, 2, 1]
    assert ward.intake.awaited() == 1
    ward.hear("GUILD_DELETE", {"id": mine, "unavailable": True})
    assert ward.intake.awaited() == 0


def test_a_ready_that_does_not_decode_removes_nobody(ward: Ward, lines: Lines):
    guild = str((1 << 22) | 1)
    ward.hear("GUILD_CREATE", {"id": guild})
    ward.hear("READY", {"guilds": "none"})
    assert ward.waiting(guild)[Lane.CONTROL] == 1
    assert ward.intake.session == "s"
    assert lines.named("dispatch.unreadable")[0]["name"] == "READY"


def test_a_guild_that_never_comes_is_awaited_for_thirty_seconds_only(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    mine = str(1 << 22)  # of shard 1 of 2
    ward.hear("READY", {"guilds": [{"id": mine, "unavailable": True}]})
    assert ward.intake.awaited() == 1
    began_s = ward.clock.monotonic_s()
    monkeypatch.setattr(ward.clock, "monotonic_s", lambda: began_s + 31)
    assert ward.intake.awaited() == 0


class Listening(Roster):
    """Keeps what was told."""

    def __init__(self, clock: SystemClock) -> None:
        super().__init__(clock, {}.__setitem__)
        self.told: list[m.Message] = []

    def tell(self, guild: GuildId, message: m.Message) -> Admission:
        self.told.append(message)
        return super().tell(guild, message)


def test_what_comes_between_a_lost_connection_and_its_end_is_a_replay(ward: Ward, log: FilteringBoundLogger):
    roster = Listening(ward.clock)
    ward.intake = Intake(roster=roster, clock=ward.clock, keep=ward.keep, tally=ward.tally, slot=(1, 2), log=log)
    for end in ("RESUMED", "READY"):
        ward.hear("INVITE_DELETE", {"guild_id": "5", "code": "abc"})
        ward.intake.expect_replay(silent_s=3.0)
        ward.hear("INVITE_DELETE", {"guild_id": "5", "code": "abc"})
        ward.hear("CHANNEL_DELETE", {"guild_id": "5", "id": "7"})
        ward.hear(end, {"guilds": []})
        ward.hear("INVITE_DELETE", {"guild_id": "5", "code": "abc"})
    deaths = [each for each in roster.told if isinstance(each, m.NoteInviteDied | m.NoteChannelDied)]
    assert [each.replayed for each in deaths] == [False, True, True, False] * 2


def test_a_new_session_tells_when_the_one_before_was_last_heard_of(ward: Ward, log: FilteringBoundLogger):
    roster = Listening(ward.clock)
    ward.intake = Intake(roster=roster, clock=ward.clock, keep=ward.keep, tally=ward.tally, slot=(1, 2), log=log)
    guild = {"id": "5", "features": []}
    ward.hear("GUILD_CREATE", guild)
    before_us = ward.clock.stamp_us()
    ward.intake.expect_replay(silent_s=30.0)
    after_us = ward.clock.stamp_us()
    ward.intake.expect_replay(silent_s=0.1)  # the next socket, which is lost before its READY
    ward.hear("READY", {"guilds": []})
    ward.hear("GUILD_CREATE", guild)
    first, second = (each for each in roster.told if isinstance(each, m.GuildCameUp))
    assert first.lost_us == 0
    assert before_us <= second.lost_us + 30_000_000 <= after_us


def test_a_guild_that_a_session_never_told_of_was_lost_with_the_session_before(ward: Ward, log: FilteringBoundLogger):
    """READY is there, but the connection is lost again before this guild's GUILD_CREATE: a shard has thousands."""
    roster = Listening(ward.clock)
    ward.intake = Intake(roster=roster, clock=ward.clock, keep=ward.keep, tally=ward.tally, slot=(1, 2), log=log)
    late, soon = ({"id": str(1 << 22), "features": []}, {"id": str(3 << 22), "features": []})
    for guild in (late, soon):
        ward.hear("GUILD_CREATE", guild, "s1")
    ward.intake.expect_replay(silent_s=30.0)
    ward.hear("READY", {"guilds": [late, soon]}, "s2")
    ward.hear("GUILD_CREATE", soon, "s2")
    ward.intake.expect_replay(silent_s=10.0)
    ward.hear("READY", {"guilds": [late, soon]}, "s3")
    for guild in (late, soon, late):
        ward.hear("GUILD_CREATE", guild, "s3")
    told = [each for each in roster.told if isinstance(each, m.GuildCameUp)]
    now_us = ward.clock.stamp_us()
    assert [round((now_us - each.lost_us) / 1_000_000) for each in told[2:]] == [30, 30, 10, 10]


@pytest.fixture
def later(ward: Ward, log: FilteringBoundLogger) -> Ward:
    """A guild was there, its connection was lost, and READY is there; then all shards begin anew (4011)."""
    roster, lost_of = Listening(ward.clock), dict[GuildId, int]()

    def way_in(lost_us: int) -> Intake:
        return Intake(
            roster=roster,
            clock=ward.clock,
            keep=ward.keep,
            tally=ward.tally,
            slot=(1, 2),
            log=log,
            lost_us=lost_us,
            lost_of=lost_of,
        )

    ward.intake = way_in(0)
    ward.hear("GUILD_CREATE", GUILD, "s1")
    ward.intake.expect_replay(silent_s=30.0)
    ward.hear("READY", {"guilds": [GUILD]}, "s2")
    ward.listening, ward.way_in = roster, way_in
    return ward


def lost_ago_s(ward: Ward) -> int:
    kinds = m.GuildCameUp | m.GuildWentAway | m.NoteUnreadable
    last = [each for each in ward.listening.told if isinstance(each, kinds)][-1]
    return round((ward.clock.stamp_us() - last.lost_us) / 1_000_000)


def test_a_guild_that_has_not_come_before_all_shards_begin_anew_was_lost_before(later: Ward):
    later.intake.expect_replay(silent_s=10.0)
    later.intake = later.way_in(later.intake.lost_us)
    later.hear("READY", {"guilds": [GUILD]}, "s3")
    later.hear("GUILD_CREATE", GUILD, "s3")
    assert lost_ago_s(later) == 30


def test_a_guild_whose_greeting_cannot_be_read_was_lost_with_the_session_before(later: Ward):
    later.hear("GUILD_CREATE", {"id": GUILD["id"], "features": 5}, "s2")
    assert isinstance(later.listening.told[-1], m.NoteUnreadable)
    assert lost_ago_s(later) == 30


def test_a_connect_that_is_refused_makes_no_loss_of_before_a_later_one(later: Ward):
    later.hear("GUILD_CREATE", GUILD, "s2")
    later.intake.expect_replay(silent_s=10.0)
    later.intake = later.way_in(later.intake.lost_us)
    later.intake.expect_replay(silent_s=0.0)
    later.hear("READY", {"guilds": [GUILD]}, "s3")
    later.hear("GUILD_CREATE", GUILD, "s3")
    assert lost_ago_s(later) == 10


def test_an_outage_in_place_of_a_guild_that_was_awaited_tells_since_when_it_was_lost(later: Ward):
    later.hear("GUILD_DELETE", GUILD | {"unavailable": True}, "s2")
    assert lost_ago_s(later) == 30


def test_nothing_is_kept_of_a_guild_that_removed_us(later: Ward):
    later.hear("GUILD_DELETE", GUILD, "s2")
    later.intake.expect_replay(silent_s=0.0)
    later.hear("READY", {"guilds": []}, "s3")
    later.hear("GUILD_CREATE", GUILD, "s3")
    assert lost_ago_s(later) == 0


def test_half_a_surrogate_pair_is_an_event_that_cannot_be_read(ward: Ward):
    ward.hear("GUILD_MEMBER_ADD", a_join("5", 1) | {"joined_at": "\ud800"})
    assert ward.waiting("5") == (0, 1, 0)
    assert len(ward.kept) == 1


def test_dispatches_are_counted_by_name_and_made_up_names_are_no_labels(ward: Ward):
    assert ward.tally.traffic().heard_us == 0
    ward.hear("READY", {"guilds": []})
    ward.hear("RESUMED", {})
    ward.hear("GUILD_MEMBER_ADD", a_join("5", 1))
    ward.hear("GUILD_MEMBER_ADD", {"guild_id": "5"})
    ward.hear("SOMETHING_NEW", {})
    told = ward.tally.traffic()
    assert (told.sessions, told.resumes, told.unreadable) == (1, 1, 1)
    assert told.dispatches["GUILD_MEMBER_ADD"] == 2
    assert "SOMETHING_NEW" not in told.dispatches
    assert told.heard_us > 0
