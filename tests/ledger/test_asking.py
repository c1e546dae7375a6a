"""When Discord is asked for counters and members, and how long what is unclear is waited for."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.answers import Assigned, Forgot, WindowReport
from ledger.decision import Decision
from ledger.effects import Effect, FetchSample, ListMembers, SampleRequest
from ledger.ids import NO_COUNTER, InteractionId, InviteCode, SessionId, UserId
from ledger.phases import Phase
from ledger.records import Status
from ledger.samples import Sample
from ledger.state import Period
from tests.ledger.lives import GREETING, GUILD, SECOND, START_US, UNDER_WAY, Life, unchanged

CODE = InviteCode("A")
SOMEBODY = UserId("1")
SESSION = GREETING.session
FORBIDDEN = "forbidden"


def sample(life: Life, at_s: float, uses: int, *, request: SampleRequest | None = UNDER_WAY) -> m.SampleArrived:
    """Asked for at that second; the only invite's counter."""
    at_us = START_US + round(at_s * SECOND)
    invite = r.Counter(code=CODE, created_at_us=1, uses=uses, inviter=UserId("9"))
    taken = Sample(requested_us=at_us, answered_us=at_us + 1, session=life.presence.session, counters=(invite,))
    return m.SampleArrived(sample=taken, request=request)


def join(at_s: float, *, number: int = 1, user: UserId = SOMEBODY) -> m.RecordJoin:
    at_us = START_US + round(at_s * SECOND)
    cause = r.GatewayCause(session=SESSION, number=number, lane="members")
    return m.RecordJoin(cause=cause, session=SESSION, user=user, joined_at_us=at_us, arrived_us=at_us)


def page(at_s: float, *members: m.ListedMember) -> m.ReviewMembers:
    at_us = START_US + round(at_s * SECOND)
    return m.ReviewMembers(
        session=SESSION, members=members, after=UserId("0"), upto="", started_us=at_us, at_us=at_us + 1
    )


def failed(at_s: float, *, forbidden: bool) -> m.SampleFailed:
    at_us = START_US + round(at_s * SECOND)
    return m.SampleFailed(request=UNDER_WAY, reason=FORBIDDEN, forbidden=forbidden, at_us=at_us)


@pytest.fixture
def life() -> Life:
    """A live guild: its invite was used five times, its members were compared, nothing is asked for."""
    life = Life()
    life.tell(GREETING)
    life.tell(sample(life, 1, 5))
    life.tell(page(2))
    assert (life.presence.phase, life.presence.asked, life.presence.reconciled) == (Phase.LIVE, 0, True)
    return life


def delays(decision: Decision) -> list[float]:
    return [effect.after_s for effect in decision.effects if isinstance(effect, FetchSample)]


def kinds(decision: Decision) -> list[type[Effect]]:
    return [type(effect) for effect in decision.effects]


def period_of(life: Life, user: UserId = SOMEBODY) -> Period:
    period = life.state.current(user)
    assert period is not None
    return period


# Where the table of fates says "handled", this is what that is


def in_phase(life: Life, phase: Phase) -> Life:
    match phase:
        case Phase.LIVE:
            pass
        case Phase.SYNCING:
            life.tell(m.GuildCameUp(session=SessionId("s2"), at_us=START_US))
        case Phase.BLIND:
            life.tell(join(10))
            life.tell(failed(11, forbidden=True))
        case Phase.AWAY:
            life.tell(m.GuildWentAway(at_us=START_US))
        case _:
            life.kill()
    assert life.presence.phase is phase
    return life


HERE = (Phase.SYNCING, Phase.LIVE, Phase.BLIND)
GONE = (Phase.REHYDRATING, Phase.AWAY)


@pytest.mark.parametrize("phase", HERE)
def test_where_the_guild_is_a_gap_asks_for_counters_and_members_and_permissions_for_counters(
    life: Life, phase: Phase
):
    in_phase(life, phase)
    assert kinds(life.tell(m.NoteGap(at_us=START_US))) == [FetchSample, ListMembers]
    assert kinds(life.tell(m.NotePermissions(at_us=START_US))) == [FetchSample]


