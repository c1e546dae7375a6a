"""The real clock and the real randomness: the only place where both are read."""

import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Pauses for so many seconds; ``asyncio.sleep`` in the program, virtual time in tests."""


class SystemClock:
    """Wall and monotonic time of this machine (``ledger.ports.Clock``)."""

    def __init__(self) -> None:
        self._last_us = 0
        self._monotonic_us = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def stamp_us(self) -> int:
        """Rises by at least one at each call. While the wall clock is behind, since it was set back, stamps go on at
        half its pace until it is there: what waits for a time to pass must not wait for all of that.
        """
        wall_us, monotonic_us = time.time_ns() // 1_000, time.monotonic_ns() // 1_000
        if wall_us <= self._last_us:
            wall_us = self._last_us + max(1, (monotonic_us - self._monotonic_us) // 2)
        self._last_us, self._monotonic_us = wall_us, monotonic_us
        return wall_us

    def monotonic_s(self) -> float:
        return time.monotonic()


class SystemRandomness:
    """The operating system's randomness (``ledger.ports.Randomness``)."""

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 -- jitter, not a secret

    def token(self) -> str:
        return secrets.token_hex(16)
