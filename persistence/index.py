"""Where the frames of each guild lie in the log: 16 bytes a record, in memory.

Positional by seq: putting a seq again drops what was behind it (a branch that lost). Nothing here reads or writes.
"""

from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from ledger.ids import GuildId

_LENGTH_BITS: Final = 32
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1


class Spot(msgspec.Struct, frozen=True, gc=False):
    """A frame's place: file number, offset and length in bytes (without the newline)."""

    number: int
    offset: int
    length: int

    def __str__(self) -> str:
        return f"log file {self.number:010d}, byte {self.offset}"


class _Trail:
    """A guild's spots from the seq ``first`` on, two numbers each: file and length packed, and the offset."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.spots = array("Q")


class Index:
    """The spots of all guilds."""

    def __init__(self) -> None:
        self._trails: dict[GuildId, _Trail] = {}

    def put(self, guild: GuildId, seq: int, spot: Spot) -> None:
        """Notes where ``seq`` lies. Behind a jump of the seq the guild's trail begins anew."""
        trail = self._trails.get(guild)
        if trail is None or not trail.first <= seq <= trail.first + len(trail.spots) // 2:
            trail = self._trails[guild] = _Trail(seq)
        spots, place = trail.spots, (seq - trail.first) * 2
        if place < len(spots):
            del spots[place:]
        spots.extend((spot.number << _LENGTH_BITS | spot.length, spot.offset))

    def behind(self, guild: GuildId, after_seq: int) -> Iterator[Spot]:
        """The spots behind ``after_seq`` as they are now, in order; from the first one known, where that is later."""
        trail = self._trails.get(guild)
        if trail is None:
            return
        spots = trail.spots[max(0, after_seq + 1 - trail.first) * 2 :]
        each = iter(spots)
        for packed, offset in zip(each, each, strict=True):
            yield Spot(packed >> _LENGTH_BITS, offset, packed & _LENGTH_MASK)

    def at(self, guild: GuildId, seq: int) -> Spot | None:
        """The spot of one record."""
        trail = self._trails.get(guild)
        place = -1 if trail is None else (seq - trail.first) * 2
        if trail is None or not 0 <= place < len(trail.spots):
            return None
        packed = trail.spots[place]
        return Spot(packed >> _LENGTH_BITS, trail.spots[place + 1], packed & _LENGTH_MASK)
