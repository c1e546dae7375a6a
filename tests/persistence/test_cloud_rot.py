"""Rot in the cloud: any byte of its objects flipped, any of them cut short. It is noticed, and what it held is read
elsewhere, or said to be missing.

The cloud alone is judged for what it believes; with a layer beside it nothing acknowledged is lost.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import pytest

from persistence.checkpoints import make_checkpoint
from persistence.cloud_bytes import SegmentHeader, read_header, segment_key
from tests.memory.objects import MemoryBucket
from tests.persistence.making import RED, Chain, bytes_of
from tests.persistence.rotten import flipped
from tests.persistence.test_cloud import Process, bucket, filled, opened, packed, packs_of, small_packs
from tests.persistence.test_store_cloud import Machine

__all__ = ["bucket", "small_packs"]


class Rot:
    """A bucket in which one object is damaged, in one way after the other."""

    def __init__(self, bucket: MemoryBucket, key: str) -> None:
        self.bucket, self.key = bucket, key
        self._whole = bucket.copy()

    def __iter__(self) -> Iterator[str]:
        """Every byte flipped, every end cut off; the bucket is whole again behind the last."""
        data = self._whole.objects[self.key]
        for at in range(len(data)):
            for how, rotten in (("flipped", flipped(data, at, at % 8)), ("cut off", data[:at])):
                self.bucket.roll_back(self._whole)
                self.bucket.objects[self.key] = rotten
                yield f"{how} at byte {at}"
        self.bucket.roll_back(self._whole)


async def read(bucket: MemoryBucket) -> tuple[Sequence[bytes], str]:
    """All that a new process gets; and all that it says, with the checkpoints that it believes."""
    reader = Process(bucket, 9)
    first = await reader.layer.open()
    frames = bytes_of(await reader.frames())
    believed = await reader.layer.all_checkpoints(RED)
    notes = [*map(str, believed), *reader.layer.take_notes()]
    summaries = first, await reader.layer.open()
    return frames, "\n".join([*notes, *(note for each in summaries for note in each.notes + each.remarks)])


async def scrubbed(bucket: MemoryBucket) -> str:
    """What a scrub of everything says."""
    reader = await opened(bucket)
    reader.layer.take_notes()
    await reader.layer.scrub(0.0, 1.0)
    return "\n".join(reader.layer.take_notes())


@pytest.mark.parametrize("k", [1, 2, 4], ids=["fence", "records", "last"])
async def test_every_damage_of_a_segment_is_noticed_and_only_what_it_held_is_missing(bucket: MemoryBucket, k: int):
    frames = await (await filled(bucket, Chain(), 3)).frames()
    header = read_header(bucket.objects[segment_key(k)], SegmentHeader, "")
    kept = [each for each in frames if not header.first_gsn <= each.record.gsn <= header.last_gsn]
    for what in Rot(bucket, segment_key(k)):
        found, notes = await read(bucket)
        assert segment_key(k) in notes, f"{what}, unnoticed"
        assert found == bytes_of(kept)


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("kind", ["pack/", "index/", "checkpoint/", "epoch/"])
async def test_every_damage_of_what_can_be_done_without_costs_nothing(bucket: MemoryBucket, kind: str):
    chain = Chain()
    writer = await packed(bucket, chain, 7)
    frames = await writer.frames()
    checkpoint = make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",))
    await writer.layer.save_checkpoint(checkpoint)
    key = packs_of(bucket, kind)[-1]
    for what in Rot(bucket, key):
        found, notes = await read(bucket)
        assert found == bytes_of(frames)
        # a claim counts by its name; what zstd does not care for changes nothing of a checkpoint
        assert key in notes or kind == "epoch/" or (kind == "checkpoint/" and str(checkpoint) in notes), (
            f"{what}, unnoticed"
        )
        assert (await Process(bucket, 2).take_over()).epoch == 2


@pytest.mark.usefixtures("small_packs")
async def test_every_damage_of_a_segment_behind_an_index_is_noticed_and_read_elsewhere(bucket: MemoryBucket):
    """Its records are in a pack; so is what tells where."""
    frames = await (await packed(bucket, Chain(), 6)).frames()
    last = max(int(key.rpartition("/")[2]) for key in packs_of(bucket, "index/"))
    for k in (2, last):
        for what in Rot(bucket, segment_key(k)):
            found, notes = await read(bucket)
            assert found == bytes_of(frames)
            assert segment_key(k) in notes + await scrubbed(bucket), f"{k} {what}, unnoticed"


@pytest.mark.parametrize("kind", ["seg/", "checkpoint/", "epoch/"])
async def test_with_a_folder_beside_it_no_damage_of_the_cloud_loses_anything(bucket: MemoryBucket, kind: str):
    """The folder mends the cloud; a machine with an empty folder then has all of it from there."""
    old = await Machine(bucket, "a").started()
    for count in (2, 1, 3):
        await old.join(RED, count)
        await old.upload()
    users = await old.users_of(RED)
    for key in packs_of(bucket, kind):
        for _ in islice(Rot(bucket, key), None, None, 23):
            again = Machine(bucket, "a")
            again.log, again.database = old.log, old.database
            again.process()
            await again.started()
            await again.upload()
            assert await again.users_of(RED) == users
            assert await (await Machine(bucket, "b").started()).users_of(RED) == users
