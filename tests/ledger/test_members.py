"""Memberships by example: repeats, missed leaves, leaves told late, who was there before."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.decision import Decision
from ledger.effects import ListMembers
from ledger.ids import NO_COUNTER, InviteCode, RoleId, SessionId, UserId
from ledger.records import Status
from ledger.samples import Sample
from ledger.state import LEFT_UNKNOWN, Period
from tests.ledger.lives import GREETING, SECOND, START_US, UNDER_WAY, Life

SESSION = GREETING.session
ANNA, BEN = UserId("1"), UserId("2")
ABOUT_US = START_US - 2 * SECOND
"""Who joined before that, by Discord's clock, was there before the counting began."""


class Guild(Life):
    """A guild that has been greeted; its dispatches are numbered."""

    def __init__(self, *, compared: bool) -> None:
        super().__init__()
        self.number = 0
        self.tell(GREETING)
        if compared:
            self.lists(1)

    def cause(self) -> r.GatewayCause:
        self.number += 1
        return r.GatewayCause(session=SESSION, number=self.number, lane="members")

    def joins(self, at_s: float, *, arrived_s: float | None = None, user: UserId = ANNA, **more: object) -> None:
        join = m.RecordJoin(
            cause=self.cause(),
            session=SESSION,
            user=user,
            joined_at_us=START_US + round(at_s * SECOND),
            arrived_us=START_US + round((at_s if arrived_s is None else arrived_s) * SECOND),
        )
        self.tell(msgspec.structs.replace(join, **more))

    def leaves(self, at_s: float, user: UserId = ANNA) -> None:
        self.tell(m.RecordLeave(cause=self.cause(), user=user, arrived_us=START_US + round(at_s * SECOND)))

    def lists(self, at_s: float, *members: m.ListedMember, after: str = "0", upto: str = "") -> Decision:
        """A page of the list that was begun then; the whole list, if no ids are named."""
        at_us = START_US + round(at_s * SECOND)
        page = m.ReviewMembers(
            session=SESSION,
            members=members,
            after=UserId(after),
            upto=UserId(upto),
            started_us=at_us,
            at_us=at_us + 1,
        )
        return self.tell(page)

    def counters(self, at_s: float, *counters: r.Counter) -> None:
        """A sample that was asked for then."""
        at_us = START_US + round(at_s * SECOND)
        sample = Sample(requested_us=at_us, answered_us=at_us + 1, session=SESSION, counters=counters)
        self.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))

    def stays(self, user: UserId = ANNA) -> list[tuple[float, float]]:
        """From when to when, in seconds; 0 = still there, -1 = nobody knows."""
        return [(self._s(each.opened_us), self._s(each.left_us)) for each in self.state.members.get(user, ())]

    def period(self) -> Period:
        return self.state.members[ANNA][-1]

    @staticmethod
    def _s(at_us: int) -> float:
        return (at_us - START_US) / SECOND if at_us > 0 else at_us


@pytest.fixture
def guild() -> Guild:
    return Guild(compared=True)


def test_who_joins_leaves_and_comes_back_has_two_memberships_and_the_second_is_a_return(guild: Guild):
    guild.joins(10)
    guild.leaves(20)
    guild.joins(30)
    assert guild.stays() == [(10, 20), (30, 0)]
    assert [each.rejoin for each in guild.state.members[ANNA]] == [False, True]


def test_a_leave_told_of_somebody_who_has_left_changes_nothing(guild: Guild):
    guild.joins(10)
    guild.leaves(20)
    before = len(guild.records)
    guild.leaves(25)
    assert guild.stays() == [(10, 20)]
    assert len(guild.records) == before


@pytest.mark.parametrize("at_s", [9, 10])
def test_a_leave_of_before_the_membership_does_not_end_it(guild: Guild, at_s: float):
    guild.joins(10)
    guild.leaves(at_s)
    assert guild.stays() == [(10, 0)]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_leave_just_after_a_join_that_another_process_heard_may_be_of_before_and_a_list_tells(*, is_there: bool):
    """Who stood by hears both dispatches later than the process that held the history, and handles them late."""
    guild = Guild(compared=True)
    guild.joins(10, arrived_s=10.1)
    guild.kill(START_US + 15 * SECOND)
    guild.tell(GREETING)
    decision = guild.tell(m.RecordLeave(cause=guild.cause(), user=ANNA, arrived_us=START_US + 11 * SECOND))
    assert [type(effect) for effect in decision.effects] == [ListMembers]
    assert guild.period().is_open()
    if is_there:
        guild.joins(10, arrived_s=11.1)
    guild.lists(20, *([m.ListedMember(user=ANNA, joined_at_us=START_US + 10 * SECOND)] if is_there else []))
    assert guild.period().is_open() == is_there


