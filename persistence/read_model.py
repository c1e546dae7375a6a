"""The read model: joins, leaves, verdicts, assignments and credits as tables, for lists and totals.

Rules: it follows from the records alone, changes in their transaction, and can be made anew from them. Rows are only
ever added, each by one record (``changes``, which is pure); what is in force now is the business of views and sums.
A leave that only adds the time to an end is none. So the order within a batch does not matter, and a sum over the
rows' checksums tells whether the tables are what the records say. One thing reaches back: what is forgotten is
renamed in the rows of earlier records, or goes with them (``persistence/renaming.py``). Names are not here, nor is
anything that only a guild's state knows.

Each table has a *fresh* one beside it, in the order in which rows come. They are sorted into the tables by guild many
at a time, and before anybody reads or changes those: a row put at its place at once costs a page of disk.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, TypeAlias, assert_never

import msgspec

from ledger import records as r
from ledger.ids import GuildId, UserId
from ledger.state import LEFT_UNKNOWN
from persistence.frames import checksum
from persistence.renaming import Renaming, forget_rows
from persistence.sqlite_connection import Value

Change: TypeAlias = tuple[str, tuple[Value, ...]]
"""A statement and its values."""

ADD_JOIN: Final = """
INSERT INTO fresh_joins (guild, seq, user, opened_us, arrived_us, origin, bot, rejoin) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_LEAVE: Final = "INSERT INTO fresh_leaves (guild, seq, user, left_us) VALUES (?, ?, ?, ?)"
ADD_VERDICT: Final = """
INSERT INTO fresh_verdicts (guild, seq, user, opened_us, status, code, inviter, staff, assignment, candidates, reason,
    window, supersedes, method)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_ASSIGNMENT: Final = """
INSERT INTO fresh_assignments (guild, seq, version, code, staff, since_us, assigned_by) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
ADD_CREDIT: Final = """
INSERT INTO fresh_credits (guild, seq, staff, amount, user, opened_us, kind) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ADDING: Final = (ADD_JOIN, ADD_LEAVE, ADD_VERDICT, ADD_ASSIGNMENT, ADD_CREDIT)
_HELD: Final = (
    """
    SELECT guild, seq, user, opened_us, arrived_us, origin, bot, rejoin FROM joins
    UNION ALL SELECT guild, seq, user, opened_us, arrived_us, origin, bot, rejoin FROM fresh_joins
    """,
    "SELECT guild, seq, user, left_us FROM leaves UNION ALL SELECT guild, seq, user, left_us FROM fresh_leaves",
    """
    SELECT guild, seq, user, opened_us, status, code, inviter, staff, assignment, candidates, reason,
        window, supersedes, method
    FROM verdicts
    UNION ALL SELECT guild, seq, user, opened_us, status, code, inviter, staff, assignment, candidates, reason,
        window, supersedes, method
    FROM fresh_verdicts
    """,
    """
    SELECT guild, seq, version, code, staff, since_us, assigned_by FROM assignments
    UNION ALL SELECT guild, seq, version, code, staff, since_us, assigned_by FROM fresh_assignments
    """,
    """
    SELECT guild, seq, staff, amount, user, opened_us, kind FROM credits
    UNION ALL SELECT guild, seq, staff, amount, user, opened_us, kind FROM fresh_credits
    """,
)
"""What each of these statements has added, read back in the same order of columns."""
_SORT: Final = (
    "INSERT INTO joins SELECT * FROM fresh_joins ORDER BY guild, seq",
    "INSERT INTO leaves SELECT * FROM fresh_leaves ORDER BY guild, user, seq",
    "INSERT INTO verdicts SELECT * FROM fresh_verdicts ORDER BY guild, user, opened_us, seq",
    "INSERT INTO assignments SELECT * FROM fresh_assignments ORDER BY guild, seq",
    "INSERT INTO credits SELECT * FROM fresh_credits ORDER BY guild, staff, seq",
    "DELETE FROM fresh_joins",
    "DELETE FROM fresh_leaves",
    "DELETE FROM fresh_verdicts",
    "DELETE FROM fresh_assignments",
    "DELETE FROM fresh_credits",
)
_FORGET: Final = (
    "DELETE FROM joins WHERE guild = ?",
    "DELETE FROM leaves WHERE guild = ?",
    "DELETE FROM verdicts WHERE guild = ?",
    "DELETE FROM assignments WHERE guild = ?",
    "DELETE FROM credits WHERE guild = ?",
)
SORTED_AT_ONCE: Final = 8_192
"""Fresh rows: twice as many would save a fifth of what is written, and hold a batch up for twice as long."""
_CHUNK_ROWS: Final = 1_000
"""How many rows are in memory at once when all are read."""
_codes: Final = msgspec.json.Encoder()
_row: Final = msgspec.msgpack.Encoder()


def changes(record: r.Record) -> list[Change]:
    """The rows that a record adds; none for most of them."""
    event, here = record.event, (int(record.guild), record.seq)
    match event:
        case r.JoinRecorded():
            return _join(event, here)
        case r.LeaveRecorded(opened_us=0):
            return [_leave(event.user, LEFT_UNKNOWN if event.inferred else event.arrived_us, here)]
        case r.VerdictReached():
            return [_verdict(event, here)]
        case r.InviteAssigned():
            return [_assignment(event, here)]
        case r.CreditGranted() | r.CreditReversed():
            return [_credit(event, here)]
        case (
            r.LeaveRecorded() | r.GuildAdopted() | r.MembersSeeded() | r.RepeatRecorded() | r.InviteCreated()
            | r.InviteDied() | r.ContinuityBroken() | r.SampleTaken() | r.WindowClosed() | r.EventUnreadable()
            | r.GuildLeft() | r.MemberForgotten() | r.GuildForgotten() | r.DeletionLogged() | r.CreationLogged()
            | r.AuditRead()
            | r.WitnessHeard() | r.MembersReported() | r.VipChanged() | r.SettingsChanged() | r.JoinAnnounced()
        ):  # fmt: skip
            return []
        case _:
            assert_never(event)


def follow(db: sqlite3.Connection, records: Iterable[r.Record]) -> int:
    """Adds the rows of a batch of records, then forgets what they forget; the transaction is the caller's.

    Gives how many rows were added.
    """
    batch: dict[str, list[tuple[Value, ...]]] = {sql: [] for sql in _ADDING}
    forgetting: list[r.Record] = []
    for record in records:
        for sql, values in changes(record):
            batch[sql].append(values)
        if isinstance(record.event, r.Forgetting):
            forgetting.append(record)
    for sql, each in batch.items():
        if each:
            db.executemany(sql, each)
    if forgetting:
        sort(db)
    for record in forgetting:
        forget_rows(db, record)
    return sum(map(len, batch.values()))


def sort(db: sqlite3.Connection) -> None:
    """Sorts fresh rows into the tables; the transaction is the caller's."""
    for sql in _SORT:
        db.execute(sql)


