"""The database's schema: numbered migrations, each committed together with its own record.

Rules: a released migration never changes; SQL is static. A migration's record carries a checksum of the schema as it
left it, so that a flipped bit in the schema is told from a later release. Numbers of Discord are 64-bit integers,
times are microseconds.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, NewerFormat
from persistence.frames import crc32c
from persistence.sqlite_connection import committing, rows, storing
from persistence.sqlite_terms import newest_release


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A step from one schema to the next. Steps are numbered from 1, by their place."""

    name: str
    statements: tuple[str, ...]


RECORDS: Final = Migration(
    name="records",
    statements=(
        # The frames that stand on their guild's chain. Columns repeat what the frame says.
        """CREATE TABLE records (
            gsn INTEGER PRIMARY KEY,
            guild INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            key TEXT NOT NULL,
            frame BLOB NOT NULL,
            UNIQUE (guild, seq),
            UNIQUE (guild, key)
        ) STRICT""",
        # Frames that stand on no chain: behind a hole, or of a branch that lost.
        "CREATE TABLE aside (gsn INTEGER PRIMARY KEY, frame BLOB NOT NULL) STRICT",
        # Sealed as files are (persistence/checkpoints.py).
        """CREATE TABLE checkpoints (
            guild INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            file BLOB NOT NULL,
            PRIMARY KEY (guild, epoch, seq)
        ) STRICT""",
        # Each writer's term, a sealed line.
        "CREATE TABLE terms (epoch INTEGER PRIMARY KEY, line BLOB NOT NULL) STRICT",
    ),
)
READ_MODEL: Final = Migration(
    name="read_model",
    statements=(
        """CREATE TABLE joins (
            guild INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            arrived_us INTEGER NOT NULL,
            origin TEXT NOT NULL,
            bot INTEGER NOT NULL,
            rejoin INTEGER NOT NULL,
            PRIMARY KEY (guild, seq)
        ) STRICT, WITHOUT ROWID""",
        # left_us: -1 = at an unknown time. A join that follows a missed leave is a row here, too.
        """CREATE TABLE leaves (
            guild INTEGER NOT NULL,
            user INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            left_us INTEGER NOT NULL,
            PRIMARY KEY (guild, user, seq)
        ) STRICT, WITHOUT ROWID""",
        # supersedes: seq of the verdict before, 0 = none; candidates: a JSON array of codes.
        """CREATE TABLE verdicts (
            guild INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            status TEXT NOT NULL,
            code TEXT,
            inviter INTEGER,
            staff INTEGER,
            assignment INTEGER NOT NULL,
            candidates TEXT NOT NULL,
            reason TEXT NOT NULL,
            window INTEGER NOT NULL,
            supersedes INTEGER NOT NULL,
            method INTEGER NOT NULL,
            PRIMARY KEY (guild, user, opened_us, seq)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE assignments (
            guild INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            version INTEGER NOT NULL,
            code TEXT NOT NULL,
            staff INTEGER NOT NULL,
            since_us INTEGER NOT NULL,
            assigned_by INTEGER,
            PRIMARY KEY (guild, seq)
        ) STRICT, WITHOUT ROWID""",
        # amount: 1 = granted, -1 = taken back.
        """CREATE TABLE credits (
            guild INTEGER NOT NULL,
            staff INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            amount INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            kind TEXT NOT NULL,
            PRIMARY KEY (guild, staff, seq)
        ) STRICT, WITHOUT ROWID""",
        # A join with the verdict in force, its newest, and its end: left_us 0 = still a member.
        """CREATE VIEW attributions AS
            SELECT joins.guild, joins.seq, joins.user, joins.opened_us, joins.origin, joins.bot,
                coalesce((
                    SELECT leaves.left_us FROM leaves
                    WHERE leaves.guild = joins.guild AND leaves.user = joins.user AND leaves.seq > joins.seq
                    ORDER BY leaves.seq LIMIT 1
                ), 0) AS left_us,
                verdicts.seq AS verdict_seq, verdicts.status, verdicts.code, verdicts.inviter, verdicts.staff,
                verdicts.candidates, verdicts.reason
            FROM joins LEFT JOIN verdicts
                ON verdicts.guild = joins.guild AND verdicts.user = joins.user
                AND verdicts.opened_us = joins.opened_us
                AND verdicts.seq = (
                    SELECT max(newest.seq) FROM verdicts AS newest
                    WHERE newest.guild = joins.guild AND newest.user = joins.user
                    AND newest.opened_us = joins.opened_us
                )""",
    ),
)
NAMES: Final = Migration(
    name="names",
    statements=(
        # What Discord calls people; no record says it. seal: CRC32C over the other columns (sqlite_names.py).
        """CREATE TABLE names (
            guild INTEGER NOT NULL,
            user INTEGER NOT NULL,
            name TEXT NOT NULL,
            seal BLOB NOT NULL,
            PRIMARY KEY (guild, user)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX names_by_user ON names (user)",
    ),
)
BY_GSN: Final = Migration(
    name="by_gsn",
    statements=(
        # Every frame, also those that stand on no chain; what else was in a column is in the frame.
        "CREATE TABLE frames (gsn INTEGER PRIMARY KEY, frame BLOB NOT NULL) STRICT",
        """INSERT OR IGNORE INTO frames (gsn, frame)
            SELECT gsn, frame FROM records UNION ALL SELECT gsn, frame FROM aside ORDER BY gsn""",
        "DROP TABLE records",
        "DROP TABLE aside",
    ),
)
FRESH: Final = Migration(
    name="fresh",
    statements=(
        # The read model's newest rows, until they are sorted into its tables, which have the same columns.
        """CREATE TABLE fresh_joins (
            guild INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            arrived_us INTEGER NOT NULL,
            origin TEXT NOT NULL,
            bot INTEGER NOT NULL,
            rejoin INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE fresh_leaves (
            guild INTEGER NOT NULL,
            user INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            left_us INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE fresh_verdicts (
            guild INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            status TEXT NOT NULL,
            code TEXT,
            inviter INTEGER,
            staff INTEGER,
            assignment INTEGER NOT NULL,
            candidates TEXT NOT NULL,
            reason TEXT NOT NULL,
            window INTEGER NOT NULL,
            supersedes INTEGER NOT NULL,
            method INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE fresh_assignments (
            guild INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            version INTEGER NOT NULL,
            code TEXT NOT NULL,
            staff INTEGER NOT NULL,
            since_us INTEGER NOT NULL,
            assigned_by INTEGER
        ) STRICT""",
        """CREATE TABLE fresh_credits (
            guild INTEGER NOT NULL,
            staff INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            amount INTEGER NOT NULL,
            user INTEGER NOT NULL,
            opened_us INTEGER NOT NULL,
            kind TEXT NOT NULL
        ) STRICT""",
    ),
)
MIGRATIONS: Final = (RECORDS, READ_MODEL, NAMES, BY_GSN, FRESH)

_TABLE: Final = """CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, seal BLOB NOT NULL
) STRICT"""
_HAS_TABLE: Final = "SELECT count(*) FROM sqlite_schema"
_APPLIED: Final = "SELECT number, name, seal FROM migrations ORDER BY number"
_RECORD: Final = "INSERT INTO migrations (number, name, seal) VALUES (?, ?, ?)"
_SCHEMA: Final = "SELECT quote(type), quote(name), quote(tbl_name), quote(sql) FROM sqlite_schema ORDER BY name"


def applied(db: sqlite3.Connection, path: Path, known: int = len(MIGRATIONS)) -> int:
    """How many migrations the database has had; changes nothing.

    Raises:
        Corrupt: when the schema is not what the last of them left.
        NewerFormat: when a later release migrated it.
    """
    with storing(path):
        ((things,),) = rows(db, _HAS_TABLE)
        found = rows(db, _APPLIED) if things else ()
        numbers = [row[0] for row in found]
        if numbers != list(range(1, len(found) + 1)):
            raise Corrupt(path.name, "migrations are missing from the list")
        if found and found[-1][2] != _seal(db, len(found), found[-1][1]):
            raise Corrupt(path.name, "the schema is not what its last migration left")
    if len(found) > known:
        raise NewerFormat(path.name, f"schema {len(found)}, known here up to {known}", newest_release(db, path))
    return len(found)


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Applies what the database has not had yet, each in a transaction with its record.

    Raises:
        Corrupt, NewerFormat: as ``applied`` does.
        NotConfirmed: when a COMMIT failed.
    """
    had = applied(db, path, len(migrations))
    for number, migration in enumerate(migrations[had:], had + 1):
        with committing(db, path):
            db.execute("BEGIN IMMEDIATE")
            for statement in (_TABLE, *migration.statements):
                db.execute(statement)
            name = migration.name.encode()
            db.execute(_RECORD, (number, migration.name, _seal(db, number, name)))


def _seal(db: sqlite3.Connection, number: int, name: object) -> bytes:
    return crc32c(repr((number, name, rows(db, _SCHEMA))).encode())