@pytest.mark.parametrize("phase", GONE)
def test_where_the_guild_is_not_nothing_is_asked_for_but_the_break_is_recorded(life: Life, phase: Phase):
    in_phase(life, phase)
    breaks = life.state.breaks
    assert kinds(life.tell(m.NoteGap(at_us=START_US))) == []
    assert kinds(life.tell(m.NotePermissions(at_us=START_US))) == []
    assert kinds(life.tell(join(20, number=2, user=UserId("2")))) == []
    assert life.state.breaks == breaks + 2
    assert period_of(life, UserId("2")).status is Status.PENDING


@pytest.mark.parametrize("phase", HERE)
def test_an_answer_that_failed_is_asked_for_again_wherever_one_is_waited_for(life: Life, phase: Phase):
    in_phase(life, phase)
    life.tell(join(20, number=2, user=UserId("2")))
    assert life.presence.asked
    assert delays(life.tell(failed(21, forbidden=False))) != []


@pytest.mark.parametrize("phase", HERE)
def test_an_event_of_a_member_that_could_not_be_read_asks_for_the_list(life: Life, phase: Phase):
    in_phase(life, phase)
    unreadable = m.NoteUnreadable(
        cause=r.InternalCause(what="dead_letter"),
        session=SESSION,
        name="GUILD_MEMBER_REMOVE",
        digest="d",
        reason="unreadable",
        at_us=START_US,
    )
    assert kinds(life.tell(unreadable)) == [ListMembers]


def test_a_join_asks_once_and_a_second_one_shares_the_answer(life: Life):
    assert kinds(life.tell(join(10))) == [FetchSample]
    assert kinds(life.tell(join(11, number=2, user=UserId("2")))) == []


def test_a_list_that_finds_a_join_asks_for_counters_and_one_that_finds_none_does_not(life: Life):
    assert kinds(life.tell(page(10))) == []
    newcomer = m.ListedMember(user=UserId("3"), joined_at_us=START_US + 5 * SECOND)
    assert kinds(life.tell(page(12, newcomer))) == [FetchSample]
    another = m.ListedMember(user=UserId("4"), joined_at_us=START_US + 5 * SECOND)
    assert kinds(life.tell(page(13, newcomer, another))) == []


def test_the_same_session_greeted_again_asks_for_nothing(life: Life):
    assert kinds(life.tell(GREETING)) == []
    assert life.presence.phase is Phase.LIVE


def test_the_members_are_listed_again_in_a_new_session(life: Life):
    assert kinds(life.tell(m.GuildCameUp(session=SessionId("s2"), at_us=START_US))) == [FetchSample, ListMembers]


# How long


def test_a_missing_use_is_asked_for_after_a_second_and_a_half_and_five_seconds_then_it_is_unknown(life: Life):
    assert delays(life.tell(join(10))) == [0.0]
    assert delays(life.tell(sample(life, 10.1, 5))) == [1.5]
    assert delays(life.tell(sample(life, 11.7, 5))) == [5.0]
    assert period_of(life).status is Status.PENDING
    assert delays(life.tell(sample(life, 16.8, 5))) == []
    assert (period_of(life).status, period_of(life).reason) == (Status.UNKNOWN, "no_use_seen")


def test_another_join_whose_use_is_missing_begins_the_wait_anew(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.1, 5))
    life.tell(join(11, number=2, user=UserId("2")))
    assert delays(life.tell(sample(life, 11.7, 5))) == [1.5]
    assert delays(life.tell(sample(life, 13.3, 6))) == [5.0]


def test_joins_that_never_stop_coming_are_waited_for_half_a_minute_at_most(life: Life):
    for at in range(40):
        life.tell(join(10 + at, number=at + 1, user=UserId(str(100 + at))))
        life.tell(sample(life, 10.5 + at, 5))
        if period_of(life, UserId("100")).status is not Status.PENDING:
            break
    assert 30 <= at <= 31


def test_a_use_without_a_join_is_waited_for_two_seconds_once(life: Life):
    life.tell(m.NotePermissions(at_us=START_US))
    assert delays(life.tell(sample(life, 10, 6))) == [2.0]
    assert delays(life.tell(sample(life, 12, 6))) == []
    assert life.state.unclaimed == {CODE: 1}


