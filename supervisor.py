"""The supervisor, the tree, and ``main``: the root of the program. Its entry and tests apart, nobody imports it.

    main
    └── Supervisor
        ├── journal            permanent; its death voids every guild's life, mailboxes stay
        ├── uploader, pulse    permanent, where a cloud is; nothing waits for them but LEDGER_ACK=cloud
        ├── gateway            permanent; never restarted for storage
        ├── http               permanent
        ├── caretaker          permanent; goes round: hung turns, parked guilds, guilds at rest
        ├── keeper             permanent; has the layers give back what was written
        ├── salvager           permanent; hands guilds the facts of branches that lost
        └── guild/…            one for one, a budget each; spent → parked, tried again slowly

Children are data (``ChildSpec``). A death is an event that one loop handles: charge the message or the child, bury a
message that failed twice, restart after a backoff with full jitter, park. A life is ended in this order: its mailbox
is taken away, then it is cancelled, then it is waited for; one that does not end is counted as a zombie, and the
fences (mailbox, journal) keep it from doing harm. Whatever a child dies of is looked at here and nowhere else.
A guild at rest has no life: the next message to it begins one.

What the tree is made of, and how the process begins and ends, is ``actors/program.py``.
"""

import asyncio
import os
import sys
import traceback
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from stamina.instrumentation import set_on_retry_hooks
from structlog.typing import FilteringBoundLogger

from actors.alone import forget_alone
from actors.care import Breaker, Caretaker
from actors.cli.app import make_app, perform
from actors.cli.demo import play
from actors.clock import Sleep
from actors.drain import Drain, Step
from actors.guild import EvolveFailed, GuildActor, GuildAddress, Outside
from actors.journal import Journal
from actors.letters import dead_letter, payload_of
from actors.mailbox import Envelope, Lane, Revoked, Stage
from actors.memory import MANY_GUILDS, set_apart
from actors.program import run_bot
from actors.roster import Roster
from actors.runtime import Jobs, live
from actors.sources import read_settings
from actors.standing import Inside, Kept, NotRunning, Standing
from actors.supervision import (
    GUILD_BUDGET,
    Child,
    ChildSpec,
    GuildChild,
    Recoveries,
    Restart,
    SupervisorStatistics,
    spawn,
    told,
)
from ledger import messages as m
from ledger.answers import Answer
from ledger.errors import Fenced, LedgerError, StorageError
from ledger.ids import GuildId
from ledger.phases import Phase
from ledger.ports import Clock, Randomness
from persistence.lists import Lists

T = TypeVar("T")

MAX_FAILURES_A_MESSAGE: Final = 2
MAX_RECOVERIES: Final = 50
"""Guilds that read their state at once; who has most waiting comes first."""
FIRST_PROBE_S: Final = 60.0
LONGEST_PROBE_S: Final = 3_600.0
"""A parked guild is tried again after the first, and twice as long each time up to the last, with jitter."""
BUG_HINT: Final = "report it, with the lines actor.restarted and letter.buried of this guild; the others go on"


class ChildDied(StorageError):
    """What a child of the root had in hand is void."""

    hint = "why it died is told in the log beside this; where the program ends, in its last line"


class GaveUp(LedgerError):
    """A child of the root died more often than its budget allows."""

    hint = "look at the log lines actor.restarted before this one; start again when the cause is gone"


