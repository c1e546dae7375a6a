"""Objects in a folder: what ``file://`` names, and what the vault keeps its own in. A key is a file's path in it.

Rules: an object is written whole and fsynced under a name that is no key, then given its own, which is taken or not
(a hard link) or taken over (a rename), then its folder is fsynced. So there is never a part of one, and of several
processes one creates it, also on a shared file system that keeps POSIX. What a crash left unfinished goes at the next
process's first write; one that is running may lose an unfinished file to that, and writes it again. A name told by
``keys``, or taken by another's creation, is fsynced before: nobody builds upon what a power cut takes away.

obstore has such a store too; by default it fsyncs nothing (docs/adr/0014).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from ledger.errors import NotConfirmed, StorageError
from ledger.ports import Randomness
from persistence.disk import Disk, Handle
from persistence.objects import PART, Refused, Unreachable, check_key
from persistence.offload import Offload

UNFINISHED: Final = ".unfinished"
_TRIES: Final = 5

T = TypeVar("T")


class FolderObjects:
    """``Objects`` below a folder, which is made when something is written."""

    def __init__(self, disk: Disk, folder: Path, offload: Offload, randomness: Randomness) -> None:
        self._disk = disk
        self._folder = folder
        self._offload = offload
        self._randomness = randomness
        self._ready = False

    @property
    def address(self) -> str:
        return self._folder.absolute().as_uri()

    async def get(self, key: str) -> bytes | None:
        path = self._path(key)
        return await self._do(lambda: self._read(path))

    async def create(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        return await self._do(lambda: self._publish(data, path, self._disk.link))

    async def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        await self._do(lambda: self._publish(data, path, self._replace))

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        async for key in self._below("", prefix, after):
            yield key

    async def delete(self, key: str) -> None:
        path = self._path(key)
        await self._do(lambda: self._remove(path))

    async def close(self) -> None:
        """Nothing to release: disk and offload are the caller's."""

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._folder / key

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await self._offload(work)
        except NotConfirmed as error:
            raise Unreachable(f"{self.address}: {error}") from error
        except StorageError as error:
            raise Refused(f"{self.address}: {error}") from error

    def _read(self, path: Path) -> bytes | None:
        try:
            return self._disk.read(path)
        except StorageError:
            if self._disk.identity(path) is None:
                return None
            raise

    def _remove(self, path: Path) -> None:
        if self._disk.identity(path) is not None:
            self._disk.remove(path)
            self._disk.sync_folder(path.parent)

    # Writing

    def _publish(self, data: bytes, path: Path, give: Callable[[Path, Path], bool]) -> bool:
        """Writes ``data`` and gives it its name; False = the name was taken."""
        self._make_ready()
        self._disk.make_folder(path.parent)
        given = self._give(data, path, give)
        self._disk.sync_folder(path.parent)
        return given

    def _make_ready(self) -> None:
        """Removes what is unfinished, once: it is a dead process's, or a living one's that will write it again."""
        if self._ready:
            return
        folder = self._folder / UNFINISHED
        self._disk.make_folder(folder)
        for name in self._disk.names(folder):
            self._disk.remove(folder / name)
        self._ready = True

    def _give(self, data: bytes, path: Path, give: Callable[[Path, Path], bool]) -> bool:
        for _ in range(_TRIES):
            unfinished, handle = self._begin()
            try:
                self._write(data, handle)
                given = give(unfinished, path)
            except StorageError:
                if self._disk.identity(unfinished) is not None:
                    self._tidy(unfinished)
                    raise
            else:
                self._tidy(unfinished)
                return given
        raise NotConfirmed(f"{path}: other processes keep removing what is unfinished")

    def _begin(self) -> tuple[Path, Handle]:
        """A file for what is unfinished. Where there can be none nobody removed it: the error is the caller's."""
        folder = self._folder / UNFINISHED
        self._disk.make_folder(folder)  # again: it goes where somebody puts a copy in the store's place
        unfinished = folder / self._randomness.token()
        return unfinished, self._disk.append_to(unfinished)

    def _write(self, data: bytes, handle: Handle) -> None:
        try:
            handle.write(data)
            handle.sync()
        finally:
            handle.close()

    def _tidy(self, unfinished: Path) -> None:
        with suppress(StorageError):  # what stays goes at the next start
            self._disk.remove(unfinished)

    def _replace(self, old: Path, new: Path) -> bool:
        self._disk.rename(old, new)
        return True

    # Listing

    async def _below(self, start: str, prefix: str, after: str) -> AsyncIterator[str]:
        """The keys in the folder ``start``, which is "" or ends with ``/``."""
        for key in await self._do(lambda: self._listing(start)):
            if not key.endswith("/"):
                if key.startswith(prefix) and key > after:
                    yield key
            elif key.startswith(prefix) or prefix.startswith(key):
                async for each in self._below(key, prefix, after):
                    yield each

    def _listing(self, start: str) -> list[str]:
        """Its files' keys, and its folders with ``/`` behind them, so that they sort as what they hold."""
        folder = self._folder / start
        names = [name for name in self._disk.names(folder) if PART.fullmatch(name)]
        folders = self._disk.folders(folder)
        if names:
            self._disk.sync_folder(folder)
        return sorted(f"{start}{name}/" if name in folders else f"{start}{name}" for name in names)
