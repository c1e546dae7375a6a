"""What forgetting does to the rows of earlier records, and how those records read today.

A forgotten person's id becomes a negative number in every row of the guild that an earlier record added; a forgotten
guild's earlier rows go. Rows of later records are never touched: those records name the tombstone themselves
(``ledger/forgetting.py``). Two ways lead there and must agree: rows changed where they lie (``forget_rows``), and
rows that the records would add as they read today (``Renaming``), which is what the tables are verified against.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ledger import records as r
from ledger.ids import GuildId, UserId, tombstone

# Each takes guild, user, the forgetting record's seq, the tombstone.
_RENAME: Final = (
    "UPDATE joins SET user = ?4 WHERE guild = ?1 AND user = ?2 AND seq < ?3",
    "UPDATE leaves SET user = ?4 WHERE guild = ?1 AND user = ?2 AND seq < ?3",
    "UPDATE verdicts SET user = ?4 WHERE guild = ?1 AND user = ?2 AND seq < ?3",
    "UPDATE verdicts SET inviter = ?4 WHERE guild = ?1 AND inviter = ?2 AND seq < ?3",
    "UPDATE verdicts SET staff = ?4 WHERE guild = ?1 AND staff = ?2 AND seq < ?3",
    "UPDATE assignments SET staff = ?4 WHERE guild = ?1 AND staff = ?2 AND seq < ?3",
    "UPDATE assignments SET assigned_by = ?4 WHERE guild = ?1 AND assigned_by = ?2 AND seq < ?3",
    "UPDATE credits SET user = ?4 WHERE guild = ?1 AND user = ?2 AND seq < ?3",
    "UPDATE credits SET staff = ?4 WHERE guild = ?1 AND staff = ?2 AND seq < ?3",
)
_UNNAME: Final = "DELETE FROM names WHERE guild = ?1 AND user = ?2"
_EMPTY: Final = (
    "DELETE FROM joins WHERE guild = ?1 AND seq < ?2",
    "DELETE FROM leaves WHERE guild = ?1 AND seq < ?2",
    "DELETE FROM verdicts WHERE guild = ?1 AND seq < ?2",
    "DELETE FROM assignments WHERE guild = ?1 AND seq < ?2",
    "DELETE FROM credits WHERE guild = ?1 AND seq < ?2",
)
_UNNAME_ALL: Final = "DELETE FROM names WHERE guild = ?1"


def forget_rows(db: sqlite3.Connection, record: r.Record) -> None:
    """What a forgetting record does to the tables; the transaction is the caller's. Other records do nothing.

    Names go in the same transaction: also where the database gets the record later than the log.
    """
    guild, seq = int(record.guild), record.seq
    match record.event:
        case r.MemberForgotten(user=user, tombstone=number):
            for sql in _RENAME:
                db.execute(sql, (guild, int(user), seq, int(tombstone(number))))
            db.execute(_UNNAME, (guild, int(user)))
        case r.GuildForgotten():
            for sql in _EMPTY:
                db.execute(sql, (guild, seq))
            db.execute(_UNNAME_ALL, (guild,))
        case _:
            pass


class Renaming:
    """How records read after all that was forgotten since. It has to ``learn`` every forgetting first, in order."""

    def __init__(self) -> None:
        self._people: dict[GuildId, dict[UserId, tuple[int, UserId]]] = {}
        self._from: dict[GuildId, int] = {}

    def learn(self, record: r.Record) -> None:
        """Takes a forgetting record; others say nothing."""
        match record.event:
            case r.MemberForgotten(user=user, tombstone=number):
                self._people.setdefault(record.guild, {})[user] = (record.seq, tombstone(number))
            case r.GuildForgotten():
                self._from[record.guild] = record.seq
            case _:
                pass

    def now(self, record: r.Record) -> r.Record | None:
        """The record with tombstones for the forgotten; None = all it says was forgotten."""
        if record.seq < self._from.get(record.guild, 0):
            return None
        people = self._people.get(record.guild)
        if people is None:
            return record
        event = r.renamed(record.event, lambda user: _name(people, user, record.seq))
        return msgspec.structs.replace(record, event=event)


def read_today(records: Sequence[r.Record]) -> list[r.Record]:
    """What is left of these records, which are all of their guilds', after all that they forget."""
    renaming = Renaming()
    for record in records:
        renaming.learn(record)
    return [now for record in records if (now := renaming.now(record)) is not None]


def _name(people: Mapping[UserId, tuple[int, UserId]], user: UserId, seq: int) -> UserId:
    forgotten_at, name = people.get(user, (0, user))
    return name if seq < forgotten_at else user
