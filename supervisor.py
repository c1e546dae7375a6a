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
"""

import asyncio
import logging
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final, TypeVar

from stamina.instrumentation import set_on_retry_hooks
from structlog.typing import FilteringBoundLogger

from actors.care import Breaker, Caretaker
from actors.cli.app import RunOptions, make_app, perform
from actors.cli.demo import play
from actors.cli.exits import OK, exit_code_of
from actors.clock import Sleep, SystemClock, SystemRandomness
from actors.cloud_side import Cloud, CloudSide
from actors.drain import Drain, Step
from actors.drills import last_drill
from actors.forgetting import ForgetReport, ForgetRequest, Forgetting, Progress
from actors.gateway.names import LibraryMismatch
from actors.gateway.runner import Gateway
from actors.ground import hold, open_cloud, warn_of_data, warn_of_first_start
from actors.guild import EvolveFailed, GuildActor, GuildAddress, Nowhere, Outside, dead_letter, payload_of
from actors.journal import Journal
from actors.keeper import Keeper
from actors.logs import adopt_libraries, make_logger
from actors.mailbox import Envelope, Lane, Revoked, Stage
from actors.memory import MANY_GUILDS, calm_collector, set_apart
from actors.ops.health import Vitals
from actors.ops.http import OpsServer
from actors.ops.serving import CannotListen
from actors.recovered import tell_recovery
from actors.roster import Roster
from actors.runtime import Jobs, live
from actors.salvager import Salvager
from actors.settings import Settings
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
    journal_spec,
    spawn,
)
from ledger import messages as m
from ledger.answers import Answer
from ledger.errors import Fenced, LedgerError, Stale, StorageError
from ledger.ids import GuildId
from ledger.phases import Phase
from ledger.ports import Clock, Randomness
from persistence.cloud import CloudLayer
from persistence.disk import Held, RealDisk
from persistence.lists import Lists
from persistence.local import LocalLayer, hold_folder
from persistence.marker import folder_id
from persistence.offload import ThreadOffload
from persistence.quarantine import Quarantine
from persistence.salvage import FileSalvage
from persistence.sqlite import SqliteLayer
from persistence.store import Store

T = TypeVar("T")

MAX_FAILURES_A_MESSAGE: Final = 2
MAX_RECOVERIES: Final = 50
"""Guilds that read their state at once; who has most waiting comes first."""
FIRST_PROBE_S: Final = 60.0
LONGEST_PROBE_S: Final = 3_600.0
"""A parked guild is tried again after the first, and twice as long each time up to the last, with jitter."""


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
        if isinstance(error, child.spec.fatal):
            raise error
        if not killed and not child.charge(self._clock.monotonic_s()):
            raise GaveUp(f"{child.spec.name} died too often, last of {_told(error)}")
        if child.spec.on_death is not None:
            child.spec.on_death(StorageError(f"{child.spec.name} died"))
        after_s = 0.0 if killed else self._backoff_s(child)
        self._restart(child, "killed" if killed else _told(error), after_s=after_s)

    def _guild_died(self, child: GuildChild, error: BaseException | None) -> None:
        match error:
            case None:  # killed
                self._restart(child, "killed", after_s=0.0)
            case (
                Fenced() | Revoked() | StorageError()
            ):  # nobody's fault here; `open` waits until there is storage again
                self._restart(child, str(error), after_s=self._backoff_s(child))
            case EvolveFailed():
                self._park(child, str(error))
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
            self._restart(child, _told(error), after_s=wait_s + self._randomness.uniform(0.0, wait_s))
        elif child.parked:
            self._park(child, f"died again, of {error!r}")
        elif child.charge(now_s):
            self._restart(child, _told(error), after_s=self._backoff_s(child))
        else:
            self._park(child, f"died too often, last of {error!r}")

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

    def _park(self, child: GuildChild, why: str) -> None:
        """Gives the guild up for now; said again only when the reason is another one."""
        limit_s = min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(child.probes, 16))
        pause_s = self._randomness.uniform(0.5 * limit_s, limit_s)
        child.probe_at_s = self._clock.monotonic_s() + pause_s
        child.probes += 1
        if child.parked != why:
            hint = EvolveFailed.hint
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


def _told(error: BaseException | None) -> str:
    match error:
        case None:
            return "ended by itself"
        case LedgerError():
            return str(error)
        case _:
            return repr(error)


class Program:
    """The whole bot: its parts, made once from the settings, and how they start and end."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        offload: ThreadOffload,
        log: FilteringBoundLogger,
        *,
        cloud: Cloud | None,
        began: Callable[[int], None],
        chaos: bool,
    ) -> None:
        clock, randomness = SystemClock(), SystemRandomness()
        self._clock = clock
        self._log = log
        self._store = store
        self._draining = False
        self._release = version("inviteledger")
        self._data = settings.ledger_data
        self.cloud = None if cloud is None else _cloud_side(cloud, store, self._hears_discord, log)
        turn = None if self.cloud is None else self.cloud.await_turn
        self.journal = Journal(store, settings.named_layers(), clock, asyncio.sleep, log, turn=turn, began=began)
        if self.cloud is not None:
            self.cloud.attach(self.journal, settings.named_layers())
        self.supervisor = Supervisor(
            journal=self.journal,
            keep=self._keep,
            clock=clock,
            randomness=randomness,
            sleep=asyncio.sleep,
            log=log,
        )
        self._offload = offload
        self._quarantine = Quarantine(RealDisk(), settings.ledger_data / "quarantine")
        self.gateway = Gateway(
            token=settings.token().get_secret_value(),
            api_url=settings.discord_api_url,
            roster=self.supervisor.roster,
            inside=self.supervisor,
            clock=clock,
            sleep=asyncio.sleep,
            randomness=randomness,
            spawn=spawn,
            keep=self._keep,
            witness=settings.ledger_second_witness == "on",
            log=log,
        )
        self.supervisor.connect(self.gateway.outside)
        self.keeper = Keeper(store, self.journal, self.supervisor, clock=clock, sleep=asyncio.sleep, log=log)
        self.salvager = Salvager(store.salvage, self.supervisor.roster, clock, asyncio.sleep, log)
        self.http = OpsServer(
            endpoint=settings.http(),
            token=settings.ledger_http_token,
            health=self,
            forget=forgetting(self.supervisor, self.journal, settings, offload).forget,
            kill=self.supervisor.kill,
            chaos=chaos,
            log=log,
        )

    def _hears_discord(self) -> bool:
        status = self.gateway.status()
        return status.connected and not status.awaited

    def _keep(self, digest: str, payload: bytes) -> None:
        """Puts an event that could not be read aside, beside the loop: a storm of them must not stop it."""

        async def write() -> None:
            why = "an event that could not be read"
            await self._offload(lambda: self._quarantine.keep(f"{digest}.json", payload, why))

        self.supervisor.jobs.start(write(), f"quarantine/{digest[:8]}")

    def specs(self) -> tuple[ChildSpec, ...]:
        """The root's children, in the order of their start."""
        return (
            journal_spec(self.journal),
            *(() if self.cloud is None else self.cloud.specs()),
            ChildSpec(name="caretaker", start=self.supervisor.caretaker.run),
            ChildSpec(name="salvager", start=self.salvager.run),
            ChildSpec(name="keeper", start=self.keeper.run, fatal=(Stale,)),
            ChildSpec(name="http", start=self.http.run, fatal=(CannotListen,)),
            ChildSpec(
                name="gateway",
                start=self.gateway.run,
                restart=Restart.TRANSIENT,
                fatal=(LibraryMismatch,),
            ),
        )

    def vitals(self) -> Vitals:
        """The process now (``ops.health.Health``)."""
        gateway = self.gateway.status()
        return Vitals(
            release=self._release,
            held=gateway.held,
            connected=gateway.connected,
            shards=gateway.shards,
            awaited=gateway.awaited,
            draining=self._draining,
            standby=self.cloud is not None and self.cloud.handover.is_waiting,
            drill=last_drill(RealDisk(), self._data),
            tree=self.supervisor.statistics(),
            journal=self.journal.statistics(),
            keeper=self.keeper.statistics(),
            mailboxes=self.supervisor.roster.statistics(),
            dispatches=gateway.dispatches,
            requests=gateway.requests,
            errands=gateway.errands,
        )

    async def run(self, stop: asyncio.Future[str]) -> None:
        """Runs until ``stop`` has a result, which says why; then drains in order.

        Raises:
            LedgerError: when a child died of what no restart mends.
        """
        tree = spawn(self.supervisor.run(self.specs()), "supervisor")
        try:
            either: set[asyncio.Future[None] | asyncio.Future[str]] = {tree, stop}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._drain(tree, _why_stopped(tree, stop))
        if not tree.cancelled():
            tree.result()

    async def _drain(self, tree: asyncio.Task[None], why: str) -> None:
        """Let a newcomer pass, stop intake, empty the mailboxes, keep checkpoints, flush, end all, say goodbye."""
        self._draining = True
        self._log.info("bot.draining", why=why)
        drain = Drain(self._clock)
        if self.cloud is not None:
            await self.cloud.let_pass(drain)
        self.gateway.stop_intake()
        await self.supervisor.drain(self._leave, drain)
        tree.cancel()
        await asyncio.wait({tree}, timeout=drain.left_s(Step.CHILDREN))
        await self._store.close()
        async with drain.limit(Step.GATEWAY):
            await self.gateway.close()
        self._log.info("drain.finished", seconds=round(drain.took_s, 2), cut=list(drain.cut))

    async def _leave(self, drain: Drain) -> None:
        """Nothing is recorded any more: the cloud gets the rest, and all of it is read back."""
        if self.cloud is not None:
            await self.cloud.leave(drain)
        await self.keeper.finish(drain)


