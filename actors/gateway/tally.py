"""Joins added up by person: who brought how many, how many of them left, what is still open. Pure.

The rule: only what is proven counts. An open case counts for nobody; for whom it is possible it is a figure of its
own, so that a person's joins are a range ("12, perhaps 14"). Nobody brings himself, and a bot nobody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final

import msgspec

from ledger.answers import CodeReport
from ledger.ids import InviteCode, UserId
from ledger.records import Status
from ledger.state import OPEN
from persistence.lists import JoinRow

PROVEN: Final = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN, Status.MANUAL})
UNPROVEN: Final = OPEN | {Status.REPORTED}
"""A name or several, but no proof."""
NO_TOTAL: Final = (0, 0, 0)


class By(StrEnum):
    """Who counts as having brought somebody."""

    STAFF = "staff"  # for whom the code stood at the join: its assignment, else the human inviter
    INVITER = "inviter"  # who made the invite


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A person's proven joins, how many of them have ended, and open cases in which the person is possible."""

    joined: int = 0
    left: int = 0
    possible: int = 0

    @property
    def net(self) -> int:
        """How many are still here."""
        return self.joined - self.left


class Tally:
    """Adds up joins, page by page.

    Args:
        codes: who stands for which code, for open cases.
        by: whom a join is counted for.
        since_us: earlier joins do not count.
    """

    def __init__(self, codes: Iterable[CodeReport], by: By, since_us: int = 0) -> None:
        self.joins = 0
        self.open = 0
        self._codes: Mapping[InviteCode, CodeReport] = {each.code: each for each in codes}
        self._bots = {each.bot for each in self._codes.values()} - {None}
        self._by = by
        self._since_us = since_us
        self._totals: dict[UserId, tuple[int, int, int]] = {}

    def add(self, rows: Iterable[JoinRow]) -> None:
        """Counts the rows; each once, in any order."""
        for row in rows:
            if row.opened_us >= self._since_us:
                self._count(row)

    def total(self, user: UserId) -> Total:
        """The person's figures."""
        joined, left, possible = self._totals.get(user, NO_TOTAL)
        return Total(joined=joined, left=left, possible=possible)

    def users(self) -> AbstractSet[UserId]:
        """Everybody with any figure."""
        return self._totals.keys()

    def ranking(self) -> Sequence[tuple[UserId, Total]]:
        """Who has proven joins: by those still here, then by all, then by id."""
        proven = [(user, self.total(user)) for user, (joined, _, _) in self._totals.items() if joined]
        return sorted(proven, key=lambda each: (-each[1].net, -each[1].joined, int(each[0])))

    def _count(self, row: JoinRow) -> None:
        self.joins += 1
        person = row.staff if self._by is By.STAFF else self._maker(row)
        if row.status in PROVEN and person is not None:
            self._raise(person, row, joined=1, left=int(row.left_us != 0))
        elif row.status in UNPROVEN or row.status is Status.INVITER_CERTAIN:
            self.open += 1
            for possible in {person, *self._holders(row)} - {None}:
                self._raise(possible, row, possible=1)

    def _maker(self, row: JoinRow) -> UserId | None:
        """Who made the invite; our own bot makes many, which says nothing of who brought somebody."""
        return None if row.inviter in self._bots else row.inviter

    def _raise(self, user: UserId | None, row: JoinRow, *, joined: int = 0, left: int = 0, possible: int = 0) -> None:
        if user is None or user == row.user:
            return
        before = self._totals.get(user, NO_TOTAL)
        self._totals[user] = (before[0] + joined, before[1] + left, before[2] + possible)

    def _holders(self, row: JoinRow) -> Iterator[UserId | None]:
        """For whom the codes stood that this join may have come by."""
        for code in row.candidates:
            report = self._codes.get(InviteCode(code))
            if report is not None:
                yield report.inviter if self._by is By.INVITER else report.holder_at(row.opened_us)
