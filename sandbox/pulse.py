"""Waiting for something to become true, without sleeping: whoever changes the sandbox gives a beat."""

import asyncio
from collections.abc import Callable

WAIT_S = 5.0


class Pulse:
    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def beat(self) -> None:
        for event in self._waiting:
            event.set()

    async def until(self, ready: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Return as soon as `ready()`.

        Raises:
            TimeoutError: when it is not so within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            while not ready():
                await self._next_beat()

    async def _next_beat(self) -> None:
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.discard(event)