def test_a_leave_long_after_a_join_that_another_process_heard_ends_that_membership():
    guild = Guild(compared=True)
    guild.joins(10)
    guild.kill(START_US + 15 * SECOND)
    guild.tell(GREETING)
    guild.leaves(70)
    assert guild.stays() == [(10, 70)]


def test_a_join_of_somebody_who_is_there_for_sure_is_a_repeat(guild: Guild):
    guild.joins(10)
    guild.joins(30)
    assert guild.stays() == [(10, 0)]
    assert guild.period().aliases == (START_US + 30 * SECOND,)
    assert [join.optional for join in guild.state.desk.values()] == [False, True]


@pytest.mark.parametrize(("after_s", "uses"), [(5.0, 1), (5.000_001, 2)])
def test_a_repeat_within_five_seconds_is_the_same_join_and_no_use_of_its_own(guild: Guild, after_s: float, uses: int):
    guild.joins(10)
    guild.joins(10 + after_s)
    assert guild.stays() == [(10, 0)]
    assert len(guild.state.desk) == uses


def test_a_repeat_that_is_told_much_later_is_not_the_same_join(guild: Guild):
    guild.joins(10)
    guild.joins(12, arrived_s=30)
    assert len(guild.state.desk) == 2


@pytest.mark.parametrize("bot_then", [True, False])
def test_a_bots_repeat_uses_nothing(guild: Guild, *, bot_then: bool):
    guild.joins(10, bot=bot_then)
    desk = len(guild.state.desk)
    guild.joins(30, bot=not bot_then)
    assert guild.stays() == [(10, 0)]
    assert len(guild.state.desk) == desk


def test_without_a_list_each_join_ends_the_membership_before_at_a_time_nobody_knows():
    guild = Guild(compared=False)
    for at_s in (10, 30, 50):
        guild.joins(at_s)
    assert guild.stays() == [(10, LEFT_UNKNOWN), (30, LEFT_UNKNOWN), (50, 0)]
    assert guild.state.desk[r.join_key(ANNA, START_US + 50 * SECOND)].limits == ("missed_leave",)


def test_the_flag_that_somebody_has_rejoined_is_the_sign_of_a_missed_leave_once(guild: Guild):
    guild.joins(10)
    guild.joins(30, flags=1)
    assert guild.stays() == [(10, LEFT_UNKNOWN), (30, 0)]
    guild.joins(50, flags=1)
    assert guild.stays() == [(10, LEFT_UNKNOWN), (30, 0)]


def test_a_guest_is_no_join(guild: Guild):
    guild.joins(10, flags=16)
    assert guild.stays() == []


def test_a_bot_joins_by_no_invite_and_is_worked_out_at_once(guild: Guild):
    guild.joins(10, bot=True)
    assert (guild.period().status, guild.period().reason) == (Status.NON_INVITE, "bot")
    assert not guild.state.desk


def test_a_list_ends_the_membership_of_who_is_not_on_it_unless_it_began_after_the_list_was_asked_for(guild: Guild):
    guild.joins(10)
    guild.lists(10)
    assert guild.stays() == [(10, 0)]
    guild.joins(11, arrived_s=13, user=UserId("2"))
    guild.lists(12)
    assert guild.stays() == [(10, LEFT_UNKNOWN)]
    assert guild.stays(UserId("2")) == [(11, 0)], "told of after the list was asked for"


def test_a_list_shows_who_was_there_before_we_counted_and_who_joined_unseen(guild: Guild):
    old = m.ListedMember(user=UserId("2"), joined_at_us=ABOUT_US - 1, flags=1)
    new = m.ListedMember(user=UserId("3"), joined_at_us=ABOUT_US)
    guild.lists(20, old, new)
    seeded, joined = guild.state.members[UserId("2")][0], guild.state.members[UserId("3")][0]
    assert (seeded.counted, seeded.status, seeded.reason, seeded.rejoin) == (
        False,
        Status.UNKNOWN,
        "no_baseline",
        True,
    )
    assert (joined.counted, joined.status) == (True, Status.PENDING)
    assert guild.state.desk[r.join_key(UserId("3"), ABOUT_US)].limits == ("away",)


