"""Histories that are only read: what a data folder holds (a backup is one), or the cloud.

Nothing here changes, locks or fences what it reads, so it works beside whoever writes there.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.checkpoints import CHECKPOINT_SUFFIX, unpack
from persistence.cloud import CloudLayer
from persistence.disk import Disk
from persistence.frames import Frame
from persistence.layer import Checkpoint, Head, LayerSummary
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.scan import Scan, Survey, last_gsn, survey
from persistence.spool import Spool


class NameUnknown(Corrupt):
    """Records can be read, and nothing beside them says which history they are of."""

    hint = "start the bot once: it takes that from the database or the cloud, and mends the log; then try again"


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A history before its records are read: the newest term in it, and about how many records there are."""

    epoch: int
    lineage: str
    records: int


class History(Protocol):
    """One history. Opened, read to its end, closed.

    ``heads``: by guild, once all was read, where the history itself knows them; else None.
    """

    @property
    def heads(self) -> Mapping[GuildId, Head] | None: ...

    async def open(self, scratch: Path) -> Opening:
        """Looks what there is. ``scratch``: a folder where it may keep meanwhile what it has read.

        Raises:
            NameUnknown: when nothing tells which history it is.
            NewerFormat: when a later release wrote it.
            StorageError: when it cannot be read.
        """
        ...

    def frames(self) -> AsyncIterator[Frame]:
        """Every frame that can be read, in the order of gsn, checksums verified."""
        ...

    def checkpoint_guilds(self) -> Collection[GuildId]:
        """The guilds that there are checkpoints of."""
        ...

    async def checkpoints(self, guild: GuildId) -> Sequence[Checkpoint]:
        """The guild's checkpoints that can be read, newest first; none that was written since ``open``."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What could not be believed in all that was read, a sentence each."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """Likewise, what is damaged there and does no harm, since all that it held is there besides."""
        ...

    def close(self) -> None:
        """Lets go of what it kept. Safe where opening failed."""
        ...


class FolderHistory:
    """What lies in a data folder, up to what was whole when it was read."""

    def __init__(self, disk: Disk, folder: Path, term: tuple[int, str] | None) -> None:
        """``term``: its newest epoch and its lineage, from whoever wrote them down; None = as the files tell."""
        self._disk = disk
        self._folder = folder
        self._term = term
        self._found = Survey(files=(), unreadable=())
        self._gsn = 0

    @property
    def heads(self) -> None:
        return None

    async def open(self, scratch: Path) -> Opening:
        del scratch
        self._found = survey(self._disk, self._folder / "log")
        self._gsn = last_gsn(self._disk, self._found)
        epoch, lineage = self._term or self._told_term()
        return Opening(epoch=epoch, lineage=lineage, records=self._gsn)

    async def frames(self) -> AsyncIterator[Frame]:
        for spotted in Scan(self._disk, self._found.files):
            yield spotted.frame

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return [GuildId(name) for name in self._disk.folders(self._folder / "checkpoints")]

    async def checkpoints(self, guild: GuildId) -> Sequence[Checkpoint]:
        kept = kept_checkpoints(self._disk, self._folder / "checkpoints" / guild, guild)
        return [checkpoint for checkpoint in kept if checkpoint.header.gsn <= self._gsn]

    def _told_term(self) -> tuple[int, str]:
        """By the first lines of the log's files; where none can be read, by checkpoints.

        Raises:
            NameUnknown: when those cannot, either: a copy would be taken for any history.
        """
        terms = [(header.epoch, header.lineage) for header in self._found.headers()]
        if not terms:
            lists = [
                kept_checkpoints(self._disk, self._folder / "checkpoints" / g, g) for g in self.checkpoint_guilds()
            ]
            terms = [(each.header.epoch, each.header.lineage) for kept in lists for each in kept]
        if not terms and self._gsn:
            raise NameUnknown(str(self._folder / "log"), "no first line can be read, nor a checkpoint")
        return max(terms, default=(0, ""))

    def notes(self) -> tuple[str, ...]:
        """What is missing shows in the copy."""
        return ()

    def remarks(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """Nothing is held."""


class CloudHistory:
    """What the cloud holds: read, and never begun or fenced. Every object is asked for once (``spool.py``)."""

    def __init__(self, objects: Objects, offload: Offload, layer: Callable[[Objects], CloudLayer]) -> None:
        """``layer``: how one is made of objects. ``objects`` and ``offload`` belong to the caller."""
        self._spool = Spool(objects, offload)
        self._layer = layer(self._spool)
        self._summary: LayerSummary | None = None

    @property
    def heads(self) -> Mapping[GuildId, Head] | None:
        return None if self._summary is None else self._summary.heads

    async def open(self, scratch: Path) -> Opening:
        self._spool.begin(scratch)
        found = await self._layer.look()
        return Opening(epoch=found.epoch, lineage=found.lineage, records=found.gsn)

    async def frames(self) -> AsyncIterator[Frame]:
        async for chunk in self._layer.read_through():
            for frame in chunk:
                yield frame
        self._summary = await self._layer.summary()

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._layer.checkpoint_guilds()

    async def checkpoints(self, guild: GuildId) -> Sequence[Checkpoint]:
        return await self._layer.all_checkpoints(guild)

    def notes(self) -> tuple[str, ...]:
        read = () if self._summary is None else self._summary.notes
        return (*read, *self._layer.take_notes())

    def remarks(self) -> tuple[str, ...]:
        return () if self._summary is None else self._summary.remarks

    def close(self) -> None:
        self._spool.end()


def kept_checkpoints(disk: Disk, folder: Path, guild: GuildId) -> list[Checkpoint]:
    """A guild's checkpoints in a folder that can be read, newest first."""
    found: list[Checkpoint] = []
    for name in reversed(disk.names(folder)):
        if name.endswith(CHECKPOINT_SUFFIX):
            with suppress(Corrupt, StorageError):  # the records have it all; it may just have been replaced
                found.append(unpack(disk.read(folder / name), name))
    return [checkpoint for checkpoint in found if checkpoint.header.guild == guild]
