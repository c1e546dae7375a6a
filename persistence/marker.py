"""The data folder's marker: a random id, written at the folder's first start and never again.

Two things are read from it: whether this folder has seen a start before (where a layer outside of it knows of one and
the folder does not, the disk went with a container), and the folder's id, which is the writer's name in the cloud.
A copied folder has the same id: no safety rests on it, that is the fences' business.
"""

from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ports import Randomness
from persistence.disk import Disk
from persistence.sealed import seal_line, unseal_line
from persistence.writing import replace

NAME: Final = "marker"


class Marker(msgspec.Struct, frozen=True):
    """The file's only line. ``folder``: 32 hex digits."""

    folder: str


def folder_id(disk: Disk, data: Path, randomness: Randomness) -> tuple[str, bool]:
    """The folder's id, durable on return, and whether the folder has seen a start before.

    For whoever holds the folder's lock, before a log is begun. A marker that cannot be believed is one of an earlier
    start all the same, and gets a new id; a log without a marker is of a release that wrote none.

    Raises:
        DiskFull, NotConfirmed: when a new marker could not be written, or it is unknown whether it was.
        StorageError: when the one that is there cannot be read.
    """
    path = data / NAME
    marked = disk.identity(path) is not None
    folder = _read(disk, path) if marked else None
    if folder is not None:
        disk.sync_folder(data)  # whoever wrote it may have been killed before its name was durable
        return folder, True
    folder = randomness.token()
    replace(disk, path, seal_line(msgspec.json.encode(Marker(folder))))
    return folder, marked or _has_log(disk, data / "log")


def _has_log(disk: Disk, log: Path) -> bool:
    """Whether there is one, also where it cannot be listed: whoever opens it finds it broken, and others may lead."""
    try:
        return bool(disk.names(log))
    except StorageError:
        return True


def _read(disk: Disk, path: Path) -> str | None:
    try:
        line = unseal_line(disk.read(path).removesuffix(b"\n"), str(path))
        return msgspec.json.decode(line, type=Marker).folder
    except (Corrupt, msgspec.MsgspecError):
        return None
