"""The disk as this package sees it: a synchronous seam of the few file operations that are used.

Rules: a write is whole or an error; every failed write or fsync is told apart from a failed read; nothing here knows
what is in a file. A test's disk keeps the same protocol and cuts the power. What is blocking is taken off the event
loop by whoever calls (``persistence/offload.py``).

Errors: ``DiskFull`` (ENOSPC, EDQUOT, EROFS), ``NotConfirmed`` (any other failure of write, fsync, rename, link),
``Denied`` (EACCES, EPERM) and ``StorageError`` (any other failure of open, read, list, remove).
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ledger.errors import Denied, DiskFull, FolderInUse, NotConfirmed, StorageError

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where there is no room."""
FULL: Final = NO_ROOM | {errno.EROFS}
"""Likewise, or where nothing is taken at all."""
_UNLINKED: Final = frozenset({errno.ENOENT, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS})
_OWNER_BYTES: Final = 4096


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Which file a name stands for. Two files of one disk never share it at the same time."""

    device: int
    inode: int


class Handle(Protocol):
    """A file open for appending."""

    def write(self, data: bytes) -> None:
        """Appends all of ``data``. After an error an unknown part of it is there."""
        ...

    def sync(self) -> None:
        """Returns when what was written is durable (content and length; the name is its folder's business)."""
        ...

    def cut(self, size: int) -> None:
        """Takes back what lies behind ``size`` bytes, for readers of this process; not synced."""
        ...

    def identity(self) -> Identity:
        """The identity of the open file, whatever its name stands for by now."""
        ...

    def close(self) -> None:
        """Lets go of the file. Safe to call twice."""
        ...


class Held(Protocol):
    """An exclusive lock that this process holds until it lets go or dies."""

    def release(self) -> None:
        """Lets go. Safe to call twice."""
        ...


class Disk(Protocol):
    """The operations. Paths may be relative; folders are made with their parents."""

    def append_to(self, path: Path) -> Handle:
        """Opens a file for appending, creating it where there is none."""
        ...

    def read(self, path: Path) -> bytes:
        """The whole file."""
        ...

    def read_parts(self, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Pieces (offset, length) of a file; a piece beyond its end comes back short."""
        ...

    def names(self, folder: Path) -> list[str]:
        """What the folder holds, sorted; empty when there is no such folder."""
        ...

    def folders(self, folder: Path) -> frozenset[str]:
        """Which of its names are folders."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Makes the folder and its parents, durably, where it is not there."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Moves a file over another name at once; durable after ``sync_folder``."""
        ...

    def link(self, old: Path, new: Path) -> bool:
        """Gives a file a second name unless that is taken (False); durable after ``sync_folder``.

        Raises:
            NotConfirmed: when it is unknown whether it has the name now.
            StorageError: when it has not: there is no such file, or links are not known here.
        """
        ...

    def remove(self, path: Path) -> None:
        """Removes a file; nothing happens where it is gone."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Returns when the folder's names are durable. Every failure is ``NotConfirmed``."""
        ...

    def identity(self, path: Path) -> Identity | None:
        """Which file the name stands for; None = none."""
        ...

    def lock(self, path: Path, owner: str) -> Held:
        """Locks the file for this process and writes ``owner`` into it; never waits.

        Raises:
            FolderInUse: when another holds it; the error carries what that one wrote.
        """
        ...


@contextmanager
def _changing(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"{what} {path}: {error.strerror}"
        raise (DiskFull if error.errno in FULL else NotConfirmed)(text) from error


@contextmanager
def _reading(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"{what} {path}: {error.strerror}"
        denied = Denied if isinstance(error, PermissionError) else StorageError
        raise (DiskFull if error.errno in FULL else denied)(text) from error


def _flush(descriptor: int) -> None:
    """Fdatasync where there is one (it syncs the length too), else fsync."""
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


class RealHandle:
    """A file descriptor opened with O_APPEND."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with _changing("write", self._path):
            while rest:  # a full disk writes short before it fails
                rest = rest[os.write(self._open(), rest) :]

    def sync(self) -> None:
        with _changing("fsync", self._path):
            _flush(self._open())

    def cut(self, size: int) -> None:
        with _changing("truncate", self._path):
            os.ftruncate(self._open(), size)

    def identity(self) -> Identity:
        with _reading("stat", self._path):
            stat = os.fstat(self._open())
        return Identity(stat.st_dev, stat.st_ino)

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # what had to be durable was synced before
                os.close(descriptor)

    def _open(self) -> int:
        assert self._descriptor is not None, "a closed handle is not used"
        return self._descriptor


class RealLock:
    """A flock; the kernel takes it back when the process dies, however it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def lock_owner(path: Path) -> str:
    """What the holder of a lock wrote about itself; "" where nobody holds it, or it cannot be read.

    A shared lock is tried for a moment, so that whoever only looks leaves no trace.
    """
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(_OWNER_BYTES).decode(errors="replace") or "another process"
    return ""


class RealDisk:
    """The operating system's files."""

    def __init__(self) -> None:
        self._durable_folders: set[Path] = set()

    def append_to(self, path: Path) -> RealHandle:
        with _reading("open", path):
            return RealHandle(path, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def read(self, path: Path) -> bytes:
        with _reading("read", path):
            return path.read_bytes()

    def read_parts(self, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        with _reading("read", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return [os.pread(descriptor, length, offset) for offset, length in parts]
            finally:
                os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        with _reading("list", folder):
            return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []

    def folders(self, folder: Path) -> frozenset[str]:
        with _reading("list", folder):
            if not folder.exists():
                return frozenset()
            with os.scandir(folder) as entries:
                return frozenset(entry.name for entry in entries if entry.is_dir())

    def make_folder(self, folder: Path) -> None:
        """One that is there may be so only until the power fails: whoever made it was killed before its sync."""
        if folder.is_dir():
            if folder in self._durable_folders:
                return
        else:
            self.make_folder(folder.parent)
            with _reading("make folder", folder):
                folder.mkdir(mode=0o700, exist_ok=True)
        if os.access(folder.parent, os.W_OK):  # else we cannot have made it
            self.sync_folder(folder.parent)
        self._durable_folders.add(folder)

    def rename(self, old: Path, new: Path) -> None:
        with _changing("rename", old):
            old.replace(new)

    def link(self, old: Path, new: Path) -> bool:
        try:
            os.link(old, new)
        except FileExistsError:
            return False
        except OSError as error:
            with (_reading if error.errno in _UNLINKED else _changing)("link", new):
                raise
        return True

    def remove(self, path: Path) -> None:
        with _reading("remove", path):
            path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotConfirmed(f"fsync of folder {folder}: {error.strerror}") from error

    def identity(self, path: Path) -> Identity | None:
        with _reading("stat", path):
            try:
                stat = path.stat()
            except FileNotFoundError:
                return None
        return Identity(stat.st_dev, stat.st_ino)

    def lock(self, path: Path, owner: str) -> RealLock:
        with _reading("lock", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with ExitStack() as opened, _reading("lock", path):
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, _OWNER_BYTES, 0).decode(errors="replace")
                raise FolderInUse(str(path.parent), holder or "another process") from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, owner.encode(), 0)
            opened.pop_all()
        return RealLock(descriptor)
