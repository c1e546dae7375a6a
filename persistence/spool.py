"""A store that is asked for each object once: what it gave is kept in a scratch file, and read from there again.

For commands that read a whole cloud: segments are looked at first, all of them, since which of them count follows
from the last one; only then are their records read. Memory stays flat, and nobody pays for the same bytes twice.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ledger.errors import DiskFull, StorageError
from persistence.disk import FULL
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.read_only import ReadOnly


class Spool(ReadOnly):
    """``Objects`` as they were when they were first asked for."""

    def __init__(self, objects: Objects, offload: Offload) -> None:
        super().__init__(objects)
        self._offload = offload
        self._file: IO[bytes] | None = None
        self._places: dict[str, tuple[int, int]] = {}

    def begin(self, folder: Path) -> None:
        """Keeps what is read from now on in a file that has no name, where there must be room for all of it.

        Raises:
            DiskFull: when there is no room.
            StorageError: when there can be no file.
        """
        with _kept():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- ``end`` closes it

    async def get(self, key: str) -> bytes | None:
        """See ``Objects``.

        Raises:
            DiskFull: when there is no room.
            StorageError: when the scratch file cannot be written or read.
        """
        if key in self._places:
            return await self._offload(lambda: self._read(*self._places[key]))
        data = await super().get(key)
        if data is not None:
            self._places[key] = await self._offload(lambda: self._write(data))
        return data

    def end(self) -> None:
        """Lets go of the file, if there is one; the store beneath belongs to whoever opened it."""
        if self._file is not None:
            with suppress(OSError):  # what there was no room for is tried once more, and nobody needs it now
                self._file.close()

    def _write(self, data: bytes) -> tuple[int, int]:
        file = self._begun()
        with _kept():
            offset = file.seek(0, os.SEEK_END)
            file.write(data)
            file.flush()
        return offset, len(data)

    def _read(self, offset: int, length: int) -> bytes:
        file = self._begun()
        with _kept():
            file.seek(offset)
            return file.read(length)

    def _begun(self) -> IO[bytes]:
        assert self._file is not None, "get follows begin"
        return self._file


@contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"what was read of the cloud cannot be kept in a scratch file: {error}"
        raise (DiskFull if error.errno in FULL else StorageError)(text) from error
