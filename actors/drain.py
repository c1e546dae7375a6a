"""How long the bot takes to stop: 5 s at most, whatever hangs.

Rules: a drain goes through its steps in their order. Each has a share; what a step leaves over, the next ones may
use. So every step has its share at least, and all together never take longer than the shares together. What is cut
costs time, and nothing that was acknowledged: the next start reads more records, or looks members up.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import accumulate
from typing import Final

from ledger.ports import Clock


class Step(StrEnum):
    """What is waited for, in this order."""

    NEWCOMER = "newcomer"  # until it hears Discord
    MAILBOXES = "mailboxes"  # until they are empty
    LIVES = "lives"  # guilds' actors, until they have ended
    CHECKPOINTS = "checkpoints"  # one of each guild
    CLOUD = "cloud"  # until it has the rest, and the goodbye
    READING = "reading"  # what was written is read back
    CHILDREN = "children"  # all others, until they have ended
    GATEWAY = "gateway"  # its connections, until they are closed


SHARES_S: Final[Mapping[Step, float]] = {
    Step.NEWCOMER: 2.0,
    Step.MAILBOXES: 1.0,
    Step.LIVES: 0.2,
    Step.CHECKPOINTS: 0.6,
    Step.CLOUD: 0.7,
    Step.READING: 0.1,
    Step.CHILDREN: 0.2,
    Step.GATEWAY: 0.2,
}
"""Seconds. What the operating system does for us (closing files, a thread in a call) has no limit but its own."""


class Drain:
    """One drain, which begins now. ``cut``: steps that were not done in time."""

    def __init__(self, clock: Clock, shares_s: Mapping[Step, float] = SHARES_S) -> None:
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._until_s = dict(zip(shares_s, accumulate(shares_s.values()), strict=True))
        self.cut: list[Step] = []

    @property
    def took_s(self) -> float:
        return self._clock.monotonic_s() - self._began_s

    def left_s(self, step: Step) -> float:
        """So long the step may still take; 0 = no more."""
        return max(0.0, self._until_s[step] - self.took_s)

    @asynccontextmanager
    async def limit(self, step: Step) -> AsyncIterator[None]:
        """Gives up what stands inside when the step's time is over, and notes it."""
        limit = asyncio.timeout(self.left_s(step))
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            self.cut.append(step)
