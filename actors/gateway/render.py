"""Answers as text, in words that follow how sure we are. Pure.

"joined with" is proof, "probably" is not, "A or B" is all that is known, and "not known" comes with its reason. A
candidate is never worded as a fact.
"""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from actors.asks import Answered, Outcome
from actors.gateway.wording import brief, code, count, either, fit, moment, person
from ledger.answers import (
    Answer,
    Assigned,
    CodesReport,
    Decided,
    Done,
    Forgot,
    GuildReport,
    MemberReport,
    OpenWindow,
    ReviewReport,
    Salvaged,
    SettingsReport,
    WindowReport,
)
from ledger.ids import NO_COUNTER, InviteCode, UserId
from ledger.records import Status
from ledger.state import Period

REASONS: Final[Mapping[str, str]] = {
    "no_use_seen": "no invite's counter rose for this join",
    "no_baseline": "I had not read the invites before this join",
    "handler_failed": "I could not handle the join's event",
    "unreadable": "the join's event could not be read",
    "forbidden": "I may not read the invites here (Manage Server is missing)",
    "no_invite_metadata": "I may not read the invites' counters here (Manage Server is missing)",
}
WORDS: Final[Mapping[Status, str]] = {
    Status.CERTAIN: "joined with {named}",
    Status.CONFIRMED: "joined with {named}, and Discord reports the same",
    Status.INVITER_CERTAIN: "joined with an invite of {by}: {either}",
    Status.REPORTED: "Discord reports {named}",
    Status.LIKELY: "probably {named}",
    Status.CANDIDATES: "{either}",
    Status.UNKNOWN: "not known, because {why}",
    Status.PENDING: "not worked out yet",
    Status.NON_INVITE: "joined without an invite",
    Status.DUPLICATE: "was a member already",
    Status.CONFLICT: "disputed: the counters and Discord's member search disagree ({either})",
    Status.MANUAL: "decided by a person: {named}",
}
"""What is said of a join, by how sure we are. Every status has its words; a test says so."""
BEFORE: Final = "was here before I began to count"
TOLD_OF_BEFORE: Final = frozenset({Status.REPORTED, Status.NON_INVITE, Status.MANUAL})
"""What can be known of who was here before."""
NOTES: Final[Mapping[str, str]] = {
    "stale": "Discord's list is older than the one I have; I ask again.",
    "uses are missing": "Discord's counters do not show all joins yet; I ask again.",
    "uses without a join": "A counter rose for a join I have not heard of yet; I wait for it.",
}
MAX_REASON: Final = 300
"""Characters of what the process says of itself; an error's text may be longer than a message."""
NOT_DURABLE: Final = "-# Recorded, but not yet in every store I am told to wait for."


def render(outcome: Outcome[Answer], name: str = "") -> str:
    """The outcome of an ask; ``name``: what the member whose report it is is called."""
    match outcome.kind:
        case Answered.OK:
            return _answer(outcome.answer, name)
        case Answered.DEGRADED:
            return f"{_answer(outcome.answer, name)}\n{NOT_DURABLE}"
        case Answered.REJECTED:
            return f"That cannot be done: {brief(outcome.text, MAX_REASON)}"
        case Answered.CRASHED:
            return f"I could not handle this ({brief(outcome.text, MAX_REASON)}). The operator finds it in my log."
        case Answered.DEADLINE:
            return "I am busy and have no answer yet; it may still be done. Please look again in a moment."
        case _:
            assert_never(outcome.kind)


def _answer(answer: Answer | None, name: str) -> str:
    match answer:
        case Assigned():
            return _assigned(answer)
        case MemberReport():
            return _member(answer, name)
        case (
            WindowReport() | OpenWindow() | CodesReport() | GuildReport()
            | Decided() | SettingsReport() | ReviewReport()
        ):  # fmt: skip
            raise AssertionError(answer)  # who asks for these has words of their own
        case Done() | Forgot() | Salvaged() | None:
            return "Nothing could be done right now: Discord reports this server as unavailable."
        case _:
            assert_never(answer)


def _assigned(answer: Assigned) -> str:
    staff, since, shown = (
        person(answer.assignment.staff),
        moment(answer.assignment.since_us),
        code(answer.code, answer.label),
    )
    if not answer.news:
        return f"{shown} stands for {staff} already, since {since}. Nothing was changed."
    text = f"From {since} on, joins by {shown} are credited to {staff}. Earlier joins stay as they are."
    if answer.before is None:
        return text
    return f"{text}\n-# Before: {person(answer.before.staff)} since {moment(answer.before.since_us)}."


def _member(answer: MemberReport, name: str) -> str:
    who = person(answer.user, name)
    if not answer.periods:
        return f"I have never seen {who} here."
    lines = [f"{_span(period)}: {_verdict(period, answer.labels)}." for period in answer.periods]
    return fit([f"**{who}**, {count(len(lines), 'membership')}:", *reversed(lines)])


def _span(period: Period) -> str:
    joined = moment(period.opened_us)
    if period.is_open():
        return joined
    return f"{joined} – {moment(period.left_us) if period.left_us > 0 else 'left, time unknown'}"


def _verdict(period: Period, labels: Mapping[InviteCode, str]) -> str:
    words = _joined(period, labels)
    if period.vip:
        words += "; VIP"
    elif period.vip_since_us:
        words += "; was VIP"
    return f"{words} (credited to {person(period.vip_credited)})" if period.vip_credited else words


def _joined(period: Period, labels: Mapping[InviteCode, str]) -> str:
    if not period.counted and period.status not in TOLD_OF_BEFORE:
        return BEFORE
    if period.bot:
        return bot_words(period.inviter)
    words = verdict_words(period.status, period.code, period.candidates, period.staff, period.reason, labels=labels)
    if period.credited:
        words += f", credited to {person(period.credited)}"
    elif period.staff and period.status is not Status.INVITER_CERTAIN:
        words += f", an invite of {person(period.staff)} (not credited)"
    if not period.counted:
        return f"{BEFORE}; {words}"
    return f"{words} (a return)" if period.rejoin else words


def bot_words(adder: UserId | None) -> str:
    """A bot comes by a link of its own; who used that, the audit log tells where it may be read."""
    return f"a bot, added by {person(adder)}" if adder else "a bot, added without an invite"


def verdict_words(
    status: Status,
    named: InviteCode | None,
    candidates: Iterable[InviteCode],
    staff: UserId | None,
    reason: str,
    *,
    labels: Mapping[InviteCode, str],
) -> str:
    """What a verdict says, without its credit."""
    if status is Status.MANUAL and named is None:
        return "decided by a person"
    return WORDS[status].format(
        named=code(named or NO_COUNTER, labels.get(named, "") if named else ""),
        either=either(candidates, labels) or "not known",
        by=person(staff) if staff else "one person",
        why=because(reason),
    )


def because(reason: str) -> str:
    """A reason of a record, in words."""
    name = reason.partition(":")[0]
    return REASONS.get(name) or brief(reason, MAX_REASON) or "no reason was recorded"
