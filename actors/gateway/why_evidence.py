"""The words of /why for what one verdict stands on: counters, what was ruled out, the second witness. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, NamedTuple

from actors.gateway.render import because
from actors.gateway.wording import FORGOTTEN, brief, code, count, person, second
from ledger.ids import InviteCode, UserId
from ledger.records import Evidence, Report, Status, VerdictReached
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
    "given_up": "earlier joins were given up, since Discord showed me no counters",
    "clock": "my clock had been ahead, and was set back",
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
WITNESSED: Final = frozenset({Status.CONFIRMED, Status.REPORTED, Status.CONFLICT, Status.NON_INVITE})
"""What takes the second witness."""
MAX_CODES: Final = 12
"""Named in one line; a raid has hundreds."""


class Told(NamedTuple):
    """Whose joins they are, and how people and codes are named: the ``forgotten`` are not, codes have labels."""

    user: UserId
    forgotten: Collection[UserId]
    labels: Mapping[InviteCode, str]

    def code(self, name: InviteCode) -> str:
        return code(name, self.labels.get(name, ""))

    def person(self, user: UserId) -> str:
        return FORGOTTEN if user in self.forgotten else person(user)


def grounds(verdict: VerdictReached, before: VerdictReached | None, told: Told) -> Iterator[str]:
    """What it stands on, and what of that was not there ``before``."""
    if verdict.status is Status.MANUAL:
        return
    news = [*_news(before, verdict)] if before else []
    if news:
        yield f"New: {'; '.join(news)}."
    if before and before.window and before.evidence == verdict.evidence:
        yield "The counters say the same as before."
    elif verdict.window:
        yield from _evidence(verdict, told)


def _news(before: VerdictReached, now: VerdictReached) -> Iterator[str]:
    old, new = before.evidence, now.evidence
    if now.status in WITNESSED and before.status not in WITNESSED:
        yield "Discord's member search answered, about this join or one of the same time"
    if not before.window or not now.window:
        return
    if old.joins != new.joins:
        yield f"{count(new.joins, 'join')} may lie in that time, not {old.joins:,}"
    if "P1" in new.assumptions and "P1" not in old.assumptions:
        yield "nobody deleted the invite that vanished, so it was used up"
    elif (old.uses, old.capped, old.excluded) != (new.uses, new.capped, new.excluded):
        yield "more is known of which invites were used, or could be"
    if old.broken != new.broken:
        yield "more is known of what I may have missed"


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


def reported(report: Report, labels: Mapping[InviteCode, str]) -> str:
    """What Discord's member search says of a join; follows its name."""
    if report.way == SILENT:
        return "never knew this join, though I asked several times"
    if report.way == VANITY_WAY:
        return "names the vanity URL"
    if report.code:
        return f"names {code(report.code, labels.get(report.code, ''))}"
    way = WAYS.get(report.way)
    return f"names no invite, but {DISCORDS[way]}" if way else "names no way"
