"""What the measurements stand on: a scratch folder, layers in it, the bot behind the gateway, and counted disks."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from actors.clock import SystemClock, SystemRandomness
from actors.guild import Nowhere, Outside
from actors.journal import Journal
from actors.logs import make_logger
from actors.settings import Settings
from actors.supervision import ChildSpec, journal_spec, spawn
from actors.uploader import Uploader
from ledger import messages as m
from ledger.errors import StorageError
from ledger.ids import GuildId, SessionId, UserId
from ledger.records import Draft, GatewayCause, InternalCause, JoinRecorded, join_key
from persistence.disk import RealDisk, RealHandle
from persistence.layer import FencedLayer, Layer
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from persistence.store import Store
from supervisor import Supervisor
from tests.bench.figures import NotHere
from tests.memory.store import store_of

SECONDS: Final = 0.7
"""For so long a rate is measured."""
PATIENCE_S: Final = 120.0
TICK_S: Final = 0.001
SESSION: Final = SessionId("session")
NOW_US: Final = 1_700_000_000_000_000


class Counts:
    """What went through a disk."""

    def __init__(self) -> None:
        self.syncs = self.written = 0


class CountedDisk(RealDisk):
    """The real one; it counts what is appended and how often it is synced."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def append_to(self, path: Path) -> RealHandle:
        return _CountedHandle(path, super().append_to(path)._open(), self._counts)


class _CountedHandle(RealHandle):
    def __init__(self, path: Path, descriptor: int, counts: Counts) -> None:
        super().__init__(path, descriptor)
        self._counts = counts

    def write(self, data: bytes) -> None:
        super().write(data)
        self._counts.written += len(data)

    def sync(self) -> None:
        super().sync()
        self._counts.syncs += 1


def of_process(name: str, pid: int | str = "self") -> str:
    """What Linux tells of a process.

    Raises:
        NotHere: on another system.
    """
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError:
        raise NotHere("needs Linux") from None


@contextmanager
def lateness() -> Iterator[Callable[[], float]]:
    """How late the loop was at most, in milliseconds: somebody wants to be woken every millisecond."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            due_s = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            longest_s = max(longest_s, time.perf_counter() - due_s)

    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield lambda: longest_s * 1_000
    finally:
        task.cancel()


class Ground:
    """A scratch folder and fresh layers in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offload = ThreadOffload("bench")
        self._made = 0

    def fresh(self) -> Path:
        """A folder that nobody has used."""
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        return folder

    def layers(self, *names: str, disk: RealDisk | None = None) -> Sequence[Layer]:
        """Fresh layers of these names ("log", "database")."""
        return self.layers_at(self.fresh(), *names, disk=disk)

    def layers_at(self, data: Path, *names: str, disk: RealDisk | None = None) -> Sequence[Layer]:
        """Layers of these names over what a folder holds."""
        beneath = disk or RealDisk()
        made: dict[str, Layer] = {
            "log": LocalLayer(beneath, data, self.offload),
            "database": SqliteLayer(beneath, data / "ledger.db", data / "quarantine"),
        }
        return tuple(made[name] for name in names)


class Bot:
    """Store, journal, supervisor and guild actors, as the program puts them together, with its log into nothing."""

    def __init__(self, store: Store, outside: Outside, names: frozenset[str]) -> None:
        self.clock = SystemClock()
        self._nothing = Path(os.devnull).open("w")  # noqa: SIM115 -- closed with the bot
        log = make_logger(Settings(ledger_log="json"), self.clock, self._nothing)
        self._log, self._names = log, names
        self.store = store
        self.journal = Journal(store, names, self.clock, asyncio.sleep, log)
        self.supervisor = Supervisor(
            journal=self.journal,
            keep=lambda _digest, _payload: None,
            clock=self.clock,
            randomness=SystemRandomness(),
            sleep=asyncio.sleep,
            log=log,
        )
        self.supervisor.connect(outside)
        self.roster = self.supervisor.roster

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bot"]:
        """At work; afterwards ended as in a crash: checkpoints of all guilds would take longer than the rest."""
        caretaker = ChildSpec(name="caretaker", start=self.supervisor.caretaker.run)
        specs = (journal_spec(self.journal), caretaker, *self._cloud_specs())
        tree = spawn(self.supervisor.run(specs), "supervisor")
        try:
            yield self
        finally:
            self.journal.void(StorageError("the measurement is over"))
            await self.supervisor.drain()
            tree.cancel()
            await asyncio.wait([tree])
            self._nothing.close()

    def _cloud_specs(self) -> Iterator[ChildSpec]:
        following = self.store.following
        if following is not None:
            uploader = Uploader(
                following,
                self.journal,
                probe=partial(asyncio.sleep, 0),
                awaited=following.layer.name in self._names,
                clock=self.clock,
                sleep=asyncio.sleep,
                log=self._log,
            )
            yield ChildSpec(name="uploader", start=uploader.run)


@asynccontextmanager
async def bot_over(
    layers: Sequence[Layer],
    outside: Outside | None = None,
    *,
    cloud: FencedLayer | None = None,
    names: frozenset[str] = frozenset(),
) -> AsyncIterator[Bot]:
    """A bot over layers of its own, which are started and closed with it.

    ``names``: what LEDGER_ACK asks for beside them.
    """
    store = store_of(layers, SystemClock(), SystemRandomness(), cloud)
    await store.start()
    named = names | {each.name for each in layers}
    try:
        async with Bot(store, outside or Nowhere(), named).running() as bot:
            yield bot
    finally:
        await store.close()


async def bring_up(bot: Bot, count: int) -> list[GuildId]:
    """So many guilds with an actor each, every one asked once."""
    guilds = [GuildId(str(1_000 + number)) for number in range(count)]
    await asyncio.gather(*(bot.roster.ask(guild, m.DescribeGuild(), PATIENCE_S) for guild in guilds))
    return guilds


async def per_s(writers: int, write: Callable[[int, int], Awaitable[object]]) -> float:
    """``write(writer, n)`` by so many writers at once, each waiting for its own: how many a second."""
    began, count = time.perf_counter(), 0

    async def one(writer: int) -> None:
        nonlocal count
        n = 0
        while time.perf_counter() - began < SECONDS:
            await write(writer, n)
            n, count = n + 1, count + 1

    await asyncio.gather(*(one(writer) for writer in range(writers)))
    return count / (time.perf_counter() - began)


def user_of(n: int) -> UserId:
    """The n-th user."""
    return UserId(str(10**17 + n))


def join_of(n: int) -> m.RecordJoin:
    """The n-th join of a guild."""
    return m.RecordJoin(
        cause=GatewayCause(session=SESSION, number=n + 1, lane="members"),
        session=SESSION,
        user=user_of(n),
        joined_at_us=NOW_US + n,
        arrived_us=NOW_US + n,
    )


def draft_of(n: int) -> Draft:
    """The record that it becomes."""
    event = JoinRecorded(user=user_of(n), joined_at_us=NOW_US + n, arrived_us=NOW_US + n, session=SESSION)
    return Draft(event=event, cause=InternalCause(what="bench"), key=join_key(event.user, event.joined_at_us))
