"""Ways to a wrong name that an adversary of the rules has found, each as short as it goes; none leads there now."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.closing import BLIND_FOR_US
from ledger.effects import NO_REQUEST, FetchSample, ListMembers, ReadAudit
from ledger.ids import ChannelId, InteractionId, InviteCode, UserId
from ledger.records import Status
from ledger.samples import Sample
from ledger.state import LEFT_UNKNOWN
from tests.ledger.examples import (
    ADMIN,
    ANNA,
    BEN,
    CARL,
    INVITES,
    ONCE,
    OTHER,
    SESSION,
    STAFF,
    A,
    Guild,
    us,
    used_up,
)
from tests.ledger.lives import UNDER_WAY

X = InviteCode("x")
HARBOUR, PIER = ChannelId("31"), ChannelId("32")


@pytest.fixture
def guild() -> Guild:
    return Guild()


def invite(made_s: float, by: UserId = OTHER, **more: object) -> r.Counter:
    return msgspec.structs.replace(r.Counter(code=X, created_at_us=us(made_s), uses=0, inviter=by), **more)


def looked(guild: Guild, asked_s: float, answered_s: float, *counters: r.Counter) -> None:
    """A person refreshes."""
    sample = Sample(requested_us=us(asked_s), answered_us=us(answered_s), session=SESSION, counters=counters)
    guild.tell(m.SampleArrived(sample=sample, request=None))


def born(guild: Guild, at_s: float, made: r.Counter) -> None:
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=made, arrived_us=us(at_s)))


def died(guild: Guild, at_s: float) -> None:
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=X, arrived_us=us(at_s)))


def unreadable(guild: Guild, user: UserId, joined_s: float, at_s: float) -> None:
    message = m.NoteUnreadable(
        cause=guild.cause(),
        session=SESSION,
        name="GUILD_MEMBER_ADD",
        digest="0" * 64,
        reason="unreadable",
        at_us=us(at_s),
        user=user,
        joined_at_us=us(joined_s),
    )
    guild.tell(message)


def test_an_invite_that_is_listed_again_was_not_used_up(guild: Guild):
    """Some lists lacked it."""
    used_up(guild)
    guild.counters(25)
    guild.reads(30)
    assert guild.said()[0] is not Status.CERTAIN


def test_that_it_was_used_up_is_taken_back_once_it_is_listed_again(guild: Guild):
    used_up(guild)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    guild.counters(30)
    assert guild.said()[0] is not Status.CERTAIN
    assert guild.period().credited is None


def test_of_two_who_refresh_at_once_the_second_shows_nothing_new(guild: Guild):
    """Discord may have looked at the first one's list last: what that lacks the other shows."""
    looked(guild, 10, 10.2, INVITES[A])
    looked(guild, 10.1, 10.3, *INVITES.values())
    assert set(guild.state.counters) == {A}
    assert guild.state.baseline is not None
    assert guild.state.baseline.requested_us == us(10)


def test_who_joins_anew_behind_a_leave_that_was_doubted_had_left(guild: Guild):
    """Discord's clock is two seconds ahead, so the leave seems to come before the join that it ends."""
    guild.tell(guild.event(ANNA, 12, 10.1, (), bot=False))
    guild.leaves(ANNA, 10.5)
    assert guild.period().is_open(), "of a membership before, perhaps"
    guild.tell(guild.event(ANNA, 13, 11.1, (), bot=False))
    before, now = guild.state.members[ANNA]
    assert (before.left_us, now.rejoin) == (LEFT_UNKNOWN, True)


def test_a_join_that_cannot_be_read_may_have_made_the_use_of_another_one(guild: Guild):
    guild.joins(BEN, 10)
    guild.counters(11, A=4)
    assert guild.said(BEN) == (Status.CERTAIN, A, STAFF)
    unreadable(guild, ANNA, 10.3, 11.4)
    for at_s in (12, 14, 19):
        guild.counters(at_s, A=4)
    assert guild.said(BEN) == (Status.CANDIDATES, None, None)
    assert guild.said(ANNA) == (Status.CANDIDATES, None, None)


def test_for_a_join_that_cannot_be_read_a_sample_is_asked_for(guild: Guild):
    message = m.NoteUnreadable(
        cause=guild.cause(),
        session=SESSION,
        name="GUILD_MEMBER_ADD",
        digest="0" * 64,
        reason="unreadable",
        at_us=us(10),
        user=ANNA,
        joined_at_us=us(9.9),
    )
    kinds = {type(effect) for effect in guild.tell(message).effects}
    assert kinds == {FetchSample, ListMembers}


