"""The words of /why: the evidence behind each join and every correction, for people who are no engineers. Pure.

Verdicts and credits come as they were recorded, so whoever was forgotten since is left out by name here. What an
append moved in the credits stands below the verdict that moved it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from actors.gateway.render import because, verdict_words
from actors.gateway.wording import FORGOTTEN, NO_LABELS, brief, code, count, moment, person, second
from ledger.ids import InviteCode, UserId
from ledger.owner import OPEN
from ledger.records import (
    Credit,
    CreditGranted,
    CreditReversed,
    Event,
    Evidence,
    Record,
    Report,
    Status,
    VerdictReached,
)
from ledger.state import Period
from ledger.testimony import SILENT, VANITY_WAY, WAYS

EXCLUDED: Final[Mapping[str, str]] = {
    "created_after_the_join": "it was made after the join",
    "dead_before_the_join": "it had ended before the join",
    "not_among_the_target_users": "it was made for other people",
    "its_roles_were_not_given": "it gives a role that the member did not get",
}
BROKEN: Final[Mapping[str, str]] = {
    "session": "I was not connected all the time",
    "unavailable": "Discord reported this server as unavailable",
    "permissions": "my permissions changed",
    "gap": "more came in than I could take",
    "unreadable_event": "I could not read an event",
    "counters_fell": "Discord's counters fell",
    "too_many_invites": "too many invites came and went between two looks at the counters",
    "left": "I had been removed from this server",
    "salvaged": "joins of another store came in later",
    "away": "I found the member in the list after I had been away",
    "missed_leave": "I missed that they had left before",
}
ASSUMED: Final[Mapping[str, str]] = {
    "P0": "every use that was counted is a join I was told of",
    "P1": "an invite that vanished, and that nobody deleted, was used up",
    "P2": "Discord's list shows every use that was made before I asked",
}
DISCORDS: Final[Mapping[str, str]] = {
    "bot": "that a bot was added",
    "integration": "an integration",
    "discovery": "Server Discovery",
    "hub": "a student hub",
    "manual_approval": "that somebody let them in",
    "lobby": "a linked lobby",
}


CREDITED: Final[Mapping[Credit, str]] = {"join": "Credit for the join", "vip": "Credit for the VIP"}
MAX_CODES: Final = 12
"""Named in one line; a raid has hundreds."""


class Told(NamedTuple):
    """How people and codes are named: who was ``forgotten`` is not, and a code has its label beside it."""

    forgotten: Collection[UserId]
    labels: Mapping[InviteCode, str]

    def code(self, name: InviteCode) -> str:
        return code(name, self.labels.get(name, ""))

    def person(self, user: UserId) -> str:
        return FORGOTTEN if user in self.forgotten else person(user)


def explained(periods: Sequence[Period], records: Iterable[Record], told: Told) -> Iterator[str]:
    """All memberships, the newest first: each with its verdicts and credits as they came, and what holds now."""
    by_time = sorted(records, key=lambda record: record.seq)
    for number, period in reversed([*enumerate(periods, start=1)]):
        yield _heading(number, len(periods), period)
        own = [each for each in by_time if _is_about(each, period)]
        yield from _history(
            period, own, told, {each.last for each in by_time if isinstance(each.event, VerdictReached)}
        )
        if period.report is not None:
            yield f"**Discord's member search** {reported(period.report, told.labels)}."
        yield from _now(period, told)


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
    if not verdicts:
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
                    yield from _verdict(number, record.at_ms, verdict, told)
                    moves = Moves(told, is_by_verdict=True)
                case event:
                    moves.add(record.at_ms, event)
        yield from moves.lines()
    if verdicts and missing and not is_cut:
        yield "-# What was written just now is not in this list yet. Please ask again in a moment."


def _nothing_said(period: Period) -> str:
    if period.verdicts:
        return "Its evidence cannot be shown now: it is too old for this list, or was written just now."
    if not period.counted:
        return "They were here before I began to count, so I have no evidence of my own."
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


def _verdict(number: int, at_ms: int, event: VerdictReached, told: Told) -> Iterator[str]:
    yield f"**{number}.** {moment(at_ms * 1_000)}: {_said(event, told)}"
    if event.status is Status.MANUAL:
        by = told.person(event.by) if event.by else "somebody"
        yield f"-# Decided by {by}: {brief(event.reason, 300)}"
    elif event.window:
        yield from (f"-# {line}" for line in _evidence(event, told))


def _said(event: VerdictReached, told: Told) -> str:
    staff = None if event.staff in told.forgotten else event.staff
    words = verdict_words(event.status, event.code, event.candidates, staff, event.reason, labels=told.labels)
    shown = event.staff and event.status is not Status.INVITER_CERTAIN
    return f"{words} → {told.person(event.staff)}" if event.staff and shown else words


def _evidence(verdict: VerdictReached, told: Told) -> Iterator[str]:
    evidence = verdict.evidence
    first_us, last_us = evidence.sampled_us
    joined = f"{count(evidence.joins, 'person', 'people')} joined, or may have"
    yield f"Between two readings of the counters, {second(first_us)} and {second(last_us)}, {joined}."
    possible = {verdict.code, *verdict.candidates}
    used = [
        *_first(evidence.uses, possible, lambda each: f"{told.code(each)} was used {_times(evidence.uses[each])}")
    ]
    used += _first(
        evidence.capped,
        possible,
        lambda each: f"{told.code(each)} may have been used {_at_most(evidence.capped[each])}",
    )
    yield f"{'; '.join(used) or 'No invite was used that I could see'}."
    excluded = [*_first(evidence.excluded, possible, lambda each: f"{told.code(each)}: {_excluded(evidence, each)}")]
    if excluded:
        yield f"Not {'; not '.join(excluded)}."
    if evidence.broken:
        reasons = dict.fromkeys(BROKEN.get(each) or because(each) for each in evidence.broken)
        yield f"I may have missed something, so this is probable at most: {'; '.join(reasons)}."
    assumed = [ASSUMED[each] for each in evidence.assumptions if each in ASSUMED]
    if assumed:
        yield f"Assumed: {'; '.join(assumed)}."


def _first(
    codes: Collection[InviteCode], possible: Collection[InviteCode | None], words: Callable[[InviteCode], str]
) -> Iterator[str]:
    """The codes in words, those first that the verdict leaves possible; not hundreds of them."""
    ordered = sorted(codes, key=lambda each: each not in possible)
    yield from map(words, ordered[:MAX_CODES])
    if len(ordered) > MAX_CODES:
        yield f"{count(len(ordered) - MAX_CODES, 'more invite')} likewise"


def _times(uses: int) -> str:
    return count(uses, "time")


def _at_most(uses: int) -> str:
    return "any number of times" if uses < 0 else f"up to {_times(uses)}"


def _excluded(evidence: Evidence, each: InviteCode) -> str:
    why = evidence.excluded[each]
    return EXCLUDED.get(why) or brief(why)


def reported(report: Report, labels: Mapping[InviteCode, str] = NO_LABELS) -> str:
    """What Discord's member search says of a join; follows its name."""
    if report.way == SILENT:
        return "never knew this join, though I asked several times"
    if report.way == VANITY_WAY:
        return "names the vanity URL"
    if report.code:
        return f"names {code(report.code, labels.get(report.code, ''))}"
    way = WAYS.get(report.way)
    return f"names no invite, but {DISCORDS[way]}" if way else "names no way"


def _now(period: Period, told: Told) -> Iterator[str]:
    """What holds now."""
    if period.credited:
        yield f"**Now**: the join is credited to {told.person(period.credited)}."
    elif period.staff:
        owner = told.person(period.staff)
        yield f"**Now**: it is an invite of {owner}, and credited to nobody, {_uncredited(period)}."
    if period.vip_since_us:
        holder = f"credited to {told.person(period.vip_credited)}" if period.vip_credited else "credited to nobody"
        now = "" if period.vip else ", and is none now (losing the role takes no credit back)"
        yield f"VIP since {moment(period.vip_since_us)}{now}: {holder}."


def _uncredited(period: Period) -> str:
    if period.status in OPEN:
        return "since that is not proven: `/review decide` lets a person say so"
    if period.rejoin:
        return "since they had been here before (`/settings`, `credit_rejoins`)"
    if period.status is Status.REPORTED:
        return "since only Discord reports it (`/settings`, `credit_reported` and `credit_backfill`)"
    return "as `/settings` stood when it was worked out"
