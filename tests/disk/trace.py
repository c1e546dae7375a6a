"""What is done to a data folder, operation by operation, and the disk as it was behind any of them.

SQLite (``tests/disk/vfs.py``) and the product's own seam (``WatchedDisk``) tell each operation before they do it. It
meets the plan (``tests/disk/faults.py``), which may let it fail or be done in part; what is done is kept, and can be
made anew on a ``Volume``. Nothing is synced really: what would be durable is worked out from the trace alone.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from persistence.disk import Identity, RealDisk, RealHandle
from tests.disk.events import (
    Event,
    FolderMade,
    FolderSynced,
    Linked,
    Looked,
    Made,
    Moved,
    Removed,
    Shortened,
    Synced,
    SyncFailed,
    Wrote,
)
from tests.disk.faults import Fault, Hit, Operation, error_of
from tests.persistence.volume import Volume

SECTOR: Final = 512
"""Bytes that a disk writes at once."""
_NO_ROOM: Final = frozenset({Fault.ENOSPC, Fault.ENOSPC_ON, Fault.SHORT})
_LASTING: Final = frozenset({Fault.EIO_ON, Fault.ENOSPC_ON})


class Verdict(msgspec.Struct, frozen=True):
    """What an operation meets; ``done``: whether it is done all the same, for a write how many bytes."""

    fault: Fault | None
    done: int


class Trace:
    """The operations below ``root``; of those elsewhere nothing is kept, and nothing happens to them."""

    def __init__(self, root: Path, plan: Sequence[Hit] = (), seed: int = 0) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self.events: list[tuple[int, Event]] = []
        self.fired = 0
        self._begin = files_in(root)
        self._plan = list(plan)
        self._random = Random(seed)
        self._since = 0
        self._lasting: Fault | None = None

    def mend(self) -> None:
        """Whatever lasts is over."""
        self._lasting = None

    def move_to(self, root: Path) -> None:
        """A process is killed: its files go on elsewhere as they are, and what it still does does not count."""
        shutil.copytree(self.root, root)
        self.root = root

    def meet(self, event: Event) -> Verdict:
        """Tells what happens to an operation, and keeps what is done of it."""
        size = len(event.data) if isinstance(event, Wrote) else 1
        if not event.path.is_relative_to(self.root):
            return Verdict(None, size)
        fault = self._fault(Operation(event.name, event.changes))
        done = 0 if fault and isinstance(event, Made) else self._part(size, fault)
        if isinstance(event, Wrote):
            self._keep(Wrote(event.path, event.offset, event.data[:done]))
        elif done:
            self._keep(event)
        elif isinstance(event, Synced):
            self._keep(SyncFailed(event.path))
        return Verdict(fault, done)

    def volume_behind(self, number: int) -> Volume:
        """The disk behind an operation."""
        volume = Volume(SECTOR)
        for path, data in self._begin.items():
            volume.begin_with(path, data)
        for at, event in self.events:
            if at > number:
                break
            event.happen(volume)
        return volume

    def _fault(self, operation: Operation) -> Fault | None:
        self.operations.append(operation)
        self._since += 1
        fault = self._lasting
        if self._plan and self._since == self._plan[0].at:
            fault = self._plan.pop(0).fault
            self._since, self.fired = 0, self.fired + 1
            self._lasting = fault if fault in _LASTING else self._lasting
        return None if fault in _NO_ROOM and not operation.changes else fault

    def _part(self, size: int, fault: Fault | None) -> int:
        if fault is None or fault is Fault.EIO_DONE:
            return size
        return self._random.randrange(size) if fault is Fault.SHORT else 0

    def _keep(self, event: Event) -> None:
        self.events.append((len(self.operations), event.below(self.root)))


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class WatchedDisk(RealDisk):
    """The real files, every change of which is told to a trace first."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def append_to(self, path: Path) -> "WatchedHandle":
        if not path.exists():
            self._tell(Made(path))
        return WatchedHandle(super().append_to(path), path, self._trace)

    def make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self.make_folder(folder.parent)
            self._tell(FolderMade(folder))
            folder.mkdir()
        super().make_folder(folder)

    def read(self, path: Path) -> bytes:
        self._tell(Looked(path))
        return super().read(path)

    def read_parts(self, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        self._tell(Looked(path))
        return super().read_parts(path, parts)

    def names(self, folder: Path) -> list[str]:
        self._tell(Looked(folder))
        return super().names(folder)

    def folders(self, folder: Path) -> frozenset[str]:
        self._tell(Looked(folder))
        return super().folders(folder)

    def identity(self, path: Path) -> Identity | None:
        self._tell(Looked(path))
        return super().identity(path)

    def rename(self, old: Path, new: Path) -> None:
        verdict = self._trace.meet(Moved(old, new))
        if verdict.done:
            super().rename(old, new)
        _raise("rename", verdict)

    def link(self, old: Path, new: Path) -> bool:
        if new.exists():
            self._tell(Looked(new))
            return False
        verdict = self._trace.meet(Linked(old, new))
        given = bool(verdict.done) and super().link(old, new)
        _raise("link", verdict)
        return given

    def remove(self, path: Path) -> None:
        if path.exists():
            verdict = self._trace.meet(Removed(path))
            if verdict.done:
                super().remove(path)
            _raise("remove", verdict)

    def sync_folder(self, folder: Path) -> None:
        self._tell(FolderSynced(folder))

    def _tell(self, event: Event) -> None:
        _raise(event.name, self._trace.meet(event))


class WatchedHandle(RealHandle):
    """A real file, appended to."""

    def __init__(self, real: RealHandle, path: Path, trace: Trace) -> None:
        super().__init__(path, real._open())
        self._trace = trace

    def write(self, data: bytes) -> None:
        verdict = self._trace.meet(Wrote(self._path, self._path.stat().st_size, data))
        super().write(data[: verdict.done])
        _raise("write", verdict)

    def sync(self) -> None:
        _raise("sync", self._trace.meet(Synced(self._path)))

    def cut(self, size: int) -> None:
        _raise("cut", self._trace.meet(Shortened(self._path, size)))
        super().cut(size)


def _raise(name: str, verdict: Verdict) -> None:
    if verdict.fault is not None:
        raise error_of(Operation(name, name != "read"), verdict.fault)
