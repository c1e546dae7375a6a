"""A disk in memory whose power can be cut: it knows what was synced, and makes the states a crash may leave.

After a cut, what was synced stands. Of the rest, any page of any unsynced write may be there or not (a lost page
below a kept one reads as zeros), a kept one may be torn at any byte, a truncation may or may not have happened, and a
name that was made, moved or removed counts only if its folder was synced since, or by luck. After a failed sync of a
file, later ones claim success and do nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec

from ledger.errors import FolderInUse, StorageError
from persistence.disk import Held, Identity

PAGE = 64
"""Bytes; small, so that a batch of a few records spans several pages."""


class PowerCut(Exception):
    """The process is gone. Nothing in the product catches this."""


class _Write(msgspec.Struct, frozen=True):
    offset: int
    data: bytes


class _Cut(msgspec.Struct, frozen=True):
    size: int


class _File:
    def __init__(self, number: int, durable: bytes = b"") -> None:
        self.number = number
        self.durable = durable
        self.content = bytearray(durable)
        self.pending: list[_Write | _Cut] = []
        self.doomed = False

    def synced(self) -> None:
        if self.doomed:
            return
        self.durable = bytes(self.content)
        self.pending = []

    def after_crash(self, random: Random) -> bytes:
        """One of the contents that a crash may leave."""
        left, luck = bytearray(self.durable), random.choice((0.0, 0.5, 0.9, 1.0))
        for change in self.pending:
            if isinstance(change, _Cut):
                if random.random() < luck:
                    del left[change.size :]
                continue
            for at in range(0, len(change.data), PAGE):
                if random.random() < luck:
                    page = change.data[at : at + PAGE]
                    torn = page[: random.randrange(len(page) + 1)] if random.random() < 0.1 else page
                    _put(left, change.offset + at, torn)
        return bytes(left)


class SimDisk:
    """A ``Disk``. ``before``: called with the number and the name of each operation that changes something."""

    def __init__(self, before: Callable[[int, str], None] | None = None) -> None:
        self.before = before or _nothing
        self.operations = 0
        self._files = 0
        self._names: dict[Path, _File] = {}
        self._durable_names: dict[Path, _File] = {}
        self._changes: list[tuple[Path, dict[Path, _File | None]]] = []

    def crashed(self, random: Random) -> "SimDisk":
        """The disk as it may come back after the power was cut now."""
        names = dict(self._durable_names)
        for _, change in self._changes:
            if random.random() < 0.5:
                names.update({path: file for path, file in change.items() if file is not None})
                for path in [path for path, file in change.items() if file is None]:
                    names.pop(path, None)
        disk = SimDisk()
        for path, file in names.items():
            disk._files += 1
            disk._names[path] = _File(disk._files, file.after_crash(random))
        disk._durable_names = dict(disk._names)
        return disk

    def step(self, what: str) -> None:
        self.operations += 1
        self.before(self.operations, what)

    # The operations

    def append_to(self, path: Path) -> "SimHandle":
        self.step("open")
        if path not in self._names:
            self._files += 1
            self._names[path] = _File(self._files)
            self._changes.append((path.parent, {path: self._names[path]}))
        return SimHandle(self, self._names[path])

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).content)

    def read_parts(self, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        content = self._file(path).content
        return [bytes(content[offset : offset + length]) for offset, length in parts]

    def names(self, folder: Path) -> list[str]:
        return sorted({path.relative_to(folder).parts[0] for path in self._names if folder in path.parents})

    def make_folder(self, folder: Path) -> None:
        """Folders are there; the real disk makes them durably."""

    def rename(self, old: Path, new: Path) -> None:
        self.step("rename")
        file = self._names.pop(old)
        self._names[new] = file
        self._changes.append((new.parent, {old: None, new: file}))

    def remove(self, path: Path) -> None:
        if path in self._names:
            self.step("remove")
            del self._names[path]
            self._changes.append((path.parent, {path: None}))

    def sync_folder(self, folder: Path) -> None:
        self.step("sync_folder")
        for change in [change for parent, change in self._changes if parent == folder]:
            for path, file in change.items():
                if file is None:
                    self._durable_names.pop(path, None)
                else:
                    self._durable_names[path] = file
        self._changes = [each for each in self._changes if each[0] != folder]

    def identity(self, path: Path) -> Identity | None:
        file = self._names.get(path)
        return None if file is None else Identity(1, file.number)

    def lock(self, path: Path, owner: str) -> Held:
        raise FolderInUse(str(path), owner)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Rots a file in place, durably."""
        file = self._file(path)
        file.content = bytearray(data)
        file.synced()

    def _file(self, path: Path) -> _File:
        if path not in self._names:
            raise StorageError(f"read {path}: no such file")
        return self._names[path]


class SimHandle:
    """A ``Handle`` on a simulated file; it stays with its file, whatever name that has."""

    def __init__(self, disk: SimDisk, file: _File) -> None:
        self._disk = disk
        self._file = file

    def write(self, data: bytes) -> None:
        """A fault before this may leave a part of the data behind (``short_write``)."""
        try:
            self._disk.step("write")
        except (PowerCut, StorageError):
            self._append(data[: len(data) * 2 // 3])
            raise
        self._append(data)

    def sync(self) -> None:
        try:
            self._disk.step("sync")
        except StorageError:
            self._file.doomed = True
            raise
        self._file.synced()

    def cut(self, size: int) -> None:
        self._disk.step("cut")
        del self._file.content[size:]
        self._file.pending.append(_Cut(size))

    def identity(self) -> Identity:
        return Identity(1, self._file.number)

    def close(self) -> None:
        """Nothing to let go of."""

    def _append(self, data: bytes) -> None:
        self._file.pending.append(_Write(len(self._file.content), data))
        self._file.content += data


def _put(left: bytearray, offset: int, data: bytes) -> None:
    if len(left) < offset:
        left.extend(bytes(offset - len(left)))
    left[offset : offset + len(data)] = data


def _nothing(number: int, what: str) -> None:
    del number, what
