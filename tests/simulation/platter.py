"""A simulated disk that knows which frames are durable now: what the oracle asks instead of the program.

A frame is durable when its line was synced into a file whose name is durable too.
"""

from pathlib import Path
from random import Random
from typing import Final

from persistence import packed
from tests.persistence.simdisk import SimDisk, SimHandle
from tests.persistence.volume import File, Write

_DIGEST_END: Final = len(b'","crc":"01234567"}')
_DIGEST_BEGIN: Final = _DIGEST_END + 64


def digest_in(line: bytes) -> bytes:
    """The digest (hex) in a frame's line; of any other line, something that no frame has."""
    return line[-_DIGEST_BEGIN:-_DIGEST_END]


class Platter(SimDisk):
    """A ``SimDisk`` with an index of the frames that were synced."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[bytes, list[File]] = {}
        self._named: set[int] = set()

    def crashed(self, random: Random, luck: float | None = None) -> "Platter":
        """The disk as it may come back after the power was cut now."""
        after = Platter()
        after._volume = self._volume.crashed(random, luck)
        after.index()
        return after

    def index(self) -> None:
        """Makes the index anew, of what is durable where nothing is under way."""
        self._held = {}
        for file in self._volume.names.values():
            self.note(file, bytes(file.content))
        self._note_names()

    def holds(self, digest: bytes) -> bool:
        """Whether the frame with this digest (hex) would survive a power cut now."""
        return any(id(file) in self._named for file in self._held.get(digest, ()))

    def append_to(self, path: Path) -> SimHandle:
        return _Handle(self, super().append_to(path)._file)

    def names(self, folder: Path) -> list[str]:
        """As the base does; by strings, since a run spends much of its time here."""
        self._look("names")
        start = f"{folder}/"
        below = [path[len(start) :] for path in map(str, self._volume.names) if path.startswith(start)]
        return sorted({name.partition("/")[0] if "/" in name else name for name in below})

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self._note_names()

    def note(self, file: File, durable: bytes) -> None:
        """Takes what became durable in a file into the index."""
        if packed.length_of(durable):
            durable = b"".join(block.lines or b"" for block in packed.blocks(durable))
        for line in durable.split(b"\n"):
            self._held.setdefault(digest_in(line), []).append(file)

    def _note_names(self) -> None:
        self._named = {id(file) for file in self._volume._durable.values()}


class _Handle(SimHandle):
    def __init__(self, platter: Platter, file: File) -> None:
        super().__init__(platter, file)
        self._platter = platter

    def sync(self) -> None:
        written = [
            change.what.data
            for change in self._file._changes
            if isinstance(change.what, Write) and not change.durable and not change.stuck
        ]
        super().sync()
        if not self._file.failed:
            self._platter.note(self._file, b"".join(written))
