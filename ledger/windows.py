"""Windows: which joins and gaps belong together, and what follows for each join.

A join is *placed* in the gaps it may lie in, by causality (its event came before a sample was asked for) and by
Discord's clock (it joined more than ``SKEW_US`` after the sample's last answer). Gaps that share a join form one
*window* and are solved together; a join that may also lie in the gap still open is a *straddler*.
Nothing here changes state: it reads the desk and says what it finds. Statuses are made in ``ledger/verdicts.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.samples import APPLIED, LOGGED, SKEW_US, UNLIMITED, listed
from ledger.solver import Claim, Solution, Source, solve
from ledger.state import Bound, DeskJoin, Gap, GapSource, GuildState

MAX_STRADDLED_SAMPLES: Final = 3
"""A window waits for at most so many samples in a row before it is closed with its straddlers left open."""
MAX_KEPT_GAPS: Final = 32
"""Closed gaps stay on the desk for join events that come late; what is older counts as "before"."""
GAP_KEPT_US: Final = 600_000_000
"""A closed gap serves late events for ten minutes, and, however long nobody listened, the joins that come with the
first sample afterwards: the member list shows who joined unheard.
"""
CARRIED_US: Final = 180 * 24 * 3_600 * 1_000_000
"""An application older than this brings nobody any more."""


class Place(msgspec.Struct, frozen=True):
    """A join lies in one of the gaps ``first`` … ``last``; ``before``: or before the oldest known sample."""

    first: int
    last: int
    before: bool


class Window(msgspec.Struct, frozen=True, dict=True):
    """Gaps that are solved together, oldest first, and the joins that may lie in them.

    ``straddlers`` may lie in the gap that is still open: here their use is optional.
    """

    gaps: tuple[Gap, ...]
    joins: tuple[DeskJoin, ...]
    straddlers: tuple[DeskJoin, ...]

    @cached_property
    def tally(self) -> Mapping[InviteCode, int]:
        """The proven uses by code."""
        tally: dict[InviteCode, int] = {}
        for gap in self.gaps:
            for source in gap.sources:
                if source.exact:
                    tally[source.code] = tally.get(source.code, 0) + source.uses
        return tally

    @cached_property
    def proven(self) -> int:
        """X: how many uses are proven."""
        return sum(self.tally.values())

    @property
    def certain_joins(self) -> int:
        """Joins that lie in this window and must have come from somewhere (repeats may not have)."""
        return sum(not join.optional for join in self.joins)

    @property
    def missing(self) -> int:
        """How many joins have no proven use; below 0: uses without a join."""
        return self.certain_joins - self.proven

    @property
    def possible_joins(self) -> int:
        """All that may explain a use: joins, repeats, straddlers."""
        return len(self.joins) + len(self.straddlers)

    @cached_property
    def broken(self) -> tuple[str, ...]:
        """Why continuity does not hold, without repetition."""
        return tuple(dict.fromkeys(reason for gap in self.gaps for reason in gap.broken))


class Finding(msgspec.Struct, frozen=True):
    """What the window says of one join.

    ``feasible``: its possible sources by code (F), NI among them; ``sources``: the same one by one, without NI, since
    a code can be more than one invite; ``excluded``: codes that are impossible for it, with why.
    """

    join: DeskJoin
    feasible: frozenset[InviteCode]
    sources: tuple[GapSource, ...]
    excluded: Mapping[InviteCode, str]


class Ground(msgspec.Struct, frozen=True):
    """What a window stands on beside its own gaps.

    ``listed_before``: what a join that lies before the oldest known sample may have used; ``carried``: uses seen in
    earlier windows that a join may still claim; ``pooled``: Discord has shown here that a sample can miss a use made
    before its request (P2 does not hold), so a use of any gap may lie in each; ``told``: the source that the second
    witness names, by user and membership, where that is to be believed; ``by_hand``: members are approved so now.
    """

    listed_before: Sequence[GapSource] = ()
    carried: Sequence[GapSource] = ()
    pooled: bool = False
    told: Mapping[tuple[UserId, int], InviteCode] = {}
    by_hand: bool = False


class Findings(msgspec.Struct, frozen=True):
    """A solved window. ``claims`` counts optional uses too (k); ``premises``: what was solved."""

    window: Window
    ground: Ground
    solution: Solution
    claims: int
    joins: tuple[Finding, ...]
    premises: "_Premises"


def place(join: DeskJoin, bounds: Sequence[Bound]) -> Place:
    """The gaps between ``bounds`` (oldest first, at least one) that the join may lie in.

    Gap n lies before bound n; the gap behind the last bound is the open one. ``last`` ≤ the oldest bound's number
    says that the join lies before everything known.
    """
    joined_us, arrived_us, last = _joined_us(join) - SKEW_US, join.arrived_us, bounds[-1].number + 1
    for bound in bounds:
        if arrived_us < bound.requested_us:
            last = bound.number
            break
    for bound in reversed(bounds):
        if joined_us > bound.answered_us:
            return Place(min(bound.number + 1, last), last, before=False)
    return Place(min(bounds[0].number + 1, last), last, before=True)


def _joined_us(join: DeskJoin) -> int:
    """When they joined at the latest, by our clock: Discord's may be ahead by more than we think."""
    return min(join.joined_at_us, join.arrived_us)


