"""Which sources each join may have used, given how many uses are proven. Pure arithmetic; knows no guild.

Joins and sources form a flow: every join takes one unit of one source it may have used, or of NI (no counter), every
proven use is taken by exactly one join. A source is *feasible* for a join when some such assignment gives it to the
join. One assignment is found by augmenting paths; two feasible assignments differ by cycles of its residual graph, so
a pair is feasible exactly when the assignment has it or when both ends lie in one strongly connected component of
that graph: one flow and one search for components, instead of a flow a pair.

Joins with equal gaps, exclusions and optionality are one *group* with a size. Sets of nodes are bits of integers,
which keeps 1,000 joins × 1,000 sources quick in plain Python (``tests/bench/solving.py``).
What does not live here: classes of sources, statuses, staff.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Final

import msgspec

from ledger.ids import NO_COUNTER, InviteCode

_PLENTY: Final = 1 << 60
_NOTHING: Final = InviteCode("")
"""The source that optional joins may take: no use at all."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Uses of a code. ``gap``: where they lie, None = any; ``uses``: proven (``exact``) or at most, -1 = no limit."""

    code: InviteCode
    gap: int | None
    uses: int
    exact: bool


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A join that came from somewhere; ``optional``: a repeated event, which may have used nothing.

    ``excluded``: what it cannot have used, NI among it where it is known to have used something.
    """

    gaps: frozenset[int]
    excluded: frozenset[InviteCode]
    optional: bool


class Solution(msgspec.Struct, frozen=True, kw_only=True):
    """What is feasible.

    ``feasible``: for each claim, in order, its sources by code, NI among them where possible. ``surplus``: more uses
    are proven than there are claims. ``infeasible``: no assignment fits, so that NI was let back in.
    """

    feasible: tuple[frozenset[InviteCode], ...]
    surplus: bool
    infeasible: bool


def solve(claims: Sequence[Claim], sources: Sequence[Source]) -> Solution:
    """The feasible sources of every claim.

    With at most as many proven uses as claims, every use has to be taken. With more, uses are limits only and NI is
    left out, but for a claim that no source is possible for. Where nothing fits, uses are limits and NI is let in,
    for all: the truth must not be left out.
    """
    surplus = sum(source.uses for source in sources if source.exact) > len(claims)
    feasible = _assign(claims, sources, strict=not surplus, no_counter=not surplus)
    infeasible = feasible is None
    if feasible is None:
        open_to_all = [msgspec.structs.replace(claim, excluded=claim.excluded - {NO_COUNTER}) for claim in claims]
        feasible = _assign(open_to_all, sources, strict=False, no_counter=True)
        assert feasible is not None, "with NI every claim has a source"
    return Solution(feasible=feasible, surplus=surplus, infeasible=infeasible)


def _assign(
    claims: Sequence[Claim], sources: Sequence[Source], *, strict: bool, no_counter: bool
) -> tuple[frozenset[InviteCode], ...] | None:
    sizes = Counter(claims)
    groups = list(sizes)
    network = _Network(groups, list(sizes.values()), sources, strict=strict, no_counter=no_counter)
    if not network.fill():
        return None
    by_group = dict(zip(groups, network.feasible(), strict=True))
    return tuple(by_group[claim] for claim in claims)


class _Network:
    """Groups on the left, sources on the right; ``held[s][g]`` units flow from group g to source s.

    ``left``: claims of each group that are not placed yet; ``room``: uses of each source that nobody holds yet, and
    ``open`` the sources that have some.
    """

    def __init__(
        self,
        groups: Sequence[Claim],
        sizes: list[int],
        sources: Sequence[Source],
        *,
        strict: bool,
        no_counter: bool,
    ) -> None:
        self.left = sizes
        self.codes = [source.code for source in sources]
        self.room = [source.uses if source.uses >= 0 else _PLENTY for source in sources]
        self.open = _bits(at for at, room in enumerate(self.room) if room)
        self.exact = _bits(at for at, source in enumerate(sources) if strict and source.exact)
        self.reach = [_reach(group, sources) for group in groups]
        self._add(
            NO_COUNTER,
            (at for at, group in enumerate(groups) if self._may_go_without(at, group, no_counter=no_counter)),
        )
        self._add(_NOTHING, (at for at, group in enumerate(groups) if group.optional))
        self.held: list[dict[int, int]] = [{} for _ in self.codes]

    def _may_go_without(self, at: int, group: Claim, *, no_counter: bool) -> bool:
        """Whether NI is open to a group: to all, or else to those that no source is possible for."""
        if no_counter:
            return NO_COUNTER not in group.excluded
        return not self.reach[at] and not group.optional

    def _add(self, code: InviteCode, takers: Iterator[int]) -> None:
        for group in takers:
            self.reach[group] |= 1 << len(self.codes)
        self.open |= 1 << len(self.codes)
        self.codes.append(code)
        self.room.append(_PLENTY)

    def fill(self) -> bool:
        """Places every claim, proven uses first; False when a proven use or a claim is left over."""
        self._place_all(self.exact)
        if self.open & self.exact:
            return False
        self._place_all((1 << len(self.codes)) - 1)
        return not any(self.left)

    def _place_all(self, within: int) -> None:
        """As many claims as fit; those with the fewest sources first, since they seldom have to move again."""
        for group in sorted(range(len(self.left)), key=lambda group: self.reach[group].bit_count()):
            while self.left[group] and self._augment(group, within):
                pass

    def _augment(self, start: int, within: int) -> bool:
        """Pushes units of the group ``start`` along a shortest path to a source with room."""
        came_by: dict[int, int] = {}  # source → the group it was reached from
        gave_up: dict[int, int] = {start: -1}  # group → the source through which it was reached
        seen, queue = 0, [start]
        for group in queue:
            fresh = self.reach[group] & within & ~seen
            if fresh & self.open:
                end = next(_each(fresh & self.open))
                came_by[end] = group
                self._push(start, end, came_by, gave_up)
                return True
            seen |= fresh
            for source in _each(fresh):
                came_by[source] = group
                for holder in self.held[source]:
                    if holder not in gave_up:
                        gave_up[holder] = source
                        queue.append(holder)
        return False

    def _push(self, start: int, end: int, came_by: Mapping[int, int], gave_up: Mapping[int, int]) -> None:
        path = [(came_by[end], end)]
        while (via := gave_up[path[-1][0]]) >= 0:
            path.append((came_by[via], via))
        units = min(self.left[start], self.room[end], *(self.held[via][self_] for self_, via in _returns(path)))
        for group, source in path:
            self.held[source][group] = self.held[source].get(group, 0) + units
        for group, source in _returns(path):
            self.held[source][group] -= units
            if not self.held[source][group]:
                del self.held[source][group]
        self.left[start] -= units
        self.room[end] -= units
        if not self.room[end]:
            self.open ^= 1 << end

    def feasible(self) -> list[frozenset[InviteCode]]:
        """For each group, the codes of all sources that some assignment gives it."""
        component = _components(self._residual())
        shift = len(self.reach)
        own = [0] * shift
        for source, holders in enumerate(self.held):
            for group in holders:
                own[group] |= 1 << source
        return [
            frozenset(_chosen(self.codes, own[group] | reach & component[group] >> shift)) - {_NOTHING}
            for group, reach in enumerate(self.reach)
        ]

    def _residual(self) -> list[int]:
        """What may still be moved: claims to any source in reach, held units back, and uses that need not be taken.

        Node → the bits of the nodes next to it. Nodes: groups, then sources, then the sink. A source that nobody
        holds leads to nothing but the sink, so that the sink may well lead to it.
        """
        shift, sink = len(self.reach), len(self.reach) + len(self.codes)
        need_not = (1 << len(self.codes)) - 1 & ~self.exact
        return [
            *(reach << shift for reach in self.reach),
            *(_bits(holders) | (self.open >> source & 1) << sink for source, holders in enumerate(self.held)),
            need_not << shift,
        ]


def _returns(path: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The units that groups on the path take back: each from the source the next step reaches it through."""
    return [(path[at][0], path[at + 1][1]) for at in range(len(path) - 1)]


