"""How often the bot may IDENTIFY: the day's budget, and one at a time for each `max_concurrency` bucket.

Source: Discord's docs, "Session Start Limit Object" and "Sharding, max_concurrency". Whoever is too soon gets op 9;
whoever goes beyond the budget loses all sessions and the token.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from sandbox.wire import JsonObject

TOTAL: Final = 1_000
PERIOD_S: Final = 86_400.0
EVERY_S: Final = 5.0


class Start(Enum):
    ALLOWED = auto()
    TOO_SOON = auto()
    SPENT = auto()


class Identifies:
    """The budget; each field may be set by a test at any time.

    Attributes:
        total, remaining: IDENTIFYs in a period, and how many are left.
        max_concurrency: how many buckets there are; a shard's is its number modulo this.
        every_s: the pause between two IDENTIFYs of one bucket.
        shards: how many Discord recommends.
    """

    def __init__(self, monotonic_s: Callable[[], float], every_s: float = EVERY_S) -> None:
        self._monotonic_s = monotonic_s
        self._ends_s = monotonic_s() + PERIOD_S
        self._last_s: dict[int, float] = {}
        self.total = self.remaining = TOTAL
        self.max_concurrency = 1
        self.every_s = every_s
        self.shards = 1

    def set_limit(
        self,
        *,
        total: int | None = None,
        remaining: int | None = None,
        max_concurrency: int | None = None,
        reset_after_s: float | None = None,
    ) -> None:
        """None leaves a value as it is."""
        self.total = self.total if total is None else total
        self.remaining = self.remaining if remaining is None else remaining
        self.max_concurrency = self.max_concurrency if max_concurrency is None else max_concurrency
        if reset_after_s is not None:
            self._ends_s = self._monotonic_s() + reset_after_s

    def start(self, shard: int) -> Start:
        """Count one IDENTIFY, refused ones too."""
        now_s = self._monotonic_s()
        self._begin_period_if_over(now_s)
        self.remaining -= 1
        if self.remaining < 0:
            self.remaining = 0
            return Start.SPENT
        bucket = shard % self.max_concurrency
        soon = now_s - self._last_s.get(bucket, -self.every_s) < self.every_s
        self._last_s[bucket] = now_s
        return Start.TOO_SOON if soon else Start.ALLOWED

    def payload(self) -> JsonObject:
        """`session_start_limit` of GET /gateway/bot."""
        now_s = self._monotonic_s()
        self._begin_period_if_over(now_s)
        return {
            "total": self.total,
            "remaining": self.remaining,
            "reset_after": round((self._ends_s - now_s) * 1_000),
            "max_concurrency": self.max_concurrency,
        }

    def _begin_period_if_over(self, now_s: float) -> None:
        if now_s >= self._ends_s:
            self.remaining = self.total
            self._ends_s = now_s + PERIOD_S
