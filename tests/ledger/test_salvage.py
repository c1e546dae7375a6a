"""What becomes of a branch that lost: its facts are in the history that won, once; nothing is claimed for them."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import messages as m
from ledger import records as r
from ledger.effects import FetchSample, ListMembers
from ledger.forgetting import person
from ledger.ids import ChannelId, InteractionId, InviteCode, RoleId, SessionId, UserId, is_tombstone, tombstone
from ledger.records import Status
from ledger.samples import Sample
from ledger.state import LEFT_UNKNOWN, GuildState, Period
from tests.ledger.lives import (
    GREETING,
    KILL,
    SECOND,
    START_US,
    Life,
    Script,
    in_bytes,
    numbered,
    played,
    replayed,
    scripts,
    unchanged,
)
from tests.ledger.test_model import held_by_records, held_by_state

ANNA, BEN, CLEO, DORA = (UserId(str(number)) for number in range(1, 5))
A, B = InviteCode("A"), InviteCode("B")
LATER_US = START_US + 1_000 * SECOND

Key = tuple[UserId, int]


def at(seconds: int) -> int:
    return START_US + seconds * SECOND


def forked(life: Life) -> Life:
    """Another process that goes on from the same records."""
    other = Life()
    other.records = list(life.records)
    other.kill()
    return other


def gone_on(life: Life, script: Script) -> Life:
    for step in script:
        if isinstance(step, int):
            life.kill(step)
        else:
            life.tell(step)
    return life


def lost(life: Life, since: int) -> tuple[list[r.Record], tuple[r.MemberForgotten, ...]]:
    """What a branch tells of its guild (``persistence.salvage.Piece``)."""
    records = life.records[since:]
    ends = [number for number, each in enumerate(records) if isinstance(each.event, r.GuildForgotten)]
    records = records[ends[-1] :] if ends else records
    return records, tuple(each.event for each in records if isinstance(each.event, r.MemberForgotten))


def salvage(winner: Life, records: Sequence[r.Record], forgotten: tuple[r.MemberForgotten, ...]) -> list[r.Draft]:
    told = m.Salvage(branch="lost", records=tuple(records), forgotten=forgotten, at_us=LATER_US)
    return list(winner.tell(told).drafts)


def salvaged(winner: Life, loser: Life, since: int) -> list[r.Draft]:
    return salvage(winner, *lost(loser, since))


def memberships(state: GuildState) -> Counter[Key]:
    """Every join of ours by who joined, also those of the forgotten."""
    return Counter(
        (person(state, name), each.opened_us)
        for name, periods in state.members.items()
        for each in periods
        if each.counted
    )


def joins_of(records: Sequence[r.Record], state: GuildState) -> set[Key]:
    """The joins that these records tell of, whoever was forgotten by then."""
    joins = [each.event for each in records if isinstance(each.event, r.JoinRecorded)]
    return {(person(state, each.user), each.joined_at_us) for each in joins}


@given(scripts(forgetting=True), scripts(forgetting=True), scripts(forgetting=True), st.data())
def test_in_any_forked_world_every_join_of_either_branch_is_there_once(
    shared: Script, here: Script, there: Script, data: st.DataObject
):
    life = played(shared)
    since = len(life.records)
    loser, winner = gone_on(forked(life), there), gone_on(life, here)
    records, forgotten = lost(loser, since)
    ours, era = memberships(winner.state), winner.state.era
    before = len(winner.records)
    for start in range(0, len(records), size := data.draw(st.integers(1, 10))):
        salvage(winner, records[start : start + size], forgotten)
        if data.draw(st.booleans()):
            winner.kill()
            salvage(winner, records[: start + size], forgotten)  # the next life begins again
    there_now, from_us = memberships(winner.state), winner.state.ours_from_us
    assert set(there_now.values()) <= {1}
    assert {key for key in joins_of(records, loser.state) if key[1] >= from_us} <= set(there_now)
    kept = {key for key in ours if key[1] >= from_us and not (is_tombstone(key[0]) or era < winner.state.era)}
    assert kept <= set(there_now)
    _is_sound(winner)
    _says_nothing_it_cannot_prove(winner, before)
    _is_forgotten(winner, forgotten, before)
    assert salvage(winner, records, forgotten) == []


def _is_sound(life: Life) -> None:
    assert [record.seq for record in life.records] == list(range(1, len(life.records) + 1))
    assert max(Counter(record.key for record in life.records).values()) == 1
    assert in_bytes(replayed(life.records)) == in_bytes(life.state)
    assert held_by_records(life.records) == held_by_state(life.state) or life.state.forgotten or life.state.era
    for user in life.state.members:
        periods = life.state.periods_of(person(life.state, user))
        assert [each for each in periods if each.is_open()] in ([], [periods[-1]])


def _says_nothing_it_cannot_prove(life: Life, since: int) -> None:
    """What a person said stands on nothing that could have been lost."""
    told = (each.event for each in life.records[since:])
    verdicts = [each for each in told if isinstance(each, r.VerdictReached) and each.status is not Status.MANUAL]
    assert not [each for each in verdicts if each.code or each.staff or each.status not in PLAIN]


PLAIN = {Status.UNKNOWN, Status.NON_INVITE}


def _is_forgotten(life: Life, forgotten: Sequence[r.MemberForgotten], since: int) -> None:
    known = {each.event.user for each in life.records[:since] if isinstance(each.event, r.MemberForgotten)}
    for user in {each.user for each in forgotten} - known:
        assert user not in life.state.members
        said = [each.event for each in life.records[since:] if not isinstance(each.event, r.MemberForgotten)]
        assert not [each for each in said if user in _people(each)]


def _people(event: r.Event) -> list[UserId]:
    return [user for field in r.PEOPLE if (user := getattr(event, field, None)) is not None]


# Examples


def join(user: UserId, joined_s: int, number: int, *, flags: int = 0, bot: bool = False) -> m.RecordJoin:
    return m.RecordJoin(
        cause=r.GatewayCause(session=SessionId("s1"), number=number, lane="members"),
        session=SessionId("s1"),
        user=user,
        joined_at_us=at(joined_s),
        arrived_us=at(joined_s),
        flags=flags,
        bot=bot,
    )


def leave(user: UserId, left_s: int, number: int) -> m.RecordLeave:
    cause = r.GatewayCause(session=SessionId("s1"), number=number, lane="members")
    return m.RecordLeave(cause=cause, user=user, arrived_us=at(left_s))


def assign(code: InviteCode, staff: UserId, at_s: int, interaction: int) -> m.AssignInvite:
    return m.AssignInvite(
        interaction=InteractionId(str(interaction)), code=code, staff=staff, by=DORA, at_us=at(at_s)
    )


def sampled(life: Life, at_s: int) -> Life:
    """Live, with a baseline of that time."""
    life.tell(unchanged(life, at(at_s)))
    assert life.state.baseline is not None
    return life


def begun() -> tuple[Life, Life, int]:
    """A guild in two branches."""
    life = sampled(played([GREETING]), 1)
    return life, forked(life), len(life.records)


def periods(life: Life, user: UserId) -> list[tuple[int, int]]:
    """When each membership began and ended, in seconds; 0 = open, -1 = nobody knows."""
    return [
        (
            (each.opened_us - START_US) // SECOND,
            (each.left_us - START_US) // SECOND if each.left_us > 0 else each.left_us,
        )
        for each in life.state.periods_of(user)
    ]


def newest(life: Life, user: UserId) -> Period:
    found = life.state.current(user)
    assert found is not None
    return found


def test_a_join_that_no_sample_here_can_tell_of_is_unknown_because_it_was_salvaged():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1)])
    sampled(winner, 20)
    salvaged(winner, loser, since)
    assert (newest(winner, ANNA).status, newest(winner, ANNA).reason) == (Status.UNKNOWN, "salvaged")
    assert winner.state.broken == ("salvaged",)


@pytest.mark.parametrize("roles", [(), (RoleId("7"),)])
def test_a_join_behind_the_newest_sample_is_worked_out_by_the_next_one_and_at_most_likely(roles: tuple[RoleId, ...]):
    """Whose roles the branch has recorded, the event's or later ones, is not known here: they exclude nothing."""
    counter = r.Counter(code=A, created_at_us=at(-100), uses=0, inviter=BEN, roles=roles)
    life = played([GREETING])
    first = unchanged(life, at(1))
    life.tell(m.SampleArrived(sample=_with(first, counter), request=life.presence.request))
    loser, since = gone_on(forked(life), [GREETING, join(ANNA, 50, 1)]), len(life.records)
    decision = life.tell(m.Salvage(branch="lost", records=tuple(loser.records[since:]), forgotten=(), at_us=at(60)))
    assert [type(each) for each in decision.effects] == [FetchSample, ListMembers]
    assert newest(life, ANNA).status is Status.PENDING
    used = unchanged(life, at(70))
    life.tell(m.SampleArrived(sample=_with(used, _used(counter)), request=life.presence.request))
    assert (newest(life, ANNA).status, newest(life, ANNA).code) == (Status.LIKELY, A)
    assert newest(life, ANNA).credited is None


