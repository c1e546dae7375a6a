"""Where bytes go that are not believed: copied or moved aside, named by what they are.

Each comes with a note (``.why``) that says where it was and what is wrong with it. The same bytes are kept once.
Nothing is deleted, but for payloads of events (``….json``) that name what is to be forgotten.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from persistence.disk import Disk
from persistence.frames import crc32c
from persistence.writing import replace

PAYLOAD: Final = ".json"
"""How names of payloads end, which are JSON as Discord sent it or as messages are written."""


class Quarantine:
    """The folder ``quarantine/`` of a data folder."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._told: list[str] = []

    def copy(self, path: Path, why: str) -> None:
        """Keeps a file's bytes, durably; the file stays where it is."""
        self.keep(path.name, self._disk.read(path), f"{path}: {why}")

    def move(self, path: Path, why: str) -> None:
        """Keeps a file's bytes, durably, and takes the file away."""
        self.copy(path, why)
        self._disk.remove(path)
        self._disk.sync_folder(path.parent)

    def take(self, path: Path, why: str) -> None:
        """Takes a file in as it is, unread, under its own name; durable on return."""
        self._told.append(f"{path.name} was set aside: {why}")
        replace(self._disk, self._folder / f"{path.name}.why", f"{path}: {why}\n".encode())
        self._disk.rename(path, self._folder / path.name)
        self._disk.sync_folder(self._folder)
        self._disk.sync_folder(path.parent)

    def keep(self, name: str, data: bytes, why: str) -> None:
        """Keeps bytes under ``name`` and their checksum, durably."""
        kept = f"{crc32c(data).decode()}-{name}"
        self._told.append(f"{name} was set aside: {why}")
        if self._disk.identity(self._folder / kept) is None:
            replace(self._disk, self._folder / f"{kept}.why", f"{why}\n".encode())
            replace(self._disk, self._folder / kept, data)

    def payloads(self) -> list[str]:
        """The names of the events that could not be read or handled."""
        return [name for name in self._disk.names(self._folder) if name.endswith(PAYLOAD)]

    def forget(self, payloads: Sequence[str], ids: Collection[str]) -> int:
        """Deletes those of these payloads that name all of the ids, with their notes; how many."""
        marks = [f'"{each}"'.encode() for each in ids]
        gone = [name for name in payloads if _names_all(self._disk.read(self._folder / name), marks)]
        for name in gone:
            self._disk.remove(self._folder / f"{name}.why")
            self._disk.remove(self._folder / name)
        if gone:
            self._disk.sync_folder(self._folder)
        return len(gone)

    def take_notes(self) -> tuple[str, ...]:
        """What was set aside since this was last asked, a sentence each."""
        told, self._told = tuple(self._told), []
        return told


def _names_all(data: bytes, marks: Sequence[bytes]) -> bool:
    return all(mark in data for mark in marks)
