"""Holes: what a layer cannot read any more and another has is put back, the identical bytes.

Where nobody could fill a hole for a while, guilds began anew in its place. What it held then, and what lies behind it
on no chain, is kept for its facts like any branch that lost, before the hole is filled.
"""

from collections.abc import Mapping, Sequence

from ledger.ids import GuildId
from ledger.records import Record
from persistence.branches import fork_of
from persistence.chains import NO_HEAD
from persistence.frames import Frame, follows
from persistence.salvage import Salvage
from persistence.scan import Gap, is_known
from persistence.seats import Seat, others_of


async def fill(seats: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Puts back what a layer cannot read any more and another has. Gives what was done, a sentence each."""
    return [note for seat in seats for note in await fill_seat(seat, others_of(seat, seats), salvage)]


def lacking(seats: Sequence[Seat]) -> list[str]:
    """What seats have no more and nobody could give them, a sentence each."""
    readable = [seat for seat in seats if seat.readable]
    return [f"{seat.name}: gsn {a} to {b} is in no layer" for seat in readable for a, b in seat.summary.missing]


async def completes(seat: Seat, others: Sequence[Seat]) -> bool:
    """Whether a seat has records that another cannot read any more."""
    for other in others:
        if await _within(seat, other.summary.missing):
            return True
    return False


async def fill_seat(seat: Seat, others: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Asks the others for what a seat cannot read any more; what it finds out meanwhile is asked for as well."""
    said: list[str] = []
    asked: list[Gap] = []
    while seat.readable and (missing := [gap for gap in seat.summary.missing if not is_known(gap, asked)]):
        asked += missing
        said += await _fill_gaps(seat, missing, others, salvage)
    return said


async def _fill_gaps(seat: Seat, missing: Sequence[Gap], others: Sequence[Seat], salvage: Salvage) -> list[str]:
    found: dict[int, Frame] = {}
    for other in others:
        there = await _within(other, [gap for gap in missing if not is_known(gap, other.summary.missing)])
        fork = await fork_of(seat, other) if there else None  # behind that, what was here is not what is there
        seat.is_doubted = seat.is_doubted or fork is not None
        # The first that has it: others, behind those of this folder, may have another branch, and a hole hides that.
        found = {gsn: frame for gsn, frame in there.items() if fork is None or gsn < fork.same} | found
    said = await _keep_replaced(seat, found, salvage)
    begins = await _begin_of(seat, found)
    if not seat.healthy:
        return said
    if found:
        await seat.begin_mend(begins, salvage)
    if found and seat.healthy:
        with seat.minding():
            seat.learn(await seat.layer.fill([found[gsn] for gsn in sorted(found)]))
        said.append(f"{seat.name}: {len(found)} records that could not be read were put back from another layer")
    return said


async def _begin_of(seat: Seat, found: Mapping[int, Frame]) -> int:
    """The first gsn of whatever these records may take the place of: it may lie before them, or behind."""
    first: dict[GuildId, int] = {}
    for frame in found.values():
        guild, seq = frame.record.guild, frame.record.seq
        first[guild] = min(seq, first.get(guild, seq))
    replaced = [frame.record.gsn for guild, seq in first.items() for frame in (await seat.chain(guild, seq - 1))[:1]]
    return min([*found, *replaced], default=0)


async def _keep_replaced(seat: Seat, found: Mapping[int, Frame], salvage: Salvage) -> list[str]:
    """Keeps what a seat has, and will have, of chains that others have taken the place of behind a hole."""
    said: list[str] = []
    for guild in sorted({frame.record.guild for frame in found.values()}):
        missed = [found[gsn] for gsn in sorted(found) if found[gsn].record.guild == guild]
        chain = await seat.chain(guild, min(frame.record.seq for frame in missed) - 1)
        lost = await _replaced(seat, missed, chain)
        if lost and seat.readable:
            await seat.keep(lost, salvage)
            text = f"LOST BRANCH: guild {guild} began anew where {seat.name} had a hole"
            said.append(f"{text}; the facts of {len(lost)} records are recorded anew")
        elif seat.readable and _may_be_others(missed, chain):
            await seat.keep(missed, salvage)
            text = f"{seat.name}: whether it had these {len(missed)} records of guild {guild} cannot be told"
            said.append(f"{text}; facts of theirs that are not known are recorded anew")
    return said


def _may_be_others(missed: Sequence[Frame], chain: Sequence[Frame]) -> bool:
    """Whether a chain goes on farther behind a hole than these records reach: it may have had others there."""
    behind = next((frame for frame in chain if frame.record.seq > missed[-1].record.seq), None)
    return behind is not None and not follows(behind, missed[-1].digest)


async def _replaced(seat: Seat, missed: Sequence[Frame], chain: Sequence[Frame]) -> Sequence[Frame]:
    """A guild's frames from a hole on that are on no chain, in it and behind it; none if it did not begin anew."""
    guild = missed[0].record.guild
    head = seat.summary.heads.get(guild, NO_HEAD)
    digests = {frame.record.seq: frame.digest for frame in chain}
    gone = [
        frame.record
        for frame in missed  # where a checkpoint bridges the hole, nothing took their place
        if head.epoch > frame.record.epoch
        and (frame.record.seq > head.seq or digests.get(frame.record.seq, frame.digest) != frame.digest)
    ]
    if not gone:
        return ()
    first, standing = gone[0], set(digests.values())
    lost = {frame.record.gsn: frame for frame in missed if frame.digest not in standing}
    async for frame in seat.frames_after(first.gsn - first.seq):
        record = frame.record
        is_behind = record.gsn > first.gsn or (_base(record), record.last) == (_base(first), first.last)
        if record.guild == guild and is_behind and frame.digest not in standing:
            lost[record.gsn] = frame
    return [lost[gsn] for gsn in sorted(lost)]


def _base(record: Record) -> int:
    """The same for all records of an append: it may have begun before the hole, and is taken whole or not."""
    return record.gsn - record.seq


async def _within(seat: Seat, ranges: Sequence[Gap]) -> dict[int, Frame]:
    found: dict[int, Frame] = {}
    if not ranges:
        return found
    async for frame in seat.frames_after(ranges[0][0] - 1):
        gsn = frame.record.gsn
        if gsn > ranges[-1][1]:
            break
        if any(first <= gsn <= last for first, last in ranges):
            found[gsn] = frame
    return found
