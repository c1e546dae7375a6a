"""Recovery: how the layers are made equal to the one that leads (``leading.py``).

Holes are filled first, from whoever has the records (``holes.py``); then a branch that differs from the leader's is
set aside (``branches.py``); then whoever is behind is fed the identical bytes, but for a layer that trails: it gets
them in its own time. A layer that fails on the way is broken, asked nothing more and decides nothing, and the others
go on.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

import msgspec

from ledger.ids import GuildId
from persistence import holes
from persistence.branches import part, part_with_checkpoints, parting, stranded
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary, all_checkpoints
from persistence.leading import leader_of
from persistence.salvage import Salvage
from persistence.scan import Gap, is_known, united
from persistence.seats import Seat, others_of

FEED_RECORDS: Final = 1_000
"""How many records a layer is fed at once, at least; an append is not split."""


async def heal(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Makes all healthy seats equal to the leader. Gives what was done, a sentence each."""
    return await _equalize(seats, leader, salvage) + await _keep_stranded(seats, salvage)


async def _equalize(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Where the leader breaks on the way, those that are left are made equal to one another: whoever was not fed yet
    may not go on beside one that was, with a hole that nobody knows of, nor a cloud with a branch that nobody saw.
    """
    said = await holes.fill(seats, salvage)  # what was found to be missing while a leader was looked for
    said += await _follow([seat for seat in others_of(leader, seats) if seat.healthy], leader, salvage)
    left = [seat for seat in seats if seat.healthy]
    second = None if leader.readable else await leader_of(left)
    return said if second is None else said + await _equalize(left, second, salvage)


async def rejoin(seat: Seat, others: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Brings a seat that was broken up to date with the others, of which the first leads."""
    said = await holes.fill_seat(seat, others, salvage)
    if others:
        await part_with_checkpoints(seat, others[0], 0, ahead=True)
        said += await _follow([seat], others[0], salvage)
    return said + await _keep_stranded([seat, *others], salvage)


async def _follow(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Makes seats equal to the leader: branches set aside, then what they miss fed. Any may break on the way.

    Without the branches, all of them may have for one another what these stood in front of; and what one turns out to
    miss while it is read.
    """
    missing = _missing_in(leader, *seats)
    said = await _part_all(seats, leader, salvage)
    if said or missing != _missing_in(leader, *seats):
        said += await holes.fill([leader, *seats], salvage)
    longest = max((seat for seat in (leader, *seats) if seat.readable), key=_gsn_of, default=leader)
    if longest is not leader and leader.readable:  # they agree, and the others with both
        return said + await _follow(others_of(longest, [leader, *seats]), longest, salvage)
    missing = _missing_in(leader, *seats)
    for seat in seats:
        said += await _catch_up(seat, leader)
    if missing != _missing_in(leader, *seats):
        said += await holes.fill([leader, *seats], salvage)
    return said


async def _part_all(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Sets aside whatever differs from the leader's; again where what is left, in front of that, still does."""
    found = {seat: await parting(seat, leader) for seat in seats if seat.healthy}
    forks = {seat: fork for seat, fork in found.items() if fork is not None}
    if not forks:
        return []
    shared = min(fork.whole for fork in forks.values())
    for seat in (leader, *(each for each in seats if each not in forks)):
        await part_with_checkpoints(seat, leader, shared, ahead=False)
    said: list[str] = []
    for seat, fork in forks.items():  # last: whoever is killed before finds the branches at the next start
        said += await part(seat, leader, fork, salvage)
    return said + await _part_all(seats, leader, salvage) if said else said


def _missing_in(*seats: Seat) -> list[tuple[Gap, ...]]:
    return [seat.summary.missing for seat in seats]


def _gsn_of(seat: Seat) -> int:
    return seat.gsn


async def _catch_up(seat: Seat, leader: Seat) -> list[str]:
    """Feeds a seat that is behind the leader and does not differ; one that trails is fed later."""
    if not seat.healthy or not leader.readable:
        return []
    if seat.gsn < leader.gsn and not seat.trails:
        return [await _feed(seat, leader)]
    return await _bridge(seat, leader)


async def _bridge(seat: Seat, leader: Seat) -> list[str]:
    """Gives a seat with holes the checkpoints by which the leader's chains go on behind them, and its own do not."""
    ends = {guild for guild, head in leader.summary.heads.items() if head.gsn <= seat.gsn}
    guilds = {guild for guild in ends if seat.summary.heads.get(guild) != leader.summary.heads[guild]}
    if not guilds or not seat.summary.missing:
        return []
    await _lend_checkpoints(seat, leader, guilds)
    if seat.healthy:
        with seat.minding():
            seat.learn(await seat.layer.fill(()))
    return [f"{seat.name} got checkpoints from {leader.name}: chains go on there behind what is missing"]


async def _keep_stranded(seats: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Where anything was put back or set aside: keeps, for their facts, records from there on that stand on no chain.

    A hole may have hidden which branch they belonged to. While one of them is broken, it may hold more of these.
    """
    everyone = [seat for seat in seats if not seat.trails]
    near = [seat for seat in everyone if seat.healthy]
    if not salvage.mending or not near:
        return []
    seat = max(near, key=lambda each: (not each.summary.missing, each.gsn))
    lost = await stranded(seat, salvage.mending - 1)
    if lost and seat.healthy:
        await seat.keep(lost, salvage)
    if not seat.healthy:
        return []
    if all(each.healthy for each in everyone):
        with seat.minding():
            await salvage.end_mend(whole=not seat.summary.missing)
    text = f"{len(lost)} records stand on no chain; facts of theirs that are not known are recorded anew"
    return [text] if lost else []


async def _feed(seat: Seat, source: Seat) -> str:
    """Gives a seat what it misses at its end, the identical bytes, append by append."""
    start = seat.gsn
    if source.summary.missing:
        await _lend_checkpoints(seat, source, {*source.summary.heads, *source.layer.checkpoint_guilds()})
    async for batch in _batches(source, start):
        if seat.healthy:
            with seat.minding():
                await seat.layer.append(batch)
        if not seat.healthy:
            break
        seat.took(batch)
        seat.fed += len(batch)
    found = [gap for gap in seat.summary.missing if not is_known(gap, source.summary.missing)]
    if found and source.trails and source.readable:
        await source.look_again()  # which did not know it either, until it was read
    if source.readable and seat.gsn >= source.readable_end():
        seat.do_without(source.gsn)
    if seat.healthy and seat.gsn == source.gsn:
        with seat.minding():
            seat.learn(await _summary_behind(seat, source))
            seat.do_without(source.gsn)  # whoever was read anew ends where its records do
    return f"{seat.name} ended at gsn {start} and got {seat.fed} records from {source.name}"


async def _summary_behind(seat: Seat, source: Seat) -> LayerSummary:
    """What a seat holds that has got all from another.

    Where that has a hole which the seat has not, the seat knows better where chains lead: it is read anew.
    """
    if united(seat.summary.missing) != united(source.summary.missing):
        return await seat.layer.fill(())
    return msgspec.structs.replace(seat.summary, gsn=seat.gsn, heads=source.summary.heads)


async def _lend_checkpoints(seat: Seat, source: Seat, guilds: Collection[GuildId]) -> None:
    """Where records are missing, checkpoints say where a chain goes on behind the hole, or stand for all of it."""
    for guild in sorted(guilds):
        if not (seat.healthy and source.readable):
            return
        lent: Sequence[Checkpoint] = ()
        with source.minding():
            lent = await all_checkpoints(source.layer, guild)
        with seat.minding():
            for checkpoint in reversed(lent):
                await seat.layer.save_checkpoint(checkpoint)


async def _batches(seat: Seat, after_gsn: int) -> AsyncIterator[list[Frame]]:
    batch: list[Frame] = []
    async for frame in seat.frames_after(after_gsn):
        batch.append(frame)
        if len(batch) >= FEED_RECORDS and frame.record.seq == frame.record.last:
            yield batch
            batch = []
    if batch:
        yield batch
