"""When a shard may identify: Discord takes one IDENTIFY in 5 s for each of ``max_concurrency`` buckets.

A shard's bucket is its number modulo ``max_concurrency``. A RESUME is no IDENTIFY and waits for nobody. An IDENTIFY
that comes too early is answered by op 9, so the gate is a little slower than it must be. It is passed twice: the long
waits come before a socket is open (``turn``), and since sockets open faster or slower, what then is left of the pause
is waited for right before the IDENTIFY (``identify``), which is what is counted. Discord resets the token of whoever
spends the budget of a day: a tenth of it is never touched, and what was spent before the start counts.
"""

from asyncio import Lock
from collections import defaultdict, deque
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.preflight import Grant
from ledger.ports import Clock

IDENTIFY_EVERY_S: Final = 5.25
"""Discord's 5 s, and room for one IDENTIFY that travels faster than the one before it."""
BUDGET_SHARE: Final = 0.9
DAY_S: Final = 86_400.0


class IdentifyGate:
    """Turns, handed out in the order in which they are asked for.

    Args:
        grant: how many buckets there are, how many IDENTIFYs a day, and how many of them are spent.
        clock: tells when a turn has come.
        sleep: waits for it.
        log: says when the day's budget is spent.
    """

    def __init__(self, grant: Grant, clock: Clock, sleep: Sleep, log: FilteringBoundLogger) -> None:
        self._buckets = grant.max_concurrency
        self._most = max(1, int(grant.total * BUDGET_SHARE))
        before = max(0, min(grant.total - grant.remaining, self._most - grant.shards))
        renewed_s = clock.monotonic_s() + min(DAY_S, grant.reset_after_s)
        self._spent_s = deque([renewed_s - DAY_S] * before)
        self._turn_s: dict[int, float] = {}
        """From when on a bucket's next shard may connect."""
        self._again_s: dict[int, float] = {}
        """From when on a bucket takes an IDENTIFY."""
        self._queues = defaultdict[int, Lock](Lock)
        self._clock = clock
        self._sleep = sleep
        self._log = log

    async def turn(self, shard: int) -> None:
        """Waits until the shard may connect, in order to identify."""
        bucket = shard % self._buckets
        async with self._queues[bucket]:
            while left_s := max(self._left_s(self._turn_s.get(bucket)), self._broke_for_s(shard)):
                await self._sleep(left_s)
            self._turn_s[bucket] = self._now_s() + IDENTIFY_EVERY_S

    async def identify(self, shard: int) -> None:
        """Waits until the bucket's last IDENTIFY is long enough ago; the shard's is sent when this returns."""
        bucket = shard % self._buckets
        while left_s := self._left_s(self._again_s.get(bucket)):
            await self._sleep(left_s)
        now_s = self._now_s()
        self._spent_s.append(now_s)
        self._again_s[bucket] = self._turn_s[bucket] = now_s + IDENTIFY_EVERY_S

    def _broke_for_s(self, shard: int) -> float:
        """How long there is no budget left; 0 = there is."""
        while self._spent_s and not self._left_s(self._spent_s[0] + DAY_S):
            self._spent_s.popleft()
        if len(self._spent_s) < self._most:
            return 0.0
        left_s = self._left_s(self._spent_s[0] + DAY_S)
        self._log.error("identify.held", shard=shard, hint=HELD_HINT, again_s=round(left_s))
        return left_s

    def _left_s(self, until_s: float | None) -> float:
        return max(0.0, until_s - self._now_s()) if until_s is not None else 0.0

    def _now_s(self) -> float:
        return self._clock.monotonic_s()


HELD_HINT: Final = "find out why connections are lost so often; a restart would spend what is left of the budget"
