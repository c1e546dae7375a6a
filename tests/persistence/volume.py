"""What lies on a disk and what of it is durable; a crash makes one of the states that may be left of it.

After a crash, what was synced stands. Of the rest, any page of any unsynced write may be there or not (a lost page
below a kept one reads as zeros), a kept one may be torn at any byte, a truncation may or may not have happened, and
a name that was made, linked, moved or removed counts only if its folder was synced since, or by luck. A folder is a
name in the folder above it. What a failed sync should have made durable no later one does, though it claims success.
"""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

import msgspec

PAGE: Final = 64
"""Bytes; small, so that a batch of a few records spans several pages."""
_LUCK: Final = (0.0, 0.5, 0.9, 1.0)
_TORN: Final = 0.1


class Write(msgspec.Struct, frozen=True):
    """Bytes put at an offset."""

    offset: int
    data: bytes


class Cut(msgspec.Struct, frozen=True):
    """A file made shorter, or as long as it was."""

    size: int


class _Change(msgspec.Struct):
    what: Write | Cut
    durable: bool = False
    stuck: bool = False


class File:
    """A file's content as readers see it, and its changes since it was last durable as a whole.

    ``failed``: whether a sync of it ever failed.
    """

    def __init__(self, number: int, durable: bytes = b"") -> None:
        self.number = number
        self.content = bytearray(durable)
        self.failed = False
        self._durable = bytearray(durable)
        self._changes: list[_Change] = []

    def change(self, what: Write | Cut) -> None:
        apply(self.content, what)
        self._changes.append(_Change(what))

    def append(self, data: bytes) -> None:
        self.change(Write(len(self.content), data))

    def synced(self) -> None:
        for change in self._changes:
            change.durable = change.durable or not change.stuck
        if all(change.durable for change in self._changes):
            for change in self._changes:
                apply(self._durable, change.what)
            self._changes = []

    def sync_failed(self) -> None:
        self.failed = True
        for change in self._changes:
            change.stuck = change.stuck or not change.durable

    def rot(self, data: bytes) -> None:
        """Other bytes, durably."""
        self.content, self._durable, self._changes = bytearray(data), bytearray(data), []

    def after_crash(self, random: Random, luck: float | None, page: int) -> bytes:
        """One of the contents that a crash may leave; ``luck``: of each page and truncation, None = any, and torn."""
        left = bytearray(self._durable)
        for change in self._changes:
            if change.durable:
                apply(left, change.what)
            elif isinstance(change.what, Write):
                _put_by_luck(left, change.what, random, luck, page)
            elif random.random() < (random.choice(_LUCK) if luck is None else luck):
                apply(left, change.what)
        return bytes(left)


_Name: TypeAlias = File | None
"""What a name stands for; None = nothing."""


class Volume:
    """Files by name. ``page``: bytes that reach the disk together.

    Whoever makes, links, moves or removes a name leaves its folder unsynced.
    """

    def __init__(self, page: int = PAGE) -> None:
        self.page = page
        self.names: dict[Path, File] = {}
        self._durable: dict[Path, File] = {}
        self._unsynced: list[tuple[Path, Mapping[Path, _Name]]] = []
        self._folders: set[Path] = set()
        self._new_folders: list[Path] = []
        self._made = 0

    def listing(self, folder: Path) -> list[str]:
        """The names right below a folder, sorted."""
        return sorted({name.partition("/")[0] for name in self._below(folder)})

    def folders(self, folder: Path) -> frozenset[str]:
        """The names right below a folder that are folders themselves."""
        return frozenset(name.partition("/")[0] for name in self._below(folder) if "/" in name)

    def _below(self, folder: Path) -> list[str]:
        start = f"{folder}/"
        return [name.removeprefix(start) for name in map(str, self.names) if name.startswith(start)]

    def make(self, path: Path) -> File:
        """A new file, empty."""
        self._made += 1
        file = self.names[path] = File(self._made)
        self._unsynced.append((path.parent, {path: file}))
        return file

    def contents(self) -> dict[Path, bytes]:
        """All files, as readers see them."""
        return {path: bytes(file.content) for path, file in self.names.items()}

    def begin_with(self, path: Path, content: bytes) -> None:
        """A file that is durable, name and all, with the folders above it."""
        self._folders.update(path.parents)
        self._begin(path, content)

    def move(self, old: Path, new: Path) -> None:
        file = self.names.pop(old)
        self.names[new] = file
        if new.parent == old.parent:  # both at once
            self._unsynced.append((new.parent, {old: None, new: file}))
        else:
            self._unsynced += [(new.parent, {new: file}), (old.parent, {old: None})]

    def link(self, old: Path, new: Path) -> None:
        self.names[new] = self.names[old]
        self._unsynced.append((new.parent, {new: self.names[old]}))

    def remove(self, path: Path) -> None:
        del self.names[path]
        self._unsynced.append((path.parent, {path: None}))

    def make_folder(self, folder: Path) -> None:
        """A new folder, durable once the folder above is synced."""
        self._new_folders.append(folder)

    def has_folder(self, folder: Path) -> bool:
        return folder in self._folders or folder in self._new_folders or folder == folder.parent

    def is_durable_folder(self, folder: Path) -> bool:
        return folder in self._folders or folder == folder.parent

    def sync_folder(self, folder: Path) -> None:
        for _, change in [each for each in self._unsynced if each[0] == folder]:
            _rename(self._durable, change)
        self._unsynced = [each for each in self._unsynced if each[0] != folder]
        self._folders.update(new for new in self._new_folders if new.parent == folder)
        self._new_folders = [new for new in self._new_folders if new.parent != folder]

    def crashed(self, random: Random, luck: float | None = None) -> "Volume":
        """The volume after a crash. ``luck``: of each unsynced change: 0.0 none is there, 1.0 all are, None = any."""
        chance = 0.5 if luck is None else luck
        names = dict(self._durable)
        for _, change in self._unsynced:
            if random.random() < chance:
                _rename(names, change)
        gone = [folder for folder in self._new_folders if random.random() >= chance]
        left = Volume(self.page)
        left._folders = {*self._folders, *self._new_folders}.difference(gone)
        files: dict[File, File] = {}
        for path, file in names.items():
            if any(folder in path.parents for folder in gone):
                continue
            if file not in files:
                files[file] = left._begin(path, file.after_crash(random, luck, self.page))
            left.names[path] = left._durable[path] = files[file]
        return left

    def _begin(self, path: Path, content: bytes) -> File:
        self._made += 1
        file = self.names[path] = self._durable[path] = File(self._made, content)
        return file


def apply(content: bytearray, change: Write | Cut) -> None:
    """Makes a change as a file system does: what is written behind the end leaves zeros before it."""
    if isinstance(change, Cut):
        del content[change.size :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _put_by_luck(left: bytearray, write: Write, random: Random, luck: float | None, page: int) -> None:
    chance = random.choice(_LUCK) if luck is None else luck
    end = write.offset + len(write.data)
    start = write.offset
    while start < end:
        stop = min(end, (start // page + 1) * page)
        if random.random() < chance:
            data = write.data[start - write.offset : stop - write.offset]
            torn = luck is None and random.random() < _TORN
            apply(left, Write(start, data[: random.randrange(len(data) + 1)] if torn else data))
        start = stop


def _rename(names: dict[Path, File], change: Mapping[Path, _Name]) -> None:
    for path, file in change.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file
