"""Chains: which frames of a stream stand, guild by guild, each behind the digest of the one before.

Rules: a guild's head moves only at the end of a whole append; a frame that stands behind nothing known is set aside;
of two branches the one with the higher epoch wins, even if it came later in the stream. A checkpoint's digest lets a
chain go on behind a hole. Nothing here reads or writes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias, TypeVar

from ledger.ids import GuildId
from ledger.records import Record
from persistence.frames import GENESIS, Frame, follows
from persistence.layer import Head

DigestAt: TypeAlias = Callable[[GuildId, int], bytes | None]
"""The digest (32 bytes) at a seq of a guild, where it is known from elsewhere: an index, a checkpoint."""

T = TypeVar("T")

NO_HEAD: Final = Head(seq=0, epoch=0, gsn=0, digest=GENESIS)
"""The head of a guild without records."""


def head_of(frame: Frame) -> Head:
    """The head a guild has right behind this frame."""
    record = frame.record
    return Head(seq=record.seq, epoch=record.epoch, gsn=record.gsn, digest=frame.digest)


def appends(items: Iterable[T], frame_of: Callable[[T], Frame]) -> Iterator[list[T]]:
    """A stream cut into its appends; one whose beginning or end is missing comes as what is there of it."""
    group: list[T] = []
    for item in items:
        record = frame_of(item).record
        if not group and record.seq == record.last:  # most appends are one record
            yield [item]
            continue
        if group and not _continues(frame_of(group[-1]).record, record):
            yield group
            group = []
        group.append(item)
        if record.seq == record.last:
            yield group
            group = []
    if group:
        yield group


class Chains:
    """The heads of all guilds of a stream, verified append by append."""

    def __init__(self, digest_at: DigestAt) -> None:
        self._digest_at = digest_at
        self.heads: dict[GuildId, Head] = {}

    def take(self, append: Sequence[Frame]) -> bool:
        """Whether a whole append stands; its guild's chain then ends with it: what was behind lost to it."""
        first, final = append[0], append[-1]
        if final.record.seq != final.record.last or not self._stands(first):
            return False
        if first is not final and any(not follows(frame, before.digest) for before, frame in pairwise(append)):
            return False
        self.heads[first.record.guild] = head_of(final)
        return True

    def _stands(self, frame: Frame) -> bool:
        record = frame.record
        head = self.heads.get(record.guild, NO_HEAD)
        if record.seq == head.seq + 1:
            return follows(frame, head.digest)
        if record.seq <= head.seq and record.epoch <= head.epoch:
            return False
        before = GENESIS if record.seq == 1 else self._digest_at(record.guild, record.seq - 1)
        return before is not None and follows(frame, before)


def _continues(a: Record, b: Record) -> bool:
    return a.guild == b.guild and a.last == b.last and a.seq + 1 == b.seq and a.gsn + 1 == b.gsn
