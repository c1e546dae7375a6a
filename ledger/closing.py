"""What a sample does: ignored, asked for again, a border within a window, or the end of one.

In this order: an answer to an older request, of an earlier session, or one that the baseline overtook, is ignored; a
stale sample is ignored whole; with fewer proven uses than joins it is asked for again (Discord's list can lag); with
straddlers the next sample is fetched at once, three in a row at most; with more uses than joins a late join event is
waited for; then the window is closed. A sample that is asked for again leaves no trace: only what becomes the
baseline is recorded.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.answers import WindowReport
from ledger.decision import Decision
from ledger.effects import NO_REQUEST, SampleRequest
from ledger.fetching import BLIND_RETRY_S, LATE_JOIN_S, RETRY_S, SETTLE_AFTER_S, ask_sample, retry_after_s
from ledger.phases import Phase, move
from ledger.presence import Presence
from ledger.samples import SKEW_US, Sample, as_record, close_gap, is_overtaken, is_stale, shown_again
from ledger.state import DeskJoin, Gap, GuildState
from ledger.taking_in import SALVAGED
from ledger.testimony import Joined
from ledger.verdicts import Reopening, close_window, plain_verdict, pronounce, reported_verdict
from ledger.windows import (
    MAX_KEPT_GAPS,
    MAX_STRADDLED_SAMPLES,
    Window,
    ground_of,
    window_of,
    windows_of,
    work_out,
)

CAUSE: Final = r.InternalCause(what="sample")
STALE_SAMPLES: Final = 3
STALE_FOR_US: Final = 60_000_000
"""So many stale samples over so long a time, and the lower counters are believed."""
LAGGING_US: Final = 4_900_000
"""While a use is missing and a join is younger than this, its use may be the missing one: an older one's, seen late,
must not be taken for it.
"""
OPEN_FOR_US: Final = 30_000_000
"""A window whose joins never stop coming is closed after so long, though uses are missing."""
BLIND_JOINS: Final = 1_000
BLIND_FOR_US: Final = 24 * 3_600 * 1_000_000
"""While the counters cannot be had a window is given up at so many open joins, or so old ones."""


def sample_arrived(state: GuildState, presence: Presence, message: m.SampleArrived) -> Decision:
    """The decision on a complete sample."""
    sample, request = message.sample, message.request
    if request and request.number != presence.asked:
        return Decision(presence=presence)
    request = request or _in_between(presence)
    if sample.session != presence.session:
        return _again(state, presence, request, 0.0)
    if presence.vanity and sample.vanity is None:
        failed = m.SampleFailed(request=request, reason="vanity_empty", forbidden=False, at_us=sample.answered_us)
        return _failed(state, presence, failed)
    if is_overtaken(state, sample):
        return Decision(presence=presence, answer=_report(state))
    if is_stale(state, sample):
        return _stale(state, presence, sample, request)
    return _settle(state, presence, sample, request)


def _in_between(presence: Presence) -> SampleRequest:
    """What a sample that a person asked for is judged by: it is no round of its own, and forgets none, so that
    nobody can shorten what is waited for, nor put a verdict off for ever by asking again and again.
    """
    under_way = presence.request
    return msgspec.structs.replace(under_way, round=max(0, under_way.round - 1))


def sample_failed(state: GuildState, presence: Presence, message: m.SampleFailed) -> Decision:
    """The decision on a failed fetch: nothing is closed, nothing changes; it is tried again."""
    if message.request.number != presence.asked:
        return Decision(presence=presence)
    return _failed(state, presence, message)


def _failed(state: GuildState, presence: Presence, failed: m.SampleFailed) -> Decision:
    """People hear of it at once where the counters may not be read, else when it has failed some times in a row."""
    failures = failed.request.failures + 1
    after_s = BLIND_RETRY_S if failed.forbidden else retry_after_s(failures)
    if failed.forbidden:
        presence = msgspec.structs.replace(presence, phase=move(presence.phase, Phase.BLIND))
    is_lasting = failed.forbidden or failures > len(RETRY_S)
    if is_lasting:
        presence = msgspec.structs.replace(presence, trouble=failed.reason)
    decision = _again(state, presence, msgspec.structs.replace(failed.request, failures=failures), after_s)
    drafts = tuple(_give_up(state, failed.reason, failed.at_us)) if is_lasting else ()
    return msgspec.structs.replace(decision, drafts=drafts)


def _again(state: GuildState, presence: Presence, request: SampleRequest, after_s: float, note: str = "") -> Decision:
    presence, fetch = ask_sample(presence, after_s, request)
    return Decision(presence=presence, effects=(fetch,), answer=_report(state, note))


def _report(state: GuildState, note: str = "") -> WindowReport:
    """Nothing was worked out by this sample."""
    return WindowReport(worked_out=0, open=sum(1 for _ in state.open_joins()), note=note)


def _stale(state: GuildState, presence: Presence, sample: Sample, request: SampleRequest) -> Decision:
    since_us = request.stale_since_us or sample.requested_us
    stale = msgspec.structs.replace(request, stale=request.stale + 1, stale_since_us=since_us)
    if stale.stale < STALE_SAMPLES or sample.requested_us - since_us < STALE_FOR_US:
        return _again(state, presence, stale, retry_after_s(stale.stale), "stale")
    return _believe(state, presence, sample, stale)


def _believe(state: GuildState, presence: Presence, sample: Sample, request: SampleRequest) -> Decision:
    """Lower counters become the baseline at once: what rises meanwhile would be hidden below the old one.

    Only a use that Discord's list may still lack is waited for, as ever.
    """
    broken = r.ContinuityBroken(reason="counters_fell", at_us=sample.requested_us)
    taken = as_record(state, sample, approval=presence.approval)
    believed = msgspec.structs.replace(_knowing(state, taken), broken=(*state.broken, broken.reason))
    gap = close_gap(believed, taken)
    assert gap is not None, "counters fall below a baseline"
    window = _newest_window(believed, gap)
    if window.missing > 0 and _is_young(window) and not _too_long(window, request):
        return _ask_for_missing(state, presence, window, request)
    draft = r.Draft(event=broken, cause=CAUSE, key=f"broken/{state.seq + 1}")
    decision = _take(believed, presence, taken, window)
    earlier = solve_again(state, believed.gaps, CAUSE, before=window.gaps[0].number)
    return msgspec.structs.replace(decision, drafts=(draft, *decision.drafts, *earlier))


def _settle(state: GuildState, presence: Presence, sample: Sample, request: SampleRequest) -> Decision:
    taken = as_record(state, sample, approval=presence.approval)
    known = _knowing(state, taken)
    gap = close_gap(known, taken)
    if gap is None:
        too_early_s = _too_early_s(state, sample)
        if too_early_s > 0:
            return _again(state, presence, request, too_early_s, "the server was forgotten just now")
        return _first(state, presence, taken)
    window = _newest_window(known, gap)
    if window.missing > 0 and not _settled(window, request):
        return _ask_for_missing(state, presence, window, request)
    is_over = not _straddles(state, window)
    if is_over and window.proven > window.possible_joins and not request.waited:
        waited = msgspec.structs.replace(request, waited=True)
        return _again(state, presence, waited, LATE_JOIN_S, "uses without a join")
    decision = _take(known, presence, taken, window)
    earlier = solve_again(state, known.gaps, CAUSE, before=window.gaps[0].number)
    return msgspec.structs.replace(decision, drafts=(*decision.drafts, *earlier))


def _knowing(state: GuildState, taken: r.SampleTaken) -> GuildState:
    """The state, knowing which invites are shown that had seemed to vanish."""
    return msgspec.structs.replace(state, gaps=shown_again(state, taken))


def _newest_window(state: GuildState, gap: Gap) -> Window:
    return window_of((*state.gaps, gap)[-MAX_KEPT_GAPS:], state.desk.values())


def _straddles(state: GuildState, window: Window) -> bool:
    """Whether the window goes on with the next sample."""
    return bool(window.straddlers) and state.unsolved + 1 < MAX_STRADDLED_SAMPLES


def _take(state: GuildState, presence: Presence, taken: r.SampleTaken, window: Window) -> Decision:
    """The sample becomes the baseline, and ends the window or is a border within it."""
    if _straddles(state, window):
        return _advance(state, presence, taken, ())
    findings = work_out(window, ground_of(state, window))
    return _advance(state, presence, taken, tuple(close_window(state, findings, CAUSE)))


def solve_again(
    state: GuildState,
    gaps: tuple[Gap, ...],
    cause: r.Cause,
    heard: Mapping[Joined, r.Report] | None = None,
    *,
    before: int | None = None,
) -> Iterator[r.Draft]:
    """Windows that were closed before, worked out anew: those of ``gaps`` that differ from the state's, and those of
    joins of which something was ``heard``, or that were not known when they were closed. A window that still waits
    for a sample is left to that; so are those from the gap ``before`` on.
    """
    if not gaps:
        return
    changed = {gap.number for gap, known in zip(gaps, state.gaps, strict=True) if gap != known}
    solved = min(gaps[-1].number - state.unsolved, gaps[-1].number if before is None else before - 1)
    for window in windows_of(gaps, state.desk.values()):
        is_concerned = any(gap.number in changed for gap in window.gaps) or any(
            (join.user, join.opened_us) in (heard or ()) or _is_unsolved(state, join)
            for join in window.joins
            if not join.optional
        )
        if is_concerned and window.joins and window.gaps[-1].number <= solved:
            findings = work_out(window, ground_of(state, window))
            yield from close_window(state, findings, cause, Reopening(state.seq + 1, heard or {}))


def _is_unsolved(state: GuildState, join: DeskJoin) -> bool:
    """Whether it is of a window that was closed before the join was known: heard late, or salvaged."""
    period = state.membership(join.user, join.opened_us)
    if period is None:
        return False
    return period.status is r.Status.PENDING or (period.status is r.Status.UNKNOWN and period.reason == SALVAGED)


def _too_early_s(state: GuildState, sample: Sample) -> float:
    """By how much a first sample was asked for too early behind a forgetting of the whole guild.

    Until then somebody may join who seems to have joined before it, by clocks that differ: no join, no use of ours.
    """
    return (state.ours_from_us + SKEW_US - sample.requested_us) / 1_000_000


def _settled(window: Window, request: SampleRequest) -> bool:
    """Asked often enough since more uses went missing, or they have been missing for too long."""
    waited = request.round >= len(SETTLE_AFTER_S) and window.missing <= request.missing
    return _too_long(window, request) or (waited and not _is_young(window))


def _too_long(window: Window, request: SampleRequest) -> bool:
    now_us = window.gaps[-1].closed.answered_us
    return now_us - (request.missing_since_us or now_us) > OPEN_FOR_US


def _is_young(window: Window) -> bool:
    """Whether a join was heard so lately that Discord's list may lack its use."""
    newest_us = max((join.arrived_us for join in window.joins if not join.optional), default=0)
    return window.gaps[-1].closed.answered_us - newest_us < LAGGING_US


