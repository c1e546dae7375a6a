"""Answers as text, in words that follow how sure we are. Pure.

"joined with" is proof, "probably" is not, "A or B" is all that is known, and "not known" comes with its reason. A
candidate is never worded as a fact.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from actors.gateway.wording import code, count, either, fit, moment, person, plain
from actors.runtime import Answered, Outcome
from ledger import messages as m
from ledger.ids import NO_COUNTER
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
NOTES: Final[Mapping[str, str]] = {
    "stale": "Discord's list is older than the one I have; I ask again.",
    "uses are missing": "Discord's counters do not show all joins yet; I ask again.",
    "uses without a join": "A counter rose for a join I have not heard of yet; I wait for it.",
}
NOT_DURABLE: Final = "-# Recorded, but not yet in every store I am told to wait for."


def render(outcome: Outcome[m.Answer], missing: Sequence[str] = ()) -> str:
    """The outcome of an ask; ``missing``: permissions the bot lacks, for the guild's report."""
    match outcome.kind:
        case Answered.OK:
            return _answer(outcome.answer, missing)
        case Answered.DEGRADED:
            return f"{_answer(outcome.answer, missing)}\n{NOT_DURABLE}"
        case Answered.REJECTED:
            return f"That cannot be done: {plain(outcome.text)}"
        case Answered.CRASHED:
            return f"I could not handle this ({plain(outcome.text)}). The operator finds it in my log."
        case Answered.DEADLINE:
            return "I am busy and have no answer yet; it may still be done. Please look again in a moment."
        case _:
            assert_never(outcome.kind)


def _answer(answer: m.Answer | None, missing: Sequence[str]) -> str:
    match answer:
        case m.Assigned():
            return _assigned(answer)
        case m.WindowReport():
            return _window(answer)
        case m.MemberReport():
            return _member(answer)
        case m.GuildReport():
            return _guild(answer, missing)
        case m.Done() | m.Forgot() | None:
            return "Nothing could be done right now: Discord reports this server as unavailable."
        case _:
            assert_never(answer)


def _assigned(answer: m.Assigned) -> str:
    staff, since = person(answer.assignment.staff), moment(answer.assignment.since_us)
    return f"From {since} on, joins by {code(answer.code)} are credited to {staff}. Earlier joins stay as they are."


def _window(answer: m.WindowReport) -> str:
    parts = [f"{count(answer.worked_out, 'join')} worked out, {answer.open:,} still open."]
    if answer.note:
        parts.append(NOTES.get(answer.note, plain(answer.note)))
    return " ".join(parts)


def _member(answer: m.MemberReport) -> str:
    who = person(answer.user)
    if not answer.periods:
        return f"I have never seen {who} here."
    lines = [f"{_span(period)}: {_verdict(period)}." for period in answer.periods]
    return fit([f"**{who}**, {count(len(lines), 'membership')}:", *reversed(lines)])


def _span(period: Period) -> str:
    joined = moment(period.opened_us)
    if period.is_open():
        return joined
    return f"{joined} – {moment(period.left_us) if period.left_us > 0 else 'left, time unknown'}"


def _verdict(period: Period) -> str:
    if not period.counted:
        return "was here before I began to count"
    if period.bot:
        return "a bot, added without an invite"
    words = _source(period)
    if period.credited:
        words += f", credited to {person(period.credited)}"
    elif period.staff and period.status is not Status.INVITER_CERTAIN:
        words += f", an invite of {person(period.staff)} (not credited)"
    return f"{words} (a return)" if period.rejoin else words


def _source(period: Period) -> str:
    return WORDS[period.status].format(
        named=code(period.code or NO_COUNTER),
        either=either(period.candidates) or "not known",
        by=person(period.staff) if period.staff else "one person",
        why=_because(period.reason),
    )


def _because(reason: str) -> str:
    name = reason.partition(":")[0]
    return REASONS.get(name) or plain(reason) or "no reason was recorded"


def _guild(answer: m.GuildReport, missing: Sequence[str]) -> str:
    baseline = moment(answer.baseline_us) if answer.baseline_us else "none yet"
    lines = [
        f"**State**: {answer.phase.value}, record {answer.seq:,}",
        f"**Counting since**: {moment(answer.counting_since_us) if answer.counting_since_us else 'not yet'}",
        f"**Invite counters**: {answer.counters:,}, read {baseline}",
        f"**Open joins**: {answer.open_joins:,}",
        f"**Members known**: {answer.members:,}{'' if answer.reconciled else ' (list not compared yet)'}",
        f"**Gone invites remembered**: {answer.tombstones:,}; **breaks in continuity**: {answer.breaks:,}",
        f"**Permissions missing**: {', '.join(missing) or 'none'}",
    ]
    unclaimed = [f"{code(name)}: {count(uses, 'use')} no join explains" for name, uses in answer.unclaimed.items()]
    return fit([*lines, *unclaimed])
