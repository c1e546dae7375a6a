"""/review: the joins that wait for a person, and what a person decides of them.

A decision changes nobody else's verdict. Where it leaves somebody of the same window one candidate only, that is
suggested, and a person decides that as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from actors.gateway.asking import PATIENT_S, QUICK_S, ask_codes, ask_labels
from actors.gateway.paged import TextPage, Turn, page_of
from actors.gateway.render import render
from actors.gateway.review_words import Decide, case_line, decision_lines, left_open, suggestion
from actors.gateway.which_join import JoinChoice, join_meant, joins_offered
from actors.gateway.wording import code, count, fit, person
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.answers import Decided, MemberReport, OpenCase, ReviewReport
from ledger.errors import LedgerError
from ledger.ids import NO_COUNTER, GuildId, InviteCode, UserId
from ledger.records import VerdictReached
from ledger.state import Period

REVIEW: Final = "review"
CASES_A_PAGE: Final = 5
NEAR_US: Final = 3_600_000_000
"""A window with many gaps is shorter than this: further away nobody is looked for."""
MAX_NEAR: Final = 20
"""Open cases that are looked at for a suggestion."""
UNKNOWN_CODE: Final = (
    "I have never seen the invite {named} here, so I cannot say that somebody used it. "
    "Please pick one from the list, or leave it out where the invite is not known."
)
STRANGER: Final = (
    "I have never seen {who} here, so I take the name for a mistake: joins count for people of this server. "
    "Please name another, or nobody."
)
DONE_ALREADY: Final = "Nothing was changed: this was decided just so already."


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
        several, labels = _with_several(cases), await ask_labels(self._roster, guild)
        lines = [
            case_line(case, await self._newest(guild, case), by_name=case.user in several, labels=labels)
            for case in shown
        ]
        head = f"### {count(len(cases), 'open case')}, the newest first"
        foot = f"-# Page {at + 1:,} of {pages:,}. Decide one with `/review decide`; `/why` tells all that is known."
        return TextPage(turn=Turn(REVIEW, "", at), pages=pages, text=fit([head, foot, *lines]))

    async def decide(self, wish: Decide) -> str:
        """Takes a decision, and says what it changed."""
        meant = await self._meant(wish)
        if isinstance(meant, str):
            return meant
        refusal = await self._refusal(wish, meant)
        if refusal:
            return refusal
        labels = await ask_labels(self._roster, wish.guild)
        suggestions = await self._suggestions(wish, meant, labels)
        outcome = await self._roster.ask(wish.guild, _message(wish, meant), PATIENT_S)
        decided = outcome.answer
        if not isinstance(decided, Decided):
            return render(outcome, wish.name)
        if decided.period == decided.before:
            return DONE_ALREADY
        now = await self._periods(wish.guild, wish.user)
        after = next((each for each in now if each.opened_us == meant.opened_us), decided.period)
        return fit([*decision_lines(wish, decided.before, after, labels), *left_open(now), *suggestions])

    async def joins(self, guild: GuildId, user: UserId, typed: str) -> Sequence[JoinChoice]:
        """The joins of a member that fit what was typed so far."""
        return joins_offered(await self._periods(guild, user, QUICK_S), typed)

    async def possible(self, guild: GuildId, user: UserId, join: str) -> Sequence[InviteCode]:
        """The invites that the join may have come with, as far as it was worked out."""
        periods = await self._periods(guild, user, QUICK_S)
        meant = join_meant(user, periods, join) if periods else ""
        return _possible(meant) if isinstance(meant, Period) else ()

    async def _refusal(self, wish: Decide, meant: Period) -> str:
        if wish.code and wish.code not in _possible(meant):
            codes = await ask_codes(self._roster, wish.guild)
            if isinstance(codes, str):
                return codes
            if wish.code not in {each.code for each in codes}:
                return UNKNOWN_CODE.format(named=code(wish.code))
        if wish.staff and not wish.is_member:  # who left may still be whom it counts for
            outcome = await self._roster.ask(wish.guild, m.DescribeMember(user=wish.staff), PATIENT_S)
            if not isinstance(outcome.answer, MemberReport):
                return render(outcome)
            if not outcome.answer.periods:
                return STRANGER.format(who=person(wish.staff))
        return ""

    async def _meant(self, wish: Decide) -> Period | str:
        outcome = await self._roster.ask(wish.guild, m.DescribeMember(user=wish.user), PATIENT_S)
        if not isinstance(outcome.answer, MemberReport) or not outcome.answer.periods:
            return render(outcome, wish.name)
        return join_meant(wish.user, outcome.answer.periods, wish.join)

    async def _periods(self, guild: GuildId, user: UserId, timeout_s: float = PATIENT_S) -> Sequence[Period]:
        """The member's joins, oldest first; none where they are not known now."""
        outcome = await self._roster.ask(guild, m.DescribeMember(user=user), timeout_s)
        return outcome.answer.periods if isinstance(outcome.answer, MemberReport) else ()

    async def _suggestions(self, wish: Decide, meant: Period, labels: Mapping[InviteCode, str]) -> Sequence[str]:
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
                (left,) = _left(case, wish.code)
                found.append(suggestion(case, wish.code, left, labels))
        return found

    async def _cases(self, guild: GuildId) -> Sequence[OpenCase] | str:
        outcome = await self._roster.ask(guild, m.DescribeReview(), PATIENT_S)
        return outcome.answer.cases if isinstance(outcome.answer, ReviewReport) else render(outcome)

    async def _newest(self, guild: GuildId, case: OpenCase) -> VerdictReached | None:
        """The verdict in force with its evidence; None where it cannot be read: a list without is still right."""
        try:
            records = await self._inside.read(lambda lists: lists.verdicts(guild, case.user))
        except LedgerError:
            return None
        events = (each.event for each in reversed(records))
        verdicts = (each for each in events if isinstance(each, VerdictReached))
        return next((each for each in verdicts if each.opened_us == case.period.opened_us), None)


def _may_be_left(case: OpenCase, own: OpenCase, taken: InviteCode) -> bool:
    near = abs(case.period.opened_us - own.period.opened_us) <= NEAR_US
    return near and taken in case.period.candidates and len(_left(case, taken)) == 1


def _left(case: OpenCase, taken: InviteCode) -> Sequence[InviteCode]:
    return [each for each in case.period.candidates if each != taken]


def _possible(period: Period) -> Sequence[InviteCode]:
    """Also those that are gone, and the vanity URL."""
    named = [each for each in (period.code, *period.candidates) if each and each != NO_COUNTER]
    return tuple(dict.fromkeys(named))


def _with_several(cases: Sequence[OpenCase]) -> frozenset[UserId]:
    """Whose cases are more than one."""
    return frozenset(user for user, number in Counter(case.user for case in cases).items() if number > 1)


def _case_of(cases: Sequence[OpenCase], user: UserId, period: Period) -> OpenCase | None:
    same = (case for case in cases if case.user == user and case.period.opened_us == period.opened_us)
    return next(same, None)


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
