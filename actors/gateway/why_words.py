"""The words of /why: each join, verdict by verdict, and every correction, for people who are no engineers. Pure.

Verdicts and credits come as they were recorded, so whoever was forgotten since is left out by name here. What an
append moved in the credits stands below the verdict that moved it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from actors.gateway.render import bot_words, verdict_words
from actors.gateway.why_evidence import Told, grounds, reported
from actors.gateway.wording import brief, count, moment
from ledger.ids import UserId
from ledger.records import (
    Credit,
    CreditGranted,
    CreditReversed,
    Event,
    Record,
    Status,
    VerdictReached,
)
from ledger.state import OPEN, Period

CREDITED: Final[Mapping[Credit, str]] = {"join": "Credit for the join", "vip": "Credit for the VIP"}


def explained(periods: Sequence[Period], records: Iterable[Record], told: Told) -> Iterator[str]:
    """All memberships, the newest first: each with its verdicts and credits as they came, and what holds now."""
    by_time = sorted(records, key=lambda record: record.seq)
    judged = {each.last for each in by_time if isinstance(each.event, VerdictReached)}
    for number, period in reversed([*enumerate(periods, start=1)]):
        yield _heading(number, len(periods), period)
        own = [each for each in by_time if _is_about(each, period)]
        yield from _history(period, own, told, judged)
        if period.report is not None and period.counted:
            yield f"**Discord's member search** {reported(period.report, told.labels)}."
        yield from _now(period, told)
        if period.vip_since_us:
            yield _vip(period, periods, told)


def _heading(number: int, of: int, period: Period) -> str:
    which = f"**Join {number:,} of {of:,}**" if of > 1 else "**Joined**"
    if period.is_open():
        return f"{which}, {moment(period.opened_us)}"
    left = f"left {moment(period.left_us)}" if period.left_us > 0 else "left at a time I do not know"
    return f"{which}, {moment(period.opened_us)}, {left}"


def _is_about(record: Record, period: Period) -> bool:
    event = record.event
    return isinstance(event, VerdictReached | CreditGranted | CreditReversed) and event.opened_us == period.opened_us


def _history(period: Period, records: Sequence[Record], told: Told, judged: Collection[int]) -> Iterator[str]:
    """``judged``: appends, by their last record, that hold a verdict on any of the member's joins."""
    verdicts = [each.event for each in records if isinstance(each.event, VerdictReached)]
    missing = max(0, period.verdicts - len(verdicts))
    is_cut = bool(verdicts) and verdicts[0].supersedes != 0
    number = missing if is_cut else 0
    before: VerdictReached | None = None
    if not period.counted:
        number = min(missing, 1)
        yield _of_before(period, told)
    elif not verdicts:
        yield _nothing_said(period)
    elif is_cut:
        yield f"-# The {count(missing, 'verdict')} before these I keep, but do not read for this list."
    for last, together in groupby(records, key=lambda record: record.last):
        moves = Moves(told, is_by_other=last in judged)
        for record in together:
            match record.event:
                case VerdictReached() as verdict:
                    yield from moves.lines()
                    number += 1
                    yield from _verdict(f"**{number}.** {moment(record.at_ms * 1_000)}", verdict, period, told)
                    yield from (f"-# {line}" for line in grounds(verdict, before, told))
                    before = verdict
                    moves = Moves(told, is_by_verdict=True)
                case event:
                    moves.add(record.at_ms, event)
        yield from moves.lines()
    if verdicts and missing and not is_cut and period.counted:
        yield "-# What was written just now is not in this list yet. Please ask again in a moment."


def _of_before(period: Period, told: Told) -> str:
    """What there is of somebody whose join no counter of ours can tell of: the first verdict, where there is one."""
    if period.report is None:
        return "They were here before I began to count, so I have no evidence of my own."
    first = "**1.** " if period.verdicts else ""
    return (
        f"{first}They were here before I began to count, so I have no evidence of my own; Discord's member search "
        f"{reported(period.report, told.labels)}."
    )


def _nothing_said(period: Period) -> str:
    if period.verdicts:
        return "Its evidence cannot be shown now: it is too old for this list, or was written just now."
    return "It is not worked out yet."


