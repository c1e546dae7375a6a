"""Ways to a wrong name, a lost one or a verdict that never comes, found by two more adversaries and closed since."""

import msgspec
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


def test_the_death_of_another_invite_does_not_say_when_one_died_that_only_seemed_to_vanish(guild: Guild):
    guild.counters(3, also=(invite(2),))
    used_up(guild)  # lists lacked it; the other one is deleted
    died(guild, 18.1)
    guild.reads(24, m.DeletedInvite(code=X, at_us=us(5), by=ADMIN))
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    guild.joins(BEN, 60)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(60.1)))
    for at_s in (61, 63, 68):
        guild.counters(at_s, gone=ONCE)
    assert guild.said()[:2] != (Status.CERTAIN, ONCE)


def test_what_stands_on_an_invite_that_lived_on_no_longer_claims_that_it_was_used_up(guild: Guild):
    used_up(guild)
    guild.reads(24)
    guild.counters(30)  # it is listed again
    verdicts = [each.event for each in guild.records if isinstance(each.event, r.VerdictReached)]
    assert [(each.status, each.evidence and each.evidence.assumptions) for each in verdicts] == [
        (Status.LIKELY, ("P0", "P2")),
        (Status.CERTAIN, ("P0", "P1", "P2")),
        (Status.CANDIDATES, ("P0", "P2")),
    ]


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


def test_the_end_of_a_codes_next_invite_says_nothing_of_the_one_before(guild: Guild):
    guild.counters(3, also=(invite(2, OTHER, max_uses=1),))
    guild.joins(ANNA, 10)  # no INVITE_DELETE: Manage Channels is missing in that channel
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    guild.counters(50, also=(invite(40, STAFF),))
    died(guild, 60)
    assert guild.said() == (Status.CERTAIN, X, OTHER)


def test_what_a_resume_tells_late_takes_no_proof_back(guild: Guild):
    """The connection breaks just before Anna uses the invite up; a person refreshes; all is replayed at 30 s."""
    guild.counters(12, gone=ONCE)
    guild.tell(guild.event(ANNA, 10, 30, (), bot=False))
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(30), replayed=True))
    for at_s in (30.1, 31.6, 36.6):
        guild.counters(at_s, gone=ONCE)
    guild.reads(45)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)


def test_what_was_told_to_be_gone_just_behind_the_sample_did_not_die_with_its_channel(guild: Guild):
    guild.counters(3, also=(invite(2, OTHER, max_uses=1, channel=HARBOUR),))
    guild.counters(10.1)  # a person refreshes just then
    guild.tell(guild.event(ANNA, 10, 10.15, (), bot=False))
    died(guild, 10.16)
    for at_s in (10.2, 11.7, 16.7):
        guild.counters(at_s)
    guild.reads(24)
    guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(500)))
    assert guild.said() == (Status.CERTAIN, X, OTHER)


def test_a_channel_whose_deletion_a_resume_tells_may_have_taken_its_invites_with_it(guild: Guild):
    """The connection breaks between the two deletions; Anna came by no invite."""
    used_up_in_the_harbour(guild, 10.1)
    guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(40), replayed=True))
    assert guild.said()[:2] != (Status.CERTAIN, X)


def test_a_purge_of_invites_solves_nothing_again(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    decision = guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=X, arrived_us=us(21)))
    assert [type(draft.event) for draft in decision.drafts] == [r.InviteDied]


