"""Bytes that change where they lie: any byte of the log and of the database flipped, any end of a file gone.

What is believed is what was written, what is lost is said, and the other layer makes it whole.
"""

import asyncio
import shutil
from pathlib import Path
from random import Random
from typing import Final

from tests.persistence.damaged import FILES as SEGMENTS
from tests.persistence.damaged import damaged
from tests.persistence.rotten import Original, flipped, judge

FILES: Final = (("closed", "ledger.db"), ("killed", "ledger.db"), ("killed", "ledger.db-wal"))
"""Of a database that was closed, and of one that was killed with commits in its WAL."""


class LogRot:
    """``places``: every byte of the log's files: which file, and where."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int]] = []
        for kind in SEGMENTS:
            _, _, data = asyncio.run(damaged(kind))
            self.places += [(kind, at) for at in range(len(data))]
        Random(1).shuffle(self.places)

    def flip(self, kind: str, at: int) -> None:
        """Nothing is lost, whichever bit it was."""
        asyncio.run(self._flip(kind, at))

    async def _flip(self, kind: str, at: int) -> None:
        world, path, data = await damaged(kind)
        world.disk.overwrite(path, flipped(data, at, at % 8))
        for _ in range(2):
            await world.judge()


class DatabaseRot:
    """``places``: every byte of a database's files: which file, and where. A scratch folder is worked in."""

    def __init__(self, folder: Path) -> None:
        self._original = Original(folder)
        asyncio.run(self._original.make())
        self._data = {file: (folder / file[0] / file[1]).read_bytes() for file in FILES}
        self.places = [(file, at) for file, data in self._data.items() for at in range(len(data))]
        Random(1).shuffle(self.places)

    def flip(self, file: tuple[str, str], at: int) -> None:
        self._judge(file, at, flipped(self._data[file], at, at % 8), may_be_shorter=False)

    def cut(self, file: tuple[str, str], at: int) -> None:
        """The file ends before this byte."""
        self._judge(file, at, self._data[file][:at], may_be_shorter=True)

    def _judge(self, file: tuple[str, str], at: int, data: bytes, *, may_be_shorter: bool) -> None:
        folder = self._original.damaged(*file, at, data)
        try:
            asyncio.run(judge(folder, self._original, may_be_shorter=may_be_shorter))
        finally:
            shutil.rmtree(folder)
