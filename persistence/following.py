"""What the cloud still lacks: a layer that is not waited for in each batch, and gets the records in its own time.

Rules: only what is durable nearby is given to it, in order, behind what it has confirmed. The newest frames wait in
memory up to a limit; what did not fit is read from the other layers again, so that an outage may last as long as it
likes. Once another process has the higher epoch, this one is ``Stale``. No tasks here: ``actors/uploader.py``.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from ledger.errors import Corrupt, StorageError, WrongHistory
from persistence.frames import Frame
from persistence.layer import FencedLayer
from persistence.seats import Seat

QUEUED_BYTES: Final = 8 * 1024 * 1024
PIECE_RECORDS: Final = 10_000
"""Given to the layer at once, at least, if there are so many."""

Source: TypeAlias = Callable[[int, int], Awaitable[Sequence[Frame]]]
"""Reads at least so many (second) frames behind a gsn (first) from the other layers."""


class PutBack(StorageError):
    """The cloud was emptied, or a copy of before was put in its place, while this process wrote into it."""

    hint = (
        "who put an older copy in its place, or emptied it? What this process has is given to it again now; what "
        "only others had written there since is gone"
    )


class Following:
    """The cloud's seat, and what waits for it.

    ``fenced``: whether it takes records in this epoch; a cloud that was away when the epoch was taken does not.
    ``alone``: held by whoever writes to it: the uploader, or the store while it takes an epoch.
    """

    def __init__(self, layer: FencedLayer, *, promised: bool) -> None:
        """``promised``: what is acknowledged is there (LEDGER_ACK names it)."""
        self.layer = layer
        self.seat = Seat(layer, trails=True, promised=promised)
        self.fenced = False
        self._is_doubted = False
        self.alone = asyncio.Lock()
        self._begun = asyncio.Event()
        self.arrived = asyncio.Event()
        self._piece: Sequence[Frame] = ()
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._head = self._held = 0
        self._rotten = 0, 0
        self._lineage = ""
        self._terms = 0

    def begin(self, head: int, readable: int, lineage: str) -> None:
        """A new epoch: the others are at ``head`` of this history; behind ``readable`` nothing of theirs can be read.

        If the cloud failed before it was made equal to them, it may hold another process's branch: only what it had
        confirmed before counts as held.
        """
        self.fenced = self.seat.healthy
        self._is_doubted = False
        self._lineage = lineage
        self._terms += 1
        self._waiting.clear()
        self._piece = ()
        self._bytes, self._head = 0, head
        held = self.seat.gsn if self.fenced else self._held
        self.seat.gsn = self._held = min(held, head)  # what lies behind that is not of these records
        self._rotten = readable, head
        self._pass_over_rotten()
        self._begun.set()
        self._notify()

    def push(self, frames: Sequence[Frame]) -> None:
        """Frames that are durable in another layer, in order."""
        follows = frames[0].record.gsn == (self._waiting[-1].record.gsn if self._waiting else self.seat.gsn) + 1
        size = sum(len(frame.data) for frame in frames)
        if follows and self._bytes + size <= QUEUED_BYTES:
            self._waiting.extend(frames)
            self._bytes += size
        self._head = frames[-1].record.gsn
        self._notify()

    def fail(self, error: StorageError | Corrupt) -> None:
        """Notes that it does not take anything now."""
        self.seat.trouble = error

    async def ask(self) -> str:
        """Whether it answers, and would be asked who writes at a new epoch. Gives its lineage; "" = it is empty.

        Raises:
            StorageError: when it does not answer, or holds another history.
        """
        async with self.alone:
            await self.layer.close()
            summary = await self.layer.open()
        if self._lineage and summary.lineage not in {"", self._lineage}:
            lineages = {"cloud": summary.lineage, "folder": self._lineage}
            raise StorageError(str(WrongHistory(lineages)))
        return summary.lineage

    def doubt(self) -> None:
        """From time to time: whether it still has what it confirmed is to be looked at."""
        self._is_doubted = True
        self._notify()

    async def look(self) -> None:
        """Looks, where that is doubted; if it has not, it is asked anew before it gets anything more.

        Raises:
            StorageError: when it has not (``PutBack``), or does not answer.
        """
        if not self._is_doubted:
            return
        async with self.alone:
            if not await self.layer.is_as_left():
                self.fenced = False
                self._notify()
                raise PutBack(f"{self.layer.name} has no longer what it confirmed")
        self._is_doubted = False
        if self.fenced:
            self.seat.trouble = None  # it answers
        self._notify()

    async def begun(self) -> None:
        """Returns at the next epoch."""
        self._begun.clear()
        await self._begun.wait()

    def behind(self) -> int:
        """How many records it lacks."""
        return max(0, self._head - self.seat.gsn)

    async def give(self, source: Source) -> int:
        """Gives the layer the next piece of what it lacks; how many records it was, 0 where it lacks none by now.

        Raises:
            Stale: when another process has taken over.
            StorageError: when the layer did not take it, or it could not be read. Whether it has it may be unknown:
                the next call gives it the same piece again.
        """
        if not self.behind():
            return 0  # somebody else gave it all meanwhile: the others have nothing beyond
        term = self._terms
        piece = self._piece or tuple(self._waiting) or await source(self.seat.gsn, PIECE_RECORDS)
        async with self.alone:
            is_of_before = term != self._terms  # the new epoch may go on from elsewhere
            if is_of_before or not piece or piece[0].record.gsn <= self.seat.gsn or not self.fenced:
                self._piece = ()  # somebody else gave it meanwhile, or a new epoch begins
                return 0
            self._piece = piece
            try:
                await self.layer.append(piece)
            except StorageError:
                self._is_doubted = True  # it may not be what it was
                raise
            self._take(piece[-1].record.gsn)
        return len(piece)

    def _take(self, gsn: int) -> None:
        self.seat.gsn = self._held = gsn
        self.seat.trouble = None
        self._pass_over_rotten()
        self._piece = ()
        while self._waiting and self._waiting[0].record.gsn <= gsn:
            self._bytes -= len(self._waiting.popleft().data)
        self._notify()

    def _pass_over_rotten(self) -> None:
        """What nobody can read any more nobody would ever give it."""
        readable, head = self._rotten
        if readable <= self.seat.gsn < head:
            self.seat.do_without(head)

    def _notify(self) -> None:
        """Something is to be done while it lacks records, is doubted, or has not been asked who writes."""
        if self.behind() or self._is_doubted or not self.fenced:
            self.arrived.set()
        else:
            self.arrived.clear()
