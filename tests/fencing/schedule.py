"""One schedule: a few processes with a bucket between them, in an order and with troubles that a seed chooses.

Each process has some lives. A life takes over (also while another one writes), uploads batches, saves checkpoints,
packs, and goes on after errors as the store and the uploader do: by asking again for the same, or for more, or by
opening anew. It may be killed anywhere. When all are over and nothing is on its way any more, one more takes over, in
fine weather; what it reads is judged.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final, TypeVar

import msgspec

from ledger.errors import Stale, StorageError
from ledger.ids import GuildId
from persistence import cloud_packs
from persistence.checkpoints import make_checkpoint
from persistence.cloud import CloudLayer
from persistence.frames import Frame
from persistence.layer import LayerSummary
from persistence.objects import Unreachable
from persistence.offload import inline
from tests.fencing.oracle import Oracle
from tests.fencing.world import FINE, LATE_S, Network, WatchedBucket, Weather, drawn
from tests.persistence.making import BLUE, RED, Chain
from tests.simulation.loop import SimClock, SimLoop, SimRandomness
from tests.simulation.violation import Violation

TRIES: Final = 8
"""A life gives up after so many errors."""
PACKED: Final = 5
"""So many segments are packed already, so that packs come in."""

T = TypeVar("T")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``broken``: the invariant, "" = none; ``seen``: how often what happened; ``acknowledged``: records."""

    seed: int
    broken: str
    why: str
    seen: Counter[str]
    acknowledged: int


def run(seed: int) -> Outcome:
    """Plays a schedule. The same seed gives the same one."""
    schedule = Schedule(seed)
    loop = SimLoop(Random(f"order {seed}"))
    broken = why = ""
    with packing_early():
        try:
            loop.run(schedule.play())
        except Violation as error:
            broken, why = error.name, str(error)
        finally:
            loop.abandon()
    return Outcome(seed=seed, broken=broken, why=why, seen=schedule.seen, acknowledged=schedule.oracle.acknowledged)


@contextmanager
def packing_early() -> Iterator[None]:
    """Histories are short here."""
    before, cloud_packs.PACK_SEGMENTS = cloud_packs.PACK_SEGMENTS, PACKED
    try:
        yield
    finally:
        cloud_packs.PACK_SEGMENTS = before


