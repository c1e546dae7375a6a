"""Chains: which frames of a stream stand, guild by guild, each behind the digest of the one before.

Rules: a guild's head moves only at the end of a whole append; a frame that stands behind nothing known is set aside;
of two branches the one with the higher epoch wins, even if it came later in the stream. Nothing here reads or writes.

Behind a *hole* (a gsn that is not in the stream) a chain goes on where a checkpoint tells the digest before it; or,
when the missing gsns are enough to explain the jump of its seq, where a checkpoint stands farther on: state is to be
had from there, and what lies between is read as it was written. So does a branch of a higher epoch that begins in the
hole, in the place of records of the one that lost to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias, TypeVar

import msgspec

from ledger.ids import GuildId
from ledger.records import Record
from persistence.frames import GENESIS, Frame, follows
from persistence.layer import Head

DigestAt: TypeAlias = Callable[[GuildId, int], bytes | None]
"""The digest (32 bytes) of the record that stands at a seq of a guild, where one does."""
Anchors: TypeAlias = Callable[[GuildId], Mapping[int, bytes]]
"""The digests (32 bytes) that a guild's checkpoints tell, by seq."""

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


def itself(frame: Frame) -> Frame:
    """For ``appends`` over plain frames."""
    return frame


class Verified(msgspec.Struct, kw_only=True):
    """What is known of a stream up to ``gsn``; whoever keeps it can go on from there.

    ``missing``: how many gsns were not in it; ``seen``: where a guild's stream was last seen, and ``missing`` then;
    ``aside``: the digests of frames that never stood on a chain, by guild.
    """

    gsn: int = 0
    missing: int = 0
    heads: dict[GuildId, Head] = msgspec.field(default_factory=dict[GuildId, Head])
    seen: dict[GuildId, tuple[Head, int]] = msgspec.field(default_factory=dict[GuildId, tuple[Head, int]])
    aside: dict[GuildId, set[bytes]] = msgspec.field(default_factory=dict[GuildId, set[bytes]])

    def copy(self) -> "Verified":
        aside = {guild: set(digests) for guild, digests in self.aside.items()}
        return Verified(
            gsn=self.gsn,
            missing=self.missing,
            heads=dict(self.heads),
            seen=dict(self.seen),
            aside=aside,
        )


class Chains:
    """The heads of all guilds of a stream, verified append by append."""

    def __init__(self, digest_at: DigestAt, anchors: Anchors, verified: Verified | None = None) -> None:
        """``verified``: where the stream goes on, for one that does not begin at its beginning; it is changed."""
        self._digest_at = digest_at
        self._anchors = anchors
        self.verified = Verified() if verified is None else verified
        self.heads = self.verified.heads

    def take(self, append: Sequence[Frame]) -> bool:
        """Whether a whole append stands; its guild's chain then ends with it: what was behind lost to it."""
        stands = self._take(append)
        if not stands:
            aside = self.verified.aside.setdefault(append[0].record.guild, set())
            aside.update(frame.digest for frame in append)
        return stands

    def aside(self) -> dict[GuildId, int]:
        """How many frames never stood on a chain, by guild."""
        return {guild: len(digests) for guild, digests in self.verified.aside.items()}

    def _take(self, append: Sequence[Frame]) -> bool:
        first, final, verified = append[0], append[-1], self.verified
        guild, head = final.record.guild, head_of(final)
        self._count_missing(first.record.gsn, head.gsn)
        if not self._stands(first) and not self._resumes(first):
            return False
        if first is not final and any(not follows(frame, before.digest) for before, frame in pairwise(append)):
            return False
        if head.seq != final.record.last:
            verified.seen[guild] = head, verified.missing  # its end may lie in a hole
            return False
        self.heads[guild] = head
        if verified.missing or guild in verified.seen:
            verified.seen[guild] = head, verified.missing
        return True

    def skip_to(self, gsn: int) -> None:
        """The stream ends at ``gsn``; what has not come up to there is missing."""
        self._count_missing(gsn + 1, gsn)

    def _count_missing(self, first: int, final: int) -> None:
        verified = self.verified
        if first > verified.gsn + 1:
            verified.missing += first - verified.gsn - 1
        verified.gsn = max(verified.gsn, final)

    def _resumes(self, frame: Frame) -> bool:
        """Whether a hole explains that this is not the guild's next frame, and a checkpoint lies farther on."""
        record, verified = frame.record, self.verified
        before, missing = verified.seen.get(record.guild, (self.heads.get(record.guild, NO_HEAD), 0))
        skipped = record.seq - before.seq - 1
        if skipped < 0:
            explained = record.epoch > before.epoch and verified.missing > 0 and self._digest_before(record) is None
        else:
            explained = record.epoch >= before.epoch and skipped <= verified.missing - missing
        if not explained or (skipped == 0 and not follows(frame, before.digest)):
            return False
        return max(self._anchors(record.guild), default=0) >= record.seq

    def _stands(self, frame: Frame) -> bool:
        record = frame.record
        head = self.heads.get(record.guild, NO_HEAD)
        if record.seq == head.seq + 1:
            return follows(frame, head.digest)
        if record.seq <= head.seq and record.epoch <= head.epoch:
            return False
        before = GENESIS if record.seq == 1 else self._digest_before(record)
        return before is not None and follows(frame, before)

    def _digest_before(self, record: Record) -> bytes | None:
        seq = record.seq - 1
        return self._digest_at(record.guild, seq) or self._anchors(record.guild).get(seq)


def _continues(a: Record, b: Record) -> bool:
    return a.guild == b.guild and a.last == b.last and a.seq + 1 == b.seq and a.gsn + 1 == b.gsn
