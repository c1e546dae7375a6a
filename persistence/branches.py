"""Branches: where two seats go on differently from the same record, and how the one that lost is set aside.

It lies in quarantine then, never deleted, its facts are kept for the salvage, and that is said loudly.
"""

import msgspec

from persistence.chains import NO_HEAD
from persistence.layer import CheckpointHeader
from persistence.salvage import Salvage
from persistence.seats import Seat, behind_and_ahead


async def parting(seat: Seat, other: Seat) -> int | None:
    """The gsn behind which a seat holds another branch than the other; None = they do not differ, or one fails.

    What a hole hides is no branch, and heads do not tell of what stands on no chain behind one: who cannot be sure by
    the heads compares record by record.
    """
    sure = not seat.summary.aside and not other.summary.aside and await _agree(seat, other)
    fork = None if sure else await fork_of(seat, other)
    return None if fork is None else fork.whole


async def part(seat: Seat, leader: Seat, shared: int, salvage: Salvage) -> list[str]:
    """Sets aside what a seat holds behind the last record that it shares with the leader."""
    if not seat.healthy or not leader.readable:
        return []
    lost = seat.gsn - shared
    await seat.set_aside(shared, salvage)
    text = f"LOST BRANCH: {lost} records of {seat.name} behind gsn {shared} differ from those of {leader.name}"
    return [f"{text}, which goes on; they are kept in quarantine, and their facts are recorded anew"]


async def part_with_checkpoints(seat: Seat, leader: Seat, behind: int, *, ahead: bool) -> None:
    """Takes checkpoints of behind a gsn away that are not of the leader's chain, whatever became of their records.

    They would stand for these, or be taken for what is newer. ``ahead``: only those that are newer than all that the
    seat holds of their guild, for others wait meanwhile; and, no fork being known, none from behind the leader's end.
    """
    for guild in sorted(seat.layer.checkpoint_guilds()):
        head = seat.summary.heads.get(guild, NO_HEAD)
        for place in tuple(seat.layer.checkpoint_places(guild)):
            if not seat.healthy or not leader.readable:
                return
            if not ahead or place > (head.epoch, head.seq):
                with seat.minding():
                    checkpoint = await seat.layer.checkpoint(guild, place)
                    if checkpoint is None or checkpoint.header.gsn <= behind:
                        continue
                    if ahead and checkpoint.header.gsn > leader.gsn:
                        continue
                    if not await _has_led_to(leader, checkpoint.header) and leader.readable:
                        await seat.layer.drop_checkpoint(guild, place)


class Fork(msgspec.Struct, frozen=True):
    """What lies before the first gsn at which two seats hold different bytes.

    ``whole``: the end of the one's last append; ``same``: the last gsn at which both hold the same bytes; 0 = none.
    """

    whole: int
    same: int


async def fork_of(seat: Seat, other: Seat) -> Fork | None:
    """Compares two seats record by record. None = they do not differ: a gsn that only one of them has is nothing."""
    whole = same = 0
    left, right = seat.frames_after(0), other.frames_after(0)
    a, b = await anext(left, None), await anext(right, None)
    while a is not None and b is not None:
        ahead = a.record.gsn - b.record.gsn
        if ahead == 0 and a.data != b.data:
            return Fork(whole, same)
        if ahead == 0:
            same = a.record.gsn
        if ahead <= 0:
            whole = a.record.gsn if a.record.seq == a.record.last else whole
            a = await anext(left, None)
        if ahead >= 0:
            b = await anext(right, None)
    return None


async def _agree(seat: Seat, other: Seat) -> bool:
    """Whether every head of the one that is behind is seen to lie on the other's chain of that guild.

    Means nothing where one of them fails. Behind a hole, a layer does not find what lies before it.
    """
    behind, ahead = behind_and_ahead(seat, other)
    for guild, head in behind.summary.heads.items():
        farther = ahead.summary.heads.get(guild, NO_HEAD)
        if farther == head:
            continue
        if farther.seq <= head.seq or await ahead.digest_at(guild, head.seq) != head.digest:
            return False
    return True


async def _has_led_to(leader: Seat, header: CheckpointHeader) -> bool:
    """Whether a checkpoint lies on a seat's chain, or may: what it is of cannot be read there any more."""
    if any(first <= header.gsn <= last for first, last in leader.summary.missing):
        return True
    return await leader.digest_at(header.guild, header.seq) == header.head().digest
