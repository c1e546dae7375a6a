"""Rehydration: a guild's newest valid checkpoint and the records behind it, from the first layer that has both whole.

Rules: a checkpoint counts only when its digest lies on the chain; a tail only when it leads, record by record, to the
head. What does not is passed over, and said. A layer that cannot be read is broken and the next one is asked.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.records import Record
from persistence.chains import NO_HEAD
from persistence.frames import digest_behind, is_whole, records_in
from persistence.layer import Checkpoint, Head, Place
from persistence.seats import Seat

VERIFIED_AT_ONCE: Final = 1_000
"""So many frames, before others go on: about 1 ms."""
VETTED_AT_ONCE: Final = 50
"""So many, behind a guild's answer: 0.05 ms, since that guild goes on beside."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A guild as it came back. ``head`` None = nothing is known of it; ``layer``: whose records were taken.

    ``lines``: the frames behind the checkpoint, verified along the chain that leads to the head.
    """

    checkpoint: Checkpoint | None
    lines: Sequence[bytes]
    head: Head | None
    layer: str
    notes: tuple[str, ...]

    def tail(self) -> Iterator[Record]:
        """The records behind the checkpoint; each is decoded as it is taken.

        Raises:
            Corrupt, NewerFormat: when one is no record that this release can read.
        """
        return records_in(self.lines, self.layer)


class NoChain(Corrupt):
    """No layer holds an unbroken chain up to a guild's newest record."""

    hint = (
        "start the bot anew: a start takes what is broken from another layer, and goes on without what none has; "
        "`inviteledger verify --all-layers` names it"
    )


async def open_guild(seats: Sequence[Seat], guild: GuildId, head: Head | None, lineage: str) -> Opened:
    """Reads a guild back up to ``head``, or up to a checkpoint that is newer than every record left.

    Raises:
        NoChain: when no layer holds an unbroken chain up to the head.
        StorageError: when no layer can be read.
    """
    for seat in seats:
        seat.layer.take_notes()  # of earlier reads, and told by them
    opening = _Opening(seats, guild, head or NO_HEAD, lineage)
    while (found := opening.next_place()) is not None:
        checkpoint = await opening.checkpoint(*found)
        opened = None if checkpoint is None else await opening.led_on(checkpoint)
        if opened is not None:
            return opened
    opened = await opening.led_on(None)
    if opened is not None:
        return opened
    if not any(seat.healthy for seat in seats):
        raise StorageError(f"guild {guild}: no layer can be read")
    raise NoChain(f"guild {guild}", f"no layer leads to seq {opening.head.seq}: {'; '.join(opening.notes)}")


class _Opening:
    """A guild on its way back. ``head``: where it has to arrive; ``notes``: what was passed over until now."""

    def __init__(self, seats: Sequence[Seat], guild: GuildId, head: Head, lineage: str) -> None:
        self._seats = seats
        self._guild = guild
        self._lineage = lineage
        self._asked: set[tuple[str, Place]] = set()
        self._tried: set[tuple[Place, str]] = set()
        self.head = head
        self.notes: list[str] = []

    def next_place(self) -> tuple[Seat, Place] | None:
        """Where the newest checkpoint is that was not asked for: most often the first one does, and no other is read.

        Looked for anew each time: while one was read, a late write may have put another in its place.
        """
        healthy = [seat for seat in self._seats if seat.healthy]
        known = [(seat, place) for seat in healthy for place in seat.layer.checkpoint_places(self._guild)]
        fresh = [each for each in known if (each[0].name, each[1]) not in self._asked]
        return max(fresh, key=_place_of, default=None)

    async def checkpoint(self, seat: Seat, place: Place) -> Checkpoint | None:
        """A checkpoint that was not tried yet; the head moves where it stands for the newest records."""
        self._asked.add((seat.name, place))
        checkpoint: Checkpoint | None = None
        with seat.minding():
            checkpoint = await seat.layer.checkpoint(self._guild, place)
        self.notes += [f"{seat.name}: {note}" for note in seat.layer.take_notes()]
        if checkpoint is None or checkpoint.header.lineage != self._lineage:
            return None
        if (place, checkpoint.header.digest) in self._tried:
            return None
        self._tried.add((place, checkpoint.header.digest))
        self._reach(checkpoint)
        return checkpoint

    async def led_on(self, checkpoint: Checkpoint | None) -> Opened | None:
        """The guild, from the first layer that leads from this checkpoint to the head; None = none does."""
        for seat in self._seats:
            lines = await self._lines(seat, checkpoint)
            if lines is not None:
                return Opened(
                    checkpoint=checkpoint,
                    lines=lines,
                    head=None if self.head == NO_HEAD else self.head,
                    layer=seat.name,
                    notes=tuple(self.notes),
                )
            self.notes.append(f"{seat.name} has no whole chain from {_name(checkpoint)} to seq {self.head.seq}")
        return None

    def _reach(self, checkpoint: Checkpoint) -> None:
        """Where a checkpoint is all that is left of the newest records, it is the head; and that is to be said."""
        header, head = checkpoint.header, self.head
        if (header.epoch, header.seq) <= (head.epoch, head.seq):
            return
        self.head = header.head()
        lost = f"no layer holds seq {head.seq + 1} to {header.seq}"
        self.notes.append(f"HOLE: {lost}; the checkpoint at {header.seq} stands for them")

    async def _lines(self, seat: Seat, checkpoint: Checkpoint | None) -> Sequence[bytes] | None:
        """The frames between checkpoint and head; None when this layer does not have them whole."""
        seq, digest = NO_HEAD.seq, NO_HEAD.digest
        if checkpoint is not None:
            seq, digest = checkpoint.header.seq, bytes.fromhex(checkpoint.header.digest)
        if not seat.healthy or seq > self.head.seq:
            return None
        with seat.minding():
            lines = await seat.layer.guild_lines(self._guild, seq)
            if await self._leads(digest, lines, seat.name):
                return lines
        return None

    async def _leads(self, previous: bytes, lines: Sequence[bytes], layer: str) -> bool:
        """Whether lines lead from a digest of the chain to the head.

        Raises:
            Corrupt: when they do not since one of them is not what was written.
        """
        digest = previous
        for piece in _pieces(lines, VERIFIED_AT_ONCE):
            await asyncio.sleep(0)
            digest = digest_behind(digest, piece)
        if digest != self.head.digest and not await are_whole(lines):
            raise Corrupt(f"{layer}, guild {self._guild}", "checksum differs")
        return digest == self.head.digest


async def are_whole(lines: Sequence[bytes]) -> bool:
    """Whether each of these frames has the checksum of its bytes."""
    for piece in _pieces(lines, VETTED_AT_ONCE):
        await asyncio.sleep(0)
        if not all(map(is_whole, piece)):
            return False
    return True


def _pieces(lines: Sequence[bytes], at_once: int) -> Iterator[Sequence[bytes]]:
    return (lines[start : start + at_once] for start in range(0, len(lines), at_once))


def _place_of(found: tuple[Seat, Place]) -> Place:
    return found[1]


def _name(checkpoint: Checkpoint | None) -> str:
    return "the beginning" if checkpoint is None else f"the checkpoint at {checkpoint.header.seq}"