def bounds_of(baseline: Bound, gaps: Sequence[Gap]) -> tuple[Bound, ...]:
    """The samples that are still known, oldest first."""
    return (gaps[0].opened, *(gap.closed for gap in gaps)) if gaps else (baseline,)


def oldest_request_us(baseline: Bound, gaps: Sequence[Gap]) -> int:
    """When the oldest sample still known was asked for: a join heard of earlier lies before everything known."""
    return gaps[0].opened.requested_us if gaps else baseline.requested_us


def needs_sample(state: GuildState) -> bool:
    """Whether a join (or repeat) may lie behind the newest sample, so that another one is needed."""
    if state.baseline is None:
        return True
    return any(join.arrived_us >= state.baseline.requested_us for join in state.desk.values())


def window_of(gaps: Sequence[Gap], desk: Iterable[DeskJoin]) -> Window:
    """The window that the newest of ``gaps`` (at least one) belongs to."""
    return windows_of(gaps, desk)[-1]


def windows_of(gaps: Sequence[Gap], desk: Iterable[DeskJoin]) -> Sequence[Window]:
    """All windows that ``gaps`` (oldest first, without a break) fall into: joins that may lie in two join them."""
    bounds = bounds_of(gaps[-1].closed, gaps)
    placed = [(join, place(join, bounds)) for join in desk]
    linked = {number for _, where in placed for number in range(max(where.first, gaps[0].number) + 1, where.last + 1)}
    starts = [at for at, gap in enumerate(gaps) if at == 0 or gap.number not in linked]
    groups = [gaps[start:end] for start, end in zip(starts, [*starts[1:], len(gaps)], strict=True)]
    return [_window(group, placed) for group in groups]


def _window(gaps: Sequence[Gap], placed: Iterable[tuple[DeskJoin, Place]]) -> Window:
    oldest, newest = gaps[0].number, gaps[-1].number
    inside = [(join, where) for join, where in placed if where.last >= oldest and where.first <= newest]
    return Window(
        tuple(gaps),
        tuple(join for join, where in inside if where.last <= newest),
        tuple(join for join, where in inside if where.last > newest),
    )


def with_uses_as_limits(window: Window) -> Window:
    """The same window, where no use need be of one of its joins."""
    limits = (
        (gap, tuple(msgspec.structs.replace(source, exact=False) for source in gap.sources)) for gap in window.gaps
    )
    gaps = tuple(msgspec.structs.replace(gap, sources=sources) for gap, sources in limits)
    return msgspec.structs.replace(window, gaps=gaps)