def test_who_joined_about_when_the_counting_began_may_have_used_what_was_counted(guild: Guild):
    """Discord's clock is behind: Ben joined after the first sample, and his join was lost with a session."""
    common, limited = (r.Counter(code=InviteCode(code), created_at_us=1, uses=0) for code in ("common", "limited"))
    guild.counters(1, common, msgspec.structs.replace(limited, max_uses=1))
    guild.joins(0.4, arrived_s=1.4)
    guild.counters(2, msgspec.structs.replace(common, uses=1))
    assert (guild.period().status, guild.period().code) == (Status.CERTAIN, common.code), "one join, one use"
    seen, unseen = START_US + 400_000, START_US - SECOND
    guild.lists(20, *(m.ListedMember(user=user, joined_at_us=at) for user, at in ((ANNA, seen), (BEN, unseen))))
    for at_s in (22, 24, 26):
        guild.counters(at_s, msgspec.structs.replace(common, uses=1))
    assert guild.period().status is Status.CANDIDATES
    assert {common.code, limited.code} < {*guild.period().candidates}


def test_the_event_of_who_was_listed_as_having_joined_about_then_is_a_redelivery(guild: Guild):
    guild.lists(20, m.ListedMember(user=ANNA, joined_at_us=ABOUT_US))
    guild.joins(-2.0, arrived_s=21)
    assert guild.stays() == [(-2.0, 0)]


def test_an_update_of_who_joined_about_when_the_counting_began_is_their_join(guild: Guild):
    for user, joined_us in ((ANNA, ABOUT_US - 1), (BEN, ABOUT_US)):
        join = m.RecordJoin(
            cause=guild.cause(), session=SESSION, user=user, joined_at_us=joined_us, arrived_us=START_US + SECOND
        )
        guild.tell(m.NoteMember(join=join))
    assert {each.event.user for each in guild.records if _is_join(each)} == {BEN}


def test_a_thousand_members_are_seeded_a_record(guild: Guild):
    old = [m.ListedMember(user=UserId(str(at)), joined_at_us=ABOUT_US - at) for at in range(1, 2_002)]
    guild.lists(20, *old)
    seeded = [record.event for record in guild.records if isinstance(record.event, r.MembersSeeded)]
    assert [len(event.members) for event in seeded] == [1_000, 1_000, 1]
    assert len(guild.state.members) == 2_001


def test_an_update_of_somebody_unseen_is_their_join_and_soon_after_it_no_late_one(guild: Guild):
    for user, told_s in (("2", 69.9), ("3", 70.0)):
        join = m.RecordJoin(
            cause=guild.cause(),
            session=SESSION,
            user=UserId(user),
            joined_at_us=START_US + 10 * SECOND,
            arrived_us=START_US + round(told_s * SECOND),
        )
        guild.tell(m.NoteMember(join=join))
    origins = {each.event.user: each.event.origin for each in guild.records if _is_join(each)}
    assert origins == {UserId("2"): "update", UserId("3"): "away"}
    assert {join.user: join.limits for join in guild.state.desk.values()} == {UserId("2"): (), UserId("3"): ("away",)}


GIFT = r.Counter(code=InviteCode("gift"), created_at_us=1, uses=0, roles=(RoleId("7"),))


@pytest.mark.parametrize("others", [(), (RoleId("8"),)])
def test_roles_that_an_update_shows_before_the_joins_event_exclude_no_role_invite(
    guild: Guild, others: tuple[RoleId, ...]
):
    guild.counters(2, GIFT)
    join = m.RecordJoin(
        cause=guild.cause(),
        session=SESSION,
        user=ANNA,
        joined_at_us=START_US + 10 * SECOND,
        arrived_us=START_US + 11 * SECOND,
        roles=others,
    )
    guild.tell(m.NoteMember(join=join))
    guild.joins(10, arrived_s=11.1, roles=GIFT.roles)
    guild.counters(12, msgspec.structs.replace(GIFT, uses=1))
    assert (guild.period().status, guild.period().code) == (Status.CERTAIN, GIFT.code)


@pytest.mark.parametrize("others", [(), (RoleId("8"),)])
def test_roles_that_a_list_shows_exclude_no_role_invite(guild: Guild, others: tuple[RoleId, ...]):
    guild.counters(2, GIFT)
    guild.lists(11, m.ListedMember(user=ANNA, joined_at_us=START_US + 10 * SECOND, roles=others))
    guild.counters(12, msgspec.structs.replace(GIFT, uses=1))
    assert (guild.period().status, guild.period().code) == (Status.LIKELY, GIFT.code)


