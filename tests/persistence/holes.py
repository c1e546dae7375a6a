"""Holes: a record rots in one layer while another that has it is away, the guilds go on, and then it is back.

Every join that was acknowledged, before or meanwhile, has to stand in the history once: in place or recorded anew.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from ledger.errors import StorageError
from ledger.ids import GuildId, UserId
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.store import Appended, Store
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.forks import DATA, FOLDER, cut_at, handed_out, joined, nothing_fails, on
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, joins
from tests.persistence.simdisk import PowerCut, SimDisk

BEFORE = ((RED, 1), (RED, 1), (BLUE, 1), (RED, 2), (BLUE, 1), (RED, 1), (BLUE, 2))
"""Appends that every layer has: whose, and how many records."""
RECORDS = sum(size for _, size in BEFORE)
GOING_ON: tuple[tuple[GuildId, ...], ...] = ((), (RED,), (BLUE,), (RED, BLUE, RED, RED))


class Joining:
    """Whoever has joined, and was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[tuple[GuildId, UserId]] = set()
        self._number = 0

    async def join(self, store: Store, guild: GuildId, size: int = 1) -> None:
        numbers = range(self._number + 1, self._number + size + 1)
        self._number += size
        (result,) = await store.append([joins(guild, store.head_of(guild).seq, *numbers)])
        assert isinstance(result, Appended)
        self.acknowledged |= {(guild, UserId(str(number))) for number in numbers}

    async def judge(self, store: Store) -> None:
        assert Counter(await joined(store)) == Counter(self.acknowledged)
        assert store.salvage.pending() == ()


async def come_back(store: Store) -> None:
    """As the journal does: until every layer is whole."""
    for _ in range(5):
        if await store.catch_up():
            return
        if store.is_in_doubt():
            await store.restart_epoch()
    raise AssertionError("a layer stays broken")


class Hole:
    """A log on a simulated disk and a database in memory."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.database = MemoryLayer("database")
        self.joining = Joining()

    def process(self) -> Store:
        layers = [LocalLayer(self.disk, DATA, inline), self.database]
        return store_of(layers, TestClock(), TestRandomness(), salvage=on(self.disk))

    async def begin(self) -> None:
        store = self.process()
        await store.start()
        for guild, size in BEFORE:
            await self.joining.join(store, guild, size)
        await store.close()

    def rot(self, gsn: int) -> None:
        rot(self.disk, DATA / "log", self.database._frames[gsn])

    async def go_on(self, guilds: Sequence[GuildId]) -> Store:
        """A process without the database."""
        self.database.go_away(StorageError("away"))
        store = self.process()
        await store.start()
        for guild in guilds:
            await self.joining.join(store, guild)
        return store

    async def heal(self, store: Store, *, in_the_same_life: bool) -> Store:
        """The database is back; the store of the process that has found it."""
        self.database.come_back()
        if in_the_same_life:
            await come_back(store)
        else:
            await store.close()
            store = self.process()
            await store.start()
            await come_back(store)
        await handed_out(store)
        return store

    async def judge(self, store: Store) -> None:
        await self.joining.judge(store)
        for guild in (RED, BLUE):
            await self.joining.join(store, guild)
        await store.close()
        again = self.process()
        assert (await again.start()).notes == ()
        await self.joining.judge(again)
        here = [frame.data async for frame in self.database.frames_after(0)]
        assert [frame.data async for frame in LocalLayer(self.disk, DATA, inline).frames_after(0)] == here
        assert not [name for name in self.disk.names(FOLDER) if name.endswith(".jsonl")]


def rot(disk: SimDisk, folder: Path, *lines: bytes) -> None:
    """Flips a bit in each of these lines, wherever it stands in a folder."""
    for path in [folder / name for name in disk.names(folder)]:
        data = bytearray(disk.read(path))
        for line in lines:
            if (at := data.find(line)) >= 0:
                data[at + 20] ^= 1
        disk.overwrite(path, bytes(data))


async def through(gsns: Sequence[int], guilds: Sequence[GuildId], *, in_the_same_life: bool) -> None:
    """These records rot, these guilds go on."""
    hole = Hole()
    await hole.begin()
    for gsn in gsns:
        hole.rot(gsn)
    store = await hole.go_on(guilds)
    await hole.judge(await hole.heal(store, in_the_same_life=in_the_same_life))


async def cut_through(gsn: int, guilds: Sequence[GuildId], operation: int, luck: float) -> bool:
    """The power is cut before an operation of the way back, and once more on the next; False when it is shorter."""
    hole = Hole()
    await hole.begin()
    hole.rot(gsn)
    await (await hole.go_on(guilds)).close()
    hole.database.come_back()
    for number in (operation, operation // 2):
        hole.disk.operations = 0
        hole.disk.before = cut_at(number)
        try:
            store = hole.process()
            await store.start()
            await handed_out(store)
        except PowerCut:
            hole.disk = hole.disk.crashed(Random(number), luck)
        else:
            if number == operation:
                return False
    hole.disk.before = nothing_fails
    last = hole.process()
    await last.start()
    await handed_out(last)
    await hole.judge(last)
    return True
