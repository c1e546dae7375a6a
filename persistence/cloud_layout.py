"""Which segment holds which record: what follows from the headers of all segments, in their order. Pure.

Rules:
- A segment whose epoch is lower than one before it does not count: its writer was shut out by a fence. Nor do
  records of another history: whoever wrote them took this store for another one.
- A record is held by the last segment that begins at or before it: whoever begins anew at a gsn replaces what earlier
  segments hold from there on (a branch that lost).
- What no segment that can be read holds comes from a mend, if there is one; else it is missing.
- A segment that cannot be read does no harm where nothing is missing and the next one that is no mend can be read: it
  says where the records end. Of two in a row, or with mends between, one may have cut off records that the other one
  replaced. A fence of who could not read the segment before it (no ``previous``) only guesses where they end: it cuts
  nothing; nor does who records anew behind it know what is lost (``guessed``).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from persistence.cloud_bytes import Kind, SegmentHeader
from persistence.scan import Gap


class Stretch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records ``first`` to ``last`` (gsns), of which none is missing, and the object that holds them.

    ``k`` to ``last_k``: one segment, or the segments in the pack with the id ``packed``; ``size``: of the object, in
    bytes.
    """

    first: int
    last: int
    k: int
    last_k: int
    size: int
    packed: str = ""


class Layout(msgspec.Struct, kw_only=True):
    """What the segments up to ``k`` say; ``digest`` is that of the segment ``k`` (SHA-256, hex; "" = unreadable).

    ``first``: that of segment 1, likewise ("" also where whoever wrote an index did not note it);
    ``epoch``: the highest of a segment; ``lineage``: of the records; ``gsn``: the last record; ``stretches``: in the
    order of their gsns and segments; ``damaged``: segments that cannot be read;
    ``is_blind``: whether of any of them nothing is known; ``hides_end``, ``hides_cut``, ``hides_lost``: whether such
    ones may hold records behind the last one; may have replaced records that count here; may have held some in whose
    place others were recorded.
    """

    k: int = 0
    digest: str = ""
    epoch: int = 0
    lineage: str = ""
    gsn: int = 0
    stretches: list[Stretch] = []
    mends: list[Stretch] = []
    damaged: set[int] = set()
    first: str = ""
    is_blind: bool = False
    hides_end: bool = False
    hides_cut: bool = False
    hides_lost: bool = False

    def take(self, header: SegmentHeader, digest: str, size: int) -> bool:
        """Goes on with the next segment; whether it counts."""
        self.k, self.digest = header.k, digest
        if header.k == 1:
            self.first = digest
        holds = header.kind in (Kind.RECORDS, Kind.MEND)
        if header.epoch < self.epoch:
            return False
        if holds and self.lineage and header.lineage != self.lineage:
            self.hides_cut = self.hides_cut or self.is_blind  # what cannot be read may have begun that history
            return False
        self.epoch = header.epoch
        if not self.lineage or header.kind is Kind.CUT:
            self.lineage = header.lineage
        stretch = Stretch(first=header.first_gsn, last=header.last_gsn, k=header.k, last_k=header.k, size=size)
        if header.kind is Kind.MEND:
            self.mends = [*self.mends, stretch]
            return True
        if header.kind is Kind.FENCE and header.k > 1 and not header.previous:
            return True
        self._cut(header.first_gsn - 1)
        self.hides_end, self.hides_lost = False, self.hides_lost or header.guessed
        if header.kind is Kind.RECORDS:
            self.stretches.append(stretch)
            self.gsn = header.last_gsn
        return True

    def take_unreadable(self, k: int) -> None:
        """Goes on with a segment of which nothing is known."""
        self.k = k
        self.lose_newest()
        self.hides_cut = self.hides_cut or self.hides_end
        self.is_blind = self.hides_end = True

    def lose_newest(self) -> None:
        """Learns that the segment ``k`` cannot be read any more; where its records are is known."""
        self.digest = ""
        self.damaged.add(self.k)

    def take_exchanged(self, k: int) -> None:
        """Learns that the segment taken last but one, ``k``, is whole and not the one that others wrote behind."""
        self.damaged.add(k)
        self.hides_cut = True

    def pieces(self, after: int) -> Iterator[Stretch]:
        """Where the records behind a gsn are to be read, in order, as far as they can be."""
        at = after + 1
        for stretch in self.stretches[bisect_left(self.stretches, at, key=_last_of) :]:
            first = max(at, stretch.first)
            yield from self._mended(at, first - 1)
            if stretch.k in self.damaged and not stretch.packed:
                yield from self._mended(first, stretch.last)
            else:
                yield msgspec.structs.replace(stretch, first=first)
            at = stretch.last + 1
        yield from self._mended(at, self.gsn)

    def missing(self) -> tuple[Gap, ...]:
        """The ranges of gsns that cannot be read."""
        gaps: list[Gap] = []
        at = 1
        for piece in self.pieces(0):
            if piece.first > at:
                gaps.append((at, piece.first - 1))
            at = piece.last + 1
        return tuple([*gaps, (at, self.gsn)] if at <= self.gsn else gaps)

    def doubts(self) -> Iterator[str]:
        """What segments of which nothing is known may have held, a sentence each."""
        if self.hides_end:
            yield "segments at the end cannot be read: they may hold records behind the last one that is known"
        if self.hides_cut:
            yield "segments cannot be read that may have replaced records which are known: they are not the last ones"
        if self.hides_lost:
            yield "a segment could not be read when others were recorded behind it: what it held may be lost"

    def missing_up_to(self, gsn: int) -> int:
        """How many of the records up to a gsn cannot be read."""
        return sum(max(0, min(last, gsn) - first + 1) for first, last in self.missing())

    def replace(self, old: Sequence[Stretch], new: Sequence[Stretch]) -> None:
        """Other objects for the records of stretches that follow one another."""
        at = self.stretches.index(old[0])
        self.stretches = [*self.stretches[:at], *new, *self.stretches[at + len(old) :]]

    def copy(self) -> "Layout":
        return msgspec.structs.replace(self, stretches=list(self.stretches), damaged=set(self.damaged))

    def _cut(self, gsn: int) -> None:
        """Nothing behind ``gsn`` counts any more."""
        if gsn < self.gsn:
            self.stretches, self.mends = up_to(self.stretches, gsn), up_to(self.mends, gsn)
        self.gsn = gsn

    def _mended(self, first: int, last: int) -> Iterator[Stretch]:
        while first <= last:
            fitting = [each for each in self.mends if each.k not in self.damaged and first <= each.last]
            mend = min(fitting, key=_first_of, default=None)
            if mend is None or mend.first > last:
                return
            first = max(first, mend.first)
            piece = msgspec.structs.replace(mend, first=first, last=min(last, mend.last))
            yield piece
            first = piece.last + 1


def up_to(stretches: Sequence[Stretch], gsn: int) -> list[Stretch]:
    """The stretches without what lies behind a gsn."""
    return [msgspec.structs.replace(each, last=min(each.last, gsn)) for each in stretches if each.first <= gsn]


def _first_of(stretch: Stretch) -> int:
    return stretch.first


def _last_of(stretch: Stretch) -> int:
    return stretch.last