def ground_of(state: GuildState, window: Window) -> Ground:
    """What is known of the guild around a window of it."""
    opened = window.gaps[0].opened
    oldest_us = window.gaps[-1].closed.answered_us - CARRIED_US
    carried = tuple(each.source for each in state.carried if oldest_us <= each.seen_us <= opened.answered_us)
    earliest_us = min(bound.answered_us for bound in bounds_of(opened, window.gaps)) + SKEW_US
    before = any(_joined_us(join) <= earliest_us for join in window.joins)  # seldom, and a server has 1,000 invites
    return Ground(
        listed(state, opened) if before else (),
        carried,
        state.pooled and len(window.gaps) > 1,
        by_hand=state.approval,
    )


class _Named(msgspec.Struct, frozen=True):
    """A source, and how the solver is told of it."""

    source: GapSource
    for_solver: Source


class _Premises(msgspec.Struct, frozen=True):
    """What of a window is the same whatever is told of its joins. ``excluded``, ``places``: of each join, straddlers
    last.
    """

    sources: Mapping[InviteCode, _Named]
    excluded: Sequence[Mapping[InviteCode, str]]
    places: Sequence[Place]


def work_out(window: Window, ground: Ground) -> Findings:
    """Solves a window."""
    bounds = bounds_of(window.gaps[0].opened, window.gaps)
    sources = _named(window, ground)
    everyone = (*window.joins, *window.straddlers)
    return _solved(
        window, ground, _Premises(sources, _excluded(everyone, sources), [place(join, bounds) for join in everyone])
    )


def believing(findings: Findings, told: Mapping[tuple[UserId, int], InviteCode]) -> Findings:
    """The same window, solved where what the second witness told of its joins is believed."""
    if not told:
        return findings
    return _solved(findings.window, msgspec.structs.replace(findings.ground, told=told), findings.premises)


def _solved(window: Window, ground: Ground, premises: _Premises) -> Findings:
    sources, newest = premises.sources, window.gaps[-1].number
    untold = {code: _untold(code, sources) for code in set(ground.told.values())}
    claims = [
        Claim(
            gaps=frozenset(range(where.first, min(where.last, newest) + 1)),
            excluded=frozenset(without).union(_others(join, where, ground, untold)),
            optional=join.optional or at >= len(window.joins),
        )
        for at, (join, without, where) in enumerate(
            zip((*window.joins, *window.straddlers), premises.excluded, premises.places, strict=True)
        )
    ]
    solution = solve(claims, [each.for_solver for each in sources.values()])
    chosen = {names: _chosen(names, sources) for names in set(solution.feasible)}
    joins = tuple(
        _finding(join, chosen[names], sources, without, ground.listed_before if where.before else ())
        for join, names, without, where in zip(
            window.joins, solution.feasible, premises.excluded, premises.places, strict=False
        )
        if not join.optional
    )
    return Findings(window, ground, solution, len(claims), joins, premises)


def _others(
    join: DeskJoin, where: Place, ground: Ground, untold: Mapping[InviteCode, frozenset[InviteCode]]
) -> frozenset[InviteCode]:
    """The names of all that the second witness says this join did not use; none where it is silent.

    A use from before the oldest known sample is counted by none, whatever it was of.
    """
    told = None if join.optional else ground.told.get((join.user, join.opened_us))
    if told is None:
        return frozenset()
    return untold[told] - {NO_COUNTER} if where.before else untold[told]


def _untold(told: InviteCode, sources: Mapping[InviteCode, _Named]) -> frozenset[InviteCode]:
    """The names of all sources but those of one code."""
    names = {name for name, each in sources.items() if each.source.code == told}
    return frozenset([*(sources.keys() - names), *([NO_COUNTER] if names else [])])


