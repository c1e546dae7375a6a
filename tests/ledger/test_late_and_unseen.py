"""What the last three adversaries found: clocks that are off, breaks told late, what only the second witness saw.

Each is a wrong name, a lost credit, or work without end, in a sequence that Discord could produce. Times in seconds.
"""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.effects import FetchSample
from ledger.ids import InviteCode, SessionId, UserId
from ledger.records import Status
from ledger.samples import Sample
from tests.ledger.examples import (
    ANNA,
    BEN,
    CARL,
    INVITES,
    ONCE,
    SESSION,
    STAFF,
    A,
    B,
    Guild,
    us,
    used_up,
)
from tests.ledger.lives import GREETING, UNDER_WAY, Life
from tests.ledger.test_wrong_names import X

NEW = SessionId("s2")
BOT = UserId("777")


@pytest.fixture
def guild() -> Guild:
    return Guild()


def test_an_invite_used_up_seconds_after_a_list_lacked_it(guild: Guild):
    """Lists lacked it for some seconds; Ben uses it up 7 s behind the last of them."""
    used_up(guild)  # Anna came by no invite
    guild.reads(23.1)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    guild.joins(BEN, 25)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(25.1)))
    for at_s in (26, 28, 33):
        guild.counters(at_s, gone=ONCE)
    guild.reads(40)
    assert guild.said()[:2] != (Status.CERTAIN, ONCE)


def test_a_vanity_counter_that_stays_empty(guild: Guild):
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(2), vanity=True))
    for n in range(1200):
        guild.joins(UserId(str(5000 + n)), 10 + n)
    for day in range(1, 4):
        t = us(86_400 * day + 2000)
        sample = Sample(requested_us=t, answered_us=t + 1, session=SESSION, counters=tuple(INVITES.values()))
        guild.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
        request = msgspec.structs.replace(guild.presence.request)
        guild.tell(m.SampleFailed(request=request, reason="vanity_empty", forbidden=False, at_us=t + 5))
    assert guild.presence.trouble
    assert not [p for ps in guild.state.members.values() for p in ps if p.status is Status.PENDING]


def test_sample_between_disconnect_and_new_session(guild: Guild):
    guild.joins(ANNA, 9.9)  # by nothing
    # the socket closes at 10.0; Ben joins by A at 10.05 and is kicked at 10.5: never told
    guild.counters(10.1, A=4)
    assert guild.said()[0] is Status.CERTAIN
    lost = {"lost_us": us(10)} if "lost_us" in m.GuildCameUp.__struct_fields__ else {}  # the repair
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(20), **lost))
    page = m.ReviewMembers(
        session=NEW,
        members=(m.ListedMember(user=ANNA, joined_at_us=us(9.9)),),
        after=UserId("0"),
        upto="",
        started_us=us(20.1),
        at_us=us(20.2),
    )
    guild.tell(page)
    guild.counters(21, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)


def replayed_leave_and_return(guild: Guild, joined_s: float, at_s: float) -> None:
    guild.tell(m.RecordLeave(cause=guild.cause(), user=ANNA, arrived_us=us(at_s), replayed=True))
    guild.tell(guild.event(ANNA, joined_s, at_s + 0.001, (), bot=False))


@pytest.mark.parametrize("resumed_s", [40, 100])
def test_a_leave_that_a_resume_replays_is_not_of_the_membership_that_a_list_has_shown(guild: Guild, resumed_s: float):
    """The connection is lost from 11 s on; she leaves at 11.5 s and is back at 12 s; a list goes on being read."""
    guild.joins(ANNA, 10)
    guild.counters(10.5, A=4)
    guild.lists(12.5, m.ListedMember(user=ANNA, joined_at_us=us(18)))
    replayed_leave_and_return(guild, 18, resumed_s)
    guild.lists(resumed_s + 1, m.ListedMember(user=ANNA, joined_at_us=us(18)))
    assert guild.period().is_open(), "she is there"


