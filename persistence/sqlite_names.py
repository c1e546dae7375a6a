"""Display names in the database: a row for each user of a guild, outside the chain.

Rules: a row carries a checksum, since nothing else could tell a flipped bit in a name; one that does not hold is not
there, and the name is asked of Discord again. What is forgotten is overwritten in the file, not only unlinked.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt
from ledger.ids import GuildId, UserId
from persistence.frames import crc32c
from persistence.lists import MAX_NAMES, storable
from persistence.sqlite_connection import Row, Value, committing, rows, storing

_COPIED_AT_ONCE: Final = 100
"""Few, since a page that cannot be read takes with it all names of a step."""
_PUT: Final = "INSERT OR REPLACE INTO names (guild, user, name, seal) VALUES (?, ?, ?, ?)"
_OF_GUILD: Final = """
SELECT guild, user, name, seal FROM names WHERE guild = ? AND user IN (SELECT value FROM json_each(?))
"""
_ALL: Final = """
SELECT guild, user, name, seal FROM names WHERE (guild, user) > (?, ?) ORDER BY guild, user LIMIT ?
"""
_FORGET_MEMBER: Final = "DELETE FROM names WHERE guild = ? AND user = ?"
_FORGET_GUILD: Final = "DELETE FROM names WHERE guild = ?"
_FORGET_USER: Final = "DELETE FROM names WHERE user = ?"


def read(db: sqlite3.Connection, path: Path, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
    """The names of these users that are there and hold."""
    assert len(users) <= MAX_NAMES, "names are read in pages"
    wanted = msgspec.json.encode([int(user) for user in users]).decode()
    with storing(path):
        found = rows(db, _OF_GUILD, int(guild), wanted)
    return {UserId(str(row[1])): _text(row[2]) for row in found if _holds(row)}


def put(db: sqlite3.Connection, path: Path, guild: GuildId, names: Mapping[UserId, str]) -> None:
    """Keeps names, over those that were there, in one transaction."""
    assert len(names) <= MAX_NAMES, "names are kept in pages"
    kept = [_row(int(guild), int(user), storable(name)) for user, name in names.items()]
    with committing(db, path):
        db.executemany(_PUT, kept)


def forget(db: sqlite3.Connection, path: Path, guild: GuildId | None, user: UserId | None) -> int:
    """Deletes names (``Lists.forget_names``), also from what the file and its WAL still hold of them."""
    sql, values = _deletion(guild, user)
    with storing(path):
        rows(db, "PRAGMA secure_delete = ON")
    with committing(db, path):
        deleted = db.execute(sql, values).rowcount
    with storing(path):
        rows(db, "PRAGMA secure_delete = FAST")
        rows(db, "PRAGMA wal_checkpoint(TRUNCATE)")
    return deleted


def copy(source: sqlite3.Connection, source_path: Path, db: sqlite3.Connection, path: Path) -> None:
    """Copies the names that hold into another database, up to the first page of theirs that cannot be read."""
    with suppress(Corrupt):
        for found in _chunks(source, source_path):
            kept = [_row(_number(row[0]), _number(row[1]), _text(row[2])) for row in found if _holds(row)]
            with committing(db, path):
                db.executemany(_PUT, kept)


def _chunks(db: sqlite3.Connection, path: Path) -> Iterator[Sequence[Row]]:
    guild, user = -1, -1
    while True:
        with storing(path):
            found = rows(db, _ALL, guild, user, _COPIED_AT_ONCE)
        if not found:
            return
        yield found
        guild, user = _number(found[-1][0]), _number(found[-1][1])


def _deletion(guild: GuildId | None, user: UserId | None) -> tuple[str, tuple[int, ...]]:
    if guild is None:
        assert user is not None, "all names of all guilds are never forgotten at once"
        return _FORGET_USER, (int(user),)
    return (_FORGET_GUILD, (int(guild),)) if user is None else (_FORGET_MEMBER, (int(guild), int(user)))


def _row(guild: int, user: int, name: str) -> tuple[Value, ...]:
    return guild, user, name, _seal(guild, user, name.encode())


def _holds(row: Row) -> bool:
    guild, user, name, seal = row
    return isinstance(name, bytes) and seal == _seal(guild, user, name)


def _seal(guild: object, user: object, name: bytes) -> bytes:
    return crc32c(f"{guild}/{user}/".encode() + name)


def _text(value: object) -> str:
    assert isinstance(value, bytes), "a row that holds has a name"
    return value.decode()


def _number(value: object) -> int:
    assert isinstance(value, int), "the key of a STRICT table"
    return value