def test_failures_in_a_row_are_waited_out_longer_and_longer(life: Life):
    life.tell(join(10))
    waited = [delays(life.tell(failed(11, forbidden=False)))[0] for _ in range(7)]
    assert waited == [1.5, 5.0, 15.0, 30.0, 60.0, 60.0, 60.0]


def test_lower_counters_are_believed_after_three_samples_over_a_minute_not_before(life: Life):
    life.tell(m.NotePermissions(at_us=START_US))
    assert delays(life.tell(sample(life, 100, 4))) == [1.5]
    assert delays(life.tell(sample(life, 102, 4))) == [5.0]
    assert delays(life.tell(sample(life, 107, 4))) == [15.0]
    assert delays(life.tell(sample(life, 159, 4))) == [30.0]
    assert life.state.counters[CODE].uses == 5
    assert delays(life.tell(sample(life, 160, 4))) == []
    assert life.state.counters[CODE].uses == 4
    assert life.state.breaks == 2


def test_two_lower_samples_are_never_believed_however_far_apart(life: Life):
    life.tell(m.NotePermissions(at_us=START_US))
    life.tell(sample(life, 100, 4))
    life.tell(sample(life, 1_000, 4))
    assert life.state.counters[CODE].uses == 5


def test_two_samples_in_a_row_may_be_straddled_the_third_closes_the_window(life: Life):
    """Each time somebody's event comes after the sample was asked for: they may lie on either side of it."""
    life.tell(join(10))
    for number, at_s in enumerate((11.0, 12.0, 13.0), start=2):
        late = join(at_s - 0.5, number=number, user=UserId(str(number)))
        life.tell(msgspec.structs.replace(late, arrived_us=late.arrived_us + SECOND))
        assert period_of(life).status is Status.PENDING
        life.tell(sample(life, at_s, 5 + number))
    assert period_of(life).status is Status.CERTAIN
    assert life.state.unsolved == 0


# Blind


def test_a_blind_guild_asks_every_five_minutes_and_gives_up_after_a_day(life: Life):
    day_s = 24 * 3_600
    life.tell(join(10))
    assert delays(life.tell(failed(11, forbidden=True))) == [300.0]
    assert delays(life.tell(failed(10 + day_s, forbidden=True))) == [300.0]
    assert period_of(life).status is Status.PENDING
    assert life.presence.trouble == FORBIDDEN
    life.tell(failed(11 + day_s, forbidden=True))
    assert (period_of(life).status, period_of(life).reason) == (Status.UNKNOWN, FORBIDDEN)
    assert life.state.desk == {}
    closed = life.records[-1].event
    assert isinstance(closed, r.WindowClosed)
    assert (closed.abandoned, closed.joins, closed.first_sample, closed.last_sample) == (True, 1, 1, 1)


def test_a_blind_guild_gives_up_at_a_thousand_joins(life: Life):
    for number in range(1, 1_000):
        life.tell(join(10, number=number, user=UserId(str(1_000 + number))))
    life.tell(failed(11, forbidden=True))
    assert len(life.state.desk) == 999
    life.tell(join(10, number=1_000, user=UserId("5000")))
    life.tell(failed(12, forbidden=True))
    assert life.state.desk == {}


def test_a_guild_that_was_never_read_gives_up_likewise():
    life = Life()
    life.tell(GREETING)
    life.tell(join(10))
    life.tell(failed(11 + 24 * 3_600, forbidden=True))
    assert period_of(life).status is Status.UNKNOWN


def test_a_person_who_asks_is_told_how_many_joins_are_open(life: Life):
    life.tell(join(10))
    life.tell(join(11, number=2, user=UserId("2")))
    answer = life.tell(sample(life, 11.5, 5, request=None)).answer
    assert answer == WindowReport(worked_out=0, open=2, note="uses are missing")


# What people command


def test_a_command_told_again_is_answered_with_what_it_had_replaced(life: Life):
    commands = [
        m.AssignInvite(
            interaction=InteractionId(str(at)),
            code=CODE,
            staff=UserId(str(10 + at)),
            by=UserId("9"),
            at_us=START_US + at,
        )
        for at in range(3)
    ]
    for command in commands:
        life.tell(command)
    answer = life.tell(commands[2]).answer
    assert isinstance(answer, Assigned)
    assert answer.before is not None
    assert (answer.assignment.staff, answer.before.staff) == (UserId("12"), UserId("11"))
    assert life.state.assigned == 3
    assert [each.version for each in life.state.assignments[CODE]] == [1, 2, 3]


