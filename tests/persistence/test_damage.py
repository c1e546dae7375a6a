"""Rot and cuts: any byte of a log's file or a checkpoint flipped, any file cut short. It is noticed, and made good.

The log stands alone to be judged for what it notices; with a database beside it nothing acknowledged is lost.
"""

import pytest

from ledger.errors import Corrupt
from persistence import packed
from persistence.checkpoints import Checkpoints, make_checkpoint, pack, unpack
from persistence.quarantine import Quarantine
from persistence.writing import replace
from tests.persistence.damaged import DATA, FILES, Damaged, damaged, flip_and_read
from tests.persistence.making import RED, Chain, joins
from tests.persistence.simdisk import SimDisk


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "BLOCK_BYTES", 700)


@pytest.mark.parametrize("kind", FILES)
async def test_every_flipped_byte_of_a_segment_is_noticed(kind: str):
    world, path, data = await damaged(kind)
    flip_and_read(world, path, data, range(len(data)))


@pytest.mark.parametrize("kind", FILES)
async def test_after_any_flipped_byte_of_a_segment_nothing_is_lost(kind: str):
    _, _, data = await damaged(kind)
    for at in range(0, len(data), 23):
        world, path, data = await damaged(kind)
        world.disk.overwrite(path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        await world.judge()
        await world.judge()


@pytest.mark.parametrize("kind", FILES)
async def test_after_any_truncation_of_a_segment_nothing_is_lost(kind: str):
    _, _, data = await damaged(kind)
    for size in range(0, len(data), 17):
        world, path, data = await damaged(kind)
        world.disk.overwrite(path, data[:size])
        await world.judge()
        await world.judge()


@pytest.mark.parametrize("kind", FILES)
async def test_after_the_loss_of_a_segment_nothing_is_lost(kind: str):
    world, path, _ = await damaged(kind)
    world.disk.remove(path)
    await world.judge()
    await world.judge()


def test_every_flipped_byte_and_every_truncation_of_a_checkpoint_is_noticed():
    chain = Chain()
    chain.batch(RED)
    whole = pack(make_checkpoint(RED, chain.heads[RED], "lineage", (b'{"members":[]}', b"\n", b"")))
    assert pack(unpack(whole, "whole")) == whole
    for at in range(len(whole)):
        for bit in range(8):
            with pytest.raises(Corrupt):
                unpack(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :], "flipped")
        with pytest.raises(Corrupt):
            unpack(whole[:at], "cut")
    with pytest.raises(Corrupt):
        unpack(whole + b"0", "longer")


def test_a_file_that_lies_beside_the_guilds_folders_is_nobodys():
    disk, chain = SimDisk(), Chain()
    held = Checkpoints(disk, DATA / "checkpoints", Quarantine(disk, DATA / "quarantine"))
    chain.batch(RED)
    held.save(make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",)))
    replace(disk, DATA / "checkpoints" / ".DS_Store", b"whatever")
    held.look()
    assert held.places(RED) == ((1, 1),)
    held.set_aside(0)
    assert held.places(RED) == ()


def test_a_checkpoint_under_the_name_of_another_one_is_not_believed_and_what_has_no_such_name_is_nobodys():
    disk, chain = SimDisk(), Chain()
    held = Checkpoints(disk, DATA / "checkpoints", Quarantine(disk, DATA / "quarantine"))
    for _ in range(2):
        chain.batch(RED)
        held.save(make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",)))
    folder = DATA / "checkpoints" / RED
    older, newest = disk.names(folder)
    disk.overwrite(folder / newest, disk.read(folder / older))
    for stray in (f"{older} (conflicted copy).ckpt", f"._{older}", "1-1.ckpt", "notes.ckpt"):
        replace(disk, folder / stray, b"whatever")
    assert held.places(RED) == ((1, 2), (1, 1))
    assert held.load(RED, (1, 2)) is None
    assert any(newest in name for name in disk.names(DATA / "quarantine"))
    assert set(held.anchors(RED)) == {1}
    held.save(make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",)))
    assert held.places(RED) == ((1, 2), (1, 1))
    assert held.load(RED, (1, 3)) is None


async def test_a_rotten_checkpoint_goes_to_quarantine_and_the_other_layers_one_is_taken():
    world = Damaged()
    store = world.store()
    await store.start()
    for seq in range(3):
        (result,) = await store.append([joins(RED, seq, seq + 1)])
        await store.save_checkpoint(RED, result.head, (b"state",))
    path = DATA / "checkpoints" / RED / world.disk.names(DATA / "checkpoints" / RED)[-1]
    world.disk.overwrite(path, world.disk.read(path)[:-3])
    opened = await store.open_guild(RED)
    assert opened.checkpoint is not None
    assert (opened.checkpoint.header.seq, list(opened.lines)) == (3, [])
    assert world.disk.identity(path) is None
    assert [name for name in world.disk.names(DATA / "quarantine") if path.name in name]
