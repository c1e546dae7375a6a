"""The database layer: a ``Layer`` in one SQLite file, ``data/ledger.db``, through aiosqlite.

Rules: one connection, and one transaction a batch: the frames as every layer keeps them, and the read model that
follows from them. ``open`` verifies all of it (``sqlite_vetting.py``); a file with any flaw is written anew from what
holds, and itself kept in quarantine (``sqlite_repair.py``); holes are filled from another layer. The WAL is moved
into the file by SQLite itself, every 1,000 pages, behind a commit.

Here stands what the layer is asked; rows, checkpoints, terms, schema, read model and lists have modules of their own.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiosqlite

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence import sqlite_checkpoints
from persistence.disk import Disk
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary
from persistence.migrations import applied, migrate
from persistence.quarantine import Quarantine
from persistence.scan import Gap
from persistence.sqlite_connection import connect, prepare, storing
from persistence.sqlite_lists import SqliteLists
from persistence.sqlite_records import Records, frames_after, of_guild
from persistence.sqlite_repair import Files, build, put_among, salvage, up_to, whole_appends
from persistence.sqlite_terms import Term, put_term
from persistence.sqlite_vetting import Vetting
from persistence.sqlite_wal import disbelieved


class SqliteLayer:
    """A ``Layer`` in SQLite."""

    def __init__(self, disk: Disk, path: Path, quarantine: Path) -> None:
        """``path``: the database's file; ``quarantine``: a folder on the same disk."""
        self._path = path
        self._files = Files(disk, path, quarantine)
        self._quarantine = Quarantine(disk, quarantine)
        self._db: aiosqlite.Connection | None = None
        self._records: Records | None = None
        self._holes: Sequence[Gap] = ()
        self._identities = self._files.identities()

    @property
    def name(self) -> str:
        return "database"

    @property
    def lists(self) -> SqliteLists:
        return SqliteLists(self._used(), self._path)

    async def open(self) -> LayerSummary:
        settled = self._files.settle()
        try:
            vetting = await self._vet()
        except Corrupt as error:
            self._files.set_aside(str(error))
            return await self._open_anew([f"{error}; a new database was begun"])
        if not vetting.flaws:
            return self._summary(vetting, settled)
        await self._rewrite(salvage(self._used(), self._path), "; ".join(vetting.flaws))
        return await self._open_anew([*settled, *vetting.notes, *vetting.flaws])

    async def begin(self, epoch: int, lineage: str) -> None:
        await put_term(self._used(), self._path, Term(epoch=epoch, lineage=lineage))

    async def append(self, frames: Sequence[Frame]) -> None:
        assert self._records is not None, "a layer is used between open and its first error"
        await self._records.append(frames)
        if self._files.identities() != self._identities:
            raise StorageError(f"{self._path} or its WAL was removed or replaced by someone else")

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        wanted = [frame for frame in frames if any(a <= frame.record.gsn <= b for a, b in self._holes)]
        await self._rewrite(put_among(frames_after(self._used(), self._path, 0), wanted), "records were put back")
        return await self._open_anew([])

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        kept = up_to(frames_after(self._used(), self._path, 0), after_gsn)
        await self._rewrite(kept, f"a branch behind gsn {after_gsn} lost against another layer's")
        return await self._open_anew([])

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        async for chunk in frames_after(self._used(), self._path, gsn):
            for frame in chunk:
                yield frame

    async def guild_frames(self, guild: GuildId, after_seq: int) -> Sequence[Frame]:
        chunks = of_guild(self._used(), self._path, guild, after_seq)
        return [frame async for chunk in chunks for frame in chunk]

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await sqlite_checkpoints.save(self._used(), self._path, checkpoint)

    async def checkpoints(self, guild: GuildId) -> Sequence[Checkpoint]:
        return await sqlite_checkpoints.load_all(self._used(), self._path, guild, self._quarantine)

    def take_notes(self) -> tuple[str, ...]:
        return self._quarantine.take_notes()

    async def close(self) -> None:
        db, self._db, self._records = self._db, None, None
        if db is not None:
            with storing(self._path):
                await db.close()

    async def _vet(self) -> Vetting:
        """Opens the file and verifies it.

        Raises:
            Corrupt: when it is no database at all.
        """
        wal = self._files.wal()
        self._db = db = await connect(self._path)
        self._records = Records(db, self._path)
        vetting = Vetting(db, self._path, self._records)
        try:
            await applied(db, self._path)
            self._compare_wal(wal, await prepare(db, self._path), vetting)
            await migrate(db, self._path)
            await sqlite_checkpoints.refuse_newer(db, self._path)
        except Corrupt as error:
            vetting.flaws.append(str(error))
        else:
            await vetting.run()
        return vetting

    def _compare_wal(self, wal: bytes, believed: int, vetting: Vetting) -> None:
        """Keeps a WAL of which SQLite did not take everything, and says so."""
        if lost := disbelieved(wal, believed):
            note = f"{lost} pages at the end of the WAL are damaged, or were a commit that was never whole"
            self._quarantine.keep(f"{self._path.name}-wal", wal, note)
            vetting.notes.append(note)

    async def _rewrite(self, batches: AsyncIterator[list[Frame]], why: str) -> None:
        await build(self._files.new, whole_appends(batches), self._used(), self._path)
        await self.close()
        self._files.swap(why)

    async def _open_anew(self, notes: Sequence[str]) -> LayerSummary:
        vetting = await self._vet()
        if vetting.flaws:
            raise StorageError(f"{self._path} was just written anew and has flaws: {'; '.join(vetting.flaws)}")
        return self._summary(vetting, notes)

    def _summary(self, vetting: Vetting, notes: Sequence[str]) -> LayerSummary:
        self._holes = vetting.holes
        self._identities = self._files.identities()
        said = [f"gsn {first} to {last} cannot be read" for first, last in vetting.holes]
        if vetting.aside:
            said.append(f"{vetting.aside} records stand on no chain")
        return LayerSummary(
            epoch=vetting.epoch,
            lineage=vetting.term.lineage,
            gsn=vetting.records.gsn,
            heads=dict(vetting.records.chains.heads),
            notes=(*notes, *vetting.notes, *said),
            missing=tuple(vetting.holes),
        )

    def _used(self) -> aiosqlite.Connection:
        assert self._db is not None, "a layer is used between open and its first error"
        return self._db
