"""A real roster whose guild actors write down what they are told, and answer what a test wants them to."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from actors.clock import SystemClock
from actors.gateway.runner import Gateway
from actors.guild import GuildAddress
from actors.roster import Roster
from actors.runtime import live
from actors.standing import Kept, Standing
from ledger import messages as m
from ledger.answers import Answer, Done
from ledger.decision import Decision
from ledger.ids import GuildId, UserId
from ledger.presence import Presence
from ledger.records import Draft, Record, Status
from persistence.lists import CreditPlace, CreditRow, JoinRow, Lists
from tests.memory.database import MemoryDatabase

T = TypeVar("T")
WAIT_S = 5.0


class Lines(list[dict[str, object]]):
    """The log, a dict a line."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def keep(self, line: dict[str, object]) -> None:
        self.append(line)
        self._more.set()

    def named(self, event: str) -> list[dict[str, object]]:
        return [line for line in self if line["event"] == event]

    async def until(self, event: str) -> dict[str, object]:
        """The first line of that event, as soon as it is there."""
        async with asyncio.timeout(WAIT_S):
            while not (found := self.named(event)):
                self._more.clear()
                await self._more.wait()
        return found[0]


class TownClock(SystemClock):
    """The machine's clock, which a test may put ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


class Pauses:
    """A sleep that writes down how long it was to last, and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def row(seq: int, status: Status = Status.CERTAIN, **fields: object) -> JoinRow:
    """A join of a user of its own, at ``seq`` microseconds since 1970 unless told otherwise."""
    made = JoinRow(
        seq=seq,
        user=UserId(str(1_000 + seq)),
        opened_us=seq,
        origin="live",
        left_us=0,
        verdict_seq=1,
        status=status,
        code=None,
        inviter=None,
        staff=None,
        candidates=(),
        reason="",
    )
    return msgspec.structs.replace(made, **fields)


class Books(MemoryDatabase):
    """The database, whose joins a test writes down: which records lead to which status is the ledger's business."""

    def __init__(self) -> None:
        super().__init__("database")
        self.rows: list[JoinRow] = []
        self.credits: list[CreditRow] = []
        self.told: dict[UserId, Record] = {}

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        assert await super().joins_page(guild, after_seq, limit) == []
        start = bisect_right(self.rows, after_seq, key=lambda each: each.seq)
        return self.rows[start : start + limit]

    async def credits_page(self, guild: GuildId, after: CreditPlace, limit: int) -> Sequence[CreditRow]:
        assert await super().credits_page(guild, after, limit) == []
        start = bisect_right(self.credits, after, key=lambda each: (int(each.staff), each.seq))
        return self.credits[start : start + limit]

    async def verdicts(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        found = await super().verdicts(guild, user)
        return [self.told[user]] if user in self.told else found


class Clerk:
    """The process as commands see it (``standing.Inside``)."""

    def __init__(self) -> None:
        self.books = Books()
        self.known: Standing | None = None
        self.kept = Kept(seq=41, layers={"log": "", "database": ""})
        self.checkpoints: list[GuildId] = []
        self.reads = 0
        self.standby = False

    def is_standby(self) -> bool:
        return self.standby

    def standing(self, guild: GuildId) -> Standing | None:
        del guild
        return self.known

    async def keep_checkpoint(self, guild: GuildId) -> Kept:
        self.checkpoints.append(guild)
        return self.kept

    async def read(self, query: Callable[[Lists], Awaitable[T]]) -> T:
        self.reads += 1
        await asyncio.sleep(0)
        return await query(self.books)


class Scribe:
    """A guild's actor that appends nothing: it keeps what it is told and answers what it was given."""

    def __init__(self, town: "Town", told: list[m.Message]) -> None:
        self.town = town
        self.told = told

    def decide(self, message: m.Message) -> Decision:
        self.told.append(message)
        return Decision(presence=Presence(), answer=self.town.answer(message))

    async def append(self, decision: Decision) -> tuple[tuple[Draft, ...], bool]:
        raise AssertionError(decision)

    def is_degraded(self) -> bool:
        return False

    def evolve(self, record: Draft) -> None:
        raise AssertionError(record)

    def publish(self, decision: Decision) -> Answer:
        return decision.answer

    def act(self, decision: Decision) -> None:
        assert decision.effects == ()
        self.town.changed()


class Town:
    """The real roster, with a scribe for each guild, and ways to wait for what they are told."""

    def __init__(self) -> None:
        self.clock = TownClock()
        self.roster = Roster(self.clock, self._start)
        self.told: dict[GuildId, list[m.Message]] = {}
        self.inside = Clerk()
        self.answer: Callable[[m.Message], Answer] = lambda _: Done()
        self.tasks: list[asyncio.Task[None]] = []
        self._change = asyncio.Event()

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task

    def changed(self) -> None:
        self._change.set()

    def heard(self, guild: int, kind: type[T]) -> list[T]:
        """The messages of that kind which the guild was told so far."""
        return [each for each in self.told.get(GuildId(str(guild)), []) if isinstance(each, kind)]

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not ready():
                self._change.clear()
                await self._change.wait()

    async def until_heard(self, guild: int, kind: type[T], count: int = 1) -> list[T]:
        await self.until(lambda: len(self.heard(guild, kind)) >= count)
        return self.heard(guild, kind)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    def _start(self, guild: GuildId, address: GuildAddress) -> None:
        told = self.told.setdefault(guild, [])
        self.spawn(live(address, address.hand_over(), Scribe(self, told)), f"guild/{guild}")


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[asyncio.Task[None]]:
    """The gateway's life as a task; ended afterwards, and it must not have failed."""
    task = asyncio.get_running_loop().create_task(gateway.run())
    try:
        yield task
    finally:
        await gateway.close()
        await asyncio.wait([task])
    assert task.exception() is None
