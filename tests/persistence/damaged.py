"""Two layers that hold the same, and a log whose files are damaged; what reads them has to notice, and to mend."""

from collections.abc import Iterable
from pathlib import Path

from persistence.local import LocalLayer
from persistence.log_files import is_packed
from persistence.offload import inline
from persistence.reading import read_log
from persistence.store import Store
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, joins
from tests.persistence.simdisk import SimDisk

DATA = Path("data")
FILES = ("first", "second", "merged")
"""Files of the log: one of two, or both in one that is packed."""
FLIPS = (0x01, 0x20)
"""The lowest bit, and the one between upper and lower case."""


class Damaged:
    """Two layers with the same six records, in two files of the log. Made anew for each damage."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.database = MemoryLayer("database")

    def store(self) -> Store:
        log = LocalLayer(self.disk, DATA, inline, merge_files=2)
        return store_of([log, self.database], TestClock(), TestRandomness())

    async def fill(self) -> None:
        for seq in (0, 2):
            store = self.store()
            await store.start()
            await store.append([joins(RED, seq, seq + 1, seq + 2)])
            await store.append([joins(BLUE, seq // 2, 10 + seq)])

    async def merge(self) -> None:
        """Opens the log until its two files have become one."""
        for _ in range(3):
            store = self.store()
            await store.start()
            await store.close()

    async def judge(self) -> None:
        """All is there, in both layers, whichever is asked."""
        store = self.store()
        report = await store.start()
        assert [layer.error for layer in report.layers] == ["", ""]
        here = [frame.data async for frame in self.database.frames_after(0)]
        assert [frame.data for frame in read_log(self.disk, DATA / "log")] == here
        red, blue = await store.open_guild(RED), await store.open_guild(BLUE)
        assert [record.key for record in red.tail()] == [f"join/{n}/{n}" for n in (1, 2, 3, 4)]
        assert [record.key for record in blue.tail()] == [f"join/{n}/{n}" for n in (10, 12)]
        await store.close()

    def log(self) -> list[Path]:
        return [DATA / "log" / name for name in self.disk.names(DATA / "log")]


async def damaged(kind: str) -> tuple[Damaged, Path, bytes]:
    """The world, and one of ``FILES`` with what is in it."""
    world = Damaged()
    await world.fill()
    if kind == "merged":
        await world.merge()
    path = world.log()[FILES.index(kind) % 2]
    assert is_packed(path) == (kind == "merged")
    return world, path, world.disk.read(path)


def flip_and_read(world: Damaged, path: Path, data: bytes, places: Iterable[int]) -> None:
    """Flips bytes of the file, one at a time: each is noticed, and what is believed is what was written."""
    whole = _readable(world.disk)
    for at in places:
        for bit in FLIPS:
            world.disk.overwrite(path, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            reading = read_log(world.disk, DATA / "log")
            frames = [frame.data for frame in reading]
            assert all(frame in whole for frame in frames), "what is believed is what was written"
            assert reading.notes() or frames == whole, f"byte {at} goes unnoticed"


def _readable(disk: SimDisk) -> list[bytes]:
    reading = read_log(disk, DATA / "log")
    frames = [frame.data for frame in reading]
    assert reading.notes() == ()
    return frames
