"""Backups: folders laid out like a data folder, with a note of what they hold; and folders that become whole at once.

DIR/log/, DIR/checkpoints/   as in a data folder, so that every command that reads one reads a backup
DIR/backup.json              one sealed line, which gets its name last: a folder without it is no backup
DIR/unfinished/              what is being written; a folder that has it only is neither backup nor data folder
DIR/lock                     says who writes; what lies in unfinished/ without it is not ours
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, DiskFull, LedgerError, StorageError
from persistence.cloud_bytes import segment_key
from persistence.copying import Contents
from persistence.disk import Disk, lock_owner
from persistence.formats import Format
from persistence.marker import NAME as MARKER
from persistence.sealed import seal_line, unseal_line
from persistence.writing import replace

BACKUP_FORMAT: Final = 1
NOTE: Final = "backup.json"
UNFINISHED: Final = "unfinished"
LOCK: Final = "lock"
OF_THE_DISK: Final = frozenset({"lost+found"})
"""Lies in the root of a volume that nothing was written to yet."""
PARTS: Final = ("log", "checkpoints", MARKER, NOTE)
"""What a folder gets when it becomes whole, in this order: the log makes it a data folder, the note a backup."""
_SIGNS: Final = (MARKER, NOTE, "log/0000000001.jsonl", segment_key(1))
"""Each shows that a folder holds a history; the last, that of a cloud or vault. A ``log`` alone does not: /var has
one."""
_OWNERS: Final = re.compile(rb"inviteledger (backup|restore)\b")
"""How the lock of one who writes here begins; it stays where that one was killed."""
_WRITTEN: Final = re.compile(
    r"((log/\d{10}\.jsonl|checkpoints/\d+/[^/]+\.ckpt|marker|backup\.json)(\.new)?|quarantine/[^/]+)"
)
"""Files that a copy writes, by their paths in ``unfinished/``."""
_TOLD: Final = 3
"""So many names of what lies in a folder are told."""


class FolderNotEmpty(LedgerError):
    """What is to be written needs a folder of its own."""

    hint = "name a folder that is empty, or not there yet"


class InsideHistory(LedgerError):
    """What is to be written would lie in a folder that holds a history already."""

    hint = "name a folder outside of it, best on another disk"


class NoRoom(DiskFull):
    """There is no room for what is to be written, or its disk is read-only."""

    hint = "free space on that disk (or make it writable), or name a folder on another one; nothing was kept there"


class NoBackup(LedgerError):
    """A folder holds no whole backup."""

    hint = "name the folder that `inviteledger backup` wrote, or `cloud`"


class CloudsFolder(NoBackup):
    """In the place of a backup a cloud's or vault's folder was named."""

    hint = "set that for this command, and leave --from out"


class StaysAsItIs(LedgerError):
    """A backup was to be changed."""

    hint = (
        "make a data folder of it (`inviteledger restore --from BACKUP --to DIR`), do it there and take another "
        "backup; or delete it"
    )


class SourceDamaged(LedgerError):
    """What was to be restored is not what was written."""

    hint = (
        "nothing was restored; take another backup, or the cloud. What can still be read of a damaged backup comes "
        "back when a bot is started on a copy of it (LEDGER_DATA)"
    )


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. ``made_ms``: when it was made (clock of its maker, milliseconds since 1970)."""

    made_ms: int
    contents: Contents
    epoch: int
    lineage: str
    checkpoints: int
    format: int = BACKUP_FORMAT
    release: str = ""


def write_note(disk: Disk, folder: Path, backup: Backup) -> None:
    """Says what a folder holds, durably."""
    replace(disk, folder / NOTE, seal_line(msgspec.json.encode(backup)))


def read_note(disk: Disk, folder: Path) -> Backup:
    """What a backup says that it holds.

    Raises:
        NoBackup: when it is none, or none any more, or one that was never finished.
        CloudsFolder: when it holds a cloud's objects.
        Corrupt: when the note is not what was written.
        NewerFormat: when a later release wrote it.
    """
    where = folder / NOTE
    if is_taken(folder):
        raise NoBackup(f"{folder} is no folder, so no backup: a file, or a link that leads nowhere")
    if disk.identity(folder) is None:
        raise NoBackup(f"{folder} is not there")
    if _is_file(folder / segment_key(1)):
        address = folder.absolute().as_uri()
        raise CloudsFolder(
            f"{folder} is no backup, but a cloud's or vault's folder, which LEDGER_CLOUD={address} names"
        )
    if not _is_file(where):
        raise NoBackup(f"{folder} holds no whole backup: there is no {NOTE} in it")
    if is_taken(folder / "log"):
        raise NoBackup(f"{folder} holds no whole backup: its log is no folder")
    if not is_backup(disk, folder):
        raise NoBackup(
            f"{folder} holds no backup any more: a bot was started on it, and it is that bot's data folder (with "
            f"LEDGER_DATA={folder} `inviteledger backup` makes one of it)"
        )
    body = unseal_line(disk.read(where).removesuffix(b"\n"), str(where))
    try:
        msgspec.json.decode(body, type=Format).refuse_above(BACKUP_FORMAT, str(where))
        return msgspec.json.decode(body, type=Backup)
    except msgspec.MsgspecError as error:
        raise Corrupt(str(where), f"unreadable: {error}") from error


