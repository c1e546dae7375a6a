"""What an adversity can reach: the bot, its folder, the people, the sandbox, and the chance of this round."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from sandbox import Sandbox
from tests.chaos.bot import Bot
from tests.chaos.crowd import Crowd
from tests.chaos.judge import Judge

LONGEST_MOMENT_S: Final = 1.5


class Scene:
    """One round's parts. ``done``: how often what was done; ``skipped``: what could not be done here, and why."""

    def __init__(
        self, *, sandbox: Sandbox, crowd: Crowd, bot: Bot, judge: Judge, folder: Path, random: Random, mounted: bool
    ) -> None:
        self.sandbox = sandbox
        self.crowd = crowd
        self.bot = bot
        self.judge = judge
        self.folder = folder
        self.data = folder / "data"
        self.random = random
        self.mounted = mounted
        self.done = Counter[str]()
        self.skipped: list[str] = []

    async def moment(self, longest_s: float = LONGEST_MOMENT_S) -> None:
        """Lets some time pass, so that what comes next hits whatever is under way by then."""
        await asyncio.sleep(self.random.uniform(0, longest_s))

    async def kill(self, *, with_log: bool = True) -> None:
        """SIGKILL; then, where the log is there, what was acknowledged is looked for."""
        self.crowd.fall_unheard()
        await self.bot.kill()
        self.done["SIGKILL"] += 1
        if with_log:
            self.judge.look_back()

    async def end_life(self) -> None:
        """Ends the life one way or the other."""
        if self.random.random() < 0.5:
            await self.kill()
        else:
            await self.drain()

    async def drain(self) -> None:
        """SIGTERM; it has to end well; then what was acknowledged is looked for."""
        self.crowd.fall_unheard()
        code = await self.bot.drain()
        self.done["SIGTERM"] += 1
        self.judge.expect(code == 0, f"the drain ended with {code}")
        self.judge.look_back()

    async def kill_starts(self, times: int) -> None:
        """Lives that are killed somewhere between their spawn and their being live."""
        for _ in range(times):
            await self.bot.begin()
            await asyncio.sleep(self.random.uniform(0, self.bot.starts_s[-1]))
            await self.bot.kill()
            self.done["SIGKILL in a start"] += 1
