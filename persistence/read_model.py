"""The read model: joins, verdicts, assignments and credits as tables, for lists and totals.

Rules: it follows from the records alone, changes in their transaction, and can be made anew from them. What a record
changes is told by ``changes``, which is pure. Within a batch all additions come before all updates (``ORDER``):
an update names the seq that it comes from and touches only what is older, so that this gives the same tables as one
record after the other. Names are not here, nor is anything that only a guild's state knows.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, TypeVar, assert_never

import aiosqlite
import msgspec

from ledger import records as r
from ledger.errors import Corrupt
from ledger.ids import GuildId, UserId
from ledger.state import LEFT_UNKNOWN
from persistence.sqlite_connection import Row, Value, rows

T = TypeVar("T")

Change: TypeAlias = tuple[str, tuple[Value, ...]]
"""A statement and its values."""

MAX_PAGE: Final = 100
"""Joins a page."""

ADD_JOIN: Final = """
INSERT INTO joins (guild, seq, user, opened_us, arrived_us, origin, bot, rejoin) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
END_JOIN: Final = "UPDATE joins SET left_us = ? WHERE guild = ? AND user = ? AND seq < ? AND left_us = 0"
ADD_VERDICT: Final = """
INSERT INTO verdicts (guild, seq, user, opened_us, status, code, inviter, staff, assignment, candidates, reason,
    window, supersedes, method)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_ASSIGNMENT: Final = """
INSERT INTO assignments (guild, seq, version, code, staff, since_us, assigned_by) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
ADD_CREDIT: Final = "INSERT INTO credits (guild, seq, user, opened_us, kind, staff) VALUES (?, ?, ?, ?, ?, ?)"
REVERSE_CREDIT: Final = """
UPDATE credits SET reversed_seq = ?2
WHERE guild = ?1 AND user = ?3 AND opened_us = ?4 AND kind = ?5 AND staff = ?6 AND seq < ?2 AND reversed_seq = 0
"""
ORDER: Final = (ADD_JOIN, ADD_VERDICT, ADD_ASSIGNMENT, ADD_CREDIT, END_JOIN, REVERSE_CREDIT)

_FORGET: Final = (
    "DELETE FROM joins WHERE guild = ?",
    "DELETE FROM verdicts WHERE guild = ?",
    "DELETE FROM assignments WHERE guild = ?",
    "DELETE FROM credits WHERE guild = ?",
)
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
    'staff', CAST(staff AS TEXT), 'standing', sum(reversed_seq = 0), 'reversed', sum(reversed_seq > 0)
)
FROM credits WHERE guild = ? GROUP BY staff ORDER BY staff
"""
_codes: Final = msgspec.json.Encoder()


class JoinRow(msgspec.Struct, frozen=True, kw_only=True):
    """A join and the verdict in force. ``left_us``: 0 = still a member, -1 = unknown; ``verdict_seq``: 0 = none yet.

    Without a verdict ``status`` is ``pending``.
    """

    seq: int
    user: UserId
    opened_us: int
    origin: str
    left_us: int
    verdict_seq: int
    status: r.Status
    code: str | None
    inviter: UserId | None
    staff: UserId | None
    candidates: tuple[str, ...]
    reason: str


class StaffTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A staff member's credits: how many stand, how many were taken back."""

    staff: UserId
    standing: int
    reversed: int


def changes(record: r.Record) -> list[Change]:  # noqa: PLR0911 -- one arm an event, nothing else
    """What a record changes in the tables; nothing for most of them."""
    event, here = record.event, (int(record.guild), record.seq)
    match event:
        case r.JoinRecorded():
            return _join(event, here)
        case r.LeaveRecorded():
            return [_end(event.user, LEFT_UNKNOWN if event.inferred else event.arrived_us, here)]
        case r.VerdictReached():
            return [_verdict(event, here)]
        case r.InviteAssigned():
            return [_assignment(event, here)]
        case r.CreditGranted():
            return [(ADD_CREDIT, (*here, int(event.user), event.opened_us, event.kind, int(event.staff)))]
        case r.CreditReversed():
            return [(REVERSE_CREDIT, (*here, int(event.user), event.opened_us, event.kind, int(event.staff)))]
        case (
            r.GuildAdopted() | r.MembersSeeded() | r.RepeatRecorded() | r.InviteCreated() | r.InviteDied()
            | r.ContinuityBroken() | r.SampleTaken() | r.WindowClosed() | r.EventUnreadable() | r.GuildLeft()
        ):  # fmt: skip
            return []
        case _:
            assert_never(event)


async def follow(db: aiosqlite.Connection, records: Iterable[r.Record]) -> None:
    """Changes the tables by a batch of records, in order; the transaction is the caller's."""
    batch: dict[str, list[tuple[Value, ...]]] = {sql: [] for sql in ORDER}
    for record in records:
        for sql, values in changes(record):
            batch[sql].append(values)
    for sql, each in batch.items():
        if each:
            await db.executemany(sql, each)


async def forget(db: aiosqlite.Connection, guild: GuildId) -> None:
    """Empties the tables of a guild, to be made anew; the transaction is the caller's."""
    for sql in _FORGET:
        await db.execute_fetchall(sql, (int(guild),))


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


def _join(event: r.JoinRecorded, here: tuple[int, int]) -> list[Change]:
    values = (
        *here,
        int(event.user),
        event.joined_at_us,
        event.arrived_us,
        event.origin,
        event.bot,
        event.rejoin,
    )
    missed = [_end(event.user, LEFT_UNKNOWN, here)] if event.missed_leave else []
    return [(ADD_JOIN, values), *missed]


def _end(user: UserId, left_us: int, here: tuple[int, int]) -> Change:
    guild, seq = here
    return END_JOIN, (left_us, guild, int(user), seq)


def _verdict(event: r.VerdictReached, here: tuple[int, int]) -> Change:
    return ADD_VERDICT, (
        *here,
        int(event.user),
        event.opened_us,
        event.status.value,
        event.code,
        _number(event.inviter),
        _number(event.staff),
        event.assignment,
        _codes.encode(event.candidates).decode(),
        event.reason,
        event.window,
        event.supersedes,
        event.method,
    )


def _assignment(event: r.InviteAssigned, here: tuple[int, int]) -> Change:
    values = (*here, event.version, event.code, int(event.staff), event.since_us, _number(event.by))
    return ADD_ASSIGNMENT, values


def _number(user: UserId | None) -> int | None:
    return None if user is None else int(user)


def _decoded(found: Sequence[Row], shape: type[T]) -> Sequence[T]:
    """Rows of one JSON object each."""
    try:
        return [msgspec.json.decode(_text(row[0]), type=shape) for row in found]
    except msgspec.MsgspecError as error:
        raise Corrupt("read model", f"unreadable: {error}") from error


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