def test_who_is_unknown_for_good_is_not_worked_out_with_each_sample(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert guild.said()[0] is Status.UNKNOWN
    before = len(guild.records)
    guild.counters(30)
    assert [type(each.event) for each in guild.records[before:]] == [r.SampleTaken, r.WindowClosed]


def test_a_use_of_a_while_of_approval_names_nobody_later(guild: Guild):
    """Anna came by it, as the witness says; a hundred days later Carl comes by no invite."""
    guild.joins(ANNA, 10)
    switched(guild, 10.2, on=True)
    switched(guild, 10.4, on=False)
    for at_s in (10.5, 12, 17):
        guild.counters(at_s, A=4)
    guild.hears(40, (ANNA, A, 5))
    assert guild.said(ANNA)[1] == A
    days_s = 100 * 24 * HOUR_S
    guild.joins(CARL, days_s)
    for after_s in (1, 3, 8):
        guild.counters(days_s + after_s, A=4)
    assert guild.said(CARL)[:2] == (Status.CANDIDATES, None)


def test_a_repeat_of_a_salvaged_join_closes_no_window_again(guild: Guild):
    for at_s in range(1_000, 1_040):  # the oldest sample that is known is newer than the join
        guild.counters(at_s)
    cause = r.GatewayCause(session=NEW, number=1, lane="members")
    event = r.JoinRecorded(user=ANNA, joined_at_us=us(50), arrived_us=us(50.1), session=NEW)
    draft = r.Draft(event=event, cause=cause, key=r.join_key(ANNA, us(50)))
    guild.tell(m.Salvage(branch="x", records=tuple(numbered(0, [draft])), at_us=us(1_050), forgotten=()))
    guild.lists(1_051, m.ListedMember(user=ANNA, joined_at_us=us(50)))
    guild.tell(guild.event(ANNA, 1_060, 1_060, (), bot=False))  # told once more
    guild.counters(1_061)
    before = len(guild.records)
    guild.counters(1_070)
    assert [type(each.event) for each in guild.records[before:]] == [r.SampleTaken, r.WindowClosed]


def test_a_leave_behind_a_repeat_that_was_told_live_is_no_doubt(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.tell(guild.event(ANNA, 30, 30, (), bot=False))
    guild.counters(31, A=4)
    guild.leaves(ANNA, 50)
    assert not guild.period().is_open()


def test_targets_of_an_invite_of_which_discord_did_not_say_when_it_was_made_go_by_its_code(guild: Guild):
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=X, staff=STAFF, by=ADMIN, at_us=us(5.1), targets=(ANNA,)
    )
    guild.tell(assign)
    guild.counters(6, also=(invite(5, max_uses=1),))
    guild.joins(BEN, 10)
    died(guild, 10.1)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, X)


# Times: the gateway tells to the microsecond what REST tells to the millisecond

TOLD, LISTED = 974, 0
"""Microseconds below the millisecond."""


def made(at_s: float, below_us: int) -> r.Counter:
    return msgspec.structs.replace(invite(at_s, max_uses=1), created_at_us=us(at_s) + below_us)


def joined(guild: Guild, user: UserId, joined_s: float, at_s: float) -> None:
    event = guild.event(user, joined_s, at_s, (), bot=False)
    guild.tell(msgspec.structs.replace(event, joined_at_us=us(joined_s) + TOLD))


def row(user: UserId, joined_s: float) -> m.ListedMember:
    return m.ListedMember(user=user, joined_at_us=us(joined_s) + LISTED)


def test_an_invite_that_is_listed_was_not_born_and_gone(guild: Guild):
    """Nobody uses it, and it stands in each list; Ben comes by none."""
    born(guild, 5.1, made(5.054, TOLD))
    guild.joins(BEN, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s, also=(made(5.054, LISTED),))
    guild.reads(24)
    assert guild.said(BEN)[:2] == (Status.UNKNOWN, None)


def test_who_joined_is_not_taken_for_a_rejoin_at_the_next_start(guild: Guild):
    joined(guild, ANNA, 10.054, 10.1)
    guild.counters(11, A=4)
    guild.kill(us(100))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(100)))
    page = m.ReviewMembers(
        session=NEW,
        members=(row(ANNA, 10.054),),
        after=UserId("0"),
        upto="",
        started_us=us(101),
        at_us=us(101.2),
    )
    before = len(guild.records)
    guild.tell(page)
    assert len(guild.records) == before
    assert guild.said() == (Status.CERTAIN, A, STAFF)


def test_a_list_that_shows_a_join_of_just_now_says_nothing_new(guild: Guild):
    joined(guild, ANNA, 10.054, 10.1)
    guild.lists(10.3, row(ANNA, 10.054))
    for at_s in (10.4, 12, 17):
        guild.counters(at_s, A=4)
    assert guild.said() == (Status.CERTAIN, A, STAFF)


def test_whom_an_invite_is_for_is_known_of_the_invite_that_is_listed(guild: Guild):
    assign = m.AssignInvite(
        interaction=InteractionId("7"),
        code=X,
        staff=STAFF,
        by=ADMIN,
        at_us=us(5.1),
        targets=(ANNA,),
        made=made(5.054, TOLD),
    )
    guild.tell(assign)
    guild.counters(6, also=(made(5.054, LISTED),))
    guild.joins(BEN, 10)  # by nothing; Anna's event has yet to come
    died(guild, 10.1)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, X)
