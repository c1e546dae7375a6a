"""What can be said of the database by reading it, while no bot holds it.

It is opened read-only, and read with SQL of our own: the layer itself heals what it opens, this only looks. The
tables are those of ``persistence/migrations.py``.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from actors.cli.inspection import Inspected
from ledger.errors import Corrupt, FolderInUse, NewerFormat
from ledger.ids import GuildId
from persistence.chains import Chains, appends
from persistence.checkpoints import unpack
from persistence.disk import Disk
from persistence.frames import Frame, unseal
from persistence.layer import Head
from persistence.migrations import MIGRATIONS

NAME: Final = "database"
BUSY_S: Final = 0.5
MAX_FAULTS: Final = 20
"""How many faults of its own SQLite is asked for."""

_FORMAT: Final = "SELECT max(number) FROM migrations"
_RECORDS: Final = "SELECT gsn, guild, seq, epoch, frame FROM records ORDER BY gsn"
_CHECKPOINTS: Final = "SELECT guild, seq, file FROM checkpoints ORDER BY guild, epoch, seq"
_CHECKPOINT: Final = "SELECT file FROM checkpoints WHERE guild = ? AND seq = ?"


def inspect_database(
    disk: Disk, data: Path, path: Path, log: Mapping[GuildId, Head], advance: Callable[[int], None]
) -> Inspected:
    """Reads the database whole, holding the data folder's lock, and compares its heads with the log's.

    Args:
        disk: for the lock.
        data: the data folder.
        path: the database's file.
        log: the log's heads.
        advance: is told how many bytes were read.

    Raises:
        NewerFormat: when a later release wrote it.
    """
    if not path.exists():
        faults = (f"{path} is not there: the bot makes it anew from the log when it starts",) if log else ()
        return Inspected(NAME, "none", faults)
    try:
        held = disk.lock(data / "lock", f"inviteledger verify, process {os.getpid()}")
    except FolderInUse as error:
        return Inspected(NAME, f"not looked at, since {error.owner} holds it: stop that one first")
    try:
        return _Inspection(path, log, advance).run()
    finally:
        held.release()


class _Inspection:
    """One look at one database."""

    def __init__(self, path: Path, log: Mapping[GuildId, Head], advance: Callable[[int], None]) -> None:
        self._path = path
        self._log = log
        self._advance = advance
        self._faults: list[str] = []
        self._records = 0

    def run(self) -> Inspected:
        held = "unreadable"
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=BUSY_S)) as db:
                held = self._read(db)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
                return Inspected(NAME, "not looked at, since another process holds it: stop that one first")
            self._fault(str(error))
        return Inspected(NAME, held, tuple(self._faults))

    def _read(self, db: sqlite3.Connection) -> str:
        self._check_format(db)
        for (fault,) in db.execute(f"PRAGMA integrity_check({MAX_FAULTS})"):
            if fault != "ok":
                self._fault(fault)
        chains = Chains(lambda guild, seq: _digest_at(db, guild, seq))
        for append in appends(self._frames(db), lambda frame: frame):
            if not chains.take(append):
                first, last = append[0].record, append[-1].record
                self._fault(f"guild {first.guild}: seq {first.seq} to {last.seq} stand on no chain")
        self._compare(chains.heads)
        checkpoints = self._check_checkpoints(db)
        return f"{self._records} records of {len(chains.heads)} guilds, {checkpoints} checkpoints"

    def _check_format(self, db: sqlite3.Connection) -> None:
        ((number,),) = db.execute(_FORMAT)
        if number > len(MIGRATIONS):
            raise NewerFormat(self._path.name, number, len(MIGRATIONS))

    def _frames(self, db: sqlite3.Connection) -> Iterator[Frame]:
        for gsn, guild, seq, epoch, data in db.execute(_RECORDS):
            self._records += 1
            self._advance(len(data))
            try:
                frame = unseal(data, f"record {gsn}")
            except Corrupt as error:
                self._fault(str(error))
                continue
            record = frame.record
            if (record.gsn, record.guild, record.seq, record.epoch) != (gsn, str(guild), seq, epoch):
                self._fault(f"record {gsn}: its columns are not those of its frame")
            yield frame

    def _check_checkpoints(self, db: sqlite3.Connection) -> int:
        number = 0
        for guild, seq, file in db.execute(_CHECKPOINTS):
            number += 1
            try:
                header = unpack(file, f"checkpoint of guild {guild} at seq {seq}").header
                if (header.guild, header.seq) != (str(guild), seq):
                    self._fault(f"checkpoint of guild {guild} at seq {seq}: is of another")
            except Corrupt as error:
                self._fault(str(error))
        return number

    def _compare(self, heads: Mapping[GuildId, Head]) -> None:
        """Behind the log it may be: the bot was killed between the two, and the next start catches up."""
        for guild in sorted(heads.keys() | self._log.keys()):
            ours, theirs = heads.get(guild), self._log.get(guild)
            if ours is None or (theirs is not None and ours.seq < theirs.seq):
                continue
            if theirs is None or theirs.digest != ours.digest:
                end = f"seq {theirs.seq}" if theirs else "nothing"
                self._fault(f"guild {guild}: ends at seq {ours.seq}, the log at {end}, and not on one chain")

    def _fault(self, text: str) -> None:
        self._faults.append(f"{self._path.name}: {text}")


def _digest_at(db: sqlite3.Connection, guild: GuildId, seq: int) -> bytes | None:
    """The chain's digest that a checkpoint tells, for records behind a hole."""
    for (file,) in db.execute(_CHECKPOINT, (int(guild), seq)):
        try:
            return bytes.fromhex(unpack(file, "checkpoint").header.digest)
        except Corrupt:
            continue  # told by those who walk the checkpoints
    return None