def test_a_join_that_the_branch_heard_by_a_clock_that_was_ahead_waits_for_no_time_to_come():
    winner, loser, since = begun()
    ahead = msgspec.structs.replace(join(ANNA, 50, 1), arrived_us=at(50_000))
    gone_on(loser, [GREETING, ahead])
    winner.tell(m.Salvage(branch="lost", records=tuple(loser.records[since:]), forgotten=(), at_us=at(60)))
    for at_s in (61, 63, 69):
        winner.tell(unchanged(winner, at(at_s)))
    assert newest(winner, ANNA).status is Status.UNKNOWN
    assert winner.presence.asked == 0


def _used(counter: r.Counter) -> r.Counter:
    return msgspec.structs.replace(counter, uses=counter.uses + 1)


def _with(arrived: m.SampleArrived, counter: r.Counter) -> Sample:
    sample = arrived.sample
    return Sample(
        requested_us=sample.requested_us,
        answered_us=sample.answered_us,
        session=sample.session,
        counters=(counter,),
        vanity=sample.vanity,
    )


def everybody_left(started_s: int) -> m.ReviewMembers:
    return m.ReviewMembers(
        session=SessionId("s1"), members=(), after=UserId("0"), upto="", started_us=at(started_s), at_us=at(started_s)
    )