def test_what_cannot_be_read_of_a_join_that_is_known_is_no_second_one(guild: Guild):
    guild.joins(ANNA, 10)
    unreadable(guild, ANNA, 10.02, 10.1)
    assert len(guild.state.desk) == len(guild.state.members[ANNA]) == 1


def test_who_is_listed_anew_behind_a_leave_that_was_doubted_had_left(guild: Guild):
    """The list that the doubt asked for is quicker than the event of the join."""
    guild.tell(guild.event(ANNA, 12, 10.1, (), bot=False))
    guild.leaves(ANNA, 10.5)
    guild.lists(10.7, m.ListedMember(user=ANNA, joined_at_us=us(13)))
    before, now = guild.state.members[ANNA]
    assert (before.left_us, now.opened_us) == (LEFT_UNKNOWN, us(13))


def test_a_list_that_was_begun_before_a_leave_was_doubted_does_not_settle_it(guild: Guild):
    guild.tell(guild.event(ANNA, 12, 10.1, (), bot=False))
    guild.leaves(ANNA, 10.5)
    guild.lists(10.4, m.ListedMember(user=ANNA, joined_at_us=us(12)))
    guild.tell(guild.event(ANNA, 13, 11.1, (), bot=False))
    assert len(guild.state.members[ANNA]) == 2


def test_what_is_missed_while_a_sample_is_on_its_way_may_lie_behind_it(guild: Guild):
    guild.tell(m.NoteGap(at_us=us(20.25)))
    looked(guild, 20.1, 20.4, *INVITES.values())
    guild.joins(BEN, 30)
    guild.counters(31, A=4)
    assert guild.said(BEN)[0] is Status.LIKELY
    guild.joins(CARL, 40)
    guild.counters(41, A=5)
    assert guild.said(CARL)[0] is Status.CERTAIN, "that was one gap ago"


def test_for_whom_an_invite_was_says_nothing_of_the_next_one_of_its_code(guild: Guild):
    made = invite(5, max_uses=1)
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=X, staff=STAFF, by=ADMIN, at_us=us(5), targets=(ANNA,), made=made
    )
    guild.tell(assign)
    guild.counters(6, also=(made,))
    guild.counters(100)
    again = invite(200)
    born(guild, 200.1, again)
    guild.counters(201, also=(again,))
    guild.joins(BEN, 210)
    guild.counters(211, also=(msgspec.structs.replace(again, uses=1),))
    assert (guild.said(BEN)[:2], guild.period(BEN).inviter) == ((Status.CERTAIN, X), OTHER)


def test_for_whom_an_invite_was_says_nothing_of_one_that_came_back_within_one_gap(guild: Guild):
    made = invite(5)
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=X, staff=STAFF, by=ADMIN, at_us=us(5), targets=(ANNA,), made=made
    )
    guild.tell(assign)
    guild.counters(6, also=(made,))
    guild.joins(BEN, 20)
    guild.counters(21, also=(invite(10, uses=1),))
    assert X in guild.period(BEN).candidates


def test_whose_an_invite_was_the_witness_says_and_not_who_has_its_code_now(guild: Guild):
    guild.counters(5, also=(invite(4, OTHER),))
    guild.lists(6, m.ListedMember(user=ANNA, joined_at_us=us(-100)))
    row = m.SearchedMember(user=ANNA, joined_at_us=us(-100), report=r.Report(5, X, STAFF))
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=(row,), at_us=us(7), swept=True))
    assert (guild.said()[:2], guild.period().inviter, guild.period().staff) == ((Status.REPORTED, X), STAFF, STAFF)


def test_where_the_witness_names_another_inviter_than_the_samples_nobody_is_credited(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    row = m.SearchedMember(user=ANNA, joined_at_us=us(10), report=r.Report(5, A, OTHER))
    guild.tell(m.WitnessAnswered(number=guild.presence.witness.number, rows=(row,), at_us=us(31)))
    assert guild.said() == (Status.CONFIRMED, A, None)


def test_a_use_of_before_members_were_no_more_approved_by_hand_may_be_an_applicants(guild: Guild):
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(2), approval=True))
    guild.counters(3)
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(20), approval=False))
    guild.joins(BEN, 21)
    for at_s in (22, 24, 29):
        guild.counters(at_s, A=4)
    assert guild.said(BEN)[0] is Status.LIKELY
    guild.joins(CARL, 40)
    guild.counters(41, A=5)
    assert guild.said(CARL)[0] is Status.CERTAIN, "by now nobody applies"


def test_a_death_that_is_replayed_much_later_is_not_that_of_the_codes_next_invite(guild: Guild):
    guild.counters(3, also=(invite(2, STAFF),))
    second = invite(20, OTHER, max_uses=1)
    guild.counters(30, also=(second,))
    died(guild, 60)
    guild.joins(ANNA, 70)
    for at_s in (75, 77, 82):
        guild.counters(at_s)
    assert X in guild.period().candidates


