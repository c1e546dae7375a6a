"""The cloud layer beside another process, behind damage, and over a long history.

Its contract: ``test_layer_contract.py``; its protocol under any schedule: ``tests/fencing``.
"""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
import pytest

from ledger.errors import Corrupt, NewerFormat, Stale, StorageError
from ledger.ids import GuildId
from persistence import cloud, cloud_packs, cloud_reading
from persistence.chains import head_of
from persistence.checkpoints import make_checkpoint
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import SegmentHeader, read_header, segment, segment_key, wrap
from persistence.frames import Frame
from persistence.layer import LayerSummary, guild_frames
from persistence.objects import Unreachable
from persistence.offload import inline
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, bytes_of


class Process:
    """One that reaches the bucket; ``asked``: what it asked for since this was last emptied."""

    def __init__(self, bucket: MemoryBucket, number: int = 1) -> None:
        self.objects = MemoryObjects(bucket)
        self.objects.before = self._note
        self.layer = CloudLayer(self.objects, inline, TestRandomness(number * 1_000_000), TestClock(), f"w{number}")
        self.asked: list[Call] = []

    async def _note(self, call: Call) -> None:
        self.asked.append(call)

    async def take_over(self, lineage: str = "lineage") -> LayerSummary:
        epoch = (await self.layer.open()).epoch + 1
        assert await self.layer.claim(epoch)
        return await self.layer.fence(epoch, lineage)

    async def frames(self) -> list[Frame]:
        return [frame async for frame in self.layer.frames_after(0)]

    def lose_answers(self, verb: str = "create") -> None:
        """From now on writes take effect and are not answered."""

        async def after(call: Call) -> None:
            if call.verb == verb:
                raise Unreachable("no answer")

        self.objects.after = after

    def answer_again(self) -> None:
        async def after(call: Call) -> None:
            del call

        self.objects.after = after


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


async def filled(
    bucket: MemoryBucket, chain: Chain, batches: int, guilds: Sequence[GuildId] = (RED, BLUE)
) -> Process:
    """A process that uploaded so many segments of records, behind its fence in slot 1."""
    process = Process(bucket)
    await process.take_over()
    for _ in range(batches):
        await process.layer.append(chain.batch(*guilds))
    return process


def flip(bucket: MemoryBucket, key: str, at: int = -1) -> None:
    data = bytearray(bucket.objects[key])
    data[at] ^= 1
    bucket.objects[key] = bytes(data)


def packs_of(bucket: MemoryBucket, prefix: str = "pack/") -> list[str]:
    return sorted(key for key in bucket.objects if key.startswith(prefix))


# Two processes


async def test_a_writer_whose_slot_is_taken_by_a_higher_epoch_is_stale(bucket: MemoryBucket):
    chain = Chain()
    old = await filled(bucket, chain, 1)
    new = Process(bucket, 2)
    assert (await new.take_over()).gsn == 2
    with pytest.raises(Stale):
        await old.layer.append(chain.batch(RED))
    with pytest.raises(Stale):
        await old.layer.append(chain.batch(RED))
    assert len(await new.frames()) == 2


async def test_an_epoch_that_another_process_has_is_not_claimed_and_ones_own_is_claimed_again(bucket: MemoryBucket):
    a, b = Process(bucket), Process(bucket, 2)
    a.lose_answers()
    with pytest.raises(Unreachable):
        await a.layer.claim(5)
    a.answer_again()
    assert await a.layer.claim(5)
    assert not await b.layer.claim(5)


async def test_whoever_fences_while_another_one_has_a_higher_epoch_is_stale(bucket: MemoryBucket):
    a, b = Process(bucket), Process(bucket, 2)
    await a.layer.open()
    assert await a.layer.claim(1)
    assert await b.layer.claim(2)
    with pytest.raises(Stale):
        await a.layer.fence(1, "lineage")


async def test_what_a_shut_out_writer_writes_behind_the_fence_does_not_count(bucket: MemoryBucket):
    chain = Chain()
    await filled(bucket, chain, 1)
    await Process(bucket, 2).take_over()
    late = chain.batch(RED)
    header = read_header(bucket.objects[segment_key(2)], SegmentHeader, "")
    ghost = msgspec.structs.replace(header, k=4, first_gsn=3, last_gsn=3, previous="")
    bucket.objects[segment_key(4)] = segment(ghost, late)
    reader = Process(bucket, 3)
    summary = await reader.layer.open()
    assert (header.epoch, summary.gsn, summary.heads[RED].seq) == (1, 2, 1)
    assert [note for note in summary.remarks if "does not count" in note]


async def test_another_history_that_was_begun_since_is_not_fenced_as_ones_own(bucket: MemoryBucket):
    a = Process(bucket)
    await a.layer.open()
    await Process(bucket, 2).take_over("of b")
    assert await a.layer.claim(2)
    for _ in range(2):
        with pytest.raises(StorageError, match="another history, of b"):
            await a.layer.fence(2, "of a")
    assert (await a.layer.open()).lineage == "of b"


async def test_a_history_is_abandoned_by_a_cut_and_not_by_the_fence(bucket: MemoryBucket):
    await filled(bucket, Chain(), 2)
    other = Process(bucket, 2)
    assert (await other.take_over("new")).lineage == "lineage"
    assert (await other.layer.set_aside(0)).lineage == "new"
    await other.layer.append(Chain(2).batch(RED))
    summary = await Process(bucket, 3).layer.open()
    assert (summary.lineage, summary.gsn) == ("new", 1)


