"""Errands: what guilds ask of Discord beside their counters (``ledger/errands.py``).

Each is one job: it waits for its time, asks, and tells the guild what came of it. An errand always has an answer,
also where the job crashed, since the guild sends no other one of its kind before; only a gateway that stops answers
nothing.
Whatever Discord says is an answer or a failure with its reason, and never more than was asked for.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias, assert_never

from structlog.typing import FilteringBoundLogger

from actors.gateway.announcing import Announcer
from actors.gateway.evidence import Action, Audited, Searched, bots_in, creations_in, deletions_in
from actors.gateway.failures import Failure, Forbidden, Limited, Malformed, NotReady, TooLong, reason
from actors.gateway.rest import Rest
from actors.roster import Roster
from actors.runtime import Jobs
from actors.traffic import ErrandOutcome
from ledger import messages as m
from ledger.effects import AnnounceJoin, AskWitness, ReadAudit, Request, SweepMembers
from ledger.ids import GuildId
from ledger.ports import Clock
from ledger.records import Report

SWITCHED_OFF: Final = "switched_off"
"""The trouble of a second witness that LEDGER_SECOND_WITNESS does not want."""
SWITCHED_OFF_S: Final = 86_400.0
"""A switch is read once, at the start; this is when the guild asks for the sake of asking."""
CRASHED: Final = Malformed(why="the errand crashed")
AWAY: Final = Malformed(why="the guild is away")

Witnessing: TypeAlias = AskWitness | SweepMembers
Answer: TypeAlias = (
    m.AuditArrived | m.AuditFailed | m.WitnessAnswered | m.WitnessFailed | m.Announced | m.AnnouncingFailed
)


class Errands:
    """Carries errands out.

    Args:
        rest: whom to ask.
        roster: whom to tell.
        jobs: where the work runs.
        clock: says when an errand is due, and stamps answers.
        witness: whether the second witness may be asked.
        log: for what went wrong.
    """

    def __init__(
        self, *, rest: Rest, roster: Roster, jobs: Jobs, clock: Clock, witness: bool, log: FilteringBoundLogger
    ) -> None:
        self._rest = rest
        self._roster = roster
        self._jobs = jobs
        self._clock = clock
        self._witness = witness
        self._log = log
        self._announcer = Announcer(rest, clock, log)
        self._outcomes: Counter[ErrandOutcome] = Counter(dict.fromkeys(ErrandOutcome, 0))
        self._stopped = False

    def run(self, guild: GuildId, effect: Request) -> None:
        """Asks Discord what the errand says, not before its time."""
        if self._stopped:
            return
        after_s = (effect.due_us - self._clock.stamp_us()) / 1_000_000
        self._jobs.start_later(after_s, lambda: self._carry_out(guild, effect), f"errand/{guild}")

    def stop(self) -> None:
        """Takes no more errands, and answers none."""
        self._stopped = True

    def outcomes(self) -> Mapping[ErrandOutcome, int]:
        """How the errands so far ended; those that are switched off are none."""
        return dict(self._outcomes)

    async def _carry_out(self, guild: GuildId, effect: Request) -> None:
        answer = self._failed(effect, CRASHED)
        try:
            answer = await self._ask(guild, effect)
        finally:
            if not self._stopped:
                self._note(guild, answer)
                self._roster.tell(guild, answer)

    async def _ask(self, guild: GuildId, effect: Request) -> Answer:
        if isinstance(effect, Witnessing) and not self._witness:
            return self._switched_off(effect)
        if self._roster.greeting(guild) is None:
            return self._failed(effect, AWAY)
        match effect:
            case ReadAudit():
                return await self._read_audit(guild, effect)
            case AskWitness():
                found = await self._rest.search_members(guild, effect.users)
                return self._heard(effect, found)
            case SweepMembers():
                found = await self._rest.sweep_members(guild, effect.after_us, effect.after)
                return self._heard(effect, found)
            case AnnounceJoin():
                return await self._announcer.announce(guild, effect)
            case _:
                assert_never(effect)

    async def _read_audit(self, guild: GuildId, effect: ReadAudit) -> Answer:
        """Each action; what happens while they are read need not be in all, so the stamp comes first."""
        requested_us = self._clock.stamp_us()
        read: dict[Action, tuple[Audited, ...]] = {}
        for action in Action:
            since_us = effect.since_us if action is Action.BOT_ADDED else effect.invites_since_us
            entries = await self._rest.audit(guild, action, since_us)
            if not isinstance(entries, tuple):
                return self._failed(effect, entries)
            read[action] = entries
        return m.AuditArrived(
            number=effect.number,
            requested_us=requested_us,
            since_us=effect.invites_since_us,
            deletions=deletions_in(read[Action.INVITE_DELETED]),
            creations=creations_in(read[Action.INVITE_CREATED]),
            bots=bots_in(read[Action.BOT_ADDED]),
        )

    def _heard(self, effect: Witnessing, found: tuple[Searched, ...] | Failure) -> Answer:
        """A sweep goes on until nobody comes any more: a page without its guests is short, and not the last."""
        if not isinstance(found, tuple):
            return self._failed(effect, found)
        swept = isinstance(effect, SweepMembers)
        return m.WitnessAnswered(
            number=effect.number,
            rows=tuple(_row(each) for each in found),
            at_us=self._clock.stamp_us(),
            swept=swept,
            done=swept and not found,
        )

    def _failed(self, effect: Request, failure: Failure) -> Answer:
        why, at_us = reason(failure), self._clock.stamp_us()
        match effect:
            case ReadAudit(number=number):
                return m.AuditFailed(
                    number=number,
                    reason=why,
                    forbidden=isinstance(failure, Forbidden),
                    too_long=isinstance(failure, TooLong),
                    at_us=at_us,
                )
            case AskWitness(number=number) | SweepMembers(number=number):
                return m.WitnessFailed(number=number, reason=why, at_us=at_us, again_s=_again_s(failure))
            case AnnounceJoin(number=number):
                return m.AnnouncingFailed(number=number, reason=why, at_us=at_us)
            case _:
                assert_never(effect)

    def _switched_off(self, effect: Witnessing) -> m.WitnessFailed:
        at_us = self._clock.stamp_us()
        return m.WitnessFailed(number=effect.number, reason=SWITCHED_OFF, at_us=at_us, again_s=SWITCHED_OFF_S)

    def _note(self, guild: GuildId, answer: Answer) -> None:
        match answer:
            case m.AuditArrived():
                self._outcomes[ErrandOutcome.AUDIT_READ] += 1
                self._log.debug("audit.read", guild=guild, deletions=len(answer.deletions), bots=len(answer.bots))
            case m.AuditFailed():
                self._outcomes[ErrandOutcome.AUDIT_FAILED] += 1
                self._log.warning("audit.failed", guild=guild, reason=answer.reason)
            case m.WitnessAnswered():
                self._outcomes[ErrandOutcome.WITNESS_ANSWERED] += 1
                self._log.debug("witness.answered", guild=guild, rows=len(answer.rows), swept=answer.swept)
            case m.WitnessFailed(reason=why) if why == SWITCHED_OFF:
                pass
            case m.WitnessFailed():
                self._outcomes[ErrandOutcome.WITNESS_FAILED] += 1
                self._log.warning("witness.failed", guild=guild, reason=answer.reason)
            case m.Announced(message=""):
                self._outcomes[ErrandOutcome.JOIN_NOT_ANNOUNCED] += 1  # the announcer has said why
            case m.Announced():
                self._outcomes[ErrandOutcome.JOIN_ANNOUNCED] += 1
                self._log.debug("join.announced", guild=guild, user=answer.user, verdict=answer.verdict)
            case m.AnnouncingFailed():
                self._outcomes[ErrandOutcome.ANNOUNCING_FAILED] += 1
                self._log.warning("join.announcing_failed", guild=guild, reason=answer.reason)
            case _:
                assert_never(answer)


def _again_s(failure: Failure) -> float:
    """When Discord would be asked again, where it says so; 0 = as the guild thinks right."""
    match failure:
        case NotReady(retry_after_s=wait_s) | Limited(retry_after_s=wait_s):
            return wait_s
        case _:
            return 0.0


def _row(found: Searched) -> m.SearchedMember:
    report = Report(found.way, found.code, found.inviter)
    return m.SearchedMember(user=found.user, joined_at_us=found.joined_at_us, report=report)
