"""Branches that lost, kept until their facts are recorded anew: who keeps them, where, and in which pieces they come.

A layer whose records differ from the winner's is about to set them aside; before that they are kept here, whole and
durable. A guild's actor then takes them piece by piece (``ledger/salvage.py``), and what all its guilds have taken is
done. So a crash at any point leaves a branch in its layer, here, or in the history; at worst it is taken twice, and
what is known by its key is no news. Nothing is deleted: a file that is done lies in quarantine/.

data/salvage/{first gsn}-{digest of all}.jsonl    the frames of a branch, identical bytes, a line each
data/salvage/mending                              a gsn: from there on the layers are being mended

Two layers may have set out on the same branch, and one got farther: so the whole of a branch names it, not its
beginning.
"""

from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.records import GuildForgotten, MemberForgotten, Record
from persistence.disk import Disk, Handle
from persistence.frames import Frame, unseal
from persistence.offload import Offload
from persistence.quarantine import Quarantine
from persistence.writing import replace

PIECE_RECORDS: Final = 250
"""At most so many records of a guild are in memory, and in one message, at once: a turn of some milliseconds."""
READ_BYTES: Final = 1024 * 1024
_SUFFIX: Final = ".jsonl"
_MENDING: Final = "mending"

Lot: TypeAlias = tuple[str, GuildId]
"""What one guild has in one branch."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Records of a guild in a branch that lost, in order.

    ``forgotten``: everybody whom the whole branch forgot there, also behind these records.
    """

    records: tuple[Record, ...]
    forgotten: tuple[MemberForgotten, ...]


class Salvage(Protocol):
    """Who keeps branches. Errors: ``StorageError``; ``NewerFormat`` where a later release kept them.

    ``mending``: from this gsn on the layers are being mended, or were by a process that did not live to keep what
    that left on no chain; 0 = they are not.
    """

    mending: int

    async def open(self) -> tuple[str, ...]:
        """Finds what earlier processes have left; again: nothing new. What cannot be read is said."""
        ...

    async def keep(self, frames: AsyncIterator[Frame]) -> None:
        """Keeps a branch (in the order of its gsn), durably on return; the same one again is kept once."""
        ...

    async def begin_mend(self, gsn: int) -> None:
        """Before layers are changed, from this gsn on. Durable on return: who is killed behind that has kept nothing
        yet of what stands on no chain then.
        """
        ...

    async def end_mend(self, *, whole: bool) -> None:
        """All of that is kept; not ``whole``: as far as can be told, and this process looks again from there."""
        ...

    def pending(self) -> tuple[Lot, ...]:
        """What is not done yet, oldest branch first."""
        ...

    def pieces(self, lot: Lot) -> AsyncIterator[Piece]:
        """A lot's records; none of before the guild was forgotten whole."""
        ...

    async def finish(self, lot: Lot) -> None:
        """All of it is recorded anew, and durable. With the last of its guilds, a branch is done."""
        ...


class Branch:
    """Where the records of each guild lie in a branch: ``spots`` holds an offset and a length for each."""

    def __init__(self) -> None:
        self.size = 0
        self.spots: dict[GuildId, array[int]] = {}
        self.forgotten: dict[GuildId, list[MemberForgotten]] = {}

    def take(self, frame: Frame) -> None:
        """The next line."""
        guild, event, length = frame.record.guild, frame.record.event, len(frame.data)
        if isinstance(event, GuildForgotten):  # all that was said of it before counts no longer
            self.spots.pop(guild, None)
            self.forgotten.pop(guild, None)
        elif isinstance(event, MemberForgotten):
            self.forgotten.setdefault(guild, []).append(event)
        self.spots.setdefault(guild, array("Q")).extend((self.size, length))
        self.size += length + 1

    def skip(self, line: bytes) -> None:
        """The next line, which cannot be read."""
        self.size += len(line) + 1

    def stretches(self, guild: GuildId) -> Iterator[list[tuple[int, int]]]:
        """Where a guild's records lie (offset, length), piece by piece."""
        spots = self.spots[guild]
        for start in range(0, len(spots), 2 * PIECE_RECORDS):
            some = spots[start : start + 2 * PIECE_RECORDS]
            yield list(zip(some[::2], some[1::2], strict=True))


class Name:
    """The name of a branch, once ``take`` had all its frames."""

    def __init__(self) -> None:
        self._first_gsn = 0
        self._all = sha256()

    def take(self, frame: Frame) -> None:
        """The next frame."""
        self._first_gsn = self._first_gsn or frame.record.gsn
        self._all.update(frame.digest)

    def __str__(self) -> str:
        return f"{self._first_gsn:010d}-{self._all.hexdigest()[:16]}"