def test_two_joins_of_a_time_without_connection_of_which_a_list_shows_the_second(guild: Guild):
    """Cut from 9 s on. Anna joins by A at 10, leaves at 11, is back by nothing at 20; a list at 21; RESUME at 40."""
    guild = Guild()
    guild.presence = msgspec.structs.replace(guild.presence, reconciled=False)
    guild.lists(21, m.ListedMember(user=ANNA, joined_at_us=us(20)))
    guild.presence = msgspec.structs.replace(guild.presence, reconciled=False)
    guild.tell(guild.event(ANNA, 10, 40, (), bot=False))
    guild.leaves(ANNA, 40.001)
    guild.tell(guild.event(ANNA, 20, 40.002, (), bot=False))
    for at in (41, 43, 48):
        guild.counters(at, A=4)
    guild.lists(50, m.ListedMember(user=ANNA, joined_at_us=us(20)))
    assert guild.period().is_open(), "she is there"


def test_a_list_that_was_begun_before_a_gap_makes_nobody_sure(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.tell(m.NoteGap(at_us=us(20.25)))  # Anna's leave was among what was dropped, at 20.2
    guild.lists(20.0, m.ListedMember(user=ANNA, joined_at_us=us(10)))  # asked for at 20.0, shown as of 20.05
    assert not guild.presence.reconciled


def test_an_approval_switch_that_is_told_just_behind_a_sample(guild: Guild):
    """On since 10.9; Carl applies by A at 10.95 and is never let in; the sample of 11 shows it; told at 11.3."""
    guild.joins(BEN, 10)  # by no invite
    guild.counters(11, A=4)
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(11.3), approval=True))
    guild.counters(11.4, A=4)
    guild.counters(30, A=4)
    assert guild.said(BEN)[:2] != (Status.CERTAIN, A)


class ByHand(Guild):
    """Members were approved by hand before the bot came."""

    def __init__(self) -> None:
        Life.__init__(self)
        self.number = 0
        self.tell(m.GuildCameUp(session=SESSION, at_us=us(0), approval=True))
        self.lists(0.5)
        self.counters(1)


@pytest.mark.parametrize("way", [5, 7])
def test_who_applied_before_the_bot_came_is_credited_by_what_the_witness_says(way: int):
    """Anna applied by A the day before the bot came, and is let in now."""
    guild = ByHand()
    guild.joins(ANNA, 100)
    for at in (101, 103, 108):
        guild.counters(at)
    assert guild.said()[0] is not Status.CERTAIN
    guild.hears(130, (ANNA, A, way))
    assert guild.said() == (Status.REPORTED, A, STAFF)


def test_a_join_from_a_host_whose_clock_was_ahead_asks_for_no_endless_samples(guild: Guild):
    """The host's clock was ten minutes ahead; it is set right, and the process starts again."""
    guild.tell(guild.event(ANNA, 10, 610, (), bot=False))
    guild.kill(us(12))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(12)))
    at_once = 0
    for n in range(100):
        t = us(13 + 0.3 * n)
        sample = Sample(requested_us=t, answered_us=t + 1, session=NEW, counters=tuple(INVITES.values()))
        decision = guild.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
        at_once += sum(isinstance(e, FetchSample) and e.after_s == 0 for e in decision.effects)
    assert at_once < 10


# The host's clock is three seconds slow: it was paused, or its time service is off


def test_a_join_that_seems_to_come_after_its_own_event(guild: Guild):
    """Ben's event arrives at 16.9 by our clock and says 19.0 by Discord's: he joined at 16.9 at the latest."""
    guild.tell(guild.event(ANNA, 13, 10.1, (), bot=False))  # by no invite
    for at_s in (10.2, 11.7):
        guild.counters(at_s)
    guild.counters(16.7, A=4)  # Ben's use, at 16.0
    guild.tell(guild.event(BEN, 19.0, 16.9, (), bot=False))
    for at_s in (17, 18.5, 23.5):
        guild.counters(at_s, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)


