"""How fast and in which order Discord is asked: a limit on requests a second, one on fetches at a time, and an order.

The library obeys Discord's limits once they are hit; this keeps us from hitting them (300 fetches at
once gave 750 answers of 429). A person who waits goes before a guild that is live, that before one that starts, and
lists of members and errands come last. A permit that is free goes to whoever is first in that order, then first come.
A limit that is hit all the same is learnt from: the beat slows down, and comes back little by little.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count
from typing import Final

from actors.clock import Sleep
from actors.histogram import Distribution, Histogram
from ledger.ports import Clock

REQUESTS_PER_S: Final = 40.0
"""Discord allows 50 over all."""
FETCHES_AT_A_TIME: Final = 16
CATCH_UP: Final = 4
"""So many requests may follow at once when the loop was late: 44 in a second, which may arrive closer together."""
SLOWEST_GAP_S: Final = 1.0
RECOVERY: Final = 0.9
"""What a beat leaves of the gap: after about 30 beats without a limit the slowest is the fastest again."""
WAIT_BOUNDS_S: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)
"""Buckets of the waits for a permit."""


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
        self._shortest_gap_s = self._gap_s = 1.0 / per_s
        self._shut_until_s = 0.0
        self._free = at_a_time
        self._next_s = clock.monotonic_s()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._beating = asyncio.Lock()
        self._waited_s = Histogram(WAIT_BOUNDS_S)

    @asynccontextmanager
    async def permit(self, urgency: Urgency) -> AsyncIterator[None]:
        """One of the permits, for one fetch (of one request or several)."""
        asked_s = self._clock.monotonic_s()
        await self._acquire(urgency)
        self._waited_s.observe(self._clock.monotonic_s() - asked_s)
        try:
            yield
        finally:
            self._release()

    async def beat(self) -> None:
        """Waits until one more request may be sent."""
        async with self._beating:
            now_s = self._clock.monotonic_s()
            at_s = max(self._next_s, now_s - CATCH_UP * self._shortest_gap_s if self._waiting else now_s)
            self._next_s = at_s + self._gap_s
            self._gap_s = max(self._shortest_gap_s, self._gap_s * RECOVERY)
            if at_s > now_s:
                await self._sleep(at_s - now_s)
        while (left_s := self.shut_for_s()) > 0:  # said while we slept
            await self._sleep(left_s)

    def shut(self, for_s: float) -> None:
        """Nothing may be sent for so long."""
        self._shut_until_s = max(self._shut_until_s, self._clock.monotonic_s() + for_s)
        self._next_s = max(self._next_s, self._shut_until_s)

    def shut_for_s(self) -> float:
        """How long nothing may be sent yet; 0 = it may."""
        return max(0.0, self._shut_until_s - self._clock.monotonic_s())

    def gap_s(self) -> float:
        """Between two requests now."""
        return self._gap_s

    def slow_down(self) -> None:
        """Discord would have us slower."""
        self._gap_s = min(SLOWEST_GAP_S, self._gap_s * 2)

    def waiting(self) -> int:
        """How many wait for a permit."""
        return sum(not future.done() for _, _, future in self._waiting)

    def waited_s(self) -> Distribution:
        """How long those waited who got a permit."""
        return self._waited_s.distribution()

    async def _acquire(self, urgency: Urgency) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), turn))
        try:
            await turn
        except (Exception, asyncio.CancelledError):  # whatever ended the fetch, nobody takes this permit any more
            if not (turn.cancel() or turn.cancelled()):
                self._release()  # it was handed over just before
            raise

    def _release(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
