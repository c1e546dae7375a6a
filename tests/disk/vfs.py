"""SQLite's way to the disk, watched: a VFS that tells every operation to a trace before the real one does it.

It is registered by ctypes in the very library that Python's ``sqlite3`` calls, as the default, so that the product
goes through it unchanged. Syncs are told and not done: what would be durable is worked out from what was told, and
tests need no slow disk. Where Python carries SQLite within itself there is no such library: ``library`` gives None.

Layouts: https://sqlite.org/c3ref/vfs.html and https://sqlite.org/c3ref/io_methods.html
"""

import ctypes
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p, cast, string_at
from pathlib import Path
from typing import Final

from tests.disk.events import Event, Looked, Made, Removed, Shortened, Synced, Wrote
from tests.disk.faults import Fault
from tests.disk.trace import Trace, Verdict

OK: Final = sqlite3.SQLITE_OK
_NAME: Final = b"watched"
_MADE_ANEW: Final = 0x800 | 0x4000 | 0x80000
"""SQLITE_OPEN_MAIN_JOURNAL, _SUPER_JOURNAL, _WAL: their folder is synced with their first sync (os_unix.c)."""
_CREATE: Final = 0x4
_CANNOT_OPEN: Final = sqlite3.SQLITE_CANTOPEN
_CODES: Final[dict[type, int]] = {
    Looked: sqlite3.SQLITE_IOERR_READ,
    Wrote: sqlite3.SQLITE_IOERR_WRITE,
    Shortened: sqlite3.SQLITE_IOERR_TRUNCATE,
    Synced: sqlite3.SQLITE_IOERR_FSYNC,
    Removed: sqlite3.SQLITE_IOERR_DELETE,
}
_MAPS: Final = Path("/proc/self/maps")


class _Vfs(Structure):
    """struct sqlite3_vfs, version 3."""


_Open = ctypes.CFUNCTYPE(c_int, POINTER(_Vfs), c_void_p, c_void_p, c_int, c_void_p)
_Delete = ctypes.CFUNCTYPE(c_int, POINTER(_Vfs), c_char_p, c_int)
_Vfs._fields_ = [
    ("iVersion", c_int),
    ("szOsFile", c_int),
    ("mxPathname", c_int),
    ("pNext", c_void_p),
    ("zName", c_char_p),
    ("pAppData", c_void_p),
    ("xOpen", _Open),
    ("xDelete", _Delete),
    ("others", c_void_p * 14),
]

_Close = ctypes.CFUNCTYPE(c_int, c_void_p)
_Read = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Write = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)


class _Methods(Structure):
    """struct sqlite3_io_methods, version 3."""

    _fields_ = (
        ("iVersion", c_int),
        ("xClose", _Close),
        ("xRead", _Read),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        ("others", c_void_p * 13),
    )


class _File(Structure):
    """struct sqlite3_file; what is behind it belongs to the real VFS."""

    _fields_ = (("pMethods", POINTER(_Methods)),)


def library() -> ctypes.CDLL | None:
    """The SQLite that Python's ``sqlite3`` calls, where it is a library of its own."""
    if not _MAPS.exists():
        return None
    sqlite3.connect(":memory:").close()
    paths = {line.split()[-1] for line in _MAPS.read_text().splitlines() if "libsqlite3" in line}
    for path in paths:
        found = ctypes.CDLL(path)
        found.sqlite3_libversion.restype = c_char_p
        if found.sqlite3_libversion() == sqlite3.sqlite_version.encode():
            return found
    return None


@contextmanager
def watched(trace: Trace) -> Iterator[None]:
    """Every database that is opened meanwhile is watched.

    One that a killed process left open is closed when the collector finds it, at any later time: what SQLite then
    calls is kept until the end of the tests.
    """
    sqlite = library()
    assert sqlite is not None, "ask library() before"
    sqlite.sqlite3_vfs_find.restype = POINTER(_Vfs)
    real = sqlite.sqlite3_vfs_find(None)
    shim = _Shim(real, trace)
    if sqlite.sqlite3_vfs_register(byref(shim.vfs), 1) != OK:
        raise RuntimeError("SQLite took no VFS")
    try:
        yield
    finally:
        sqlite.sqlite3_vfs_unregister(byref(shim.vfs))
        sqlite.sqlite3_vfs_register(real, 1)
        if shim.holds_files():
            _CALLED_LATER.append(shim)
    if shim.trouble:
        raise shim.trouble[0]


