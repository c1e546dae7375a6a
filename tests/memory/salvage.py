"""What branches that lost had, kept in memory: for stores whose layers are there as well."""

from collections.abc import AsyncIterator

from ledger.ids import GuildId
from ledger.records import GuildForgotten, MemberForgotten
from persistence import salvage
from persistence.frames import Frame
from persistence.salvage import Lot, Name, Piece


class MemorySalvage:
    """A ``Salvage`` in memory, for a store without a folder."""

    def __init__(self) -> None:
        self._lots: dict[Lot, list[Frame]] = {}
        self.mending = 0

    async def open(self) -> tuple[str, ...]:
        return ()

    async def keep(self, frames: AsyncIterator[Frame]) -> None:
        name, kept = Name(), dict[GuildId, list[Frame]]()
        async for frame in frames:
            name.take(frame)
            guild = frame.record.guild
            if isinstance(frame.record.event, GuildForgotten):
                kept.pop(guild, None)
            kept.setdefault(guild, []).append(frame)
        self._lots |= {(str(name), guild): lot for guild, lot in kept.items()}

    async def begin_mend(self, gsn: int) -> None:
        self.mending = min(self.mending or gsn, gsn)

    async def end_mend(self, *, whole: bool) -> None:
        self.mending = 0 if whole else self.mending

    def pending(self) -> tuple[Lot, ...]:
        return tuple(sorted(self._lots))

    async def pieces(self, lot: Lot) -> AsyncIterator[Piece]:
        events = [frame.record.event for frame in self._lots[lot]]
        forgotten = tuple(event for event in events if isinstance(event, MemberForgotten))
        records = [frame.record for frame in self._lots[lot]]
        for start in range(0, len(records), salvage.PIECE_RECORDS):
            yield Piece(records=tuple(records[start : start + salvage.PIECE_RECORDS]), forgotten=forgotten)

    async def finish(self, lot: Lot) -> None:
        del self._lots[lot]
