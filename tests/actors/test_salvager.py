"""A branch that lost, in a bot at work: guilds are handed what they had, and all joins end up in `export`."""

import shutil
from io import BytesIO, StringIO
from pathlib import Path

import msgspec
import pytest

from actors.cli.export import export_joins
from actors.cli.history import JoinLine
from actors.forgetting import ForgetReport
from ledger import decide
from ledger import messages as m
from ledger import records as r
from ledger.answers import MemberReport
from ledger.errors import StorageError
from ledger.ids import GuildId, InviteCode, UserId
from persistence import salvage
from persistence.disk import RealDisk
from persistence.layer import guild_frames
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.salvage import FileSalvage
from persistence.sqlite import SqliteLayer
from tests.actors.harness import GUILD, Bot, running
from tests.actors.test_forgetting import forget
from tests.memory.layer import MemoryLayer

OTHER = GuildId("78")
EVERYBODY = [(GUILD, UserId("1")), (GUILD, UserId("2")), (GUILD, UserId("3")), (OTHER, UserId("4"))]


async def joined(bot: Bot, guild: GuildId, user: int) -> None:
    """Somebody joins, in a process of its own, later than those before."""
    bot.clock.now_s += 1_000 * user
    bot._dispatches = 10 * user
    bot.outside.counters[InviteCode("A")] += user
    async with running(bot):
        bot.come_up(guild)
        await bot.until(lambda: bot.supervisor.phase_of(guild) == "live")
        bot.supervisor.roster.tell(guild, bot.join(user))
        await bot.until(lambda: bool(bot.events("verdict.reached")))


async def forked() -> tuple[MemoryLayer, MemoryLayer]:
    """The log goes on without the database, and the database, which is newer, without the log."""
    log, database = MemoryLayer("log"), MemoryLayer("database")
    await joined(Bot([log, database]), GUILD, 1)
    await joined(Bot([log]), GUILD, 2)
    await joined(Bot([log]), OTHER, 4)
    for user in (3, 5, 6):
        await joined(Bot([database]), GUILD, user)
    return log, database


async def memberships(bot: Bot, guild: GuildId, user: UserId) -> int:
    answer = (await bot.supervisor.roster.ask(guild, m.DescribeMember(user=user), 5.0)).answer
    assert isinstance(answer, MemberReport)
    return len(answer.periods)


async def test_every_guild_takes_what_it_had_also_one_that_the_history_does_not_know():
    bot = Bot(await forked())
    async with running(bot):
        assert bot.store.leader == "database"
        await bot.salvager().salvage_all()
        assert [await memberships(bot, guild, user) for guild, user in EVERYBODY] == [1, 1, 1, 1]
        assert bot.store.salvage.pending() == ()
    assert {(line["guild"], line["joins"]) for line in bot.events("branch.salvaged")} == {(GUILD, 1), (OTHER, 1)}
    assert {line["user"] for line in bot.events("join.acknowledged")} == {"2", "4"}


async def test_a_hole_is_filled_when_the_layer_that_was_away_is_back_and_both_stories_are_one():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    for guild, user in ((GUILD, 1), (OTHER, 4), (GUILD, 2)):
        await joined(Bot([log, database]), guild, user)
    await log.open()
    frames = [frame async for frame in log.frames_after(0)]
    rotten = next(frame.record.gsn for frame in frames if isinstance(frame.record.event, r.JoinRecorded))
    log.lose(rotten, rotten)
    log._checkpoints.clear()
    database._checkpoints.clear()
    database.go_away(StorageError("away"))
    bot = Bot([log, database])
    async with running(bot):
        bot.come_up(GUILD)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        assert await memberships(bot, GUILD, UserId("1")) == 0
        bot.supervisor.roster.tell(GUILD, bot.join(3))
        await bot.until(lambda: bot.store.head_of(GUILD).epoch == bot.store.epoch)
        database.come_back()
        await bot.until(lambda: not bot.journal.is_degraded() and bool(bot.events("epoch.taken")))
        await bot.salvager().salvage_all()
        assert [await memberships(bot, guild, user) for guild, user in EVERYBODY] == [1, 1, 1, 1]
        assert bot.store.salvage.pending() == ()
    (line,) = bot.events("epoch.taken")
    assert "LOST BRANCH" in str(line["notes"])


async def test_what_is_not_durable_in_every_named_layer_is_not_done():
    log, database = await forked()
    bot = Bot([log, database])
    async with running(bot):
        log.go_away(StorageError("gone"))
        await bot.salvager().salvage_all()
        waiting = bot.store.salvage.pending()
        assert {guild for _, guild in waiting} == {GUILD, OTHER}
        assert {line["why"] for line in bot.events("salvage.postponed")} == {"degraded"}
        log.come_back()
        await bot.until(lambda: not bot.journal.is_degraded())
        await bot.salvager().salvage_all()
        assert bot.store.salvage.pending() == ()
        assert await memberships(bot, GUILD, UserId("2")) == 1