def test_who_was_salvaged_and_has_gone_is_found_by_the_list_that_is_compared_again():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1)])
    winner.tell(everybody_left(30))
    assert winner.presence.reconciled
    records, forgotten = lost(loser, since)
    salvage = m.Salvage(branch="lost", records=tuple(records), forgotten=forgotten, at_us=at(40))
    decision = winner.tell(salvage)
    assert ListMembers(session=SessionId("s1")) in decision.effects
    assert not winner.presence.reconciled
    winner.tell(everybody_left(50))
    assert periods(winner, ANNA) == [(5, LEFT_UNKNOWN)]
    assert winner.tell(salvage).effects == ()


def test_a_join_that_was_heard_before_every_known_sample_is_unknown_at_once():
    life, *_ = begun()
    life.tell(join(ANNA, -5, 1))
    assert (newest(life, ANNA).status, newest(life, ANNA).reason) == (Status.UNKNOWN, "no_baseline")
    life.tell(join(BEN, 2, 2))
    assert newest(life, BEN).status is Status.PENDING


def test_a_bot_needs_no_invite_also_when_it_is_salvaged():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1, bot=True)])
    salvaged(winner, loser, since)
    assert newest(winner, ANNA).status is Status.NON_INVITE


def test_an_earlier_membership_takes_its_place_in_front_of_the_open_one():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1), leave(ANNA, 9, 2)])
    gone_on(winner, [join(ANNA, 50, 1)])
    salvaged(winner, loser, since)
    assert periods(winner, ANNA) == [(5, 9), (50, 0)]
    assert newest(winner, ANNA).status is Status.PENDING, "the open one is what it was"


