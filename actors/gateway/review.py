"""/review: the joins that wait for a person, and what a person decides of them.

A decision changes nobody else's verdict. Where it leaves somebody of the same window one candidate only, that is
suggested, and a person decides that as well.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from actors.gateway.asking import PATIENT_S, QUICK_S, ask_codes
from actors.gateway.paged import TextPage, Turn, page_of
from actors.gateway.render import render, verdict_words
from actors.gateway.which_join import JoinChoice, is_open_case, join_meant, joins_offered, title
from actors.gateway.why_words import reported
from actors.gateway.wording import MAX_NAMED, brief, code, count, fit, moment, person
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.errors import LedgerError
from ledger.ids import GuildId, InteractionId, InviteCode, UserId
from ledger.records import VerdictReached
from ledger.state import Period

REVIEW: Final = "review"
CASES_A_PAGE: Final = 5
MAX_LINE: Final = 340
"""Characters a case: with so many of them a page is within one message, and none is cut off."""
NEAR_US: Final = 3_600_000_000
"""A window with many gaps is shorter than this: further away nobody is looked for."""
MAX_NEAR: Final = 20
"""Open cases that are looked at for a suggestion."""
MAX_WHY: Final = 200
UNKNOWN_CODE: Final = (
    "I have never seen the invite {named} here, so I cannot say that somebody used it. "
    "Please pick one from the list, or leave it out where the invite is not known."
)
STRANGER: Final = (
    "I have never seen {who} here, so I take the name for a mistake: joins count for people of this server. "
    "Please name another, or nobody."
)
DONE_ALREADY: Final = "Nothing was changed: this was decided just so already."


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


class Reviews:
    """Lists cases and takes decisions.

    Args:
        roster: guild actors, who know the cases.
        inside: the evidence.
    """

    def __init__(self, roster: Roster, inside: Inside) -> None:
        self._roster = roster
        self._inside = inside

    async def page(self, guild: GuildId, number: int) -> TextPage | str:
        """A page of the open cases, the newest first, or why there is none."""
        cases = await self._cases(guild)
        if isinstance(cases, str):
            return cases
        if not cases:
            return "No case is open: nothing waits for a person."
        shown, at, pages = page_of(cases, number, CASES_A_PAGE)
        several = _with_several(cases)
        lines = [case_line(case, await self._newest(guild, case), by_name=case.user in several) for case in shown]
        head = f"### {count(len(cases), 'open case')}, the newest first"
        foot = f"-# Page {at + 1:,} of {pages:,}. Decide one with `/review decide`; `/why` tells all that is known."
        return TextPage(turn=Turn(REVIEW, "", at), pages=pages, text=fit([head, foot, *lines]))

    async def decide(self, wish: Decide) -> str:
        """Takes a decision, and says what it changed."""
        refusal = await self._refusal(wish)
        if refusal:
            return refusal
        meant = await self._meant(wish)
        if isinstance(meant, str):
            return meant
        suggestions = await self._suggestions(wish, meant)
        outcome = await self._roster.ask(wish.guild, _message(wish, meant), PATIENT_S)
        decided = outcome.answer
        if not isinstance(decided, m.Decided):
            return render(outcome, wish.name)
        if decided.period == decided.before:
            return DONE_ALREADY
        now = await self._periods(wish.guild, wish.user)
        after = next((each for each in now if each.opened_us == meant.opened_us), decided.period)
        return fit([*decision_lines(wish, decided.before, after), *_left_open(now), *suggestions])

    async def joins(self, guild: GuildId, user: UserId, typed: str) -> Sequence[JoinChoice]:
        """The joins of a member that fit what was typed so far."""
        return joins_offered(await self._periods(guild, user, QUICK_S), typed)

    async def _refusal(self, wish: Decide) -> str:
        if wish.code:
            codes = await ask_codes(self._roster, wish.guild)
            if isinstance(codes, str):
                return codes
            if wish.code not in {each.code for each in codes}:
                return UNKNOWN_CODE.format(named=code(wish.code))
        if wish.staff and not wish.is_member:  # who left may still be whom it counts for
            outcome = await self._roster.ask(wish.guild, m.DescribeMember(user=wish.staff), PATIENT_S)
            if not isinstance(outcome.answer, m.MemberReport):
                return render(outcome)
            if not outcome.answer.periods:
                return STRANGER.format(who=person(wish.staff))
        return ""

    async def _meant(self, wish: Decide) -> Period | str:
        outcome = await self._roster.ask(wish.guild, m.DescribeMember(user=wish.user), PATIENT_S)
        if not isinstance(outcome.answer, m.MemberReport) or not outcome.answer.periods:
            return render(outcome, wish.name)
        return join_meant(wish.user, outcome.answer.periods, wish.join)

    async def _periods(self, guild: GuildId, user: UserId, timeout_s: float = PATIENT_S) -> Sequence[Period]:
        """The member's joins, oldest first; none where they are not known now."""
        outcome = await self._roster.ask(guild, m.DescribeMember(user=user), timeout_s)
        return outcome.answer.periods if isinstance(outcome.answer, m.MemberReport) else ()

    async def _suggestions(self, wish: Decide, meant: Period) -> Sequence[str]:
        """For whom of the same window one candidate would be left: only what the counters force."""
        if not wish.code:
            return ()
        cases = await self._cases(wish.guild)
        own = _case_of(cases, wish.user, meant) if not isinstance(cases, str) else None
        verdict = await self._newest(wish.guild, own) if own else None
        if isinstance(cases, str) or own is None or verdict is None or verdict.evidence.uses.get(wish.code) != 1:
            return ()
        near = [case for case in cases if case != own and _may_be_left(case, own, wish.code)]
        found: list[str] = []
        for case in near[:MAX_NEAR]:
            other = await self._newest(wish.guild, case)
            if other and other.window == verdict.window:
                found.append(_suggestion(case, wish.code))
        return found

    async def _cases(self, guild: GuildId) -> Sequence[m.OpenCase] | str:
        outcome = await self._roster.ask(guild, m.DescribeReview(), PATIENT_S)
        return outcome.answer.cases if isinstance(outcome.answer, m.ReviewReport) else render(outcome)

    async def _newest(self, guild: GuildId, case: m.OpenCase) -> VerdictReached | None:
        """The verdict in force with its evidence; None where it cannot be read: a list without is still right."""
        try:
            records = await self._inside.read(lambda lists: lists.verdicts(guild, case.user))
        except LedgerError:
            return None
        events = (each.event for each in reversed(records))
        verdicts = (each for each in events if isinstance(each, VerdictReached))
        return next((each for each in verdicts if each.opened_us == case.period.opened_us), None)