def test_a_guild_as_it_was_left_needs_no_sample(life: Life):
    assert life.state.guild == GUILD
    decision = life.tell(unchanged(life, START_US + 20 * SECOND))
    assert decision.effects == ()


def test_a_join_is_off_the_desk_when_the_gaps_it_may_lie_in_are_older_than_ten_minutes(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.5, 6))
    assert len(life.state.desk) == 1, "a late event may still change what is said of it"
    life.tell(m.NotePermissions(at_us=START_US))
    life.tell(sample(life, 700, 6))
    assert len(life.state.desk) == 1, "nobody may have listened in between"
    life.tell(m.NotePermissions(at_us=START_US))
    life.tell(sample(life, 720, 6))
    assert life.state.desk == {}


@pytest.mark.parametrize(("after_us", "asked"), [(60 * SECOND - 1, True), (60 * SECOND, False)])
def test_a_leave_soon_after_a_list_showed_the_member_is_doubtful_and_one_later_is_not(
    life: Life, after_us: int, *, asked: bool
):
    newcomer = m.ListedMember(user=SOMEBODY, joined_at_us=START_US + 5 * SECOND)
    life.tell(page(12, newcomer))
    cause = r.GatewayCause(session=SESSION, number=1, lane="members")
    left_us = START_US + 12 * SECOND + 1 + after_us
    decision = life.tell(m.RecordLeave(cause=cause, user=SOMEBODY, arrived_us=left_us))
    assert (ListMembers in kinds(decision)) == asked


def test_lower_counters_become_the_baseline_with_the_third_sample_that_shows_them_over_a_minute(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.1, 4))
    life.tell(sample(life, 40, 4))
    assert delays(life.tell(sample(life, 70, 4))) == [15.0], "not a minute yet"
    assert delays(life.tell(sample(life, 70.1, 4))) == []
    assert (period_of(life).status, {*period_of(life).candidates}) == (Status.CANDIDATES, {CODE, NO_COUNTER})
    life.tell(join(80, number=2, user=UserId("2")))
    life.tell(sample(life, 80.1, 5))
    assert (period_of(life, UserId("2")).status, period_of(life, UserId("2")).code) == (Status.CERTAIN, CODE)


def test_lower_counters_wait_for_the_use_of_a_join_that_was_heard_just_now(life: Life):
    life.tell(join(10))
    for at_s in (10.1, 40):
        life.tell(sample(life, at_s, 4))
    life.tell(join(70, number=2, user=UserId("2")))
    breaks = life.state.breaks
    assert delays(life.tell(sample(life, 71, 4))) == [1.5]
    assert delays(life.tell(sample(life, 72.5, 4))) == [5.0]
    assert (period_of(life).status, life.state.breaks) == (Status.PENDING, breaks)
    assert delays(life.tell(sample(life, 77.5, 4))) == []
    assert (period_of(life).status, life.state.breaks) == (Status.CANDIDATES, breaks + 1)


def test_lower_counters_wait_no_longer_than_any_sample_where_the_joins_never_stop_coming(life: Life):
    life.tell(join(10))
    for at_s in (10.1, 40):
        life.tell(sample(life, at_s, 4))
    for number, at_s in enumerate(range(71, 101, 3), start=2):
        life.tell(join(at_s, number=number, user=UserId(str(number))))
        assert delays(life.tell(sample(life, at_s + 0.1, 4))) != []
    life.tell(join(101.1, number=50, user=UserId("50")))
    assert delays(life.tell(sample(life, 101.2, 4))) == []
    assert period_of(life).status is Status.CANDIDATES


def test_a_sample_of_an_earlier_session_that_a_person_asked_for_is_asked_for_again(life: Life):
    stale = sample(life, 20, 5, request=None)
    life.tell(m.GuildCameUp(session=SessionId("s2"), at_us=START_US))
    decision = life.tell(stale)
    assert (delays(decision), life.presence.phase) == ([0.0], Phase.SYNCING)
    assert life.state.baseline is not None
    assert life.state.baseline.session == SESSION


