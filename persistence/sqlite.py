"""The database layer: a ``Layer`` in one SQLite file, ``data/ledger.db``, on a thread of its own.

Rules: one connection, and one transaction a batch: the frames as every layer keeps them, and the read model that
follows from them; and one trip to the thread. ``open`` verifies all of it (``sqlite_vetting.py``); a file with any
flaw is written anew from what holds, and itself kept in quarantine (``sqlite_repair.py``); holes are filled from
another layer. The WAL is moved into the file by SQLite itself, every 1,000 pages, behind a commit.

Here stands what the layer is asked, and how that leaves the event loop; the database as its thread sees it is
``Database``, and rows, checkpoints, terms, schema, read model and lists have modules of their own.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

from ledger.ids import GuildId
from persistence.disk import Disk
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.offload import ThreadOffload
from persistence.quarantine import Quarantine
from persistence.sqlite_database import Database
from persistence.sqlite_lists import SqliteLists


class SqliteLayer:
    """A ``Layer`` in SQLite."""

    def __init__(self, disk: Disk, path: Path, quarantine: Path) -> None:
        """``path``: the database's file; ``quarantine``: a folder on the same disk."""
        self._quarantine = Quarantine(disk, quarantine)
        self._database = Database(disk, path, quarantine, self._quarantine)
        self._thread: ThreadOffload | None = None

    @property
    def name(self) -> str:
        return "database"

    @property
    def lists(self) -> SqliteLists:
        return SqliteLists(self._used(), self._database.connection, self._database.records, self._database.path)

    async def open(self) -> LayerSummary:
        self._thread = self._thread or ThreadOffload("database")
        return await self._used()(self._database.open)

    async def begin(self, epoch: int, lineage: str) -> None:
        await self._used()(lambda: self._database.begin(epoch, lineage))

    async def append(self, frames: Sequence[Frame]) -> None:
        await self._used()(lambda: self._database.append(frames))

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        return await self._used()(lambda: self._database.fill(frames))

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        return await self._used()(lambda: self._database.set_aside(after_gsn))

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        chunks = self._database.frames_after(gsn)
        while chunk := await self._used()(lambda: next(chunks, ())):
            for frame in chunk:
                yield frame

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        chunks = self._database.reread(gsn)
        while chunk := await self._used()(lambda: next(chunks, ())):
            yield chunk

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return await self._used()(lambda: self._database.guild_lines(guild, after_seq))

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._used()(lambda: self._database.save_checkpoint(checkpoint))

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._database.places

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        return self._database.places.get(guild, ())

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        return await self._used()(lambda: self._database.checkpoint(guild, place))

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        await self._used()(lambda: self._database.drop_checkpoint(guild, place))

    def take_notes(self) -> tuple[str, ...]:
        return self._quarantine.take_notes()

    async def close(self) -> None:
        if self._thread is None:
            return
        await self._thread(self._database.close)  # who is cut off here leaves the thread to whoever opens it again
        self._thread.close()
        self._thread = None

    def _used(self) -> ThreadOffload:
        assert self._thread is not None, "a layer is used between open and its first error"
        return self._thread
