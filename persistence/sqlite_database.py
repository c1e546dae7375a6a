"""The database as its thread sees it: opened, vetted, written anew, appended to, closed. Blocking throughout.

``sqlite.py`` says the rules, and takes this off the event loop.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ledger.errors import Corrupt, NotConfirmed, StorageError
from ledger.ids import GuildId
from persistence import read_model, sqlite_checkpoints
from persistence.disk import Disk, Identity
from persistence.formats import RELEASE
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.migrations import applied, migrate
from persistence.quarantine import Quarantine
from persistence.scan import Gap
from persistence.sqlite_connection import committing, connect, let_go_of_pages, prepare, storing
from persistence.sqlite_records import Records, frames_after
from persistence.sqlite_repair import Files, build, put_among, salvage, up_to, whole_appends
from persistence.sqlite_terms import Term, put_term
from persistence.sqlite_vetting import Vetting
from persistence.sqlite_wal import disbelieved

REREAD_RECORDS: Final = 250
"""At once: about 2 ms."""


class Database:
    """One file and the connection to it. ``places``: where checkpoints of each guild are, newest first."""

    def __init__(self, disk: Disk, path: Path, folder: Path, quarantine: Quarantine) -> None:
        """``folder``: that of the quarantine."""
        self.path = path
        self._files = Files(disk, path, folder)
        self._quarantine = quarantine
        self._db: sqlite3.Connection | None = None
        self._records: Records | None = None
        self._holes: Sequence[Gap] = ()
        self.places: dict[GuildId, tuple[Place, ...]] = {}
        self._identities: tuple[Identity | None, Identity | None] = (None, None)

    @property
    def connection(self) -> sqlite3.Connection:
        assert self._db is not None, "a layer is used between open and its first error"
        return self._db

    @property
    def records(self) -> Records:
        assert self._records is not None, "a layer is used between open and its first error"
        return self._records

    def open(self) -> LayerSummary:
        settled = self._files.settle()
        try:
            vetting = self._vet()
        except Corrupt as error:
            self._files.set_aside(str(error))
            return self._open_anew([f"{error}; a new database was begun"])
        if not vetting.flaws:
            return self._summary(vetting, settled)
        self._rewrite(salvage(self.connection, self.path), "; ".join(vetting.flaws))
        return self._open_anew([*settled, *vetting.notes, *vetting.flaws])

    def begin(self, epoch: int, lineage: str) -> None:
        put_term(self.connection, self.path, Term(epoch=epoch, lineage=lineage, release=RELEASE))

    def append(self, frames: Sequence[Frame]) -> None:
        self.records.append(frames)
        if not self._has_its_names():
            raise StorageError(f"{self.path} or its WAL was removed or replaced by someone else")

    def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        wanted = [frame for frame in frames if any(a <= frame.record.gsn <= b for a, b in self._holes)]
        self._rewrite(put_among(self.frames_after(0), wanted), "records were put back")
        return self._open_anew([])

    def set_aside(self, after_gsn: int) -> LayerSummary:
        sqlite_checkpoints.set_aside(self.connection, self.path, after_gsn, self._quarantine)
        kept = up_to(self.frames_after(0), after_gsn)
        self._rewrite(kept, f"a branch behind gsn {after_gsn} lost against another layer's")
        return self._open_anew([])

    def frames_after(self, gsn: int) -> Iterator[list[Frame]]:
        """All frames behind a gsn, chunk by chunk."""
        return frames_after(self.connection, self.path, gsn)

    def reread(self, gsn: int) -> Iterator[list[Frame]]:
        """The same in small pieces, from the file."""
        let_go_of_pages(self.connection, self.path)
        yield from frames_after(self.connection, self.path, gsn, REREAD_RECORDS)

    def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return self.records.lines_of(guild, after_seq)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        sqlite_checkpoints.save(self.connection, self.path, checkpoint)
        self._note(checkpoint.header.guild)

    def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        key = (int(guild), *place)
        found = sqlite_checkpoints.load_or_expel(self.connection, self.path, key, self._quarantine)
        if found is None:
            self._note(guild)
        return found

    def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        key = (int(guild), *place)
        sqlite_checkpoints.expel(self.connection, self.path, key, self._quarantine, "of a branch that lost")
        self._note(guild)

    def close(self) -> None:
        """Lets go of the file; what was not committed is taken back."""
        db, self._db, self._records = self._db, None, None
        if db is not None:
            with storing(self.path):
                db.close()

    def _note(self, guild: GuildId) -> None:
        keys = sqlite_checkpoints.keys(self.connection, self.path, guild)
        self.places[guild] = tuple((epoch, seq) for _, epoch, seq in keys)

    def _has_its_names(self) -> bool:
        try:
            return self._files.identities() == self._identities
        except StorageError as error:  # behind a COMMIT
            raise NotConfirmed(str(error)) from error

    def _vet(self) -> Vetting:
        """Opens the file and verifies it.

        Raises:
            Corrupt: when it is no database at all.
        """
        wal = self._files.wal()
        self._db = db = connect(self.path)
        self._records = Records(db, self.path)
        vetting = Vetting(db, self.path, self._records)
        try:
            applied(db, self.path)
            self._compare_wal(wal, prepare(db, self.path), vetting)
            migrate(db, self.path)
            self.places = sqlite_checkpoints.look(db, self.path)
        except Corrupt as error:
            vetting.flaws.append(str(error))
            with storing(self.path):
                db.rollback()  # a migration that could not be ended
        else:
            vetting.run()
        return vetting

    def _compare_wal(self, wal: bytes, believed: int, vetting: Vetting) -> None:
        """Keeps a WAL of which SQLite did not take everything, and says so."""
        if lost := disbelieved(wal, believed):
            note = f"{lost} pages at the end of the WAL are damaged, or were a commit that was never whole"
            self._quarantine.keep(f"{self.path.name}-wal", wal, note)
            vetting.notes.append(note)

    def _rewrite(self, batches: Iterator[list[Frame]], why: str) -> None:
        build(self._files.new, whole_appends(batches), self.connection, self.path)
        self.close()
        self._files.swap(why)

    def _open_anew(self, notes: Sequence[str]) -> LayerSummary:
        vetting = self._vet()
        if vetting.flaws:
            raise StorageError(f"{self.path} was just written anew and has flaws: {'; '.join(vetting.flaws)}")
        return self._summary(vetting, notes)

    def _summary(self, vetting: Vetting, notes: Sequence[str]) -> LayerSummary:
        with committing(self.connection, self.path):
            read_model.sort(self.connection)
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
            aside=dict(vetting.refused),
        )
