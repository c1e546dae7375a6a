"""What can be said of the database by reading it, while no bot holds it: all that the layer itself verifies.

It is opened read-only: the layer heals what it opens, this only looks.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from actors.cli.inspection import Inspected
from actors.gateway.wording import count
from ledger.errors import Corrupt, FolderInUse
from ledger.ids import GuildId
from persistence import sqlite_checkpoints
from persistence.backups import LOCK
from persistence.disk import Disk
from persistence.layer import Head
from persistence.marker import has_run
from persistence.migrations import MIGRATIONS, applied
from persistence.sqlite_connection import BUSY_S, rows, storing
from persistence.sqlite_records import Records
from persistence.sqlite_vetting import Vetting

NAME: Final = "database"
OF_A_BACKUP: Final = Inspected(NAME, "none, as in every backup: the bot makes it anew from the log")
_MADE_ANEW: Final = "the bot makes it anew from the log when it starts"
_COUNT: Final = "SELECT count(*) FROM frames"


def inspect_database(disk: Disk, data: Path, path: Path, log: Mapping[GuildId, Head]) -> Inspected:
    """Reads the database whole, holding the data folder's lock, and compares its heads with the log's.

    Args:
        disk: for the lock.
        data: the data folder.
        path: the database's file.
        log: the log's heads.

    Raises:
        NewerFormat: when a later release wrote it.
        StorageError: when it cannot be read.
    """
    if disk.identity(path) is None:
        return _none(disk, data, path, log)
    try:
        held = disk.lock(data / LOCK, f"inviteledger verify, process {os.getpid()}")
    except FolderInUse as error:
        return Inspected(NAME, f"not looked at, since {error.owner} is running on it: stop that first")
    try:
        return _inspect(disk, path, log)
    except Corrupt as error:
        return Inspected(NAME, "unreadable", (str(error),))
    finally:
        held.release()


def _none(disk: Disk, data: Path, path: Path, log: Mapping[GuildId, Head]) -> Inspected:
    if not log:
        return Inspected(NAME, "none")
    if not has_run(disk, data):
        return Inspected(NAME, f"none yet: {_MADE_ANEW}")
    lost = f"{path} is not there, and a bot has run on this folder: is DATABASE_URL the bot's? If so, {_MADE_ANEW}"
    return Inspected(NAME, "none", (lost,))


def _inspect(disk: Disk, path: Path, log: Mapping[GuildId, Head]) -> Inspected:
    with _opened(disk, path) as db:
        if applied(db, path) < len(MIGRATIONS):
            return Inspected(NAME, "of an earlier release: the bot brings it up to date when it starts")
        sqlite_checkpoints.look(db, path)
        vetting = Vetting(db, path, Records(db, path))
        vetting.run()
        with storing(path):
            ((number,),) = rows(db, _COUNT)
        assert isinstance(number, int), "count(*) is one"
        keys = sqlite_checkpoints.keys(db, path)
        damaged = tuple(_checkpoint_faults(db, path, keys))
    heads = vetting.records.chains.heads
    held = f"{count(number, 'record')} of {count(len(heads), 'guild')}, up to gsn {vetting.records.gsn}"
    held = f"{held}, {count(len(keys), 'checkpoint')}"
    holes = [f"{path.name}: gsn {first} to {last} is not there" for first, last in vetting.holes]
    return Inspected(NAME, held, (*vetting.flaws, *holes, *damaged, *_compared(path, heads, log)))


@contextmanager
def _opened(disk: Disk, path: Path) -> Iterator[sqlite3.Connection]:
    """Read-only. Without a WAL the file is all there is, and SQLite need not make files of its own beside it."""
    how = "immutable=1" if disk.identity(path.with_name(f"{path.name}-wal")) is None else "mode=ro"
    address = f"file:{quote(str(path))}?{how}"
    with storing(path), closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as db:
        db.text_factory = bytes
        yield db


def _checkpoint_faults(db: sqlite3.Connection, path: Path, keys: Sequence[sqlite_checkpoints.Key]) -> Iterator[str]:
    for key in keys:
        try:
            sqlite_checkpoints.load(db, path, key)
        except Corrupt as error:
            yield str(error)


def _compared(path: Path, heads: Mapping[GuildId, Head], log: Mapping[GuildId, Head]) -> Iterator[str]:
    """Behind the log it may be: the bot was killed between the two, and the next start catches up."""
    for guild, head in heads.items():
        other = log.get(guild)
        if other is None or head.seq > other.seq:
            yield f"{path.name}, guild {guild}: ends at seq {head.seq}, the log at {other.seq if other else 0}"
        elif head.seq == other.seq and head.digest != other.digest:
            yield f"{path.name}, guild {guild}: stands on another chain than the log at seq {head.seq}"
