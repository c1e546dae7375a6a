"""Lists out of the database (``persistence/lists.py``): pages of joins, and names.

Rules: a page has a limit; a row of a page comes as one JSON object and is decoded whole; fresh rows are sorted in
before a page is read.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ledger.errors import Corrupt
from ledger.ids import GuildId, UserId
from ledger.records import Record
from persistence import read_model, sqlite_names
from persistence.lists import MAX_CREDITS, MAX_PAGE, MAX_VERDICTS, CreditPlace, CreditRow, JoinRow
from persistence.offload import Offload
from persistence.sqlite_connection import Row, committing, rows, storing
from persistence.sqlite_records import Records

_PAGE: Final = """
SELECT json_object(
    'seq', seq, 'user', CAST(user AS TEXT), 'opened_us', opened_us, 'origin', origin, 'left_us', left_us,
    'verdict_seq', coalesce(verdict_seq, 0), 'status', coalesce(status, 'pending'), 'code', code,
    'inviter', CAST(inviter AS TEXT), 'staff', CAST(staff AS TEXT), 'candidates', json(coalesce(candidates, '[]')),
    'reason', coalesce(reason, '')
)
FROM attributions WHERE guild = ? AND seq > ? ORDER BY seq LIMIT ?
"""
_CREDITS: Final = """
SELECT json_object(
    'seq', seq, 'staff', CAST(staff AS TEXT), 'amount', amount, 'user', CAST(user AS TEXT), 'opened_us', opened_us,
    'kind', kind
)
FROM credits WHERE guild = ? AND (staff, seq) > (?, ?) ORDER BY staff, seq LIMIT ?
"""
_VERDICTS: Final = "SELECT seq FROM verdicts WHERE guild = ? AND user = ? ORDER BY seq DESC LIMIT ?"
_CREDITS_OF: Final = "SELECT seq FROM credits WHERE guild = ? AND user = ? ORDER BY seq DESC LIMIT ?"
_decoder: Final = msgspec.json.Decoder(JoinRow)
_credits: Final = msgspec.json.Decoder(CreditRow)
_T = TypeVar("_T")


class SqliteLists:
    """``Lists`` on an open database."""

    def __init__(self, offload: Offload, db: sqlite3.Connection, records: Records, path: Path) -> None:
        """``offload``: to the thread of the connection."""
        self._offload = offload
        self._db = db
        self._records = records
        self._path = path

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        assert 1 <= limit <= MAX_PAGE, "a page has a limit"
        return await self._offload(lambda: joins_page(self._db, self._path, guild, after_seq, limit))

    async def credits_page(self, guild: GuildId, after: CreditPlace, limit: int) -> Sequence[CreditRow]:
        assert 1 <= limit <= MAX_PAGE, "a page has a limit"
        return await self._offload(lambda: credits_page(self._db, self._path, guild, after, limit))

    async def verdicts(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        return await self._offload(lambda: self._recorded(_VERDICTS, guild, user, MAX_VERDICTS))

    async def credits_of(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        return await self._offload(lambda: self._recorded(_CREDITS_OF, guild, user, MAX_CREDITS))

    async def names(self, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
        return await self._offload(lambda: sqlite_names.read(self._db, self._path, guild, users))

    async def put_names(self, guild: GuildId, names: Mapping[UserId, str]) -> None:
        await self._offload(lambda: sqlite_names.put(self._db, self._path, guild, names))

    async def forget_names(self, guild: GuildId | None, user: UserId | None) -> int:
        return await self._offload(lambda: sqlite_names.forget(self._db, self._path, guild, user))

    def _recorded(self, query: str, guild: GuildId, user: UserId, limit: int) -> Sequence[Record]:
        """The records whose seqs the query finds, the newest first, as they were recorded; blocking."""
        with committing(self._db, self._path):
            read_model.sort(self._db)
        with storing(self._path):
            found = rows(self._db, query, int(guild), int(user), limit)
        return self._records.at(guild, sorted(seq for (seq,) in found if isinstance(seq, int)))


def joins_page(db: sqlite3.Connection, path: Path, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
    """``Lists.joins_page``, blocking."""
    with committing(db, path):
        read_model.sort(db)
    with storing(path):
        found = rows(db, _PAGE, int(guild), after_seq, limit)
    return [_row_in(row, _decoder) for row in found]


def credits_page(
    db: sqlite3.Connection, path: Path, guild: GuildId, after: CreditPlace, limit: int
) -> Sequence[CreditRow]:
    """``Lists.credits_page``, blocking."""
    with committing(db, path):
        read_model.sort(db)
    with storing(path):
        found = rows(db, _CREDITS, int(guild), *after, limit)
    return [_row_in(row, _credits) for row in found]


def _row_in(row: Row, decoder: msgspec.json.Decoder[_T]) -> _T:
    text = row[0] if isinstance(row[0], bytes) else b""
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("read model", f"unreadable: {error}") from error
