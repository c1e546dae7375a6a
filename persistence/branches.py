"""Branches: where two seats go on differently from the same record, and how the one that lost is set aside.

It lies in quarantine then, never deleted, its facts are kept for the salvage, and that is said loudly.
"""

from collections.abc import AsyncIterator, Sequence

import msgspec

from ledger.ids import GuildId
from persistence.chains import NO_HEAD
from persistence.frames import Frame, follows
from persistence.layer import CheckpointHeader
from persistence.salvage import Salvage
from persistence.scan import united
from persistence.seats import Seat, behind_and_ahead


class Fork(msgspec.Struct, frozen=True):
    """Where two seats part. ``same``: the last gsn at which both hold the same bytes; 0 = none.

    ``whole``: the end of the one's last append of which nothing says that the other held another.
    """

    whole: int
    same: int


class _Run(msgspec.Struct, frozen=True):
    """Records of a guild, one behind the other, that one of two seats holds, or both do.

    ``last``: the newest; ``held_by``: 1 and 2 for the seats, 3 for both; ``before``: what they share in front of it.
    """

    last: Frame
    held_by: int
    before: Fork

    def contradicts(self, frame: Frame, held_by: int) -> bool:
        """Whether whoever holds the guild's next frame, and not these, had others in their place: it goes on behind
        something else, or does not begin anew. What began anew has a higher epoch, and tells nothing.
        """
        last, record = self.last.record, frame.record
        if self.held_by & held_by:
            return False
        if record.seq == last.seq + 1:
            return not follows(frame, self.last.digest)
        return record.seq <= last.seq and record.epoch <= last.epoch

    def goes_on(self, frame: Frame, held_by: int) -> bool:
        return self.held_by == held_by and follows(frame, self.last.digest)


async def fork_of(seat: Seat, other: Seat) -> Fork | None:
    """Compares two seats record by record. None = they do not differ: a gsn that only one of them has is nothing, but
    where the other goes on as if another record had been there.
    """
    whole = same = shared = 0
    runs: dict[GuildId, _Run] = {}
    forks: list[Fork] = []
    async for a, b in _side_by_side(seat, other):
        differ = a is not None and b is not None and a.data != b.data
        both = [(a, 3)] if a is not None and b is not None and not differ else [(a, 1), (b, 2)]
        for frame, held_by in both:
            if frame is None:
                continue
            run = runs.get(frame.record.guild)
            if run is not None and run.contradicts(frame, held_by):
                forks.append(run.before)
            before = run.before if run is not None and run.goes_on(frame, held_by) else Fork(shared, same)
            runs[frame.record.guild] = _Run(frame, held_by, before)
        if differ:
            forks.append(Fork(whole, same))
            break
        if a is not None:
            ends = a.record.seq == a.record.last
            whole = a.record.gsn if ends else whole
            if b is not None:
                same = a.record.gsn
                shared = same if ends else shared
    return min(forks, key=lambda fork: fork.whole, default=None)


async def _side_by_side(seat: Seat, other: Seat) -> AsyncIterator[tuple[Frame | None, Frame | None]]:
    """What two seats hold at each gsn, in order."""
    left, right = seat.frames_after(0), other.frames_after(0)
    a, b = await anext(left, None), await anext(right, None)
    while a is not None or b is not None:
        ahead = 0 if a is None or b is None else a.record.gsn - b.record.gsn
        has_a, has_b = a is not None and ahead <= 0, b is not None and ahead >= 0
        yield a if has_a else None, b if has_b else None
        if has_a:
            a = await anext(left, None)
        if has_b:
            b = await anext(right, None)


async def parting(seat: Seat, other: Seat) -> Fork | None:
    """Where a seat holds another branch than the other; None = they do not differ, or one fails.

    What a hole hides is no branch, and heads do not tell of what stands on no chain behind one: who cannot be sure by
    the heads compares record by record.
    """
    is_odd = any(each.summary.aside or each.is_doubted for each in (seat, other))
    if not is_odd and await _agree(seat, other):
        return None
    fork = await fork_of(seat, other)
    for each in (seat, other):
        if each.trails and each.readable:
            await each.look_again()  # it was read to be compared, and may turn out to lack more
    return fork


async def part(seat: Seat, leader: Seat, fork: Fork, salvage: Salvage) -> list[str]:
    """Sets aside what a seat holds behind the last record that it shares with the leader."""
    if not seat.healthy or not leader.readable:
        return []
    lost = seat.gsn - fork.whole
    await seat.begin_mend(fork.same + 1, salvage)
    if seat.healthy:
        await seat.set_aside(fork.whole, salvage)
    text = f"LOST BRANCH: {lost} records of {seat.name} behind gsn {fork.whole} differ from those of {leader.name}"
    if not seat.healthy:
        return [f"{text}, which goes on; they cannot be kept now, and stay there: {seat.trouble}"]
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


async def _agree(seat: Seat, other: Seat) -> bool:
    """Whether every head of the one that is behind is seen to lie on the other's chain of that guild, and nothing
    else before its end: where records took the place of others, the other may hold more there. Nor may the other have
    more records on its chains than it is longer: what is missing may be counted in a chain that goes on behind it.

    Means nothing where one of them fails. Behind a hole, a layer does not find what lies before it.
    """
    behind, ahead = behind_and_ahead(seat, other)
    for guild, head in behind.summary.heads.items():
        farther = ahead.summary.heads.get(guild, NO_HEAD)
        if farther == head:
            continue
        if farther.seq <= head.seq or await ahead.digest_at(guild, head.seq) != head.digest:
            return False
    if behind.summary.heads == ahead.summary.heads:
        return True
    standing, theirs = (sum(head.seq for head in each.summary.heads.values()) for each in (behind, ahead))
    longer = ahead.gsn - behind.gsn - _lacking(ahead, behind.gsn)
    return standing + _lacking(behind, 0) >= behind.gsn and theirs - standing <= longer


def _lacking(seat: Seat, after_gsn: int) -> int:
    """How many records behind a gsn a seat cannot read."""
    missing = united(seat.summary.missing)
    return sum(last - max(first - 1, after_gsn) for first, last in missing if last > after_gsn)


async def _has_led_to(leader: Seat, header: CheckpointHeader) -> bool:
    """Whether a checkpoint lies on a seat's chain, or may: what it is of cannot be read there any more."""
    if any(first <= header.gsn <= last for first, last in leader.summary.missing):
        return True
    return await leader.digest_at(header.guild, header.seq) == header.head().digest


async def stranded(seat: Seat, after_gsn: int) -> Sequence[Frame]:
    """A seat's frames behind a gsn that stand on no chain, in order.

    While the seat has holes, only those whose place another record of a higher epoch has taken: the others may stand
    again once these are filled.
    """
    first: dict[GuildId, int] = {}
    async for frame in seat.frames_after(after_gsn):
        guild, seq = frame.record.guild, frame.record.seq
        first[guild] = min(seq, first.get(guild, seq))
    standing: dict[tuple[GuildId, int], tuple[bytes, int]] = {}
    for guild, seq in first.items():
        for frame in await seat.chain(guild, seq - 1):
            standing[guild, frame.record.seq] = frame.digest, frame.record.epoch
    found: list[Frame] = []
    async for frame in seat.frames_after(after_gsn):
        digest, epoch = standing.get((frame.record.guild, frame.record.seq), (b"", 0))
        if digest != frame.digest and (epoch > frame.record.epoch or not seat.summary.missing):
            found.append(frame)
    return found
