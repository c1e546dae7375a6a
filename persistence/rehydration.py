"""Rehydration: a guild's newest valid checkpoint and the records behind it, from the first layer that has both whole.

Rules: a checkpoint counts only when its digest lies on the chain; a tail only when it leads, record by record, to the
head. What does not is passed over, and said. A layer that cannot be read is broken and the next one is asked.
"""

from collections.abc import Sequence

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.records import Record
from persistence.chains import NO_HEAD
from persistence.frames import Frame, follows
from persistence.layer import Checkpoint, Head
from persistence.seats import Seat


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A guild as it came back. ``head`` None = nothing is known of it; ``layer``: whose records were taken."""

    checkpoint: Checkpoint | None
    tail: tuple[Record, ...]
    head: Head | None
    layer: str
    notes: tuple[str, ...]


async def open_guild(seats: Sequence[Seat], guild: GuildId, head: Head | None, lineage: str) -> Opened:
    """Reads a guild back up to ``head``, or up to a checkpoint that is newer than every record left.

    Raises:
        Corrupt: when no layer holds an unbroken chain up to the head.
        StorageError: when no layer can be read.
    """
    for seat in seats:
        seat.layer.take_notes()  # of earlier reads, and told by them
    found = await _checkpoints(seats, guild, lineage)
    known, notes = _beyond_records(found, head or NO_HEAD)
    notes += [f"{seat.name}: {note}" for seat in seats for note in seat.layer.take_notes()]
    for checkpoint in (*found, None):
        for seat in seats:
            tail = await _tail(seat, guild, checkpoint, known)
            if tail is not None:
                return Opened(
                    checkpoint=checkpoint,
                    tail=tuple(frame.record for frame in tail),
                    head=None if known == NO_HEAD else known,
                    layer=seat.name,
                    notes=tuple(notes),
                )
            notes.append(f"{seat.name} has no whole chain from {_name(checkpoint)} to seq {known.seq}")
    if not any(seat.healthy for seat in seats):
        raise StorageError(f"guild {guild}: no layer can be read")
    raise Corrupt(f"guild {guild}", f"no layer leads to seq {known.seq}: {'; '.join(notes)}")


async def _checkpoints(seats: Sequence[Seat], guild: GuildId, lineage: str) -> list[Checkpoint]:
    """The checkpoints of all layers, newest first, each once."""
    found: dict[tuple[int, int, str], Checkpoint] = {}
    for seat in seats:
        if seat.healthy:
            with seat.minding():
                for checkpoint in await seat.layer.checkpoints(guild):
                    header = checkpoint.header
                    if header.lineage == lineage:
                        found.setdefault((header.epoch, header.seq, header.digest), checkpoint)
    return [found[key] for key in sorted(found, reverse=True)]


def _beyond_records(found: Sequence[Checkpoint], head: Head) -> tuple[Head, list[str]]:
    """The head, and what is to be said where a checkpoint is all that is left of the newest records."""
    newest = found[0].header if found else None
    if newest is None or (newest.epoch, newest.seq) <= (head.epoch, head.seq):
        return head, []
    text = f"HOLE: no layer holds seq {head.seq + 1} to {newest.seq}; the checkpoint at {newest.seq} stands for them"
    digest = bytes.fromhex(newest.digest)
    return Head(seq=newest.seq, epoch=newest.epoch, gsn=newest.gsn, digest=digest), [text]


async def _tail(seat: Seat, guild: GuildId, checkpoint: Checkpoint | None, head: Head) -> Sequence[Frame] | None:
    """The frames between checkpoint and head; None when this layer does not have them whole."""
    seq, digest = NO_HEAD.seq, NO_HEAD.digest
    if checkpoint is not None:
        seq, digest = checkpoint.header.seq, bytes.fromhex(checkpoint.header.digest)
    if not seat.healthy or seq > head.seq:
        return None
    frames: Sequence[Frame] = ()
    with seat.minding():
        frames = await seat.layer.guild_frames(guild, seq)
    return frames if seat.healthy and _leads(frames, seq, digest, head) else None


def _leads(frames: Sequence[Frame], seq: int, digest: bytes, head: Head) -> bool:
    for frame in frames:
        if frame.record.seq != seq + 1 or not follows(frame, digest):
            return False
        seq, digest = frame.record.seq, frame.digest
    return seq == head.seq and digest == head.digest


def _name(checkpoint: Checkpoint | None) -> str:
    return "the beginning" if checkpoint is None else f"the checkpoint at {checkpoint.header.seq}"