def test_who_used_an_invite_up_did_not_join_after_its_end(guild: Guild):
    """Anna by A at 8.5, told late; Ben uses ONCE up at 10.0, at 13.0 by Discord: two seconds behind its end."""
    guild.tell(guild.event(ANNA, 11.5, 9.99, (), bot=False))
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(10.01)))
    guild.tell(guild.event(BEN, 13.0, 10.05, (), bot=False))
    for at_s in (10.2, 11.7, 16.7):
        guild.counters(at_s, gone=ONCE, A=4)
    guild.reads(25)
    for who, code in ((ANNA, A), (BEN, ONCE)):
        assert guild.said(who)[0] is not Status.CERTAIN or guild.said(who)[1] == code


def test_what_was_dropped_just_before_a_sample_and_told_just_behind_it(guild: Guild):
    """The mailbox was full: Ben's join by A was dropped at 10.9, and he leaves unheard."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    guild.tell(m.NoteGap(at_us=us(11.2)))
    guild.counters(11.3, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)


def test_a_witness_that_names_an_invite_which_nobody_saw_contradicts_nothing(guild: Guild):
    """Made and used up between two samples, in a channel that the bot may not manage; View Audit Log is missing."""
    guild.joins(ANNA, 10)  # by X, which was made at 9 for one person
    for at in (11, 13, 18):
        guild.counters(at)
    guild.tell(m.AuditFailed(number=guild.presence.audit.number, reason="forbidden", forbidden=True, at_us=us(24)))
    assert guild.period().candidates == ("NI",)
    row = m.SearchedMember(user=ANNA, joined_at_us=us(10), report=r.Report(5, X, STAFF))
    guild.tell(m.WitnessAnswered(number=guild.presence.witness.number, rows=(row,), at_us=us(31)))
    assert guild.said() == (Status.REPORTED, X, STAFF)


def tell_unreadable(guild: Guild, at_s: float, lost_s: float = 0.0, name: str = "GUILD_MEMBER_ADD") -> None:
    """A dispatch of which nothing can be read; by a RESUME, of a connection lost at ``lost_s``."""
    unreadable = m.NoteUnreadable(
        cause=guild.cause(),
        session=SESSION,
        name=name,
        digest="0" * 64,
        reason="unreadable",
        at_us=us(at_s),
        lost_us=us(lost_s) if lost_s else 0,
    )
    guild.tell(unreadable)


def test_a_join_whose_event_cannot_be_read_at_all_may_have_made_a_use_that_was_just_counted(guild: Guild):
    """Ben joins by A at 10.9, nothing of his event can be read; it is heard at 11.2, behind the sample of 11."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    tell_unreadable(guild, 11.2)
    guild.counters(11.4, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)


def test_an_approval_switch_that_a_resume_replays(guild: Guild):
    """Cut at 10.5; on since 10.9; Carl applies by A at 10.95 and is never let in; RESUME at 40."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)  # on its way since she joined
    assert guild.said()[0] is Status.CERTAIN
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(40), lost_us=us(10.5), replayed=True, approval=True))
    guild.counters(40.2, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)


def test_an_approval_switch_that_a_new_session_shows(guild: Guild):
    """The same, but the session is a new one: the applicant's use is a possibility, no more."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(40), lost_us=us(10.5), approval=True))
    guild.counters(40.2, A=4)
    assert guild.said()[:2] == (Status.CANDIDATES, None) or guild.said()[0] is Status.LIKELY


class BesideABot(Guild):
    """A bot was there before."""

    def __init__(self) -> None:
        Life.__init__(self)
        self.number = 0
        self.tell(GREETING)
        self.lists(0.5, m.ListedMember(user=BOT, joined_at_us=us(-86_400), bot=True))
        self.counters(1)


def test_a_bot_that_was_there_before_is_not_credited_for_an_unseen_invite():
    """A ticket bot makes an invite for one use in a hidden channel; it comes and goes between two samples."""
    guild = BesideABot()
    guild.joins(ANNA, 10)
    for at in (11, 13, 18):
        guild.counters(at)
    guild.tell(m.AuditFailed(number=guild.presence.audit.number, reason="forbidden", forbidden=True, at_us=us(24)))
    row = m.SearchedMember(user=ANNA, joined_at_us=us(10), report=r.Report(5, X, BOT))
    guild.tell(m.WitnessAnswered(number=guild.presence.witness.number, rows=(row,), at_us=us(31)))
    assert guild.said()[2] is None, "a bot is nobody's staff"


