"""Digests that checkpoint files tell, so that a log can be read on behind a hole; nothing is moved or healed."""

from pathlib import Path
from typing import Final

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.checkpoints import read_header
from persistence.disk import Disk

HEADER_BYTES: Final = 4096
"""A header is shorter."""


class CheckpointAnchors:
    """The chain's digest at a seq of a guild, where a checkpoint in this folder tells it (``chains.DigestAt``)."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder

    def __call__(self, guild: GuildId, seq: int) -> bytes | None:
        folder = self._folder / guild
        for name in self._disk.names(folder):
            line, _, _ = self._disk.read_parts(folder / name, [(0, HEADER_BYTES)])[0].partition(b"\n")
            try:
                header = read_header(line, name)
            except Corrupt:
                continue  # told by those who inspect checkpoints
            if (header.guild, header.seq) == (guild, seq):
                return bytes.fromhex(header.digest)
        return None