def _ask_for_missing(state: GuildState, presence: Presence, window: Window, request: SampleRequest) -> Decision:
    rounds = request.round if window.missing <= request.missing else 0  # a join whose use is seen changes nothing
    again = msgspec.structs.replace(
        request,
        round=rounds + 1,
        missing=window.missing,
        missing_since_us=request.missing_since_us or window.gaps[-1].closed.answered_us,
    )
    after_s = SETTLE_AFTER_S[min(rounds, len(SETTLE_AFTER_S) - 1)]
    return _again(state, presence, again, after_s, "uses are missing")


def _first(state: GuildState, presence: Presence, taken: r.SampleTaken) -> Decision:
    """The very first sample: joins that surely lie before it can never be worked out by counters."""
    before = [join for join in state.open_joins() if join.arrived_us < taken.requested_us]
    closed = r.WindowClosed(first_sample=0, last_sample=taken.number, joins=len(before), reason="no_baseline")
    drafts = (*_unknown(state, before, "no_baseline"), _window_draft(closed))
    return _advance(state, presence, taken, drafts)


def _advance(state: GuildState, presence: Presence, taken: r.SampleTaken, verdicts: tuple[r.Draft, ...]) -> Decision:
    """The sample becomes the baseline, in one append with what it decides; another follows if joins lie behind it."""
    sample = r.Draft(event=taken, cause=CAUSE, key=f"sample/{taken.number}")
    ready = msgspec.structs.replace(presence, phase=move(presence.phase, Phase.LIVE), request=NO_REQUEST, trouble="")
    worked_out = sum(isinstance(draft.event, r.VerdictReached) for draft in verdicts)
    later = [join for join in state.desk.values() if join.arrived_us >= taken.requested_us]
    answer = WindowReport(worked_out=worked_out, open=len(later), note="")
    drafts = (sample, *verdicts)
    if not later:
        return Decision(presence=ready, drafts=drafts, answer=answer)
    ready, fetch = ask_sample(ready)
    return Decision(presence=ready, drafts=drafts, effects=(fetch,), answer=answer)


