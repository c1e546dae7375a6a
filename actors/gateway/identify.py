"""When a shard may identify: Discord takes one IDENTIFY in 5 s for each of ``max_concurrency`` buckets.

A shard's bucket is its number modulo ``max_concurrency``. A RESUME is no IDENTIFY and waits for nobody. An IDENTIFY
that comes too early is answered by op 9, so the gate is a little slower than it must be. Discord resets the token of
whoever spends the budget of a day: a tenth of it is never touched.
"""

from collections import deque
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.preflight import Grant
from ledger.ports import Clock

IDENTIFY_EVERY_S: Final = 5.25
"""Discord's 5 s, and room for one socket that opens faster than the one before it."""
BUDGET_SHARE: Final = 0.9
DAY_S: Final = 86_400.0


class IdentifyGate:
    """Turns, handed out in the order in which they are asked for.

    Args:
        grant: how many buckets there are, and how many turns a day.
        clock: tells when a turn has come.
        sleep: waits for it.
        log: says when the day's turns are spent.
    """

    def __init__(self, grant: Grant, clock: Clock, sleep: Sleep, log: FilteringBoundLogger) -> None:
        self._buckets = grant.max_concurrency
        self._spent_s = deque[float](maxlen=max(1, int(grant.total * BUDGET_SHARE)))
        self._next_s: dict[int, float] = {}
        self._clock = clock
        self._sleep = sleep
        self._log = log

    async def turn(self, shard: int) -> None:
        """Waits until the shard may identify. The turn is spent, whether or not it then does."""
        now_s, bucket = self._clock.monotonic_s(), shard % self._buckets
        at_s = max(now_s, self._next_s.get(bucket, now_s), self._budget_from_s(now_s, shard))
        self._next_s[bucket] = at_s + IDENTIFY_EVERY_S
        self._spent_s.append(at_s)
        if at_s > now_s:
            await self._sleep(at_s - now_s)

    def _budget_from_s(self, now_s: float, shard: int) -> float:
        """From when on there is budget left."""
        if len(self._spent_s) < (self._spent_s.maxlen or 0) or self._spent_s[0] + DAY_S <= now_s:
            return now_s
        at_s = self._spent_s[0] + DAY_S
        self._log.error("identify.held", shard=shard, hint=HELD_HINT, again_s=round(at_s - now_s))
        return at_s


HELD_HINT: Final = "find out why connections are lost so often; a restart would spend what is left of the budget"
