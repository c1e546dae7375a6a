"""Ways to a wrong name, or to a verdict that never comes, that a third adversary has found; none leads there now."""

import pytest

from ledger import messages as m
from ledger import records as r
from ledger.effects import FetchSample, ReadAudit
from ledger.ids import InteractionId, SessionId, UserId
from ledger.records import Status
from tests.ledger.examples import ADMIN, ANNA, BEN, CARL, ONCE, OTHER, SESSION, STAFF, A, B, Guild, us, used_up
from tests.ledger.lives import GREETING, Life, numbered
from tests.ledger.test_wrong_names import HARBOUR, X, born, died, invite, unreadable

NEW = SessionId("s2")
HOUR_S = 3_600


@pytest.fixture
def guild() -> Guild:
    return Guild()


class Unlisted(Guild):
    """No list has been read yet."""

    def __init__(self) -> None:
        Life.__init__(self)
        self.number = 0
        self.tell(GREETING)
        self.counters(1)


# Who may use an invite


def made_for_anna(guild: Guild, made_s: float) -> None:
    made = invite(made_s)
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=X, staff=STAFF, by=ADMIN, at_us=us(made_s), targets=(ANNA,), made=made
    )
    guild.tell(assign)


def anna_by_a_and_ben_by_x(guild: Guild) -> None:
    """By the code's second invite, which is for everybody and used up by that."""
    guild.joins(ANNA, 20)
    guild.joins(BEN, 20.2)
    died(guild, 20.3)
    for at_s in (21, 23, 28):
        guild.counters(at_s, A=4)
    guild.reads(40, m.DeletedInvite(code=X, at_us=us(9), by=ADMIN))
    assert guild.said(ANNA)[:2] != (Status.CERTAIN, X)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


def test_for_whom_an_invite_was_says_nothing_of_one_that_came_and_went_between_two_lists(guild: Guild):
    made_for_anna(guild, 5)
    guild.counters(6, also=(invite(5),))
    died(guild, 9)
    born(guild, 10.1, invite(10, max_uses=1))
    anna_by_a_and_ben_by_x(guild)


def test_for_whom_an_invite_was_that_no_list_has_shown_says_nothing_of_the_next_one(guild: Guild):
    made_for_anna(guild, 7)
    died(guild, 9)
    again = invite(10, max_uses=1)
    born(guild, 10.1, again)
    guild.counters(12, also=(again,))
    anna_by_a_and_ben_by_x(guild)


# Joins that are known only when their window is closed


def heard_by_the_newcomer_alone(guild: Guild) -> None:
    """Ben came by nothing that counts, Anna by A just before: whoever held the history heard Ben alone."""
    guild.joins(BEN, 10)
    guild.counters(11, A=4)
    assert guild.said(BEN)[0] is Status.CERTAIN
    guild.kill()
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(9)))
    cause = r.GatewayCause(session=NEW, number=1, lane="members")
    guild.tell(m.RecordJoin(cause=cause, session=NEW, user=ANNA, joined_at_us=us(9.9), arrived_us=us(10.05)))


def test_a_join_of_a_closed_window_is_worked_out_with_the_next_sample(guild: Guild):
    heard_by_the_newcomer_alone(guild)
    guild.counters(12, A=4)
    assert guild.said(ANNA)[0] is Status.CANDIDATES
    assert guild.said(BEN)[0] is Status.CANDIDATES, "the use may be the other one's"
    before = len(guild.records)
    guild.counters(30, A=4)
    assert [type(each.event) for each in guild.records[before:]] == [r.SampleTaken, r.WindowClosed], "and once"


