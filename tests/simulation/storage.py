"""What a simulated process stores in: layers whose work is done by simulated threads.

The disk is ``SimDisk`` below the real ``LocalLayer``; the database is ``MemoryDatabase``, which outlives its users,
behind a connection that is a process's own. A call that was begun is carried out although its caller was cancelled;
what a killed process had not begun never happens.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from ledger.ids import GuildId, UserId
from ledger.records import Record
from persistence import cloud_bytes, reading, segments
from persistence.frames import Frame, unseal
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.lists import CreditPlace, CreditRow, JoinRow
from tests.memory import layer
from tests.memory.database import MemoryDatabase
from tests.simulation.loop import SimLoop

T = TypeVar("T")

PAGE_RECORDS: Final = 100
"""So many frames are read at once; whoever stops early has the rest unread."""


class Thread:
    """An ``Offload``: one simulated thread, one call at a time, in order."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        return self._loop.run_in_executor(cast("Executor", self), work)


class Connection:
    """A process's way to the database (a ``Layer`` and its ``Lists``): each call takes its time in a thread."""

    def __init__(self, database: MemoryDatabase, thread: Thread) -> None:
        self._database = database
        self._thread = thread

    @property
    def name(self) -> str:
        return self._database.name

    @property
    def lists(self) -> "Connection":
        return self

    async def open(self) -> LayerSummary:
        return await self._thread(lambda: at_once(self._database.open()))

    async def begin(self, epoch: int, lineage: str) -> None:
        await self._thread(lambda: at_once(self._database.begin(epoch, lineage)))

    async def append(self, frames: Sequence[Frame]) -> None:
        await self._thread(lambda: at_once(self._database.append(frames)))

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        return await self._thread(lambda: at_once(self._database.fill(frames)))

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        return await self._thread(lambda: at_once(self._database.set_aside(after_gsn)))

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        async for page in self.reread(gsn):
            for frame in page:
                yield frame

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        frames = self._database.frames_after(gsn)
        while page := await self._thread(lambda: at_once(_page(frames))):
            yield page

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return await self._thread(lambda: at_once(self._database.guild_lines(guild, after_seq)))

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._thread(lambda: at_once(self._database.save_checkpoint(checkpoint)))

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._database.checkpoint_guilds()

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        return self._database.checkpoint_places(guild)

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        return await self._thread(lambda: at_once(self._database.checkpoint(guild, place)))

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        await self._thread(lambda: at_once(self._database.drop_checkpoint(guild, place)))

    def take_notes(self) -> tuple[str, ...]:
        return self._database.take_notes()

    async def close(self) -> None:
        await self._thread(lambda: at_once(self._database.close()))

    # Lists

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        return await self._thread(lambda: at_once(self._database.joins_page(guild, after_seq, limit)))

    async def credits_page(self, guild: GuildId, after: CreditPlace, limit: int) -> Sequence[CreditRow]:
        return await self._thread(lambda: at_once(self._database.credits_page(guild, after, limit)))

    async def verdicts(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        return await self._thread(lambda: at_once(self._database.verdicts(guild, user)))

    async def credits_of(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        return await self._thread(lambda: at_once(self._database.credits_of(guild, user)))

    async def names(self, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
        return await self._thread(lambda: at_once(self._database.names(guild, users)))

    async def put_names(self, guild: GuildId, names: Mapping[UserId, str]) -> None:
        await self._thread(lambda: at_once(self._database.put_names(guild, names)))

    async def forget_names(self, guild: GuildId | None, user: UserId | None) -> int:
        return await self._thread(lambda: at_once(self._database.forget_names(guild, user)))


@contextmanager
def unsealing_once() -> Iterator[None]:
    """A frame's bytes that were read before are not verified and decoded anew: a run reads each many times.

    Only what was really read and whole is remembered, so that a bit that flips is found as ever.
    """
    known: dict[bytes, Frame] = {}

    def remembered(data: bytes, where: str) -> Frame:
        frame = known.get(data)
        if frame is None:
            frame = known[data] = unseal(data, where)
        return frame

    readers = (cloud_bytes, layer, reading, segments)
    for module in readers:
        setattr(module, unseal.__name__, remembered)
    try:
        yield
    finally:
        for module in readers:
            setattr(module, unseal.__name__, unseal)


def at_once(work: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("it waits for something")


async def _page(frames: AsyncIterator[Frame]) -> list[Frame]:
    page: list[Frame] = []
    async for frame in frames:
        page.append(frame)
        if len(page) == PAGE_RECORDS:
            break
    return page