def test_a_later_membership_ends_the_one_that_was_thought_to_be_open():
    winner, loser, since = begun()
    gone_on(winner, [join(ANNA, 5, 1)])
    gone_on(loser, [GREETING, join(ANNA, 50, 1)])
    salvaged(winner, loser, since)
    assert periods(winner, ANNA) == [(5, LEFT_UNKNOWN), (50, 0)]
    assert newest(winner, ANNA).rejoin


def test_a_leave_ends_the_membership_that_both_branches_know():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    winner, loser, since = life, forked(life), len(life.records)
    gone_on(loser, [GREETING, leave(ANNA, 30, 2)])
    salvaged(winner, loser, since)
    assert periods(winner, ANNA) == [(5, 30)]


def test_a_leave_tells_the_time_of_an_end_that_nobody_had_seen():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    winner, loser, since = forked(life), life, len(life.records)
    gone_on(loser, [leave(ANNA, 30, 2)])
    gone_on(winner, [GREETING, join(ANNA, 50, 3, flags=1)])
    assert periods(winner, ANNA) == [(5, LEFT_UNKNOWN), (50, 0)]
    salvaged(winner, loser, since)
    assert periods(winner, ANNA) == [(5, 30), (50, 0)]


def test_who_came_back_in_the_other_branch_had_left_in_between():
    """Row 12 took the event for the open membership told again; the other branch had seen the leave."""
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    winner, loser, since = life, forked(life), len(life.records)
    gone_on(loser, [GREETING, leave(ANNA, 20, 2), join(ANNA, 30, 3)])
    whole_list = m.ReviewMembers(
        session=winner.presence.session,
        members=(m.ListedMember(user=ANNA, joined_at_us=at(5)),),
        after=UserId("0"),
        upto="",
        started_us=at(6),
        at_us=at(6),
    )
    gone_on(winner, [whole_list, join(ANNA, 30, 3)])
    assert periods(winner, ANNA) == [(5, 0)]
    salvaged(winner, loser, since)
    assert periods(winner, ANNA) == [(5, LEFT_UNKNOWN), (30, 0)]


def test_an_assignment_of_before_counts_for_its_time_and_not_for_later():
    winner, loser, since = begun()
    gone_on(loser, [assign(A, ANNA, 10, 1), assign(B, CLEO, 40, 2)])
    gone_on(winner, [assign(A, BEN, 30, 3)])
    salvaged(winner, loser, since)
    held = {code: [(each.staff, each.since_us) for each in known] for code, known in winner.state.assignments.items()}
    assert held == {A: [(ANNA, at(10)), (BEN, at(30))], B: [(CLEO, at(40))]}
    assert sorted(each.version for known in winner.state.assignments.values() for each in known) == [1, 2, 3]


def test_a_decision_of_a_person_stays():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    since = len(life.records)
    decided = r.VerdictReached(user=ANNA, opened_us=at(5), status=Status.MANUAL, code=A, staff=BEN, reason="saw it")
    draft = r.Draft(event=decided, cause=r.InternalCause(what="x"), key="any")
    derived = r.VerdictReached(user=ANNA, opened_us=at(5), status=Status.CERTAIN, code=B, staff=CLEO)
    records = numbered(since, [r.Draft(event=derived, cause=draft.cause, key="other"), draft])
    salvage(life, records, ())
    assert (newest(life, ANNA).status, newest(life, ANNA).staff) == (Status.MANUAL, BEN)
    assert salvage(life, records, ()) == []