def test_who_is_told_again_much_later_may_have_used_a_role_invite(guild: Guild):
    guild.joins(5)
    guild.counters(8, GIFT)
    guild.counters(12, GIFT)
    guild.joins(30)
    guild.joins(30, user=BEN, roles=GIFT.roles)
    guild.counters(31, msgspec.structs.replace(GIFT, uses=1))
    (ben,) = guild.state.members[BEN]
    assert (ben.status, {*ben.candidates}) == (Status.CANDIDATES, {NO_COUNTER, GIFT.code})


def _is_join(record: r.Record) -> bool:
    return isinstance(record.event, r.JoinRecorded)


def test_what_could_not_be_read_of_a_join_is_a_join_that_is_honestly_unknown(guild: Guild):
    unreadable = m.NoteUnreadable(
        cause=guild.cause(),
        session=SessionId("s1"),
        name="GUILD_MEMBER_ADD",
        digest="d",
        reason="handler_failed",
        at_us=START_US,
        user=ANNA,
        joined_at_us=START_US + SECOND,
    )
    guild.tell(unreadable)
    assert (guild.period().status, guild.period().reason, guild.period().verdicts) == (
        Status.UNKNOWN,
        "handler_failed",
        1,
    )
    (join,) = guild.state.desk.values()
    assert join.limits == ("unreadable_event",), "a use may be theirs"
    assert not guild.presence.reconciled


def test_who_left_while_a_list_was_read_is_not_brought_back_by_it_unless_they_came_back():
    guild = Guild(compared=False)
    shown = m.ListedMember(user=ANNA, joined_at_us=START_US - SECOND)
    guild.leaves(30)
    guild.lists(20, shown)
    assert guild.stays() == []
    again = Guild(compared=False)
    again.leaves(30)
    again.joins(40)
    assert again.presence.left == {}


@pytest.mark.parametrize(
    "missed",
    [
        (m.NoteGap(at_us=START_US + 30 * SECOND, greeting=None),),
        (m.GuildWentAway(at_us=START_US + 30 * SECOND), GREETING),
        (m.ForgetGuild(at_us=START_US + 30 * SECOND),),
    ],
    ids=["a gap", "an outage", "forgotten"],
)
def test_a_list_during_which_anything_was_missed_is_not_the_whole_truth(missed: tuple[m.Message, ...]):
    guild = Guild(compared=False)
    guild.lists(20, upto="5")
    for message in missed:
        guild.tell(message)
    guild.lists(20, after="5")
    assert not guild.presence.reconciled
    guild.lists(40, upto="5")
    guild.lists(40, after="5")
    assert guild.presence.reconciled


def test_who_joins_again_after_a_leave_that_a_gap_swallowed_joins_anew_until_a_whole_list_was_compared():
    guild = Guild(compared=True)
    guild.joins(10)
    guild.lists(20, m.ListedMember(user=ANNA, joined_at_us=guild.period().opened_us), upto="5")
    guild.tell(m.NoteGap(at_us=START_US + 30 * SECOND, greeting=None))
    guild.lists(20, after="5")
    guild.joins(40)
    assert guild.stays() == [(10, LEFT_UNKNOWN), (40, 0)]


def test_ten_thousand_leaves_are_remembered_while_a_list_is_read():
    guild = Guild(compared=False)
    crowd = {UserId(str(at)): START_US for at in range(100, 10_100)}
    guild.presence = msgspec.structs.replace(guild.presence, left=crowd)
    guild.leaves(30)
    assert guild.presence.left == crowd
    guild.presence = msgspec.structs.replace(guild.presence, left=dict(list(crowd.items())[1:]))
    guild.leaves(31)
    assert guild.presence.left[ANNA] == START_US + 31 * SECOND


def test_who_is_seeded_into_a_guild_that_counts_from_a_moment_to_come_is_gone_when_a_list_no_longer_shows_them():
    """Forgotten while Discord's clock was ahead: it counts from the newest join on, by that clock."""
    guild = Guild(compared=True)
    guild.joins(5, arrived_s=1)
    guild.tell(m.ForgetGuild(at_us=START_US + 2 * SECOND))
    guild.lists(2.5, m.ListedMember(user=ANNA, joined_at_us=START_US + 5 * SECOND))
    assert guild.period().listed
    guild.leaves(3)
    assert guild.period().is_open(), "told before they had joined, by our clock: another list has to tell"
    guild.lists(4)
    assert not guild.period().is_open()
