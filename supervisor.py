"""The supervisor, the tree, and ``main``: the root of the program. Tests apart, nobody imports it.

    main
    └── Supervisor
        ├── journal            permanent; its death voids every guild's life, mailboxes stay
        ├── gateway            permanent; never restarted for storage
        ├── http               permanent
        └── guild/…            one for one, a budget each; spent → parked until the process restarts

Children are data (``ChildSpec``). A death is an event that one loop handles: charge the message or the child, bury a
message that failed twice, restart after a backoff with full jitter, park. A life is ended in this order: its mailbox
is taken away, then it is cancelled, then it is waited for; one that does not end is counted as a zombie, and the
fences (mailbox, journal) keep it from doing harm. The only broad ``except`` of the program is here.
"""

import asyncio
import heapq
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import count
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.guild import EvolveFailed, GuildActor, GuildAddress, Outside, dead_letter
from actors.journal import Journal
from actors.roster import Roster
from actors.runtime import Envelope, Jobs, Stage, live
from ledger import messages as m
from ledger.errors import Fenced, LedgerError, StorageError
from ledger.ids import GuildId
from ledger.ports import Clock, Randomness

MAX_FAILURES_A_MESSAGE: Final = 2
MAX_RECOVERIES: Final = 50
"""Guilds that read their state at once; who has most waiting comes first."""
SHUTDOWN_S: Final = 5.0
DRAIN_S: Final = 20.0
"""The mailboxes may take so long to empty before the process stops without."""


class Restart(StrEnum):
    """Whether a child that ended is started again."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # unless it ended by itself, without an error


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How many charged deaths a child may die in ``period_s`` seconds; one more and it is given up."""

    deaths: int
    period_s: float
    base_backoff_s: float = 0.05
    max_backoff_s: float = 30.0


GUILD_BUDGET: Final = Budget(deaths=10, period_s=60.0)
ROOT_BUDGET: Final = Budget(deaths=20, period_s=300.0)


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A child as data: how it is started, whether again, how long its end may take, how often it may die.

    ``on_death`` is called before the restart (the journal voids its queue); ``fatal``: errors no restart mends.
    """

    name: str
    start: Callable[[], Coroutine[object, object, None]]
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = SHUTDOWN_S
    budget: Budget = ROOT_BUDGET
    on_death: Callable[[LedgerError], None] | None = None
    fatal: tuple[type[LedgerError], ...] = ()


class Child:
    """A running (or parked, or waiting) child."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.task: asyncio.Task[None] | None = None
        self.deaths: deque[float] = deque()
        self.restarts = 0
        self.parked = ""
        self.timer: asyncio.TimerHandle | None = None


class GuildChild(Child):
    """A guild's child; ``actor`` is its newest life."""

    def __init__(self, spec: ChildSpec, guild: GuildId, address: GuildAddress) -> None:
        super().__init__(spec)
        self.guild = guild
        self.address = address
        self.actor: GuildActor | None = None


class SupervisorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The tree in numbers since the process began. ``phases``: guilds by phase, "parked" among them."""

    restarts: int
    dead_letters: int
    zombies: int
    parked: tuple[GuildId, ...]
    phases: dict[str, int]


class Recoveries:
    """Lets at most ``capacity`` guilds read their state at once; the busiest waits least."""

    def __init__(self, capacity: int) -> None:
        self._free = capacity
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def one(self, busy: int) -> AsyncIterator[None]:
        """A place; ``busy``: how many messages wait for this guild."""
        if self._free:
            self._free -= 1
        else:
            await self._turn(busy)
        try:
            yield
        finally:
            self._pass_on()

    async def _turn(self, busy: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-busy, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the place had been given to a life that was ended before it could take it
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def spawn(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    """The one place where tasks begin (``runtime.Spawner``)."""
    return asyncio.get_running_loop().create_task(work, name=name)


class Supervisor:
    """Starts children, hears of their deaths, and does what their specs say.

    Args:
        journal: for the guilds' lives.
        outside: where the guilds' effects go.
        clock, randomness, sleep: time and jitter.
        log: where every restart is told.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        randomness: Randomness,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
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
        self._recoveries = Recoveries(MAX_RECOVERIES)
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

    def kill(self, guild: GuildId) -> bool:
        """Ends the guild's life in the middle of whatever it does (chaos); False when it has none."""
        child = self._guilds.get(guild)
        if child is None or child.task is None:
            return False
        child.address.hand_over()
        task = child.task
        task.cancel()
        asyncio.get_running_loop().call_later(child.spec.shutdown_s, self._abandon, child, task)
        return True

    def statistics(self) -> SupervisorStatistics:
        phases: dict[str, int] = {}
        for child in self._guilds.values():
            phase = "parked" if child.parked else child.actor.presence.phase.value if child.actor else "cold"
            phases[phase] = phases.get(phase, 0) + 1
        return SupervisorStatistics(
            restarts=self._restarts,
            dead_letters=self._dead_letters,
            zombies=self._zombies,
            parked=tuple(guild for guild, child in self._guilds.items() if child.parked),
            phases=phases,
        )

    def phase_of(self, guild: GuildId) -> str:
        """The guild's phase, "parked" or "cold"."""
        child = self._guilds.get(guild)
        if child is None or child.actor is None:
            return "cold"
        return "parked" if child.parked else child.actor.presence.phase.value

    async def drain(self) -> None:
        """Intake has stopped: empties the mailboxes, writes a checkpoint of every guild, ends every child."""
        deadline_s = self._clock.monotonic_s() + DRAIN_S
        while not self._is_quiet() and self._clock.monotonic_s() < deadline_s:
            await self._sleep(0.02)
        self._stopping = True
        for child in self._guilds.values():
            if child.actor is not None and not child.parked:
                await child.actor.keep_checkpoint()
        await self.jobs.stop()
        await self._end([*self._guilds.values(), *reversed(self._children)])
        for guild, child in self._guilds.items():
            child.address.close(f"guild {guild}: the bot is stopping")

    # Lives

    def _adopt(self, guild: GuildId, address: GuildAddress) -> None:
        spec = ChildSpec(name=address.name, start=lambda: self._guild_life(guild), budget=GUILD_BUDGET)
        self._guilds[guild] = GuildChild(spec, guild, address)
        self._begin(self._guilds[guild])

    def _begin(self, child: Child) -> None:
        if self._stopping:
            return
        child.timer = None
        child.task = spawn(child.spec.start(), child.spec.name)
        child.task.add_done_callback(lambda task: self._died(child, task))

    async def _guild_life(self, guild: GuildId) -> None:
        child = self._guilds[guild]
        assert self._outside is not None, "connect() comes before the first guild"
        holder = child.address.hand_over()
        child.address.stage = Stage.REHYDRATING
        child.actor = GuildActor(
            guild=guild,
            incarnation=holder,
            journal=self._journal,
            outside=self._outside,
            jobs=self.jobs,
            clock=self._clock,
            log=self._log,
        )
        async with self._recoveries.one(sum(child.address.statistics().waiting)):
            await child.actor.rehydrate()
        greeting = self.roster.greeting(guild)
        if child.restarts and greeting is not None:
            self.roster.tell(guild, greeting)
        await live(child.address, holder, child.actor)

    def _died(self, child: Child, task: asyncio.Task[None]) -> None:
        self._deaths.append((child, task))
        self._something_died.set()

    def _abandon(self, child: Child, task: asyncio.Task[None]) -> None:
        """A life that was cancelled and does not end: mailbox gone, writes fenced; go on without it."""
        if child.task is task and not task.done():
            self._zombies += 1
            child.task = None
            self._restart(child, "zombie", after_s=0.0)

    # Deaths

    def _handle(self, child: Child, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if child.task is not task or self._stopping:
            return
        child.task = None
        if isinstance(child, GuildChild):
            self._guild_died(child, error)
        else:
            self._root_died(child, error)

    def _root_died(self, child: Child, error: BaseException | None) -> None:
        if error is None and child.spec.restart is Restart.TRANSIENT:
            return
        if isinstance(error, child.spec.fatal):
            raise error
        if not self._charge(child):
            raise GaveUp(f"{child.spec.name} died too often, last of {error!r}")
        if child.spec.on_death is not None:
            child.spec.on_death(StorageError(f"{child.spec.name} died"))
        self._restart(child, _told(error), after_s=self._backoff_s(child))

    def _guild_died(self, child: GuildChild, error: BaseException | None) -> None:
        match error:
            case None:  # killed
                self._restart(child, "killed", after_s=0.0)
            case Fenced() | StorageError():  # nobody's fault here; `open` waits until there is storage again
                self._restart(child, str(error), after_s=self._backoff_s(child))
            case EvolveFailed():
                self._park(child, str(error))
            case _:
                self._charge_message(child, error)
                if self._charge(child):
                    self._restart(child, _told(error), after_s=self._backoff_s(child))
                else:
                    self._park(child, f"died too often, last of {error!r}")

    def _charge_message(self, child: GuildChild, error: BaseException) -> None:
        envelope = child.address.charge()
        if envelope is not None and envelope.failures >= MAX_FAILURES_A_MESSAGE:
            self._bury(child, envelope, error)

    def _bury(self, child: GuildChild, envelope: "Envelope[m.Message, m.Answer]", error: BaseException) -> None:
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
        notice = dead_letter(envelope.message, "handler_failed", self._clock.stamp_us())
        if notice is not None:
            self.roster.tell(child.guild, notice)

    def _charge(self, child: Child) -> bool:
        """Whether the child may live on after this death."""
        now_s, budget = self._clock.monotonic_s(), child.spec.budget
        child.deaths.append(now_s)
        while child.deaths and child.deaths[0] < now_s - budget.period_s:
            child.deaths.popleft()
        return len(child.deaths) <= budget.deaths

    def _backoff_s(self, child: Child) -> float:
        """Full jitter: anything between nothing and a limit that doubles with each recent death."""
        budget = child.spec.budget
        limit = min(budget.max_backoff_s, budget.base_backoff_s * 2.0 ** min(len(child.deaths), 16))
        return self._randomness.uniform(0.0, limit)

    def _restart(self, child: Child, why: str, *, after_s: float) -> None:
        self._restarts += 1
        child.restarts += 1
        self._log.warning("actor.restarted", child=child.spec.name, why=why, after_s=round(after_s, 3))
        child.timer = asyncio.get_running_loop().call_later(after_s, self._begin, child)

    def _park(self, child: GuildChild, why: str) -> None:
        child.parked = why
        self._log.error("guild.parked", guild=child.guild, why=why, hint=EvolveFailed.hint)
        child.address.close(f"guild {child.guild} is parked: {why}")

    def _job_failed(self, name: str, error: BaseException) -> None:
        self._log.error(
            "job.failed", job=name, error=repr(error), traceback="".join(traceback.format_exception(error))
        )

    # The end

    def _is_quiet(self) -> bool:
        waiting = (child.address for child in self._guilds.values() if not child.parked)
        return self._journal.is_idle() and all(address.is_idle() for address in waiting)

    async def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            if child.timer is not None:
                child.timer.cancel()
            if child.task is not None:
                child.task.cancel()
        tasks = [child.task for child in children if child.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=SHUTDOWN_S)
            self._zombies += len(late)


class GaveUp(LedgerError):
    """A child of the root died more often than its budget allows."""

    hint = "look at the log lines actor.restarted before this one; start again when the cause is gone"


def _told(error: BaseException | None) -> str:
    return "ended by itself" if error is None else repr(error)