def test_who_was_forgotten_there_is_forgotten_here_and_their_joins_count_without_a_name():
    winner, loser, since = begun()
    gone_on(winner, [join(BEN, 3, 1), m.ForgetMember(user=BEN)])
    gone_on(loser, [GREETING, join(ANNA, 5, 1), m.ForgetMember(user=ANNA), join(ANNA, 60, 2)])
    drafts = salvaged(winner, loser, since)
    assert [each.event for each in drafts[:1]] == [r.MemberForgotten(user=ANNA, tombstone=2)]
    assert ANNA not in winner.state.members
    assert [each.opened_us for each in winner.state.members[tombstone(2)]] == [at(5), at(60)]
    assert [each.opened_us for each in winner.state.members[tombstone(1)]] == [at(3)]


def test_a_tombstone_of_the_branch_is_not_taken_for_one_of_ours():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1), join(BEN, 6, 2)])
    winner, loser, since = life, forked(life), len(life.records)
    gone_on(winner, [m.ForgetMember(user=BEN)])
    gone_on(loser, [GREETING, m.ForgetMember(user=ANNA), leave(ANNA, 30, 3)])
    salvaged(winner, loser, since)
    assert (periods(winner, ANNA), periods(winner, BEN)) == ([(5, 30)], [(6, 0)])
    assert set(winner.state.members) == {tombstone(1), tombstone(2)}


def test_who_was_forgotten_here_stays_so_whatever_the_other_branch_says_of_them():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    winner, loser, since = life, forked(life), len(life.records)
    gone_on(winner, [m.ForgetMember(user=ANNA)])
    gone_on(loser, [GREETING, leave(ANNA, 20, 2), join(ANNA, 30, 3), assign(A, ANNA, 40, 1)])
    salvaged(winner, loser, since)
    assert ANNA not in winner.state.members
    assert periods(winner, ANNA) == [(5, 20), (30, 0)]
    assert winner.state.assignments[A][0].staff == tombstone(1)


def test_a_guild_that_was_forgotten_there_is_forgotten_here_but_for_what_came_after():
    winner, loser, since = begun()
    gone_on(winner, [join(ANNA, 5, 1), join(BEN, 100, 2), join(CLEO, 110, 3), leave(CLEO, 115, 4)])
    gone_on(loser, [GREETING, join(DORA, 5, 1), m.ForgetGuild(at_us=at(50)), join(DORA, 60, 2)])
    salvaged(winner, loser, since)
    assert set(winner.state.members) == {BEN, CLEO, DORA}
    assert [periods(winner, each) for each in (BEN, CLEO, DORA)] == [[(100, 0)], [(110, 115)], [(60, 0)]]
    assert winner.state.era == 1
    assert salvaged(winner, loser, since) == []


def test_a_guild_that_this_history_never_knew_is_adopted_as_it_was_there():
    loser = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    winner = Life()
    salvaged(winner, loser, 0)
    assert winner.state.counting_since_us == START_US
    assert newest(winner, ANNA).reason == "salvaged"


def test_who_was_there_before_is_no_join_here_either_but_a_join_there_is_one_here():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(BEN, 5, 1)])
    loser.records += numbered(
        len(loser.records),
        [
            r.Draft(
                event=r.MembersSeeded(members=(r.SeededMember(ANNA, at(-50)),)),
                cause=r.InternalCause(what="x"),
                key="any",
            )
        ],
    )
    winner.records += numbered(
        since,
        [
            r.Draft(
                event=r.MembersSeeded(members=(r.SeededMember(BEN, at(5)),)), cause=r.InternalCause(what="x"), key="y"
            )
        ],
    )
    gone_on(winner, [KILL])
    salvaged(winner, loser, since)
    assert [newest(winner, each).counted for each in (ANNA, BEN)] == [False, True]


