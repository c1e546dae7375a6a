"""Repair: a database is written anew from what was verified of the old one, which is then kept in quarantine.

Rules: one way for every damage, and for records that are put back or set aside: a new file is made beside the old one
by appending, so that chains and read model are what any append would have made; then names change. A stop at any
place leaves the old file, or the new one whole. No row is ever mended where it lies.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.errors import Corrupt, StorageError
from persistence import sqlite_checkpoints, sqlite_names
from persistence.disk import Disk, Identity
from persistence.frames import Frame
from persistence.migrations import migrate
from persistence.sqlite_connection import Row, connect, prepare, rows, storing
from persistence.sqlite_records import CHUNK_RECORDS, Records, frame_in, stream
from persistence.sqlite_terms import put_term, terms
from persistence.sqlite_vetting import end_of_appends, gsn_of
from persistence.writing import replace

_BEFORE_BY_GSN: Final = """
SELECT gsn, frame FROM records WHERE gsn > ?1 UNION ALL SELECT gsn, frame FROM aside WHERE gsn > ?1
ORDER BY gsn LIMIT ?2
"""
_HAS_FRAMES: Final = "SELECT count(*) FROM sqlite_schema WHERE name = 'frames'"
MAX_UNREADABLE: Final = 5_000
"""So many rows that a damaged page hides are stepped over, one by one: an inner page hides about 2,500."""
_SUFFIXES: Final = ("", "-wal", "-shm")


class Files:
    """The names of a database: the file and its WAL, the one that is being made, and quarantine."""

    def __init__(self, disk: Disk, path: Path, quarantine: Path) -> None:
        self._disk = disk
        self._quarantine = quarantine
        self.path = path
        self.new = path.with_name(f"{path.name}.new")

    def settle(self) -> list[str]:
        """Ends what an earlier process began: a new file counts only if the old one has been moved away.

        Gives a note where a WAL has lost its database; SQLite would delete it.
        """
        self._disk.make_folder(self.path.parent)
        if self._disk.identity(self.path) is not None and not self._is_emptied():
            self._discard(self.new)
            return []
        stray = self.wal() != b""
        self.set_aside("a WAL without its database")
        if self._disk.identity(self.new) is not None:
            self._rename()
        return [f"{self.path.name} was gone or empty; its WAL is kept in quarantine"] if stray else []

    def wal(self) -> bytes:
        """The bytes of the WAL; empty where there is none."""
        path = _named(self.path, "-wal")
        return b"" if self._disk.identity(path) is None else self._disk.read(path)

    def swap(self, why: str) -> None:
        """Puts the new file in the place of the old one, which goes to quarantine; both are closed."""
        if self._disk.identity(self.new.with_name(f"{self.new.name}-wal")) is not None:
            raise StorageError(f"{self.new} could not be closed: it still has a WAL")
        self.set_aside(why)
        self._rename()

    def set_aside(self, why: str) -> None:
        """Moves the database, which is closed, with all that belongs to it into quarantine."""
        held = [suffix for suffix in _SUFFIXES if self._disk.identity(_named(self.path, suffix)) is not None]
        if not held:
            return
        kept = self._free_name()
        replace(self._disk, _named(kept, ".why"), f"{self.path}: {why}\n".encode())
        for suffix in held:
            self._disk.rename(_named(self.path, suffix), _named(kept, suffix))
        self._disk.sync_folder(self._quarantine)
        self._disk.sync_folder(self.path.parent)

    def identities(self) -> tuple[Identity | None, Identity | None]:
        """Which files the names of the database and of its WAL stand for."""
        return self._disk.identity(self.path), self._disk.identity(self.path.with_name(f"{self.path.name}-wal"))

    def _is_emptied(self) -> bool:
        """Whether nothing is left of a database but its WAL."""
        return self._disk.read_parts(self.path, [(0, 1)]) == [b""] and self.wal() != b""

    def _rename(self) -> None:
        self._disk.rename(self.new, self.path)
        self._disk.sync_folder(self.path.parent)

    def _free_name(self) -> Path:
        number = 1
        while (
            self._disk.identity(_named(kept := self._quarantine / f"{number}-{self.path.name}", ".why")) is not None
        ):
            number += 1
        return kept

    def _discard(self, path: Path) -> None:
        for suffix in _SUFFIXES:
            self._disk.remove(_named(path, suffix))


def build(new: Path, batches: Iterator[list[Frame]], old: sqlite3.Connection, old_path: Path) -> None:
    """Makes the new file of these frames and of the old one's terms, checkpoints and names.

    Raises:
        StorageError, DiskFull, NotConfirmed: when it could not be made; the old file is as it was.
    """
    db = connect(new)
    try:
        prepare(db, new)
        migrate(db, new)
        with suppress(Corrupt):  # what holds the terms, or finds the checkpoints, cannot be read
            for term in (terms(old, old_path))[0]:
                put_term(db, new, term)
        with suppress(Corrupt):  # before the records: behind a hole a chain goes on from a checkpoint
            sqlite_checkpoints.copy(old, old_path, db, new)
        records = Records(db, new)
        for batch in batches:
            records.append(batch)
        sqlite_names.copy(old, old_path, db, new)
    finally:
        db.close()


def whole_appends(chunks: Iterator[list[Frame]]) -> Iterator[list[Frame]]:
    """The same frames in batches that end with an append; what follows the last end is left out."""
    group: list[Frame] = []
    for chunk in chunks:
        group += chunk
        end = end_of_appends(group)
        if end:
            yield group[:end]
        group = group[end:]


def up_to(chunks: Iterator[list[Frame]], gsn: int) -> Iterator[list[Frame]]:
    """The frames up to a gsn."""
    for chunk in chunks:
        kept = [frame for frame in chunk if frame.record.gsn <= gsn]
        if not kept:
            return
        yield kept


def put_among(chunks: Iterator[list[Frame]], frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """The frames with others, of lower gsns than the last of them, put where they belong."""
    waiting = sorted(frames, key=_gsn)
    for chunk in chunks:
        due = [frame for frame in waiting if frame.record.gsn < chunk[-1].record.gsn]
        waiting = waiting[len(due) :]
        yield sorted([*chunk, *due], key=_gsn)


def salvage(db: sqlite3.Connection, path: Path) -> Iterator[list[Frame]]:
    """Every frame that can be verified, in order, chunk by chunk; damaged pages are stepped over."""
    after, size, unreadable = 0, CHUNK_RECORDS, 0
    while unreadable < MAX_UNREADABLE:
        try:
            with storing(path):
                found = _stream(db, after, size)
        except Corrupt:
            after, unreadable = (after, unreadable) if size > 1 else (after + 1, unreadable + 1)
            size = 1
            continue
        if not found:
            return
        good = _verified(found, path, after)
        if good:
            yield good
        after, size = (good[-1].record.gsn if good else max(after + 1, gsn_of(found[-1]))), CHUNK_RECORDS


def _stream(db: sqlite3.Connection, after: int, limit: int) -> Sequence[Row]:
    """As ``stream``, also of a database that was too damaged for its migration."""
    ((is_there,),) = rows(db, _HAS_FRAMES)
    return stream(db, after, limit) if is_there else rows(db, _BEFORE_BY_GSN, after, limit)


def _verified(found: Sequence[Row], path: Path, after: int) -> list[Frame]:
    """The good rows, as long as they rise: a damaged page may give rows twice."""
    good: list[Frame] = []
    for row in found:
        try:
            frame = frame_in(row, path.name)
        except Corrupt:
            continue
        if frame.record.gsn > after:
            good.append(frame)
            after = frame.record.gsn
    return good


def _named(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _gsn(frame: Frame) -> int:
    return frame.record.gsn
