"""The local layer: the log and the checkpoints of one data folder, off the event loop.

data/log/          the log (``persistence/log.py``)
data/checkpoints/  the guilds' checkpoints (``persistence/checkpoints.py``)
data/quarantine/   what could not be believed
data/lock          held by the one process that writes here
data/marker        the folder's id (``persistence/marker.py``)
"""

import os
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from ledger.errors import NewerFormat, StorageError
from ledger.ids import GuildId
from persistence.checkpoints import Checkpoints
from persistence.disk import Disk, Held
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.log import SEGMENT_BYTES, Log
from persistence.merging import MERGE_FILES
from persistence.offload import Offload
from persistence.quarantine import Quarantine
from persistence.scan import survey

_CHUNK_RECORDS: Final = 500
"""How many frames are read at once for another layer."""


def hold_folder(disk: Disk, data: Path, started: str, name: str = "lock") -> Held:
    """Locks a data folder for this process, without waiting. ``started``: for people to read; ``name``: of the file.

    Raises:
        FolderInUse: when another process holds it; it names that one.
        StorageError: when the lock's file cannot be opened.
    """
    disk.make_folder(data)
    return disk.lock(data / name, f"{_process(os.getpid())}{socket.gethostname()}, started {started}")


def folder_lineage(disk: Disk, data: Path) -> str:
    """Which history a folder's log is of, by the first lines of its files; "" where none can be read."""
    with suppress(NewerFormat, StorageError):
        headers = survey(disk, data / "log").headers()
        return max(((header.epoch, header.lineage) for header in headers), default=(0, ""))[1]
    return ""


def is_of_process(owner: str, pid: int) -> bool:
    """Whether an owner, as ``hold_folder`` writes it, is this process, of whatever machine."""
    return owner.startswith(_process(pid))


def _process(pid: int) -> str:
    return f"process {pid} on "


class LocalLayer:
    """A ``Layer`` in files."""

    def __init__(
        self,
        disk: Disk,
        data: Path,
        offload: Offload,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        merge_files: int = MERGE_FILES,
    ) -> None:
        """``offload`` belongs to the caller, as does the lock of the folder."""
        quarantine = self._quarantine = Quarantine(disk, data / "quarantine")
        self._offload = offload
        self._checkpoints = Checkpoints(disk, data / "checkpoints", quarantine)
        self._log = Log(
            disk,
            data / "log",
            quarantine,
            anchors=self._checkpoints.anchors,
            segment_bytes=segment_bytes,
            merge_files=merge_files,
        )

    @property
    def name(self) -> str:
        return "log"

    @property
    def lists(self) -> None:
        return None

    async def open(self) -> LayerSummary:
        await self._offload(self._checkpoints.look)
        return await self._offload(self._log.open)

    async def begin(self, epoch: int, lineage: str) -> None:
        await self._offload(lambda: self._log.begin(epoch, lineage))

    async def append(self, frames: Sequence[Frame]) -> None:
        await self._offload(lambda: self._log.append(frames))

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        return await self._offload(lambda: self._log.fill(frames))

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        await self._offload(lambda: self._checkpoints.set_aside(after_gsn))
        return await self._offload(lambda: self._log.set_aside(after_gsn))

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        frames = await self._offload(lambda: self._log.frames_after(gsn))
        while chunk := await self._offload(lambda: _chunk(frames)):
            for frame in chunk:
                yield frame

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        pieces = self._log.reread(gsn)
        while (piece := await self._offload(lambda: next(pieces, None))) is not None:
            yield piece

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return await self._offload(lambda: self._log.guild_lines(guild, after_seq))

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._offload(lambda: self._checkpoints.save(checkpoint))

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._checkpoints.guilds()

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        return self._checkpoints.places(guild)

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        return await self._offload(lambda: self._checkpoints.load(guild, place))

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        await self._offload(lambda: self._checkpoints.drop(guild, place))

    def take_notes(self) -> tuple[str, ...]:
        return self._quarantine.take_notes()

    async def close(self) -> None:
        await self._offload(self._log.close)


def _chunk(frames: Iterator[Frame]) -> list[Frame]:
    return list(islice(frames, _CHUNK_RECORDS))
