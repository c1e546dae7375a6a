"""Bugs that only some operation of a disk brings to light: an error taken for another, a name that is not durable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from persistence import checkpoints, log, merging, quarantine, sqlite_database, sqlite_repair
from persistence.checkpoints import KEPT, Checkpoints, pack
from persistence.disk import Disk
from persistence.layer import Checkpoint
from persistence.scan import SegmentFile
from persistence.sqlite_repair import Files
from persistence.writing import SegmentWriter, replace
from tests.planted.bug import Bug, Origin, Swap
from tests.planted.in_storage import (
    prepared_normal,
    prepared_off,
    published_in_an_unsynced_folder,
    replaced_in_an_unsynced_folder,
    replaced_in_place,
)

_merge: Final = merging._merge


def named_or_not(mine: SegmentWriter) -> bool:
    """An error of the look at the name goes out as it is: as if nothing had happened, behind the fsync."""
    return mine._disk.identity(mine.path) == mine._identity


def forgotten_without_a_sync(mine: Checkpoints, checkpoint: Checkpoint) -> None:
    """Checkpoints of before a forgetting come back with the power."""
    header = checkpoint.header
    path = mine._folder / header.guild / f"{header.epoch:010d}-{header.seq:020d}.ckpt"
    replace(mine._disk, path, pack(checkpoint))
    paths = mine._paths(header.guild)
    for old in paths:
        if old not in paths[-KEPT:] or int(old.stem.partition("-")[2]) < header.forgot_seq:
            mine._disk.remove(old)


def merged_and_gone(disk: Disk, folder: Path, files: Sequence[SegmentFile], group: Sequence[SegmentFile]) -> None:
    """The files go at once, before the one that they were merged into has a durable name."""
    _merge(disk, folder, files, group)
    for file in group:
        disk.remove(file.path)


def thrown_away(mine: Files, why: str) -> None:
    del why
    mine._discard(mine.path)
    mine._disk.sync_folder(mine.path.parent)


OPERATIONS: Final = ("operations",)
CUT_DATABASE: Final = ("database-cuts",)
ACKNOWLEDGED: Final = frozenset({"I1"})

BUGS: Final = (
    Bug(
        name="synchronous-normal",
        origin=Origin.DURABILITY,
        what="SQLite syncs its WAL only when that is moved into the file",
        swaps=tuple(Swap(each, "prepare", prepared_normal) for each in (sqlite_database, sqlite_repair)),
        breaks=ACKNOWLEDGED,
        hunts=CUT_DATABASE,
    ),
    Bug(
        name="synchronous-off",
        origin=Origin.DURABILITY,
        what="SQLite never syncs",
        swaps=tuple(Swap(each, "prepare", prepared_off) for each in (sqlite_database, sqlite_repair)),
        breaks=ACKNOWLEDGED,
        hunts=CUT_DATABASE,
    ),
    Bug(
        name="unsynced-checkpoint",
        origin=Origin.KERNEL,
        what="a checkpoint is acknowledged before its name is durable",
        swaps=(Swap(checkpoints, "replace", replaced_in_an_unsynced_folder),),
        breaks=ACKNOWLEDGED,
        hunts=OPERATIONS,
    ),
    Bug(
        name="replaced-in-place",
        origin=Origin.KERNEL,
        what="a file that is mended goes before the new one is durable",
        swaps=tuple(Swap(each, "replace", replaced_in_place) for each in (log, checkpoints, quarantine)),
        breaks=ACKNOWLEDGED,
        hunts=OPERATIONS,
    ),
    Bug(
        name="merged-unsynced",
        origin=Origin.KERNEL,
        what="segments are removed before their merged one and its directory are synced",
        swaps=(
            Swap(merging, "publish", published_in_an_unsynced_folder),
            Swap(merging, "_merge", merged_and_gone),
        ),
        breaks=ACKNOWLEDGED,
        hunts=OPERATIONS,
    ),
    Bug(
        name="forgotten-unsynced",
        origin=Origin.OURS,
        what="checkpoints of before a forgetting are removed without a sync",
        swaps=(Swap(Checkpoints, "save", forgotten_without_a_sync),),
        breaks=ACKNOWLEDGED,
        hunts=OPERATIONS,
    ),
    Bug(
        name="stat-error-is-nothing",
        origin=Origin.OURS,
        what="an error behind the fsync is told as if nothing had happened",
        swaps=(Swap(SegmentWriter, "_has_its_name", named_or_not),),
        breaks=ACKNOWLEDGED,
        hunts=OPERATIONS,
    ),
    Bug(
        name="lost-branch-not-kept",
        origin=Origin.OURS,
        what="a database that was written anew is deleted, with the branch that lost",
        swaps=(Swap(Files, "set_aside", thrown_away),),
        breaks=ACKNOWLEDGED,
        hunts=CUT_DATABASE,
    ),
)
