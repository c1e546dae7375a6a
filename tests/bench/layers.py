"""What the layers do for their bytes: fsyncs, bytes written, reading back."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ledger import messages as m
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, Period, Roll, from_pages, pages_of
from persistence.frames import Frame
from persistence.layer import guild_frames
from tests.bench import recovery
from tests.bench.figures import Measure, Row, Theme
from tests.bench.ground import (
    NOW_US,
    PATIENCE_S,
    Bot,
    CountedDisk,
    Counts,
    Ground,
    bot_over,
    bring_up,
    draft_of,
    join_of,
    of_process,
    per_s,
    user_of,
)

GUILD: Final = GuildId("1000")
REPLAYED: Final = 20_000
BASE_MEMBERS: Final = 10_000
TAIL: Final = 1_000
GUILDS, JOINS_A_GUILD = 100, 50


def theme(ground: Ground) -> Theme:
    return Theme(title="Layers", rows=(*_writing(ground), *_reading(ground)))


def _writing(ground: Ground) -> Sequence[Row]:
    return (
        Row(
            name="write/fsyncs",
            what="fsyncs of the log a batch, 100 guilds at once",
            unit="",
            ours=lambda: fsyncs_a_batch(ground),
            wanted=1,
            at_most=True,
            rounds=1,
        ),
        Row(
            name="write/amplification",
            what="bytes written a byte of records: log, SQLite, checkpoints; 100 guilds, 50 joins each",
            unit="",
            ours=lambda: amplification(ground),
            wanted=8,
            at_most=True,
            rounds=1,
        ),
    )


def _reading(ground: Ground) -> Sequence[Row]:
    replayed = Replayed(ground)
    base = GuildState(
        guild=GUILD, members=Roll({user_of(n): (Period(NOW_US + n, NOW_US + n),) for n in range(BASE_MEMBERS)})
    )
    pages = tuple(pages_of(base))
    return (
        Row(
            name="read/replay",
            what="records read back from the log, verified, evolved",
            unit="/s",
            ours=replayed.ours,
            peer=replayed.peer,
            beside="decoding the same lines",
            wanted=150_000,
            absolute=True,
        ),
        Row(
            name="read/base",
            what="a checkpoint of 10,000 members read",
            unit="ms",
            ours=timed(lambda: from_pages(pages)),
            peer=timed(lambda: [json.loads(page) for page in pages]),
            beside="json.loads",
            wanted=10,
            absolute=True,
            at_most=True,
        ),
        Row(
            name="write/base",
            what="a checkpoint of 10,000 members made",
            unit="ms",
            ours=timed(lambda: tuple(pages_of(base))),
            wanted=10,
            at_most=True,
        ),
        *recovery.rows(ground),
    )


def timed(work: Callable[[], object]) -> Measure:
    """How long it takes, in milliseconds."""

    async def measure() -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1_000

    return measure


async def fsyncs_a_batch(ground: Ground) -> float:
    counts = Counts()
    async with bot_over(ground.layers("log", "database", disk=CountedDisk(counts))) as bot:
        known = await bring_up(bot, GUILDS)
        syncs, batches = counts.syncs, bot.journal.statistics().batches
        await per_s(GUILDS, lambda writer, n: bot.roster.ask(known[writer], join_of(n), PATIENCE_S))
        return (counts.syncs - syncs) / (bot.journal.statistics().batches - batches)


async def amplification(ground: Ground) -> float:
    """All that this process hands to ``write`` while people join, until layers and checkpoints are closed."""
    layers = ground.layers("log", "database")
    began = _written()
    async with bot_over(layers) as bot:
        known = await bring_up(bot, GUILDS)
        for n in range(JOINS_A_GUILD):
            await _one_each(bot, known, n)
        for guild in known:
            await bot.supervisor.keep_checkpoint(guild)
        frames = [frame async for frame in layers[0].frames_after(0)]
    return (_written() - began) / sum(len(frame.data) for frame in frames)


async def _one_each(bot: Bot, known: Sequence[GuildId], n: int) -> None:
    for guild in known:
        bot.roster.tell(guild, join_of(n))
    for guild in known:
        await bot.roster.ask(guild, m.DescribeWindow(), PATIENCE_S)


def _written() -> int:
    """Bytes that this process has given to write calls (Linux)."""
    return int(next(line for line in of_process("io").splitlines() if line.startswith("wchar")).split()[1])


class Replayed:
    """Records of one guild in a log."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._frames: Sequence[Frame] = ()

    async def ours(self) -> float:
        (layer,) = self._ground.layers("log")
        async with bot_over((layer,)) as bot:
            await bot.journal.open(GUILD, 1)
            for base in range(0, REPLAYED, TAIL):
                await bot.journal.append(GUILD, 1, base, tuple(draft_of(base + n) for n in range(TAIL)))
            began, state = time.perf_counter(), GuildState(guild=GUILD)
            self._frames = await guild_frames(layer, GUILD, 0)
            for frame in self._frames:
                state = evolve(state, frame.record)
            return REPLAYED / (time.perf_counter() - began)

    async def peer(self) -> float:
        decoder = msgspec.json.Decoder(Record)
        lines = [frame.data for frame in self._frames]
        began = time.perf_counter()
        for line in lines:
            decoder.decode(line)
        return REPLAYED / (time.perf_counter() - began)
