"""The rule: what may be said of a join, given what is feasible and what the second witness says.

One function for the counters (``judge``), one for the witness on top of them (``testify``); the table of
docs/attribution.md gives examples of both. A wrong name costs more than an unknown one.
"""

from collections.abc import Mapping

import msgspec

from ledger.ids import NO_COUNTER, InviteCode
from ledger.origins import NOBODY, Origin
from ledger.records import Status
from ledger.testimony import WAYS, Hearing, of
from ledger.windows import Finding, Findings, sole_likely

ELIMINATION = "elimination"
"""Why a verdict rests on what Discord reports of others."""
CONTRADICTED = "contradicted"
CLASH = "reports_clash"


class Judgement(msgspec.Struct, frozen=True):
    """What is said of a join, and on whom it falls. ``candidates``: the sources that are still possible."""

    status: Status
    candidates: frozenset[InviteCode]
    origin: Origin = NOBODY
    reason: str = ""


def judge(findings: Findings, finding: Finding, origins: Mapping[InviteCode, Origin]) -> Judgement:
    """The status that F allows, and on whom it falls.

    Args:
        findings: the window.
        finding: the join's feasible sources in it.
        origins: who stands behind each feasible code.
    """
    feasible, capped = finding.feasible, is_capped(findings, finding)
    real = feasible - {NO_COUNTER}
    if not real:
        return Judgement(Status.UNKNOWN, feasible, reason="no_use_seen")
    only = origins[next(iter(real))] if len(real) == 1 else None
    if only and len(feasible) == 1:
        return Judgement(Status.LIKELY if capped else Status.CERTAIN, feasible, only)
    if only and findings.claims == 1 and only.code in sole_likely(findings):
        return Judgement(Status.LIKELY, feasible, only)
    if NO_COUNTER in feasible or capped:
        return Judgement(Status.CANDIDATES, feasible)
    staff = {origins[code].staff for code in real}
    if len(staff) == 1 and None not in staff:
        return Judgement(Status.INVITER_CERTAIN, feasible, Origin(NO_COUNTER, staff=staff.pop()))
    return Judgement(Status.CANDIDATES, feasible)


def testify(
    judged: Judgement,
    findings: Findings,
    finding: Finding,
    hearing: Hearing,
    origins: Mapping[InviteCode, Origin],
) -> Judgement:
    """The same, once the second witness was heard: of this join, or of others so that only one source is left."""
    named, forced = hearing.named.get(of(finding)), hearing.forced.get(of(finding))
    if forced and judged.status in (Status.CANDIDATES, Status.INVITER_CERTAIN, Status.LIKELY):
        status = Status.LIKELY if is_capped(findings, finding) else Status.REPORTED
        return Judgement(status, frozenset({forced}), origins[forced], ELIMINATION)
    if named is None:
        return judged
    feasible = finding.feasible.union((named,) if of(finding) in hearing.unseen else ())
    if hearing.clash and named in feasible:
        return Judgement(Status.CONFLICT, feasible, reason=CLASH)
    return said(feasible, named, origins.get(named, Origin(named)), hearing.reports[of(finding)].way)


def said(feasible: frozenset[InviteCode], named: InviteCode, origin: Origin, way: int) -> Judgement:
    """What a report makes of a join whose possible sources are known; none at all where there was no baseline."""
    if feasible and named not in feasible:
        return Judgement(Status.CONFLICT, feasible | {named}, reason=CONTRADICTED)
    if named == NO_COUNTER:
        return Judgement(Status.NON_INVITE, frozenset(), reason=WAYS[way])
    status = Status.CONFIRMED if feasible == frozenset({named}) else Status.REPORTED
    return Judgement(status, frozenset({named}), origin)


def is_capped(findings: Findings, finding: Finding) -> bool:
    """Whether nothing better than likely can be said."""
    return bool(
        findings.solution.surplus or findings.solution.infeasible or findings.window.broken or finding.join.limits
    )
