"""What the cloud still lacks: a layer that is not waited for in each batch, and gets the records in its own time.

Rules: only what is durable nearby is given to it, in order, behind what it has confirmed. The newest frames wait in
memory up to a limit; what did not fit is read from the other layers again, so that an outage may last as long as it
likes. Once another process has the higher epoch, this one is ``Stale``. No tasks here: ``actors/uploader.py``.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from persistence.frames import Frame
from persistence.layer import FencedLayer
from persistence.seats import Seat

QUEUED_BYTES: Final = 8 * 1024 * 1024
PIECE_RECORDS: Final = 10_000
"""Given to the layer at once, at least, if there are so many."""

Source: TypeAlias = Callable[[int, int], Awaitable[Sequence[Frame]]]
"""Reads at least so many (second) frames behind a gsn (first) from the other layers."""


class Following:
    """The cloud's seat, and what waits for it.

    ``fenced``: whether it takes records in this epoch; a cloud that was away when the epoch was taken does not.
    ``alone``: held by whoever writes to it: the uploader, or the store while it takes an epoch.
    """

    def __init__(self, layer: FencedLayer) -> None:
        self.layer = layer
        self.seat = Seat(layer, trails=True)
        self.fenced = False
        self.alone = asyncio.Lock()
        self.arrived = asyncio.Event()
        self._piece: Sequence[Frame] = ()
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._head = 0
        self._confirmed = asyncio.Event()

    def begin(self, head: int) -> None:
        """A new epoch: the others are at ``head``."""
        self.fenced = self.seat.healthy
        self._waiting.clear()
        self._piece = ()
        self._bytes, self._head = 0, head
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

    def behind(self) -> int:
        """How many records it lacks."""
        return max(0, self._head - self.seat.gsn)

    async def give(self, source: Source) -> int:
        """Gives the layer the next piece of what it lacks; how many records it was.

        Raises:
            Stale: when another process has taken over.
            StorageError: when the layer did not take it, or it could not be read. Whether it has it may be unknown:
                the next call gives it the same piece again.
        """
        self._piece = self._piece or tuple(self._waiting) or await source(self.seat.gsn, PIECE_RECORDS)
        if not self._piece:
            return 0
        async with self.alone:
            piece = self._piece
            await self.layer.append(piece)
            self._take(piece[-1].record.gsn)
        return len(piece)

    async def reach(self, gsn: int) -> None:
        """Returns when everything up to ``gsn`` is confirmed."""
        while self.seat.gsn < gsn:
            self._confirmed.clear()
            await self._confirmed.wait()

    def _take(self, gsn: int) -> None:
        self.seat.gsn = gsn
        self.seat.trouble = None
        self._piece = ()
        while self._waiting and self._waiting[0].record.gsn <= gsn:
            self._bytes -= len(self._waiting.popleft().data)
        self._confirmed.set()
        if not self.behind():
            self.arrived.clear()

    def _notify(self) -> None:
        if self.behind():
            self.arrived.set()