class Schedule:
    """What a seed chose, and what came of it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bucket = WatchedBucket()
        self.oracle = Oracle(self.bucket)
        self.seen: Counter[str] = Counter()
        self.guilds = self.random.choice(((RED,), (RED, BLUE)))
        self.saving = self.random.choice((0.1, 1.0))
        self.forgetting = self.random.choice((0.1, 1.0))

    async def play(self) -> None:
        names = ["ann", "ben", "cleo"][: self.random.choice((2, 2, 3))]
        await _all([self._process(name) for name in names])
        await asyncio.sleep(3 * LATE_S)
        await self._judge()

    async def _process(self, name: str) -> None:
        for number in range(self.random.choice((1, 2, 3))):
            await asyncio.sleep(self.random.choice((0.0, 0.2, 3.0)) * self.random.random())
            life = Life(self, name, f"{name} {number}", drawn(self.random))
            limit_s = self.random.choice((0.3, 3.0, 60.0)) if self.random.random() < 0.4 else None
            try:
                async with asyncio.timeout(limit_s and limit_s * self.random.random()):
                    await life.live()
            except TimeoutError:
                self.seen["killed"] += 1

    async def _judge(self) -> None:
        last = Life(self, "last", "last", FINE)
        summary = await last.take_over()
        await last.work(summary)
        reader = Life(self, "reader", "reader", FINE).layer
        found = await reader.open()
        if found.missing or found.notes:
            self.seen["noted"] += 1
        self.oracle.judge([frame async for frame in reader.frames_after(0)], found.heads)

    def happens(self, chance: float) -> bool:
        return self.random.random() < chance

    async def pause(self) -> None:
        """Nobody knows how long a process stands still."""
        await asyncio.sleep(self.random.choice((0.0, 0.0, 0.01, 0.5, 8.0)) * self.random.random())


class Life:
    """One life of one process: it has nothing but what it reads from the bucket."""

    def __init__(self, schedule: Schedule, writer: str, name: str, weather: Weather) -> None:
        self._schedule = schedule
        self._name = name
        random = schedule.random
        network = Network(schedule.bucket, random, weather, self._saw)
        clock = SimClock(asyncio.get_running_loop())
        self.layer = CloudLayer(network.objects, inline, SimRandomness(random), clock, writer)
        self._epoch = 0
        self._lineage = f"of {name}"
        self._chain = Chain()
        self._written: list[Frame] = []
        self._errors = 0

    async def live(self) -> None:
        while self._errors < TRIES:
            try:
                await self.work(await self.take_over())
            except Stale:
                self._saw("stale")
                self._schedule.oracle.stale(self._epoch)
                return
            except StorageError:
                self._errors += 1
                await self._schedule.pause()
            else:
                return

    async def take_over(self) -> LayerSummary:
        summary = await self.layer.open()
        self._lineage = summary.lineage or self._lineage
        self._epoch = max(self._epoch, summary.epoch) + 1
        while not await self._asked_again(lambda: self.layer.claim(self._epoch)):
            self._epoch += 1
        self._schedule.oracle.claimed(self._epoch, self._name)
        await self._schedule.pause()
        summary = await self._asked_again(lambda: self.layer.fence(self._epoch, self._lineage))
        self._schedule.oracle.took_over(self._epoch)
        self._schedule.oracle.read(self._epoch, [each async for each in self.layer.frames_after(0)])
        self._saw("take-over")
        return summary

    async def work(self, summary: LayerSummary) -> None:
        self._chain = Chain(self._epoch)
        self._chain.gsn, self._chain.heads = summary.gsn, dict(summary.heads)
        for _ in range(self._schedule.random.randrange(1, 6)):
            await self._schedule.pause()
            await self._upload(self._made())
            if self._schedule.happens(self._schedule.saving):
                await self._asked_again(self._save)
            if self._schedule.happens(0.4):
                while await self._asked_again(self.layer.pack):
                    self._saw("pack")

    async def _upload(self, frames: list[Frame]) -> None:
        """As the uploader: asks again for the same, perhaps for more; or the layer is opened anew."""
        while True:
            try:
                await self.layer.append(frames)
            except Unreachable:
                self._count_error()
                await self._schedule.pause()
                if self._schedule.happens(0.3):
                    frames = [*frames, *self._made()]
                elif self._schedule.happens(0.5):
                    await self._reopen()
            else:
                self._schedule.oracle.acked(self._epoch, frames)
                return

    async def _reopen(self) -> None:
        self._saw("reopened")
        await self.layer.close()
        await self._asked_again(self.layer.open)
        await self._asked_again(lambda: self.layer.fence(self._epoch, self._lineage))

    async def _save(self) -> None:
        guild: GuildId = self._schedule.random.choice(self._schedule.guilds)
        head = self._chain.heads.get(guild)
        if head is not None and head.gsn <= self._schedule.oracle.acknowledged:
            forgot_seq = head.seq if self._schedule.happens(self._schedule.forgetting) else 0
            checkpoint = make_checkpoint(guild, head, self._lineage, (b"{}",), forgot_seq)
            await self.layer.save_checkpoint(checkpoint)
            self._schedule.oracle.saved(checkpoint)
            self._saw("checkpoint")

    def _made(self) -> list[Frame]:
        random = self._schedule.random
        return [frame for _ in range(random.randrange(1, 4)) for frame in self._appended(random)]

    def _appended(self, random: Random) -> list[Frame]:
        return self._chain.append(random.choice(self._schedule.guilds), random.choice((1, 1, 2)))

    async def _asked_again(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except Unreachable:
                self._count_error()
                if self._schedule.happens(0.3):
                    raise
                await self._schedule.pause()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= TRIES:
            raise StorageError("given up")

    def _saw(self, what: str) -> None:
        self._schedule.seen[what] += 1


async def _all(processes: list[Awaitable[None]]) -> None:
    for result in await asyncio.gather(*processes, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
