"""The second layer on a stage: a database in memory, or the real one in SQLite, whose thread is simulated as well.

Either outlives the processes that use it, can be copied, loses records on request, and is left behind by a kill as
it is: what was committed stands. What a cut of the power does to SQLite's files is looked at in ``tests/disk``.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import pytest

from ledger.errors import StorageError
from persistence import sqlite
from persistence.disk import RealDisk
from persistence.layer import Layer
from persistence.sqlite import SqliteLayer
from tests.memory.database import MemoryDatabase

T = TypeVar("T")

MEMORY_DISK: Final = Path("/dev/shm")


class Database(Protocol):
    """What a stage does with its second layer."""

    def used(self) -> Layer:
        """For a process that begins."""
        ...

    def copied(self) -> "Database": ...

    def emptied(self) -> "Database":
        """Another one, new."""
        ...

    def lose(self, first_gsn: int, last_gsn: int) -> None: ...

    def go_away(self) -> None:
        """From now on everything fails, until ``come_back``."""
        ...

    def come_back(self) -> None: ...

    def left(self) -> None:
        """Its process is dead."""
        ...


class InMemory(Database):
    def __init__(self, layer: MemoryDatabase | None = None) -> None:
        self._layer = layer or MemoryDatabase("database")

    def used(self) -> MemoryDatabase:
        return self._layer

    def copied(self) -> "InMemory":
        fresh = MemoryDatabase("database")
        for name in ("_frames", "_checkpoints", "_names"):
            setattr(fresh, name, {key: _copy(value) for key, value in getattr(self._layer, name).items()})
        fresh._term = self._layer._term
        return InMemory(fresh)

    def emptied(self) -> "InMemory":
        return InMemory()

    def lose(self, first_gsn: int, last_gsn: int) -> None:
        self._layer.lose(first_gsn, last_gsn)

    def go_away(self) -> None:
        self._layer.go_away(StorageError("unplugged"))

    def come_back(self) -> None:
        self._layer.come_back()

    def left(self) -> None:
        self._layer.come_back()


class InSqlite(Database):
    """A folder with the file in it; best on a disk that needs no fsync."""

    def __init__(self) -> None:
        base = MEMORY_DISK if MEMORY_DISK.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(dir=base, prefix="inviteledger-kills-")
        self._used: SqliteLayer | None = None
        self.path = Path(self._folder.name) / "ledger.db"

    def used(self) -> SqliteLayer:
        self._used = SqliteLayer(RealDisk(), self.path, self.path.parent / "quarantine")
        return self._used

    def copied(self) -> "InSqlite":
        copy = InSqlite()
        shutil.copytree(self._folder.name, copy._folder.name, dirs_exist_ok=True)
        return copy

    def emptied(self) -> "InSqlite":
        return InSqlite()

    def lose(self, first_gsn: int, last_gsn: int) -> None:
        self.change("DELETE FROM frames WHERE gsn BETWEEN ? AND ?", first_gsn, last_gsn)

    def change(self, sql: str, *values: object) -> None:
        """Does to it what nobody should."""
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(sql, values)

    def go_away(self) -> None:
        raise NotImplementedError("nobody takes a file away that is open")

    def come_back(self) -> None:
        """It was never away."""

    def left(self) -> None:
        """What its connection had not committed goes with it."""
        if self._used is not None:
            self._used._database.close()
            self._used = None


class LoopThread:
    """A ``ThreadOffload`` whose thread is the loop's (``SimLoop.run_in_executor``), and whose end waits likewise."""

    def __init__(self, name: str) -> None:
        del name
        self._begun: list[_Once[Any]] = []

    async def __call__(self, work: Callable[[], T]) -> T:
        once = _Once(work)
        self._begun.append(once)
        return await asyncio.get_running_loop().run_in_executor(self, once)  # type: ignore[arg-type]

    def close(self) -> None:
        """What was begun is over before anything else is."""
        for once in self._begun:
            with suppress(Exception):
                once()


class _Once(Generic[T]):
    """Work that is done when it is first asked for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done: list[T] = []
        self._failed: list[Exception] = []

    def __call__(self) -> T:
        if not (self._done or self._failed):
            try:
                self._done.append(self._work())
            except Exception as error:  # noqa: BLE001 -- as a thread hands it over
                self._failed.append(error)
        if self._failed:
            raise self._failed[0]
        return self._done[0]


@contextmanager
def threadless() -> Iterator[None]:
    """SQLite without its thread, for whoever runs on a ``SimLoop``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "ThreadOffload", LoopThread)
        yield


def _copy(value: object) -> object:
    return list(value) if isinstance(value, list) else value