def _why_stopped(tree: asyncio.Task[None], stop: asyncio.Future[str]) -> str:
    if stop.done():
        return stop.result()
    return _told(tree.exception()) if tree.done() and not tree.cancelled() else "cancelled"


def _ask_to_stop(stop: asyncio.Future[str], number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number.name)


def forgetting(supervisor: Supervisor, journal: Journal, settings: Settings, offload: ThreadOffload) -> Forgetting:
    """Forgetting with the actors of this tree."""
    return Forgetting(
        roster=supervisor.roster,
        inside=supervisor,
        guilds=journal.guilds,
        unsalvaged=journal.unsalvaged,
        quarantine=Quarantine(RealDisk(), settings.ledger_data / "quarantine"),
        offload=offload,
        clock=SystemClock(),
    )


def run_bot(settings: Settings, options: RunOptions) -> int:
    """``inviteledger run``: until SIGTERM or SIGINT; what ended it otherwise is its last line, and the exit code."""
    clock = SystemClock()
    log = make_logger(settings, clock, sys.stdout)
    adopt_libraries(settings, clock, sys.stdout)
    offload = ThreadOffload("disk")
    calm_collector()
    try:
        asyncio.run(_run(settings, log, offload, options))
    except LedgerError as error:
        log.error("bot.stopped", error=str(error), hint=error.hint)  # noqa: TRY400 -- expected: no traceback
        return exit_code_of(error)
    finally:
        offload.close()
    log.info("bot.stopped")
    return OK


