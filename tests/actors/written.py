"""Logs on a real disk for the tests of what reads them."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from actors.cli.tools import Tools
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, pages_of
from persistence.chains import head_of
from persistence.checkpoints import Checkpoints, make_checkpoint
from persistence.disk import Disk, RealDisk
from persistence.frames import GENESIS, Frame, seal
from persistence.log import Log
from persistence.quarantine import Quarantine
from tests.ledger.worlds import START_US
from tests.persistence.making import TestRandomness


def make_log(data: Path, epoch: int = 1, segment_bytes: int = 16_000_000) -> Log:
    """A log that was opened and begun; close it to let others read a sealed one."""
    disk = RealDisk()
    log = Log(disk, data / "log", Quarantine(disk, data / "quarantine"), segment_bytes=segment_bytes)
    log.open()
    log.begin(epoch, "lineage")
    return log


def appends_of(*guilds: Sequence[Record]) -> list[list[Record]]:
    """The records of several guilds, their appends taken in turn; the lists become the guilds 1, 2 and so on."""
    queues = []
    for number, records in enumerate(guilds, start=1):
        appends: dict[int, list[Record]] = {}
        for record in records:
            appends.setdefault(record.last, []).append(msgspec.structs.replace(record, guild=GuildId(str(number))))
        queues.append(list(appends.values()))
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


class Sealer:
    """Numbers and seals appends as the store does."""

    def __init__(self) -> None:
        self.gsn = 0
        self.digests: dict[tuple[GuildId, int], bytes] = {}

    def __call__(self, appends: Iterable[Sequence[Record]]) -> list[Frame]:
        frames = []
        for record in (record for append in appends for record in append):
            self.gsn += 1
            before = self.digests.get((record.guild, record.seq - 1), GENESIS)
            frame = seal(msgspec.structs.replace(record, gsn=self.gsn), before)
            self.digests[record.guild, record.seq] = frame.digest
            frames.append(frame)
        return frames


def in_time(*guilds: Sequence[Record]) -> list[list[Record]]:
    """The appends of several guilds in the order in which they were recorded."""
    return sorted(appends_of(*guilds), key=lambda append: append[0].at_ms)


def write_history(data: Path, *guilds: Sequence[Record], segment_bytes: int = 16_000_000) -> list[Frame]:
    """A sealed log of these guilds, a batch every five appends."""
    log, seal, frames = make_log(data, segment_bytes=segment_bytes), Sealer(), []
    appends = in_time(*guilds)
    for start in range(0, len(appends), 5):
        batch = seal(appends[start : start + 5])
        log.append(batch)
        frames += batch
    log.close()
    return frames


def keep_checkpoint(data: Path, frames: Sequence[Frame], seq: int) -> None:
    """A checkpoint of the only guild of these frames as of ``seq``."""
    disk = RealDisk()
    state = GuildState(guild=frames[0].record.guild)
    for frame in frames[:seq]:
        state = evolve(state, frame.record)
    kept = Checkpoints(disk, data / "checkpoints", Quarantine(disk, data / "quarantine"))
    kept.save(make_checkpoint(state.guild, head_of(frames[seq - 1]), "lineage", tuple(pages_of(state))))


class Around:
    """A command's surroundings with what it said."""

    def __init__(self, disk: Disk | None = None, now_ms: int = START_US // 1000 + 3_600_000) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.all = Tools(
            disk=disk or RealDisk(), clock=Stopped(now_ms), randomness=TestRandomness(), out=self.out, err=self.err
        )


class Stopped:
    """A clock that stands."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def stamp_us(self) -> int:
        return self._now_ms * 1_000

    def monotonic_s(self) -> float:
        return self._now_ms / 1_000
