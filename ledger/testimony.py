"""The second witness: what Discord's member search names, and what follows from it.

It never stands alone: it may confirm the only candidate, pick one of several, or contradict. What it says of one
join may force another's, which then rests on it and is no better. Reports that cannot all be true convict nobody.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Report
from ledger.samples import APPROVAL
from ledger.state import GuildState
from ledger.windows import Finding, Findings, Ground, Window, believing, with_uses_as_limits, work_out

VANITY_WAY: Final = 6
APPROVED_BY_HAND: Final = 7
WAYS: Final[Mapping[int, str]] = {
    1: "bot",
    2: "integration",
    3: "discovery",
    4: "hub",
    7: "manual_approval",
    8: "lobby",
}
"""Ways in that raise no counter, by Discord's ``join_source_type``."""
SILENT: Final = -1
"""The ``way`` of a join that the search did not know in all tries."""
NOTHING_COUNTED: Final = frozenset({NO_COUNTER})

Joined: TypeAlias = tuple[UserId, int]
"""A membership: whose, and the joined_at it was opened with."""


class Hearing(msgspec.Struct, frozen=True):
    """What the second witness says in a window.

    ``reports``: by membership; ``named``: the source that each names, where it names one; ``unseen``: those that name
    one that no counter tells of (``may_be_unseen``); ``clash``: those that name a possible source cannot all be true;
    ``forced``: what they leave to others.
    """

    reports: Mapping[Joined, Report] = {}
    named: Mapping[Joined, InviteCode] = {}
    unseen: frozenset[Joined] = frozenset()
    clash: bool = False
    forced: Mapping[Joined, InviteCode] = {}


def hear(state: GuildState, findings: Findings, fresh: Mapping[Joined, Report]) -> Hearing:
    """Listens to all that was said of a window's joins; ``fresh`` is not in the state yet."""
    reports, named, told = dict[Joined, Report](), dict[Joined, InviteCode](), dict[Joined, InviteCode]()
    unseen = set[Joined]()
    for finding in findings.joins:
        joined = of(finding)
        if report := _report(state, joined, fresh):
            reports[joined] = report
            if source := names(state, report, finding.feasible):
                named[joined] = source
                if source in finding.feasible:
                    told[joined] = source
                elif may_be_unseen(state, source, finding.feasible):
                    told[joined] = NO_COUNTER
                    unseen.add(joined)
    if not reports:
        return Hearing()
    believed = believing(findings, told)
    if believed.solution.infeasible and not findings.solution.infeasible:
        clash = not _leave_uses_to_others(findings.window, believed.ground)
        return Hearing(reports, named, frozenset(unseen), clash=clash)
    free = not (findings.solution.surplus or findings.solution.infeasible)
    forced = _forced(findings, believed, named) if told and free else {}
    return Hearing(reports, named, frozenset(unseen), forced=forced)


def may_be_unseen(state: GuildState, named: InviteCode, feasible: frozenset[InviteCode]) -> bool:
    """Whether a join that may have used no counter can have used this invite all the same: of one that came and went
    between two samples nobody tells where View Audit Log is missing; and somebody who is approved by hand used theirs
    long before, perhaps before anybody counted.
    """
    if NO_COUNTER not in feasible or named == NO_COUNTER:
        return False
    if state.approval or any(APPROVAL in broken for broken in (state.broken, *(gap.broken for gap in state.gaps))):
        return True
    if named == VANITY:
        return False
    seen = {source.code for gap in state.gaps for source in gap.sources}
    seen.update(birth.invite.code for birth in state.births.values())
    return named not in seen and named not in state.counters and named not in state.tombstones


def _leave_uses_to_others(window: Window, ground: Ground) -> bool:
    """Whether the reports can all be true because a use is of somebody who was never seen: who came and went while
    nobody listened. With continuity every use is a join that was told of (P0).
    """
    return bool(window.broken) and not work_out(with_uses_as_limits(window), ground).solution.infeasible


def of(finding: Finding) -> Joined:
    """The membership that a finding is about."""
    return finding.join.user, finding.join.opened_us


def names(state: GuildState, report: Report, feasible: frozenset[InviteCode]) -> InviteCode | None:
    """The source that a report names; None where it says nothing."""
    if report.way == VANITY_WAY or (report.code and state.vanity and report.code == state.vanity.code):
        return VANITY
    if report.code:
        return report.code
    if report.way == APPROVED_BY_HAND:
        return NO_COUNTER if feasible == NOTHING_COUNTED else None
    return NO_COUNTER if report.way in WAYS else None


def _report(state: GuildState, joined: Joined, fresh: Mapping[Joined, Report]) -> Report | None:
    period = state.membership(*joined)
    return fresh.get(joined) or (period.report if period else None)


def _forced(findings: Findings, believed: Findings, named: Mapping[Joined, InviteCode]) -> dict[Joined, InviteCode]:
    """The only invite that is left to a join of which nothing was said, and which had several."""
    forced: dict[Joined, InviteCode] = {}
    for before, after in zip(findings.joins, believed.joins, strict=True):
        narrowed = len(before.feasible) > 1 and len(after.feasible) == 1 and NO_COUNTER not in after.feasible
        if narrowed and of(before) not in named:
            forced[of(before)] = next(iter(after.feasible))
    return forced