def test_a_code_that_came_back_elsewhere_does_not_hide_that_its_channel_was_deleted(guild: Guild):
    first, second = invite(2, STAFF, max_uses=1, channel=HARBOUR), invite(11, OTHER, channel=PIER)
    guild.counters(3, also=(first,))
    guild.joins(ANNA, 10)
    for at_s in (12, 14, 19):
        guild.counters(at_s, also=(second,))
    guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(20)))
    guild.reads(30)
    assert guild.said() == (Status.CANDIDATES, None, None)


def test_a_use_that_was_seen_twice_is_proven_for_nobody(guild: Guild):
    """The invite vanished, an old list showed it once more, and it vanished again."""
    used_up(guild)
    guild.counters(20)
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s, gone=ONCE)
    guild.reads(50)
    assert [guild.said(user)[0] for user in (ANNA, BEN)].count(Status.CERTAIN) == 0


def test_an_invite_that_one_list_missed_is_not_new_by_the_next_one(guild: Guild):
    made = invite(5, max_uses=3)
    born(guild, 5.1, made)
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.joins(BEN, 30)
    guild.counters(31, also=(msgspec.structs.replace(made, uses=1),))
    assert guild.said(BEN)[0] is not Status.CERTAIN


def test_a_reading_that_went_not_far_enough_back_is_followed_by_another_one(guild: Guild):
    used_up(guild)
    number = guild.presence.audit.number
    guild.tell(m.AuditArrived(number=number, since_us=us(0), requested_us=us(24)))
    assert list(guild.asked(ReadAudit))


def test_so_it_is_where_newer_windows_are_known_that_it_does_cover(guild: Guild):
    used_up(guild)
    for at_s in (130, 190):
        guild.counters(at_s, gone=ONCE)
    number = guild.presence.audit.number
    guild.tell(m.AuditArrived(number=number, since_us=us(60), requested_us=us(200)))
    assert list(guild.asked(ReadAudit))


@pytest.mark.parametrize(("since_s", "status"), [(-59, Status.CERTAIN), (-58.9, Status.LIKELY)])
def test_a_log_proves_nothing_of_before_it_was_read_from(guild: Guild, since_s: float, status: Status):
    used_up(guild)
    number = guild.presence.audit.number
    guild.tell(m.AuditArrived(number=number, since_us=us(since_s), requested_us=us(24)))
    assert guild.said()[0] is status


def test_an_invite_that_may_have_been_used_before_the_first_sample_is_proven_by_nothing():
    """Its birth and its death are told a moment late, and somebody has joined meanwhile."""
    guild = Guild()
    guild.lists(0.7, m.ListedMember(user=ANNA, joined_at_us=us(0.65)))
    made = invite(0.6, max_uses=1)
    born(guild, 1.1, made)
    died(guild, 1.11)
    guild.joins(BEN, 2)
    for at_s in (3, 5, 10):
        guild.counters(at_s)
    guild.reads(20)
    assert guild.said(BEN)[0] is not Status.CERTAIN


def test_an_invite_that_is_told_of_late_may_have_been_used_in_an_earlier_window(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    made = invite(9, max_uses=1)
    born(guild, 18.5, made)
    died(guild, 18.6)
    guild.joins(BEN, 19)
    for at_s in (20, 22, 27):
        guild.counters(at_s)
    guild.reads(40)
    assert guild.said(BEN)[0] is not Status.CERTAIN


def test_an_invite_that_is_told_of_late_is_proven_where_nobody_joined_since_it_was_made(guild: Guild):
    born(guild, 2.6, invite(2.5, max_uses=1))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, X, OTHER)


def test_the_uses_of_those_who_were_given_up_are_not_the_next_ones(guild: Guild):
    guild.joins(ANNA, 10)
    later_us = us(11) + BLIND_FOR_US
    request = msgspec.structs.replace(NO_REQUEST, number=guild.presence.asked)
    guild.tell(m.SampleFailed(request=request, reason="forbidden", forbidden=True, at_us=later_us))
    assert guild.said()[0] is Status.UNKNOWN
    end_s = (later_us - us(0)) / 1_000_000 + 60
    guild.joins(BEN, end_s)
    sample = Sample(
        requested_us=us(end_s + 1), answered_us=us(end_s + 1) + 1, session=SESSION, counters=listed(A, uses=4)
    )
    guild.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
    assert guild.said(BEN)[0] is Status.LIKELY


def listed(code: InviteCode, uses: int) -> tuple[r.Counter, ...]:
    return tuple(msgspec.structs.replace(each, uses=uses) if each.code == code else each for each in INVITES.values())
