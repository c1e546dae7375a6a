"""Digests that checkpoint files tell, so that a log can be read on behind a hole; nothing is moved or healed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.checkpoints import read_header
from persistence.disk import Disk

HEADER_BYTES: Final = 4096
"""A header is shorter."""


class CheckpointAnchors:
    """The chain's digests that the checkpoints of a guild in this folder tell, by seq (``chains.Anchors``)."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder

    def __call__(self, guild: GuildId) -> Mapping[int, bytes]:
        folder, found = self._folder / guild, dict[int, bytes]()
        for name in self._disk.names(folder):
            line, _, _ = self._disk.read_parts(folder / name, [(0, HEADER_BYTES)])[0].partition(b"\n")
            try:
                header = read_header(line, name)
            except Corrupt:
                continue  # told by those who inspect checkpoints
            if header.guild == guild:
                found[header.seq] = bytes.fromhex(header.digest)
        return found
