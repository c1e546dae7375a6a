"""One life of the bot's process in a simulation: the real supervisor, caretaker, journal, store, log, on a SimLoop.

What differs from ``actors/program.py``: the disk is ``SimDisk``, the database a model of one, Discord whatever the
caller connects, and there is neither HTTP nor a gateway. Disk and database are handed in: they outlive the process.
A life ends by ``stop`` (a drain), or by ``kill``: then the power is off, and only ``disk.crashed()`` is left of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.cloud_side import Cloud, CloudSide
from actors.drain import Drain
from actors.guild import Outside
from actors.journal import Journal
from actors.salvager import Salvager
from actors.supervision import ChildSpec, journal_spec, spawn
from ledger.ids import GuildId
from ledger.ports import Clock
from ledger.records import Record
from persistence.cloud import CloudLayer
from persistence.layer import Layer, guild_frames
from persistence.local import LocalLayer
from persistence.log import SEGMENT_BYTES
from persistence.merging import MERGE_FILES
from persistence.salvage import FileSalvage
from persistence.store import Store
from supervisor import Supervisor
from tests.memory.database import MemoryDatabase
from tests.persistence.simdisk import SimDisk
from tests.simulation.loop import SimClock, SimLoop, SimRandomness
from tests.simulation.storage import Connection, Thread

DATA: Final = Path("data")


class Line(msgspec.Struct, frozen=True):
    """A line of the log."""

    level: str
    event: str
    fields: Mapping[str, object]


class Told:
    """The process's log: each line is handed on as it is, and kept nowhere."""

    def __init__(self, hear: Callable[[Line], None]) -> None:
        self._hear = hear

    def debug(self, event: str, **fields: object) -> None:
        self._hear(Line("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self._hear(Line("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self._hear(Line("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self._hear(Line("error", event, fields))


StoreMaker = Callable[..., Store]


class JournalMaker(Protocol):
    """Makes a journal; ``turn`` as it takes it."""

    def __call__(
        self,
        store: Store,
        named: frozenset[str],
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
        *,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> Journal: ...


class Process:
    """One life, made but not started.

    Args:
        loop: where it runs.
        disk: what the log and the checkpoints lie on.
        database: the second layer: a model, which takes its time in a thread, or a real one.
        hear: gets each line of its log; None = they are kept in ``lines``.
        cloud: the third layer's store, and this folder's name there; None = there is none.
        polite: whether it waits until whoever holds the history in the cloud has gone.
        named: the layers that LEDGER_ACK names.
        segment_bytes, merge_files: a log file that is larger is not appended to; so many are merged.
        wrap, make_store, make_journal: for those that watch layers, store and journal, or cut into them.
    """

    def __init__(
        self,
        loop: SimLoop,
        disk: SimDisk,
        database: MemoryDatabase | Layer,
        *,
        hear: Callable[[Line], None] | None = None,
        cloud: Cloud | None = None,
        polite: bool = True,
        named: Iterable[str] = ("log", "database"),
        segment_bytes: int = SEGMENT_BYTES,
        merge_files: int = MERGE_FILES,
        wrap: Callable[[Layer], Layer] = lambda layer: layer,
        make_store: StoreMaker = Store,
        make_journal: JournalMaker = Journal,
    ) -> None:
        self.loop = loop
        self.disk = disk
        self.clock = SimClock(loop)
        self.randomness = SimRandomness(loop.random)
        self.lines: list[Line] = []
        self.log = cast("FilteringBoundLogger", Told(hear or self.lines.append))
        self.kept: dict[str, bytes] = {}
        self.files = LocalLayer(disk, DATA, Thread(loop), segment_bytes=segment_bytes, merge_files=merge_files)
        self.database: Layer = (
            Connection(database, Thread(loop)) if isinstance(database, MemoryDatabase) else database
        )
        layers = (wrap(self.files), wrap(self.database))
        salvage = FileSalvage(disk, DATA, Thread(loop))
        self.store = make_store(
            layers,
            self.clock,
            self.randomness,
            self._layer_of(cloud),
            salvage,
            named=frozenset(named),
            may_begin_anew=False,
        )
        self.cloud = None if cloud is None else self._side_of(cloud)
        turn = None if self.cloud is None else self.cloud.await_turn if polite else _at_once
        self.journal = make_journal(self.store, frozenset(named), self.clock, asyncio.sleep, self.log, turn=turn)
        if self.cloud is not None:
            self.cloud.attach(self.journal, frozenset(named))
        self.supervisor = Supervisor(
            journal=self.journal,
            keep=lambda digest, payload: self.kept.update({digest: payload}),
            clock=self.clock,
            randomness=self.randomness,
            sleep=asyncio.sleep,
            log=self.log,
        )
        self.tree: asyncio.Task[None] | None = None

    def specs(self) -> tuple[ChildSpec, ...]:
        """The root's children, as ``Program`` has them."""
        caretaker = ChildSpec(name="caretaker", start=self.supervisor.caretaker.run)
        salvager = Salvager(self.store.salvage, self.supervisor.roster, self.clock, asyncio.sleep, self.log)
        beside = () if self.cloud is None else self.cloud.specs()
        return (journal_spec(self.journal), *beside, caretaker, ChildSpec(name="salvager", start=salvager.run))

    async def start(self, outside: Outside) -> None:
        """Recovers and starts the tree; effects go to ``outside``. With a cloud the journal recovers, in the tree.

        Raises:
            StorageError: when no layer can be opened.
        """
        if self.cloud is None:
            await self.store.start()
        self.supervisor.connect(outside)
        self.tree = spawn(self.supervisor.run(self.specs()), "supervisor")

    async def stop(self) -> None:
        """Drains: what a SIGTERM does."""
        drain = Drain(self.clock)
        if self.cloud is not None:
            await self.cloud.let_pass(drain)
        await self.supervisor.drain(None if self.cloud is None else self.cloud.leave, drain)
        if self.tree is not None:
            self.tree.cancel()
            await asyncio.wait({self.tree})
        await self.store.close()

    def kill(self) -> None:
        """Kill −9, or the power is cut; from outside the loop."""
        self.loop.abandon()
        for address in self.supervisor.roster.addresses().values():
            for lane in address._lanes:
                for envelope in lane:
                    envelope.asks = ()  # the collector does not look into envelopes: all of this life would stay

    def _layer_of(self, cloud: Cloud | None) -> CloudLayer | None:
        if cloud is None:
            return None
        return CloudLayer(cloud.objects, Thread(self.loop), self.randomness, self.clock, cloud.writer)

    def _side_of(self, cloud: Cloud) -> CloudSide:
        return CloudSide(
            cloud,
            self.store,
            hears=lambda: True,
            randomness=self.randomness,
            clock=self.clock,
            sleep=asyncio.sleep,
            log=self.log,
        )

    def events(self, name: str) -> list[Mapping[str, object]]:
        """The fields of the log's lines with this event, where the process keeps them."""
        return [line.fields for line in self.lines if line.event == name]

    async def records(self, guild: GuildId) -> list[Record]:
        """What the log has of a guild."""
        return [frame.record for frame in await guild_frames(self.files, guild, 0)]


async def _at_once() -> None:
    """It is its turn, whoever holds the history."""
