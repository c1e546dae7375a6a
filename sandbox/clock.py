"""Time and ids of the sandbox: both come from what is handed in, so a seed and a clock fix every id.

`Clock` never gives the same microsecond twice, therefore "before" and "after" are decided by the number alone
even where a test's clock stands still. Nothing here waits.
"""

from collections.abc import Callable
from itertools import count
from random import Random
from string import ascii_letters, digits
from typing import Final

DISCORD_EPOCH_US: Final = 1_420_070_400_000_000
US_PER_S: Final = 1_000_000
US_PER_MS: Final = 1_000
DAY_MS: Final = 86_400_000
LOW_BITS: Final = 22
CODE_LENGTH: Final = 8


class Clock:
    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s
        self._last_us = 0

    def now_us(self) -> int:
        """Microseconds since 1970; reading does not move it."""
        return max(self._last_us, round(self._time_s() * US_PER_S))

    def tick_us(self) -> int:
        """A moment later than all ticks before."""
        self._last_us = max(self._last_us + 1, round(self._time_s() * US_PER_S))
        return self._last_us


class Ids:
    """Snowflakes and invite codes."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._low = count(1)

    def snowflake(self, age_us: int = 0) -> int:
        """An id made `age_us` ago. The low bits are a counter, so 4 million ids differ whatever their age."""
        ms = (self._clock.now_us() - age_us - DISCORD_EPOCH_US) // US_PER_MS
        return (ms << LOW_BITS) | (next(self._low) & ((1 << LOW_BITS) - 1))

    def aged_snowflake(self, max_age_days: int = 900) -> int:
        """An id from the past, for what was there before the story begins."""
        return self.snowflake(self._rng.randrange(DAY_MS, max_age_days * DAY_MS) * US_PER_MS)

    def code(self) -> str:
        return "".join(self._rng.choices(ascii_letters + digits, k=CODE_LENGTH))
