"""A process whose database is watched, and what is left of it when the power is cut at any moment.

One run gives a trace; from that, each state which a crash may leave is put into a folder of its own, opened with the
real layer and gone on with. What has to be in it was noted by the process, operation by operation, as it was told.
"""

from asyncio import CancelledError
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Final

import msgspec
import pytest

from ledger.ids import GuildId, UserId
from persistence import read_model
from persistence.layer import Layer, guild_frames
from persistence.lists import MAX_PAGE
from persistence.sqlite import SqliteLayer
from tests.disk.faults import Hit
from tests.disk.judge import Judge, Violation
from tests.disk.process import Process, Step
from tests.disk.trace import Trace, WatchedDisk, files_in
from tests.disk.vfs import watched
from tests.memory.layer import MemoryLayer
from tests.persistence.volume import Volume

PRAGMAS: tuple[str, ...] = ("wal_autocheckpoint = 12",)
"""Set on each connection: the WAL is moved into the file when it has 12 pages, not the 1,000 of the product."""
SORTED_AT_ONCE: Final = 6
"""So many new rows of the read model are sorted into its tables, not the 8,192 of the product."""
LATER: Final = 1_000
PEOPLE: Final = tuple(UserId(str(number)) for number in range(1, 4))


class Site:
    """What a workload on a database begins with. ``log``: in memory, its power is never cut; None = there is none.

    ``legible``: keys that can be read in a database that was damaged; ``kept``: of a branch that lost, which stay in
    the folder, in the database or in quarantine; ``number``: of the last join.
    """

    def __init__(self, folder: Path, judge: Judge, number: int = 0, log: MemoryLayer | None = None) -> None:
        self.folder = folder
        self.judge = judge
        self.number = number
        self.log = log
        self.legible: set[str] = set()
        self.kept: set[str] = set()

    def put(self, folder: Path, volume: Volume | None = None) -> "Site":
        """A copy elsewhere, of the files on a volume or here; joins of a later process count on behind."""
        site = Site(folder, deepcopy(self.judge), self.number + LATER, deepcopy(self.log))
        site.legible, site.kept = self.legible, self.kept
        files = files_in(self.folder) if volume is None else volume.contents()
        for place, data in files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(data)
        return site

    def judge_kept(self) -> None:
        """No record is ever deleted."""
        everything = b"".join(files_in(self.folder).values())
        if gone := [key for key in self.kept if f'"{key}"'.encode() not in everything]:
            raise Violation(f"{gone} of the branch that lost were not kept")


class Moment(msgspec.Struct, frozen=True):
    """What has to be there behind the operation ``number`` and all later ones, until the next moment."""

    number: int
    site: Site


class DatabaseProcess(Process):
    """A site and a script. ``moments``: in order."""

    def __init__(self, site: Site, script: Sequence[Step], plan: Sequence[Hit] = (), seed: int = 0) -> None:
        self.site = site
        self.trace = Trace(site.folder, plan, seed)
        self.moments: list[Moment] = []
        self._lives = 0
        super().__init__(site.judge, script, site.number)

    async def run(self) -> None:
        """To the end of the script, watched."""
        with watched(self.trace), pytest.MonkeyPatch.context() as patch:
            patch.setattr(read_model, "SORTED_AT_ONCE", SORTED_AT_ONCE)
            self._told()
            try:
                await self.live()
            finally:
                await self._close()

    async def be_killed(self) -> None:
        """The files go on elsewhere; what the old process has open is let go of without being told."""
        self._lives += 1
        self.trace.move_to(self.site.folder.with_name(f"{self.site.folder.name}-{self._lives}"))
        await self._close()
        await self.be_reborn()

    async def _close(self) -> None:
        """Whoever waited for it may be cancelled meanwhile."""
        with suppress(CancelledError):
            await self.store.close()
        await self.store.close()

    def _layers(self) -> tuple[Layer, Sequence[Layer]]:
        root = self.trace.root
        self._database = SqliteLayer(WatchedDisk(self.trace), root / "ledger.db", root / "quarantine")
        return self._database, [self._database] if self.site.log is None else [self.site.log, self._database]

    def _mend(self) -> None:
        self.trace.mend()

    def _told(self) -> None:
        self.site.number = self.number
        told = Site(self.site.folder, deepcopy(self.judge), self.number, deepcopy(self.site.log))
        told.legible, told.kept = self.site.legible, self.site.kept
        told.judge.power_was_cut()
        self.moments.append(Moment(len(self.trace.operations), told))

    async def _started(self) -> None:
        if self._is_open():
            await self._database._used()(self._set_pragmas)
        self._told()

    def _set_pragmas(self) -> None:
        for pragma in PRAGMAS:
            self._database._database.connection.execute(f"PRAGMA {pragma}").fetchall()

    async def _open(self, guild: GuildId) -> None:
        await super()._open(guild)
        if self._is_open():
            records = [frame.record for frame in await guild_frames(self._database, guild, 0)]
            self.judge.lists(guild, await self._database.lists.joins_page(guild, 0, MAX_PAGE), records)
            self.judge.named(guild, await self._database.lists.names(guild, PEOPLE))

    def _is_open(self) -> bool:
        return self.store.health()[-1].healthy


async def judge_legible(site: Site) -> None:
    """A damaged database gives, alone, what was not damaged."""
    trace = Trace(site.folder)
    with watched(trace):
        layer = SqliteLayer(WatchedDisk(trace), site.folder / "ledger.db", site.folder / "quarantine")
        await layer.open()
        read = {frame.record.key async for frame in layer.frames_after(0)}
        await layer.close()
    if gone := site.legible - read:
        raise Violation(f"{gone} could be read before")


def put_name(guild: GuildId, user: UserId, name: str) -> Step:
    async def step(process: Process) -> None:
        await process.store.read(lambda lists: lists.put_names(guild, {user: name}))
        process.judge.names[guild, user] = name

    return step


def forget_name(guild: GuildId, user: UserId) -> Step:
    async def step(process: Process) -> None:
        process.judge.names.pop((guild, user), None)
        process._told()
        await process.store.read(lambda lists: lists.forget_names(guild, user))
        process.judge.nameless.add((guild, user))

    return step
