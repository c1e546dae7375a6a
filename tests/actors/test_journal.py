"""The persistence actor: one queue, fences, one batch for all who wait, and the wait for a layer that is away."""

import asyncio
from collections.abc import Sequence

import pytest

from actors import reads
from ledger.errors import Fenced, NotConfirmed, StorageError
from ledger.ids import GuildId, SessionId, UserId
from ledger.records import Draft, InternalCause, JoinRecorded, join_key
from persistence.layer import all_checkpoints, guild_frames
from persistence.lists import JoinRow, Lists
from tests.actors.harness import GUILD, Bot, running


def draft(user: int) -> Draft:
    event = JoinRecorded(user=UserId(str(user)), joined_at_us=user, arrived_us=user, session=SessionId("s"))
    return Draft(event=event, cause=InternalCause(what="test"), key=join_key(event.user, event.joined_at_us))


async def test_what_was_queued_before_an_open_is_durable_when_it_reads():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        loop = asyncio.get_running_loop()
        append = loop.create_task(bot.journal.append(GUILD, 1, 0, (draft(1),)))
        await asyncio.sleep(0)
        opened = await bot.journal.open(GUILD, 2)
        assert [record.seq for record in opened.tail()] == [1]
        assert (await append).head.seq == 1


async def test_how_long_a_process_stood_by_is_no_part_of_how_long_its_guilds_took_to_come_back():
    bot, gone = Bot(), asyncio.Event()

    async def stand_by() -> None:
        await gone.wait()

    bot.journal._turn = stand_by
    async with running(bot, started=False):
        bot.come_up()
        await bot.until(lambda: bool(bot.journal._queue))
        bot.clock.now_s += 3_600
        gone.set()
        await bot.until(lambda: bool(bot.events("guild.restored")))
        assert [line["ms"] for line in bot.events("guild.restored")] == [0]


async def test_the_first_life_reads_the_layers_and_says_what_it_found():
    bot, epochs = Bot(), list[int]()
    bot.journal._began = epochs.append
    assert not bot.journal.is_ready()
    async with running(bot, started=False):
        await bot.journal.open(GUILD, 1)
        assert bot.journal.is_ready()
        assert epochs == [bot.store.epoch]
        assert len(bot.events("recovery.finished")) == 1
        assert (bot.events("epoch.taken"), bot.journal.statistics().epochs) == ([], 0)  # nothing was in doubt


async def test_layers_that_cannot_be_read_at_the_start_are_tried_until_they_can():
    bot = Bot()
    for layer in (bot.log, bot.database):
        layer.go_away(StorageError("unplugged"))
    async with running(bot, started=False):
        await bot.until(lambda: bool(bot.events("storage.stalled")))
        assert not bot.journal.is_ready()
        for layer in (bot.log, bot.database):
            layer.come_back()
        await bot.until(bot.journal.is_ready)
        assert len(bot.events("recovery.finished")) == 1


async def test_whoever_could_not_begin_waits_for_its_turn_again():
    """Another process may have taken over meanwhile: to fence that one would leave nobody who records."""
    bot, turns = Bot(), 0

    async def turn() -> None:
        nonlocal turns
        assert bot.journal.is_standby()
        turns += 1

    bot.journal._turn = turn
    for layer in (bot.log, bot.database):
        layer.go_away(StorageError("unplugged"))
    async with running(bot, started=False):
        await bot.until(lambda: len(bot.events("storage.stalled")) == 2)
        for layer in (bot.log, bot.database):
            layer.come_back()
        await bot.until(bot.journal.is_ready)
        assert turns == 1 + len(bot.events("storage.stalled"))
        bot.journal.require_epoch()
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        assert turns == 1 + len(bot.events("storage.stalled")), "it has it, and whoever else took it ends it"


async def test_an_earlier_life_cannot_append_after_its_successor_opened():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.open(GUILD, 2)
        with pytest.raises(Fenced):
            await bot.journal.append(GUILD, 1, 0, (draft(1),))
        assert (await bot.journal.append(GUILD, 2, 0, (draft(1),))).head.seq == 1


async def test_an_earlier_life_cannot_keep_a_checkpoint_after_its_successor_opened():
    """It may be of before a ``ForgetMember`` of the new life: no layer would refuse it then."""
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        head = (await bot.journal.append(GUILD, 1, 0, (draft(1),))).head
        await bot.journal.open(GUILD, 2)
        with pytest.raises(Fenced):
            await bot.journal.checkpoint(GUILD, 1, head, (b"state",), forgot_seq=0, read_back=False)
        assert not [each for layer in (bot.log, bot.database) for each in await all_checkpoints(layer, GUILD)]
        assert await bot.journal.checkpoint(GUILD, 2, head, (b"state",), forgot_seq=0, read_back=False)


async def test_an_append_on_a_stale_seq_is_refused_and_writes_nothing():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        with pytest.raises(Fenced):
            await bot.journal.append(GUILD, 1, 0, (draft(2),))
        assert [record.key for record in await bot.records()] == [draft(1).key]


async def test_all_who_wait_are_one_batch():
    guilds = [GuildId(str(each)) for each in range(1, 51)]
    async with running(Bot()) as bot:
        for guild in guilds:
            await bot.journal.open(guild, 1)
        before = bot.journal.statistics().batches
        await asyncio.gather(*(bot.journal.append(guild, 1, 0, (draft(1),)) for guild in guilds))
        assert bot.journal.statistics().batches == before + 1


async def test_a_named_layer_that_is_away_is_waited_for_and_then_answers_are_degraded():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.database.go_away(StorageError("the disk is gone"))
        first = await bot.journal.append(GUILD, 1, 0, (draft(1),))
        assert first.degraded
        assert sum(bot.naps) >= 30
        naps = len(bot.naps)
        second = await bot.journal.append(GUILD, 1, 1, (draft(2),))
        assert second.degraded
        assert len(bot.naps) == naps, "from then on nobody waits"
        assert [line["user"] for line in bot.events("join.recorded_unacknowledged")] == ["1", "2"]
        assert not bot.events("join.acknowledged")


async def test_what_was_not_acknowledged_is_acknowledged_once_when_the_layer_has_caught_up():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.database.go_away(StorageError("the disk is gone"))
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        bot.database.come_back()
        bot.clock.now_s += 10
        third = await bot.journal.append(GUILD, 1, 1, (draft(2),))
        assert not third.degraded
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1", "2"]
        assert len(await guild_frames(bot.database, GUILD, 0)) == 2


async def test_an_outcome_nobody_knows_ends_the_epoch_and_every_guild_has_to_open_again():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.log.fail_next(NotConfirmed("fsync"), took_effect=True)
        bot.database.fail_next(NotConfirmed("commit"), took_effect=False)
        with pytest.raises(NotConfirmed):
            await bot.journal.append(GUILD, 1, 0, (draft(1),))
        with pytest.raises(Fenced):
            await bot.journal.append(GUILD, 1, 1, (draft(2),))
        opened = await bot.journal.open(GUILD, 2)
        assert [record.seq for record in opened.tail()] == [1]
        committed = await bot.journal.append(GUILD, 2, 1, (draft(2),))
        assert committed.records[0].epoch > next(opened.tail()).epoch


async def test_a_layer_that_is_still_away_after_a_new_epoch_is_given_up_after_the_same_time():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.database.go_away(StorageError("the disk is gone"))
        bot.log.fail_next(NotConfirmed("fsync"), took_effect=False)
        with pytest.raises(StorageError):
            await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await bot.journal.open(GUILD, 2)
        async with asyncio.timeout(5):
            committed = await bot.journal.append(GUILD, 2, 0, (draft(1),))
        assert committed.degraded
        assert sum(bot.naps) < 60


async def test_a_broken_layer_is_told_also_where_it_is_not_waited_for():
    async with running(Bot()) as bot:
        bot.journal._named = frozenset({"log"})  # LEDGER_ACK=local
        await bot.journal.open(GUILD, 1)
        bot.database.go_away(StorageError("the disk is gone"))
        assert not (await bot.journal.append(GUILD, 1, 0, (draft(1),))).degraded
        (line,) = bot.events("layer.failed")
        assert line["layers"] == {"database": "the disk is gone"}


async def test_what_was_not_acknowledged_is_acknowledged_when_an_epoch_finds_all_layers_whole():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.database.go_away(StorageError("the disk is gone"))
        assert (await bot.journal.append(GUILD, 1, 0, (draft(1),))).degraded
        bot.database.come_back()
        bot.log.fail_next(NotConfirmed("fsync"), took_effect=False)
        with pytest.raises(StorageError):
            await bot.journal.append(GUILD, 1, 1, (draft(2),))
        await bot.journal.open(GUILD, 2)
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1"]
        assert [line["layers"] for line in bot.events("layer.recovered")] == [["database"]]


async def pages(lists: Lists) -> Sequence[JoinRow]:
    return await lists.joins_page(GUILD, 0, 10)