def told(record: r.Record, renaming: Renaming) -> int:
    """The sum of checksums of the rows that a record adds, as it reads after all that was forgotten since."""
    now = renaming.now(record)
    return 0 if now is None else sum(_checksum(values) for _, values in changes(now))


def held(db: sqlite3.Connection) -> int:
    """The sum of checksums of the rows that the tables hold: that of all standing records' ``told``."""
    total = 0
    for query in _HELD:
        cursor = db.execute(query)
        while found := cursor.fetchmany(_CHUNK_ROWS):
            total += sum(_checksum(row) for row in found)
    return total


def forget(db: sqlite3.Connection, guild: GuildId) -> None:
    """Empties the tables of a guild, to be made anew; the transaction is the caller's."""
    sort(db)
    for sql in _FORGET:
        db.execute(sql, (int(guild),))


def _join(event: r.JoinRecorded, here: tuple[int, int]) -> list[Change]:
    values = (
        *here,
        int(event.user),
        event.joined_at_us,
        event.arrived_us,
        event.origin,
        int(event.bot),
        int(event.rejoin),
    )
    missed = [_leave(event.user, LEFT_UNKNOWN, here)] if event.missed_leave else []
    return [(ADD_JOIN, values), *missed]


def _leave(user: UserId, left_us: int, here: tuple[int, int]) -> Change:
    return ADD_LEAVE, (*here, int(user), left_us)


def _credit(event: r.CreditGranted | r.CreditReversed, here: tuple[int, int]) -> Change:
    amount = 1 if isinstance(event, r.CreditGranted) else -1
    return ADD_CREDIT, (*here, int(event.staff), amount, int(event.user), event.opened_us, event.kind)


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


def _checksum(values: Iterable[object]) -> int:
    """CRC32C of a row; text counts as its bytes, as it is read back."""
    told = [value.encode() if isinstance(value, str) else value for value in values]
    return checksum(_row.encode(told))


def _number(user: UserId | None) -> int | None:
    return None if user is None else int(user)