def of_the_branch(since: int, *events: r.Event) -> list[r.Record]:
    """Its records, each with a key of its own."""
    cause = r.InternalCause(what="x")
    drafts = [r.Draft(event=event, cause=cause, key=f"theirs/{at}") for at, event in enumerate(events)]
    return numbered(since, drafts)


def test_who_was_there_before_the_branch_counted_and_came_while_this_history_did_is_no_member_of_before():
    """Their join is in no record; the list finds them here."""
    winner, _, since = begun()
    seeded = r.MembersSeeded(members=(r.SeededMember(ANNA, at(-50)), r.SeededMember(BEN, at(50))))
    salvage(winner, of_the_branch(since, seeded), ())
    assert {*winner.state.members} == {ANNA}


def test_whom_discord_says_to_have_come_back_has_come_back_also_where_nobody_knew_them():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1, flags=1)])
    salvaged(winner, loser, since)
    assert newest(winner, ANNA).rejoin


def test_a_join_that_is_told_again_is_nothing_where_its_member_has_left():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1), leave(ANNA, 9, 2)])
    again = r.RepeatRecorded(
        user=ANNA, joined_at_us=at(8), arrived_us=at(8), session=GREETING.session, optional_use=True
    )
    assert salvage(life, of_the_branch(len(life.records), again), ()) == []


def test_a_guild_that_was_forgotten_there_up_to_before_it_counted_here_counts_from_when_it_did():
    winner, _, since = begun()
    salvage(winner, of_the_branch(since, r.GuildForgotten(until_us=at(-10))), ())
    assert winner.state.era == 1
    assert winner.state.counting_since_us == START_US


def test_what_a_person_decided_of_a_member_of_before_stands_though_the_branch_saw_them_join():
    life = played([GREETING])
    seeded = m.ListedMember(user=ANNA, joined_at_us=at(-100))
    page = m.ReviewMembers(
        session=GREETING.session, members=(seeded,), after=UserId("0"), upto="", started_us=at(1), at_us=at(1)
    )
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=BEN, code=A, why="saw it", by=CLEO
    )
    gone_on(life, [page, decided])
    joined = r.JoinRecorded(user=ANNA, joined_at_us=at(-100), arrived_us=at(-99), session=GREETING.session)
    salvage(life, numbered(0, [r.Draft(event=joined, cause=r.InternalCause(what="x"), key="any")]), ())
    now = newest(life, ANNA)
    assert (now.counted, now.status, now.staff, now.credited) == (True, Status.MANUAL, BEN, BEN)
    assert not now.listed, "an event has told of it"


def test_who_had_been_there_before_by_what_the_branch_saw_has_come_back_also_where_a_person_decided():
    life = played([GREETING])
    listed = m.ListedMember(user=ANNA, joined_at_us=at(-100))
    page = m.ReviewMembers(
        session=GREETING.session, members=(listed,), after=UserId("0"), upto="", started_us=at(1), at_us=at(1)
    )
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=BEN, code=A, why="saw it", by=CLEO
    )
    gone_on(life, [page, decided])
    joined = r.JoinRecorded(
        user=ANNA, joined_at_us=at(-100), arrived_us=at(-99), session=GREETING.session, rejoin=True
    )
    salvage(life, of_the_branch(0, joined), ())
    assert (newest(life, ANNA).status, newest(life, ANNA).rejoin) == (Status.MANUAL, True)