async def test_a_guild_whose_actor_is_killed_takes_its_records_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(salvage, "PIECE_RECORDS", 1)
    bot = Bot(await forked())
    killed: list[str] = []
    async with running(bot):

        def kill_now_and_then(guild: GuildId, message: m.Message) -> None:
            if isinstance(message, m.Salvage) and len(killed) < 5:
                killed.append(guild)
                bot.supervisor.kill(f"guild/{guild}")

        ask = bot.supervisor.roster.ask

        async def asked(guild: GuildId, message: m.Message, timeout_s: float):
            kill_now_and_then(guild, message)
            return await ask(guild, message, timeout_s)

        monkeypatch.setattr(bot.supervisor.roster, "ask", asked)
        await bot.salvager().salvage_all()
        monkeypatch.undo()
        assert len(killed) == 5
        records = [*await _records(bot, GUILD), *await _records(bot, OTHER)]
        assert sorted((guild, user) for guild, user in records) == sorted(
            [*EVERYBODY, (GUILD, UserId("5")), (GUILD, UserId("6"))]
        )


async def _records(bot: Bot, guild: GuildId) -> list[tuple[GuildId, UserId]]:
    frames = await guild_frames(bot.store._near[0].layer, guild, 0)
    joins = [frame.record.event for frame in frames if isinstance(frame.record.event, r.JoinRecorded)]
    return [(guild, each.user) for each in joins]


async def test_what_a_guild_cannot_take_is_given_up_for_this_process_and_kept_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
):
    layers = await forked()
    bot = Bot(layers)
    async with running(bot):
        with monkeypatch.context() as broken:
            broken.setattr(decide, "Salvaging", None)
            salvager = bot.salvager()
            await salvager.salvage_all()
        assert len(bot.events("salvage.failed")) == 2
        await salvager.salvage_all()
        assert len(bot.store.salvage.pending()) == 2
        await bot.salvager().salvage_all()
        assert bot.store.salvage.pending() == ()


async def test_whoever_forgets_is_told_while_facts_still_wait(tmp_path: Path):
    bot = Bot(await forked())
    async with running(bot):
        before = await forget(bot, tmp_path, UserId("2"))
        assert (before.guilds, _waiting(before)) == (0, 2)
        await bot.salvager().salvage_all()
        again = await forget(bot, tmp_path, UserId("2"))
        assert (again.guilds, _waiting(again)) == (1, 0)


def _waiting(report: ForgetReport) -> int:
    return sum("after branch.salvaged" in each for each in report.remaining)


# Two copies of a data folder that went on separately: one's database with the other's log


def on(data: Path, *, log: bool = True, database: bool = True) -> Bot:
    disk = RealDisk()
    near = [LocalLayer(disk, data, inline)] if log else []
    far = [SqliteLayer(disk, data / "ledger.db", data / "quarantine")] if database else []
    return Bot([*near, *far], FileSalvage(disk, data, inline))


def exported(data: Path) -> list[JoinLine]:
    out, err = BytesIO(), StringIO()
    export_joins(data, data / "ledger.db", None, out, err)
    assert err.getvalue() == ""
    return [msgspec.json.decode(line, type=JoinLine) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("newer", ["log", "database"])
async def test_two_copies_of_a_folder_put_together_again_hold_what_both_acknowledged(tmp_path: Path, newer: str):
    first, second = tmp_path / "first", tmp_path / "second"
    await joined(on(first), GUILD, 1)
    shutil.copytree(first, second)
    for user in (2, 3) if newer == "log" else (2,):
        await joined(on(first), GUILD, user)
    for user in (4,) if newer == "log" else (4, 5):
        await joined(on(second), GUILD, user)
    before = {line.user for data in (first, second) for line in exported(data)}
    for file in second.glob("ledger.db*"):
        shutil.copy(file, first / file.name)
    bot = on(first)
    async with running(bot):
        assert bot.store.leader == newer
        assert len(list((first / "salvage").glob("*.jsonl"))) == 1
        await bot.salvager().salvage_all()
    assert not list((first / "salvage").glob("*.jsonl"))
    after = exported(first)
    assert sorted(line.user for line in after) == sorted(before)
    (lost,) = (line for line in after if line.user == ("4" if newer == "log" else "2"))
    assert (lost.status, lost.code, lost.credited) == (
        r.Status.PENDING if newer == "log" else r.Status.UNKNOWN,  # the next sample can tell, where it was later
        None,
        None,
    )