class Moves:
    """The credits that one append moved: what was taken back, and what was given."""

    def __init__(self, told: Told, *, is_by_verdict: bool = False, is_by_other: bool = False) -> None:
        """By a verdict on this join, on another one of the member, or by none."""
        self._told = told
        self._is_by_other = is_by_other
        self._is_by_verdict = is_by_verdict
        self._at_ms = 0
        self._taken: dict[Credit, UserId] = {}
        self._given: dict[Credit, UserId] = {}

    def add(self, at_ms: int, event: Event) -> None:
        """Takes a credit's record; others say nothing."""
        self._at_ms = at_ms
        match event:
            case CreditReversed(kind=kind, staff=staff):
                self._taken[kind] = staff
            case CreditGranted(kind=kind, staff=staff):
                self._given[kind] = staff
            case _:
                pass

    def lines(self) -> Iterator[str]:
        """What became of each credit, and why."""
        for kind, what in CREDITED.items():
            taken, given = self._taken.get(kind), self._given.get(kind)
            if taken or given:
                begins = f"-# {what}" if self._is_by_verdict else f"{moment(self._at_ms * 1_000)}: {what}"
                yield f"{begins} {self._moved(kind, taken, given)}."

    def _moved(self, kind: Credit, taken: UserId | None, given: UserId | None) -> str:
        name = self._told.person
        if taken and given:
            why = ", for whom it counts by this verdict" if self._is_by_verdict else ""
            return f"moved from {name(taken)} to {name(given)}{why}"
        if taken:
            why = ", since the verdict that it stood on holds no longer" if self._is_by_verdict else ""
            return f"was taken back from {name(taken)}{why}"
        why = " for their upgrade" if kind == "vip" else ""
        why += ", since another of their joins carries it no longer" if self._is_by_other else ""
        return f"went to {name(given)}{why}" if given else ""


def _verdict(begins: str, event: VerdictReached, period: Period, told: Told) -> Iterator[str]:
    if period.bot:
        yield f"{begins}: {bot_words(None if event.inviter in told.forgotten else event.inviter)}"
        return
    yield f"{begins}: {_said(event, told)}"
    if event.status is Status.MANUAL:
        by = told.person(event.by) if event.by else "somebody"
        yield f"-# Decided by {by}: {brief(event.reason, 300)}"


def _said(event: VerdictReached, told: Told) -> str:
    staff = None if event.staff in told.forgotten else event.staff
    words = verdict_words(event.status, event.code, event.candidates, staff, event.reason, labels=told.labels)
    shown = event.staff and event.status is not Status.INVITER_CERTAIN
    return f"{words} → {told.person(event.staff)}" if event.staff and shown else words


def _now(period: Period, told: Told) -> Iterator[str]:
    """What holds now."""
    if period.credited:
        yield f"**Now**: the join is credited to {told.person(period.credited)}."
    elif period.staff:
        owner = told.person(period.staff)
        yield f"**Now**: it is an invite of {owner}, and credited to nobody, {_uncredited(period, told.user)}."


def _vip(period: Period, periods: Sequence[Period], told: Told) -> str:
    now = (
        "" if period.vip else ", and is none now (when the role went, my records alone say; it takes no credit back)"
    )
    begins = f"VIP since {moment(period.vip_since_us)}{now}: credited to"
    if period.vip_credited:
        return f"{begins} {told.person(period.vip_credited)}."
    if not period.counted:
        return f"{begins} nobody, since they were here before I began to count."
    if any(each.vip_credited for each in periods):
        return f"{begins} nobody here, since another of their joins carries it (`/settings`, `vip_once`)."
    if period.status in OPEN or period.status is Status.PENDING:
        return f"{begins} nobody yet, since it is open whose the join is."
    return f"{begins} nobody."


def _uncredited(period: Period, user: UserId) -> str:
    if period.status in OPEN:
        return "since that is not proven: `/review decide` lets a person say so"
    if period.staff == user:
        return "since it is their own (`/settings`, `credit_self`)"
    if period.rejoin:
        return "since they had been here before (`/settings`, `credit_rejoins`)"
    if period.status is Status.REPORTED:
        return (
            "since only Discord reports it (`/settings`, `credit_reported` and `credit_backfill`): "
            "`/review decide` lets a person say so"
        )
    return "as `/settings` stood when it was worked out"