def is_backup(disk: Disk, folder: Path) -> bool:
    """Whether a folder is a backup as it was made; one that a bot was started on has a marker and goes on."""
    return disk.identity(folder / NOTE) is not None and disk.identity(folder / MARKER) is None


@contextmanager
def becoming_whole(disk: Disk, folder: Path, owner: str) -> Iterator[Path]:
    """A place to write what the folder is to hold, which gets it at the end, or nothing at all.

    Locks the folder meanwhile, so that no bot starts on it. What an earlier try left unfinished when it was killed is
    removed: what lies there counts as left by one only beside its lock, and only files such as it writes.

    Raises:
        FolderNotEmpty: when it holds anything else, or is no folder.
        InsideHistory: when it lies in a data folder, in a backup, or in a cloud's or vault's folder.
        FolderInUse: when another process is writing there.
        NoRoom: when its disk is full, or read-only.
        StorageError: when it cannot be made or written.
    """
    if is_taken(folder):
        raise FolderNotEmpty(f"{folder} is no folder: a file, or a link that leads nowhere, is in its place")
    _refuse_unless_empty(disk, folder)
    refuse_within_history(folder)
    try:
        with _made(disk, folder), _written_to(disk, folder, owner) as place:
            yield place
    except DiskFull as error:
        raise NoRoom(str(error)) from error


@contextmanager
def _written_to(disk: Disk, folder: Path, owner: str) -> Iterator[Path]:
    held = disk.lock(folder / LOCK, owner)
    place = folder / UNFINISHED
    try:
        shutil.rmtree(place, ignore_errors=True)
        disk.make_folder(place)
        yield place
        _publish(disk, folder, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        with suppress(StorageError):
            disk.remove(folder / LOCK)
        held.release()


@contextmanager
def _made(disk: Disk, folder: Path) -> Iterator[None]:
    """The folder and those that it lies in are there; which of them were made and stayed empty go again."""
    new = [each for each in (folder, *folder.parents) if disk.identity(each) is None]
    try:
        disk.make_folder(folder)
        yield
    finally:
        for each in new:
            with suppress(OSError):  # not where it has become whole
                each.rmdir()


def holds_history(folder: Path) -> bool:
    """Whether it is a data folder, a backup, or the folder of a cloud or vault."""
    return any(os.access(folder / sign, os.F_OK) for sign in _SIGNS)


def is_taken(folder: Path) -> bool:
    """Whether a file, or a link that leads nowhere, has its name, or that of a folder that it would be in."""
    return any(
        os.path.lexists(each) and not os.path.isdir(each)  # noqa: PTH112 -- Path's raises where it may not look
        for each in (folder, *folder.parents)
    )


def refuse_within_history(folder: Path) -> None:
    """What is kept where a history lies goes with it, and may be taken for a part of it.

    Raises:
        InsideHistory: when the folder lies in one that holds a history, at any depth.
    """
    for home in Path(os.path.realpath(folder)).parents:  # Path.resolve raises where links lead in a circle
        if holds_history(home):
            told = f"{folder} lies in {home}, which holds a history{in_use(home)}: nothing was written"
            raise InsideHistory(f"{told}, for what lies there is lost with it, and may be taken for a part of it")


def told_names(names: Sequence[str]) -> str:
    """What lies in a folder, for a person: the first few names."""
    return ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")


def in_use(folder: Path) -> str:
    """Who holds a data folder, as the end of a clause; "" = nobody."""
    lock = folder / LOCK
    owner = lock_owner(lock) if _is_file(lock) else ""
    return f", and is in use by {owner}" if owner else ""


def _refuse_unless_empty(disk: Disk, folder: Path) -> None:
    if names := _not_left_by_us(disk, folder):
        told = f"{folder} is not empty ({told_names(names)}){in_use(folder)}"
        raise FolderNotEmpty(f"{told}; nothing in it was touched")


def _not_left_by_us(disk: Disk, folder: Path) -> list[str]:
    """The names in a folder of all but what a try that was killed left there, somebody's lock that is held, or what a
    disk of its own holds.
    """
    names, lock = [name for name in disk.names(folder) if name not in OF_THE_DISK], folder / LOCK
    if _is_file(lock) and (in_use(folder) or _OWNERS.match(disk.read(lock))):
        ours = {LOCK, UNFINISHED} if _is_written_by_us(folder / UNFINISHED) else {LOCK}
        return [name for name in names if name not in ours]
    return names


def _is_file(path: Path) -> bool:
    """Whether it is a plain one: to open a pipe waits for its other end."""
    return os.path.isfile(path)  # noqa: PTH113 -- Path's raises where it may not look


def _is_written_by_us(place: Path) -> bool:
    files = [path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()]
    return not place.is_symlink() and all(_WRITTEN.fullmatch(str(path.relative_to(place))) for path in files)


def _publish(disk: Disk, folder: Path, place: Path) -> None:
    there, given = disk.names(place), list[str]()
    try:
        for name in PARTS:
            if name in there:
                given.append(name)
                disk.rename(place / name, folder / name)
                disk.sync_folder(folder)
    except BaseException:  # Ctrl-C as well
        for name in reversed(given):  # nothing at all, then
            with suppress(StorageError):
                disk.rename(folder / name, place / name)
        raise
