"""Bugs of log, checkpoints and database: what is called durable and is not, what is believed and is not so."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ledger.errors import NotConfirmed
from persistence import frames, writing
from persistence.disk import Disk, Handle, Identity
from persistence.frames import Frame
from persistence.log import Log
from persistence.proofs import Walk
from persistence.scan import Scan, SegmentFile, Spotted
from persistence.seats import Seat
from persistence.segments import Line
from persistence.sqlite_connection import prepare
from persistence.store import Store
from persistence.writing import SegmentWriter
from tests.planted.bug import Bug, Origin, Swap

_publish: Final = writing.publish
_draft: Final = writing._draft
_write: Final = Store._write


class Lazy:
    """A ``Handle`` that does not sync. ``late``: it does so before the next write, when that is long acknowledged."""

    def __init__(self, handle: Handle, *, late: bool) -> None:
        self._handle = handle
        self._late = late

    def write(self, data: bytes) -> None:
        if self._late:
            self._handle.sync()
        self._handle.write(data)

    def sync(self) -> None:
        """Later, or never."""

    def cut(self, size: int) -> None:
        self._handle.cut(size)

    def identity(self) -> Identity:
        return self._handle.identity()

    def close(self) -> None:
        self._handle.close()


def published_for_late_syncs(disk: Disk, path: Path, data: bytes) -> Handle:
    return Lazy(_publish(disk, path, data), late=True)


def published_for_no_syncs(disk: Disk, path: Path, data: bytes) -> Handle:
    return Lazy(_publish(disk, path, data), late=False)


def published_in_an_unsynced_folder(disk: Disk, path: Path, data: bytes) -> Handle:
    return _draft(disk, path, data)


def replaced_in_an_unsynced_folder(disk: Disk, path: Path, data: bytes) -> None:
    _draft(disk, path, data).close()


def named_before_its_content(disk: Disk, path: Path, data: bytes) -> Handle:
    handle = disk.append_to(path)
    disk.sync_folder(path.parent)
    handle.write(data)
    handle.sync()
    return handle


def replaced_in_place(disk: Disk, path: Path, data: bytes) -> None:
    """The old file goes before the new one is durable."""
    disk.make_folder(path.parent)
    disk.remove(path)
    handle = disk.append_to(path)
    handle.write(data)
    handle.sync()
    handle.close()
    disk.sync_folder(path.parent)


def synced_once_more(mine: Log, writer: SegmentWriter, frames: Sequence[Frame]) -> tuple[SegmentWriter, int]:
    """The page cache claims success the second time."""
    del mine
    try:
        return writer, writer.append(frames)
    except NotConfirmed:
        writer.take_back()
        return writer, writer.append(frames)


def begun_without_a_sync(mine: Log, epoch: int, lineage: str) -> None:
    """What was read of the last batch is taken for durable."""
    mine._term = (epoch, lineage)
    mine._writer, _ = mine._start_file(mine._opened().scan.last + 1, ())


def all_that_can_be_read(scan: Scan, file: SegmentFile, content: Sequence[Line]) -> Iterator[Spotted]:
    """The last batch with what is behind a hole in it, and with appends that are not whole."""
    for line in content:
        if isinstance(line.content, Frame):
            yield Spotted(line.content, file.number, line.offset)
            scan.unconfirmed.append(line.content)
            scan.last = line.content.record.gsn


def nothing_of_the_last_batch(scan: Scan, file: SegmentFile, content: Sequence[Line]) -> Iterator[Spotted]:
    """All that no batch line confirms is taken for torn."""
    del file
    scan.torn = sum(line.size for line in content)
    return iter(())


async def database_before_log(store: Store, frames: Sequence[Frame]) -> frozenset[str]:
    store._near = store._near[::-1]
    try:
        return await _write(store, frames)
    finally:
        store._near = store._near[::-1]


def the_same_for_all(data: bytes) -> int:
    del data
    return 0


def on_to_whatever_comes(walk: Walk, seat: Seat, gsn: int) -> None:
    del seat
    walk.gsn = max(walk.gsn, gsn)


async def step_without_a_look(walk: Walk, seat: Seat, upto: int) -> int:
    del seat
    walk.gsn = upto
    return 0


def prepared_normal(db: sqlite3.Connection, path: Path) -> int:
    return _prepared(db, path, "NORMAL")


def prepared_off(db: sqlite3.Connection, path: Path) -> int:
    return _prepared(db, path, "OFF")


def _prepared(db: sqlite3.Connection, path: Path, synchronous: str) -> int:
    pages = prepare(db, path)
    db.execute(f"PRAGMA synchronous = {synchronous}")
    return pages


LOG: Final = ("log",)

BUGS: Final = (
    Bug(
        name="ack-before-fsync",
        origin=Origin.KERNEL,
        what="a batch is synced when the next one is written",
        swaps=(Swap(writing, "publish", published_for_late_syncs),),
        breaks=frozenset({"I1", "I6"}),
        hunts=LOG,
    ),
    Bug(
        name="no-fsync",
        origin=Origin.DURABILITY,
        what="batches are never synced",
        swaps=(Swap(writing, "publish", published_for_no_syncs),),
        breaks=frozenset({"I1", "I6"}),
        hunts=LOG,
    ),
    Bug(
        name="unsynced-folder",
        origin=Origin.KERNEL,
        what="a new segment is written to before its name is durable",
        swaps=(Swap(writing, "publish", published_in_an_unsynced_folder),),
        breaks=frozenset({"I1", "I6"}),
        hunts=LOG,
    ),
    Bug(
        name="name-before-content",
        origin=Origin.KERNEL,
        what="a new segment hides the end of the one before it, and is still empty",
        swaps=(Swap(writing, "publish", named_before_its_content),),
        breaks=frozenset({"I1", "I6"}),
        hunts=LOG,
    ),
    Bug(
        name="fsync-once-more",
        origin=Origin.DURABILITY,
        what="a sync that failed is repeated on the same file",
        swaps=(Swap(Log, "_append_or_move_on", synced_once_more),),
        breaks=frozenset({"I1", "I6"}),
        hunts=LOG,
    ),
    Bug(
        name="torn-tail-not-cut",
        origin=Origin.KERNEL,
        what="whatever can be read of the last batch counts",
        swaps=(Swap(Scan, "_last_batch", all_that_can_be_read),),
        breaks=frozenset({"I1", "I3"}),
        hunts=LOG,
    ),
    Bug(
        name="last-batch-cut",
        origin=Origin.OURS,
        what="the last batch is cut on reopen although it is whole",
        swaps=(Swap(Scan, "_last_batch", nothing_of_the_last_batch),),
        breaks=frozenset({"I1"}),
        hunts=LOG,
    ),
    Bug(
        name="no-fsync-on-reopen",
        origin=Origin.KERNEL,
        what="what recovery read of the last batch is acknowledged without being synced again",
        swaps=(Swap(Log, "begin", begun_without_a_sync),),
        breaks=frozenset({"I1", "I3"}),
        hunts=LOG,
    ),
    Bug(
        name="database-before-log",
        origin=Origin.OURS,
        what="a batch is in the database while the log, which works, lacks it",
        swaps=(Swap(Store, "_write", database_before_log),),
        breaks=frozenset({"I6"}),
        hunts=("swarm",),
    ),
    Bug(
        name="no-checksum",
        origin=Origin.DURABILITY,
        what="every checksum is the same",
        swaps=(Swap(frames, "checksum", the_same_for_all),),
        breaks=frozenset({"I9"}),
        hunts=("damage",),
    ),
    Bug(
        name="pass-compares-nothing",
        origin=Origin.OURS,
        what="a pass says that all can be read back, and has not looked",
        swaps=(Swap(Walk, "step", step_without_a_look),),
        breaks=frozenset({"I9"}),
        hunts=("pass",),
    ),
    Bug(
        name="pass-misses-what-is-missing",
        origin=Origin.OURS,
        what="a pass looks at what a layer gives back, and not at what it does not",
        swaps=(Swap(Walk, "_pass", on_to_whatever_comes),),
        breaks=frozenset({"I9"}),
        hunts=("pass",),
    ),
)
