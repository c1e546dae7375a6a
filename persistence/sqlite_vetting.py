"""What may be believed of a database: one pass over all of it, which changes nothing.

A *flaw* is a place where it is not what was written: a row whose checksum or gsn differs, an append without its end,
a read model that is not what the records say, a damaged page, index or term. No flaws are a *hole* (a gsn that is not
there), which another layer fills, and frames that stand on no chain: they are behind one, or of a branch that lost.
Rows come in chunks; what stays in memory is a head for each guild, and where its records are. Of a WAL whose frames
were damaged SQLite shows a shorter database: a lower gsn, no flaw (``sqlite_wal.py`` notes it). Blocking.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.records import Forgetting
from persistence import read_model
from persistence.chains import NO_HEAD, appends, itself
from persistence.formats import written_by
from persistence.frames import Frame
from persistence.renaming import Renaming
from persistence.scan import Gap
from persistence.sqlite_connection import PRIMARY, Row, rows, storing
from persistence.sqlite_records import Records, frame_in, stream
from persistence.sqlite_terms import Term, terms

MAX_FLAWS: Final = 20
"""So many are told; more are not looked for."""
_CHECK: Final = "PRAGMA integrity_check(1)"
_FAILED: Final = re.compile(rb"error code=(\d+)")
"""How it says that a page could not be had at all."""
_AS_WRITTEN: Final = Renaming()


class Vetting:
    """One pass; ``run`` it, then its attributes say what was found.

    ``flaws``: a sentence each, empty = all is what was written; ``notes``: what is no flaw and has to be said;
    ``holes``: ranges of gsn; ``term``: the newest; ``epoch``: the highest of any term or record; ``aside``: how many
    records stand on no chain, ``refused``: how many of each guild never did. ``records`` then has the heads of all
    guilds.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, records: Records) -> None:
        self._db = db
        self._path = path
        self.records = records
        self.flaws: list[str] = []
        self.notes: list[str] = []
        self.holes: list[Gap] = []
        self.term = Term(epoch=0, lineage="")
        self.epoch = 0
        self.aside = 0
        self.refused: Counter[GuildId] = Counter()
        self._seen = 0
        self._read_model: Counter[GuildId] = Counter()
        self._rewritten: set[GuildId] = set()

    def run(self) -> None:
        """Verifies terms, records and, at last, what SQLite can verify: pages and indexes.

        Raises:
            NewerFormat: when a later release wrote a record.
            StorageError: when something cannot be read now.
        """
        try:
            self._run()
        except Corrupt as error:
            self.flaws.append(str(error))

    def _run(self) -> None:
        found, flaws = terms(self._db, self._path)
        self.flaws += flaws
        self.term = found[-1] if found else self.term
        self.epoch = self.term.epoch
        with written_by(self.term.release):
            self._verify_records()
        self.aside = self._seen - self.records.standing()
        for guild in self._rewritten:
            self._read_model[guild] = self._told_today(guild)
        with storing(self._path):
            if not self.flaws and read_model.held(self._db) != self._read_model.total():
                self.flaws.append(f"{self._path.name}: the read model is not what the records say")
        self._check()

    def _check(self) -> None:
        """Has SQLite look at pages and indexes. What it says of a page that cannot be read now is no flaw of it."""
        with storing(self._path):
            ((said,),) = rows(self._db, _CHECK)
        failed = _FAILED.search(said) if isinstance(said, bytes) else None
        if failed and int(failed[1]) & PRIMARY != sqlite3.SQLITE_CORRUPT:
            raise StorageError(f"{self._path.name}: {said!r}")
        if said != b"ok":
            self.flaws.append(f"{self._path.name}: {said!r}")

    def _verify_records(self) -> None:
        group: list[Frame] = []
        after = 0
        while len(self.flaws) < MAX_FLAWS:
            with storing(self._path):
                found = stream(self._db, after)
            if not found:
                break
            group += self._read(found)
            end = end_of_appends(group)
            self._verify_chains(group[:end])
            group = group[end:]
            after = gsn_of(found[-1])
        if group:
            self.flaws.append(f"{self._path.name}, gsn {group[0].record.gsn}: an append without its end")

    def _read(self, found: Sequence[Row]) -> list[Frame]:
        """The frames in these rows that are what was written."""
        name, good = self._path.name, list[Frame]()
        for row in found:
            try:
                good.append(frame_in(row, name))
            except Corrupt as error:
                self.flaws.append(str(error))
        return good

    def _verify_chains(self, frames: Sequence[Frame]) -> None:
        for append in appends(frames, itself):
            self._pass(append)
            first = append[0].record
            rises = first.seq > self.records.chains.heads.get(first.guild, NO_HEAD).seq
            if not self.records.take(append):
                self.refused[first.guild] += len(append)
                continue
            if not rises or any(isinstance(frame.record.event, Forgetting) for frame in append):
                self._rewritten.add(first.guild)
            else:
                told = sum(read_model.told(frame.record, _AS_WRITTEN) for frame in append)
                self._read_model[first.guild] += told

    def _pass(self, append: Sequence[Frame]) -> None:
        for record in (frame.record for frame in append):
            if record.gsn > self.records.gsn + 1:
                self.holes.append((self.records.gsn + 1, record.gsn - 1))
            self.records.gsn = record.gsn
            self._seen += 1
            self.epoch = max(self.epoch, record.epoch)

    def _told_today(self, guild: GuildId) -> int:
        """What the records of a guild tell where some were forgotten, or lost to others: they are read again."""
        renaming = Renaming()
        for frames in self.records.of_guild(guild, 0):
            for frame in frames:
                renaming.learn(frame.record)
        chunks = self.records.of_guild(guild, 0)
        return sum(read_model.told(frame.record, renaming) for frames in chunks for frame in frames)


def end_of_appends(frames: Sequence[Frame]) -> int:
    """How many of these frames come before the end of the last whole append."""
    for number in range(len(frames), 0, -1):
        record = frames[number - 1].record
        if record.seq == record.last:
            return number
    return 0


def gsn_of(row: Row) -> int:
    """A row's gsn; SQLite keeps it an integer, whatever else is damaged."""
    gsn = row[0]
    assert isinstance(gsn, int), "a rowid is an integer"
    return gsn