class FileSalvage:
    """A ``Salvage`` in files of a data folder."""

    def __init__(self, disk: Disk, data: Path, offload: Offload) -> None:
        """``offload``: takes blocking work off the event loop; it belongs to the caller."""
        self._disk = disk
        self._folder = data / "salvage"
        self._quarantine = Quarantine(disk, data / "quarantine")
        self._offload = offload
        self._branches: dict[str, Branch] = {}
        self._opened = False
        self.mending = 0

    async def open(self) -> tuple[str, ...]:
        if self._opened:
            return ()
        return await self._offload(self._find)

    async def keep(self, frames: AsyncIterator[Frame]) -> None:
        draft = _Draft(self._disk, self._folder)
        try:
            async for chunk in _chunks(frames):
                await self._offload(partial(draft.write, chunk))
            if draft.branch.size:
                await self._offload(draft.publish)
                self._branches[str(draft.name)] = draft.branch
        finally:
            await self._offload(draft.close)

    async def begin_mend(self, gsn: int) -> None:
        # Where nothing could be found, an earlier process may have left any.
        gsn = min(self.mending or gsn, gsn) if self._opened else 1
        await self._offload(partial(replace, self._disk, self._folder / _MENDING, b"%d" % gsn))
        self.mending = gsn

    async def end_mend(self, *, whole: bool) -> None:
        # Not synced: where a power cut brings it back, a start looks once more.
        await self._offload(partial(self._disk.remove, self._folder / _MENDING))
        self.mending = 0 if whole else self.mending

    def pending(self) -> tuple[Lot, ...]:
        return tuple((name, guild) for name in sorted(self._branches) for guild in self._branches[name].spots)

    async def pieces(self, lot: Lot) -> AsyncIterator[Piece]:
        name, guild = lot
        branch = self._branches[name]
        forgotten = tuple(branch.forgotten.get(guild, ()))
        for spots in branch.stretches(guild):
            lines = await self._offload(partial(self._disk.read_parts, self._path(name), spots))
            yield Piece(records=tuple(unseal(line, name).record for line in lines), forgotten=forgotten)

    async def finish(self, lot: Lot) -> None:
        name, guild = lot
        branch = self._branches[name]
        if len(branch.spots) == 1:
            why = "a branch that lost; its facts are recorded anew"
            await self._offload(lambda: self._quarantine.take(self._path(name), why))
            del self._branches[name]
        else:
            del branch.spots[guild]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _find(self) -> tuple[str, ...]:
        """Where nothing can be found, nothing can be kept either: a branch that loses then stays in its layer."""
        try:
            files = self._disk.names(self._folder)
        except StorageError as error:
            return (f"salvage/ waits for the next start: {error}",)
        self._opened = True
        said: list[str] = []
        for file in files:
            if file.endswith(_SUFFIX):
                try:
                    said += self._take(file)
                except StorageError as error:
                    said.append(f"salvage/{file} waits for the next start: {error}")
        if _MENDING in files:
            self.mending = self._mending()
        return tuple(said)

    def _mending(self) -> int:
        """From where on; from the beginning, where that cannot be read."""
        try:
            return max(1, int(self._disk.read(self._folder / _MENDING)))
        except (StorageError, ValueError):
            return 1

    def _take(self, file: str) -> list[str]:
        branch, bad = _read(self._disk, self._folder / file)
        if branch.spots:
            self._branches[file.removesuffix(_SUFFIX)] = branch
        else:
            self._quarantine.take(self._folder / file, "no line can be read")
        return [f"salvage/{file}: {bad} records cannot be read"] if bad else []


class _Draft:
    """A file of a branch that has not got its name yet."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._path = folder / "draft.new"
        self.name = Name()
        self.branch = Branch()
        self._handle: Handle | None = None

    def write(self, frames: Sequence[Frame]) -> None:
        if self._handle is None:
            self._disk.make_folder(self._folder)
            self._disk.remove(self._path)
            self._handle = self._disk.append_to(self._path)
        self._handle.write(b"".join(frame.data + b"\n" for frame in frames))
        for frame in frames:
            self.name.take(frame)
            self.branch.take(frame)

    def publish(self) -> None:
        """Durable, and only then under its name."""
        assert self._handle is not None, "a branch has frames"
        self._handle.sync()
        self._disk.rename(self._path, self._folder / f"{self.name}{_SUFFIX}")
        self._disk.sync_folder(self._folder)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


async def _chunks(frames: AsyncIterator[Frame]) -> AsyncIterator[list[Frame]]:
    chunk: list[Frame] = []
    async for frame in frames:
        chunk.append(frame)
        if len(chunk) == PIECE_RECORDS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _read(disk: Disk, path: Path) -> tuple[Branch, int]:
    """The branch in a file, and how many of its lines cannot be read.

    Raises:
        NewerFormat: when a later release wrote one of them.
    """
    branch, bad = Branch(), 0
    for line in _lines(disk, path):
        try:
            branch.take(unseal(line, path.name))
        except Corrupt:
            branch.skip(line)
            bad += 1
    return branch, bad


def _lines(disk: Disk, path: Path) -> Iterator[bytes]:
    """A file's lines; a file is as long as a branch is."""
    rest = b""
    for offset in count(0, READ_BYTES):
        (data,) = disk.read_parts(path, [(offset, READ_BYTES)])
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if len(data) < READ_BYTES:
            break
    if rest:
        yield rest