async def _run(settings: Settings, log: FilteringBoundLogger, offload: ThreadOffload, options: RunOptions) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask_to_stop, stop, number)
    log.info("bot.started", version=version("inviteledger"), data=str(settings.ledger_data))
    warn_of_data(settings, log)
    disk, data = RealDisk(), settings.ledger_data
    holding = spawn(hold(disk, data, asyncio.sleep, log), "hold")
    either: set[asyncio.Future[Held] | asyncio.Future[str]] = {holding, stop}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not holding.done():
        holding.cancel()
        return
    held = holding.result()
    try:
        async with _opened(settings, offload, options) as (store, cloud, seen):

            def began(epoch: int) -> None:
                warn_of_first_start(settings, log, seen=seen, earlier=epoch - 1)

            if cloud is None:
                began(await _recover(store, log))
            await Program(settings, store, offload, log, cloud=cloud, began=began, chaos=options.chaos).run(stop)
    finally:
        held.release()


def forget_alone(settings: Settings, request: ForgetRequest, progress: Progress) -> ForgetReport:
    """Forgets where no bot runs: the same tree without a gateway, for as long as it takes.

    Raises:
        FolderInUse: when a bot runs on the folder: it has to be asked (``POST /forget``).
        LedgerError: when nothing can be recorded.
    """
    log = make_logger(settings, SystemClock(), sys.stderr, logging.WARNING)
    offload = ThreadOffload("disk")
    held = hold_folder(RealDisk(), settings.ledger_data, "just now, to forget")
    try:
        return asyncio.run(_forget_alone(settings, request, progress, offload, log))
    finally:
        held.release()
        offload.close()


