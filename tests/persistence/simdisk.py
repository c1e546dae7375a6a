"""A disk in memory whose operations fail on request and whose power can be cut (``tests/persistence/volume.py``).

Operations that change something are counted, and so are those that only look. A hook called before one lets it fail
without effect, but for a write, of which ``part`` is there; a hook called after one lets it fail though it was done.
After a failed sync of a file, later ones claim success and make nothing durable, not even what is written anew.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

from ledger.errors import FolderInUse, StorageError
from persistence.disk import Held, Identity
from tests.persistence.volume import PAGE, Cut, File, Volume

__all__ = ["PAGE", "Hook", "PowerCut", "SimDisk", "SimHandle"]

Hook: TypeAlias = Callable[[int, str], None]
"""Called with the number and the name of an operation; what it raises the operation raises."""


class PowerCut(Exception):
    """The process is gone. Nothing in the product catches this."""


class SimDisk:
    """A ``Disk``. ``before``, ``after``: of each operation that changes something; ``look``: before any other.

    ``part``: of a write that fails, so much of its bytes is there all the same.
    """

    def __init__(self, before: Hook | None = None) -> None:
        self.before = before or _nothing
        self.after: Hook = _nothing
        self.look: Hook = _nothing
        self.part = 2 / 3
        self.operations = 0
        self.looks = 0
        self._volume = Volume()

    def crashed(self, random: Random, luck: float | None = None) -> "SimDisk":
        """The disk as it may come back after a cut now; ``luck``: see ``Volume.crashed``."""
        disk = SimDisk()
        disk._volume = self._volume.crashed(random, luck)
        return disk

    def step(self, what: str) -> None:
        self.operations += 1
        self.before(self.operations, what)

    def done(self, what: str) -> None:
        self.after(self.operations, what)

    # The operations

    def append_to(self, path: Path) -> "SimHandle":
        self.step("open")
        file = self._volume.names.get(path) or self._volume.make(path)
        self.done("open")
        return SimHandle(self, file)

    def read(self, path: Path) -> bytes:
        self._look("read")
        return bytes(self._file(path).content)

    def read_parts(self, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        self._look("read_parts")
        content = self._file(path).content
        return [bytes(content[offset : offset + length]) for offset, length in parts]

    def names(self, folder: Path) -> list[str]:
        self._look("names")
        return self._volume.listing(folder)

    def folders(self, folder: Path) -> frozenset[str]:
        self._look("folders")
        return self._volume.folders(folder)

    def make_folder(self, folder: Path) -> None:
        if self._volume.is_durable_folder(folder):
            return
        self.make_folder(folder.parent)
        if not self._volume.has_folder(folder):
            self.step("make_folder")
            self._volume.make_folder(folder)
            self.done("make_folder")
        self.sync_folder(folder.parent)

    def rename(self, old: Path, new: Path) -> None:
        self.step("rename")
        self._volume.move(old, new)
        self.done("rename")

    def link(self, old: Path, new: Path) -> bool:
        self.step("link")
        if old not in self._volume.names:
            raise StorageError(f"link {old}: no such file")
        given = new not in self._volume.names
        if given:
            self._volume.link(old, new)
        self.done("link")
        return given

    def remove(self, path: Path) -> None:
        if path in self._volume.names:
            self.step("remove")
            self._volume.remove(path)
            self.done("remove")

    def sync_folder(self, folder: Path) -> None:
        self.step("sync_folder")
        self._volume.sync_folder(folder)
        self.done("sync_folder")

    def identity(self, path: Path) -> Identity | None:
        self._look("identity")
        file = self._volume.names.get(path)
        return None if file is None else Identity(1, file.number)

    def lock(self, path: Path, owner: str) -> Held:
        raise FolderInUse(str(path), owner)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Rots a file in place, durably."""
        self._volume.names[path].rot(data)

    def _look(self, what: str) -> None:
        self.looks += 1
        self.look(self.looks, what)

    def _file(self, path: Path) -> File:
        file = self._volume.names.get(path)
        if file is None:
            raise StorageError(f"read {path}: no such file")
        return file


class SimHandle:
    """A ``Handle`` on a simulated file; it stays with its file, whatever name that has."""

    def __init__(self, disk: SimDisk, file: File) -> None:
        self._disk = disk
        self._file = file
        self._closed = False

    def write(self, data: bytes) -> None:
        assert not self._closed, "a closed handle is not used"
        try:
            self._disk.step("write")
        except (PowerCut, StorageError):
            self._file.append(data[: int(len(data) * self._disk.part)])
            raise
        self._file.append(data)
        self._disk.done("write")

    def sync(self) -> None:
        assert not self._closed, "a closed handle is not used"
        try:
            self._disk.step("sync")
        except StorageError:
            self._file.sync_failed()
            raise
        if self._file.failed:
            self._file.sync_failed()
        else:
            self._file.synced()
        self._disk.done("sync")

    def cut(self, size: int) -> None:
        assert not self._closed, "a closed handle is not used"
        self._disk.step("cut")
        self._file.change(Cut(size))
        self._disk.done("cut")

    def identity(self) -> Identity:
        return Identity(1, self._file.number)

    def close(self) -> None:
        """There is nothing to let go of."""
        self._closed = True


def _nothing(number: int, what: str) -> None:
    del number, what