def test_a_salvaged_join_opens_the_window_of_before_with_the_next_sample(guild: Guild):
    guild.joins(BEN, 10)
    guild.counters(11, A=4)
    cause = r.GatewayCause(session=NEW, number=1, lane="members")
    event = r.JoinRecorded(user=ANNA, joined_at_us=us(9.9), arrived_us=us(10.05), session=NEW)
    draft = r.Draft(event=event, cause=cause, key=r.join_key(ANNA, us(9.9)))
    guild.tell(m.Salvage(branch="x", records=tuple(numbered(0, [draft])), at_us=us(20), forgotten=()))
    for at_s in (21, 23, 28):
        guild.counters(at_s, A=4)
    assert guild.said(BEN)[0] is Status.CANDIDATES
    assert guild.said(ANNA)[0] is Status.CANDIDATES
    before = len(guild.records)
    guild.counters(40, A=4)
    assert [type(each.event) for each in guild.records[before:]] == [r.SampleTaken, r.WindowClosed], "once"


# A list that overtakes what is told


def test_who_leaves_and_is_back_before_a_list_was_read_has_two_uses(guild: Guild):
    """The list shows Anna's second join; neither her leave nor that join's event has come."""
    guild.joins(ANNA, 10)
    guild.counters(10.5, A=4)
    guild.joins(BEN, 12.2)  # by no invite
    guild.lists(12.3, m.ListedMember(user=ANNA, joined_at_us=us(12)), m.ListedMember(user=BEN, joined_at_us=us(12.2)))
    guild.leaves(ANNA, 12.6)
    guild.tell(guild.event(ANNA, 12, 12.7, (), bot=False))  # by A again
    guild.counters(13, A=5)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)
    assert guild.period().is_open(), "she is there"


def test_who_was_listed_before_both_of_their_joins_were_told_has_two_uses(guild: Guild):
    guild.joins(BEN, 12.2)  # by no invite
    guild.lists(12.3, m.ListedMember(user=ANNA, joined_at_us=us(12)), m.ListedMember(user=BEN, joined_at_us=us(12.2)))
    guild.tell(guild.event(ANNA, 10.9, 12.5, (), bot=False))  # by A
    guild.leaves(ANNA, 12.6)
    guild.tell(guild.event(ANNA, 12, 12.7, (), bot=False))  # by A again
    guild.counters(13, A=5)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


def test_a_page_that_shows_a_membership_of_before_is_behind_the_times():
    """She left and came back while it was on its way; a row of the search of then speaks for no join of today."""
    guild = Unlisted()
    guild.leaves(ANNA, 10.05)
    guild.joins(ANNA, 10.15)
    row = m.ListedMember(user=ANNA, joined_at_us=us(-5_000))
    page = m.ReviewMembers(
        session=SESSION, members=(row,), after=UserId("0"), upto="", started_us=us(0.5), at_us=us(10.3)
    )
    guild.tell(page)
    guild.joins(BEN, 10.4)
    guild.counters(11, A=4, B=8)
    stale = m.SearchedMember(user=ANNA, joined_at_us=us(-5_000), report=r.Report(5, B, None))
    guild.tell(m.WitnessAnswered(number=guild.presence.witness.number, rows=(stale,), at_us=us(31)))
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.CANDIDATES] * 2


def test_a_doubted_leave_is_remembered_whatever_else_cannot_be_read(guild: Guild):
    guild.tell(guild.event(ANNA, 12, 10.1, (), bot=False))
    guild.leaves(ANNA, 10.5)
    unreadable(guild, CARL, 0, 10.6)
    guild.tell(guild.event(ANNA, 13, 11.1, (), bot=False))
    assert len(guild.state.members[ANNA]) == 2


def test_a_list_that_was_begun_before_this_life_makes_nobody_sure():
    """It goes on beside the actor that asked for it; a leave was doubted meanwhile."""
    guild = Unlisted()
    guild.tell(guild.event(ANNA, 10.2, 10.1, (), bot=False))  # by A; Discord's clock is a little ahead
    guild.leaves(ANNA, 10.15)
    guild.kill(us(10.3))
    guild.tell(GREETING)
    page = m.ReviewMembers(
        session=SESSION, members=(), after=UserId("0"), upto="", started_us=us(0.5), at_us=us(10.5)
    )
    guild.tell(page)
    guild.counters(11, A=4)
    guild.joins(ANNA, 60)  # by B
    guild.counters(61, A=4, B=8)
    assert [period.code for period in guild.state.members[ANNA]] == [A, B]


