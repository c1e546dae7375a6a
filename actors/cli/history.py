"""What a guild's records say of joins and assignments: a fold for people and tools outside, smaller than its state.

Pure. A record with a seq that came before supersedes that one and all behind it (a branch that lost); a hole loses
only what lay in it. The same rules as ``ledger/evolve.py``: a membership is named by user and the joined_at it was
opened with, and the latest verdict and credit are in force.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from ledger.ids import GuildId, InviteCode, UserId, is_tombstone, tombstone
from ledger.records import (
    CreditGranted,
    CreditReversed,
    Evidence,
    GuildAdopted,
    GuildForgotten,
    InviteAssigned,
    JoinRecorded,
    MemberForgotten,
    MembersSeeded,
    Record,
    Status,
    VerdictReached,
    renamed,
)

_Settling: TypeAlias = VerdictReached | CreditGranted | CreditReversed
_Told: TypeAlias = (
    GuildAdopted | MembersSeeded | JoinRecorded | _Settling | InviteAssigned | MemberForgotten | GuildForgotten
)
DAY_MS: Final = 86_400_000


class JoinLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the export. ``period``: which membership of the user it opened, from 1, seeded ones counted.

    Who was forgotten is ``forgotten-1``, ``forgotten-2``, …; of their joins only the day (UTC) is told: the exact
    time would name them, since Discord shows it of every member.
    """

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


class AssignmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """From ``since_ms`` on the code stands for this staff member; ``by``: who said so."""

    code: InviteCode
    staff: UserId
    since_ms: int
    by: UserId | None


class _Join(msgspec.Struct):
    """A join while it is folded. ``gsn`` of its record."""

    gsn: int
    user: UserId
    joined_at_us: int
    period: int = 0
    verdict: VerdictReached | None = None
    credited: UserId | None = None


class _Fold(msgspec.Struct):
    """What counts of a guild's facts. ``opened``: when each user's memberships began, in order."""

    joins: dict[tuple[UserId, int], _Join] = {}
    opened: dict[UserId, list[int]] = {}
    assignments: list[InviteAssigned] = []
    counting_since_us: int = 0


class GuildHistory:
    """The records of one guild, taken in the order in which they stand."""

    def __init__(self, guild: GuildId) -> None:
        self.guild = guild
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
        """Every join with its record's gsn, in the order of these."""
        for join in self._folded().joins.values():
            verdict = join.verdict or VerdictReached(
                user=join.user, opened_us=join.joined_at_us, status=Status.PENDING
            )
            yield (
                join.gsn,
                JoinLine(
                    guild=self.guild,
                    user=shown_as(join.user),
                    joined_at_ms=shown_joined_ms(join.user, join.joined_at_us),
                    period=join.period,
                    status=verdict.status,
                    code=verdict.code,
                    inviter=verdict.inviter and shown_as(verdict.inviter),
                    staff=verdict.staff and shown_as(verdict.staff),
                    candidates=verdict.candidates,
                    credited=join.credited and shown_as(join.credited),
                ),
            )

    def assignments(self) -> Iterator[AssignmentLine]:
        """Every assignment, oldest first; of those of a code the newest is in force."""
        for each in self._folded().assignments:
            since_ms, by = each.since_us // 1_000, each.by and shown_as(each.by)
            yield AssignmentLine(code=each.code, staff=shown_as(each.staff), since_ms=since_ms, by=by)

    def counting_since_ms(self) -> int:
        """When the bot began to count there; 0 = it has not, or was told to forget the guild."""
        return self._folded().counting_since_us // 1_000

    def _folded(self) -> _Fold:
        fold = _Fold()
        for _, gsn, event in self._facts:
            match event:
                case GuildAdopted():
                    fold.counting_since_us = event.counting_since_us
                case MembersSeeded():
                    fold.opened.update((seed.user, [seed.joined_at_us]) for seed in event.members)
                case JoinRecorded(user=user, joined_at_us=at_us):
                    _open(fold.opened.setdefault(user, []), event)
                    fold.joins[user, at_us] = _Join(gsn, user, at_us)
                case InviteAssigned():
                    fold.assignments.append(event)
                    if event.salvaged:
                        fold.assignments.sort(key=lambda each: each.since_us)
                case MemberForgotten():
                    _forget(fold, event.user, tombstone(event.tombstone))
                case GuildForgotten():
                    fold = _Fold()
                case _:
                    _settle(fold.joins.get((event.user, event.opened_us)), event)
        for join in fold.joins.values():
            join.period = fold.opened[join.user].index(join.joined_at_us) + 1
        return fold


def _open(opened: list[int], event: JoinRecorded) -> None:
    """Notes when a membership began; a salvaged one stands where it belongs, or was taken for a seed until now."""
    at_us = event.joined_at_us
    if event.origin != "salvaged":
        opened.append(at_us)
    elif at_us not in opened:
        later = (place for place, other_us in enumerate(opened) if other_us > at_us)
        opened.insert(next(later, len(opened)), at_us)


def _forget(fold: _Fold, user: UserId, name: UserId) -> None:
    """Renames a person in what was said up to now; their memberships go on counting under the tombstone."""

    def name_of(each: UserId) -> UserId:
        return name if each == user else each

    fold.opened[name] = fold.opened.get(name, []) + fold.opened.pop(user, [])
    for join in fold.joins.values():
        if join.user == user:
            join.user = name
        if join.verdict is not None:
            join.verdict = renamed(join.verdict, name_of)
        join.credited = name if join.credited == user else join.credited
    fold.joins = {(join.user, join.joined_at_us): join for join in fold.joins.values()}
    fold.assignments = [renamed(each, name_of) for each in fold.assignments]


def shown_as(user: UserId) -> UserId:
    """Who a reader is told of: ``forgotten-1`` where it is somebody who was forgotten."""
    return UserId(f"forgotten{user}") if is_tombstone(user) else user


def shown_joined_ms(user: UserId, joined_at_us: int) -> int:
    """When somebody joined, milliseconds; of who was forgotten only the day."""
    joined_at_ms = joined_at_us // 1_000
    return joined_at_ms // DAY_MS * DAY_MS if is_tombstone(user) else joined_at_ms


def _settle(join: _Join | None, event: _Settling) -> None:
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
