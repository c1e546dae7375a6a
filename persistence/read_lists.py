"""Lists and totals out of the read model: pages of joins, credits by staff member.

Rules: a page has a limit; a row comes as one JSON object and is decoded whole. These are for people to read: whatever
decides something asks the guild's state.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import aiosqlite
import msgspec

from ledger.errors import Corrupt
from ledger.ids import GuildId, UserId
from persistence.lists import MAX_PAGE, JoinRow
from persistence.sqlite_connection import Row, rows

T = TypeVar("T")

_PAGE: Final = """
SELECT json_object(
    'seq', seq, 'user', CAST(user AS TEXT), 'opened_us', opened_us, 'origin', origin, 'left_us', left_us,
    'verdict_seq', coalesce(verdict_seq, 0), 'status', coalesce(status, 'pending'), 'code', code,
    'inviter', CAST(inviter AS TEXT), 'staff', CAST(staff AS TEXT), 'candidates', json(coalesce(candidates, '[]')),
    'reason', coalesce(reason, '')
)
FROM attributions WHERE guild = ? AND seq > ? ORDER BY seq LIMIT ?
"""
_TOTALS: Final = """
SELECT json_object(
    'staff', CAST(staff AS TEXT), 'standing', sum(amount), 'taken_back', sum(amount < 0)
)
FROM credits WHERE guild = ? GROUP BY staff ORDER BY staff
"""


class StaffTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A staff member's credits: how many stand, how many were taken back."""

    staff: UserId
    standing: int
    taken_back: int


async def joins_page(db: aiosqlite.Connection, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
    """The guild's joins behind a seq, in order, at most ``limit`` (1 to ``MAX_PAGE``).

    Raises:
        Corrupt: when a row is not what was written.
    """
    assert 1 <= limit <= MAX_PAGE, "a page has a limit"
    return _decoded(await rows(db, _PAGE, int(guild), after_seq, limit), JoinRow)


async def staff_totals(db: aiosqlite.Connection, guild: GuildId) -> Sequence[StaffTotal]:
    """The credits of a guild by staff member.

    Raises:
        Corrupt: when a row is not what was written.
    """
    return _decoded(await rows(db, _TOTALS, int(guild)), StaffTotal)


def _decoded(found: Sequence[Row], shape: type[T]) -> Sequence[T]:
    """Rows of one JSON object each."""
    try:
        return [msgspec.json.decode(_text(row[0]), type=shape) for row in found]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("read model", f"unreadable: {error}") from error


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
