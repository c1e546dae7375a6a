"""Forgetting in a bot at work: every guild, names, quarantine, checkpoints, and what is left when a layer is away."""

from pathlib import Path

import pytest

from actors.forgetting import ForgetReport, ForgetRequest, Forgetting
from ledger import messages as m
from ledger.answers import MemberReport
from ledger.errors import StorageError
from ledger.ids import GuildId, UserId, tombstone
from ledger.records import GuildForgotten, JoinRecorded, MemberForgotten
from persistence.disk import RealDisk
from persistence.layer import all_checkpoints
from persistence.offload import inline
from persistence.quarantine import Quarantine
from tests.actors.harness import GUILD, Bot, running

OTHER, EMPTY = GuildId("78"), GuildId("79")
ANNA = UserId("1")


async def nothing(done: int, of: int) -> None:
    assert 0 < done <= of


def forgetting(bot: Bot, folder: Path) -> Forgetting:
    return Forgetting(
        roster=bot.supervisor.roster,
        inside=bot.supervisor,
        guilds=bot.journal.guilds,
        unsalvaged=bot.journal.unsalvaged,
        quarantine=Quarantine(RealDisk(), folder),
        offload=inline,
        clock=bot.clock,
    )


async def forget(bot: Bot, folder: Path, user: UserId | None = ANNA, guild: GuildId | None = None) -> ForgetReport:
    return await forgetting(bot, folder).forget(ForgetRequest(user=user, guild=guild), nothing)


async def busy(bot: Bot) -> None:
    """Anna and Ben have joined two guilds; a third is empty."""
    for guild in (GUILD, OTHER, EMPTY):
        bot.come_up(guild)
        await bot.until(lambda guild=guild: bot.supervisor.phase_of(guild) == "live")
    for guild in (GUILD, OTHER):
        for user in (1, 2):
            bot.supervisor.roster.tell(guild, bot.join(user))
            await bot.settled(user, guild)
        await bot.supervisor.read(
            lambda lists, guild=guild: lists.put_names(guild, {ANNA: "Anna", UserId("2"): "Ben"})
        )


async def described(bot: Bot, user: UserId, guild: GuildId = GUILD) -> int:
    answer = (await bot.supervisor.roster.ask(guild, m.DescribeMember(user=user), 5.0)).answer
    assert isinstance(answer, MemberReport)
    return len(answer.periods)


async def test_a_person_is_forgotten_in_all_guilds_with_names_and_payloads(tmp_path: Path):
    quarantine = Quarantine(RealDisk(), tmp_path)
    for user in ("1", "2", "11"):
        quarantine.keep(f"{user}.json", b'{"guild_id":"77","message":{"user":"%s"}}' % user.encode(), "unreadable")
    quarantine.keep("7-9.ckpt", b'{"1":[]}', "damaged")
    async with running(Bot()) as bot:
        await busy(bot)
        report = await forget(bot, tmp_path)
        assert report == ForgetReport(guilds=2, memberships=2, names=2, payloads=1)
        assert await bot.supervisor.read(lambda lists: lists.names(GUILD, [ANNA, UserId("2")])) == {
            UserId("2"): "Ben"
        }
        assert (await described(bot, ANNA), await described(bot, UserId("2"))) == (0, 1)
        rows = await bot.supervisor.read(lambda lists: lists.joins_page(GUILD, 0, 10))
        assert [row.user for row in rows] == [tombstone(1), UserId("2")]
    kept = sorted(name.partition("-")[2] for name in RealDisk().names(tmp_path))
    assert kept == ["11.json", "11.json.why", "2.json", "2.json.why", "7-9.ckpt", "7-9.ckpt.why"]


async def test_in_one_guild_only_its_own_payloads_of_a_person_go(tmp_path: Path):
    quarantine = Quarantine(RealDisk(), tmp_path)
    for guild in (GUILD, OTHER):
        for user in (b"1", b"2"):
            payload = b'{"guild_id":"%s","message":{"user":"%s"}}' % (guild.encode(), user)
            quarantine.keep(f"{guild}-{user.decode()}.json", payload, "unreadable")
    async with running(Bot()) as bot:
        await busy(bot)
        assert await forget(bot, tmp_path, guild=GUILD) == ForgetReport(guilds=1, memberships=1, names=1, payloads=1)
    assert sorted(name.partition("-")[2] for name in quarantine.payloads()) == ["77-2.json", "78-1.json", "78-2.json"]


