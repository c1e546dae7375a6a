"""Lists out of the database (``persistence/lists.py``): pages of joins, and names.

Rules: a page has a limit; a row of a page comes as one JSON object and is decoded whole.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiosqlite
import msgspec

from ledger.errors import Corrupt
from ledger.ids import GuildId, UserId
from persistence import sqlite_names
from persistence.lists import MAX_PAGE, JoinRow
from persistence.sqlite_connection import Row, rows, storing

_PAGE: Final = """
SELECT json_object(
    'seq', seq, 'user', CAST(user AS TEXT), 'opened_us', opened_us, 'origin', origin, 'left_us', left_us,
    'verdict_seq', coalesce(verdict_seq, 0), 'status', coalesce(status, 'pending'), 'code', code,
    'inviter', CAST(inviter AS TEXT), 'staff', CAST(staff AS TEXT), 'candidates', json(coalesce(candidates, '[]')),
    'reason', coalesce(reason, '')
)
FROM attributions WHERE guild = ? AND seq > ? ORDER BY seq LIMIT ?
"""
_decoder: Final = msgspec.json.Decoder(JoinRow)


class SqliteLists:
    """``Lists`` on an open database."""

    def __init__(self, db: aiosqlite.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        assert 1 <= limit <= MAX_PAGE, "a page has a limit"
        with storing(self._path):
            found = await rows(self._db, _PAGE, int(guild), after_seq, limit)
        return [_join_in(row) for row in found]

    async def names(self, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
        return await sqlite_names.read(self._db, self._path, guild, users)

    async def put_names(self, guild: GuildId, names: Mapping[UserId, str]) -> None:
        await sqlite_names.put(self._db, self._path, guild, names)

    async def forget_names(self, guild: GuildId | None, user: UserId | None) -> int:
        return await sqlite_names.forget(self._db, self._path, guild, user)


def _join_in(row: Row) -> JoinRow:
    text = row[0] if isinstance(row[0], bytes) else b""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("read model", f"unreadable: {error}") from error
