"""Records in the database: which rows a batch becomes, and the rows as frames again.

Rules: ``records`` holds what stands on its guild's chain, ``aside`` what does not; between them every frame that the
layer was given is there. A batch, its rows aside and the read model change in one transaction. What is read is
believed after its checksum and, in ``records``, its columns were compared.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiosqlite

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence import read_model
from persistence.chains import NO_HEAD, Chains, appends
from persistence.frames import Frame, unseal
from persistence.renaming import Renaming
from persistence.sqlite_checkpoints import anchors
from persistence.sqlite_connection import Row, committing, rows, storing

CHUNK_RECORDS: Final = 1_000
"""How many rows are in memory at once when all are read."""

_ADD: Final = "INSERT INTO records (gsn, guild, seq, epoch, key, frame) VALUES (?, ?, ?, ?, ?, ?)"
_ADD_ASIDE: Final = "INSERT INTO aside (gsn, frame) VALUES (?, ?)"
_PUT_ASIDE: Final = "INSERT INTO aside (gsn, frame) SELECT gsn, frame FROM records WHERE guild = ? AND seq >= ?"
_TAKE_OUT: Final = "DELETE FROM records WHERE guild = ? AND seq >= ?"
# A key's bytes are compared, so that a flipped bit cannot hide behind a decoding.
_STREAM: Final = """
SELECT gsn, guild, seq, epoch, CAST(key AS BLOB), frame FROM records WHERE gsn > ?1
UNION ALL
SELECT gsn, NULL, NULL, NULL, NULL, frame FROM aside WHERE gsn > ?1
ORDER BY gsn LIMIT ?2
"""
_OF_GUILD: Final = """
SELECT gsn, guild, seq, epoch, CAST(key AS BLOB), frame FROM records WHERE guild = ? AND seq > ? ORDER BY seq LIMIT ?
"""
# Keys of what was forgotten begin so (ledger/decide.py).
_FORGETTINGS: Final = """
SELECT gsn, guild, seq, epoch, CAST(key AS BLOB), frame FROM records
WHERE gsn > ? AND key >= 'forgotten/' AND key < 'forgotten0' ORDER BY gsn LIMIT ?
"""
_IS_ASIDE: Final = (None, None, None, None)


class _Batch:
    """What becomes of a batch. ``lost``: by guild, the lowest seq from which on rows lost to what it holds."""

    def __init__(self) -> None:
        self.standing: list[Frame] = []
        self.aside: list[Frame] = []
        self.lost: dict[GuildId, int] = {}

    def supersede(self, guild: GuildId, seq: int) -> None:
        self.lost[guild] = min(seq, self.lost.get(guild, seq))
        beaten = [frame for frame in self.standing if frame.record.guild == guild and frame.record.seq >= seq]
        self.aside += beaten
        self.standing = [frame for frame in self.standing if frame not in beaten]


class Records:
    """The records of an open database. ``chains``: the guilds' heads; ``gsn``: the last one, 0 = none."""

    def __init__(self, db: aiosqlite.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._digests: dict[tuple[GuildId, int], bytes] = {}
        self._anchors: dict[GuildId, Mapping[int, bytes]] = {}
        self.chains = Chains(self._digest_at, lambda guild: self._anchors.get(guild, {}))
        self.gsn = 0

    async def append(self, frames: Sequence[Frame]) -> None:
        """Appends a batch behind ``gsn``, in one transaction.

        Raises:
            DiskFull, StorageError: when nothing of it was written.
            NotConfirmed: when it may or may not be durable.
        """
        assert frames[0].record.gsn > self.gsn, "a layer appends behind its last record"
        async with committing(self._db, self._path):
            batch = await self._sorted(frames)
            for guild, seq in batch.lost.items():
                await self._put_aside(guild, seq)
            await self._add(batch)
            await self._follow(batch)
        self.gsn = frames[-1].record.gsn

    async def take(self, append: Sequence[Frame], before: Sequence[Frame] = ()) -> bool:
        """Whether an append stands (``Chains.take``); ``before``: frames of its batch that have no row yet."""
        first = append[0].record
        if first.seq > 1 and first.seq != self.chains.heads.get(first.guild, NO_HEAD).seq + 1:
            await self._learn_digest(first.guild, first.seq - 1, before)
            self._anchors = {first.guild: await anchors(self._db, self._path, first.guild)}
        return self.chains.take(append)

    async def _sorted(self, frames: Sequence[Frame]) -> _Batch:
        batch = _Batch()
        for append in appends(frames, itself):
            first = append[0].record
            head = self.chains.heads.get(first.guild, NO_HEAD)
            if not await self.take(append, batch.standing):
                batch.aside += append
                continue
            if first.seq <= head.seq:
                batch.supersede(first.guild, first.seq)
            batch.standing += append
        return batch

    async def _put_aside(self, guild: GuildId, seq: int) -> None:
        await self._db.execute_fetchall(_PUT_ASIDE, (int(guild), seq))
        await self._db.execute_fetchall(_TAKE_OUT, (int(guild), seq))

    async def _add(self, batch: _Batch) -> None:
        if batch.standing:
            await self._db.executemany(_ADD, [(*columns(frame), frame.data) for frame in batch.standing])
        if batch.aside:
            await self._db.executemany(_ADD_ASIDE, [(frame.record.gsn, frame.data) for frame in batch.aside])

    async def _follow(self, batch: _Batch) -> None:
        """The read model: by the batch, and made anew for a guild of which something lost."""
        fresh = [frame.record for frame in batch.standing if frame.record.guild not in batch.lost]
        await read_model.follow(self._db, fresh)
        for guild in batch.lost:
            await rebuild_guild(self._db, self._path, guild)

    async def _learn_digest(self, guild: GuildId, seq: int, before: Sequence[Frame]) -> None:
        digest = next((f.digest for f in before if f.record.guild == guild and f.record.seq == seq), None)
        if digest is None:
            for frame in await _page_of_guild(self._db, self._path, guild, seq - 1, limit=1):
                digest = frame.digest if frame.record.seq == seq else None
        if digest is not None:
            self._digests = {(guild, seq): digest}

    def _digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        return self._digests.get((guild, seq))


async def rebuild_guild(db: aiosqlite.Connection, path: Path, guild: GuildId) -> None:
    """Makes the read model of a guild anew from its records; the transaction is the caller's."""
    await read_model.forget(db, guild)
    async for frames in of_guild(db, path, guild, 0):
        await read_model.follow(db, [frame.record for frame in frames])


async def learn_renaming(db: aiosqlite.Connection, path: Path) -> Renaming:
    """What was forgotten in all guilds.

    Raises:
        Corrupt: when a record that says so is not what was written.
    """
    renaming, gsn = Renaming(), 0
    while True:
        with storing(path):
            found = await rows(db, _FORGETTINGS, gsn, CHUNK_RECORDS)
        if not found:
            return renaming
        for record in (frame_in(row, path).record for row in found):
            renaming.learn(record)
            gsn = record.gsn


async def stream(db: aiosqlite.Connection, after_gsn: int, limit: int = CHUNK_RECORDS) -> Sequence[Row]:
    """The rows behind a gsn in order, also those aside, at most ``limit``; ``frame_in`` verifies each."""
    return await rows(db, _STREAM, after_gsn, limit)


async def frames_after(db: aiosqlite.Connection, path: Path, gsn: int) -> AsyncIterator[list[Frame]]:
    """All frames behind a gsn in order, chunk by chunk.

    Raises:
        Corrupt: at the first row that is not what was written.
    """
    while True:
        with storing(path):
            found = await stream(db, gsn)
        if not found:
            return
        frames = [frame_in(row, path) for row in found]
        yield frames
        gsn = frames[-1].record.gsn


async def of_guild(db: aiosqlite.Connection, path: Path, guild: GuildId, seq: int) -> AsyncIterator[list[Frame]]:
    """A guild's standing frames behind a seq in order, chunk by chunk (``frames_after`` says what is raised)."""
    while frames := await _page_of_guild(db, path, guild, seq, CHUNK_RECORDS):
        yield frames
        seq = frames[-1].record.seq


async def _page_of_guild(
    db: aiosqlite.Connection, path: Path, guild: GuildId, after_seq: int, limit: int
) -> list[Frame]:
    with storing(path):
        found = await rows(db, _OF_GUILD, int(guild), after_seq, limit)
    return [frame_in(row, path) for row in found]


def frame_in(row: Row, path: Path) -> Frame:
    """The frame in a row of ``stream``, verified.

    Raises:
        Corrupt: when its checksum does not hold or its columns say something else.
    """
    where = f"{path.name}, gsn {row[0]}"
    data = row[5]
    frame = unseal(data if isinstance(data, bytes) else b"", where)
    gsn, *others, key = columns(frame)
    if row[0] != gsn or (not is_aside(row) and tuple(row[1:5]) != (*others, str(key).encode())):
        raise Corrupt(where, "the columns are not those of the frame")
    return frame


def is_aside(row: Row) -> bool:
    """Whether a row of ``stream`` stands on no chain."""
    return tuple(row[1:5]) == _IS_ASIDE


def columns(frame: Frame) -> tuple[int, int, int, int, str]:
    """What the columns of ``records`` repeat: gsn, guild, seq, epoch, key."""
    record = frame.record
    return record.gsn, int(record.guild), record.seq, record.epoch, record.key


def itself(frame: Frame) -> Frame:
    """For ``appends`` over plain frames."""
    return frame
