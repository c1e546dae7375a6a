"""What is going to happen in the world, in virtual time. The world goes on while no process runs."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from tests.simulation.loop import SimLoop


class Agenda:
    """Steps with their times. While a process lives they are taken on its loop, else by ``pass_until``."""

    def __init__(self) -> None:
        self._steps: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._loop: SimLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._loop.time() if self._loop is not None else self._now_s

    def after(self, seconds: float, step: Callable[[], None]) -> None:
        """Does the step so many seconds from now."""
        self.at(self.now_s() + seconds, step)

    def at(self, when_s: float, step: Callable[[], None]) -> None:
        """Does the step at that time, or at once where that is over."""
        heapq.heappush(self._steps, (when_s, next(self._order), step))
        if self._loop is not None and (self._timer is None or self._timer.when() > when_s):
            self._arm(self._loop)

    def attach(self, loop: SimLoop) -> None:
        """From now on the steps are taken on this loop."""
        self._loop = loop
        self._arm(loop)

    def detach(self) -> None:
        """The process is over; the world waits."""
        self._now_s = self.now_s()
        self._loop = self._timer = None

    def pass_until(self, when_s: float) -> None:
        """Time passes without a process."""
        while self._steps and self._steps[0][0] <= when_s:
            self._now_s, _, step = heapq.heappop(self._steps)
            step()
        self._now_s = max(self._now_s, when_s)

    def _arm(self, loop: SimLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._steps[0][0], self._due, loop) if self._steps else None

    def _due(self, loop: SimLoop) -> None:
        self._timer = None
        while self._steps and self._steps[0][0] <= loop.time():
            heapq.heappop(self._steps)[2]()
        if self._timer is None and self._loop is loop:
            self._arm(loop)
