"""The one connection to a database file: how it is opened, and what SQLite's errors mean here.

Rules: WAL, ``synchronous=FULL``, exclusive (SQLite before 3.51.3 has a race between connections at a WAL's reset, and
a second process is refused); text is read as bytes, since a flipped bit makes it undecodable; an error at COMMIT is
an unknown outcome. After any error the connection is closed, which takes back what was not committed. Blocking, and
all of it on one thread: ``sqlite.py`` takes it off the event loop.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from ledger.errors import Corrupt, DiskFull, LayerRefused, NotConfirmed, StorageError

Value: TypeAlias = int | str | bytes | None
"""What a column holds."""
Row: TypeAlias = Sequence[object]
"""What a query gives: nothing is known of it before it was looked at."""

BUSY_S: Final = 0.5
"""How long another process is waited for."""
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
_CORRUPT: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # our SQL is static and tested: the schema is not the one we made
    }
)
PRIMARY: Final = 0xFF
"""The lower byte of an extended error code."""


def connect(path: Path) -> sqlite3.Connection:
    """Opens a database, or creates an empty one, and locks it. Nothing of it is changed yet.

    Raises:
        Corrupt: when it is no database.
        StorageError: when it cannot be opened, or another process holds it.
    """
    with ExitStack() as opening, storing(path):
        db = opening.enter_context(closing(sqlite3.connect(path, timeout=BUSY_S)))
        db.text_factory = bytes
        rows(db, "PRAGMA locking_mode = EXCLUSIVE")
        rows(db, "PRAGMA cell_size_check = ON")
        rows(db, "SELECT count(*) FROM sqlite_schema")
        opening.pop_all()
        return db


def prepare(db: sqlite3.Connection, path: Path) -> int:
    """Makes the connection a durable one; what a WAL still holds is synced into the file. Gives its pages.

    Raises:
        StorageError: when the file cannot be written, or cannot have a WAL.
    """
    with storing(path):
        ((mode,),) = rows(db, "PRAGMA journal_mode = WAL")
        if mode != b"wal":
            raise StorageError(f"{path}: a WAL was refused, the journal's mode is {mode!r}")
        rows(db, "PRAGMA synchronous = FULL")
        rows(db, "PRAGMA secure_delete = FAST")  # a name that was replaced does not linger
        ((_, pages, _),) = rows(db, "PRAGMA wal_checkpoint(PASSIVE)")
        rows(db, "PRAGMA wal_checkpoint(TRUNCATE)")
    return pages if isinstance(pages, int) else 0


def let_go_of_pages(db: sqlite3.Connection, path: Path) -> None:
    """What is read next comes from the file (or what the operating system has of it), not from this connection."""
    with storing(path):
        rows(db, "PRAGMA shrink_memory")


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Errors of SQLite, before a COMMIT, as ours: nothing of what was asked has happened."""
    try:
        yield
    except (sqlite3.IntegrityError, OverflowError) as error:
        raise LayerRefused(f"{path}: {error}") from error
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError as error:  # SQLite quotes a damaged schema in its message
        raise Corrupt(str(path), "the schema is unreadable") from error
    except sqlite3.DatabaseError as error:
        raise _translated(error, path) from error


@contextmanager
def committing(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One transaction; the first change in it begins it.

    Raises:
        NotConfirmed: when COMMIT failed: whether it is durable is unknown.
    """
    with storing(path):
        yield
    try:
        db.commit()
    except sqlite3.Error as error:
        raise NotConfirmed(f"{path}: COMMIT: {error}") from error


def rows(db: sqlite3.Connection, sql: str, *values: Value) -> Sequence[Row]:
    """All that a query gives."""
    return tuple(db.execute(sql, values).fetchall())


def _translated(error: sqlite3.DatabaseError, path: Path) -> StorageError | Corrupt:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return StorageError(f"{path} was removed or replaced by someone else")
    code &= PRIMARY
    # A file that may be written and is read-only all the same says so in a damaged header.
    if code in _CORRUPT or (code == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK)):
        return Corrupt(str(path), str(error))
    if code == sqlite3.SQLITE_BUSY:
        return StorageError(f"{path} is in use by another process")
    return (DiskFull if code in _FULL else StorageError)(f"{path}: {error}")
