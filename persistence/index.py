"""Where the frames of each guild lie in the log, and which of them are read together: 16 bytes a record, in memory.

Positional by seq: putting a seq again drops what was behind it (a branch that lost). Nothing here reads or writes.
"""

from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from ledger.ids import GuildId

NEAR_BYTES: Final = 1_000
"""What lies between two frames of a guild is read with them if it is less: another read costs as much."""
STRETCH_BYTES: Final = 96 * 1024
"""About so much is read at once: for more an allocator asks the system, which zeroes it page by page."""
_LENGTH_BITS: Final = 32
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1


class Spot(msgspec.Struct, frozen=True, gc=False):
    """A frame's place: file number, offset and length in bytes (without the newline)."""

    number: int
    offset: int
    length: int

    def __str__(self) -> str:
        return f"log file {self.number:010d}, byte {self.offset}"


class LogStretch(msgspec.Struct, frozen=True, gc=False):
    """Frames of a guild that are read together: file number, offset and length in bytes; each one's part of that."""

    number: int
    offset: int
    length: int
    parts: list[slice]


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

    def behind(self, guild: GuildId, after_seq: int) -> Iterator[LogStretch]:
        """What lies behind ``after_seq`` now, in order; from the first record known, where that is later."""
        trail = self._trails.get(guild)
        if trail is None:
            return
        spots = iter(trail.spots[max(0, after_seq + 1 - trail.first) * 2 :])
        number, begin, end = 0, 0, 0
        parts: list[slice] = []
        for packed, offset in zip(spots, spots, strict=True):  # plain numbers: every recovery waits for this loop
            if offset - end > NEAR_BYTES or offset - begin > STRETCH_BYTES or packed >> _LENGTH_BITS != number:
                if parts:
                    yield LogStretch(number, begin, end - begin, parts)
                number, begin, parts = packed >> _LENGTH_BITS, offset, []
            end = offset + (packed & _LENGTH_MASK)
            parts.append(slice(offset - begin, end - begin))
        if parts:
            yield LogStretch(number, begin, end - begin, parts)

    def at(self, guild: GuildId, seq: int) -> Spot | None:
        """The spot of one record."""
        trail = self._trails.get(guild)
        place = -1 if trail is None else (seq - trail.first) * 2
        if trail is None or not 0 <= place < len(trail.spots):
            return None
        packed = trail.spots[place]
        return Spot(packed >> _LENGTH_BITS, trail.spots[place + 1], packed & _LENGTH_MASK)