async def test_checkpoints_of_a_process_that_ended_too_soon_go_when_it_is_run_again(tmp_path: Path):
    bot = Bot()
    async with running(bot):
        await busy(bot)
        await bot.supervisor.keep_checkpoint(GUILD)
        bot.database.go_away(StorageError("gone"))
        report = await forget(bot, tmp_path, guild=GUILD)
        assert "or when this is run again" in report.remaining[-1]
    bot.database.come_back()
    async with running(Bot([bot.log, bot.database])) as again:
        assert await forget(again, tmp_path, guild=GUILD) == ForgetReport(
            guilds=0, memberships=0, names=1, payloads=0
        )
        await again.until(lambda: bool(again.events("checkpoint.saved")))
        pages = b"".join(page for each in await all_checkpoints(bot.database, GUILD) for page in each.pages[1:])
    assert b'"-1"' in pages
    assert b'"1":' not in pages


async def test_no_layer_keeps_a_checkpoint_of_before(tmp_path: Path):
    async with running(Bot()) as bot:
        await busy(bot)
        for _ in range(2):
            await bot.supervisor.keep_checkpoint(GUILD)
        await forget(bot, tmp_path, guild=GUILD)
        for layer in (bot.log, bot.database):
            pages = b"".join(page for each in await all_checkpoints(layer, GUILD) for page in each.pages[1:])
            assert b'"-1"' in pages
            assert b'"1":' not in pages


async def test_forgetting_again_does_nothing_and_says_so(tmp_path: Path):
    async with running(Bot()) as bot:
        await busy(bot)
        await forget(bot, tmp_path)
        before = len(await bot.records())
        report = await forget(bot, tmp_path)
        assert report == ForgetReport(guilds=0, memberships=0, names=0, payloads=0)
        assert len(await bot.records()) == before


async def test_a_forgotten_guild_is_adopted_anew_and_counts_from_then(tmp_path: Path):
    async with running(Bot()) as bot:
        await busy(bot)
        old = bot.join(3)
        bot.supervisor.roster.tell(GUILD, old)
        await bot.settled(3)
        report = await forget(bot, tmp_path, None, GUILD)
        assert (report.guilds, report.memberships, report.remaining) == (1, 3, ())
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        bot.supervisor.roster.tell(GUILD, bot.join(4))
        await bot.settled(4)
        assert [await described(bot, UserId(str(user))) for user in (1, 3, 4)] == [0, 0, 1]
        assert [await described(bot, UserId(str(user)), OTHER) for user in (1, 2)] == [1, 1]


async def test_with_the_database_away_it_says_what_is_left_and_that_follows_by_itself(tmp_path: Path):
    async with running(Bot()) as bot:
        await busy(bot)
        bot.database.go_away(StorageError("gone"))
        report = await forget(bot, tmp_path, guild=GUILD)
        assert report.guilds == 1
        assert [left.partition(":")[0] for left in report.remaining] == [
            "names",
            f"guild {GUILD}",
            f"guild {GUILD}, database",
        ]
        assert "degraded" in report.remaining[1]
        bot.database.come_back()
        bot.supervisor.roster.tell(OTHER, bot.join(5))
        await bot.until(lambda: bool(bot.events("layer.recovered")))
        rows = await bot.supervisor.read(lambda lists: lists.joins_page(GUILD, 0, 10))
        assert rows[0].user == tombstone(1)


@pytest.mark.parametrize("event", [MemberForgotten, GuildForgotten])
async def test_what_was_forgotten_stays_so_in_the_next_life_and_the_next_process(
    tmp_path: Path, event: type[MemberForgotten | GuildForgotten]
):
    async with running(Bot()) as bot:
        await busy(bot)
        await forget(bot, tmp_path, None if event is GuildForgotten else ANNA, GUILD)
        bot.supervisor.kill(f"guild/{GUILD}")
        assert await described(bot, ANNA) == 0
        records = await bot.records()
        assert sum(isinstance(record.event, event) for record in records) == 1
        assert sum(isinstance(record.event, JoinRecorded) for record in records) == 2
    async with running(Bot([bot.log, bot.database])) as again:
        again.come_up()
        assert await described(again, ANNA) == 0


async def test_a_guild_that_is_parked_is_left_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        await busy(bot)
        monkeypatch.setattr("actors.guild.decide", lambda *_: 1 / 0)
        report = await forget(bot, tmp_path, guild=GUILD)
        assert report.guilds == 0
        (left,) = report.remaining
        assert left.startswith(f"guild {GUILD}: ")
        assert "run this again" in left