def test_a_join_that_both_branches_know_by_another_time_is_one_join():
    """Discord told of it twice, 0.4 s apart: each branch began the membership with another one of the two."""
    life = sampled(played([GREETING]), 1)
    first, second = at(5), at(5) + 400_000
    winner, loser, since = life, forked(life), len(life.records)
    for branch, joined in ((winner, (second, first)), (loser, (first, second))):
        branch.tell(GREETING)
        for number, at_us in enumerate(joined, start=1):
            event = join(ANNA, 5, number)
            branch.tell(msgspec.structs.replace(event, joined_at_us=at_us, arrived_us=second + number))
    drafts = salvaged(winner, loser, since)
    assert not [each for each in drafts if isinstance(each.event, r.JoinRecorded)]
    (period,) = winner.state.members[ANNA]
    assert (period.opened_us, period.aliases) == (second, (first,))


def test_who_joined_in_the_branch_has_missed_no_leave_unless_they_were_here():
    winner, loser, since = begun()
    gone_on(winner, [join(ANNA, 5, 1)])
    gone_on(loser, [GREETING, join(ANNA, 50, 1), join(BEN, 51, 2)])
    told = [each.event for each in salvaged(winner, loser, since) if isinstance(each.event, r.JoinRecorded)]
    assert [(each.user, each.missed_leave) for each in told] == [(ANNA, True), (BEN, False)]


def test_a_membership_of_before_is_no_sign_that_the_leave_of_the_open_one_was_missed():
    winner, loser, since = begun()
    gone_on(loser, [GREETING, join(ANNA, 5, 1), leave(ANNA, 9, 2)])
    gone_on(winner, [join(ANNA, 50, 1)])
    told = [each.event for each in salvaged(winner, loser, since) if isinstance(each.event, r.JoinRecorded)]
    assert [each.missed_leave for each in told] == [False]


def test_who_was_told_to_join_again_in_the_branch_has_one_membership_that_is_known_by_both_times():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    again = r.RepeatRecorded(
        user=ANNA, joined_at_us=at(8), arrived_us=at(8), session=GREETING.session, optional_use=True
    )
    salvage(life, of_the_branch(len(life.records), again), ())
    assert newest(life, ANNA).aliases == (at(8),)
    gone_on(life, [GREETING, join(ANNA, 8, 2)])
    assert periods(life, ANNA) == [(5, 0)]


def decided_for(staff: UserId) -> r.VerdictReached:
    return r.VerdictReached(user=ANNA, opened_us=at(5), status=Status.MANUAL, code=A, staff=staff, reason="saw it")


def test_of_two_decisions_on_one_join_that_of_this_history_stands():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1)])
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=BEN, code=A, why="saw it", by=DORA
    )
    gone_on(life, [decided])
    assert salvage(life, of_the_branch(len(life.records), decided_for(CLEO)), ()) == []
    assert (newest(life, ANNA).staff, newest(life, ANNA).credited) == (BEN, BEN)


def test_a_decision_on_a_join_that_nobody_knows_is_nothing():
    life, _, since = begun()
    assert salvage(life, of_the_branch(since, decided_for(CLEO)), ()) == []


@pytest.mark.parametrize("ours", [ChannelId("7"), None])
def test_settings_of_the_branch_hold_where_nobody_has_set_any_here(ours: ChannelId | None):
    life, _, since = begun()
    if ours:
        here = m.ChangeSettings(
            interaction=InteractionId("s"), settings=r.Settings(log_channel=ours), fields=("log_channel",), by=DORA
        )
        gone_on(life, [here])
    theirs = r.SettingsChanged(settings=r.Settings(log_channel=ChannelId("5")), by=DORA)
    salvage(life, of_the_branch(since, theirs), ())
    assert life.state.settings.log_channel == (ours or "5")


def test_settings_that_people_have_taken_back_do_not_return_with_a_branch():
    life, _, since = begun()
    for number, days in enumerate((30, r.Settings().young_days)):
        change = m.ChangeSettings(
            interaction=InteractionId(str(number)),
            settings=r.Settings(young_days=days),
            fields=("young_days",),
            by=DORA,
        )
        gone_on(life, [change])
    assert life.state.settings == r.Settings()
    theirs = r.SettingsChanged(settings=r.Settings(young_days=40), by=DORA)
    salvage(life, of_the_branch(since, theirs), ())
    assert life.state.settings == r.Settings()


