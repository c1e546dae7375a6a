"""A layer in memory that has lists, as the database has: a walk through the records, and a dictionary of names."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from ledger.ids import GuildId, UserId
from ledger.records import CreditGranted, CreditReversed, JoinRecorded, LeaveRecorded, Record, Status, VerdictReached
from ledger.state import LEFT_UNKNOWN
from persistence.lists import (
    MAX_CREDITS,
    MAX_NAMES,
    MAX_PAGE,
    MAX_VERDICTS,
    CreditPlace,
    CreditRow,
    JoinRow,
    storable,
)
from persistence.renaming import read_today
from tests.memory.layer import MemoryLayer


class MemoryDatabase(MemoryLayer):
    """A ``MemoryLayer`` that keeps ``Lists`` as well. Names are as durable as its records."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._names: dict[tuple[GuildId, UserId], str] = {}

    @property
    def lists(self) -> "MemoryDatabase":
        return self

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        self._use()
        assert 1 <= limit <= MAX_PAGE, "a page has a limit"
        rows = join_rows(read_today([frame.record for frame in self._guilds.get(guild, [])]))
        return [row for row in rows if row.seq > after_seq][:limit]

    async def credits_page(self, guild: GuildId, after: CreditPlace, limit: int) -> Sequence[CreditRow]:
        self._use()
        assert 1 <= limit <= MAX_PAGE, "a page has a limit"
        rows = credit_rows(read_today([frame.record for frame in self._guilds.get(guild, [])]))
        return [row for row in rows if (int(row.staff), row.seq) > after][:limit]

    async def verdicts(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        self._use()
        records = read_today([frame.record for frame in self._guilds.get(guild, [])])
        return [each for each in records if isinstance(each.event, VerdictReached) and each.event.user == user][
            -MAX_VERDICTS:
        ]

    async def credits_of(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        self._use()
        records = read_today([frame.record for frame in self._guilds.get(guild, [])])
        return [
            each
            for each in records
            if isinstance(event := each.event, CreditGranted | CreditReversed) and event.user == user
        ][-MAX_CREDITS:]

    async def names(self, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
        self._use()
        assert len(users) <= MAX_NAMES, "names are read in pages"
        return {user: self._names[guild, user] for user in users if (guild, user) in self._names}

    async def put_names(self, guild: GuildId, names: Mapping[UserId, str]) -> None:
        self._use()
        assert len(names) <= MAX_NAMES, "names are kept in pages"
        self._names.update({(guild, user): storable(name) for user, name in names.items()})

    async def forget_names(self, guild: GuildId | None, user: UserId | None) -> int:
        self._use()
        assert guild is not None or user is not None, "all names of all guilds are never forgotten at once"
        gone = [key for key in self._names if guild in (None, key[0]) and user in (None, key[1])]
        for key in gone:
            del self._names[key]
        return len(gone)


def join_rows(records: Iterable[Record]) -> list[JoinRow]:
    """The joins of a guild's records, in order: a leave ends the user's open ones, the newest verdict is in force."""
    joins: list[JoinRow] = []
    verdicts: dict[tuple[UserId, int], tuple[int, VerdictReached]] = {}
    for record in records:
        match record.event:
            case JoinRecorded() as join:
                joins = _ended(joins, join.user, LEFT_UNKNOWN) if join.missed_leave else joins
                joins.append(_pending(record.seq, join))
            case LeaveRecorded(opened_us=0) as leave:
                joins = _ended(joins, leave.user, LEFT_UNKNOWN if leave.inferred else leave.arrived_us)
            case VerdictReached() as verdict:
                verdicts[verdict.user, verdict.opened_us] = record.seq, verdict
            case _:
                pass
    return [_judged(row, *verdicts[key]) if (key := (row.user, row.opened_us)) in verdicts else row for row in joins]


def credit_rows(records: Iterable[Record]) -> list[CreditRow]:
    """The credits of a guild's records, by staff member."""
    found = [
        CreditRow(
            seq=record.seq,
            staff=event.staff,
            amount=1 if isinstance(event, CreditGranted) else -1,
            user=event.user,
            opened_us=event.opened_us,
            kind=event.kind,
        )
        for record in records
        if isinstance(event := record.event, CreditGranted | CreditReversed)
    ]
    return sorted(found, key=lambda row: (int(row.staff), row.seq))


def _pending(seq: int, join: JoinRecorded) -> JoinRow:
    return JoinRow(
        seq=seq,
        user=join.user,
        opened_us=join.joined_at_us,
        origin=join.origin,
        left_us=0,
        verdict_seq=0,
        status=Status.PENDING,
        code=None,
        inviter=None,
        staff=None,
        candidates=(),
        reason="",
    )


def _ended(joins: Sequence[JoinRow], user: UserId, left_us: int) -> list[JoinRow]:
    return [
        msgspec.structs.replace(row, left_us=left_us) if row.user == user and row.left_us == 0 else row
        for row in joins
    ]


def _judged(row: JoinRow, seq: int, verdict: VerdictReached) -> JoinRow:
    return msgspec.structs.replace(
        row,
        verdict_seq=seq,
        status=verdict.status,
        code=verdict.code,
        inviter=verdict.inviter,
        staff=verdict.staff,
        candidates=verdict.candidates,
        reason=verdict.reason,
    )
