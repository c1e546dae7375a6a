"""Rot and cuts: any byte of a log's file or a checkpoint flipped, any file cut short. It is noticed, and made good.

The log stands alone to be judged for what it notices; with a database beside it nothing acknowledged is lost.
"""

from pathlib import Path

import pytest

from ledger.errors import Corrupt
from persistence.checkpoints import make_checkpoint, pack, unpack
from persistence.local import LocalLayer
from persistence.memory import MemoryLayer
from persistence.offload import inline
from persistence.reading import read_log
from persistence.store import Store
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, joins
from tests.persistence.simdisk import SimDisk

DATA = Path("data")
FLIPS = (0x01, 0x20)
"""The lowest bit, and the one between upper and lower case."""


class Damaged:
    """Two layers with the same six records, in two files of the log. Made anew for each damage."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.database = MemoryLayer("database")

    def store(self) -> Store:
        return Store([LocalLayer(self.disk, DATA, inline), self.database], TestClock(), TestRandomness())

    async def fill(self) -> None:
        for seq in (0, 2):
            store = self.store()
            await store.start()
            await store.append([joins(RED, seq, seq + 1, seq + 2)])
            await store.append([joins(BLUE, seq // 2, 10 + seq)])

    async def judge(self) -> None:
        """All is there, in both layers, whichever is asked."""
        store = self.store()
        report = await store.start()
        assert [layer.error for layer in report.layers] == ["", ""]
        here = [frame.data async for frame in self.database.frames_after(0)]
        assert [frame.data for frame in read_log(self.disk, DATA / "log")] == here
        red, blue = await store.open_guild(RED), await store.open_guild(BLUE)
        assert [record.key for record in red.tail] == [f"join/{n}/{n}" for n in (1, 2, 3, 4)]
        assert [record.key for record in blue.tail] == [f"join/{n}/{n}" for n in (10, 12)]
        await store.close()

    def log(self) -> list[Path]:
        return [DATA / "log" / name for name in self.disk.names(DATA / "log")]


async def damaged(number: int) -> tuple[Damaged, Path, bytes]:
    """The world, and one file of its log with what is in it."""
    world = Damaged()
    await world.fill()
    path = world.log()[number]
    return world, path, world.disk.read(path)


@pytest.mark.parametrize("number", [0, 1])
async def test_every_flipped_byte_of_a_segment_is_noticed(number: int):
    world, path, data = await damaged(number)
    whole = _readable(world.disk)
    for at in range(len(data)):
        for bit in FLIPS:
            world.disk.overwrite(path, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            reading = read_log(world.disk, DATA / "log")
            frames = [frame.data for frame in reading]
            assert all(frame in whole for frame in frames), "what is believed is what was written"
            assert reading.notes() or frames == whole, f"byte {at} goes unnoticed"


@pytest.mark.parametrize("number", [0, 1])
async def test_after_any_flipped_byte_of_a_segment_nothing_is_lost(number: int):
    _, _, data = await damaged(number)
    for at in range(0, len(data), 23):
        world, path, data = await damaged(number)
        world.disk.overwrite(path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        await world.judge()
        await world.judge()


@pytest.mark.parametrize("number", [0, 1])
async def test_after_any_truncation_of_a_segment_nothing_is_lost(number: int):
    _, _, data = await damaged(number)
    for size in range(0, len(data), 17):
        world, path, data = await damaged(number)
        world.disk.overwrite(path, data[:size])
        await world.judge()
        await world.judge()


@pytest.mark.parametrize("number", [0, 1])
async def test_after_the_loss_of_a_segment_nothing_is_lost(number: int):
    world, path, _ = await damaged(number)
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
    assert (opened.checkpoint.header.seq, opened.tail) == (3, ())
    assert world.disk.identity(path) is None
    assert [name for name in world.disk.names(DATA / "quarantine") if path.name in name]


def _readable(disk: SimDisk) -> list[bytes]:
    reading = read_log(disk, DATA / "log")
    frames = [frame.data for frame in reading]
    assert reading.notes() == ()
    return frames