# Lost answers


async def test_a_segment_whose_answer_was_lost_is_not_written_twice(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 1)
    batch = chain.batch(RED, BLUE)
    process.lose_answers()
    with pytest.raises(Unreachable):
        await process.layer.append(batch)
    process.answer_again()
    await process.layer.append([*batch, *chain.batch(RED)])
    assert [frame.record.gsn for frame in await process.frames()] == [1, 2, 3, 4, 5]
    assert len(packs_of(bucket, "seg/")) == 4
    assert (await Process(bucket, 2).layer.open()).heads == chain.heads


@pytest.mark.parametrize("at", [0, -1], ids=["header", "records"])
async def test_a_segment_whose_answer_was_lost_and_that_was_damaged_then_is_mended(bucket: MemoryBucket, at: int):
    """Nobody but the uploader looks at what is newer than what was confirmed."""
    chain = Chain()
    process = await filled(bucket, chain, 1)
    batch = chain.batch(RED, BLUE)
    process.lose_answers()
    with pytest.raises(Unreachable):
        await process.layer.append(batch)
    process.answer_again()
    flip(bucket, max(packs_of(bucket, "seg/")), at)
    await process.layer.append([*batch, *chain.batch(RED)])
    assert [frame.record.gsn for frame in await process.frames()] == [1, 2, 3, 4, 5]
    assert (await Process(bucket, 2).layer.open()).heads == chain.heads


async def test_a_write_that_lands_when_it_was_given_up_long_ago_is_known_for_ones_own(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 1)
    kept: list[Call] = []

    async def give_up(call: Call) -> None:
        if call.verb == "create":
            kept.append(call)
            raise Unreachable("given up")

    batch = chain.batch(RED)
    process.objects.before = give_up
    with pytest.raises(Unreachable):
        await process.layer.append(batch)
    bucket.take(kept[0])
    process.objects.before = process._note
    await process.layer.close()
    await process.layer.append(batch)
    assert len(packs_of(bucket, "seg/")) == 3


async def test_a_fence_and_a_cut_whose_answers_were_lost_are_not_written_twice(bucket: MemoryBucket):
    process = await filled(bucket, Chain(), 2)
    await process.layer.open()
    assert await process.layer.claim(2)
    for ask in (lambda: process.layer.fence(2, "lineage"), lambda: process.layer.set_aside(1)):
        before = len(packs_of(bucket, "seg/"))
        process.lose_answers()
        with pytest.raises(Unreachable):
            await ask()
        process.answer_again()
        await ask()
        assert len(packs_of(bucket, "seg/")) == before + 1


async def test_other_records_in_the_place_of_ones_own_are_an_error(bucket: MemoryBucket):
    process = await filled(bucket, Chain(), 1)
    with pytest.raises(StorageError, match="another record at gsn 1"):
        await process.layer.append(Chain(9).batch(RED, BLUE, RED))


# Incremental


async def test_opened_again_it_reads_only_what_is_new(bucket: MemoryBucket):
    chain = Chain()
    writer = await filled(bucket, chain, 5)
    reader = Process(bucket, 2)
    await reader.layer.open()
    await writer.layer.append(chain.batch(RED))
    reader.asked.clear()
    await reader.layer.close()
    assert (await reader.layer.open()).heads == chain.heads
    assert [call.key for call in reader.asked if call.verb == "get"] == [segment_key(6), segment_key(7)]


async def test_opening_writes_nothing(bucket: MemoryBucket):
    await filled(bucket, Chain(), 2)
    flip(bucket, segment_key(2))
    before = dict(bucket.objects)
    await Process(bucket, 2).layer.open()
    assert bucket.objects == before


async def test_a_store_that_was_put_back_to_yesterday_is_read_anew(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 2)
    yesterday = bucket.copy()
    heads = dict(chain.heads)
    await process.layer.append(chain.batch(RED))
    bucket.roll_back(yesterday)
    summary = await process.layer.open()
    assert (summary.gsn, summary.heads) == (4, heads)


async def test_a_store_that_went_on_from_yesterday_is_read_anew(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 2)
    yesterday = bucket.copy()
    await process.layer.append(chain.batch(RED))
    bucket.roll_back(yesterday)
    other = Process(bucket, 2)
    summary = await other.take_over()
    branch = Chain(2)
    branch.gsn, branch.heads = summary.gsn, dict(summary.heads)
    await other.layer.append(branch.batch(BLUE, BLUE))
    assert (await process.layer.open()).heads == branch.heads


# Damage


@pytest.mark.parametrize("at", [3, -1], ids=["header", "body"])
async def test_a_damaged_segment_is_reported_left_and_mended_by_new_objects(bucket: MemoryBucket, at: int):
    chain = Chain()
    await filled(bucket, chain, 3)
    good = await Process(bucket, 2).layer.open()
    frames = [frame async for frame in (await opened(bucket)).layer.frames_after(0)]
    flip(bucket, segment_key(3), at)
    damaged = bucket.objects[segment_key(3)]
    process = Process(bucket, 3)
    summary = await process.take_over()
    assert (summary.gsn, summary.missing) == (6, ((3, 4),))
    assert summary.heads != good.heads
    summary = await process.layer.fill(frames)
    assert (summary.gsn, summary.missing, summary.heads) == (6, (), good.heads)
    assert bucket.objects[segment_key(3)] == damaged
    for reader in (process, await opened(bucket)):
        assert bytes_of(await reader.frames()) == bytes_of(frames)
        assert bytes_of(await guild_frames(reader.layer, RED, 1)) == bytes_of([frames[2], frames[4]])


