"""Logs on a real disk for the tests of what reads them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ledger.ids import GuildId
from ledger.records import Record
from persistence.disk import RealDisk
from persistence.frames import GENESIS, Frame, seal
from persistence.log import Log
from persistence.quarantine import Quarantine


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
