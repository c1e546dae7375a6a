"""Recovery: which layer is newest, and how the others are made equal to it.

Rules: holes are filled first, from whoever has the records; then the layer with the highest (epoch, gsn) leads, but
of two branches with one epoch that of the layer which trails: many processes reach it, so others may have gone on
there. So they may where the other's epoch jumped ahead of what could not be read (``UNREAD_EPOCHS``) and was never
claimed there. Where an acknowledgement speaks for that layer, its branch leads in any case: what the other holds
behind the fork has none, and what has one must not come to lie in a folder alone. A branch that differs from the
leader's is set aside in quarantine, never deleted, and said loudly; then whoever is behind is fed the identical
bytes, but for a layer that trails: it gets them in its own time. A layer that fails on the way is broken, asked
nothing more and decides nothing, and the others go on. No clock decides.

Where nobody could fill a hole for a while, guilds began anew in its place. What it held then, and what lies behind it
on no chain, is kept for its facts like any branch that lost, before the hole is filled.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from ledger.ids import GuildId
from ledger.records import Record
from persistence.chains import NO_HEAD
from persistence.frames import Frame
from persistence.layer import (
    Checkpoint,
    CheckpointHeader,
    FencedLayer,
    Head,
    LayerSummary,
    all_checkpoints,
    guild_frames,
)
from persistence.salvage import Salvage
from persistence.scan import Gap, is_known, united
from persistence.seats import Seat

UNREAD_EPOCHS: Final = 100_000
"""An epoch is so far above all that can be read where a layer cannot be: more than a life begins meanwhile."""
FEED_RECORDS: Final = 1_000
"""How many records a layer is fed at once, at least; an append is not split."""


async def fill(seats: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Puts back what a layer cannot read any more and another has. Gives what was done, a sentence each."""
    return [note for seat in seats for note in await _fill(seat, _others(seat, seats), salvage)]


def lacking(seats: Sequence[Seat]) -> list[str]:
    """What seats have no more and nobody could give them, a sentence each."""
    readable = [seat for seat in seats if seat.readable]
    return [f"{seat.name}: gsn {a} to {b} is in no layer" for seat in readable for a, b in seat.summary.missing]


async def completes(seat: Seat, others: Sequence[Seat]) -> bool:
    """Whether a seat has records that another cannot read any more."""
    for other in others:
        if other.summary.missing and await _within(seat, other.summary.missing):
            return True
    return False


