"""From what is feasible to what is recorded: verdicts, the credits they move, the totals of a window.

What may be said is the business of ``ledger/judging.py``, who is credited that of ``ledger/credits.py``. A verdict
that says the same as the one in force is not written again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger.credits import move_credit
from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.judging import Judgement, judge, said, testify
from ledger.origins import Origin, may_be_of, origin_in, origin_told
from ledger.records import Cause, Draft, Evidence, Report, Status, VerdictReached, WindowClosed
from ledger.state import GuildState, Period
from ledger.testimony import Hearing, Joined, hear, may_be_unseen, names, of
from ledger.windows import Finding, Findings

METHOD: Final = 2


class Reopening(msgspec.Struct, frozen=True):
    """A window is worked out once more. ``seq``: behind which record; ``heard``: what is not in the state yet."""

    seq: int
    heard: Mapping[Joined, Report] = {}


def close_window(
    state: GuildState, findings: Findings, cause: Cause, reopening: Reopening | None = None
) -> Iterator[Draft]:
    """All records of a window that was worked out: its verdicts, the credits they move, its totals."""
    hearing = hear(state, findings, reopening.heard if reopening else {})
    is_news = reopening is None or not reopening.heard  # what the second witness says changes no counter
    for finding in findings.joins:
        period = state.membership(finding.join.user, finding.join.opened_us)
        assert period is not None, "a join on the desk has opened a membership"
        verdict = _verdict(state, findings, finding, period, hearing)
        for draft in pronounce(state, period, verdict, cause):
            is_news = True
            yield draft
    if is_news:
        yield _closing(findings, cause, reopening)


def pronounce(state: GuildState, period: Period, verdict: VerdictReached, cause: Cause) -> Iterator[Draft]:
    """The verdict, if it says something new, and what it changes in the credit for the join; all in one append.

    What a person has decided stands until a person decides otherwise.
    """
    overruled = period.status is Status.MANUAL and verdict.status is not Status.MANUAL
    if overruled or not _is_news(period, verdict):
        return
    number = period.verdicts + 1
    yield Draft(event=verdict, cause=cause, key=f"verdict/{verdict.user}/{verdict.opened_us}/{number}")
    yield from move_credit(state, period, verdict, cause)


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


def reported_verdict(state: GuildState, user: UserId, period: Period, report: Report) -> VerdictReached | None:
    """What the second witness makes of a join that no window can tell of: of what was possible when it was judged,
    or of nothing at all. None where it says nothing.

    What was frozen into the verdict before stays, where it names the same invite.
    """
    feasible = frozenset(period.candidates)
    named = names(state, report, feasible)
    if named is None:
        return None
    if may_be_unseen(state, named, feasible):
        feasible |= {named}
    origin = origin_told(state, named, period.opened_us, report)
    if period.code == named:
        origin = msgspec.structs.replace(origin, inviter=period.inviter, staff=period.staff)
    return verdict_of(user, period, said(feasible, named, origin, report.way))


def verdict_of(user: UserId, period: Period, judged: Judgement) -> VerdictReached:
    """What was judged of a membership, as an event."""
    origin, named = judged.origin, judged.origin.code != NO_COUNTER
    return VerdictReached(
        user=user,
        opened_us=period.opened_us,
        status=judged.status,
        code=origin.code if named else None,
        invite_created_at_us=origin.created_at_us if named else None,
        inviter=origin.inviter,
        staff=origin.staff,
        assignment=origin.assignment,
        candidates=tuple(sorted(judged.candidates)),
        reason=judged.reason,
        supersedes=period.verdict_seq,
        method=METHOD,
    )


def _verdict(
    state: GuildState, findings: Findings, finding: Finding, period: Period, hearing: Hearing
) -> VerdictReached:
    origins = _Origins(state, finding, hearing.reports.get(of(finding)))
    judged = testify(judge(findings, finding, origins), findings, finding, hearing, origins)
    verdict = verdict_of(state.holder_of(*of(finding)), period, judged)
    if not _is_news(period, verdict):
        return verdict  # nobody will read on what it rests
    return msgspec.structs.replace(
        verdict, window=findings.window.gaps[-1].number, evidence=_evidence(findings, finding)
    )


class _Origins(Mapping[InviteCode, Origin]):
    """Who stands behind each code that a join may have used; looked up when asked for: few verdicts need all."""

    def __init__(self, state: GuildState, finding: Finding, report: Report | None) -> None:
        self._state = state
        self._finding = finding
        self._report = report
        self._codes = finding.feasible - {NO_COUNTER}

    def __getitem__(self, code: InviteCode) -> Origin:
        report = self._report
        if code not in self._codes:
            if report is None or code not in (report.code, VANITY):
                raise KeyError(code)
            return origin_told(self._state, code, self._finding.join.opened_us, report)
        origin = origin_in(self._state, code, self._finding)
        if report is None or report.code != code or origin.assignment:
            return origin
        return origin if may_be_of(self._state, origin.inviter, report) else Origin(code)  # another one of that code

    def __iter__(self) -> Iterator[InviteCode]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def _closing(findings: Findings, cause: Cause, reopening: Reopening | None) -> Draft:
    gaps = findings.window.gaps
    event = WindowClosed(
        first_sample=gaps[0].opened.number,
        last_sample=gaps[-1].number,
        joins=len(findings.joins),
        tally=dict(findings.window.tally),
        unclaimed=_unclaimed(findings),
        reason=",".join(findings.window.broken),
        again=reopening is not None,
    )
    suffix = f"/{reopening.seq}" if reopening else ""
    return Draft(event=event, cause=cause, key=f"window/{gaps[-1].number}{suffix}")


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
        uses=dict(findings.window.tally),
        capped=capped,
        excluded=dict(finding.excluded),
        sampled_us=(gaps[0].opened.requested_us, gaps[-1].closed.answered_us),
        broken=findings.window.broken + finding.join.limits,
        assumptions=_assumptions(findings),
    )


def _assumptions(findings: Findings) -> tuple[str, ...]:
    used_up = any(source.why == "used_up" for gap in findings.window.gaps for source in gap.sources)
    return ("P0", *(("P1",) if used_up else ()), *(() if findings.ground.pooled else ("P2",)))


def _unclaimed(findings: Findings) -> dict[InviteCode, int]:
    """Proven uses by code that exceed the joins which could have made them; none where all uses are explained."""
    if not (findings.solution.surplus or findings.solution.infeasible):
        return {}
    takers = Counter(code for finding in findings.joins for code in finding.feasible)
    return {code: uses - takers[code] for code, uses in findings.window.tally.items() if uses > takers[code]}


def _is_news(period: Period, verdict: VerdictReached) -> bool:
    now = (verdict.status, verdict.code, verdict.inviter, verdict.staff, verdict.candidates, verdict.reason)
    held = (period.status, period.code, period.inviter, period.staff, period.candidates, period.reason)
    return now != held