def test_a_sample_without_the_vanity_urls_counter_is_none(life: Life):
    life.tell(msgspec.structs.replace(GREETING, vanity=True))
    life.tell(join(10))
    assert delays(life.tell(sample(life, 10.5, 6))) == [1.5]
    assert delays(life.tell(sample(life, 12, 6))) == [5.0]
    assert period_of(life).status is Status.PENDING


def test_an_unseen_member_asks_for_counters_as_a_join_does(life: Life):
    assert kinds(life.tell(m.NoteMember(join=join(10)))) == [FetchSample]
    blind = in_phase(Life(), Phase.REHYDRATING)
    assert kinds(blind.tell(m.NoteMember(join=join(10)))) == []


def test_an_invites_event_that_could_not_be_read_breaks_continuity_and_leaves_the_members_sure(life: Life):
    unreadable = m.NoteUnreadable(
        cause=r.InternalCause(what="dead_letter"),
        session=SESSION,
        name="INVITE_CREATE",
        digest="d",
        reason="unreadable",
        at_us=START_US,
    )
    assert kinds(life.tell(unreadable)) == []
    assert life.presence.reconciled
    assert life.state.broken == ("unreadable_event",)


def test_a_verdict_that_a_late_event_does_not_change_is_not_told_again(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.5, 6))
    late = join(10.4, number=2, user=UserId("2"))
    life.tell(msgspec.structs.replace(late, arrived_us=late.arrived_us + SECOND))
    life.tell(sample(life, 12, 7))
    assert (period_of(life).status, period_of(life).verdicts) == (Status.CERTAIN, 1)
    assert period_of(life, UserId("2")).status is Status.CERTAIN


def test_a_verdict_that_a_late_event_changes_supersedes_and_takes_its_credit_back(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.5, 6))
    assert period_of(life).credited == UserId("9")
    late = join(10.4, number=2, user=UserId("2"))
    life.tell(msgspec.structs.replace(late, arrived_us=late.arrived_us + SECOND))
    for at_s in (12, 14, 20):
        life.tell(sample(life, at_s, 6))
    assert (period_of(life).status, period_of(life).verdicts) == (Status.CANDIDATES, 2)
    assert period_of(life).credited is None
    said = [each for each in life.records if isinstance(each.event, r.VerdictReached) and each.event.user == SOMEBODY]
    assert [each.event.supersedes for each in said] == [0, said[0].seq]


def test_a_join_whose_use_is_missing_when_the_wait_for_others_is_over_is_waited_for_itself(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.1, 5))
    life.tell(sample(life, 11.7, 5))
    life.tell(join(12, number=2, user=UserId("2")))
    assert delays(life.tell(sample(life, 16.8, 5))) == [1.5]
    assert period_of(life).status is Status.PENDING


def test_a_return_is_credited_to_nobody(life: Life):
    life.tell(join(10))
    life.tell(sample(life, 10.5, 6))
    cause = r.GatewayCause(session=SESSION, number=2, lane="members")
    life.tell(m.RecordLeave(cause=cause, user=SOMEBODY, arrived_us=START_US + 100 * SECOND))
    life.tell(join(200, number=3))
    life.tell(sample(life, 200.5, 7))
    assert [each.credited for each in life.state.members[SOMEBODY]] == [UserId("9"), None]
    assert period_of(life).status is Status.CERTAIN


def test_who_invites_themselves_is_credited_to_nobody(life: Life):
    life.tell(join(10, user=UserId("9")))
    life.tell(sample(life, 10.5, 6))
    period = period_of(life, UserId("9"))
    assert (period.status, period.staff, period.credited) == (Status.CERTAIN, UserId("9"), None)


@pytest.mark.parametrize("before", [m.ForgetMember(user=SOMEBODY), None])
def test_a_guild_is_forgotten_also_right_after_a_member_was_and_before_anything_was_counted(before: m.Message | None):
    life = Life()
    if before is not None:
        life.tell(GREETING)
        life.tell(join(10))
        life.tell(before)
    else:
        life.tell(m.GuildWentAway(at_us=START_US))
    answer = life.tell(m.ForgetGuild(at_us=START_US + 20 * SECOND)).answer
    assert isinstance(answer, Forgot)
    assert answer.known
    assert not life.state.members
