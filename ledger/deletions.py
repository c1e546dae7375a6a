"""What the audit log makes of vanished invites: deleted by a person, or used up.

A limited invite that has vanished, and that nobody deleted, was used up (assumption P1): its last uses are proven.
The log has to be read for that at least ``SETTLED_US`` after the sample that does not show the invite any more.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from ledger.creations import LOGGED_LATE_US
from ledger.ids import InviteCode
from ledger.records import AuditRead, join_key
from ledger.samples import LOGGED, SKEW_US, UNLIMITED, mapped
from ledger.state import Gap, GapSource, GuildState, identity

LISTED_LATE_US: Final = 60_000_000
"""So long an invite may still have been listed after it was deleted."""
SETTLED_US: Final = 5_000_000
"""So long after the sample the log is complete."""
KEPT_US: Final = 45 * 24 * 3_600 * 1_000_000
"""So long Discord keeps it."""


class Deletion(Protocol):
    """Who deleted an invite does not matter here."""

    @property
    def code(self) -> InviteCode: ...
    @property
    def at_us(self) -> int: ...


def with_deletions(gaps: tuple[Gap, ...], deletions: Iterable[Deletion]) -> tuple[Gap, ...]:
    """The gaps, knowing of these deletions."""
    told = defaultdict[InviteCode, list[int]](list)
    for each in deletions:
        told[each.code].append(each.at_us)
    return tuple(mapped(gap, lambda source: _deleted(source, told.get(source.code, ()))) for gap in gaps)


def as_read(state: GuildState, gaps: tuple[Gap, ...], read: AuditRead) -> tuple[Gap, ...]:
    """The gaps after the log was read, and nothing about what is left was found.

    Nothing is proven of what is listed again, of what had seemed to vanish before, nor of an invite that somebody may
    have used before its gap.
    """
    undecided = [source for gap in gaps for source in gap.sources if is_undecided(source)]
    if not undecided:
        return gaps
    alive = {identity(each) for each in state.counters.values()}
    untold_us = _newest_untold_us(state, gaps[0]) if any(source.anywhere for source in undecided) else 0
    found: list[Gap] = []
    vanished = set[str]()
    for gap in gaps:
        told = (join.joined_at_us for join in state.desk.values() if join.arrived_us < gap.opened.requested_us)
        before_us = max(untold_us, *told, 0) if untold_us else 0
        kept = alive | vanished

        def decided(
            source: GapSource, before_us: int = before_us, kept: frozenset[str] = frozenset(kept)
        ) -> GapSource:
            may_be_older = source.anywhere and source.created_at_us <= before_us
            return source if may_be_older or identity(source) in kept else _used_up(source)

        found.append(mapped(gap, decided) if is_settled(gap, read) else gap)
        vanished |= {identity(source) for source in gap.sources if source.why in ("gone", "used_up")}
    return tuple(found)


def _newest_untold_us(state: GuildState, oldest: Gap) -> int:
    """When somebody of whom no gap can tell joined last before the first sample that is known, by Discord's clock.

    Whoever joined before all was forgotten is not known any more.
    """
    end_us = oldest.opened.answered_us + SKEW_US
    joined = (
        period.opened_us
        for user, periods in state.members.items()
        for period in periods
        if period.opened_us <= end_us and join_key(user, period.opened_us) not in state.desk
    )
    return max(max(joined, default=0), state.ours_from_us, 1)


def is_settled(gap: Gap, read: AuditRead) -> bool:
    """Whether what was read of the log holds all deletions of the gap."""
    kept_us = max(read.requested_us - KEPT_US + 1, read.since_us + LISTED_LATE_US)
    return kept_us <= gap.opened.requested_us and gap.closed.answered_us + SETTLED_US <= read.requested_us


def is_undecided(source: GapSource) -> bool:
    """Whether the log can tell if it was used up."""
    return source.why == "gone" and source.left != UNLIMITED


def _deleted(source: GapSource, told_us: Sequence[int]) -> GapSource:
    if source.why not in ("gone", "used_up", LOGGED):
        return source
    logged_us = source.created_at_us + (LOGGED_LATE_US if source.why == LOGGED else 0)
    its_own = [at_us for at_us in told_us if at_us >= logged_us]  # others are of earlier invites with this code
    if not its_own:
        return source
    at_us = min(its_own)
    dead_us = min(source.dead_us or at_us + SKEW_US, at_us + SKEW_US)
    why = LOGGED if source.why == LOGGED else "deleted"  # else it would be news again by each reading
    return msgspec.structs.replace(source, exact=False, why=why, left=UNLIMITED, dead_us=dead_us)


def _used_up(source: GapSource) -> GapSource:
    if not is_undecided(source):
        return source
    return msgspec.structs.replace(source, exact=True, why="used_up", left=UNLIMITED)