@pytest.mark.parametrize("at", [3, -1], ids=["header", "body"])
@pytest.mark.parametrize("k", [1, 2, 3, 4], ids=["fence", "first", "middle", "last"])
async def test_what_is_damaged_does_no_harm_once_all_it_held_is_there_again(bucket: MemoryBucket, k: int, at: int):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(k), at)
    summary = await Process(bucket, 2).layer.open()
    is_missed = (k, at) != (1, -1) and k > 1
    assert bool(summary.notes) == is_missed
    assert bool(summary.remarks) != is_missed
    process = Process(bucket, 3)
    await process.take_over()
    await process.layer.fill(frames)
    await process.layer.append(frames[(await process.layer.open()).gsn :])
    summary = await Process(bucket, 4).layer.open()
    assert (summary.gsn, summary.missing, summary.notes) == (6, (), ())
    assert [remark for remark in summary.remarks if segment_key(k) in remark]


@pytest.mark.parametrize(
    ("written", "lost", "is_doubted"),
    [
        (5, [5], True),
        (6, [5], False),
        (6, [6], True),
        (7, [4], False),
        (7, [6], False),  # mended
        (7, [4, 5], True),
        (7, [5, 6], True),
    ],
)
async def test_a_damaged_cut_does_harm_while_nothing_tells_where_it_was(
    bucket: MemoryBucket, written: int, lost: Sequence[int], *, is_doubted: bool
):
    """Segment 4: a fence; 5: a cut behind gsn 2; 6: what took the place of gsn 3 and 4; 7: what follows."""
    frames = await (await filled(bucket, Chain(), 2)).frames()
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.set_aside(2)
    branch = branch_of(Chain(2), frames[:2])
    batches = [branch.batch(RED, BLUE) for _ in range(written - 5)]
    for batch in batches:
        await process.layer.append(batch)
    for k in lost:
        flip(bucket, segment_key(k), 3)
    if not is_doubted:
        mender = Process(bucket, 3)
        await mender.take_over()
        await mender.layer.fill([frame for batch in batches for frame in batch])
    summary = await Process(bucket, 4).layer.open()
    assert bool(summary.notes) == is_doubted
    assert bool(summary.remarks) != is_doubted


async def test_where_another_history_begins_behind_a_damaged_segment_nobody_says_that_it_does_no_harm(
    bucket: MemoryBucket,
):
    await filled(bucket, Chain(), 2)
    other = Process(bucket, 2)
    await other.layer.open()
    await other.layer.begin(2, "another")
    await other.layer.set_aside(0)
    await other.layer.append(Chain(2).batch(RED))
    assert (await Process(bucket, 3).layer.open()).lineage == "another"
    flip(bucket, segment_key(5), 3)
    await Process(bucket, 4).take_over()
    summary = await Process(bucket, 5).layer.open()
    assert summary.lineage == "lineage"
    assert [note for note in summary.notes if segment_key(5) in note]


async def test_a_segment_that_is_not_the_one_that_others_wrote_behind_is_never_said_to_do_no_harm(
    bucket: MemoryBucket,
):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    header = read_header(bucket.objects[segment_key(3)], SegmentHeader, "")
    bucket.objects[segment_key(3)] = segment(msgspec.structs.replace(header, put_id="another"), frames[2:4])
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.fill(frames)
    summary = await Process(bucket, 3).layer.open()
    assert (summary.missing, summary.remarks) == ((), ())
    assert [note for note in summary.notes if "is not the one that" in note]


async def test_while_records_stand_on_no_chain_no_damage_is_said_to_do_no_harm(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(3))
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.fill(frames)
    stray = branch_of(Chain(2), frames)
    stray.batch(RED)
    stray.gsn = frames[-1].record.gsn
    await process.layer.append(stray.batch(RED))
    summary = await Process(bucket, 3).layer.open()
    assert (summary.missing, summary.remarks, len(summary.notes)) == ((), (), 2)