def _give_up(state: GuildState, reason: str, now_us: int) -> Iterator[r.Draft]:
    """Joins for which no counters come are called unknown when they are too many or too old."""
    waiting = list(state.open_joins())
    oldest_us = min((join.arrived_us for join in waiting), default=now_us)
    if len(waiting) >= BLIND_JOINS or now_us - oldest_us > BLIND_FOR_US:
        number = state.baseline.number if state.baseline else 0
        yield from _unknown(state, waiting, reason)
        closed = r.WindowClosed(
            first_sample=number, last_sample=number, joins=len(waiting), reason=reason, abandoned=True
        )
        yield r.Draft(event=closed, cause=CAUSE, key=f"abandoned/{state.seq + 1}")


def _unknown(state: GuildState, joins: list[DeskJoin], reason: str) -> Iterator[r.Draft]:
    for join in joins:
        period = state.membership(join.user, join.opened_us)
        assert period is not None, "a join on the desk has opened a membership"
        name = state.holder_of(join.user, join.opened_us)
        told = reported_verdict(state, name, period, period.report) if period.report else None
        yield from pronounce(state, period, told or plain_verdict(name, period, r.Status.UNKNOWN, reason), CAUSE)


def _window_draft(closed: r.WindowClosed) -> r.Draft:
    return r.Draft(event=closed, cause=CAUSE, key=f"window/{closed.last_sample}")