def _reach(group: Claim, sources: Sequence[Source]) -> int:
    return _bits(
        at
        for at, source in enumerate(sources)
        if (source.gap is None or source.gap in group.gaps) and source.code not in group.excluded
    )


def _components(out: Sequence[int]) -> list[int]:
    """For each node, the bits of its strongly connected component (Gabow's search, all edges of a node at once).

    ``path`` is where the depth-first search stands. ``parts`` hold its nodes and what hangs on them, one part leading
    to the next; an edge back into an earlier part closes a circle, which makes all parts from there on one.
    """
    component = [0] * len(out)
    path, parts = list[int](), list[int]()
    unseen, live = (1 << len(out)) - 1, 0
    while unseen or path:
        ahead = out[path[-1]] & unseen if path else unseen
        if ahead:
            path.append(ahead.bit_length() - 1)
            parts.append(1 << path[-1])
            unseen ^= parts[-1]
            live ^= parts[-1]
            continue
        back = out[path.pop()] & live
        while back & ~parts[-1]:
            parts[-2:] = [parts[-2] | parts[-1]]
        if not path or not parts[-1] >> path[-1] & 1:
            part = parts.pop()
            live ^= part
            for node in _each(part):
                component[node] = part
    return component


def _chosen(codes: Sequence[InviteCode], mask: int) -> Iterator[InviteCode]:
    """The codes at the places of the bits that are set."""
    return compress(codes, map(int, reversed(f"{mask:b}")))


def _bits(places: "Iterator[int] | Mapping[int, int]") -> int:
    mask = 0
    for place in places:
        mask |= 1 << place
    return mask


def _each(mask: int) -> Iterator[int]:
    """The places of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