async def test_a_newest_segment_that_was_garbled_on_its_way_once_is_read_again_before_the_fence(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    process, key = Process(bucket, 2), segment_key(4)
    flip(bucket, key, 3)
    assert (await process.layer.open()).gsn == 4
    flip(bucket, key, 3)
    assert await process.layer.claim(2)
    assert (await process.layer.fence(2, "lineage")).gsn == 6
    assert bytes_of(await (await opened(bucket)).frames()) == bytes_of(frames)


async def test_a_fence_of_who_cannot_read_what_is_before_it_cuts_nothing(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(4), 3)
    assert (await Process(bucket, 2).take_over()).gsn == 4
    assert [note for note in (await Process(bucket, 3).layer.open()).notes if "may hold records" in note]
    flip(bucket, segment_key(4), 3)
    reader = await opened(bucket)
    assert bytes_of(await reader.frames()) == bytes_of(frames)


async def test_what_was_recorded_behind_a_segment_that_nobody_can_read_may_have_taken_its_place(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(4), 3)
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.append(branch_of(Chain(2), frames[:4]).batch(RED))
    for gsn in (5, 6):
        summary = await Process(bucket, 3).layer.open()
        assert (summary.gsn, summary.missing) == (gsn, ())
        assert [note for note in summary.notes if "may be lost" in note]
        await process.layer.append(branch_of(Chain(2), await process.frames()).batch(BLUE))


async def test_a_writer_that_cannot_read_the_fence_before_its_slot_is_stale_all_the_same(bucket: MemoryBucket):
    chain = Chain()
    old = await filled(bucket, chain, 2)
    await Process(bucket, 2).take_over()
    flip(bucket, segment_key(4), 3)
    with pytest.raises(Stale):
        await old.layer.append(chain.batch(RED))
    assert segment_key(5) not in bucket.objects


async def test_a_copy_of_a_later_object_is_not_an_empty_one(bucket: MemoryBucket):
    """An index tells what lies there, so that nobody has looked at its header."""
    writer = await filled(bucket, Chain(), 4)
    frames = await writer.frames()
    await writer.layer._packer._write_index()
    bucket.objects[segment_key(3)] = bucket.objects[segment_key(4)]
    reader = await opened(bucket)
    assert bytes_of(await reader.frames()) == bytes_of([*frames[:2], *frames[4:]])
    assert (await reader.layer.open()).missing == ((3, 4),)


@pytest.mark.usefixtures("small_packs")
async def test_where_the_segment_that_an_index_ends_with_is_gone_the_end_is_doubted(bucket: MemoryBucket):
    await packed(bucket, Chain(), 7)
    last = max(int(key.rpartition("/")[2]) for key in packs_of(bucket, "index/"))
    for key in packs_of(bucket, "seg/"):
        if key >= segment_key(last):
            del bucket.objects[key]
    summary = await Process(bucket, 2).layer.open()
    assert summary.missing == ()
    assert [note for note in summary.notes if "may hold records" in note]


async def test_beside_a_segment_that_was_mended_a_stranger_s_record_does_no_harm(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(3))
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.fill(frames)
    stranger = Process(bucket, 3)
    await stranger.layer.open()
    await stranger.layer.begin(3, "another")
    await stranger.layer.append(branch_of(Chain(3), frames).batch(RED))
    summary = await Process(bucket, 4).layer.open()
    assert (summary.gsn, summary.notes, len(summary.remarks)) == (6, (), 2)


async def test_a_mend_that_does_not_count_is_written_once(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    flip(bucket, segment_key(3))
    stranger = Process(bucket, 3)
    await stranger.layer.open()
    await stranger.layer.begin(3, "another")
    before = len(bucket.objects)
    with pytest.raises(StorageError, match="does not count"):
        await stranger.layer.fill(frames)
    assert len(bucket.objects) == before + 1


@pytest.mark.usefixtures("small_packs")
async def test_a_pack_that_another_process_has_merged_is_read_where_its_newest_index_says(bucket: MemoryBucket):
    """A segment beneath it has rotted, which does no harm otherwise."""
    chain = Chain()
    writer = await packed(bucket, chain, 7)
    reader = await opened(bucket)
    gone = packs_of(bucket)
    flip(bucket, segment_key(2))
    while packs_of(bucket)[: len(gone)] == gone:
        await writer.layer.append(chain.batch(RED, BLUE))
        await writer.layer.pack()
    frames = await writer.frames()
    assert bytes_of(await reader.frames()) == bytes_of(frames)
    summary = await reader.layer.open()
    assert (summary.heads, summary.missing, summary.notes) == (chain.heads, (), ())


@pytest.mark.usefixtures("small_packs")
async def test_what_a_damaged_pack_hides_is_doubted_like_the_segments_themselves(bucket: MemoryBucket):
    """A cut, and what took the place of what it cut, lie in a pack that is damaged, and so are both."""
    frames = await (await filled(bucket, Chain(), 2)).frames()
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.set_aside(2)
    branch = branch_of(Chain(2), frames[:2])
    for _ in range(9):
        await process.layer.append(branch.batch(RED, BLUE))
    while await process.layer.pack():
        pass
    for key in (*packs_of(bucket), segment_key(5), segment_key(6)):
        flip(bucket, key, 3)
    reader = await opened(bucket)
    await reader.frames()
    summary = await reader.layer.summary()
    assert [note for note in summary.notes if segment_key(5) in note]


@pytest.mark.usefixtures("small_packs")
async def test_a_doubt_goes_into_the_index_and_ends_when_the_segments_come_back(bucket: MemoryBucket):
    frames = await (await filled(bucket, Chain(), 2)).frames()
    process = Process(bucket, 2)
    await process.take_over()
    await process.layer.set_aside(2)
    branch = branch_of(Chain(2), frames[:2])
    await process.layer.append(branch.batch(RED, BLUE))
    whole = {segment_key(k): bucket.objects[segment_key(k)] for k in (5, 6)}
    for key in whole:
        flip(bucket, key, 3)
    process = Process(bucket, 3)
    await process.take_over()
    branch = branch_of(Chain(3), frames)
    for _ in range(5):
        await process.layer.append(branch.batch(RED, BLUE))
    while await process.layer.pack():
        pass
    reader = await opened(bucket)
    assert segment_key(2) not in [call.key for call in reader.asked if call.verb == "get"], "read by its index"
    assert [note for note in (await reader.layer.open()).notes if "may have replaced" in note]
    bucket.objects.update(whole)
    assert not [note for note in (await Process(bucket, 5).layer.open()).notes if "may have replaced" in note]


async def opened(bucket: MemoryBucket) -> Process:
    process = Process(bucket, 9)
    await process.layer.open()
    return process


@pytest.mark.parametrize("at", range(0, 700, 7))
async def test_no_flipped_bit_is_believed(bucket: MemoryBucket, at: int):
    chain = Chain()
    writer = await filled(bucket, chain, 2)
    frames = await writer.frames()
    key = segment_key(2)
    flip(bucket, key, at % len(bucket.objects[key]))
    reader = Process(bucket, 2)
    summary = await reader.layer.open()
    assert summary.missing == ((1, 2),)
    assert any("seg/0000000002" in note for note in summary.notes)
    assert bytes_of(await reader.frames()) == bytes_of(frames[2:])


async def test_a_segment_that_is_gone_is_reported(bucket: MemoryBucket):
    await filled(bucket, Chain(), 3)
    del bucket.objects[segment_key(3)]
    summary = await Process(bucket, 2).layer.open()
    assert (summary.gsn, summary.missing) == (6, ((3, 4),))
    assert "seg/0000000003: it is gone; it is left as it is" in summary.notes


async def test_a_segment_that_was_exchanged_for_another_one_is_not_believed(bucket: MemoryBucket):
    await filled(bucket, Chain(), 3)
    header = read_header(bucket.objects[segment_key(2)], SegmentHeader, "")
    bucket.objects[segment_key(2)] = segment(header, Chain(7).batch(RED, BLUE))
    summary = await Process(bucket, 2).layer.open()
    assert summary.missing == ((1, 2),)


async def test_a_copy_of_another_segment_is_not_believed(bucket: MemoryBucket):
    chain = Chain()
    await filled(bucket, chain, 3)
    bucket.objects[segment_key(4)] = bucket.objects[segment_key(3)]
    summary = await Process(bucket, 2).layer.open()
    assert summary.gsn == 4
    assert [note for note in summary.notes if "it is a copy of segment 3" in note]
    assert (await Process(bucket, 3).take_over()).epoch == 2
    assert segment_key(5) in bucket.objects


async def test_a_segment_that_holds_less_than_its_header_says_is_not_believed(bucket: MemoryBucket):
    process = await filled(bucket, Chain(), 3)
    frames = await process.frames()
    header = read_header(bucket.objects[segment_key(4)], SegmentHeader, "")
    bucket.objects[segment_key(4)] = segment(header, frames[4:5])
    reader = await opened(bucket)
    assert len(await reader.frames()) == 4
    assert (await reader.layer.open()).missing == ((5, 6),)


async def test_a_mend_counts_for_nothing_behind_a_cut(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 3)
    frames = await process.frames()
    flip(bucket, segment_key(3))
    process = Process(bucket, 2)
    await process.take_over()
    assert (await process.layer.fill(frames)).missing == ()
    await process.layer.set_aside(2)
    branch = branch_of(Chain(2), frames[:2])
    await process.layer.append(branch.batch(RED, BLUE, RED, BLUE)[2:])
    for reader in (process, await opened(bucket)):
        assert (await reader.layer.open()).missing == ((3, 4),)
        assert [frame.record.epoch for frame in await reader.frames()] == [1, 1, 2, 2]


async def test_a_segment_of_a_later_release_is_refused(bucket: MemoryBucket):
    await filled(bucket, Chain(), 1)
    header = read_header(bucket.objects[segment_key(2)], SegmentHeader, "")
    bucket.objects[segment_key(2)] = wrap(msgspec.structs.replace(header, format=2, release="9.1.0"), b"")
    with pytest.raises(NewerFormat, match=r"a later release, inviteledger 9\.1\.0: format 2"):
        await Process(bucket, 2).layer.open()


# Packs


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 6)


async def packed(bucket: MemoryBucket, chain: Chain, batches: int) -> Process:
    process = Process(bucket)
    await process.take_over()
    for _ in range(batches):
        await process.layer.append(chain.batch(RED, BLUE))
        await process.layer.pack()
    return process


@pytest.mark.usefixtures("small_packs")
async def test_a_start_reads_the_index_and_what_is_behind_it(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 21)
    reader = Process(bucket, 2)
    summary = await reader.layer.open()
    assert (summary.gsn, summary.heads, summary.notes) == (42, chain.heads, ())
    read = [call.key for call in reader.asked if call.verb == "get"]
    assert read == ["index/0000000018", segment_key(18), *[segment_key(k) for k in range(19, 23)]]
    reader.asked.clear()
    assert bytes_of(await reader.frames()) == bytes_of(await writer.frames())
    assert not [call.key for call in reader.asked if call.key.startswith("seg/")], "packs, and what was read just now"


@pytest.mark.usefixtures("small_packs")
async def test_small_packs_are_merged_and_two_indexes_stay(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 80)
    assert len(packs_of(bucket)) <= 4
    assert len(packs_of(bucket, "index/")) == 2
    assert len(packs_of(bucket, "seg/")) == 81
    assert [frame.record.gsn for frame in await writer.frames()] == list(range(1, 161))
    assert bytes_of(await (await opened(bucket)).frames()) == bytes_of(await writer.frames())


@pytest.mark.usefixtures("small_packs")
async def test_what_others_left_among_the_objects_counts_for_nothing_and_stays(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 21)
    checkpoint = make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",))
    await writer.layer.save_checkpoint(checkpoint)
    folders = {key.rpartition("/")[0] for key in bucket.objects} | {"checkpoint"}
    strays = {f"{max(packs_of(bucket, folder))}.sync-conflict": b"?" for folder in folders - {"checkpoint"}}
    strays |= {f"{folder}/{name}": b"?" for folder in folders for name in ("README.txt", "20261130", "sub/1", "~")}
    bucket.objects |= strays
    reader = Process(bucket, 2)
    summary = await reader.take_over()
    assert (summary.epoch, summary.gsn, summary.heads, summary.notes) == (2, 42, chain.heads, ())
    assert list(await reader.layer.all_checkpoints(RED)) == [checkpoint]
    for _ in range(20):
        await reader.layer.append(chain.batch(RED, BLUE))
        await reader.layer.pack()
    await reader.layer.save_checkpoint(make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",), forgot_seq=30))
    assert bytes_of(await (await opened(bucket)).frames()) == bytes_of(await reader.frames())
    assert strays.items() <= bucket.objects.items()


async def test_as_many_packs_as_are_due_are_made_one_behind_the_other(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
):
    """After an outage of the cloud: nothing is written meanwhile, so each index stands behind the same segment."""
    writer = await filled(bucket, Chain(), 30)
    monkeypatch.setattr(cloud_packs, "PACK_BYTES", 5 * len(bucket.objects[segment_key(2)]))
    made = 0
    while await writer.layer.pack():
        made += 1
    assert made > 3
    reader = Process(bucket, 2)
    summary = await reader.layer.open()
    assert summary.notes == ()
    reader.asked.clear()
    assert bytes_of(await reader.frames()) == bytes_of(await writer.frames())
    asked = {call.key for call in reader.asked}
    assert set(packs_of(bucket)) <= asked, "the newest index knows all of them"


@pytest.mark.usefixtures("small_packs")
async def test_what_is_uploaded_while_a_pack_is_made_stays_loose_and_does_not_stop_it(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cloud_reading, "KEPT_BYTES", 0)
    chain = Chain()
    writer = await filled(bucket, chain, 6)
    last = iter([chain.batch(RED, BLUE)])

    async def uploaded(call: Call) -> None:
        if call.verb == "get" and (frames := next(last, None)):
            await writer.layer.append(frames)

    writer.objects.before = uploaded
    assert await writer.layer.pack()
    assert len(packs_of(bucket)) == 1
    reader = await opened(bucket)
    assert bytes_of(await reader.frames()) == bytes_of(await writer.frames())
    assert (await reader.layer.open()).gsn == 14


@pytest.mark.usefixtures("small_packs")
async def test_a_branch_that_loses_while_it_is_packed_does_not_come_back_with_the_pack(bucket: MemoryBucket):
    writer = await filled(bucket, Chain(), 6)

    async def lose(call: Call) -> None:
        if call.key.startswith("pack/") and call.verb == "create":
            await writer.layer.set_aside(4)

    writer.objects.after = lose
    with pytest.raises(StorageError, match="not packed"):
        await writer.layer.pack()
    for each in (writer, await opened(bucket)):
        assert [frame.record.gsn for frame in await each.frames()] == [1, 2, 3, 4]


@pytest.mark.usefixtures("small_packs")
async def test_a_guilds_frames_come_out_of_packs_and_segments(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 21)
    reader = await opened(bucket)
    for layer in (writer.layer, reader.layer):
        found = await guild_frames(layer, BLUE, 3)
        assert [frame.record.seq for frame in found] == list(range(4, 22))


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("what", ["flipped", "gone"])
async def test_a_pack_that_cannot_be_read_is_done_without(bucket: MemoryBucket, what: str):
    chain = Chain()
    writer = await packed(bucket, chain, 21)
    frames = await writer.frames()
    for key in packs_of(bucket):
        if what == "gone":
            del bucket.objects[key]
        else:
            flip(bucket, key)
    reader = await opened(bucket)
    assert bytes_of(await reader.frames()) == bytes_of(frames)
    told = any("pack/" in note for note in reader.layer.take_notes())
    assert told == (what == "flipped"), "one that is gone may have been merged"
    assert (await reader.layer.open()).missing == ()
    assert len(await guild_frames((await opened(bucket)).layer, RED, 0)) == 21


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("flipped", [False, True])
async def test_a_pack_that_is_merged_while_another_one_reads_is_done_without(
    monkeypatch: pytest.MonkeyPatch, *, flipped: bool
):
    """Whoever reads a guild has a list of what to ask for, and the keeper packs beside it, at any of the calls.

    ``flipped``: the newest pack is damaged, and both find it out.
    """
    monkeypatch.setattr(cloud_reading, "KEPT_BYTES", 0)
    for at in range(1, 21):
        bucket, chain = MemoryBucket(), Chain()
        writer = await packed(bucket, chain, 42)
        for _ in range(6):
            await writer.layer.append(chain.batch(RED, BLUE))
        packs = packs_of(bucket)
        assert len(packs) == 2
        if flipped:
            flip(bucket, packs[1])
        pack_at(writer, at)
        assert [frame.record.seq for frame in await guild_frames(writer.layer, RED, 0)] == list(range(1, 49)), at
        assert flipped or not writer.layer.take_notes(), at


def pack_at(process: Process, at: int) -> None:
    """Before so many more calls are through, another task of the process packs."""
    calls = 0

    async def before(_call: Call) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            with suppress(StorageError):  # nothing is made of what cannot be read
                await process.layer.pack()

    process.objects.before = before


@pytest.mark.usefixtures("small_packs")
async def test_a_pack_that_the_holder_of_before_has_merged_is_no_damage(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 7)
    reader = await opened(bucket)
    gone = packs_of(bucket)
    while packs_of(bucket)[: len(gone)] == gone:
        await writer.layer.append(chain.batch(RED, BLUE))
        await writer.layer.pack()
    await reader.layer.open()
    assert bytes_of(await reader.frames()) == bytes_of(await writer.frames())
    assert reader.layer.take_notes() == ()


async def test_what_is_no_longer_kept_when_the_rest_has_come_was_taken_before(bucket: MemoryBucket):
    """Others read, write and look at objects meanwhile."""
    frames = await (await filled(bucket, Chain(), 3)).frames()
    reader = await opened(bucket)
    reader.layer._reader._drop(segment_key(4))

    async def forget(call: Call) -> None:
        del call
        reader.layer._reader._drop(segment_key(2))

    reader.objects.before = forget
    assert bytes_of(await reader.frames()) == bytes_of(frames)


@pytest.mark.usefixtures("small_packs")
async def test_behind_a_damaged_pack_a_damaged_segment_is_missing_until_it_is_mended(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 21)
    frames = await writer.frames()
    flip(bucket, packs_of(bucket)[0])
    flip(bucket, segment_key(4))
    process = Process(bucket, 2)
    await process.take_over()
    assert len(await process.frames()) == 40, "it is found out when it is read"
    summary = await process.layer.open()
    assert summary.missing == ((5, 6),)
    assert (await process.layer.fill(frames)).missing == ()
    assert bytes_of(await process.frames()) == bytes_of(frames)
    assert bytes_of(await (await opened(bucket)).frames()) == bytes_of(frames)


@pytest.mark.usefixtures("small_packs")
async def test_a_damaged_index_is_passed_over_for_the_one_before_and_then_for_the_segments(bucket: MemoryBucket):
    chain = Chain()
    await packed(bucket, chain, 21)
    for key in reversed(packs_of(bucket, "index/")):
        flip(bucket, key)
        summary = await Process(bucket, 2).layer.open()
        assert (summary.gsn, summary.heads) == (42, chain.heads)
        assert [note for note in summary.remarks if key in note]


@pytest.mark.usefixtures("small_packs")
async def test_an_index_of_segments_that_are_gone_is_not_believed(bucket: MemoryBucket):
    chain = Chain()
    await packed(bucket, chain, 10)
    for k in range(6, 12):
        del bucket.objects[segment_key(k)]
    summary = await Process(bucket, 2).layer.open()
    assert summary.gsn == 8


@pytest.mark.usefixtures("small_packs")
async def test_a_cut_below_a_pack_takes_its_end_away(bucket: MemoryBucket):
    chain = Chain()
    writer = await packed(bucket, chain, 8)
    frames = await writer.frames()
    await writer.layer.set_aside(5)
    branch = Chain(2)
    await writer.layer.append(branch_of(branch, frames[:5]).batch(RED, RED))
    for reader in (writer, await opened(bucket)):
        summary = await reader.layer.open()
        assert (summary.gsn, summary.heads) == (7, branch.heads)
        assert bytes_of(await reader.frames())[:5] == bytes_of(frames[:5])


def branch_of(branch: Chain, frames: Sequence[Frame]) -> Chain:
    branch.gsn = frames[-1].record.gsn
    branch.heads = {frame.record.guild: head_of(frame) for frame in frames}
    return branch


@pytest.mark.usefixtures("small_packs")
async def test_a_guilds_frames_that_cannot_be_read_are_an_error_once_and_missing_then(bucket: MemoryBucket):
    await packed(bucket, Chain(), 8)
    reader = await opened(bucket)
    for key in (*packs_of(bucket), segment_key(4)):
        flip(bucket, key)
    with pytest.raises(Corrupt, match="pack/"):
        await guild_frames(reader.layer, RED, 0)
    assert (await reader.layer.open()).missing == ((5, 6),)


@pytest.mark.usefixtures("small_packs")
async def test_what_is_known_of_a_hole_goes_into_the_index(bucket: MemoryBucket):
    chain = Chain()
    frames = chain.batch(*[RED] * 8)
    process = Process(bucket)
    await process.take_over()
    await process.layer.append([*frames[:2], *frames[4:6]])
    for _ in range(4):
        await process.layer.append(chain.batch(BLUE))
    while await process.layer.pack():
        pass
    assert packs_of(bucket, "index/")
    await process.layer.save_checkpoint(make_checkpoint(RED, head_of(frames[6]), "lineage", ()))
    await process.layer.append(chain.batch(BLUE))
    reader = await opened(bucket)
    summary = await reader.layer.open()
    assert summary.missing == ((3, 4), (7, 8))
    assert summary.heads == {RED: head_of(frames[1]), BLUE: chain.heads[BLUE]}


@pytest.mark.usefixtures("small_packs")
async def test_nobody_packs_who_was_overtaken(bucket: MemoryBucket):
    process = await filled(bucket, Chain(), 8)
    assert await Process(bucket, 2).layer.claim(7)
    with pytest.raises(Stale):
        await process.layer.pack()
    assert packs_of(bucket) == []


async def test_a_large_batch_becomes_several_segments_that_end_with_an_append(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cloud, "SEGMENT_BYTES", 1_000)
    chain = Chain()
    process = Process(bucket)
    await process.take_over()
    await process.layer.append([*chain.append(RED, 5), *chain.append(BLUE, 1), *chain.append(RED, 4)])
    headers = [read_header(bucket.objects[key], SegmentHeader, key) for key in packs_of(bucket, "seg/")]
    assert [(header.first_gsn, header.last_gsn) for header in headers] == [(1, 0), (1, 5), (6, 10)]


@pytest.mark.usefixtures("small_packs")
async def test_a_scrub_finds_what_was_damaged_since_it_was_read(bucket: MemoryBucket):
    process = await packed(bucket, Chain(), 30)
    frames = await process.frames()
    flip(bucket, segment_key(4))
    flip(bucket, segment_key(31))
    for _ in range(3):
        await process.layer.scrub(0.0, 0.4)
    told = {note.replace(":", " ").split()[0] for note in process.layer.take_notes()}
    assert told == {segment_key(4), segment_key(31)}
    summary = await process.layer.open()
    assert summary.missing == ((59, 60),), "of the other one there is a pack"
    await process.take_over()
    assert (await process.layer.fill(frames)).missing == ()
    await process.layer.scrub(0.0, 1.0)
    assert process.layer.take_notes() == ()


@pytest.mark.usefixtures("small_packs")
async def test_where_the_segment_that_an_index_ends_with_is_gone_another_index_is_made(bucket: MemoryBucket):
    """Nobody believes that one any more, and the packs that only it tells of would be lost to whoever comes."""
    chain = Chain()
    process = await packed(bucket, chain, 21)
    frames = bytes_of(await process.frames())
    assert await process.layer.is_as_left()
    for k in range(2, 19):
        del bucket.objects[segment_key(k)]
    assert bytes_of(await (await opened(bucket)).frames()) != frames
    assert not await process.layer.pack(), "nobody has looked yet"
    await process.layer.scrub(0.0, 1.0)
    assert await process.layer.pack()
    assert bytes_of(await (await opened(bucket)).frames()) == frames
    assert not await process.layer.pack()


@pytest.mark.usefixtures("small_packs")
async def test_a_scrub_goes_round_from_where_it_is_told_to_begin(bucket: MemoryBucket):
    process = await packed(bucket, Chain(), 9)
    for expected in ([6, 7, 8], [9, 10], [1, 2, 3]):
        process.asked.clear()
        await process.layer.scrub(0.5, 0.3)
        assert [call.key for call in process.asked] == list(map(segment_key, expected))


# Checkpoints


async def test_a_checkpoint_that_was_on_its_way_for_long_brings_nothing_back(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 1)
    old = make_checkpoint(RED, chain.heads[RED], "lineage", (b"forget me",))
    await process.layer.append(chain.batch(RED))
    new = make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",), forgot_seq=2)
    await process.layer.save_checkpoint(new)
    await Process(bucket, 2).layer.save_checkpoint(old)
    assert len(packs_of(bucket, "checkpoint/")) == 1
    reader = await opened(bucket)
    assert list(await reader.layer.all_checkpoints(RED)) == [new]


async def test_readers_heed_the_boundary_where_nobody_was_left_to_clean(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 1)
    old = make_checkpoint(RED, chain.heads[RED], "lineage", (b"forget me",))
    await process.layer.save_checkpoint(old)
    key = packs_of(bucket, "checkpoint/")[0]
    data = bucket.objects[key]
    await process.layer.append(chain.batch(RED))
    new = make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",), forgot_seq=2)
    await process.layer.save_checkpoint(new)
    bucket.objects[key] = data
    reader = await opened(bucket)
    assert list(await reader.layer.all_checkpoints(RED)) == [new]


async def test_a_damaged_checkpoint_is_said_and_written_anew_when_it_is_saved_again(bucket: MemoryBucket):
    chain = Chain()
    process = await filled(bucket, chain, 1)
    checkpoint = make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",))
    await process.layer.save_checkpoint(checkpoint)
    flip(bucket, packs_of(bucket, "checkpoint/")[0])
    reader = await opened(bucket)
    assert list(await reader.layer.all_checkpoints(RED)) == []
    assert [note for note in reader.layer.take_notes() if "checkpoint/" in note]
    await process.layer.save_checkpoint(checkpoint)
    assert list(await reader.layer.all_checkpoints(RED)) == [checkpoint]
