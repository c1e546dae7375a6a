"""``make bench``: what durability costs, as ratios of one run. Timings are noisy; the ratios are what counts.

raw = one small append and fdatasync, one after another. Each figure beside it is durable joins (or records) a second.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ledger import messages as m
from ledger.evolve import evolve
from ledger.ids import GuildId, SessionId, UserId
from ledger.records import Draft, GatewayCause, InternalCause, JoinRecorded, join_key
from ledger.state import GuildState
from persistence.disk import RealDisk
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from tests.actors.harness import SESSION, Bot, running

WRITERS: Final = (1, 10, 100, 1_000)
SECONDS: Final = 1.5
FRAME: Final = b"x" * 400
NOW_US: Final = 1_700_000_000_000_000


class Ground:
    """A scratch folder and its layers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offload = ThreadOffload("bench")
        self._made = 0

    def layers(self, *names: str) -> Sequence[Layer]:
        """Fresh layers of these names."""
        self._made += 1
        data, disk = self.folder / str(self._made), RealDisk()
        made: dict[str, Layer] = {
            "log": LocalLayer(disk, data, self.offload),
            "database": SqliteLayer(disk, data / "ledger.db", data / "quarantine"),
        }
        data.mkdir()
        return tuple(made[name] for name in names)


def raw_per_s(folder: Path) -> float:
    """Appends with fdatasync, one after another."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        os.write(descriptor, FRAME)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.perf_counter() - began)


async def per_s(writers: int, write: Callable[[int, int], Awaitable[object]]) -> float:
    """``write(writer, n)`` by so many writers at once, each waiting for its own."""
    began, count = time.perf_counter(), 0

    async def one(writer: int) -> None:
        nonlocal count
        n = 0
        while time.perf_counter() - began < SECONDS:
            await write(writer, n)
            n, count = n + 1, count + 1

    await asyncio.gather(*(one(writer) for writer in range(writers)))
    return count / (time.perf_counter() - began)


def join_of(writer: int, n: int) -> m.RecordJoin:
    return m.RecordJoin(
        cause=GatewayCause(session=SESSION, number=n + 1, lane="members"),
        session=SESSION,
        user=UserId(str(10**17 + n)),
        joined_at_us=NOW_US + n,
        arrived_us=NOW_US + n + writer,
    )


async def joins_through_actors(ground: Ground, writers: int, *names: str) -> float:
    """A join through guild actor, journal and layers, one guild a writer; counters are never fetched."""
    async with running(Bot(ground.layers(*names))) as bot:
        bot.outside.silent = True
        guilds = [GuildId(str(1_000 + writer)) for writer in range(writers)]
        await asyncio.gather(*(bot.supervisor.roster.ask(guild, m.DescribeGuild(), 60.0) for guild in guilds))

        async def write(writer: int, n: int) -> None:
            await bot.supervisor.roster.ask(guilds[writer], join_of(writer, n), 60.0)

        return await per_s(writers, write)


async def journal_alone(ground: Ground, writers: int, *names: str) -> float:
    """One record a writer at a time into the journal."""
    async with running(Bot(ground.layers(*names))) as bot:
        for writer in range(writers):
            await bot.journal.open(GuildId(str(1_000 + writer)), 1)

        async def write(writer: int, n: int) -> None:
            await bot.journal.append(GuildId(str(1_000 + writer)), 1, n, (draft_of(n),))

        return await per_s(writers, write)


async def replay_per_s(ground: Ground) -> float:
    """Records of one guild, read back from the log and evolved."""
    (layer,) = ground.layers("log")
    guild, count = GuildId("1000"), 20_000
    async with running(Bot((layer,))) as bot:
        await bot.journal.open(guild, 1)
        for base in range(0, count, 1_000):
            await bot.journal.append(guild, 1, base, tuple(draft_of(base + n) for n in range(1_000)))
        began, state = time.perf_counter(), GuildState(guild=guild)
        for frame in await layer.guild_frames(guild, 0):
            state = evolve(state, frame.record)
        return count / (time.perf_counter() - began)


def draft_of(n: int) -> Draft:
    event = JoinRecorded(
        user=UserId(str(10**17 + n)),
        joined_at_us=NOW_US + n,
        arrived_us=NOW_US + n,
        session=SessionId("s"),
        origin="unreadable",
    )
    return Draft(event=event, cause=InternalCause(what="bench"), key=join_key(event.user, event.joined_at_us))


async def measure(console: Console) -> Table:
    table = Table("durable a second", *(f"{writers} at once" for writers in WRITERS), "wanted, × raw")
    with tempfile.TemporaryDirectory() as scratch, Progress(console=console, transient=True) as progress:
        ground = Ground(Path(scratch))
        task = progress.add_task("measuring", total=4 * len(WRITERS) + 2)
        raw = raw_per_s(ground.folder)
        progress.advance(task)

        async def row(name: str, wanted: str, one: Callable[[int], Awaitable[float]]) -> None:
            cells = []
            wants = [float(each) for each in wanted.split(" / ")] if wanted else [0.0] * len(WRITERS)
            for writers, want in zip(WRITERS, wants, strict=True):
                rate = await one(writers)
                mark = "" if not want else " met" if rate / raw >= want else " missed"
                cells.append(f"{rate:,.0f} ({rate / raw:.2f} ×{mark})")
                progress.advance(task)
            table.add_row(name, *cells, wanted)

        table.add_row("raw append + fdatasync", f"{raw:,.0f}", "", "", "", "1")
        await row(
            "join: actor, journal, log, database",
            "0.25 / 1.5 / 5 / 6",
            lambda writers: joins_through_actors(ground, writers, "log", "database"),
        )
        await row("join: actor, journal, log", "", lambda writers: joins_through_actors(ground, writers, "log"))
        await row(
            "journal into log and database", "", lambda writers: journal_alone(ground, writers, "log", "database")
        )
        await row(
            "journal into the database alone",
            "0.35 / 4 / 18 / 28",
            lambda writers: journal_alone(ground, writers, "database"),
        )
        replayed = await replay_per_s(ground)
        table.add_row("replay, records a second", f"{replayed:,.0f}", "", "", "", "150,000")
        ground.offload.close()
    return table


def main() -> int:
    console = Console(highlight=False)
    console.print(asyncio.run(measure(console)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
