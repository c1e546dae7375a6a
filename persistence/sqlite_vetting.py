"""What may be believed of a database: one pass over all of it, which changes nothing.

A *flaw* is a place where it is not what was written: a row whose checksum or columns differ, a frame that does not
stand where ``records`` says so, an append without its end, a read model that is not what the records say, a damaged
page, index or term. A *hole* (a gsn that is not there) is no flaw: it may have been carried over from another layer.
Rows come in chunks; what stays in memory is a head for each guild. Of a WAL whose frames were damaged SQLite shows a
shorter database: a lower gsn, no flaw (``sqlite_wal.py`` notes it).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiosqlite

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence import read_model
from persistence.chains import appends
from persistence.frames import Frame
from persistence.renaming import Renaming
from persistence.scan import Gap
from persistence.sqlite_connection import Row, rows, storing
from persistence.sqlite_records import Records, frame_in, is_aside, itself, learn_renaming, stream
from persistence.sqlite_terms import Term, terms

MAX_FLAWS: Final = 20
"""So many are told; more are not looked for."""
_CHECK: Final = "PRAGMA integrity_check(1)"


class Vetting:
    """One pass; ``run`` it, then its attributes say what was found.

    ``flaws``: a sentence each, empty = all is what was written; ``notes``: what is no flaw and has to be said;
    ``holes``: ranges of gsn; ``term``: the newest; ``epoch``: the highest of any term or record; ``aside``: how many
    records stand on no chain. ``records`` then has the heads of all guilds.
    """

    def __init__(self, db: aiosqlite.Connection, path: Path, records: Records) -> None:
        self._db = db
        self._path = path
        self.records = records
        self.flaws: list[str] = []
        self.notes: list[str] = []
        self.holes: list[Gap] = []
        self.term = Term(epoch=0, lineage="")
        self.epoch = 0
        self.aside = 0
        self._read_model = 0
        self._renaming = Renaming()

    async def run(self) -> None:
        """Verifies terms, records and, at last, what SQLite can verify: pages and indexes."""
        try:
            await self._run()
        except Corrupt as error:
            self.flaws.append(str(error))

    async def _run(self) -> None:
        found, flaws = await terms(self._db, self._path)
        self.flaws += flaws
        self.term = found[-1] if found else self.term
        self.epoch = self.term.epoch
        self._renaming = await learn_renaming(self._db, self._path)
        await self._verify_records()
        with storing(self._path):
            if not self.flaws and await read_model.held(self._db) != self._read_model:
                self.flaws.append(f"{self._path.name}: the read model is not what the records say")
        with storing(self._path):
            ((said,),) = await rows(self._db, _CHECK)
        if said != b"ok":
            self.flaws.append(f"{self._path.name}: {said!r}")

    async def _verify_records(self) -> None:
        group: list[Frame] = []
        after = 0
        while len(self.flaws) < MAX_FLAWS:
            with storing(self._path):
                found = await stream(self._db, after)
            if not found:
                break
            group += self._read(found)
            end = end_of_appends(group)
            await self._verify_chains(group[:end])
            group = group[end:]
            after = gsn_of(found[-1])
        if group:
            self.flaws.append(f"{self._path.name}, gsn {group[0].record.gsn}: an append without its end")

    def _read(self, found: Sequence[Row]) -> list[Frame]:
        """The frames of ``records`` among these rows; those aside are verified and counted."""
        standing: list[Frame] = []
        for row in found:
            try:
                frame = frame_in(row, self._path)
            except Corrupt as error:
                self.flaws.append(str(error))
                continue
            self._pass(frame)
            if is_aside(row):
                self.aside += 1
            else:
                self._read_model += read_model.told(frame.record, self._renaming)
                standing.append(frame)
        return standing

    def _pass(self, frame: Frame) -> None:
        gsn = frame.record.gsn
        if gsn > self.records.gsn + 1:
            self.holes.append((self.records.gsn + 1, gsn - 1))
        self.records.gsn = gsn
        self.epoch = max(self.epoch, frame.record.epoch)

    async def _verify_chains(self, frames: Sequence[Frame]) -> None:
        for append in appends(frames, itself):
            first = append[0].record
            rises = first.seq > self._seq(first.guild)
            if not await self.records.take(append) or not rises:
                self.flaws.append(f"{self._path.name}, gsn {first.gsn}: does not stand on its guild's chain")

    def _seq(self, guild: GuildId) -> int:
        head = self.records.chains.heads.get(guild)
        return 0 if head is None else head.seq


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
