"""Proof that layers hold what was written: what is read back is compared with what the writer remembers of it.

A *witness* remembers the records that were made durable since the layers were last read whole, 8 bytes of each one's
digest. A *walk* goes through a layer's records in order, a piece at a time (``Layer.reread``): each has its checksum
and its place, none may be missing, and those that the witness knows must be the very ones.
"""

from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Final

from ledger.errors import Corrupt
from persistence.frames import Frame
from persistence.scan import is_known
from persistence.seats import Seat

WITNESSED_RECORDS: Final = 1_000_000
"""8 MB. Of older ones only checksum and place are known."""
_BYTES: Final = 8


class Witness:
    """What was written, as the writer had it. ``since``: the gsn up to which the layers were read whole."""

    def __init__(self) -> None:
        self.since = 0
        self._first = 1
        self._digests = array("Q")

    def begin(self, gsn: int) -> None:
        """Every layer that works was read whole, and holds all up to ``gsn``."""
        self.since = gsn
        self._first = gsn + 1
        del self._digests[:]

    def note(self, frames: Sequence[Frame]) -> None:
        """Takes a batch that is durable; its gsns are contiguous."""
        if frames[0].record.gsn != self._first + len(self._digests):
            self.begin(frames[0].record.gsn - 1)
        self._digests.extend([int.from_bytes(frame.digest[:_BYTES]) for frame in frames])
        if len(self._digests) > WITNESSED_RECORDS:
            del self._digests[: WITNESSED_RECORDS // 2]
            self._first += WITNESSED_RECORDS // 2

    def denies(self, frame: Frame) -> bool:
        """Whether another record than this one was written at its gsn."""
        place = frame.record.gsn - self._first
        known = 0 <= place < len(self._digests)
        return known and self._digests[place] != int.from_bytes(frame.digest[:_BYTES])


class Walk:
    """A way through one layer. ``gsn``: all up to it were looked at."""

    def __init__(self, witness: Witness, gsn: int) -> None:
        self.gsn = gsn
        self._witness = witness
        self._pieces: AsyncIterator[Sequence[Frame]] | None = None
        self._opening = 0

    async def step(self, seat: Seat, upto: int) -> None:
        """Reads the next piece. At the end ``gsn`` is at least ``upto``.

        Raises:
            Corrupt: when something is not what was written, or not there though no hole was known; the next step
                begins at the same place.
            StorageError: when it cannot be read now.
        """
        pieces, self._pieces = self._resumed(seat), None  # gone unless this ends well: who is cut off begins anew
        piece = await anext(pieces, None)
        if piece is None:
            self._pass(seat, upto)
            return
        self.look_at(seat, piece)
        self._pieces = pieces

    def restart(self, gsn: int) -> None:
        """Goes on behind ``gsn``."""
        self.gsn = gsn
        self._pieces = None

    def look_at(self, seat: Seat, piece: Sequence[Frame]) -> None:
        """Compares a piece, and goes on behind it."""
        for frame in piece:
            gsn = frame.record.gsn
            self._pass(seat, gsn - 1)
            if self._witness.denies(frame):
                raise Corrupt(f"{seat.name}, gsn {gsn}", "it is not the record that was written")
            self.gsn = gsn

    def _pass(self, seat: Seat, gsn: int) -> None:
        """Goes on to a gsn up to which nothing has come."""
        if gsn > self.gsn and not is_known((self.gsn + 1, gsn), seat.summary.missing):
            raise Corrupt(f"{seat.name}, gsn {self.gsn + 1} to {gsn}", "they cannot be read any more")
        self.gsn = max(self.gsn, gsn)

    def _resumed(self, seat: Seat) -> AsyncIterator[Sequence[Frame]]:
        if self._pieces is None or self._opening != seat.openings:
            self._opening = seat.openings
            return seat.layer.reread(self.gsn)
        return self._pieces
