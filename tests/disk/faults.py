"""What goes wrong at an operation of the simulated disk, and when: a plan of hits, each counted from the one before.

A *cut* ends the process right behind the operation; the fault says what becomes of all that was not synced by then.
An *error* is what the real disk would raise there (``persistence/disk.py``), once or until the disk is mended. Only
operations that change something are cut or find no room; only a write can be short.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from random import Random
from typing import Final

import msgspec

from ledger.errors import DiskFull, NotConfirmed, StorageError
from tests.persistence.simdisk import PowerCut, SimDisk


class Fault(StrEnum):
    """``…-done``: the error comes, and what was asked was done all the same; ``…-on``: until the disk is mended."""

    LOST = "lost"
    TORN = "torn"
    FLUSHED = "flushed"
    EIO = "eio"
    EIO_DONE = "eio-done"
    EIO_ON = "eio-on"
    ENOSPC = "enospc"
    ENOSPC_ON = "enospc-on"
    SHORT = "short"


CUTS: Final = {Fault.LOST: 0.0, Fault.TORN: None, Fault.FLUSHED: 1.0}
"""With the luck of what was not synced (``Volume.crashed``)."""
_LASTING: Final = frozenset({Fault.EIO_ON, Fault.ENOSPC_ON})
_NO_ROOM: Final = frozenset({Fault.ENOSPC, Fault.ENOSPC_ON, Fault.SHORT})
_UNCHANGED: Final = frozenset({"open", "make_folder", "remove"})
"""Where an error is no unknown outcome."""


class Operation(msgspec.Struct, frozen=True):
    """An operation of a run; ``changes``: whether it changes what is on the disk."""

    name: str
    changes: bool

    def faults(self) -> Iterator[Fault]:
        """What can happen to it."""
        if not self.changes:
            yield from (Fault.EIO, Fault.EIO_ON)
            return
        yield from (fault for fault in Fault if fault is not Fault.SHORT or self.name == "write")


class Hit(msgspec.Struct, frozen=True):
    """``at``: the how manieth operation behind the hit before, or behind the begin, from 1."""

    at: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.at}:{self.fault}"


Plan = tuple[Hit, ...]


class Trouble:
    """Carries out a plan on one disk after another. ``seen``: the operations, while no hit is left to come.

    ``luck``: what the last cut leaves of the unsynced; ``fired``: how many hits have come.
    """

    def __init__(self, plan: Sequence[Hit], random: Random) -> None:
        self._left = list(plan)
        self._random = random
        self._lasting: Fault | None = None
        self.since = 0
        self.luck: float | None = None
        self.fired = 0
        self.seen: list[Operation] = []

    def sits_on(self, disk: SimDisk) -> None:
        disk.before = lambda _, what: self._before(disk, Operation(what, changes=True))
        disk.look = lambda _, what: self._before(disk, Operation(what, changes=False))
        disk.after = lambda _, what: self._after(what)

    def mend(self) -> None:
        """Whatever lasts is over."""
        self._lasting = None

    def _before(self, disk: SimDisk, operation: Operation) -> None:
        self.since += 1
        if not self._left:
            self.seen.append(operation)
        fault = self._lasting
        if self._is_due() and self._left[0].fault not in CUTS and self._left[0].fault is not Fault.EIO_DONE:
            fault = self._take()
            self._lasting = fault if fault in _LASTING else self._lasting
        if fault is not None and (operation.changes or fault not in _NO_ROOM):
            disk.part = self._random.random() if fault is Fault.SHORT else 0.0
            raise error_of(operation, fault)

    def _after(self, what: str) -> None:
        if not self._is_due():
            return
        fault = self._take()
        if fault in CUTS:
            self.luck, self._lasting = CUTS[fault], None
            raise PowerCut
        if fault is Fault.EIO_DONE:
            raise error_of(Operation(what, changes=True), fault)

    def _is_due(self) -> bool:
        return bool(self._left) and self.since == self._left[0].at

    def _take(self) -> Fault:
        self.since = 0
        self.fired += 1
        return self._left.pop(0).fault


def error_of(operation: Operation, fault: Fault) -> StorageError:
    """What the real disk raises there."""
    kind: Callable[[str], StorageError] = NotConfirmed
    if fault in _NO_ROOM and operation.name != "sync_folder":
        kind = DiskFull
    elif not operation.changes or operation.name in _UNCHANGED:
        kind = StorageError
    return kind(f"{operation.name}: {fault}")
