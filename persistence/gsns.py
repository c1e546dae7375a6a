"""Which gsns the records of each guild have: 8 bytes a record, in memory.

Positional by seq: putting a seq again drops what was behind it (a branch that lost); seqs that are skipped (a hole)
have none. Nothing here reads or writes.
"""

from array import array
from collections.abc import Iterator

from ledger.ids import GuildId


class Gsns:
    """The gsns of all guilds."""

    def __init__(self) -> None:
        self._trails: dict[GuildId, array[int]] = {}

    def put(self, guild: GuildId, seq: int, gsn: int) -> None:
        """Notes the gsn of a guild's newest record."""
        trail = self._trails.get(guild)
        if trail is None:
            trail = self._trails[guild] = array("Q")
        behind = len(trail) - (seq - 1)
        if behind > 0:
            del trail[seq - 1 :]
        elif behind < 0:
            trail.extend([0] * -behind)
        trail.append(gsn)

    def behind(self, guild: GuildId, after_seq: int) -> Iterator[int]:
        """The gsns behind ``after_seq``, in order, without those that are not there."""
        trail = self._trails.get(guild)
        return filter(None, () if trail is None else trail[after_seq:])

    def at(self, guild: GuildId, seq: int) -> int:
        """The gsn of one record; 0 = it is not there."""
        trail = self._trails.get(guild, ())
        return trail[seq - 1] if 0 < seq <= len(trail) else 0

    def count(self) -> int:
        """How many records there are."""
        return sum(len(trail) - trail.count(0) for trail in self._trails.values())