# What is told late of an invite


@pytest.mark.parametrize("read_s", [24, 100])
def test_an_invite_that_dies_well_after_it_seemed_to_vanish_was_not_used_up_before(guild: Guild, read_s: float):
    """A list lacked it, and before the next one it was used up by somebody else."""
    used_up(guild)
    if read_s < 60:
        guild.reads(read_s)
        assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    guild.joins(BEN, 60)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(60.1)))
    for at_s in (61, 63, 68):
        guild.counters(at_s, gone=ONCE)
    guild.reads(max(read_s, 100))
    assert guild.said()[:2] != (Status.CERTAIN, ONCE)


def used_up_in_the_harbour(guild: Guild, told_s: float) -> None:
    made = invite(2, OTHER, max_uses=1, channel=HARBOUR)
    guild.counters(3, also=(made,))
    guild.joins(ANNA, 10)
    died(guild, told_s)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, X, OTHER)


@pytest.mark.parametrize(("deleted_s", "stands"), [(500, True), (20.2, True), (20.0, False)])
def test_an_invite_that_was_told_to_be_gone_did_not_die_with_its_channel_long_after(
    guild: Guild, deleted_s: float, *, stands: bool
):
    """A ticket's, or a voice room's."""
    used_up_in_the_harbour(guild, 8.1)  # by Discord's clock 2 s later at most
    guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(deleted_s)))
    assert (guild.said() == (Status.CERTAIN, X, OTHER)) == stands


# Approval by hand


def switched(guild: Guild, at_s: float, *, on: bool) -> set[type]:
    """GUILD_UPDATE; what is asked for then."""
    decision = guild.tell(m.GuildCameUp(session=SESSION, at_us=us(at_s), approval=on))
    return {type(effect) for effect in decision.effects}


def test_an_applicant_of_an_hour_of_approval_may_have_made_the_use(guild: Guild):
    """No join is told meanwhile, so no sample is asked for but by the switch."""
    assert FetchSample in switched(guild, HOUR_S, on=True)
    assert FetchSample in switched(guild, 2 * HOUR_S, on=False)
    guild.joins(BEN, 3 * HOUR_S)  # by no invite
    guild.counters(3 * HOUR_S + 1, A=4)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


def test_so_it_may_where_what_was_asked_meanwhile_has_not_settled(guild: Guild):
    switched(guild, 10, on=True)
    guild.joins(BEN, 20)  # by no invite, and let in at once
    guild.counters(21)
    guild.counters(23)
    switched(guild, 24, on=False)
    guild.counters(25, A=4)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


def test_so_it_may_where_the_actor_starts_again_meanwhile(guild: Guild):
    switched(guild, 10, on=True)
    guild.kill()
    switched(guild, 20, on=False)
    guild.joins(BEN, 30)  # by no invite
    guild.counters(31, A=4)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


def test_the_gap_behind_the_switch_is_as_any(guild: Guild):
    switched(guild, 10, on=True)
    switched(guild, 20, on=False)
    guild.counters(21)
    guild.joins(BEN, 30)
    guild.counters(31, A=4)
    assert guild.said(BEN) == (Status.CERTAIN, A, STAFF)


def test_what_has_not_changed_is_no_switch(guild: Guild):
    before = len(guild.records)
    assert FetchSample not in switched(guild, 10, on=False)
    assert len(guild.records) == before


# Readings of the audit log


def test_what_was_read_of_a_bot_before_there_is_a_gap_is_not_read_again(guild: Guild):
    guild.joins(CARL, 10, bot=True)
    (errand,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    read = m.AuditArrived(
        number=errand.number,
        since_us=errand.invites_since_us,
        requested_us=errand.due_us,
        bots=(m.AddedBot(bot=CARL, by=STAFF),),
    )
    guild.tell(read)
    assert guild.period(CARL).inviter == STAFF
    assert guild.state.unread == (0, 0)