def _named(window: Window, ground: Ground) -> dict[InviteCode, _Named]:
    """The window's sources under names of their own: a code may come back, and may rise in several gaps."""
    placed = [(gap.number, source) for gap in window.gaps for source in gap.sources]
    placed += [(0, msgspec.structs.replace(source, anywhere=True)) for source in ground.carried]
    named: dict[InviteCode, _Named] = {}
    for at, (gap, source) in enumerate(placed):
        name, where = InviteCode(str(at)), None if source.anywhere or ground.pooled else gap
        named[name] = _Named(source, Source(code=name, gap=where, uses=source.uses, exact=source.exact))
    return named


def _excluded(joins: Sequence[DeskJoin], sources: Mapping[InviteCode, _Named]) -> list[dict[InviteCode, str]]:
    """For each join, the names of sources that it cannot have used, and why."""
    first_us = min((join.joined_at_us for join in joins), default=0)
    closed = [(name, each.source) for name, each in sources.items() if not _is_open_to_all(each.source, first_us)]
    return [{name: reason for name, source in closed if (reason := _impossible(join, source))} for join in joins]


def _is_open_to_all(source: GapSource, first_us: int) -> bool:
    """Whether nobody who joined from ``first_us`` on is kept from a source: most are such."""
    return source.created_at_us <= first_us and not (source.dead_us or source.targets or source.roles)


class _Chosen(msgspec.Struct, frozen=True):
    """What the solver's names stand for: the codes, NI among them, and the sources without it."""

    codes: frozenset[InviteCode]
    sources: tuple[GapSource, ...]


def _chosen(names: frozenset[InviteCode], sources: Mapping[InviteCode, _Named]) -> _Chosen:
    found = tuple([sources[name].source for name in names if name != NO_COUNTER])
    codes = frozenset([source.code for source in found])
    perhaps_none = NO_COUNTER in names or all(source.why == LOGGED for source in found)
    return _Chosen(codes | {NO_COUNTER} if perhaps_none else codes, found)


def _finding(
    join: DeskJoin,
    chosen: _Chosen,
    sources: Mapping[InviteCode, _Named],
    without: Mapping[InviteCode, str],
    listed_before: Sequence[GapSource],
) -> Finding:
    """From the solver's names back to codes. A join that may lie before all samples may have used any invite of
    then (``listed_before``), where no counter here claims it.
    """
    feasible, found = chosen.codes, chosen.sources
    if listed_before and NO_COUNTER in feasible:
        found = (*found, *(source for source in listed_before if not _impossible(join, source)))
        feasible = feasible.union([source.code for source in found])
    reasons = {sources[name].source.code: reason for name, reason in without.items()}
    return Finding(join, feasible, found, {code: reason for code, reason in reasons.items() if code not in feasible})


def _impossible(join: DeskJoin, source: GapSource) -> str:
    """Why the join cannot have used the source, "" where it can."""
    if source.code != VANITY and join.joined_at_us < source.created_at_us:
        return "created_after_the_join"
    if source.dead_us and (join.joined_at_us if source.why == "expired" else _joined_us(join)) > source.dead_us:
        return "dead_before_the_join"
    if source.targets and join.user not in source.targets:
        return "not_among_the_target_users"
    if join.roles_told and not set(source.roles) <= set(join.roles):
        return "its_roles_were_not_given"
    return ""


def sole_likely(findings: Findings) -> frozenset[InviteCode]:
    """Codes that are likely for one join alone, although it may have used none: a vanished limited invite whose room
    was just what the unexplained joins need, or an applicant's use in a guild that approves by hand; a use of before
    only while it does so.
    """
    unexplained, by_hand = findings.claims - findings.window.proven, findings.ground.by_hand
    seen_here = [source for gap in findings.window.gaps for source in gap.sources]
    return frozenset(
        source.code
        for finding in findings.joins
        for source in finding.sources
        if (source.why == APPLIED and (by_hand or source in seen_here))
        or (source.left != UNLIMITED and source.left == unexplained)
    )
