"""How long many guilds take to become live, and what else is noticed meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from actors.gateway.pacing import REQUESTS_PER_S
from sandbox import Sandbox
from tests.system.fleet import Fleet

LAG_TICK_S = 0.01


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A start in numbers.

    ``live_s``: from the start until every guild is live; ``paced_s``: what their fetches alone take at the pacer's
    rate; ``join_s``: from a join in a guild that is live until its verdict, while others still start;
    ``lag_s``: the longest that the loop kept somebody waiting; ``memory_mib``: at the peak, bot and sandbox together.
    """

    guilds: int
    live_s: float
    paced_s: float
    listed_s: float
    join_s: float
    most_in_a_second: int
    limited: int
    lag_s: float
    memory_mib: float

    @property
    def ratio(self) -> float:
        return self.live_s / self.paced_s


async def start_up(fleet: Fleet, patience_s: float) -> Figures:
    """Starts the bot, lets somebody join early, waits until all is live and every member list is read."""
    guilds, seconds = len(fleet.guilds), seconds_of(fleet.sandbox)
    async with _lag() as longest, fleet.running():
        began_s = time.monotonic()
        await fleet.until(lambda: len(fleet.live_now) >= max(1, guilds // 10), patience_s)
        join_s = await _early_join(fleet)
        await fleet.until(lambda: len(fleet.live_now) == guilds, patience_s)
        live_s = time.monotonic() - began_s
        await fleet.until(lambda: len(fleet.named("members.listed")) >= guilds, patience_s)
        listed_s = time.monotonic() - began_s
    return Figures(
        guilds=guilds,
        live_s=live_s,
        paced_s=guilds / REQUESTS_PER_S,
        listed_s=listed_s,
        join_s=join_s,
        most_in_a_second=max(seconds.values()),
        limited=len(fleet.named("rest.limited")),
        lag_s=longest(),
        memory_mib=resident_mib(),
    )


def resident_mib() -> float:
    """The most that this process had in memory so far; ``ru_maxrss`` begins with what its parent had."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


async def _early_join(fleet: Fleet) -> float:
    guild = next(guild for guild in fleet.guilds if str(guild.id) in fleet.live_now)
    began_s, join = time.monotonic(), fleet.join(guild)
    await fleet.until(lambda: not fleet.unsettled([join]))
    return time.monotonic() - began_s


def seconds_of(sandbox: Sandbox) -> Counter[int]:
    """Counts the sandbox's requests by the second in which they came."""
    seconds, log = Counter[int](), sandbox.edge._log

    def count(*request: object, **more: object) -> None:
        seconds[int(time.monotonic())] += 1
        log(*request, **more)

    sandbox.edge._log = count
    return seconds


@asynccontextmanager
async def _lag() -> AsyncIterator[Callable[[], float]]:
    """Watches how late the loop is."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            due_s = time.monotonic() + LAG_TICK_S
            await asyncio.sleep(LAG_TICK_S)
            longest_s = max(longest_s, time.monotonic() - due_s)

    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield lambda: longest_s
    finally:
        task.cancel()
        await asyncio.wait([task])
