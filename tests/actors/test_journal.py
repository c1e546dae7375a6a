"""The persistence actor: one queue, fences, one batch for all who wait, and the wait for a layer that is away."""

import asyncio

import pytest

from ledger.errors import Fenced, NotConfirmed, StorageError
from ledger.ids import GuildId, SessionId, UserId
from ledger.records import Draft, InternalCause, JoinRecorded, join_key
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
        assert [record.seq for record in opened.tail] == [1]
        assert (await append).head.seq == 1


async def test_an_earlier_life_cannot_append_after_its_successor_opened():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.open(GUILD, 2)
        with pytest.raises(Fenced):
            await bot.journal.append(GUILD, 1, 0, (draft(1),))
        assert (await bot.journal.append(GUILD, 2, 0, (draft(1),))).head.seq == 1


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
        assert len(await bot.database.guild_frames(GUILD, 0)) == 2


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
        assert [record.seq for record in opened.tail] == [1]
        committed = await bot.journal.append(GUILD, 2, 1, (draft(2),))
        assert committed.records[0].epoch > opened.tail[0].epoch


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
        assert bot.events("layer.recovered")
