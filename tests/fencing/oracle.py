"""What has to hold of every schedule, whoever was paused, killed, or heard late.

| | |
|---|---|
| C1 | every record of which the upload was acknowledged is read by whoever reads last, byte for byte |
| C2 | no slot of the log ever holds two contents, and no record is in two segments that count |
| C3 | what is read last is one history: gsns without gaps, each guild one unbroken chain up to its head |
| C4 | whoever took over had read all that is ever acknowledged in a lower epoch |
| C5 | an epoch is one process's; nobody takes over behind the fence of a higher one, nor is stale without one |
| C6 | no checkpoint stays that was saved when the boundary lay above it already |
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.ids import GuildId
from persistence.chains import NO_HEAD, head_of
from persistence.cloud_bytes import SEGMENTS, Kind, SegmentHeader, body_of, chunks_of, read_header, segment_key
from persistence.cloud_checkpoints import BOUNDARIES, CHECKPOINTS
from persistence.cloud_epochs import EPOCHS
from persistence.frames import Frame, follows
from persistence.layer import Checkpoint, Head
from tests.fencing.world import WatchedBucket
from tests.simulation.violation import Violation

INVARIANTS: Final = ("C1", "C2", "C3", "C4", "C5", "C6")


class Oracle:
    """Hears what processes are told, as it happens; judges at the end."""

    def __init__(self, bucket: WatchedBucket) -> None:
        self._bucket = bucket
        self._owners: dict[int, str] = {}
        self._acked: dict[int, list[Frame]] = {}
        self._read_by: dict[int, frozenset[bytes]] = {}

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self._acked.values()))

    def claimed(self, epoch: int, process: str) -> None:
        if self._owners.setdefault(epoch, process) != process:
            raise Violation("C5", f"epoch {epoch} is {self._owners[epoch]}'s and {process}'s")

    def took_over(self, epoch: int) -> None:
        """The layer said so just now."""
        for header in self._segments():
            if header.epoch == epoch:
                return
            if header.epoch > epoch:
                raise Violation("C5", f"epoch {epoch} took over behind a segment of {header.epoch}")

    def read(self, epoch: int, frames: Iterable[Frame]) -> None:
        """What the take-over of an epoch found."""
        self._read_by[epoch] = frozenset(frame.data for frame in frames)

    def acked(self, epoch: int, frames: Sequence[Frame]) -> None:
        self._acked.setdefault(epoch, []).extend(frames)

    def stale(self, epoch: int) -> None:
        if not any(key > f"{EPOCHS}{epoch:010d}" for key in self._bucket.objects if key.startswith(EPOCHS)):
            raise Violation("C5", f"epoch {epoch} is the highest, and was told that it is stale")

    def saved(self, checkpoint: Checkpoint) -> None:
        """The layer said so just now."""
        header, order = checkpoint.header, self._bucket.order
        place = f"{header.guild}/{header.epoch:010d}-{header.seq:020d}"
        key = f"{CHECKPOINTS}{place}"
        for mark in [each for each in self._bucket.objects if each.startswith(f"{BOUNDARIES}{header.guild}/")]:
            is_above = place < mark.removeprefix(BOUNDARIES) and order[mark] < order[key]
            if is_above and key in self._bucket.objects and key not in self._bucket.late:
                raise Violation("C6", f"{key} was saved and stays, although {mark} was there before")

    def judge(self, frames: Sequence[Frame], heads: Mapping[GuildId, Head]) -> None:
        """At the end, of what the last reader read."""
        self._nothing_is_lost(frames)
        self._nothing_is_twice()
        self._one_history(frames, heads)
        self._take_overs_were_whole()

    def _nothing_is_lost(self, frames: Sequence[Frame]) -> None:
        there = {frame.data for frame in frames}
        for epoch, acked in self._acked.items():
            for frame in acked:
                if frame.data not in there:
                    raise Violation("C1", f"gsn {frame.record.gsn} was acknowledged in epoch {epoch} and is lost")

    def _nothing_is_twice(self) -> None:
        epoch = 0
        seen: dict[bytes, str] = {}
        for key, held in self._bucket.held.items():
            if len(held) > 1:
                raise Violation("C2", f"{key} held {len(held)} contents, one after the other")
        for header in self._segments():
            if header.epoch < epoch or header.kind is not Kind.RECORDS:
                continue
            epoch, key = header.epoch, segment_key(header.k)
            for frame in _frames(self._bucket.objects[key], header, key):
                if frame.data in seen:
                    raise Violation("C2", f"gsn {frame.record.gsn} is in {seen[frame.data]} and in {key}")
                seen[frame.data] = key

    def _segments(self) -> Iterable[SegmentHeader]:
        keys = sorted(key for key in self._bucket.objects if key.startswith(SEGMENTS))
        return (read_header(self._bucket.objects[key], SegmentHeader, key) for key in keys)

    def _one_history(self, frames: Sequence[Frame], heads: Mapping[GuildId, Head]) -> None:
        if [frame.record.gsn for frame in frames] != list(range(1, len(frames) + 1)):
            raise Violation("C3", "gsns are not 1, 2, 3 …")
        last: dict[GuildId, Head] = {}
        for frame in frames:
            before = last.get(frame.record.guild, NO_HEAD)
            if frame.record.seq != before.seq + 1 or not follows(frame, before.digest):
                raise Violation("C3", f"gsn {frame.record.gsn} does not stand behind its guild's head")
            last[frame.record.guild] = head_of(frame)
        if dict(heads) != last:
            raise Violation("C3", "heads are not those of the records")

    def _take_overs_were_whole(self) -> None:
        for epoch, read in self._read_by.items():
            for lower, acked in self._acked.items():
                if lower < epoch and (lost := [frame for frame in acked if frame.data not in read]):
                    gsn = lost[0].record.gsn
                    raise Violation("C4", f"epoch {epoch} took over without gsn {gsn}, acknowledged in {lower}")


def _frames(data: bytes, header: SegmentHeader, key: str) -> Iterable[Frame]:
    return (frame for chunk in chunks_of(body_of(data, header.sha256, key), key) for frame in chunk)
