"""The cloud of a run: one bucket that outlives every process and folder, and each process's way to it.

The bucket knows which records count in it now: that is what the oracle asks, not the program. A way is late, or loses
answers, or gives a write up that takes effect long after, perhaps when its process is dead; or it leads nowhere. Only
what is wrong with it comes from here; when, ``faults.py`` says.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import msgspec

from ledger.ids import GuildId, UserId
from ledger.records import JoinRecorded
from persistence.cloud_bytes import SEGMENTS, Kind, SegmentHeader, body_of, chunks_of, read_header
from persistence.cloud_epochs import EPOCHS, Claim
from persistence.frames import Frame
from persistence.objects import Unreachable
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.simulation.agenda import Agenda

LATE_S: Final = 60.0
"""A write that was given up takes effect within so long."""
OFTEN: Final = 0.25
"""So many calls meet what is wrong with the way."""


class Weather(msgspec.Struct):
    """What is wrong with a way now: it leads nowhere, is slow, loses answers, lets writes arrive late."""

    away: bool = False
    slow: bool = False
    losing: bool = False
    late: bool = False

    def clear(self) -> None:
        self.away = self.slow = self.losing = self.late = False


class Sky(MemoryBucket):
    """The bucket. ``seen`` counts the rare states that only it can tell."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        super().__init__(objects)
        self.seen: Counter[str] = Counter()
        self._counting: dict[int, Frame] = {}
        self._newest = 0
        self._epoch = 0

    def take(self, call: Call) -> bool:
        done = super().take(call)
        if call.key.startswith(SEGMENTS):
            header = read_header(call.data, SegmentHeader, call.key)
            if done:
                self._count(header, call)
            else:
                self._refused(header, call.key)
        return done

    def holds(self, frame: Frame) -> bool:
        """Whether a reader would find this very frame."""
        found = self._counting.get(frame.record.gsn)
        return found is not None and found.data == frame.data

    def joins(self, guild: GuildId) -> set[tuple[UserId, int]]:
        """The joins that count, with their joined_at in milliseconds."""
        records = [frame.record for frame in self._counting.values() if frame.record.guild == guild]
        joins = [record.event for record in records if isinstance(record.event, JoinRecorded)]
        return {(join.user, join.joined_at_us // 1_000) for join in joins}

    def newest_claim(self) -> Claim:
        """Of the highest epoch."""
        key = max(key for key in self.objects if key.startswith(EPOCHS))
        return msgspec.json.decode(self.objects[key], type=Claim)

    def _count(self, header: SegmentHeader, call: Call) -> None:
        """As the rules of the log say, in as few words as that takes: fenced writers do not count, cuts cut."""
        if header.epoch < self._epoch:
            return
        self._epoch = header.epoch
        if header.kind in (Kind.CUT, Kind.RECORDS) and header.first_gsn <= self._newest:
            for gsn in [gsn for gsn in reversed(self._counting) if gsn >= header.first_gsn]:
                del self._counting[gsn]
        for chunk in chunks_of(body_of(call.data, header.sha256, call.key), call.key):
            self._counting.update((frame.record.gsn, frame) for frame in chunk)
            self._newest = max([self._newest, *(frame.record.gsn for frame in chunk)])

    def _refused(self, header: SegmentHeader, key: str) -> None:
        there = read_header(self.objects[key], SegmentHeader, key)
        if (there.epoch, there.writer, there.first_gsn) == (header.epoch, header.writer, header.first_gsn):
            self.seen["lost answer recognised"] += 1


class Way:
    """How one process reaches the bucket, through its ``objects``.

    Args:
        sky: the bucket.
        weather: of this way, now.
        agenda: where writes wait that arrive late, whoever lives by then.
        random: of the process.
    """

    def __init__(self, sky: Sky, weather: Weather, agenda: Agenda, random: Random) -> None:
        self.objects = MemoryObjects(sky)
        self.objects.before = self._on_its_way
        self.objects.after = self._on_its_way_back
        self._sky = sky
        self._weather = weather
        self._agenda = agenda
        self._random = random

    async def _on_its_way(self, call: Call) -> None:
        await asyncio.sleep(self._latency_s())
        if self._weather.away:
            raise Unreachable(f"{call.verb} {call.key}: no connection")
        if self._weather.late and call.verb not in ("get", "keys") and self._happens():
            self._agenda.after(self._random.choice((0.1, 3.0, LATE_S)) * self._random.random(), self._later(call))
            raise Unreachable(f"{call.verb} {call.key}: given up")

    async def _on_its_way_back(self, call: Call) -> None:
        await asyncio.sleep(self._latency_s())
        if self._weather.losing and self._happens():
            raise Unreachable(f"{call.verb} {call.key}: no answer")

    def _later(self, call: Call) -> Callable[[], None]:
        def arrive() -> None:
            if self._sky.take(call):
                self._sky.seen["write arrived late"] += 1

        return arrive

    def _latency_s(self) -> float:
        if self._weather.slow and self._happens():
            return self._random.choice((1.0, 20.0)) * self._random.random()
        return self._random.uniform(0.001, 0.03)

    def _happens(self) -> bool:
        return self._random.random() < OFTEN
