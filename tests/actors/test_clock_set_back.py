"""The wall clock is set back an hour, between two processes or in the middle of one: nothing goes by it.

Each process has layers of its own nearby, and one cloud with all others.
"""

from collections.abc import Sequence

from actors.clock import SystemRandomness
from ledger.records import JoinRecorded, Record
from persistence.cloud import CloudLayer
from persistence.offload import inline
from tests.actors.harness import GUILD, Bot, VirtualClock, running
from tests.actors.test_journal import draft
from tests.memory.database import MemoryDatabase
from tests.memory.layer import MemoryLayer
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.memory.salvage import MemorySalvage

HOUR_S = 3_600.0


class Machine:
    """Layers nearby, which outlive a process, beside a cloud that all machines share."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.objects = MemoryObjects(bucket)
        self.log, self.database = MemoryLayer("log"), MemoryDatabase("database")
        self.salvage = MemorySalvage()
        self._writer = writer

    def bot(self, *, wrong_s: float = 0.0, ack: str = "cloud") -> Bot:
        """A process whose wall clock is so far ahead."""
        cloud = CloudLayer(self.objects, inline, SystemRandomness(), VirtualClock(), self._writer)
        bot = Bot((self.log, self.database), self.salvage, cloud=cloud, ack=ack)
        bot.clock.wrong_s = wrong_s
        return bot


async def join(bot: Bot, *users: int) -> None:
    head = bot.store.head_of(GUILD)
    for number, user in enumerate(users):
        assert not (await bot.journal.append(GUILD, 1, head.seq + number, (draft(user),))).degraded


async def begin(bot: Bot) -> list[Record]:
    """What the process finds of the guild."""
    opened = await bot.journal.open(GUILD, 1)
    return list(opened.tail())


def users_of(records: Sequence[Record]) -> list[int]:
    return [int(record.event.user) for record in records if isinstance(record.event, JoinRecorded)]


def acknowledged(bot: Bot) -> list[int]:
    return [int(str(line["user"])) for line in bot.events("join.acknowledged")]


async def test_a_process_whose_clock_is_an_hour_behind_the_one_before_goes_on_where_that_ended():
    bucket = MemoryBucket()
    async with running(Machine(bucket, "a").bot()) as bot:
        await begin(bot)
        await join(bot, 1, 2, 3)
        first = bot.store.epoch
        assert acknowledged(bot) == [1, 2, 3]
    async with running(Machine(bucket, "b").bot(wrong_s=-HOUR_S)) as bot:
        assert users_of(await begin(bot)) == [1, 2, 3]
        assert bot.store.epoch > first
        await join(bot, 4, 5)
        second = bot.store.epoch
    async with running(Machine(bucket, "c").bot()) as bot:
        found = await begin(bot)
        assert users_of(found) == [1, 2, 3, 4, 5]
        assert bot.store.epoch > second
        assert [record.seq for record in found] == [1, 2, 3, 4, 5]
        assert found[3].at_ms < found[2].at_ms, "the clock was set back"
        assert found[3].epoch > found[2].epoch


async def test_a_clock_that_is_set_back_in_the_middle_changes_nothing_of_order_or_epoch():
    bucket = MemoryBucket()
    machine = Machine(bucket, "a")
    async with running(machine.bot()) as bot:
        await begin(bot)
        await join(bot, 1, 2)
        epoch = bot.store.epoch
        bot.clock.wrong_s -= HOUR_S
        await join(bot, 3)
        await join(bot, 4)
        bot.journal.require_epoch()
        await bot.until(lambda: bot.store.epoch > epoch)
        await begin(bot)
        await join(bot, 5)
        assert acknowledged(bot) == [1, 2, 3, 4, 5]
        assert bot.store.epoch == epoch + 1
    async with running(Machine(bucket, "b").bot(wrong_s=-2 * HOUR_S)) as bot:
        found = await begin(bot)
        assert users_of(found) == [1, 2, 3, 4, 5]
        assert [record.epoch for record in found] == sorted(record.epoch for record in found)


async def test_the_newest_branch_is_the_one_with_the_higher_epoch_however_early_its_clock_says_it_is():
    """The first process could not upload its last join; the second one, an hour behind by its clock, took over."""
    bucket = MemoryBucket()
    first = Machine(bucket, "a")
    async with running(first.bot(ack="")) as bot:
        await begin(bot)
        await join(bot, 1, 2)
        await bot.until(lambda: bot.store.following is not None and not bot.store.following.behind())
        before = bucket.copy()
        await join(bot, 3)
    bucket.roll_back(before)  # it never arrived
    async with running(Machine(bucket, "b").bot(wrong_s=-HOUR_S)) as bot:
        assert users_of(await begin(bot)) == [1, 2]
        await join(bot, 4)
        epoch = bot.store.epoch
    async with running(first.bot(ack="")) as bot:
        found = await begin(bot)
        assert users_of(found) == [1, 2, 4]
        assert bot.store.epoch > epoch
        assert users_of(await lost_records(first)) == [3], "kept, to be recorded anew"


async def lost_records(machine: Machine) -> Sequence[Record]:
    salvage = machine.salvage
    return [record for lot in salvage.pending() async for piece in salvage.pieces(lot) for record in piece.records]
