"""What commands may ask of the process (``actors/standing.py``), by the supervisor with whole guild actors."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.standing import Kept, LayerStanding, NotRunning, Standing
from ledger.errors import StorageError
from ledger.ids import GuildId, UserId
from persistence.disk import RealDisk
from persistence.layer import Checkpoint, Place, all_checkpoints
from persistence.lists import JoinRow, Lists
from persistence.sqlite import SqliteLayer
from tests.actors.harness import GUILD, Bot, running
from tests.memory.layer import MemoryLayer

STRANGE = GuildId("99")


class Liar(MemoryLayer):
    """Gives other pages back than were kept."""

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        kept = await super().checkpoint(guild, place)
        assert kept is not None
        return Checkpoint(header=kept.header, pages=(*kept.pages[:-1], kept.pages[-1] + b" "))


async def lived(bot: Bot, users: int) -> None:
    """The guild is live, so many have joined, and all that follows from it is done."""
    bot.come_up()
    await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
    for user in range(1, users + 1):
        bot.supervisor.roster.tell(GUILD, bot.join(user))
    await settled(bot, users)


async def settled(bot: Bot, users: int) -> None:
    await bot.settled(users)
    await bot.until(bot.supervisor._is_quiet)


def standing(bot: Bot) -> Standing:
    found = bot.supervisor.standing(GUILD)
    assert found is not None
    return found


async def test_a_checkpoint_that_was_asked_for_is_in_every_layer_at_the_newest_record():
    async with running(Bot()) as bot:
        await lived(bot, 3)
        kept = await bot.supervisor.keep_checkpoint(GUILD)
        seq = (await bot.records())[-1].seq
        assert kept == Kept(seq=seq, layers={"log": "", "database": ""})
        for layer in (bot.log, bot.database):
            assert (await all_checkpoints(layer, GUILD))[0].header.seq == seq
        assert bot.events("checkpoint.saved")[-1]["seq"] == seq


async def test_asked_again_with_nothing_new_it_is_written_and_read_back_all_the_same():
    async with running(Bot()) as bot:
        await lived(bot, 1)
        first = await bot.supervisor.keep_checkpoint(GUILD)
        bot.database._checkpoints.clear()
        assert await bot.supervisor.keep_checkpoint(GUILD) == first
        assert [each.header.seq for each in await all_checkpoints(bot.database, GUILD)] == [first.seq]


async def test_two_who_ask_at_once_while_joins_come_are_both_told_the_truth():
    async with running(Bot()) as bot:
        await lived(bot, 2)
        asked = [bot.supervisor.keep_checkpoint(GUILD) for _ in range(3)]
        for user in range(3, 9):
            bot.supervisor.roster.tell(GUILD, bot.join(user))
        answers = await asyncio.gather(*asked)
        assert {text for kept in answers for text in kept.layers.values()} == {""}
        await settled(bot, 8)
        last = await bot.supervisor.keep_checkpoint(GUILD)
        assert [kept.seq for kept in answers] == sorted(kept.seq for kept in answers)
        assert answers[0].seq < answers[-1].seq, "whoever waited gets a state of his own, not the one before"
        assert last.seq == (await bot.records())[-1].seq


async def test_a_layer_that_gives_other_bytes_back_is_reported_and_broken():
    bot = Bot((MemoryLayer("log"), Liar("database")))
    async with running(bot):
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        kept = await bot.supervisor.keep_checkpoint(GUILD)
        assert kept.layers["log"] == ""
        assert "does not read back as it was written" in kept.layers["database"]
        (line,) = bot.events("layer.failed")
        assert line["layers"] == {"database": kept.layers["database"]}


async def test_a_layer_that_is_away_is_named_and_the_others_have_it():
    async with running(Bot()) as bot:
        await lived(bot, 1)
        bot.database.go_away(StorageError("unplugged"))
        kept = await bot.supervisor.keep_checkpoint(GUILD)
        assert kept.layers == {"log": "", "database": "unplugged"}
        bot.database.come_back()


async def test_with_no_layer_left_there_is_an_error_and_its_line():
    async with running(Bot()) as bot:
        await lived(bot, 1)
        for layer in (bot.log, bot.database):
            layer.go_away(StorageError("unplugged"))
        with pytest.raises(StorageError, match="no layer can be used"):
            await bot.supervisor.keep_checkpoint(GUILD)
        assert len(bot.events("checkpoint.failed")) == 1
        for layer in (bot.log, bot.database):
            layer.come_back()


async def test_of_a_guild_without_a_running_life_no_checkpoint_is_kept():
    async with running(Bot()) as bot:
        with pytest.raises(NotRunning):
            await bot.supervisor.keep_checkpoint(STRANGE)
        bot.come_up()
        await asyncio.sleep(0)
        with pytest.raises(NotRunning, match="just being restored"):
            await bot.supervisor.keep_checkpoint(GUILD)


async def test_whose_actor_is_killed_meanwhile_is_told_so_and_a_later_ask_is_answered():
    async with running(Bot()) as bot:
        await lived(bot, 1)
        asked = asyncio.get_running_loop().create_task(bot.supervisor.keep_checkpoint(GUILD))
        await asyncio.sleep(0)  # its first page is made
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        await bot.journal.open(GUILD, actor.incarnation + 1)
        with pytest.raises(NotRunning, match="restarted meanwhile"):
            await asked
        assert bot.supervisor.kill(f"guild/{GUILD}")
        await bot.until(lambda: standing(bot).restored_seq > 0 and bot.supervisor.phase_of(GUILD) == "live")
        assert (await bot.supervisor.keep_checkpoint(GUILD)).layers == {"log": "", "database": ""}


async def test_standing_says_how_the_life_was_restored_and_what_each_layer_holds():
    async with running(Bot()) as bot:
        assert bot.supervisor.standing(STRANGE) is None
        await lived(bot, 2)
        first = standing(bot)
        assert (first.restored_from, first.restored_seq, first.replayed, first.restarts) == ("", 0, 0, 0)
        assert first.leader == "log"
        assert first.phase == "live"
        assert first.mailbox.handled == bot.supervisor.roster.addresses()[GUILD].statistics().handled
        await bot.supervisor.keep_checkpoint(GUILD)
        bot.supervisor.roster.tell(GUILD, bot.join(3))
        await settled(bot, 3)
        records = await bot.records()
        checkpoint_seq = (await all_checkpoints(bot.log, GUILD))[0].header.seq
        assert bot.supervisor.kill(f"guild/{GUILD}")
        await bot.until(lambda: standing(bot).restored_seq > 0)
        second = standing(bot)
        assert (second.restored_from, second.restored_seq, second.restarts) == ("log", records[-1].seq, 1)
        assert second.replayed == records[-1].seq - checkpoint_seq


async def test_standing_names_a_broken_layer_and_how_far_it_is_behind():
    async with running(Bot()) as bot:
        await lived(bot, 1)
        bot.database.go_away(StorageError("unplugged"))
        had = (await bot.records())[-1].gsn
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await settled(bot, 2)
        newest = (await bot.records())[-1]
        assert standing(bot).layers == (
            LayerStanding(name="log", seq=newest.seq, behind=0, error=""),
            LayerStanding(name="database", seq=-1, behind=newest.gsn - had, error="unplugged"),
        )
        bot.database.come_back()


async def test_a_row_that_cannot_be_read_breaks_the_database_which_is_made_anew(tmp_path: Path):
    database = SqliteLayer(RealDisk(), tmp_path / "ledger.db", tmp_path / "quarantine")
    bot = Bot((MemoryLayer("log"), database))
    async with running(bot):
        bot.come_up()
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bool(bot.events("verdict.reached")))
        await bot.until(bot.supervisor._is_quiet)
        (joined,) = await bot.supervisor.read(page)
        assert joined.verdict_seq > 0
        await database._used()(lambda: database.lists._db.execute("UPDATE verdicts SET status = 'nonsense'"))
        with pytest.raises(StorageError, match="cannot be read now: database: read model: unreadable"):
            await bot.supervisor.read(page)
        assert bot.events("layer.failed")
        bot.clock.now_s += 10
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await bot.until(lambda: bool(bot.events("layer.recovered")))
        assert (await bot.supervisor.read(page))[0] == joined


async def page(lists: Lists) -> Sequence[JoinRow]:
    return await lists.joins_page(GUILD, 0, 10)


async def test_lists_and_names_are_read_through_the_process():
    async with running(Bot()) as bot:
        await lived(bot, 2)

        async def query(lists: Lists) -> tuple[Sequence[JoinRow], dict[UserId, str]]:
            await lists.put_names(GUILD, {UserId("1"): "安娜"})
            return await lists.joins_page(GUILD, 0, 10), dict(await lists.names(GUILD, [UserId("1")]))

        joins, names = await bot.supervisor.read(query)
        assert [row.user for row in joins] == ["1", "2"]
        assert names == {"1": "安娜"}