async def test_a_read_is_served_between_two_batches():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        loop = asyncio.get_running_loop()
        entered, leave = asyncio.Event(), asyncio.Event()

        async def query(lists: Lists) -> tuple[int, int]:
            entered.set()
            before = len(await pages(lists))
            await leave.wait()
            return before, len(await pages(lists))

        first = await bot.journal.append(GUILD, 1, 0, (draft(1),))
        read = loop.create_task(bot.journal.read(query))
        await entered.wait()
        append = loop.create_task(bot.journal.append(GUILD, 1, first.head.seq, (draft(2),)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not append.done()
        leave.set()
        assert await read == (1, 1)
        assert (await append).head.seq == 2


async def test_many_reads_do_not_split_a_batch_nor_hold_it_up():
    guilds = [GuildId(str(each)) for each in range(1, 11)]
    async with running(Bot()) as bot:
        for guild in guilds:
            await bot.journal.open(guild, 1)
        before, served = bot.journal.statistics().batches, []
        loop = asyncio.get_running_loop()

        async def query(lists: Lists) -> None:
            await pages(lists)
            served.append(bot.journal.statistics().batches - before)

        asked = [loop.create_task(bot.journal.read(query)) for _ in range(5)]
        appends = [loop.create_task(bot.journal.append(guild, 1, 0, (draft(1),))) for guild in guilds]
        await asyncio.gather(*asked, *appends)
        assert served == [0, 1, 1, 1, 1]
        assert bot.journal.statistics().batches == before + 1


async def test_a_query_that_fails_by_the_layer_breaks_it_and_it_comes_back():
    async with running(Bot()) as bot:
        bot.database.go_away(StorageError("unplugged"))
        with pytest.raises(StorageError, match="database: unplugged") as told:
            await bot.journal.read(pages)
        assert told.value.hint
        (line,) = bot.events("layer.failed")
        assert line["layers"] == {"database": "unplugged"}
        with pytest.raises(StorageError, match="cannot be read now"):
            await bot.journal.read(pages)
        bot.database.come_back()
        bot.clock.now_s += 10
        await bot.journal.open(GUILD, 1)
        assert await bot.journal.read(pages) == []


@pytest.mark.parametrize(
    "bug", [LookupError("a bug"), TimeoutError(), Fenced("not for you"), asyncio.CancelledError()]
)
async def test_what_a_query_raises_of_its_own_is_told_to_its_author_and_to_nobody_else(bug: BaseException):
    async def query(lists: Lists) -> None:
        await pages(lists)
        raise bug

    async with running(Bot()) as bot:
        with pytest.raises(type(bug)):
            await bot.journal.read(query)
        assert await bot.journal.read(pages) == []
        assert not bot.events("layer.failed")
        assert not bot.events("actor.restarted")


async def test_whoever_asks_for_a_read_may_go_away_before_or_while_it_is_served():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        loop = asyncio.get_running_loop()
        entered, leave, ran = asyncio.Event(), asyncio.Event(), []

        async def query(lists: Lists) -> None:
            entered.set()
            await leave.wait()
            ran.append(await pages(lists))

        in_hand, waiting = loop.create_task(bot.journal.read(query)), loop.create_task(bot.journal.read(query))
        await entered.wait()
        in_hand.cancel()
        waiting.cancel()
        leave.set()
        assert await bot.journal.read(pages) == []
        assert ran == [[]], "what was begun is ended; what nobody waits for is not begun"


async def test_reads_in_hand_and_waiting_are_answered_when_the_journal_dies_and_the_next_life_reads():
    async with running(Bot()) as bot:
        loop = asyncio.get_running_loop()
        entered = asyncio.Event()

        async def query(lists: Lists) -> None:
            await pages(lists)
            entered.set()
            await asyncio.Event().wait()

        asked = [loop.create_task(bot.journal.read(query)) for _ in range(2)]
        await entered.wait()
        (journal,) = (child.task for child in bot.supervisor._children)
        assert journal is not None
        journal.cancel()
        async with asyncio.timeout(5):
            in_hand, waiting = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(in_hand, StorageError)
        assert isinstance(waiting, StorageError)
        assert await bot.journal.read(pages) == []
        assert bot.events("epoch.taken")


async def test_a_read_does_not_wait_for_storage_that_takes_nothing():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        for layer in (bot.log, bot.database):
            layer.go_away(StorageError("unplugged"))
        with pytest.raises(StorageError):
            await bot.journal.append(GUILD, 1, 0, (draft(1),))
        async with asyncio.timeout(5):
            with pytest.raises(StorageError, match="unplugged"):
                await bot.journal.read(pages)
        for layer in (bot.log, bot.database):
            layer.come_back()


async def test_a_read_does_not_wait_for_another_layer_that_is_away():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.log.go_away(StorageError("unplugged"))
        append = asyncio.get_running_loop().create_task(bot.journal.append(GUILD, 1, 0, (draft(1),)))
        await bot.until(lambda: bool(bot.naps))
        assert len(await bot.journal.read(pages)) == 1
        assert not append.done()
        assert bot.journal.pulse().busy, "the batch is still in hand"
        assert sum(bot.naps) < 30
        assert (await append).degraded


async def test_a_query_that_hangs_is_cut_off_and_breaks_its_layer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reads, "MAX_READ_S", 0.01)

    async def query(lists: Lists) -> None:
        await pages(lists)
        await asyncio.Event().wait()

    async with running(Bot()) as bot:
        with pytest.raises(StorageError, match=r"not done after 0\.01 s"):
            await bot.journal.read(query)
        assert bot.events("layer.failed")
        bot.clock.now_s += 10
        await bot.journal.open(GUILD, 1)
        assert await bot.journal.read(pages) == []