class _Shim:
    """The structures that SQLite calls; they live as long as it may call them.

    ``trouble``: what went wrong in here; SQLite has no use for exceptions.
    """

    def __init__(self, real: "ctypes._Pointer[_Vfs]", trace: Trace) -> None:
        self._real = real
        self._trace = trace
        self._paths: dict[int, Path] = {}
        self._folder_unsynced: set[int] = set()
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self.trouble: list[BaseException] = []
        self.vfs = _Vfs.from_buffer_copy(real.contents)
        self.vfs.zName = _NAME
        self.vfs.xOpen = _Open(self._guarded(self._open))
        self.vfs.xDelete = _Delete(self._guarded(self._delete))

    def holds_files(self) -> bool:
        """Whether SQLite may still call."""
        return bool(self._paths)

    def _guarded(self, call: Callable[..., int]) -> Callable[..., int]:
        def guarded(*args: object) -> int:
            try:
                return call(*args)
            except BaseException as error:  # noqa: BLE001 -- raised again by watched()
                self.trouble.append(error)
                return sqlite3.SQLITE_IOERR

        return guarded

    def _open(self, _: object, name: int | None, file: int, flags: int, out: int) -> int:
        if name is None:  # a file of SQLite's own, which is gone when it is closed
            return self._real.contents.xOpen(self._real, name, file, flags, out)
        path = Path(string_at(name).decode())
        verdict = self._trace.meet(Looked(path) if path.exists() else Made(path))
        code = _CANNOT_OPEN if verdict.fault else self._real.contents.xOpen(self._real, name, file, flags, out)
        if code == OK:
            self._paths[file] = path
            if flags & _CREATE and flags & _MADE_ANEW:
                self._folder_unsynced.add(file)
            self._wrap(file)
        return code

    def _delete(self, _: object, name: bytes, sync_folder: int) -> int:
        path = Path(name.decode())
        if not path.exists():
            return self._real.contents.xDelete(self._real, name, 0)
        verdict = self._trace.meet(Removed(path, bool(sync_folder)))
        if verdict.done:
            path.unlink()
        return _code(Removed, verdict)

    def _wrap(self, file: int) -> None:
        """Gives the file methods of ours; one copy for each kind that the real VFS has."""
        pointer = cast(file, POINTER(_File)).contents
        at = ctypes.addressof(pointer.pMethods.contents)
        if at not in self._methods:
            real = pointer.pMethods.contents
            ours = _Methods.from_buffer_copy(real)
            self._methods[at] = ours, real
            ours.xClose = _Close(self._guarded(lambda file: self._close(real, file)))
            ours.xRead = _Read(self._guarded(lambda *args: self._read(real, *args)))
            ours.xWrite = _Write(self._guarded(lambda *args: self._write(real, *args)))
            ours.xTruncate = _Truncate(self._guarded(lambda *args: self._truncate(real, *args)))
            ours.xSync = _Sync(self._guarded(lambda file, _: self._sync(file)))
        pointer.pMethods = ctypes.pointer(self._methods[at][0])

    def _close(self, real: _Methods, file: int) -> int:
        del self._paths[file]
        self._folder_unsynced.discard(file)
        return real.xClose(file)

    def _read(self, real: _Methods, file: int, to: int, size: int, offset: int) -> int:
        return _code(Looked, self._trace.meet(Looked(self._paths[file]))) or real.xRead(file, to, size, offset)

    def _write(self, real: _Methods, file: int, data: int, size: int, offset: int) -> int:
        verdict = self._trace.meet(Wrote(self._paths[file], offset, string_at(data, size)))
        written = real.xWrite(file, data, verdict.done, offset) if verdict.done else OK
        return written or _code(Wrote, verdict)

    def _truncate(self, real: _Methods, file: int, size: int) -> int:
        verdict = self._trace.meet(Shortened(self._paths[file], size))
        shortened = real.xTruncate(file, size) if verdict.done else OK
        return shortened or _code(Shortened, verdict)

    def _sync(self, file: int) -> int:
        verdict = self._trace.meet(Synced(self._paths[file], file in self._folder_unsynced))
        if verdict.done:
            self._folder_unsynced.discard(file)
        return _code(Synced, verdict)


def _code(event: type[Event], verdict: Verdict) -> int:
    """What SQLite is told: a full disk as such where the real VFS does so."""
    if verdict.fault is None:
        return OK
    if event is Wrote and verdict.fault in {Fault.ENOSPC, Fault.ENOSPC_ON, Fault.SHORT}:
        return sqlite3.SQLITE_FULL
    return _CODES[event]


_CALLED_LATER: Final[list[_Shim]] = []
