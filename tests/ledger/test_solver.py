"""What the solver calls feasible is what an enumeration of all assignments finds; the truth is never left out.

The oracle tries every way to give each claim one source it may have used, NI, or (optional claims) nothing. It shares
no idea with the solver, and is good for a handful of claims. Worlds go the other way: they first decide who came
through what, and derive the counters from that. The examples follow the table of docs/attribution.md, section 3.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from random import Random
from typing import Final

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ledger.ids import NO_COUNTER, VANITY, InviteCode
from ledger.solver import Claim, Solution, Source, solve

A, B, C, D = CODES = tuple(InviteCode(letter) for letter in "ABCD")
NI: Final = NO_COUNTER
GAPS: Final = (1, 2, 3)
UNLIMITED: Final = -1
PROVEN: Final = -2
MANY: Final = 1_000
THOROUGH: Final = settings(max_examples=2 * settings().max_examples)


def exact(code: InviteCode, uses: int, gap: int | None = 1) -> Source:
    return Source(code=code, gap=gap, uses=uses, exact=True)


def capped(code: InviteCode, uses: int, gap: int | None = 1) -> Source:
    return Source(code=code, gap=gap, uses=uses, exact=False)


def join(*, but_not: Iterable[InviteCode] = (), gaps: Iterable[int] = (1,)) -> Claim:
    return Claim(gaps=frozenset(gaps), excluded=frozenset(but_not), optional=False)


def repeat(*, but_not: Iterable[InviteCode] = (), gaps: Iterable[int] = (1,)) -> Claim:
    return Claim(gaps=frozenset(gaps), excluded=frozenset(but_not), optional=True)


def found(claims: Sequence[Claim], *sources: Source) -> list[set[InviteCode]]:
    """F of each claim, where claims and counters agree."""
    solution = solve(claims, sources)
    assert not solution.surplus
    assert not solution.infeasible
    return [set(codes) for codes in solution.feasible]


# The oracle


class Way(msgspec.Struct, frozen=True):
    """What a claim may have done: taken a use of source ``at``; come by NI; nothing (``code`` None)."""

    code: InviteCode | None
    at: int | None = None


BY_NI: Final = Way(NI)
NO_USE: Final = Way(None)


def ways_of(claim: Claim, sources: Sequence[Source], *, no_counter: bool) -> Iterator[Way]:
    for at, source in enumerate(sources):
        if source.code not in claim.excluded and (source.gap is None or source.gap in claim.gaps):
            yield Way(source.code, at)
    stranded = not claim.optional and all(
        source.code in claim.excluded or (source.gap is not None and source.gap not in claim.gaps)
        for source in sources
    )
    if no_counter or stranded:
        yield BY_NI
    if claim.optional:
        yield NO_USE


def adds_up(assignment: Sequence[Way], sources: Sequence[Source], *, strict: bool) -> bool:
    taken = Counter(way.at for way in assignment)
    return all(
        taken[at] == source.uses if strict and source.exact else source.uses < 0 or taken[at] <= source.uses
        for at, source in enumerate(sources)
    )


def assignments(
    claims: Sequence[Claim], sources: Sequence[Source], *, strict: bool, no_counter: bool
) -> list[tuple[Way, ...]]:
    ways = [list(ways_of(claim, sources, no_counter=no_counter)) for claim in claims]
    return [each for each in product(*ways) if adds_up(each, sources, strict=strict)]


def enumerated(claims: Sequence[Claim], sources: Sequence[Source]) -> Solution:
    """The contract of ``solve``, by brute force."""
    proven = Counter[InviteCode]()
    for source in sources:
        proven[source.code] += source.uses if source.exact else 0
    surplus = proven.total() > len(claims)
    fitting = assignments(claims, sources, strict=not surplus, no_counter=not surplus)
    infeasible = not fitting
    fitting = fitting or assignments(claims, sources, strict=False, no_counter=True)
    columns = zip(*fitting, strict=True)
    feasible = tuple(frozenset(way.code for way in column if way.code is not None) for column in columns)
    return Solution(feasible=feasible, surplus=surplus, infeasible=infeasible)


# Instances and worlds


class World(msgspec.Struct, frozen=True):
    """What happened (for each claim the code it used; None: a repeat that used nothing), and what was seen of it."""

    truth: tuple[InviteCode | None, ...]
    claims: tuple[Claim, ...]
    sources: tuple[Source, ...]


codes = st.sampled_from(CODES)
places = st.sampled_from((*GAPS, None))
spot = st.tuples(codes, places, st.sampled_from((PROVEN, PROVEN, PROVEN, 0, 1, UNLIMITED)))
gap_sets = st.just(frozenset(GAPS)) | st.frozensets(st.sampled_from(GAPS), max_size=3)
exclusions = st.frozensets(codes, max_size=3)
any_claim = st.builds(Claim, gaps=gap_sets, excluded=exclusions, optional=st.booleans())
proven_source = st.builds(exact, codes, st.integers(0, 2), places)
any_source = proven_source | st.builds(capped, codes, st.integers(UNLIMITED, 2), places)


@st.composite
def instances(draw: st.DrawFn) -> tuple[list[Claim], list[Source]]:
    """Anything at all. Claims come from a small stock, so that some are equal."""
    stock = draw(st.lists(any_claim, min_size=1, max_size=3))
    claims = draw(st.lists(st.sampled_from(stock), max_size=4))
    return claims, draw(st.lists(any_source, max_size=4))


@st.composite
def worlds(draw: st.DrawFn, claims: int, sources: int) -> World:
    """Nothing contradicts the truth: gaps and exclusions allow it, counters show it or leave room for it."""
    spots = draw(st.lists(spot, min_size=1, max_size=sources))
    through = [Way(code, at) for at, (code, _, _) in enumerate(spots)]
    ways = st.sampled_from([*through, *through, BY_NI, NO_USE])
    taken = draw(st.lists(st.tuples(ways, any_claim), min_size=1, max_size=claims))
    uses = Counter(way.at for way, _ in taken)
    return World(
        truth=tuple(way.code for way, _ in taken),
        claims=tuple(bent(claim, way, [gap for _, gap, _ in spots]) for way, claim in taken),
        sources=tuple(seen(code, gap, uses[at], room) for at, (code, gap, room) in enumerate(spots)),
    )


def bent(claim: Claim, way: Way, gaps: Sequence[int | None]) -> Claim:
    """The claim, changed where it would rule out the way it was."""
    gap = None if way.at is None else gaps[way.at]
    return Claim(
        gaps=claim.gaps if gap is None else claim.gaps | {gap},
        excluded=claim.excluded - {way.code},
        optional=claim.optional or way == NO_USE,
    )


def seen(code: InviteCode, gap: int | None, used: int, room: int) -> Source:
    """What is known of a source that was ``used`` times; ``room`` for more, or PROVEN."""
    if room == PROVEN:
        return exact(code, used, gap)
    return capped(code, used + room if room >= 0 else UNLIMITED, gap)


@st.composite
def crowds(draw: st.DrawFn, claims: int) -> World:
    """All uses are proven, and each join had two codes at most to choose from: who is placed first must make way."""
    choices = draw(st.lists(st.tuples(codes, codes), min_size=3, max_size=claims))
    uses = Counter(used for used, _ in choices)
    return World(
        truth=tuple(used for used, _ in choices),
        claims=tuple(join(but_not=set(CODES) - set(choice)) for choice in choices),
        sources=tuple(exact(code, uses[code]) for code in CODES),
    )


# Properties


@THOROUGH
@given(instances())
def test_feasible_is_what_some_assignment_contains(instance: tuple[list[Claim], list[Source]]):
    claims, sources = instance
    expected = enumerated(claims, sources)
    event(f"surplus {expected.surplus}, infeasible {expected.infeasible}")
    assert solve(claims, sources) == expected


@THOROUGH
@given(worlds(claims=4, sources=4) | crowds(claims=6))
def test_feasible_is_what_some_assignment_contains_where_the_counters_are_true(world: World):
    assert solve(world.claims, world.sources) == enumerated(world.claims, world.sources)


@given(worlds(claims=12, sources=8) | crowds(claims=12))
def test_the_truth_is_feasible_and_whoever_is_forced_is_forced_to_it(world: World):
    solution = solve(world.claims, world.sources)
    assert (solution.surplus, solution.infeasible) == (False, False)
    for truth, feasible in zip(world.truth, solution.feasible, strict=True):
        if truth is None:
            continue
        assert truth in feasible
        event(f"forced {len(feasible) == 1}")
        assert len(feasible) > 1 or feasible == {truth}


@given(worlds(claims=12, sources=8) | crowds(claims=12), st.randoms(use_true_random=False))
def test_the_order_of_claims_and_sources_changes_nothing(world: World, random: Random):
    order = random.sample(range(len(world.claims)), len(world.claims))
    sources = random.sample(world.sources, len(world.sources))
    before = solve(world.claims, world.sources).feasible
    after = solve([world.claims[at] for at in order], sources).feasible
    assert after == tuple(before[at] for at in order)


# The rows of the table


def test_row_1_as_many_uses_of_one_code_as_joins_name_it_for_all():
    assert found([join(), join()], exact(A, 2)) == [{A}, {A}]


def test_row_1_capped_sources_have_nothing_left_to_explain():
    assert found([join(), join()], exact(A, 2), capped(B, UNLIMITED)) == [{A}, {A}]


def test_row_2_two_codes_and_two_joins_that_fit_both_stay_open():
    assert found([join(), join()], exact(A, 1), exact(VANITY, 1)) == [{A, VANITY}, {A, VANITY}]


def test_row_2_an_exclusion_forces_its_join_and_what_is_left_forces_the_other():
    assert found([join(but_not=[B]), join()], exact(A, 1), exact(B, 1)) == [{A}, {B}]


def test_row_2_forced_pairs_leave_the_rest_open():
    joins = [join(but_not=[B, C]), join(), join()]
    assert found(joins, exact(A, 1), exact(B, 1), exact(C, 1)) == [{A}, {B, C}, {B, C}]


def test_row_2_forcing_runs_along_a_chain():
    joins = [join(), join(but_not=[C]), join(but_not=[B, C])]
    assert found(joins, exact(A, 1), exact(B, 1), exact(C, 1)) == [{C}, {B}, {A}]


def test_row_3_fewer_uses_than_joins_leave_each_the_code_or_no_counter():
    assert found([join(), join()], exact(A, 1)) == [{A, NI}, {A, NI}]


def test_row_3_the_only_join_that_fits_a_use_is_forced_to_it():
    assert found([join(), join(but_not=[A])], exact(A, 1)) == [{A}, {NI}]


def test_row_4_without_any_use_there_is_only_no_counter():
    assert found([join()], exact(A, 0), exact(B, 0)) == [{NI}]


def test_rows_5_and_6_one_capped_source_and_no_use_leave_the_source_or_no_counter():
    assert found([join()], capped(A, 1)) == [{A, NI}]


def test_row_6_a_source_that_died_before_the_join_is_not_among_them():
    assert found([join(but_not=[A])], capped(A, 1)) == [{NI}]


def test_row_7_what_the_uses_do_not_explain_may_be_any_capped_source():
    assert found([join(), join()], exact(A, 1), capped(B, 1), capped(C, UNLIMITED)) == [{A, B, C, NI}] * 2


def test_row_7_a_capped_source_is_never_used_beyond_its_cap():
    joins = [join(), join(but_not=[A])]
    assert found(joins, exact(A, 1), capped(B, 0), capped(C, 1)) == [{A}, {C, NI}]


def test_row_8_more_uses_than_joins_leave_no_counter_out():
    solution = solve([join()], [exact(A, 1), exact(B, 1)])
    assert solution == Solution(feasible=(frozenset({A, B}),), surplus=True, infeasible=False)


def test_row_8_more_uses_of_the_only_code_leave_one_candidate():
    solution = solve([join()], [exact(A, 3), exact(B, 0)])
    assert solution == Solution(feasible=(frozenset({A}),), surplus=True, infeasible=False)


def test_row_8_joins_still_compete_for_a_use_that_is_there_once():
    solution = solve([join(), join(but_not=[B])], [exact(A, 1), exact(B, 2)])
    assert solution.feasible == ({B}, {A})


def test_row_12_a_repeat_may_have_made_the_use_or_none():
    assert found([join(), repeat()], exact(A, 1)) == [{A, NI}, {A, NI}]


def test_row_12_a_repeat_that_may_have_used_nothing_still_takes_what_only_it_can_explain():
    assert found([join(but_not=[A]), repeat()], exact(A, 1), exact(B, 1)) == [{B}, {A}]


def test_row_12_nothing_is_forced_that_a_silent_repeat_would_not_force():
    assert found([join(), repeat(but_not=[B])], exact(A, 1), capped(B, 1)) == [{A, B, NI}, {A, NI}]


# Moves: an assignment that was begun the wrong way is put right


def test_a_join_makes_way_for_another_that_has_less_to_choose_from():
    joins = [join(but_not=[C]), join(but_not=[B]), join(but_not=[B])]
    assert found(joins, exact(A, 1), exact(B, 1), exact(C, 1)) == [{B}, {A, C}, {A, C}]


def test_two_joins_make_way_one_after_the_other():
    joins = [join(but_not=[C, D]), join(but_not=[A, D]), join(but_not=[A, B]), join(but_not=[A, B])]
    assert found(joins, exact(A, 1), exact(B, 1), exact(C, 1), exact(D, 1)) == [{A}, {B}, {C, D}, {C, D}]


def test_one_join_makes_way_for_one_other_and_not_for_two():
    joins = [join(but_not=[C]), join(but_not=[B]), join(but_not=[B])]
    assert solve(joins, [exact(A, 1), exact(B, 2), exact(C, 0)]).infeasible


# Gaps


def test_a_join_uses_sources_of_its_own_gap_only():
    assert found([join(gaps=[1]), join(gaps=[2])], exact(A, 1, gap=2), exact(B, 1, gap=1)) == [{B}, {A}]


def test_a_straddler_goes_where_the_others_do_not_fit():
    joins = [join(gaps=[1]), join(gaps=[1, 2])]
    assert found(joins, exact(A, 1, gap=1), exact(B, 1, gap=2)) == [{A}, {B}]


def test_two_straddlers_stay_open():
    joins = [join(gaps=[1, 2]), join(gaps=[1, 2])]
    assert found(joins, exact(A, 1, gap=1), exact(B, 1, gap=2)) == [{A, B}] * 2


def test_the_gaps_of_one_code_are_one_source():
    joins = [join(gaps=[1, 2]), join(gaps=[1, 2])]
    assert found(joins, exact(A, 1, gap=1), exact(A, 1, gap=2)) == [{A}] * 2


def test_a_source_that_fits_no_single_gap_may_lie_in_each():
    assert found([join(gaps=[1]), join(gaps=[3])], capped(A, 1, gap=None)) == [{A, NI}] * 2


# Contradictions


def test_where_nothing_fits_no_counter_comes_back_for_all():
    solution = solve([join(), join(but_not=[A])], [exact(A, 2)])
    assert solution.infeasible
    assert solution.feasible == ({A, NI}, {NI})


def test_a_join_without_any_possible_source_came_by_no_counter_though_uses_abound():
    solution = solve([join(but_not=[A]), join()], [exact(A, 3)])
    assert solution == Solution(feasible=(frozenset({NI}), frozenset({A})), surplus=True, infeasible=False)


def test_a_repeat_without_any_possible_source_used_nothing_though_uses_abound():
    solution = solve([join(), repeat(gaps=[2])], [exact(A, 3)])
    assert solution == Solution(feasible=(frozenset({A}), frozenset()), surplus=True, infeasible=False)


def test_uses_in_a_gap_without_joins_contradict_the_joins_of_another():
    solution = solve([join(gaps=[2])], [exact(A, 1, gap=1)])
    assert solution.infeasible
    assert solution.feasible == ({NI},)


# Size


def nested(many: int) -> tuple[list[InviteCode], list[Claim]]:
    """Codes, and a join for each: the first may have used any of them, each next one all but the last one fewer."""
    names = [InviteCode(str(number)) for number in range(many)]
    return names, [join(but_not=names[many - number :]) for number in range(many)]


@pytest.mark.parametrize("step", [1, -1], ids=["choosy ones last", "choosy ones first"])
def test_a_thousand_different_joins_are_all_forced_by_a_thousand_uses(step: int):
    names, joins = nested(MANY)
    solution = solve(joins[::step], [exact(code, 1) for code in names])
    assert solution.feasible == tuple({code} for code in names[::-1][::step])


def test_a_thousand_different_joins_and_a_thousand_capped_sources_stay_open():
    names, joins = nested(MANY)
    solution = solve(joins, [capped(code, 1) for code in names])
    assert solution.feasible == tuple({NI, *names[: MANY - number]} for number in range(MANY))


def test_a_thousand_equal_joins_and_a_thousand_sources_stay_open():
    names, _ = nested(MANY)
    solution = solve([join()] * MANY, [exact(code, 1) for code in names])
    assert solution.feasible == (set(names),) * MANY