def case_line(case: m.OpenCase, verdict: VerdictReached | None, *, by_name: bool = False) -> str:
    """A case with its evidence; ``by_name``: with what /review decide calls this join, since there are several."""
    period = case.period
    join = f" (join `{title(period)}`)" if by_name else ""
    text = f"{person(case.user)}, {moment(period.opened_us)}{join}: {_source(period)}"
    evidence = verdict.evidence if verdict else None
    if evidence and evidence.joins:
        named = {each: number for each, number in evidence.uses.items() if each in period.candidates}
        text = _longer(text, f"; {count(evidence.joins, 'join')} at that time")
        text = _longer(text, f": {_uses(named)}" if named else "")
    return _longer(text, f". Discord's member search {reported(period.report)}" if period.report else "")


def _longer(text: str, more: str) -> str:
    """With what there is room for; `/why` tells all."""
    return text + more if len(text) + len(more) <= MAX_LINE else text


def decision_lines(wish: Decide, before: Period, now: Period) -> Iterator[str]:
    """What a decision changed, credits as well."""
    whom = f"for {person(wish.staff)}" if wish.staff else "for nobody"
    how = f", with {code(wish.code)}" if wish.code else ""
    yield f"Decided: the join of {person(wish.user, wish.name)} on {moment(now.opened_us)} counts {whom}{how}."
    yield f"Why: {brief(wish.why, MAX_WHY)}"
    yield f"-# Before: {_source(before)}. It is kept, and `/why` shows it."
    yield _moved("Credit for the join", before.credited, now.credited)
    if before.vip_credited or now.vip_credited:
        yield _moved("Credit for the VIP", before.vip_credited, now.vip_credited)


def _moved(what: str, before: UserId | None, after: UserId | None) -> str:
    if before == after:
        return f"{what}: unchanged, {person(after) if after else 'nobody'}."
    return f"{what}: {person(before) if before else 'nobody'} → {person(after) if after else 'nobody'}."


def _uses(named: Mapping[InviteCode, int]) -> str:
    told = [f"{code(each)} used {number:,}×" for each, number in islice(named.items(), MAX_NAMED)]
    return ", ".join(told)


def _source(period: Period) -> str:
    return verdict_words(period.status, period.code, period.candidates, period.staff, period.reason)


def _may_be_left(case: m.OpenCase, own: m.OpenCase, taken: InviteCode) -> bool:
    near = abs(case.period.opened_us - own.period.opened_us) <= NEAR_US
    return near and taken in case.period.candidates and len(_left(case, taken)) == 1


def _left(case: m.OpenCase, taken: InviteCode) -> Sequence[InviteCode]:
    return [each for each in case.period.candidates if each != taken]


def _suggestion(case: m.OpenCase, taken: InviteCode) -> str:
    (left,) = _left(case, taken)
    return (
        f"Suggestion: {code(taken)} was used once at that time, so {person(case.user)} is left with {code(left)}. "
        "I change nothing by myself: decide that with `/review decide` if you agree."
    )


def _with_several(cases: Sequence[m.OpenCase]) -> frozenset[UserId]:
    """Whose cases are more than one."""
    return frozenset(user for user, number in Counter(case.user for case in cases).items() if number > 1)


def _case_of(cases: Sequence[m.OpenCase], user: UserId, period: Period) -> m.OpenCase | None:
    same = (case for case in cases if case.user == user and case.period.opened_us == period.opened_us)
    return next(same, None)


def _left_open(periods: Sequence[Period]) -> Iterator[str]:
    """The member's other cases, which this decision does not touch."""
    names = [title(each) for each in reversed(periods) if is_open_case(each)]
    if names:
        more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
        yield f"-# Still open for this member, each a case of its own: {', '.join(names[:MAX_NAMED])}{more}."


def _message(wish: Decide, meant: Period) -> m.DecideJoin:
    return m.DecideJoin(
        interaction=wish.interaction,
        user=wish.user,
        opened_us=meant.opened_us,
        staff=wish.staff,
        code=wish.code or None,
        why=wish.why,
        by=wish.by,
    )
