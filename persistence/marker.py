"""The data folder's marker: a random id, written at the folder's first start and never again.

Three things are read from it: whether this folder has seen a start before (where a layer outside of it knows of one
and the folder does not, the disk went with a container), whether one came through, and the folder's id, which is the
writer's name in the cloud. A copied folder has the same id: no safety rests on it, that is the fences' business.
"""

from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ports import Randomness
from persistence.disk import Disk
from persistence.scan import survey
from persistence.sealed import seal_line, unseal_line
from persistence.writing import replace

NAME: Final = "marker"


class Marker(msgspec.Struct, frozen=True):
    """The file's only line. ``folder``: 32 hex digits; ``epoch``: of the log that was restored there, 0 = none."""

    folder: str
    epoch: int = 0


def folder_id(disk: Disk, data: Path, randomness: Randomness, epoch: int = 0) -> tuple[str, bool]:
    """The folder's id, durable on return, and whether the folder has seen a start before.

    For whoever holds the folder's lock, before a log is begun; ``epoch``: of the log that was put there by a restore.
    A marker that cannot be believed is one of an earlier start all the same, and gets a new id; a log without a
    marker is of a release that wrote none.

    Raises:
        DiskFull, NotConfirmed: when a new marker could not be written, or it is unknown whether it was.
        StorageError: when the one that is there cannot be read.
    """
    path = data / NAME
    marked = disk.identity(path) is not None
    marker = _read(disk, path) if marked else None
    if marker is not None:
        disk.sync_folder(data)  # whoever wrote it may have been killed before its name was durable
        return marker.folder, True
    folder = randomness.token()
    replace(disk, path, seal_line(msgspec.json.encode(Marker(folder, epoch))))
    return folder, marked or _has_log(disk, data / "log")


def has_run(disk: Disk, data: Path) -> bool:
    """Whether a bot's start came through on this folder: it takes an epoch above that of what was restored there.

    No other file tells: ``restore`` leaves a marker as well, and a start that was refused its lock.

    Raises:
        NewerFormat: when a later release wrote the log.
        StorageError: when the marker, or the log, cannot be read.
    """
    path = data / NAME
    if disk.identity(path) is None:
        return False
    marker = _read(disk, path)
    headers = [file.header for file in survey(disk, data / "log").files]
    return marker is None or any(header is None or header.epoch > marker.epoch for header in headers)


def _has_log(disk: Disk, log: Path) -> bool:
    """Whether there is one, also where it cannot be listed: whoever opens it finds it broken, and others may lead."""
    try:
        return bool(disk.names(log))
    except StorageError:
        return True


def _read(disk: Disk, path: Path) -> Marker | None:
    try:
        line = unseal_line(disk.read(path).removesuffix(b"\n"), str(path))
        return msgspec.json.decode(line, type=Marker)
    except (Corrupt, msgspec.MsgspecError):
        return None
