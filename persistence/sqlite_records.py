"""Records in the database: a row each in the order of their gsn, and which of them stand.

Rules: ``frames`` holds every frame that the layer was given, as the log does, and nothing beside it: rows are only
ever added at the end, since a second order (by guild, or by key) would cost a page of disk for each record. Which
frames stand on their guild's chain, and where those of a guild lie, is worked out at every opening, when all is read
anyway, and then known in memory: 8 bytes a record. A batch and its read model change in one transaction. What is read
is believed after its checksum was verified and its gsn compared. Blocking.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt
from ledger.ids import GuildId
from ledger.records import Record
from persistence import read_model
from persistence.chains import NO_HEAD, Chains, appends, itself
from persistence.frames import Frame, unseal
from persistence.gsns import Gsns
from persistence.sqlite_checkpoints import anchors
from persistence.sqlite_connection import Row, committing, rows, storing

CHUNK_RECORDS: Final = 1_000
"""How many rows are in memory at once when all are read."""

_ADD: Final = "INSERT INTO frames (gsn, frame) VALUES (?, ?)"
_STREAM: Final = "SELECT gsn, frame FROM frames WHERE gsn > ? ORDER BY gsn LIMIT ?"
_THESE: Final = "SELECT gsn, frame FROM frames WHERE gsn IN (SELECT value FROM json_each(?)) ORDER BY gsn"


class Records:
    """The records of an open database. ``chains``: the guilds' heads; ``gsn``: the last one, 0 = none."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._gsns = Gsns()
        self._unsorted = 0
        self.chains = Chains(self._digest_at, lambda guild: anchors(db, path, guild))
        self.gsn = 0

    def append(self, frames: Sequence[Frame]) -> None:
        """Appends a batch behind ``gsn``, in one transaction.

        Raises:
            DiskFull, StorageError: when nothing of it was written.
            NotConfirmed: when it may or may not be durable.
        """
        assert frames[0].record.gsn > self.gsn, "a layer appends behind its last record"
        with committing(self._db, self._path):
            self._db.executemany(_ADD, [(frame.record.gsn, frame.data) for frame in frames])
            standing, rewritten = self._take(frames)
            self._unsorted += read_model.follow(self._db, [frame.record for frame in standing])
            for guild in rewritten:
                self.rebuild(guild)
            if self._unsorted >= read_model.SORTED_AT_ONCE:
                read_model.sort(self._db)
                self._unsorted = 0
        self.gsn = frames[-1].record.gsn

    def take(self, append: Sequence[Frame]) -> bool:
        """Whether an append, which has its rows, stands (``Chains.take``); its guild's records then end with it."""
        if not self.chains.take(append):
            return False
        for frame in append:
            self._gsns.put(frame.record.guild, frame.record.seq, frame.record.gsn)
        return True

    def standing(self) -> int:
        """How many records stand on their guilds' chains."""
        return self._gsns.count()

    def of_guild(self, guild: GuildId, after_seq: int) -> Iterator[list[Frame]]:
        """A guild's standing frames behind a seq in order, chunk by chunk.

        Raises:
            Corrupt: when one of them is not what was written.
        """
        gsns = iter(self._gsns.behind(guild, after_seq))
        while chunk := list(islice(gsns, CHUNK_RECORDS)):
            yield self._frames(chunk)

    def lines_of(self, guild: GuildId, after_seq: int) -> list[bytes]:
        """The bytes of a guild's standing frames behind a seq in order, not verified.

        Raises:
            Corrupt: when one of them is gone.
        """
        gsns = list(self._gsns.behind(guild, after_seq))
        chunks = [gsns[start : start + CHUNK_RECORDS] for start in range(0, len(gsns), CHUNK_RECORDS)]
        return [bytes_in(row) for chunk in chunks for row in self._rows(chunk)]

    def at(self, guild: GuildId, seqs: Sequence[int]) -> Sequence[Record]:
        """A guild's standing records of these seqs (few, rising).

        Raises:
            Corrupt: when one of them is not there, or not what was written.
        """
        frames = self._frames([self._gsns.at(guild, seq) for seq in seqs])
        return [frame.record for frame in frames]

    def rebuild(self, guild: GuildId) -> None:
        """Makes the read model of a guild anew from its records; the transaction is the caller's."""
        read_model.forget(self._db, guild)
        for frames in self.of_guild(guild, 0):
            self._unsorted += read_model.follow(self._db, [frame.record for frame in frames])

    def _take(self, frames: Sequence[Frame]) -> tuple[list[Frame], set[GuildId]]:
        """Those of a batch that stand, but for guilds of which earlier records lost to them; and these guilds."""
        standing: list[Frame] = []
        rewritten: set[GuildId] = set()
        for append in appends(frames, itself):
            first = append[0].record
            head = self.chains.heads.get(first.guild, NO_HEAD)
            if not self.take(append):
                continue
            if first.seq <= head.seq:
                rewritten.add(first.guild)
            standing += append
        return [frame for frame in standing if frame.record.guild not in rewritten], rewritten

    def _frames(self, gsns: Sequence[int]) -> list[Frame]:
        return frames_in(self._rows(gsns), self._path)

    def _rows(self, gsns: Sequence[int]) -> Sequence[Row]:
        with storing(self._path):
            found = rows(self._db, _THESE, msgspec.json.encode(gsns).decode())
        if len(found) != len(gsns):
            raise Corrupt(self._path.name, f"of gsn {gsns[0]} to {gsns[-1]} some are gone")
        return found

    def _digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        gsn = self._gsns.at(guild, seq)
        return self._frames([gsn])[0].digest if gsn else None


def stream(db: sqlite3.Connection, after_gsn: int, limit: int = CHUNK_RECORDS) -> Sequence[Row]:
    """The rows behind a gsn in order, at most ``limit``; ``frame_in`` verifies each."""
    return rows(db, _STREAM, after_gsn, limit)


def frames_after(db: sqlite3.Connection, path: Path, gsn: int, limit: int = CHUNK_RECORDS) -> Iterator[list[Frame]]:
    """All frames behind a gsn in order, ``limit`` at once, also those that stand on no chain.

    Raises:
        Corrupt: at the first row that is not what was written.
    """
    while True:
        with storing(path):
            found = stream(db, gsn, limit)
        if not found:
            return
        frames = frames_in(found, path)
        yield frames
        gsn = frames[-1].record.gsn


def frames_in(found: Sequence[Row], path: Path) -> list[Frame]:
    """The frames in rows of ``stream`` (``frame_in``)."""
    name = path.name
    return [frame_in(row, name) for row in found]


def frame_in(row: Row, name: str) -> Frame:
    """The frame in a row of ``stream`` of the file ``name``, verified.

    Raises:
        Corrupt: when its checksum does not hold or it is of another gsn.
    """
    gsn, where = row[0], f"{name}, gsn {row[0]}"
    frame = unseal(bytes_in(row), where)
    if gsn != frame.record.gsn:
        raise Corrupt(where, "the column is not that of the frame")
    return frame


def bytes_in(row: Row) -> bytes:
    """The frame's bytes in a row of ``stream``, whatever they are; none where something else stands there."""
    data = row[1]
    return data if isinstance(data, bytes) else b""
