"""Where a history is cut in time: before the first append that was recorded later. Pure.

A record of an earlier time behind that one (a clock that was set back) is cut off with it: a history has no holes.
What was forgotten behind the cut stays forgotten in whatever is made of the part before it.
"""

from ledger.ids import GuildId
from ledger.records import Forgetting, Record


class Until:
    """Asked for every record of a history, in order. ``later``: the forgettings behind the cut, by guild."""

    def __init__(self, until_ms: int | None) -> None:
        """``until_ms``: milliseconds since 1970; None = the end."""
        self._until_ms = until_ms
        self._starts = True
        self._is_past = False
        self.later: dict[GuildId, list[Record]] = {}

    def keeps(self, record: Record) -> bool:
        """Whether it lies before the cut; an append is kept whole or not at all."""
        if self._until_ms is None:
            return True
        self._is_past = self._is_past or (self._starts and record.at_ms > self._until_ms)
        self._starts = record.seq == record.last
        if self._is_past:
            self._note(record)
        return not self._is_past

    def _note(self, record: Record) -> None:
        noted = self.later.get(record.guild, [])
        while noted and noted[-1].seq >= record.seq:  # of a branch that lost
            noted.pop()
        if isinstance(record.event, Forgetting):
            self.later.setdefault(record.guild, noted).append(record)
