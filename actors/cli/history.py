"""What the records of a guild say of each join: a fold for people and tools outside, smaller than the actor's state.

Pure. A record with a seq that came before supersedes that one and all behind it (a branch that lost); a hole loses
only what lay in it. The same rules as ``ledger/evolve.py``: a membership is named by user and the joined_at it was
opened with, and the latest verdict and credit are in force.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import (
    CreditGranted,
    CreditReversed,
    Evidence,
    JoinRecorded,
    MembersSeeded,
    Record,
    Status,
    VerdictReached,
)

_Told: TypeAlias = MembersSeeded | JoinRecorded | VerdictReached | CreditGranted | CreditReversed


class JoinLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the export. ``period``: which membership of the user it opened, from 1, seeded ones counted."""

    guild: GuildId
    user: UserId
    joined_at_ms: int
    period: int
    status: Status
    code: InviteCode | None
    inviter: UserId | None
    staff: UserId | None
    candidates: tuple[InviteCode, ...]
    credited: UserId | None


class _Join(msgspec.Struct):
    """A join while it is folded. ``gsn`` of its record."""

    gsn: int
    event: JoinRecorded
    period: int
    verdict: VerdictReached | None = None
    credited: UserId | None = None


class GuildHistory:
    """The records of one guild, taken in the order in which they stand."""

    def __init__(self, guild: GuildId) -> None:
        self._guild = guild
        self._facts: list[tuple[int, int, _Told]] = []

    def take(self, record: Record) -> None:
        """The next record; what it supersedes is forgotten."""
        while self._facts and self._facts[-1][0] >= record.seq:
            self._facts.pop()
        event = record.event
        if isinstance(event, VerdictReached):  # evidence is most of a verdict's size, and not asked for
            event = msgspec.structs.replace(event, evidence=Evidence())
        if isinstance(event, _Told):
            self._facts.append((record.seq, record.gsn, event))

    def joins(self) -> Iterator[tuple[int, JoinLine]]:
        """Every join with its record's gsn, oldest first."""
        for join in self._folded():
            verdict = join.verdict or VerdictReached(
                user=join.event.user, opened_us=join.event.joined_at_us, status=Status.PENDING
            )
            yield (
                join.gsn,
                JoinLine(
                    guild=self._guild,
                    user=join.event.user,
                    joined_at_ms=join.event.joined_at_us // 1_000,
                    period=join.period,
                    status=verdict.status,
                    code=verdict.code,
                    inviter=verdict.inviter,
                    staff=verdict.staff,
                    candidates=verdict.candidates,
                    credited=join.credited,
                ),
            )

    def _folded(self) -> Iterator[_Join]:
        joins: dict[tuple[UserId, int], _Join] = {}
        periods: dict[UserId, int] = {}
        for _, gsn, event in self._facts:
            match event:
                case MembersSeeded():
                    periods.update((seed.user, 1) for seed in event.members)
                case JoinRecorded():
                    periods[event.user] = periods.get(event.user, 0) + 1
                    joins[event.user, event.joined_at_us] = _Join(gsn, event, periods[event.user])
                case _:
                    _settle(joins.get((event.user, event.opened_us)), event)
        yield from joins.values()


def _settle(join: _Join | None, event: VerdictReached | CreditGranted | CreditReversed) -> None:
    """Verdict and credits of a membership that is no join of ours are not asked for."""
    if join is None:
        return
    match event:
        case VerdictReached():
            join.verdict = event
        case CreditGranted():
            join.credited = event.staff
        case CreditReversed():
            join.credited = None