async def heal(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Makes all healthy seats equal to the leader. Gives what was done, a sentence each.

    Where the leader breaks on the way, those that are left are made equal to one another: whoever was not fed yet may
    not go on beside one that was, with a hole that nobody knows of, nor a cloud with a branch that nobody saw.
    """
    said = await _follow([seat for seat in _others(leader, seats) if seat.healthy], leader, salvage)
    left = [seat for seat in seats if seat.healthy]
    second = None if leader.readable else await leader_of(left)
    return said if second is None else said + await heal(left, second, salvage)


async def leader_of(seats: Sequence[Seat]) -> Seat | None:
    """The seat that the others have to follow, by the rules above; None = none can be read."""
    leader = newest(seats)
    for seat in seats:
        if leader is None or seat is leader or not (seat.trails and seat.readable):
            continue
        if not seat.promised and seat.epoch() != leader.epoch() and not await _has_jumped(leader, seat):
            continue
        shared = await _parting(seat, leader)
        if not leader.readable:
            return await leader_of(seats)
        if shared is not None:
            return seat
    return leader


async def _has_jumped(seat: Seat, shared: Seat) -> bool:
    """Whether a seat's epoch only says that something could not be read when it was taken, without the layer that
    many processes share, where this folder has not claimed it; where that cannot be told, it does not.
    """
    if seat.epoch() - shared.epoch() < UNREAD_EPOCHS // 2:  # others may have had lives since
        return False
    with shared.minding():
        return not await cast("FencedLayer", shared.layer).has_claimed(seat.epoch())
    return False


async def rejoin(seat: Seat, others: Sequence[Seat], salvage: Salvage) -> list[str]:
    """Brings a seat that was broken up to date with the others, of which the first leads."""
    said = await _fill(seat, others, salvage)
    if others:
        await _part_with_checkpoints(seat, others[0], 0, ahead=True)
        said += await _follow([seat], others[0], salvage)
    return said


def newest(seats: Sequence[Seat]) -> Seat | None:
    """The seat that leads, of those that can be read; of equal ones the first. None = there is none."""
    return max((seat for seat in seats if seat.readable), key=Seat.rank, default=None)


def merged_heads(seats: Sequence[Seat]) -> dict[GuildId, Head]:
    """The newest head of each guild in any of these seats."""
    heads: dict[GuildId, Head] = {}
    for seat in seats:
        for guild, head in seat.summary.heads.items():
            known = heads.get(guild, NO_HEAD)
            if (head.epoch, head.seq) > (known.epoch, known.seq):
                heads[guild] = head
    return heads


async def _follow(seats: Sequence[Seat], leader: Seat, salvage: Salvage) -> list[str]:
    """Makes seats equal to the leader: branches set aside, then what they miss fed. Any may break on the way.

    Without the branches, all of them may have for one another what these stood in front of.
    """
    said: list[str] = []
    found = {seat: await _parting(seat, leader) for seat in seats}
    forks = {seat: shared for seat, shared in found.items() if shared is not None}
    if forks:  # the branches themselves last: whoever is killed before finds them at the next start
        for seat in (leader, *(each for each in seats if each not in forks)):
            await _part_with_checkpoints(seat, leader, min(forks.values()), ahead=False)
        for seat, shared in forks.items():
            said += await _part(seat, leader, shared, salvage)
        said += await fill([leader, *seats], salvage)
    for seat in seats:
        said += await _catch_up(seat, leader)
    return said


async def _catch_up(seat: Seat, leader: Seat) -> list[str]:
    """Feeds whichever of two that do not differ is behind; a layer that trails is fed later."""
    behind, ahead = sorted((seat, leader), key=_gsn_of)
    if not behind.healthy or not ahead.readable or behind.gsn >= ahead.gsn:
        return []
    if not behind.trails:
        return [await _feed(behind, ahead)]
    if _is_all_missing(ahead, behind.gsn):
        behind.do_without(ahead.gsn)  # nobody would ever give it that
    return []


def _gsn_of(seat: Seat) -> int:
    return seat.gsn


def _others(seat: Seat, seats: Sequence[Seat]) -> list[Seat]:
    return [other for other in seats if other is not seat and other.readable]


async def _fill(seat: Seat, others: Sequence[Seat], salvage: Salvage) -> list[str]:
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
        there = await _within(other, missing)
        fork = await _fork(seat, other) if there else None  # behind that, what was here is not what is there
        # The first that has it: others, behind those of this folder, may have another branch, and a hole hides that.
        found = {gsn: frame for gsn, frame in there.items() if fork is None or gsn < fork.same} | found
    said = await _keep_replaced(seat, found, salvage)
    if not seat.healthy:
        return said
    if found:
        with seat.minding():
            seat.learn(await seat.layer.fill([found[gsn] for gsn in sorted(found)]))
        said.append(f"{seat.name}: {len(found)} records that could not be read were put back from another layer")
    return said


async def _keep_replaced(seat: Seat, found: Mapping[int, Frame], salvage: Salvage) -> list[str]:
    """Keeps what a seat has, and will have, of chains that others have taken the place of behind a hole."""
    said: list[str] = []
    for guild in sorted({frame.record.guild for frame in found.values()}):
        missed = [found[gsn] for gsn in sorted(found) if found[gsn].record.guild == guild]
        lost = await _replaced(seat, missed)
        if lost and seat.readable:
            await seat.keep(lost, salvage)
            text = f"LOST BRANCH: guild {guild} began anew where {seat.name} had a hole"
            said.append(f"{text}; the facts of {len(lost)} records are recorded anew")
    return said


async def _replaced(seat: Seat, missed: Sequence[Frame]) -> Sequence[Frame]:
    """A guild's frames from a hole on that are on no chain, in it and behind it; none if it did not begin anew."""
    guild = missed[0].record.guild
    head = seat.summary.heads.get(guild, NO_HEAD)
    chain = await _chain(seat, guild, min(frame.record.seq for frame in missed) - 1)
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
    async for frame in _frames(seat, first.gsn - first.seq):
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
    async for frame in _frames(seat, ranges[0][0] - 1):
        gsn = frame.record.gsn
        if gsn > ranges[-1][1]:
            break
        if any(first <= gsn <= last for first, last in ranges):
            found[gsn] = frame
    return found


async def _parting(seat: Seat, other: Seat) -> int | None:
    """The gsn behind which a seat holds another branch than the other; None = they do not differ, or one fails.

    What a hole hides is no branch, and heads do not tell of what stands on no chain behind one: who cannot be sure by
    the heads compares record by record.
    """
    sure = not seat.summary.aside and not other.summary.aside and await _agree(seat, other)
    fork = None if sure else await _fork(seat, other)
    return None if fork is None else fork.whole


async def _agree(seat: Seat, other: Seat) -> bool:
    """Whether every head of the one that is behind is seen to lie on the other's chain of that guild.

    Means nothing where one of them fails. Behind a hole, a layer does not find what lies before it.
    """
    behind, ahead = sorted((seat, other), key=_gsn_of)
    for guild, head in behind.summary.heads.items():
        farther = ahead.summary.heads.get(guild, NO_HEAD)
        if farther == head:
            continue
        if farther.seq <= head.seq or await _digest_at(ahead, guild, head.seq) != head.digest:
            return False
    return True


async def _digest_at(seat: Seat, guild: GuildId, seq: int) -> bytes | None:
    frames = await _chain(seat, guild, seq - 1)
    return frames[0].digest if frames and frames[0].record.seq == seq else None


async def _chain(seat: Seat, guild: GuildId, after_seq: int) -> Sequence[Frame]:
    """A guild's frames behind a seq; where reading fails, the seat breaks and there are none."""
    if seat.readable:
        with seat.minding():
            return await guild_frames(seat.layer, guild, after_seq)
    return ()


async def _part(seat: Seat, leader: Seat, shared: int, salvage: Salvage) -> list[str]:
    """Sets aside what a seat holds behind the last record that it shares with the leader."""
    if not seat.healthy or not leader.readable:
        return []
    lost = seat.gsn - shared
    await seat.set_aside(shared, salvage)
    text = f"LOST BRANCH: {lost} records of {seat.name} behind gsn {shared} differ from those of {leader.name}"
    return [f"{text}, which goes on; they are kept in quarantine, and their facts are recorded anew"]


async def _part_with_checkpoints(seat: Seat, leader: Seat, behind: int, *, ahead: bool) -> None:
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
                    stays = checkpoint is None or checkpoint.header.gsn <= behind
                    if checkpoint is None or stays or (ahead and checkpoint.header.gsn > leader.gsn):
                        continue
                    if not await _has_led_to(leader, checkpoint.header) and leader.readable:
                        await seat.layer.drop_checkpoint(guild, place)


async def _has_led_to(leader: Seat, header: CheckpointHeader) -> bool:
    """Whether a checkpoint lies on a seat's chain, or may: what it is of cannot be read there any more."""
    if any(first <= header.gsn <= last for first, last in leader.summary.missing):
        return True
    return await _digest_at(leader, header.guild, header.seq) == header.head().digest


class _Fork(msgspec.Struct, frozen=True):
    """What lies before the first gsn at which two seats hold different bytes.

    ``whole``: the end of the one's last append; ``same``: the last gsn at which both hold the same bytes; 0 = none.
    """

    whole: int
    same: int


async def _fork(seat: Seat, other: Seat) -> _Fork | None:
    """Compares two seats record by record. None = they do not differ: a gsn that only one of them has is nothing."""
    whole = same = 0
    left, right = _frames(seat, 0), _frames(other, 0)
    a, b = await anext(left, None), await anext(right, None)
    while a is not None and b is not None:
        ahead = a.record.gsn - b.record.gsn
        if ahead == 0 and a.data != b.data:
            return _Fork(whole, same)
        if ahead == 0:
            same = a.record.gsn
        if ahead <= 0:
            whole = a.record.gsn if a.record.seq == a.record.last else whole
            a = await anext(left, None)
        if ahead >= 0:
            b = await anext(right, None)
    return None


async def _feed(seat: Seat, source: Seat) -> str:
    """Gives a seat what it misses at its end, the identical bytes, append by append."""
    start = seat.gsn
    if source.summary.missing:
        await _lend_checkpoints(seat, source)
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
        await source.open()  # which did not know it either, until it was read
    if source.readable and _is_all_missing(source, seat.gsn):
        seat.do_without(source.gsn)
    if seat.healthy and seat.gsn == source.gsn:
        with seat.minding():
            seat.learn(await _summary_behind(seat, source))
            seat.do_without(source.gsn)  # whoever was read anew ends where its records do
    return f"{seat.name} ended at gsn {start} and got {seat.fed} records from {source.name}"


def _is_all_missing(seat: Seat, after_gsn: int) -> bool:
    """Whether a seat cannot read anything that it holds behind a gsn: its newest records have rotted."""
    return any(first <= after_gsn + 1 and last == seat.gsn for first, last in united(seat.summary.missing))


async def _summary_behind(seat: Seat, source: Seat) -> LayerSummary:
    """What a seat holds that has got all from another.

    Where that has a hole which the seat has not, the seat knows better where chains lead: it is read anew.
    """
    if united(seat.summary.missing) != united(source.summary.missing):
        return await seat.layer.fill(())
    return msgspec.structs.replace(seat.summary, gsn=seat.gsn, heads=source.summary.heads)


async def _lend_checkpoints(seat: Seat, source: Seat) -> None:
    """Where records are missing, checkpoints say where a chain goes on behind the hole, or stand for all of it."""
    for guild in sorted({*source.summary.heads, *source.layer.checkpoint_guilds()}):
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
    async for frame in _frames(seat, after_gsn):
        batch.append(frame)
        if len(batch) >= FEED_RECORDS and frame.record.seq == frame.record.last:
            yield batch
            batch = []
    if batch:
        yield batch


async def _frames(seat: Seat, after_gsn: int) -> AsyncIterator[Frame]:
    """A layer's frames; where reading fails, the seat breaks and the stream ends."""
    if not seat.readable:
        return
    with seat.minding():
        async for frame in seat.layer.frames_after(after_gsn):
            yield frame
