"""The pace of Discord: 60 joins a minute in each of 100 guilds. Real time, nothing is compressed: people join as they
would, 100 a second over all, for ``SECONDS_OF_JOINS``; bot and sandbox share this process, whose figures are counts.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Final

from sandbox import Sandbox
from tests.bench.figures import Row, Theme
from tests.bench.ground import Ground
from tests.system.fleet import Fleet
from tests.system.startup import seconds_of

GUILDS: Final = 100
JOINS_A_SECOND: Final = 1
SECONDS_OF_JOINS: Final = 12
PATIENCE_S: Final = 90.0
MOST_REQUESTS_A_SECOND: Final = 50


def theme(ground: Ground) -> Theme:
    paced = Paced(ground.fresh())
    return Theme(
        title="Discord's pace: 60 joins a minute in each of 100 guilds, in real time",
        rows=(
            Row(
                name="pace/most",
                what="REST calls in the busiest second",
                unit="/s",
                ours=paced.most,
                wanted=MOST_REQUESTS_A_SECOND,
                at_most=True,
                rounds=1,
            ),
            Row(name="pace/mean", what="REST calls a second", unit="/s", ours=paced.mean, at_most=True, rounds=1),
            Row(
                name="pace/behind",
                what="from the last join until all are worked out",
                unit="s",
                ours=paced.behind,
                at_most=True,
                rounds=1,
            ),
        ),
    )


class Paced:
    """One run, measured once."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._seconds = Counter[int]()
        self._behind_s = -1.0

    async def most(self) -> float:
        await self._run()
        return max(self._seconds.values())

    async def mean(self) -> float:
        await self._run()
        return sum(self._seconds.values()) / len(self._seconds)

    async def behind(self) -> float:
        await self._run()
        return self._behind_s

    async def _run(self) -> None:
        if self._behind_s >= 0:
            return
        async with Sandbox(seed=5) as sandbox:
            fleet = Fleet(sandbox, self._data, guilds=GUILDS, shards=1)
            async with fleet.running():
                await fleet.live()
                await fleet.until(lambda: len(fleet.named("members.listed")) >= GUILDS)
                self._seconds = seconds_of(sandbox)
                await _let_people_in(fleet)
                ended = time.monotonic()
                await fleet.worked_out(PATIENCE_S)
                self._behind_s = time.monotonic() - ended


async def _let_people_in(fleet: Fleet) -> None:
    """One guild after the other, evenly spread over each second."""
    began = time.monotonic()
    for number in range(GUILDS * JOINS_A_SECOND * SECONDS_OF_JOINS):
        await asyncio.sleep(began + number / (GUILDS * JOINS_A_SECOND) - time.monotonic())
        fleet.join(fleet.guilds[number % GUILDS])
