"""Checkpoints in the database: a row each, sealed as the files of ``persistence/checkpoints.py`` are.

Rules: the two newest verified ones of a guild stay; one is read back before an older one goes; what cannot be read is
kept in quarantine. Columns serve to find and order rows, and are compared with the sealed header.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.checkpoints import KEPT, pack, read_header, unpack
from persistence.layer import Checkpoint, CheckpointHeader, Place
from persistence.quarantine import Quarantine
from persistence.sqlite_connection import Row, committing, rows, storing

_PUT: Final = "INSERT OR REPLACE INTO checkpoints (guild, epoch, seq, file) VALUES (?, ?, ?, ?)"
_FILE: Final = "SELECT guild, epoch, seq, file FROM checkpoints WHERE guild = ? AND epoch = ? AND seq = ?"
_OF_GUILD: Final = "SELECT guild, epoch, seq FROM checkpoints WHERE guild = ? ORDER BY epoch DESC, seq DESC"
_ALL: Final = "SELECT guild, epoch, seq FROM checkpoints ORDER BY guild, epoch, seq"
# A header is shorter than 4,096 bytes; the rest of a file is not read for it.
_HEADERS_OF: Final = """
SELECT guild, epoch, seq, substr(file, 1, 4096) FROM checkpoints WHERE guild = ? ORDER BY epoch, seq
"""
_HEADERS: Final = """
SELECT guild, epoch, seq, substr(file, 1, 4096) FROM checkpoints
WHERE (guild, epoch, seq) > (?, ?, ?) ORDER BY guild, epoch, seq LIMIT 100
"""
_REMOVE: Final = "DELETE FROM checkpoints WHERE guild = ? AND epoch = ? AND seq = ?"
Key: TypeAlias = tuple[int, int, int]
"""Guild, epoch, seq: what names a row."""


def save(db: sqlite3.Connection, path: Path, checkpoint: Checkpoint) -> None:
    """Keeps it durably, once it was read back; what is older than the two newest, or than its forgetting, goes.

    Raises:
        StorageError: when it is not what was written.
        DiskFull, NotConfirmed: as every transaction.
    """
    header = checkpoint.header
    key = (int(header.guild), header.epoch, header.seq)
    with committing(db, path):
        db.execute(_PUT, (*key, pack(checkpoint)))
        if load(db, path, key) != checkpoint:
            raise StorageError(f"{path.name}: a checkpoint of guild {header.guild} reads back as something else")
        for age, old in enumerate(keys(db, path, header.guild)):
            if age >= KEPT or old[-1] < header.forgot_seq:
                db.execute(_REMOVE, old)


def load_or_expel(db: sqlite3.Connection, path: Path, key: Key, quarantine: Quarantine) -> Checkpoint | None:
    """One checkpoint; None = it is not there, or cannot be read and went to quarantine."""
    if key not in keys(db, path, GuildId(str(key[0]))):
        return None
    try:
        return load(db, path, key)
    except Corrupt as error:
        expel(db, path, key, quarantine, str(error))
        return None


def load(db: sqlite3.Connection, path: Path, key: Key) -> Checkpoint:
    """One checkpoint, verified whole.

    Raises:
        Corrupt: when it is not what was written.
        NewerFormat: when a later release wrote it.
    """
    row = _row(db, path, key)
    checkpoint = unpack(_bytes(row[3]), _where(path, key))
    _compare(row, checkpoint.header, path)
    return checkpoint


def anchors(db: sqlite3.Connection, path: Path, guild: GuildId) -> Mapping[int, bytes]:
    """The chain's digests that checkpoints whose headers can be read tell, by seq (``chains.Anchors``): of two of one
    seq that of the higher epoch.
    """
    digests: dict[int, bytes] = {}
    with storing(path):
        found = rows(db, _HEADERS_OF, int(guild))
    for row in found:
        try:
            header = read_header(_bytes(row[3]).partition(b"\n")[0], path.name)
            _compare(row, header, path)
        except Corrupt:
            continue
        digests[header.seq] = bytes.fromhex(header.digest)
    return digests


def keys(db: sqlite3.Connection, path: Path, guild: GuildId | None = None) -> Sequence[Key]:
    """Where a guild's checkpoints lie, newest first; without a guild, those of all, oldest first."""
    with storing(path):
        found = rows(db, _ALL) if guild is None else rows(db, _OF_GUILD, int(guild))
    return [_key(row) for row in found]


def look(db: sqlite3.Connection, path: Path) -> dict[GuildId, tuple[Place, ...]]:
    """Looks at every header; what is damaged is found again, and set aside, when it is read.

    Gives where checkpoints of each guild are, newest first.

    Raises:
        NewerFormat: when a later release wrote one.
    """
    after: Key = (0, 0, 0)
    places: dict[GuildId, tuple[Place, ...]] = {}
    while True:
        with storing(path):
            found = rows(db, _HEADERS, *after)
        for row in found:
            with suppress(Corrupt):
                read_header(_bytes(row[3]).partition(b"\n")[0], path.name)
        if not found:
            return places
        for guild, epoch, seq in map(_key, found):
            name = GuildId(str(guild))
            places[name] = ((epoch, seq), *places.get(name, ()))
        after = _key(found[-1])


def copy(source: sqlite3.Connection, source_path: Path, db: sqlite3.Connection, path: Path) -> None:
    """Copies every checkpoint that can be read into another database."""
    for key in keys(source, source_path):
        with suppress(Corrupt):
            save(db, path, load(source, source_path, key))


def set_aside(db: sqlite3.Connection, path: Path, after_gsn: int, quarantine: Quarantine) -> None:
    """Moves those of behind a gsn to quarantine: they are of a branch that lost."""
    for key in keys(db, path):
        with suppress(Corrupt):  # found again, and set aside, when it is read
            if load(db, path, key).header.gsn > after_gsn:
                expel(db, path, key, quarantine, f"of a branch behind gsn {after_gsn} that lost")


def expel(db: sqlite3.Connection, path: Path, key: Key, quarantine: Quarantine, why: str) -> None:
    """Moves a checkpoint's bytes to quarantine."""
    with suppress(Corrupt):  # of what its key does not lead to, nothing can be kept
        quarantine.keep("{}-{}-{}.ckpt".format(*key), _bytes(_row(db, path, key)[3]), why)
    with committing(db, path):
        db.execute(_REMOVE, key)


def _row(db: sqlite3.Connection, path: Path, key: Key) -> Row:
    """Where the index is damaged, it may name rows that are not there."""
    with storing(path):
        found = rows(db, _FILE, *key)
    if len(found) != 1:
        raise Corrupt(_where(path, key), "its key leads nowhere")
    return found[0]


def _compare(row: Row, header: CheckpointHeader, path: Path) -> None:
    if tuple(row[:3]) != (int(header.guild), header.epoch, header.seq):
        raise Corrupt(path.name, "a checkpoint's columns are not those of its header")


def _key(row: Row) -> Key:
    try:
        return msgspec.convert(tuple(row[:3]), tuple[int, int, int])
    except msgspec.ValidationError as error:
        raise Corrupt("checkpoints", str(error)) from error


def _where(path: Path, key: Key) -> str:
    return f"{path.name}, checkpoint {key}"


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
