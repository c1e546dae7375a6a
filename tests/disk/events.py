"""Operations on a disk as data: what each is called at the seam, and what it does to a ``Volume``.

Paths lie below the folder that is watched; a volume knows them from there.
"""

from pathlib import Path
from typing import ClassVar, TypeAlias

import msgspec

from tests.persistence.volume import Cut, Volume, Write


class _Event(msgspec.Struct, frozen=True):
    name: ClassVar[str]
    path: Path

    @property
    def changes(self) -> bool:
        """Whether anything on the disk is changed."""
        return True

    def below(self, root: Path) -> "Event":
        """The same with its place in a folder."""
        return msgspec.structs.replace(self, path=self.path.relative_to(root))

    def happen(self, volume: Volume) -> None:
        """Does it."""
        raise NotImplementedError


class Looked(_Event, frozen=True):
    """A file is read, or opened that is there, or only its name is looked at."""

    name: ClassVar[str] = "read"

    @property
    def changes(self) -> bool:
        return False

    def happen(self, volume: Volume) -> None:
        """Nothing is changed."""


class Made(_Event, frozen=True):
    name: ClassVar[str] = "open"

    def happen(self, volume: Volume) -> None:
        volume.make(self.path)


class Wrote(_Event, frozen=True):
    name: ClassVar[str] = "write"
    offset: int
    data: bytes

    def happen(self, volume: Volume) -> None:
        volume.names[self.path].change(Write(self.offset, self.data))


class Shortened(_Event, frozen=True):
    name: ClassVar[str] = "cut"
    size: int

    def happen(self, volume: Volume) -> None:
        volume.names[self.path].change(Cut(self.size))


class Synced(_Event, frozen=True):
    name: ClassVar[str] = "sync"
    folder_too: bool = False

    def happen(self, volume: Volume) -> None:
        volume.names[self.path].synced()
        if self.folder_too:
            volume.sync_folder(self.path.parent)


class SyncFailed(_Event, frozen=True):
    name: ClassVar[str] = "sync"

    def happen(self, volume: Volume) -> None:
        volume.names[self.path].sync_failed()


class Removed(_Event, frozen=True):
    name: ClassVar[str] = "remove"
    folder_too: bool = False

    def happen(self, volume: Volume) -> None:
        volume.remove(self.path)
        if self.folder_too:
            volume.sync_folder(self.path.parent)


class Moved(_Event, frozen=True):
    name: ClassVar[str] = "rename"
    new: Path

    def below(self, root: Path) -> "Moved":
        return Moved(self.path.relative_to(root), self.new.relative_to(root))

    def happen(self, volume: Volume) -> None:
        volume.move(self.path, self.new)


class Linked(_Event, frozen=True):
    name: ClassVar[str] = "link"
    new: Path

    def below(self, root: Path) -> "Linked":
        return Linked(self.path.relative_to(root), self.new.relative_to(root))

    def happen(self, volume: Volume) -> None:
        volume.link(self.path, self.new)


class FolderMade(_Event, frozen=True):
    name: ClassVar[str] = "make_folder"

    def happen(self, volume: Volume) -> None:
        volume.make_folder(self.path)


class FolderSynced(_Event, frozen=True):
    name: ClassVar[str] = "sync_folder"

    def happen(self, volume: Volume) -> None:
        volume.sync_folder(self.path)


Event: TypeAlias = (
    Looked | Made | Wrote | Shortened | Synced | SyncFailed | Removed | Moved | Linked | FolderMade | FolderSynced
)
