"""The store of a schedule: one bucket, reached over a network that is late, loses answers, and repeats what it was
told; and what it saw.

A write takes effect at one moment or never; its answer comes later, or is lost. A write whose caller gave up, or was
killed, may take effect long after. Whatever was asked twice by the network is answered by the second.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from persistence.cloud_bytes import SEGMENTS
from persistence.cloud_checkpoints import CHECKPOINTS
from persistence.objects import Unreachable
from tests.memory.objects import Call, MemoryBucket, MemoryObjects

LATE_S: Final = 60.0
"""A write that was given up takes effect within so long, or never."""
HEAVY: Final = 10
"""A checkpoint is large: it is slow so many times as often."""


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to calls, each with its chance.

    ``slow``: a call is on its way for up to a minute, or its answer; ``lost``: the answer; ``late``: the caller gives
    up and the write takes effect later; ``refused``: nothing happens; ``twice``: the network repeats a write.
    """

    slow: float
    lost: float
    late: float
    refused: float
    twice: float


def drawn(random: Random) -> Weather:
    """Fine, or with some troubles: each life has its own, so that one is slow where another is quick."""

    def chance() -> float:
        return random.choice((0.0, 0.0, 0.05, 0.2))

    slow = random.choice((0.0, 0.02, 0.1))
    return Weather(slow=slow, lost=chance(), late=chance(), refused=chance(), twice=chance())


FINE: Final = Weather(slow=0.0, lost=0.0, late=0.0, refused=0.0, twice=0.0)


class WatchedBucket(MemoryBucket):
    """A bucket that remembers what lay in each slot of the log, and in which order keys were written.

    ``late``: keys whose object took effect when nobody waited for it any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, list[bytes]] = {}
        self.order: dict[str, int] = {}
        self.late: set[str] = set()
        self._writes = 0

    def take_late(self, call: Call) -> None:
        """A write that was given up, or whose process is dead."""
        if self.take(call):
            self.late.add(call.key)

    def take(self, call: Call) -> bool:
        done = super().take(call)
        if done:
            self._writes += 1
            self.order[call.key] = self._writes
            self.late.discard(call.key)
        now = self.objects.get(call.key)
        if call.key.startswith(SEGMENTS) and now is not None:
            held = self.held.setdefault(call.key, [])
            if not held or held[-1] != now:
                held.append(now)
        return done


class Network:
    """How one process reaches the bucket; ``seen`` is told what went wrong."""

    def __init__(self, bucket: WatchedBucket, random: Random, weather: Weather, seen: Callable[[str], None]) -> None:
        self.objects = MemoryObjects(bucket)
        self.objects.before = self._on_its_way
        self.objects.after = self._on_its_way_back
        self._bucket = bucket
        self._random = random
        self._weather = weather
        self._seen = seen

    async def _on_its_way(self, call: Call) -> None:
        writes = call.verb not in ("get", "keys")
        try:
            await asyncio.sleep(self._latency_s(call))
        except asyncio.CancelledError:
            if writes and self._random.random() < 0.5:
                self._later(call)
            raise
        if self._happens(self._weather.refused):
            self._seen("refused")
            raise Unreachable(f"{call.verb} {call.key}: no connection")
        if writes and self._happens(self._weather.late):
            self._later(call)
            raise Unreachable(f"{call.verb} {call.key}: given up")
        if writes and self._happens(self._weather.twice):
            self._seen("twice")
            self._bucket.take(call)

    async def _on_its_way_back(self, call: Call) -> None:
        await asyncio.sleep(self._latency_s(call))
        if self._happens(self._weather.lost):
            self._seen("lost")
            raise Unreachable(f"{call.verb} {call.key}: no answer")

    def _later(self, call: Call) -> None:
        self._seen("late")
        delay_s = self._random.choice((0.01, 1.0, LATE_S)) * self._random.random()
        asyncio.get_running_loop().call_later(delay_s, self._bucket.take_late, call)

    def _latency_s(self, call: Call) -> float:
        weight = HEAVY if call.key.startswith(CHECKPOINTS) and call.data else 1
        if self._happens(weight * self._weather.slow):
            self._seen("slow")
            return self._random.choice((3.0, 60.0)) * self._random.random()
        return self._random.uniform(0.001, 0.03)

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance
