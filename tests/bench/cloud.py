"""What the cloud costs: waiting for an upload, requests, lag, coming back from it.

The store is in memory and answers after ``PUT_S``, as one across a network would; what is measured is ours.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Final

from actors.clock import SystemClock, SystemRandomness
from ledger.ids import GuildId
from persistence.cloud import CloudLayer
from tests.bench.durable import joins_per_s
from tests.bench.figures import Row, Theme
from tests.bench.ground import Bot, Ground, bot_over, draft_of, per_s
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.memory.store import store_of

PUT_S: Final = 0.03
WRITERS: Final = 100
BURST: Final = 1_000
RESTORED: Final = 50_000
GUILD: Final = GuildId("1000")
CLOUD: Final = frozenset({"cloud"})


def theme(ground: Ground) -> Theme:
    return Theme(title="Cloud", rows=(*_waiting(ground), *_following(ground)))


def _waiting(ground: Ground) -> Sequence[Row]:
    return (
        Row(
            name="cloud/ack",
            what=f"LEDGER_ACK=cloud, {WRITERS} writers: an acknowledgement, in the middle",
            unit="ms",
            ours=lambda: acknowledged_after_ms(ground),
            peer=put_ms,
            beside="a PUT of the same store",
            wanted=1.5,
            at_most=True,
        ),
        Row(
            name="cloud/joins",
            what=f"records acknowledged through an upload, {WRITERS} writers",
            unit="/s",
            ours=lambda: cloud_acks_per_s(ground),
        ),
        Row(
            name="layers/two",
            what="joins, 100 guilds at once, into log and SQLite",
            unit="/s",
            ours=lambda: joins_per_s(ground.layers("log", "database"), 100),
            peer=lambda: joins_per_s(ground.layers("log"), 100),
            beside="into the log alone",
            wanted=0.6,
        ),
    )


def _following(ground: Ground) -> Sequence[Row]:
    return (
        Row(
            name="cloud/requests",
            what=f"requests for {BURST:,} joins in a burst, LEDGER_ACK=database",
            unit="",
            ours=lambda: requests_of_a_burst(ground),
            wanted=20,
            at_most=True,
        ),
        Row(
            name="cloud/lag",
            what=f"how long the cloud lags behind at most, {WRITERS} writers without a pause",
            unit="s",
            ours=lambda: longest_lag_s(ground),
            wanted=1.0,
            at_most=True,
        ),
        Row(
            name="cloud/restore",
            what=f"an empty folder comes back: {RESTORED:,} records into log and SQLite",
            unit="/s",
            ours=lambda: restored_per_s(ground),
            rounds=1,
        ),
    )


class Sky:
    """A bucket, and a way to it that counts."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket()
        self.objects = MemoryObjects(self.bucket)
        self.objects.after = self._answer
        self.calls = 0

    async def _answer(self, _: Call) -> None:
        self.calls += 1
        await asyncio.sleep(PUT_S)

    def layer(self, ground: Ground) -> CloudLayer:
        return CloudLayer(self.objects, ground.offload, SystemRandomness(), SystemClock(), "bench")


@asynccontextmanager
async def _bot(ground: Ground, sky: Sky, names: frozenset[str] = frozenset()) -> AsyncIterator[Bot]:
    layers = ground.layers("log", "database")
    async with bot_over(layers, cloud=sky.layer(ground), names=names) as bot:
        for writer in range(WRITERS):
            await bot.journal.open(_guild(writer), 1)
        yield bot


def _guild(writer: int) -> GuildId:
    return GuildId(str(1_000 + writer))


async def acknowledged_after_ms(ground: Ground) -> float:
    took: list[float] = []
    async with _bot(ground, Sky(), CLOUD) as bot:

        async def write(writer: int, n: int) -> None:
            began_s = time.perf_counter()
            await bot.journal.append(_guild(writer), 1, n, (draft_of(n),))
            took.append(time.perf_counter() - began_s)

        await per_s(WRITERS, write)
    return median(took) * 1_000


async def put_ms() -> float:
    objects, took = Sky().objects, []
    for n in range(10):
        began_s = time.perf_counter()
        await objects.create(f"seg/{n:010d}", b"x" * 4_096)
        took.append(time.perf_counter() - began_s)
    return median(took) * 1_000


async def cloud_acks_per_s(ground: Ground) -> float:
    async with _bot(ground, Sky(), CLOUD) as bot:
        return await per_s(WRITERS, lambda writer, n: bot.journal.append(_guild(writer), 1, n, (draft_of(n),)))


async def requests_of_a_burst(ground: Ground) -> float:
    sky = Sky()
    async with _bot(ground, sky) as bot:
        sky.calls = 0
        for n in range(BURST // WRITERS):
            await asyncio.gather(
                *(bot.journal.append(_guild(writer), 1, n, (draft_of(n),)) for writer in range(WRITERS))
            )
            await asyncio.sleep(0.1)
        await _caught_up(bot)
    return sky.calls


async def longest_lag_s(ground: Ground) -> float:
    """From the first record that the cloud lacks until it lacks none of those."""
    lags = [0.0]
    async with _bot(ground, Sky()) as bot:
        following = bot.store.following
        assert following is not None, "there is a cloud"

        async def watch() -> None:
            since_s, wanted = time.perf_counter(), 0
            while True:
                if following.seat.gsn >= wanted:
                    lags.append(time.perf_counter() - since_s if wanted else 0.0)
                    since_s, wanted = time.perf_counter(), following.seat.gsn + following.behind()
                await asyncio.sleep(0.005)

        watching = asyncio.get_running_loop().create_task(watch())
        await per_s(WRITERS, lambda writer, n: bot.journal.append(_guild(writer), 1, n, (draft_of(n),)))
        await _caught_up(bot)
        watching.cancel()
    return max(lags)


async def restored_per_s(ground: Ground) -> float:
    sky = Sky()
    async with bot_over(ground.layers("log"), cloud=sky.layer(ground)) as bot:
        await bot.journal.open(GUILD, 1)
        for base in range(0, RESTORED, BURST):
            await bot.journal.append(GUILD, 1, base, tuple(draft_of(base + n) for n in range(BURST)))
        await _caught_up(bot)
    layers = ground.layers("log", "database")
    store = store_of(layers, SystemClock(), SystemRandomness(), sky.layer(ground))
    began_s = time.perf_counter()
    await store.start()
    took_s = time.perf_counter() - began_s
    await store.close()
    return RESTORED / took_s


async def _caught_up(bot: Bot) -> None:
    while bot.store.following is not None and bot.store.following.behind():  # noqa: ASYNC110 -- no event tells it
        await asyncio.sleep(0.01)
