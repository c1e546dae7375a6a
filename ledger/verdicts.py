"""From what is feasible to what is said: statuses, who is credited, and the records of both.

The rule of docs/attribution.md in one function (``judge``); a wrong name costs more than an unknown one. Credit
follows the assignment that was in force at the join, else the invite's human inviter; only proof credits by itself.
A verdict that says the same as the one in force is not written again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger.ids import NO_COUNTER, InviteCode, UserId
from ledger.records import (
    Cause,
    CreditGranted,
    CreditReversed,
    Draft,
    Evidence,
    Status,
    VerdictReached,
    WindowClosed,
)
from ledger.state import DeskJoin, GapSource, GuildState, Period
from ledger.windows import Finding, Findings, exhaust_like

CREDITING: Final = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN})
METHOD: Final = 1


class Origin(msgspec.Struct, frozen=True):
    """Who stands behind a code at the time of a join. ``assignment`` 0: the inviter himself, or nobody."""

    code: InviteCode
    created_at_us: int | None = None
    inviter: UserId | None = None
    staff: UserId | None = None
    assignment: int = 0


class Judgement(msgspec.Struct, frozen=True):
    """What is said of a join, and on whom it falls."""

    status: Status
    origin: Origin | None
    reason: str = ""


def close_window(state: GuildState, findings: Findings, cause: Cause) -> Iterator[Draft]:
    """All records of a window that was worked out: its verdicts, the credits they move, its totals."""
    for finding in findings.joins:
        period = state.membership(finding.join.user, finding.join.opened_us)
        assert period is not None, "a join on the desk has opened a membership"
        verdict = _verdict(state, findings, finding, period)
        yield from pronounce(period, verdict, cause)
    window = findings.window
    yield Draft(
        event=WindowClosed(
            first_sample=window.gaps[0].opened.number,
            last_sample=window.gaps[-1].number,
            joins=len(findings.joins),
            tally=_tally(findings),
            unclaimed=_unclaimed(findings),
            reason=",".join(window.broken),
        ),
        cause=cause,
        key=f"window/{window.gaps[-1].number}",
    )


def pronounce(period: Period, verdict: VerdictReached, cause: Cause) -> Iterator[Draft]:
    """The verdict, if it says something new, and what it changes in the credits; all in one append."""
    if not _is_news(period, verdict):
        return
    suffix = f"{verdict.user}/{verdict.opened_us}/{period.verdicts + 1}"
    yield Draft(event=verdict, cause=cause, key=f"verdict/{suffix}")
    credited = _credited(period, verdict)
    if credited == period.credited:
        return
    user, opened_us = verdict.user, verdict.opened_us
    if period.credited:
        undo = CreditReversed(user=user, opened_us=opened_us, kind="join", staff=period.credited)
        yield Draft(event=undo, cause=cause, key=f"reversal/join/{suffix}")
    if credited:
        grant = CreditGranted(user=user, opened_us=opened_us, kind="join", staff=credited)
        yield Draft(event=grant, cause=cause, key=f"credit/join/{suffix}")


def plain_verdict(user: UserId, period: Period, status: Status, reason: str) -> VerdictReached:
    """A verdict that names nobody, for joins that were not worked out by a window."""
    return VerdictReached(
        user=user,
        opened_us=period.opened_us,
        status=status,
        reason=reason,
        supersedes=period.verdict_seq,
        method=METHOD,
    )


def judge(findings: Findings, finding: Finding, origins: Mapping[InviteCode, Origin]) -> Judgement:
    """The status that F allows, and on whom it falls.

    Args:
        findings: the window.
        finding: the join's feasible sources in it.
        origins: who stands behind each feasible code.
    """
    feasible = finding.feasible
    capped = bool(
        findings.solution.surplus or findings.solution.infeasible or findings.window.broken or finding.join.limits
    )
    real = feasible - {NO_COUNTER}
    if not real:
        return Judgement(Status.UNKNOWN, None, "no_use_seen")
    only = origins[next(iter(real))] if len(real) == 1 else None
    if only and len(feasible) == 1:
        return Judgement(Status.LIKELY if capped else Status.CERTAIN, only)
    if only and findings.claims == 1 and only.code in exhaust_like(findings):
        return Judgement(Status.LIKELY, only)
    staff = {origins[code].staff for code in real}
    if NO_COUNTER not in feasible and len(staff) == 1 and None not in staff and not capped:
        return Judgement(Status.INVITER_CERTAIN, Origin(NO_COUNTER, staff=staff.pop()))
    return Judgement(Status.CANDIDATES, None)


def _verdict(state: GuildState, findings: Findings, finding: Finding, period: Period) -> VerdictReached:
    origins = {code: _origin(state, code, finding) for code in finding.feasible - {NO_COUNTER}}
    judged = judge(findings, finding, origins)
    origin = judged.origin or Origin(NO_COUNTER)
    named = origin.code != NO_COUNTER
    return VerdictReached(
        user=state.holder_of(finding.join.user, finding.join.opened_us),
        opened_us=finding.join.opened_us,
        status=judged.status,
        code=origin.code if named else None,
        invite_created_at_us=origin.created_at_us if named else None,
        inviter=origin.inviter,
        staff=origin.staff,
        assignment=origin.assignment,
        candidates=tuple(sorted(finding.feasible)),
        reason=judged.reason,
        window=findings.window.gaps[-1].number,
        evidence=_evidence(findings, finding),
        supersedes=period.verdict_seq,
        method=METHOD,
    )


def _origin(state: GuildState, code: InviteCode, finding: Finding) -> Origin:
    """Who stands behind the code; nobody, where it may have been one of two invites of different people."""
    origins = {_origin_of(state, source, finding.join) for source in finding.sources if source.code == code}
    if len({origin.staff for origin in origins}) == 1:
        return max(origins, key=lambda origin: origin.created_at_us or 0)
    return Origin(code)


def _origin_of(state: GuildState, source: GapSource, join: DeskJoin) -> Origin:
    assignment = state.assignment_at(source.code, join.joined_at_us)
    inviter = state.name_at(source.inviter, join.joined_at_us) if source.inviter else None
    human = None if source.inviter_is_bot else inviter
    staff = assignment.staff if assignment else human
    if staff in (join.user, state.tombstone_of(join.user)):  # themselves, by either name
        staff = state.holder_of(join.user, join.opened_us)
    return Origin(source.code, source.created_at_us, inviter, staff, assignment.version if assignment else 0)


def _evidence(findings: Findings, finding: Finding) -> Evidence:
    gaps = findings.window.gaps
    relevant = finding.feasible | finding.excluded.keys()
    capped = {
        source.code: source.uses
        for gap in gaps
        for source in gap.sources
        if not source.exact and source.code in relevant
    }
    return Evidence(
        joins=findings.claims,
        uses=_tally(findings),
        capped=capped,
        excluded=dict(finding.excluded),
        sampled_us=(gaps[0].opened.requested_us, gaps[-1].closed.answered_us),
        broken=findings.window.broken + finding.join.limits,
        assumptions=("P0", "P2"),
    )


def _tally(findings: Findings) -> dict[InviteCode, int]:
    tally: dict[InviteCode, int] = {}
    for gap in findings.window.gaps:
        for source in gap.sources:
            if source.exact:
                tally[source.code] = tally.get(source.code, 0) + source.uses
    return tally


def _unclaimed(findings: Findings) -> dict[InviteCode, int]:
    """Proven uses by code that exceed the joins which could have made them; none where all uses are explained."""
    if not (findings.solution.surplus or findings.solution.infeasible):
        return {}
    takers = Counter(code for finding in findings.joins for code in finding.feasible)
    return {code: uses - takers[code] for code, uses in _tally(findings).items() if uses > takers[code]}


def _is_news(period: Period, verdict: VerdictReached) -> bool:
    now = (verdict.status, verdict.code, verdict.staff, verdict.candidates, verdict.reason)
    return now != (period.status, period.code, period.staff, period.candidates, period.reason)


def _credited(period: Period, verdict: VerdictReached) -> UserId | None:
    """Whom the verdict credits by itself: nobody for a rejoin or for inviting oneself (the defaults)."""
    if verdict.status not in CREDITING or period.rejoin or verdict.staff == verdict.user:
        return None
    return verdict.staff