class Supervisor(Inside):
    """Starts children, hears of their deaths, and does what their specs say.

    Args:
        journal: for the guilds' lives.
        keep: where the payloads of dead letters go, by their digest.
        clock, randomness, sleep: time and jitter.
        log: where every restart is told.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        keep: Callable[[str, bytes], None],
        clock: Clock,
        randomness: Randomness,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self._keep = keep
        self.roster = Roster(clock, self._adopt)
        self.jobs = Jobs("job", spawn, self._job_failed)
        self._journal = journal
        self._outside: Outside | None = None
        self._clock = clock
        self._randomness = randomness
        self._sleep = sleep
        self._log = log
        self._guilds: dict[GuildId, GuildChild] = {}
        self._children: list[Child] = []
        self._deaths: deque[tuple[Child, asyncio.Task[None]]] = deque()
        self._something_died = asyncio.Event()
        self._recoveries = Recoveries(MAX_RECOVERIES, MANY_GUILDS, set_apart)
        self._breaker = Breaker()
        self.caretaker = Caretaker(
            guilds=self._guilds,
            journal=journal,
            jobs=self.jobs,
            begin=self._begin,
            kill=self._kill,
            clock=clock,
            sleep=sleep,
            log=log,
        )
        self._stopping = False
        self._restarts = self._dead_letters = self._zombies = 0

    # The tree

    def connect(self, outside: Outside) -> None:
        """Says where effects go; before the first guild is told of."""
        self._outside = outside

    async def run(self, specs: Sequence[ChildSpec]) -> None:
        """Starts the children and handles deaths until it is cancelled.

        Raises:
            LedgerError: when a child died of an error that no restart mends (``ChildSpec.fatal``), or too often.
        """
        for spec in specs:
            child = Child(spec)
            self._children.append(child)
            self._begin(child)
        while True:
            await self._something_died.wait()
            self._something_died.clear()
            while self._deaths:
                self._handle(*self._deaths.popleft())

    def kill(self, name: str) -> bool:
        """Ends the life of the child (``guild/ID``, ``journal`` …) in the middle of whatever it does (chaos).

        False when it has none.
        """
        children = (*self._children, *self._guilds.values())
        child = next((each for each in children if each.spec.name == name), None)
        return child is not None and self._kill(child)

    def statistics(self) -> SupervisorStatistics:
        phases = Counter(child.phase() for child in self._guilds.values())
        return SupervisorStatistics(
            restarts=self._restarts,
            dead_letters=self._dead_letters,
            zombies=self._zombies,
            parked=tuple(guild for guild, child in self._guilds.items() if child.parked),
            breaker=self._breaker.openings,
            phases=dict(phases),
            hung_s=self.caretaker.hung_s,
        )

    def phase_of(self, guild: GuildId) -> str:
        """The guild's phase, or "parked", "passivated", "left"; "cold" for one that was never told of."""
        child = self._guilds.get(guild)
        return child.phase() if child else Phase.COLD.value

    # What commands ask (``standing.Inside``)

    def is_standby(self) -> bool:
        return self._journal.is_standby()

    def standing(self, guild: GuildId) -> Standing | None:
        child = self._guilds.get(guild)
        if child is None or child.actor is None:
            return None
        restored = child.actor.restored
        return Standing(
            phase=child.phase(),
            layers=self._journal.layers_of(guild),
            restored_from=restored.layer,
            restored_seq=restored.seq,
            replayed=restored.records,
            leader=self._journal.leader(),
            mailbox=child.address.statistics(),
            restarts=child.restarts,
        )

    async def keep_checkpoint(self, guild: GuildId) -> Kept:
        child = self._guilds.get(guild)
        if child is None or child.actor is None or child.task is None:
            raise NotRunning(f"guild {guild} has no running actor")
        try:
            return await child.actor.prove_checkpoint()
        except Fenced as error:
            raise NotRunning(f"guild {guild}'s actor was restarted meanwhile") from error

    async def read(self, query: Callable[[Lists], Awaitable[T]]) -> T:
        return await self._journal.read(query)

    async def drain(
        self, leave: Callable[[Drain], Awaitable[None]] | None = None, drain: Drain | None = None
    ) -> None:
        """Intake has stopped: empties the mailboxes, writes a checkpoint of every guild, ends every child.

        ``leave``: called once nothing is recorded any more, while the journal still reads; ``drain``: which has
        begun already.
        """
        if self._stopping:
            return
        drain = drain or Drain(self._clock)
        while self._journal.is_ready() and not self._is_quiet():
            if not drain.left_s(Step.MAILBOXES):
                drain.cut.append(Step.MAILBOXES)
                break
            await self._sleep(0.02)
        self._stopping = True
        await self._end(tuple(self._guilds.values()), drain.left_s(Step.LIVES))
        await self._keep_checkpoints(drain)
        if leave is not None:
            await leave(drain)
        async with drain.limit(Step.CHILDREN):
            await self.jobs.stop()
        await self._end(tuple(reversed(self._children)), drain.left_s(Step.CHILDREN))
        for guild, child in self._guilds.items():
            child.address.close(f"guild {guild}: the bot is stopping")

    async def _keep_checkpoints(self, drain: Drain) -> None:
        """Of every guild, if the journal can: it saves the next start reading, nothing depends on it."""
        actors = [child.actor for child in self._guilds.values() if child.actor is not None and not child.parked]
        if not self._journal.is_ready():
            self._log.warning("drain.cut_short", why="no layer takes anything", guilds=len(actors))
            return
        left = len(actors)
        async with drain.limit(Step.CHECKPOINTS):
            for actor in actors:
                await _leave_in_order(actor)
                left -= 1
        if left:
            self._log.warning("drain.cut_short", why="there was no more time", guilds=left)

    # Lives

    def _adopt(self, guild: GuildId, address: GuildAddress) -> None:
        spec = ChildSpec(name=address.name, start=partial(self._guild_life, guild), budget=GUILD_BUDGET)
        self._guilds[guild] = GuildChild(spec, guild, address)
        self._begin(self._guilds[guild])

    def _begin(self, child: Child) -> None:
        if self._stopping:
            return
        child.timer = None
        child.task = spawn(child.spec.start(), child.spec.name)
        child.task.add_done_callback(partial(self._died, child))

    async def _guild_life(self, guild: GuildId) -> None:
        child = self._guilds[guild]
        assert self._outside is not None, "connect() comes before the first guild"
        holder = child.address.hand_over()
        actor = child.actor = GuildActor(
            guild=guild,
            incarnation=holder,
            journal=self._journal,
            outside=self._outside,
            jobs=self.jobs,
            clock=self._clock,
            log=self._log,
        )
        async with self._recoveries.one(sum(child.address.statistics().waiting)):
            child.address.stage = Stage.REHYDRATING
            await actor.rehydrate()
        self._welcome(child, actor)
        await live(child.address, holder, actor)

    def _welcome(self, child: GuildChild, actor: GuildActor) -> None:
        """A life that has its state: it is told what the one before it knew, or that the guild is there."""
        if child.parked:
            self._log.info("guild.revived", guild=child.guild, seq=actor.state.seq, probes=child.probes)
            child.parked, child.probes = "", 0
            child.charged = ()
            child.address.unpark()
        if child.asleep is not None:
            actor.wake(child.asleep)
            child.asleep = None
            return
        greeting = self.roster.greeting(child.guild)
        if child.restarts and greeting is not None and not _is_greeted(child.address):
            self.roster.tell(child.guild, greeting)

    def _kill(self, child: Child) -> bool:
        task = child.task
        if task is None:
            return False
        if isinstance(child, GuildChild):
            child.address.hand_over()
        task.cancel()
        asyncio.get_running_loop().call_later(child.spec.shutdown_s, self._abandon, child, task)
        return True

    def _died(self, child: Child, task: asyncio.Task[None]) -> None:
        self._deaths.append((child, task))
        self._something_died.set()

    def _abandon(self, child: Child, task: asyncio.Task[None]) -> None:
        """A life that was cancelled and does not end: mailbox gone, writes fenced; go on without it.

        Only guilds are fenced from a second life. Any other child is waited for: it restarts when it has ended.
        """
        if child.task is not task or task.done():
            return
        self._zombies += 1
        self._log.error("actor.lingered", child=child.spec.name, seconds=child.spec.shutdown_s)
        if isinstance(child, GuildChild):
            child.task = None
            self._restart(child, "zombie", after_s=0.0)

    # Deaths

    def _handle(self, child: Child, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if child.task is not task or self._stopping:
            return
        child.task = None
        child.note_death(self._clock.monotonic_s())
        if isinstance(child, GuildChild):
            self._guild_died(child, error)
        else:
            self._root_died(child, error, killed=task.cancelled())

    def _root_died(self, child: Child, error: BaseException | None, *, killed: bool) -> None:
        if error is None and not killed and child.spec.restart is Restart.TRANSIENT:
            return
        if child.spec.on_death is not None:
            child.spec.on_death(ChildDied(f"{child.spec.name} died"))
        if isinstance(error, child.spec.fatal):
            raise error
        if not killed and not child.charge(self._clock.monotonic_s()):
            raise GaveUp(f"{child.spec.name} died too often, last of {told(error)}")
        after_s = 0.0 if killed else self._backoff_s(child)
        self._restart(child, "killed" if killed else told(error), after_s=after_s)

    def _guild_died(self, child: GuildChild, error: BaseException | None) -> None:
        match error:
            case None:  # killed
                self._restart(child, "killed", after_s=0.0)
            case (
                Fenced() | Revoked() | StorageError()
            ):  # nobody's fault here; `open` waits until there is storage again
                self._restart(child, str(error), after_s=self._backoff_s(child))
            case EvolveFailed():
                self._park(child, str(error), error)
            case _:
                self._guild_failed(child, error)

    def _guild_failed(self, child: GuildChild, error: BaseException) -> None:
        """A death of its own: the message is charged, and the guild's budget, unless many guilds die at once."""
        now_s = self._clock.monotonic_s()
        self._charge_message(child, error)
        if self._breaker.note(child.spec.name, len(self._guilds), now_s):
            pause_s = round(self._breaker.wait_s(now_s), 1)
            self._log.error("breaker.opened", error=repr(error), guilds=len(self._guilds), pause_s=pause_s)
        if self._breaker.is_open(now_s):
            wait_s = self._breaker.wait_s(now_s)
            self._restart(child, told(error), after_s=wait_s + self._randomness.uniform(0.0, wait_s))
        elif child.parked:
            self._park(child, f"died again, of {error!r}", error)
        elif child.charge(now_s):
            self._restart(child, told(error), after_s=self._backoff_s(child))
        else:
            self._park(child, f"died too often, last of {error!r}", error)

    def _charge_message(self, child: GuildChild, error: BaseException) -> None:
        envelope = child.address.charge()
        if envelope is not None and envelope.failures >= MAX_FAILURES_A_MESSAGE:
            self._bury(child, envelope, error)

    def _bury(self, child: GuildChild, envelope: "Envelope[m.Message, Answer]", error: BaseException) -> None:
        self._dead_letters += 1
        message = type(envelope.message).__name__
        self._log.error(
            "letter.buried",
            guild=child.guild,
            message=message,
            error=repr(error),
            traceback="".join(traceback.format_exception(error)),
        )
        child.address.bury(envelope, f"{message} could not be handled: {error!r}")
        notice = dead_letter(child.guild, envelope.message, "handler_failed", self._clock.stamp_us())
        if notice is not None:
            self._keep(notice.digest, payload_of(child.guild, envelope.message))
            self.roster.tell(child.guild, notice)

    def _backoff_s(self, child: Child) -> float:
        """Full jitter: anything between nothing and a limit that doubles with each recent death, charged or not."""
        budget = child.spec.budget
        limit = min(budget.max_backoff_s, budget.base_backoff_s * 2.0 ** min(len(child.deaths), 16))
        return self._randomness.uniform(0.0, limit)

    def _restart(self, child: Child, why: str, *, after_s: float) -> None:
        self._restarts += 1
        child.restarts += 1
        self._log.warning("actor.restarted", child=child.spec.name, why=why, after_s=round(after_s, 3))
        child.timer = asyncio.get_running_loop().call_later(after_s, self._begin, child)

    def _park(self, child: GuildChild, why: str, error: BaseException) -> None:
        """Gives the guild up for now; said again only when the reason is another one."""
        limit_s = min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(child.probes, 16))
        pause_s = self._randomness.uniform(0.5 * limit_s, limit_s)
        child.probe_at_s = self._clock.monotonic_s() + pause_s
        child.probes += 1
        if child.parked != why:
            hint = error.hint if isinstance(error, LedgerError) else BUG_HINT
            self._log.error("guild.parked", guild=child.guild, why=why, again_s=round(pause_s, 1), hint=hint)
        child.parked = why
        child.address.park(f"guild {child.guild} is parked: {why}")

    def _job_failed(self, name: str, error: BaseException) -> None:
        self._log.error(
            "job.failed", job=name, error=repr(error), traceback="".join(traceback.format_exception(error))
        )

    # The end

    def _is_quiet(self) -> bool:
        waiting = (child.address for child in self._guilds.values() if not child.parked)
        return self._journal.is_idle() and all(address.is_idle() for address in waiting)

    async def _end(self, children: Sequence[Child], within_s: float) -> None:
        for child in children:
            if child.timer is not None:
                child.timer.cancel()
            if child.task is not None:
                child.task.cancel()
        tasks = [child.task for child in children if child.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            self._zombies += len(late)


def _is_greeted(address: GuildAddress) -> bool:
    return any(isinstance(message, m.GuildCameUp) for message in address.waiting_in(Lane.CONTROL))


async def _leave_in_order(actor: GuildActor) -> None:
    actor.move(Phase.STOPPING)
    await actor.keep_checkpoint()
    actor.move(Phase.STOPPED)


def main() -> None:
    """The program's entry point (``inviteledger``)."""
    os.umask(0o077)  # names, and who invited whom: what is written is its owner's alone
    set_on_retry_hooks([])  # by itself the library writes each retry to stdout, where our lines and answers go
    run, forget = partial(run_bot, Supervisor), partial(forget_alone, Supervisor)
    app = make_app(settings=read_settings, run=run, demo=play, forget=forget)
    sys.exit(perform(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