def test_one_failure_gives_up_nobody_of_a_raid(guild: Guild):
    """A thousand people by A within ten seconds; the first request for the counters gets a 502."""
    people = [UserId(str(5000 + n)) for n in range(1000)]
    for n, user in enumerate(people):
        guild.joins(user, 10 + n / 100)
    guild.tell(m.SampleFailed(request=UNDER_WAY, reason="http_502", forbidden=False, at_us=us(20)))
    for at in (26, 28, 33):
        guild.counters(at, A=1003)
    assert guild.said(people[500])[:2] == (Status.CERTAIN, A)


def test_a_join_that_was_recorded_while_the_turn_before_hung(guild: Guild):
    """The disk hangs for 3 s: the sample of 10.1 waits, and Ben's event of 12.8 is taken before it."""
    guild.joins(ANNA, 10)
    guild.joins(BEN, 12.8)
    sample = Sample(
        requested_us=us(10.1),
        answered_us=us(10.3),
        session=SESSION,
        counters=(msgspec.structs.replace(INVITES[A], uses=4), INVITES[B], INVITES[ONCE]),
    )
    decision = guild.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
    (fetch,) = [each for each in decision.effects if isinstance(each, FetchSample)]
    assert fetch.after_s < 5


def test_who_joins_while_a_join_of_the_future_waits_is_asked_for_at_once(guild: Guild):
    """The host's clock was ten minutes ahead; it is set right, and the process starts again."""
    guild.tell(guild.event(ANNA, 10, 610, (), bot=False))
    guild.kill(us(12))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(12)))
    for at in (13, 14.5, 19.5):  # a use is missing
        guild.counters(at)
    cause = r.GatewayCause(session=NEW, number=1, lane="members")
    join = m.RecordJoin(cause=cause, session=NEW, user=BEN, joined_at_us=us(20), arrived_us=us(20))
    decision = guild.tell(join)
    assert [each.after_s for each in decision.effects if isinstance(each, FetchSample)] == [0.0]


def test_the_first_of_two_joins_that_are_told_out_of_order_is_no_rejoin(guild: Guild):
    """Cut from 9 s on. Anna joins by A at 10, leaves at 11, is back at 20; a list at 21; RESUME at 40."""
    guild.presence = msgspec.structs.replace(guild.presence, reconciled=False)
    guild.lists(21, m.ListedMember(user=ANNA, joined_at_us=us(20), flags=1))
    guild.presence = msgspec.structs.replace(guild.presence, reconciled=False)
    guild.tell(guild.event(ANNA, 10, 40, (), bot=False))
    first, _ = guild.state.members[ANNA]
    assert (first.opened_us, first.rejoin) == (us(10), False)


def test_who_joined_about_the_first_sample_by_a_slow_clock(guild: Guild):
    """By A just before the first sample, heard just behind it; Discord's clock is 3 s ahead."""
    guild.tell(guild.event(ANNA, 3.9, 1.2, (), bot=False))  # joined at 0.9 by our clock
    for at in (1.4, 2.9, 7.9):
        guild.counters(at)
    assert guild.period().candidates != ("NI",), guild.period()
    guild.hears(30, (ANNA, A, 5))
    assert guild.said()[:2] == (Status.REPORTED, A)


class ByHandAndVanity(Guild):
    """Members are approved by hand, and there is a vanity URL."""

    def __init__(self) -> None:
        Life.__init__(self)
        self.number = 0
        self.tell(m.GuildCameUp(session=SESSION, at_us=us(0), approval=True, vanity=True))
        self.lists(0.5)
        self.counters(1)

    def counters(
        self, at_s: float, gone: InviteCode | None = None, also: tuple[r.Counter, ...] = (), **uses: int
    ) -> None:
        del gone, also, uses
        t, vanity = us(at_s), r.Vanity(code="acme", uses=5)
        sample = Sample(
            requested_us=t, answered_us=t + 1, session=SESSION, counters=tuple(INVITES.values()), vanity=vanity
        )
        self.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))