async def _forget_alone(
    settings: Settings, request: ForgetRequest, progress: Progress, offload: ThreadOffload, log: FilteringBoundLogger
) -> ForgetReport:
    async with _opened(settings, offload, RunOptions()) as (store, cloud, _):
        clock, named = SystemClock(), settings.named_layers()
        side = None
        if cloud is not None:
            side = _cloud_side(cloud, store, lambda: False, log)
            await side.handover.expect_nobody()
        await _recover(store, log)
        journal = Journal(store, named, clock, asyncio.sleep, log)
        supervisor = Supervisor(
            journal=journal,
            keep=lambda _digest, _payload: None,
            clock=clock,
            randomness=SystemRandomness(),
            sleep=asyncio.sleep,
            log=log,
        )
        supervisor.connect(Nowhere())
        if side is not None:
            side.attach(journal, named)
        specs = (journal_spec(journal), *(() if side is None else side.specs()))
        tree = spawn(supervisor.run(specs), "supervisor")
        await Salvager(store.salvage, supervisor.roster, clock, asyncio.sleep, log).salvage_all()
        report = await forgetting(supervisor, journal, settings, offload).forget(request, progress)
        await supervisor.drain(None if side is None else side.leave)
        tree.cancel()
        await asyncio.wait({tree})
        return report


def _cloud_side(cloud: Cloud, store: Store, hears: Callable[[], bool], log: FilteringBoundLogger) -> CloudSide:
    randomness, clock = SystemRandomness(), SystemClock()
    return CloudSide(cloud, store, hears=hears, randomness=randomness, clock=clock, sleep=asyncio.sleep, log=log)


@asynccontextmanager
async def _opened(
    settings: Settings, offload: ThreadOffload, options: RunOptions
) -> AsyncIterator[tuple[Store, Cloud | None, bool]]:
    """The store of a data folder, whose lock the caller holds; its cloud, if any; whether it saw a start before."""
    disk, data, randomness = RealDisk(), settings.ledger_data, SystemRandomness()
    layers = (LocalLayer(disk, data, offload), SqliteLayer(disk, settings.database(), data / "quarantine"))
    writer, seen = folder_id(disk, data, randomness)
    objects = open_cloud(settings, disk, offload, randomness)
    cloud = None if objects is None else CloudLayer(objects, offload, randomness, SystemClock(), writer)
    store = Store(
        layers,
        SystemClock(),
        randomness,
        cloud,
        salvage=FileSalvage(disk, data, offload),
        named=settings.named_layers(),
        may_begin_anew=options.abandon_history,
    )
    try:
        yield store, None if objects is None else Cloud(objects, writer), seen
    finally:
        await store.close()
        if objects is not None:
            await objects.close()


async def _recover(store: Store, log: FilteringBoundLogger) -> int:
    """Compares the layers, says what came of it, and gives the epoch that was taken."""
    clock = SystemClock()
    began_s = clock.monotonic_s()
    report = await store.start()
    tell_recovery(log, report, clock.monotonic_s() - began_s)
    return report.epoch


def main() -> None:
    """The program's entry point (``inviteledger``)."""
    set_on_retry_hooks([])  # by itself the library writes each retry to stdout, where our lines and answers go
    app = make_app(settings=read_settings, run=run_bot, demo=play, forget=forget_alone)
    sys.exit(perform(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
