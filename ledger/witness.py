"""The answers of the second witness: recorded as statements, then weighed (``ledger/judging.py``).

A row counts only for the membership that it is of: its joined_at is the membership's, or an alias, to the
millisecond (older memberships leave stale rows). Who was there before we counted is reported by pages, and never
counted as a join.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.closing import solve_again
from ledger.credits import join_credit
from ledger.decision import Decision
from ledger.ids import NO_COUNTER, UserId
from ledger.origins import Origin, origin_told
from ledger.presence import NO_ERRAND, Errand, Presence
from ledger.state import GuildState, Period, is_same_moment
from ledger.testimony import SILENT, Joined, names
from ledger.verdicts import pronounce, reported_verdict
from ledger.windows import oldest_request_us

CAUSE: Final = r.InternalCause(what="witness")
ABSENT_AGAIN_US: Final = (0, 60_000_000, 300_000_000, 1_800_000_000)
"""A join that the search does not know yet is asked for again so long after it was due, and then no more."""
FAILED_AGAIN_US: Final = (60_000_000, 300_000_000, 900_000_000, 3_600_000_000)
"""After failures in a row: the breaker."""
SWEEP_PAUSE_US: Final = 2_000_000


def witness_answered(state: GuildState, presence: Presence, message: m.WitnessAnswered) -> Decision:
    """The decision on rows of the member search."""
    if message.number not in (presence.witness.number, presence.sweeping.number):
        return Decision(presence=presence)
    known = [(row, period) for row in message.rows if (period := _membership(state, row)) is not None]
    heard = {
        (row.user, period.opened_us): row.report
        for row, period in known
        if period.counted and not period.bot and (period.report is None or period.report.way == SILENT)
    }
    drafts = [*_heard(state, heard, message.at_us), *_reported(state, message, known)]
    if message.swept:
        pause_us = message.at_us + SWEEP_PAUSE_US
        presence = msgspec.structs.replace(presence, sweeping=Errand(from_us=pause_us))
    else:
        presence, silent = _absent(state, presence, set(heard))
        drafts += _heard(state, silent, message.at_us)
    if heard:
        drafts += [*solve_again(state, state.gaps, CAUSE, heard), *_weighed(state, heard)]
    return Decision(presence=presence, drafts=tuple(drafts))


def witness_failed(presence: Presence, message: m.WitnessFailed) -> Decision:
    """The decision on an answer that is none: later again, and seldom after several in a row."""
    for name in ("witness", "sweeping"):
        errand: Errand = getattr(presence, name)
        if errand.number and message.number == errand.number:
            failures = errand.failures + 1
            wait_us = _again_us(failures, round(message.again_s * 1_000_000))
            failed = Errand(trouble=message.reason, failures=failures, from_us=message.at_us + wait_us)
            return Decision(presence=msgspec.structs.replace(presence, **{name: failed}))
    return Decision(presence=presence)


def _again_us(failures: int, said_us: int) -> int:
    """What Discord says (0 = nothing) is obeyed, but not for ever: after some failures the breaker opens, too."""
    counted = failures - len(FAILED_AGAIN_US) if said_us else failures
    thought_us = FAILED_AGAIN_US[min(counted, len(FAILED_AGAIN_US)) - 1] if counted > 0 else 0
    return max(said_us, thought_us)


def _membership(state: GuildState, row: m.SearchedMember) -> Period | None:
    return next(
        (
            period
            for period in reversed(state.periods_of(row.user))
            if any(is_same_moment(at_us, row.joined_at_us) for at_us in (period.opened_us, *period.aliases))
        ),
        None,
    )


def _heard(state: GuildState, heard: Mapping[Joined, r.Report], at_us: int) -> Iterator[r.Draft]:
    for (user, opened_us), report in heard.items():
        name = state.holder_of(user, opened_us)
        maker = state.name_of(report.inviter) if report.inviter else None
        told = r.Report(report.way, report.code, maker)
        event = r.WitnessHeard(user=name, opened_us=opened_us, report=told, at_us=at_us)
        yield r.Draft(event=event, cause=CAUSE, key=f"witness/{name}/{opened_us}/{state.seq}")


def _weighed(state: GuildState, heard: Mapping[Joined, r.Report]) -> Iterator[r.Draft]:
    """Verdicts on joins that no window can tell of any more, or that none ever could."""
    in_windows = set(_in_windows(state))
    for (user, opened_us), report in heard.items():
        period = state.membership(user, opened_us)
        if period is None or (user, opened_us) in in_windows or period.status is r.Status.PENDING:
            continue
        verdict = reported_verdict(state, state.holder_of(user, opened_us), period, report)
        if verdict is not None:
            yield from pronounce(state, period, verdict, CAUSE)


def _in_windows(state: GuildState) -> Iterator[Joined]:
    """Joins that lie, or may lie, between samples that are known, or behind them."""
    if state.baseline is None:
        return
    oldest_us = oldest_request_us(state.baseline, state.gaps)
    for join in state.desk.values():
        if join.arrived_us >= oldest_us:
            yield join.user, join.opened_us


def _absent(state: GuildState, presence: Presence, found: set[Joined]) -> tuple[Presence, dict[Joined, r.Report]]:
    """What is known of the joins that were asked for and not found: tried again, and given up in the end."""
    absent, silent = dict(presence.absent), dict[Joined, r.Report]()
    for key in presence.asked_for:
        unheard = state.unheard.get(key)
        absent[key] = absent.get(key, 0) + 1
        if unheard is None or (unheard.user, unheard.opened_us) in found:
            del absent[key]
        elif absent[key] >= len(ABSENT_AGAIN_US):
            silent[unheard.user, unheard.opened_us] = r.Report(SILENT)
            del absent[key]
    return msgspec.structs.replace(presence, witness=NO_ERRAND, asked_for=(), absent=absent), silent


def _reported(
    state: GuildState, message: m.WitnessAnswered, known: list[tuple[m.SearchedMember, Period]]
) -> Iterator[r.Draft]:
    """Who was there before we counted, as one record a page, and the credits that the owner may want for them."""
    if not (message.swept or any(not period.counted for _, period in known)):
        return
    rows = [(row, period) for row, period in known if not period.counted and period.report is None]
    members = [each for row, period in rows if (each := _seed(state, row, period)) is not None]
    last = max(((row.joined_at_us, int(row.user)) for row in message.rows), default=(0, 0))
    upto = (last[0], UserId(str(last[1]))) if message.swept else (state.sweep.upto_us, state.sweep.upto)
    done = message.done or upto[0] >= state.counting_since_us  # whoever came later is asked for one by one
    event = r.MembersReported(members=tuple(members), upto_us=upto[0], upto=upto[1], done=done)
    yield r.Draft(event=event, cause=CAUSE, key=f"reported/{state.seq + 1}")
    for each in members:
        period = state.membership(each.user, each.opened_us)
        assert period is not None, "it was found by that just now"
        yield from _backfilled(state, period, each)


def _backfilled(state: GuildState, period: Period, told: r.ReportedMember) -> Iterator[r.Draft]:
    """The credit for a join of before; none beside what a person has decided of it."""
    staff = join_credit(state, period, r.Status.REPORTED, told.staff, told.user)
    if staff is None or period.status is r.Status.MANUAL:
        return
    number = period.verdicts + 1
    grant = r.CreditGranted(user=told.user, opened_us=told.opened_us, kind="join", staff=staff, verdict=number)
    yield r.Draft(event=grant, cause=CAUSE, key=f"credit/join/{told.user}/{told.opened_us}/{number}")


def _seed(state: GuildState, row: m.SearchedMember, period: Period) -> r.ReportedMember | None:
    named = names(state, row.report, frozenset())
    if named is None:
        return None
    maker = state.name_of(row.report.inviter) if row.report.inviter else None
    report = r.Report(row.report.way, row.report.code, maker)
    origin = Origin(NO_COUNTER) if named == NO_COUNTER else origin_told(state, named, period.opened_us, row.report)
    name = state.holder_of(row.user, period.opened_us)
    return r.ReportedMember(name, period.opened_us, report, origin.staff, origin.assignment)
