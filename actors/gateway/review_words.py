"""The words of /review: a case with its evidence, and what a decision changed. Pure.

A code has its label beside it wherever there is room.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from actors.gateway.render import verdict_words
from actors.gateway.which_join import is_open_case, title
from actors.gateway.why_evidence import reported
from actors.gateway.wording import MAX_NAMED, NO_LABELS, brief, code, count, moment, person
from ledger.answers import OpenCase
from ledger.ids import GuildId, InteractionId, InviteCode, UserId
from ledger.records import VerdictReached
from ledger.state import Period

MAX_LINE: Final = 340
"""Characters a case: with so many of them a page is within one message, and none is cut off."""
MAX_WHY: Final = 200


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed. ``staff`` None: nobody is credited; ``code`` "": the invite stays open; ``join`` "": the
    member's newest open case, else their newest join.
    """

    interaction: InteractionId
    guild: GuildId
    user: UserId
    name: str
    staff: UserId | None
    is_member: bool
    code: InviteCode
    why: str
    by: UserId
    join: str = ""


def case_line(
    case: OpenCase,
    verdict: VerdictReached | None,
    *,
    by_name: bool = False,
    labels: Mapping[InviteCode, str] = NO_LABELS,
) -> str:
    """A case with its evidence; ``by_name``: with what /review decide calls this join, since there are several."""
    period = case.period
    join = f" (join `{title(period)}`)" if by_name else ""
    begins = f"{person(case.user)}, {moment(period.opened_us)}{join}: "
    labelled = _source(period, labels)
    labels = labels if len(begins) + len(labelled) <= MAX_LINE else NO_LABELS
    text = begins + _source(period, labels)
    evidence = verdict.evidence if verdict else None
    if evidence and evidence.joins:
        named = {each: number for each, number in evidence.uses.items() if each in period.candidates}
        text = _longer(text, f"; {count(evidence.joins, 'join')} at that time")
        text = _longer(text, f": {_uses(named, labels)}" if named else "")
    return _longer(text, f". Discord's member search {reported(period.report, labels)}" if period.report else "")


def _longer(text: str, more: str) -> str:
    """With what there is room for; `/why` tells all."""
    return text + more if len(text) + len(more) <= MAX_LINE else text


def decision_lines(
    wish: Decide, before: Period, now: Period, labels: Mapping[InviteCode, str] = NO_LABELS
) -> Iterator[str]:
    """What a decision changed, credits as well."""
    whom = f"for {person(wish.staff)}" if wish.staff else "for nobody"
    how = f", with {code(wish.code, labels.get(wish.code, ''))}" if wish.code else ""
    yield f"Decided: the join of {person(wish.user, wish.name)} on {moment(now.opened_us)} counts {whom}{how}."
    yield f"Why: {brief(wish.why, MAX_WHY)}"
    yield f"-# Before: {_source(before, labels)}. It is kept, and `/why` shows it."
    yield _moved("Credit for the join", before.credited, now.credited)
    if before.vip_credited or now.vip_credited:
        yield _moved("Credit for the VIP", before.vip_credited, now.vip_credited)


def _moved(what: str, before: UserId | None, after: UserId | None) -> str:
    if before == after:
        return f"{what}: unchanged, {person(after) if after else 'nobody'}."
    return f"{what}: {person(before) if before else 'nobody'} → {person(after) if after else 'nobody'}."


def _uses(named: Mapping[InviteCode, int], labels: Mapping[InviteCode, str]) -> str:
    told = [
        f"{code(each, labels.get(each, ''))} used {number:,}×" for each, number in islice(named.items(), MAX_NAMED)
    ]
    return ", ".join(told)


def _source(period: Period, labels: Mapping[InviteCode, str]) -> str:
    return verdict_words(period.status, period.code, period.candidates, period.staff, period.reason, labels=labels)


def suggestion(case: OpenCase, taken: InviteCode, left: InviteCode, labels: Mapping[InviteCode, str]) -> str:
    """What a decision leaves to somebody else of the same window."""
    used, other = code(taken, labels.get(taken, "")), code(left, labels.get(left, ""))
    return (
        f"Suggestion: {used} was used once at that time, so {person(case.user)} is left with {other} for their join "
        f"on {moment(case.period.opened_us)}. I change nothing by myself: decide that with `/review decide` if you "
        "agree."
    )


def left_open(periods: Sequence[Period]) -> Iterator[str]:
    """The member's other cases, which this decision does not touch."""
    names = [title(each) for each in reversed(periods) if is_open_case(each)]
    if names:
        more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
        yield f"-# Still open for this member, each a case of its own: {', '.join(names[:MAX_NAMED])}{more}."
