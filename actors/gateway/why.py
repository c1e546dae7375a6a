"""/why: on what evidence a member's join was attributed, and every correction since, for people who are no engineers.

The evidence stands in the records of the verdicts; what is in force now, and what Discord's member search said, in
the guild's state. Nothing is concluded here.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from actors.gateway.asking import PATIENT_S
from actors.gateway.render import because, render, verdict_words
from actors.gateway.wording import brief, code, count, fit, moment, person, second
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.errors import StorageError
from ledger.ids import GuildId, UserId, is_tombstone
from ledger.records import Evidence, Record, Report, Status, VerdictReached
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
NO_EVIDENCE: Final = "I cannot read my records right now. Please ask again in a moment; /who_invited still answers."
DISCORDS: Final[Mapping[str, str]] = {
    "bot": "that a bot was added",
    "integration": "an integration",
    "discovery": "Server Discovery",
    "hub": "a student hub",
    "manual_approval": "that somebody let them in",
    "lobby": "a linked lobby",
}


class Whys:
    """The command's work.

    Args:
        roster: where the guild's actor is asked.
        inside: where the records are read.
    """

    def __init__(self, roster: Roster, inside: Inside) -> None:
        self._roster = roster
        self._inside = inside

    async def explain(self, guild: GuildId, user: UserId, name: str) -> str:
        """The newest membership's verdicts, oldest first, with what each stands on."""
        outcome = await self._roster.ask(guild, m.DescribeMember(user=user), PATIENT_S)
        report = outcome.answer
        if not isinstance(report, m.MemberReport) or not report.periods:
            return render(outcome, name)
        period = report.periods[-1]
        try:
            records = await self._inside.read(lambda lists: lists.verdicts(guild, user))
        except StorageError:
            return NO_EVIDENCE
        return fit([*_explained(user, name, period, records, report.forgotten)])


def _explained(
    user: UserId, name: str, period: Period, records: Collection[Record], forgotten: Collection[UserId]
) -> Iterator[str]:
    yield f"**{person(user, name)}**, joined {moment(period.opened_us)}"
    told = [(each.at_ms, each.event) for each in records if isinstance(each.event, VerdictReached)]
    ours = [(at_ms, event) for at_ms, event in told if event.opened_us == period.opened_us]
    if not period.counted and not ours:
        yield "They were here before I began to count, so I have no evidence of my own."
    for number, (at_ms, event) in enumerate(ours, start=1):
        yield from _verdict(number, at_ms, event, forgotten)
    if not ours and period.counted:
        yield "It is not worked out yet."
    if period.report is not None:
        yield f"**Discord's member search** {reported(period.report)}."
    yield from _credits(period)


def _verdict(number: int, at_ms: int, event: VerdictReached, forgotten: Collection[UserId]) -> Iterator[str]:
    yield f"**{number}.** {moment(at_ms * 1_000)}: {_said(event, forgotten)}"
    if event.status is Status.MANUAL:
        by = _who(event.by, forgotten) if event.by else "somebody"
        yield f"-# Decided by {by}: {brief(event.reason, 300)}"
    elif event.window:
        yield from (f"-# {line}" for line in _evidence(event.evidence))


def _said(event: VerdictReached, forgotten: Collection[UserId]) -> str:
    staff = None if event.staff in forgotten else event.staff
    words = verdict_words(event.status, event.code, event.candidates, staff, event.reason)
    shown = event.staff and event.status is not Status.INVITER_CERTAIN
    return f"{words} → {_who(event.staff, forgotten)}" if event.staff and shown else words


def _who(user: UserId, forgotten: Collection[UserId]) -> str:
    return "a forgotten member" if user in forgotten or is_tombstone(user) else person(user)


def _evidence(evidence: Evidence) -> Iterator[str]:
    first_us, last_us = evidence.sampled_us
    joined = f"{count(evidence.joins, 'person', 'people')} joined, or may have"
    yield f"Between two readings of the counters, {second(first_us)} and {second(last_us)}, {joined}."
    used = [f"{code(each)} was used {count(uses, 'time')}" for each, uses in evidence.uses.items()]
    used += [f"{code(each)} may have been used {_at_most(uses)}" for each, uses in evidence.capped.items()]
    yield f"{'; '.join(used) or 'No invite was used that I could see'}."
    for each, why in evidence.excluded.items():
        yield f"Not {code(each)}: {EXCLUDED.get(why, brief(why))}."
    if evidence.broken:
        reasons = dict.fromkeys(BROKEN.get(each) or because(each) for each in evidence.broken)
        yield f"I may have missed something, so this is probable at most: {'; '.join(reasons)}."
    assumed = [ASSUMED[each] for each in evidence.assumptions if each in ASSUMED]
    if assumed:
        yield f"Assumed: {'; '.join(assumed)}."


def _at_most(uses: int) -> str:
    return "any number of times" if uses < 0 else f"up to {count(uses, 'time')}"


def reported(report: Report) -> str:
    """What Discord's member search says of a join; follows its name."""
    if report.way == SILENT:
        return "never knew this join, though I asked several times"
    if report.way == VANITY_WAY:
        return "names the vanity URL"
    if report.code:
        return f"names {code(report.code)}"
    way = WAYS.get(report.way)
    return f"names no invite, but {DISCORDS[way]}" if way else "names no way"


def _credits(period: Period) -> Iterator[str]:
    if period.credited:
        yield f"The join is credited to {person(period.credited)}."
    elif period.staff:
        yield f"It is an invite of {person(period.staff)}, and not credited to anybody."
    if period.vip_since_us:
        holder = f"credited to {person(period.vip_credited)}" if period.vip_credited else "credited to nobody yet"
        now = "" if period.vip else ", and is none now"
        yield f"VIP since {moment(period.vip_since_us)}{now}: {holder}."
