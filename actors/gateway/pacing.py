"""How fast and in which order Discord is asked: a limit on requests a second, one on fetches at a time, and an order.

The library obeys Discord's limits once they are hit; this keeps us from hitting them (300 fetches at
once gave 750 answers of 429). A person who waits goes before a guild that is live, that before one that starts, and
lists of members come last. A permit that is free goes to whoever is first in that order, then first come.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count
from typing import Final

from actors.clock import Sleep
from ledger.ports import Clock

REQUESTS_PER_S: Final = 40.0
"""Discord allows 50 over all."""
FETCHES_AT_A_TIME: Final = 16


class Urgency(IntEnum):
    """Who goes first."""

    PERSON = 0
    LIVE = 1
    STARTING = 2
    LISTING = 3


class Pacer:
    """Permits and a beat.

    Args:
        clock: tells when the next request may be sent.
        sleep: waits for it.
        per_s: requests a second at most.
        at_a_time: permits out at most.
    """

    def __init__(
        self, clock: Clock, sleep: Sleep, per_s: float = REQUESTS_PER_S, at_a_time: int = FETCHES_AT_A_TIME
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._gap_s = 1.0 / per_s
        self._free = at_a_time
        self._next_s = clock.monotonic_s()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def permit(self, urgency: Urgency) -> AsyncIterator[None]:
        """One of the permits, for one fetch (of one request or several)."""
        await self._acquire(urgency)
        try:
            yield
        finally:
            self._release()

    async def beat(self) -> None:
        """Waits until one more request may be sent."""
        now_s = self._clock.monotonic_s()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + self._gap_s
        if at_s > now_s:
            await self._sleep(at_s - now_s)

    def waiting(self) -> int:
        """How many wait for a permit."""
        return sum(not future.done() for _, _, future in self._waiting)

    async def _acquire(self, urgency: Urgency) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # it was handed over just before
            raise

    def _release(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
