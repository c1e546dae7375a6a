"""Where a join may lie, what belongs together, what a join cannot have used, and what the evidence says of it."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import records as r
from ledger.evolve import evolve
from ledger.ids import NO_COUNTER, VANITY, InviteCode, RoleId, SessionId, UserId
from ledger.records import Status
from ledger.state import Bound, DeskJoin, Gap, GapSource, GuildState, Period, Roll
from ledger.verdicts import METHOD, close_window
from ledger.windows import (
    Ground,
    Window,
    believing,
    bounds_of,
    ground_of,
    oldest_request_us,
    place,
    sole_likely,
    window_of,
    with_uses_as_limits,
    work_out,
)
from tests.ledger.lives import SECOND, START_US
from tests.ledger.test_worlds import seeds
from tests.ledger.worlds import GUILD, World

SESSION = SessionId("s")
A, B = InviteCode("A"), InviteCode("B")
USER = UserId("1")
SKEW_S = 2


def bound(number: int, requested_s: float, answered_s: float) -> Bound:
    return Bound(number, round(requested_s * SECOND), round(answered_s * SECOND), SESSION)


def join(joined_s: float, arrived_s: float, *, user: UserId = USER, **more: object) -> DeskJoin:
    at_us = round(joined_s * SECOND)
    return msgspec.structs.replace(DeskJoin(user, at_us, at_us, round(arrived_s * SECOND)), **more)


def source(code: InviteCode = A, *, exact: bool = True, uses: int = 1, **more: object) -> GapSource:
    return msgspec.structs.replace(GapSource(code, 0, exact=exact, uses=uses, why="live"), **more)


S0, S1, S2 = bound(1, 0, 1), bound(2, 10, 11), bound(3, 20, 21)

# Places

halves = st.integers(0, 12).map(lambda halves: halves / 2)


@given(st.lists(st.tuples(halves, halves), min_size=1, max_size=5, unique_by=lambda each: each[0]), halves, halves)
def test_a_join_lies_between_the_samples_that_it_is_surely_after_and_surely_before(
    samples: list[tuple[float, float]], joined_s: float, took_s: float
):
    samples.sort()
    bounds = [bound(7 + at, asked_s, asked_s + took_s % 3) for at, (asked_s, took_s) in enumerate(samples)]
    lying = join(joined_s, joined_s + took_s)
    surely_after = [each for each in bounds if lying.joined_at_us > each.answered_us + SKEW_S * SECOND]
    surely_before = [each for each in bounds if lying.arrived_us < each.requested_us]
    last = surely_before[0].number if surely_before else bounds[-1].number + 1
    first = surely_after[-1].number + 1 if surely_after else 8
    where = place(lying, bounds)
    assert where.last == last
    assert where.first == min(first, last)
    assert where.before == (not surely_after)
    gaps = [gap(opened, closed) for opened, closed in pairwise(bounds)]
    assert (where.last == 7) == (lying.arrived_us < oldest_request_us(bounds[-1], gaps))


@pytest.mark.parametrize(
    ("joined_s", "arrived_s", "first", "last"),
    [(5, 9.9, 2, 2), (5, 10, 2, 3), (13, 13, 2, 3), (13.1, 13.1, 3, 3)],
)
def test_who_is_told_of_as_a_sample_is_asked_for_may_lie_behind_it(
    joined_s: float, arrived_s: float, first: int, last: int
):
    where = place(join(joined_s, arrived_s), (S0, S1))
    assert (where.first, where.last) == (first, last)


def gap(opened: Bound, closed: Bound, *sources: GapSource, broken: tuple[str, ...] = ()) -> Gap:
    return Gap(opened, closed, broken, sources)


FIRST, SECOND_GAP = gap(S0, S1, source(A)), gap(S1, S2, source(B))


def test_gaps_that_share_a_join_are_one_window_others_are_not():
    inside, shared, after = join(15, 16), join(9.5, 10.5, user=UserId("2")), join(19.5, 20.5, user=UserId("3"))
    alone = window_of((FIRST, SECOND_GAP), [inside])
    assert (alone.gaps, alone.joins, alone.straddlers) == ((SECOND_GAP,), (inside,), ())
    both = window_of((FIRST, SECOND_GAP), [inside, shared, after])
    assert (both.gaps, both.joins, both.straddlers) == ((FIRST, SECOND_GAP), (inside, shared), (after,))
    earlier = join(4, 5, user=UserId("4"))
    assert window_of((FIRST, SECOND_GAP), [inside, earlier]).joins == (inside,)


def test_a_window_counts_what_is_proven_and_who_must_have_come_from_somewhere():
    sources = (source(A, uses=2), source(B, exact=False, uses=5))
    window = Window((gap(S0, S1, *sources),), (join(5, 6), join(6, 7, optional=True)), (join(9.5, 10.5),))
    assert (window.proven, window.certain_joins, window.missing, window.possible_joins) == (2, 1, -1, 3)


def test_uses_as_limits_prove_nothing():
    window = Window((gap(S0, S1, source(A), source(B, exact=False)), gap(S1, S2, source(A))), (join(5, 6),), ())
    limits = with_uses_as_limits(window)
    assert [each.exact for gap in limits.gaps for each in gap.sources] == [False] * 3
    assert (window.proven, limits.proven) == (2, 0)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_careful_guild_tells_no_gaps_apart_where_there_are_several(*, pooled: bool):
    state, gaps = GuildState(guild=GUILD, pooled=pooled), (gap(S0, S1), gap(S1, S2))
    assert ground_of(state, Window(gaps, (join(5, 6),), ())).pooled is pooled
    assert not ground_of(state, Window(gaps[:1], (join(5, 6),), ())).pooled


def test_who_may_have_come_behind_the_window_need_have_used_nothing_in_it():
    window = Window(
        (gap(S0, S1, source(A), source(B)),), (join(5, 6), join(6, 7, user=UserId("2"))), (join(9, 10.5),)
    )
    assert not work_out(window, Ground()).solution.infeasible


def test_who_is_believed_to_have_used_a_code_used_that_one_and_not_none():
    window = Window((gap(S0, S1, source(A, exact=False), source(B, exact=False)),), (join(5, 6),), ())
    findings = work_out(window, Ground())
    assert findings.joins[0].feasible == {A, B, NO_COUNTER}
    assert believing(findings, {(USER, 5 * SECOND): A}).joins[0].feasible == {A}


# What a join cannot have used


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (source(created_at_us=6 * SECOND), "created_after_the_join"),
        (source(created_at_us=5 * SECOND), None),
        (source(VANITY, created_at_us=0), None),
        (source(exact=False, dead_us=5 * SECOND - 1), "dead_before_the_join"),
        (source(exact=False, dead_us=5 * SECOND), None),
        (source(targets=(UserId("2"),)), "not_among_the_target_users"),
        (source(targets=(USER, UserId("2"))), None),
        (source(roles=(RoleId("1"), RoleId("2"))), "its_roles_were_not_given"),
        (source(roles=(RoleId("1"),)), None),
        (source(roles=(RoleId("1"), RoleId("3"))), None),
    ],
)
def test_what_a_join_cannot_have_used_and_why(of: GapSource, why: str | None):
    lying = join(5, 6, roles=(RoleId("1"), RoleId("3")), roles_told=True)
    findings = work_out(Window((gap(S0, S1, of, source(B, exact=False, uses=-1)),), (lying,), ()), Ground())
    (finding,) = findings.joins
    assert (of.code in finding.feasible) == (why is None)
    assert finding.excluded == ({} if why is None else {of.code: why})


def test_roles_that_a_join_did_not_tell_of_itself_exclude_no_role_invite():
    window = Window((gap(S0, S1, source(roles=(RoleId("2"),))),), (join(5, 6, roles=(RoleId("1"),)),), ())
    (finding,) = work_out(window, Ground()).joins
    assert (finding.feasible, finding.excluded) == ({A}, {})


def test_a_join_that_may_lie_before_all_samples_may_have_used_any_invite_of_then():
    early = join(2, 3)
    before = [source(B, exact=False, uses=-1, why="listed_before"), source(InviteCode("C"), targets=(UserId("9"),))]
    (finding,) = work_out(Window((gap(S0, S1),), (early,), ()), Ground(before)).joins
    assert finding.feasible == {B, NO_COUNTER}
    (later,) = work_out(Window((gap(S0, S1),), (join(5, 6),), ()), Ground(before)).joins
    assert later.feasible == {NO_COUNTER}


@given(st.lists(st.tuples(halves, halves), min_size=2, max_size=5, unique_by=lambda each: each[0]), halves)
def test_what_was_listed_before_is_looked_at_just_where_a_join_may_lie_before_all_samples_of_the_window(
    samples: list[tuple[float, float]], joined_s: float
):
    samples.sort()
    bounds = [bound(7 + at, asked_s, asked_s + took_s % 3) for at, (asked_s, took_s) in enumerate(samples)]
    lying = join(joined_s, joined_s)
    gaps = tuple(gap(opened, closed) for opened, closed in pairwise(bounds))
    state = GuildState(guild=GUILD, counters={B: r.Counter(code=B, created_at_us=0, uses=0)})
    ground = ground_of(state, Window(gaps, (lying,), ()))
    assert [each.code for each in ground.listed_before] == [B] * place(lying, bounds).before


@pytest.mark.parametrize(("left", "alike"), [(1, True), (2, False), (-1, False)])
def test_a_vanished_invite_is_sole_likely_where_its_room_is_what_the_unexplained_joins_need(left: int, alike: bool):  # noqa: FBT001 -- the table's column
    window = Window((gap(S0, S1, source(A, exact=False, uses=left, left=left)),), (join(5, 6),), ())
    assert sole_likely(work_out(window, Ground())) == (frozenset({A}) if alike else frozenset())


@pytest.mark.parametrize(("second", "staff", "created_us"), [("8", None, None), ("7", "7", 3 * SECOND)])
def test_a_code_that_was_two_invites_stands_for_somebody_only_if_both_were_theirs(
    second: str, staff: str | None, created_us: int | None
):
    invites = [source(created_at_us=at * SECOND, inviter=UserId(who)) for at, who in ((3, "7"), (2, second))]
    lying = join(5, 6)
    state = GuildState(guild=GUILD, members=Roll({USER: (Period(lying.opened_us, lying.arrived_us),)}))
    findings = work_out(Window((gap(S0, S1, *invites),), (lying,), ()), Ground())
    verdict = next(close_window(state, findings, r.InternalCause(what="sample"))).event
    assert isinstance(verdict, r.VerdictReached)
    assert (verdict.status, verdict.code) == (Status.LIKELY, A)
    assert (verdict.staff, verdict.inviter, verdict.invite_created_at_us) == (staff, staff, created_us)
    assert verdict.method == METHOD


def test_the_samples_that_are_known_are_the_borders_of_the_gaps():
    assert bounds_of(S2, ()) == (S2,)
    assert bounds_of(S2, (FIRST, SECOND_GAP)) == (S0, S1, S2)


# In whole worlds


@given(seeds)
def test_evidence_window_and_totals_say_what_the_samples_showed(seed: int):
    world = World(seed)
    world.run()
    samples = {
        record.event.number: record.event for record in world.records if isinstance(record.event, r.SampleTaken)
    }
    verdicts: list[r.VerdictReached] = []
    for record in world.records:
        match record.event:
            case r.VerdictReached(window=window) as verdict if window:
                verdicts.append(verdict)
            case r.WindowClosed(abandoned=False, reason=reason) as closed if reason != "no_baseline":
                opened, last = samples[closed.first_sample], samples[closed.last_sample]
                assert sum(closed.tally.values()) >= sum(closed.unclaimed.values())
                assert all(uses > 0 for uses in closed.unclaimed.values())
                for verdict in verdicts:
                    assert verdict.window == closed.last_sample
                    assert verdict.method == METHOD
                    evidence = verdict.evidence
                    assert evidence.sampled_us == (opened.requested_us, last.answered_us)
                    assert evidence.uses == closed.tally
                    assert evidence.joins >= closed.joins
                    assert evidence.capped.keys() <= {*verdict.candidates, *evidence.excluded}
                    assert set(closed.reason.split(",")) - {""} <= set(evidence.broken)
                    assert not evidence.excluded.keys() & set(verdict.candidates)
                    assert verdict.status not in (Status.CERTAIN, Status.INVITER_CERTAIN) or not evidence.broken
                verdicts = []
            case _:
                pass


@given(seeds)
def test_where_a_window_is_closed_nobody_stays_on_the_desk_who_lies_before_all_samples_that_are_known(seed: int):
    world = World(seed)
    world.run()
    state = GuildState(guild=GUILD)
    for record in world.records:
        state = evolve(state, record)
        if isinstance(record.event, r.WindowClosed):
            assert state.baseline is not None
            bounds = bounds_of(state.baseline, state.gaps)
            assert all(place(each, bounds).last > bounds[0].number for each in state.desk.values())


# Uses that nobody explains


def test_uses_beyond_the_joins_are_counted_by_code_as_far_as_no_join_can_have_made_them():
    world = World(3, joins=0)
    world._agenda.clear()
    world.invites = {A: r.Counter(code=A, created_at_us=1, uses=0), B: r.Counter(code=B, created_at_us=1, uses=0)}
    world.vanity, world.presence = None, msgspec.structs.replace(world.presence, vanity=False)
    world.refresh()
    world.run()
    for code, uses in ((A, 2), (B, 1)):
        world.invites[code] = msgspec.structs.replace(world.invites[code], uses=uses)
    world.now_us = START_US + 60 * SECOND
    world._hear_join(USER, world.now_us)
    world.run()
    period = world.state.current(USER)
    assert period is not None
    assert (period.status, period.candidates) == (Status.CANDIDATES, (A, B))
    assert world.state.unclaimed == {A: 1}
    verdict = [record.event for record in world.records if isinstance(record.event, r.VerdictReached)][-1]
    assert (verdict.evidence.uses, verdict.evidence.capped) == ({A: 2, B: 1}, {})
    closed = [record.event for record in world.records if isinstance(record.event, r.WindowClosed)][-1]
    assert (closed.tally, closed.unclaimed, closed.joins) == ({A: 2, B: 1}, {A: 1}, 1)
