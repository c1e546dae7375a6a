"""A process that works through a script on its layers, life after life, whatever happens to its disk.

Each life starts a store, has everything judged that comes back, and goes on with the script where the life before was
stopped. It does what the journal does: after an error it reads everything back under a new epoch; a layer that fell
behind is caught up. On which disk its layers lie, and what becomes of that disk, is for whoever derives from it.
"""

from abc import abstractmethod
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeAlias, TypeVar, cast

from ledger.errors import Fenced, NotConfirmed, StorageError
from ledger.ids import GuildId
from persistence.layer import Layer, all_checkpoints, guild_frames
from persistence.store import Append
from tests.disk.judge import GUILDS, Judge, Violation, state_of
from tests.memory.store import store_of
from tests.persistence.making import TestClock, TestRandomness, join

T = TypeVar("T")

PATIENCE: Final = 2
"""After so many failures in a row the disk is mended."""
MAX_TRIES: Final = 12

Step: TypeAlias = Callable[["Process"], Awaitable[None]]


class Process:
    """``judge``: what it was told; ``layer``: whose disk is spoiled, of ``layers``; ``number``: the last join's."""

    def __init__(self, judge: Judge, script: Sequence[Step], number: int) -> None:
        self.judge = judge
        self.number = number
        self.layer, self.layers = self._layers()
        self.store = store_of(self.layers, TestClock(), TestRandomness())
        self._script = script
        self._done = 0
        self._failures = 0

    @abstractmethod
    def _layers(self) -> tuple[Layer, Sequence[Layer]]:
        """New layers on the disk as it is, and which of them is the one."""

    @abstractmethod
    def _mend(self) -> None:
        """Ends what lasts."""

    async def live(self) -> None:
        """From a start to the end of the script."""
        await self.start()
        while self._done < len(self._script):
            try:
                await self._script[self._done](self)
                self._done += 1
                self._told()
                await self._make_whole()
            except StorageError as error:
                self._bear(error)
                await self.start()
            except CancelledError:
                self.judge.seen["cancelled"] += 1
                await self.start()

    async def start(self) -> None:
        """A new epoch; everything that comes back is judged."""
        while True:
            try:
                self.judge.started(await self.store.restart_epoch())
                for guild in GUILDS:
                    await self._open(guild)
                await self._started()
                return await self._make_whole()
            except StorageError as error:
                self._bear(error)
            except CancelledError:
                self.judge.seen["cancelled"] += 1

    async def be_reborn(self) -> None:
        """The process has ended, the power has not."""
        self.layer, self.layers = self._layers()
        self.store = store_of(self.layers, TestClock(), TestRandomness())
        await self.start()

    async def be_killed(self) -> None:
        """The same where something has to be done for it."""
        await self.be_reborn()

    def draft(self, guild: GuildId, size: int) -> Append:
        first, self.number = self.number + 1, self.number + size
        drafts = tuple(join(first + n) for n in range(size))
        return Append(guild=guild, base_seq=self.store.head_of(guild).seq, drafts=drafts)

    async def _started(self) -> None:
        """What else is to be done behind a start."""

    def _told(self) -> None:
        """A step is over: what it was for has been acknowledged."""

    async def _open(self, guild: GuildId) -> None:
        opened = await self.store.open_guild(guild)
        layer = next(layer for layer in self.layers if layer.name == opened.layer)
        records = [frame.record for frame in await guild_frames(layer, guild, 0)]
        self.judge.opened(guild, opened, records)
        self.judge.saw(guild, [record.key for record in records])
        if layer is self.layer and not self.judge.hurt:
            self.judge.has_saved(guild, await all_checkpoints(layer, guild))

    async def _make_whole(self) -> None:
        """Layers that fell behind are caught up; then each has all that was acknowledged."""
        while not await self.store.catch_up():
            self._bear(StorageError("not whole"))
            if self.store.is_in_doubt():
                return await self.start()
        self._failures = 0
        self.judge.is_whole()
        return None

    def _bear(self, error: StorageError) -> None:
        """An error is borne; after a few in a row the disk is mended, and some later there must be no more."""
        self.judge.seen[type(error).__name__] += 1
        self._failures += 1
        if self._failures > PATIENCE:
            self._mend()
        if self._failures > MAX_TRIES:
            raise Violation(f"it does not get on, although the disk was mended: {error}")


def driven(work: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that waits for nothing, though it may let others have a turn."""
    while True:
        try:
            waits_for = work.send(None)
        except StopIteration as done:
            return cast("T", done.value)
        assert waits_for is None, "it waits for something"


def batch(*sizes: tuple[GuildId, int]) -> Step:
    """One batch of an append of so many records for each guild."""

    async def step(process: Process) -> None:
        appends = [process.draft(guild, size) for guild, size in sizes]
        try:
            results = await process.store.append(appends)
        except NotConfirmed:
            raise
        except StorageError:
            process.judge.refuse(appends)
            raise
        for result in results:
            if isinstance(result, Fenced):
                raise Violation(str(result))
            process.judge.acknowledge(result)

    return step


def save(guild: GuildId, *, forget: bool = False) -> Step:
    """A checkpoint of the guild, which forgets what was before its last record or does not."""

    async def step(process: Process) -> None:
        head = process.store.head_of(guild)
        pages = state_of(process.judge.acknowledged[guild])
        forgot_seq = head.seq if forget else 0
        told = await process.store.save_checkpoint(guild, head, pages, forgot_seq=forgot_seq)
        if not told[process.layer.name]:
            process.judge.save(guild, head.seq, forgot_seq)

    return step


async def close(process: Process) -> None:
    """The process ends and is started again."""
    await process.store.close()
    await process.be_reborn()


async def die(process: Process) -> None:
    """The same without a word."""
    await process.be_killed()
