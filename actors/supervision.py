"""What the supervisor works with: child specs as data, budgets, running children, and who may recover when.

Values and small mechanisms; the strategy, what a death leads to, is ``supervisor.py``.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import count
from typing import Final, TypeVar

import msgspec

from actors.guild import GuildActor, GuildAddress
from actors.journal import Journal
from ledger.errors import LedgerError, NewerFormat, Stale, WrongHistory
from ledger.ids import GuildId
from ledger.phases import Phase
from ledger.presence import Presence
from persistence.probe import StoreUnfit

T = TypeVar("T")

SHUTDOWN_S: Final = 5.0
PARKED: Final = "parked"
"""Beside the phases: a guild that was given up, and is tried again now and then."""
PASSIVATED: Final = "passivated"
"""A guild at rest: its state is not in memory, the next message brings it back."""
LEFT: Final = "left"
"""A guild that the bot was removed from, or is not in and was asked about, at rest likewise."""


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


ROOT_BUDGET: Final = Budget(deaths=20, period_s=300.0)
GUILD_BUDGET: Final = Budget(deaths=10, period_s=60.0)


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


def journal_spec(journal: Journal) -> ChildSpec:
    """The journal as a child, wherever one runs: and what its death leaves is void."""
    return ChildSpec(
        name="journal", start=journal.run, on_death=journal.void, fatal=(Stale, WrongHistory, NewerFormat, StoreUnfit)
    )


class Child:
    """A running (or waiting) child. ``deaths``: the recent ones; ``charged``: those its budget counts.

    There are thousands of children, and few of them ever die: slots, and tuples, for an empty deque takes 760 bytes.
    """

    __slots__ = ("charged", "deaths", "restarts", "spec", "task", "timer")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.task: asyncio.Task[None] | None = None
        self.deaths: tuple[float, ...] = ()
        self.charged: tuple[float, ...] = ()
        self.restarts = 0
        self.timer: asyncio.TimerHandle | None = None

    def note_death(self, now_s: float) -> None:
        """Remembers a death for as long as it makes the next restart wait."""
        self.deaths = (*_within(self.deaths, self.spec.budget, now_s), now_s)

    def charge(self, now_s: float) -> bool:
        """Whether the child may live on after a death of its own now."""
        self.charged = (*_within(self.charged, self.spec.budget, now_s), now_s)
        return len(self.charged) <= self.spec.budget.deaths


def _within(deaths: Iterable[float], budget: Budget, now_s: float) -> Iterator[float]:
    return (death_s for death_s in deaths if death_s >= now_s - budget.period_s)


class GuildChild(Child):
    """A guild's child; ``actor`` is its newest life, None before the first and while the guild is passivated.

    ``asleep``: what was true of the life that was passivated, for the next one; ``parked``: why the guild was given
    up, ``probe_at_s``: when it is tried again, after ``probes`` tries.
    """

    __slots__ = ("actor", "address", "asleep", "guild", "parked", "probe_at_s", "probes")

    def __init__(self, spec: ChildSpec, guild: GuildId, address: GuildAddress) -> None:
        super().__init__(spec)
        self.guild = guild
        self.address = address
        self.actor: GuildActor | None = None
        self.asleep: Presence | None = None
        self.parked = ""
        self.probe_at_s = 0.0
        self.probes = 0

    def phase(self) -> str:
        """The phase of the running life, or what stands for one where there is none."""
        if self.parked:
            return PARKED
        if self.asleep is not None:
            return PASSIVATED if self.asleep.phase is Phase.LIVE else LEFT
        return (self.actor.presence.phase if self.actor else Phase.COLD).value


class SupervisorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The tree in numbers since the process began.

    ``parked``: guilds given up now; ``breaker``: how often many died at once; ``phases``: guilds by phase, "parked",
    "passivated" and "left" among them; ``hung_s``: for so many seconds the journal has not moved, 0 = it does.
    """

    restarts: int
    dead_letters: int
    zombies: int
    parked: tuple[GuildId, ...]
    breaker: int
    phases: dict[str, int]
    hung_s: float


class Recoveries:
    """Lets at most ``capacity`` guilds read their state at once; the busiest waits least.

    ``after_many``: called when so many as ``many`` have come back, and no other is about to.
    """

    def __init__(self, capacity: int, many: int, after_many: Callable[[], None]) -> None:
        self._free = self._capacity = capacity
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._many = many
        self._after_many = after_many
        self._recovered = 0

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
            self._count()

    def _count(self) -> None:
        self._recovered += 1
        if self._free == self._capacity and self._recovered >= self._many:
            self._recovered = 0
            self._after_many()

    async def _turn(self, busy: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-busy, next(self._order), turn))
        try:
            await turn
        except (Exception, asyncio.CancelledError):  # whatever ended the life, nobody takes this place any more
            if not (turn.cancel() or turn.cancelled()):
                self._pass_on()  # it had been given before the life could take it
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def spawn(work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
    """The one place where tasks begin (``runtime.Spawner``)."""
    return asyncio.get_running_loop().create_task(work, name=name)


def told(error: BaseException | None) -> str:
    """What a child ended of, in words."""
    match error:
        case None:
            return "ended by itself"
        case LedgerError():
            return str(error)
        case _:
            return repr(error)