def test_a_decision_on_whoever_came_back_after_they_were_forgotten_stays():
    life = gone_on(sampled(played([GREETING]), 1), [join(ANNA, 5, 1), m.ForgetMember(user=ANNA), join(ANNA, 60, 2)])
    decided = r.VerdictReached(user=ANNA, opened_us=at(60), status=Status.MANUAL, code=A, staff=BEN, reason="saw it")
    salvage(life, of_the_branch(len(life.records), decided), ())
    assert (newest(life, ANNA).status, newest(life, ANNA).staff) == (Status.MANUAL, BEN)


def test_who_had_left_unseen_before_the_guild_was_forgotten_there_has_left():
    winner, _, since = begun()
    gone_on(winner, [join(BEN, 100, 1), everybody_left(130)])
    assert periods(winner, BEN) == [(100, LEFT_UNKNOWN)]
    salvage(winner, of_the_branch(since, r.GuildForgotten(until_us=at(50))), ())
    assert periods(winner, BEN) == [(100, LEFT_UNKNOWN)]


def test_settings_of_a_branch_do_not_come_back_to_a_guild_that_was_forgotten_whole():
    winner, _, since = begun()
    settings = r.SettingsChanged(settings=r.Settings(young_days=30), by=CLEO)
    gone_on(winner, [m.ForgetGuild(at_us=at(50))])
    salvage(winner, of_the_branch(since, settings), ())
    assert winner.state.settings == r.Settings()
    other, _, since = begun()
    salvage(other, of_the_branch(since, settings), ())
    assert other.state.settings == settings.settings


def test_a_member_of_before_whose_join_the_branch_saw_is_the_vip_they_were():
    life = played([GREETING])
    listed = m.ListedMember(user=ANNA, joined_at_us=at(-100), roles=(RoleId("9"),))
    page = m.ReviewMembers(
        session=GREETING.session, members=(listed,), after=UserId("0"), upto="", started_us=at(1), at_us=at(1)
    )
    vips = m.ChangeSettings(
        interaction=InteractionId("v"), settings=r.Settings(vip_roles=(RoleId("9"),)), fields=("vip_roles",), by=CLEO
    )
    gone_on(life, [page, vips, page])
    assert newest(life, ANNA).vip
    joined = r.JoinRecorded(user=ANNA, joined_at_us=at(-100), arrived_us=at(-99), session=GREETING.session)
    salvage(life, of_the_branch(len(life.records), joined), ())
    assert (newest(life, ANNA).counted, newest(life, ANNA).vip) == (True, True)


@pytest.mark.parametrize("message", ["77", ""])
def test_a_message_of_the_branch_is_put_right_by_the_verdict_of_this_history(message: str):
    winner, loser, since = begun()
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=BEN, code=A, why="saw it", by=CLEO
    )
    for each in (winner, loser):
        gone_on(each, [GREETING, join(ANNA, 5, 1)])
    gone_on(winner, [decided])
    told = r.JoinAnnounced(user=ANNA, opened_us=at(5), verdict=3, channel=ChannelId("5"), message=message)
    records, _ = lost(loser, since)
    draft = r.Draft(event=told, cause=r.InternalCause(what="announcing"), key="announced")
    salvage(winner, [*records, *numbered(since + len(records), [draft])], ())
    key = r.join_key(ANNA, at(5))
    assert (key in winner.state.outbox, key in winner.state.posted) == (bool(message), bool(message))
    winner.tell(
        m.Announced(
            number=1,
            user=ANNA,
            opened_us=at(5),
            verdict=newest(winner, ANNA).verdicts,
            channel=ChannelId("5"),
            message="77",
            at_us=LATER_US,
        )
    )
    assert key not in winner.state.outbox
    assert max(Counter(record.key for record in winner.records).values()) == 1