def test_who_applied_by_the_vanity_url_before_the_bot_came():
    guild = ByHandAndVanity()
    guild.joins(ANNA, 100)
    for at in (101, 103, 108):
        guild.counters(at)
    guild.hears(130, (ANNA, InviteCode("acme"), 6))
    assert guild.said()[0] is Status.REPORTED


def test_approval_that_is_switched_off_before_the_witness_speaks():
    """Anna applied by A before the bot came and is let in at 100; nobody is approved by hand from 115 on."""
    guild = ByHandAndVanity()
    guild.joins(ANNA, 100)
    for at in (101, 103, 108):
        guild.counters(at)
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(115), approval=False, vanity=True))
    guild.counters(116)
    guild.hears(130, (ANNA, A, 5))
    assert guild.said() == (Status.REPORTED, A, STAFF)


@pytest.mark.parametrize("resumed_s", [12, 40])
def test_an_outage_that_a_resume_replays(guild: Guild, resumed_s: float):
    """Cut at 10.5; an outage since 10.8, in which Ben came by A and left again; a sample of 11; RESUME."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    assert guild.said()[0] is Status.CERTAIN
    guild.tell(m.GuildWentAway(at_us=us(resumed_s), lost_us=us(10.5)))
    assert guild.said() == (Status.LIKELY, A, None)


@pytest.mark.parametrize("name", ["GUILD_MEMBER_ADD", "GUILD_CREATE"])
def test_what_a_lost_connection_hid_and_of_which_nothing_can_be_read(guild: Guild, name: str):
    """Cut at 10.5; Ben joins by A at 10.8, a sample at 11, and he leaves; RESUME, or another session, at 40."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    tell_unreadable(guild, 40, 10.5, name)
    assert guild.said() == (Status.LIKELY, A, None)


def test_what_was_dropped_while_a_resume_replayed_a_raid(guild: Guild):
    """Cut at 10.5; Ben joins by A at 10.8, a sample at 11, he is banned; RESUME at 40, his events find no room."""
    guild.joins(ANNA, 10)  # by no invite
    guild.counters(11, A=4)
    guild.tell(m.NoteGap(at_us=us(44), since_us=us(10.5)))
    assert guild.said() == (Status.LIKELY, A, None)


# The host's clock was ten seconds ahead when the baseline was read; it is set right, and the next process begins


@pytest.fixture
def set_back(guild: Guild) -> Guild:
    guild.joins(CARL, 1.4)
    guild.counters(1.5, B=8)
    guild.kill(us(-9))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(-9)))
    guild.counters(-8.9, B=8)
    return guild


def in_the_new_session(user: UserId, at_s: float) -> m.RecordJoin:
    cause = r.GatewayCause(session=NEW, number=round(at_s * 100) + 1_000, lane="members")
    return m.RecordJoin(cause=cause, session=NEW, user=user, joined_at_us=us(at_s), arrived_us=us(at_s))


def test_who_joins_after_the_clock_was_set_back_is_worked_out_as_ever(set_back: Guild):
    set_back.tell(in_the_new_session(ANNA, -5))
    set_back.counters(-4.9, A=4, B=8)
    assert set_back.said() == (Status.CERTAIN, A, STAFF)


def test_who_joined_before_the_clock_was_set_back_keeps_their_credit(set_back: Guild):
    said = set_back.said(CARL)
    set_back.tell(in_the_new_session(ANNA, 1.3))
    for at_s in (1.45, 3, 8):
        set_back.counters(at_s, A=4, B=8)
    assert said == set_back.said(CARL)


def test_two_joins_about_the_baseline_of_a_clock_that_was_set_back(set_back: Guild):
    """Anna by A, Ben by no invite: neither came before a sample that was read ten seconds earlier."""
    set_back.tell(in_the_new_session(ANNA, 1.45))
    set_back.tell(in_the_new_session(BEN, 1.55))
    for at_s in (1.6, 3.1, 8.1):
        set_back.counters(at_s, A=4, B=8)
    assert set_back.said(BEN)[:2] != (Status.CERTAIN, A)
    assert A in set_back.period(ANNA).candidates
