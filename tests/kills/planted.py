"""Bugs that this harness has to find: each as a patch, and the kills that find it.

Some obvious ones are none here, because another line of defence makes them harmless: a turn that swallows its
cancellation meets the mailbox's fence; a journal that does not void its queue meets the store's doubt.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest

from actors.journal import Journal
from actors.mailbox import Address
from actors.reads import Reads
from ledger.errors import Fenced
from persistence.frames import Frame
from persistence.numbering import Append, Numbering
from persistence.store import Store
from tests.kills.acts import Mode


class Planted(msgspec.Struct, frozen=True):
    """``scenario``, ``function`` and ``mode``: kills at whatever waits last in that function find it."""

    name: str
    plant: Callable[[pytest.MonkeyPatch], None]
    scenario: str
    function: str
    mode: Mode

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            yield


def _unfenced_mailbox(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Address, "check", lambda *_: None)


def _taken_for_good(patch: pytest.MonkeyPatch) -> None:
    hand_over = Address.hand_over

    def forget(self: Address[Any, Any]) -> int:
        if self._in_hand is not None:
            self._remove(self._in_hand)
        return hand_over(self)

    patch.setattr(Address, "hand_over", forget)


def _unfenced_append(patch: pytest.MonkeyPatch) -> None:
    take = Numbering.take

    def anywhere(self: Numbering, append: Append) -> tuple[Frame, ...] | Fenced:
        head = self.moved.get(append.guild) or self._heads.get(append.guild)
        return take(self, msgspec.structs.replace(append, base_seq=head.seq if head else 0))

    patch.setattr(Journal, "_is_stale", lambda *_: False)
    patch.setattr(Numbering, "take", anywhere)


def _forgotten_queue(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Journal, _: object) -> None:
        self._needs_epoch = True
        self._queue.clear()

    patch.setattr(Journal, "void", forget)


def _no_new_epoch(patch: pytest.MonkeyPatch) -> None:
    write = Store._write

    async def sure(self: Store, frames: Sequence[Frame]) -> frozenset[str]:
        try:
            return await write(self, frames)
        finally:
            self._in_doubt = False

    patch.setattr(Store, "_write", sure)
    patch.setattr(Journal, "void", lambda *_: None)


def _forgotten_reads(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Reads, _: object) -> None:
        self._waiting = deque()

    patch.setattr(Reads, "void", forget)


QUEUED: Final = "Journal._queued"
PLANTED: Final = (
    Planted("a zombie takes from the mailbox", _unfenced_mailbox, "work", "Address.arrival", Mode.ZOMBIE),
    Planted("an ask dies with the life that has it in hand", _taken_for_good, "work", QUEUED, Mode.CANCEL),
    Planted("an append is not fenced", _unfenced_append, "work", QUEUED, Mode.LATE_WRITE),
    Planted("a journal forgets its queue when it dies", _forgotten_queue, "work", "Journal._wait", Mode.LATE),
    Planted("no new epoch after an unknown outcome", _no_new_epoch, "work", "LocalLayer.append", Mode.CANCEL),
    Planted("reads that wait are forgotten", _forgotten_reads, "work", QUEUED, Mode.JOURNAL),
)
