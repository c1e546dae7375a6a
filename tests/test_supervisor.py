"""Deaths and what follows: nothing acknowledged is lost, nothing is done twice, nobody else is disturbed."""

import asyncio
from collections.abc import Sequence

import pytest

from actors import guild as guild_module
from actors.asks import Answered
from actors.guild import EvolveFailed
from actors.mailbox import Lane
from ledger import messages as m
from ledger.answers import MemberReport
from ledger.decision import Decision
from ledger.errors import DiskFull, NotConfirmed
from ledger.evolve import evolve
from ledger.ids import GuildId, UserId
from ledger.presence import Presence
from ledger.records import JoinRecorded, Record, Status, VerdictReached
from ledger.state import GuildState, Period
from persistence.layer import all_checkpoints
from persistence.rehydration import NoChain, Opened
from supervisor import BUG_HINT
from tests.actors.harness import GUILD, Bot, running


async def periods(bot: Bot, user: int, guild: GuildId = GUILD) -> Sequence[Period]:
    outcome = await bot.supervisor.roster.ask(guild, m.DescribeMember(user=UserId(str(user))), 5.0)
    assert isinstance(outcome.answer, MemberReport), outcome
    return outcome.answer.periods


async def test_a_join_is_recorded_worked_out_and_acknowledged():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bool(bot.events("guild.moved")))
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        (period,) = await periods(bot, 1)
        assert (period.status, period.code, period.credited) == (Status.CERTAIN, "A", "5")
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1"]


async def test_a_guild_killed_at_every_step_of_a_join_still_records_it_once_and_works_it_out():
    for step in range(40):
        async with running(Bot()) as bot:
            bot.come_up()
            await bot.until(lambda bot=bot: bot.supervisor.phase_of(GUILD) == "live")
            bot.supervisor.roster.tell(GUILD, bot.join(1))
            for _ in range(step):
                await asyncio.sleep(0)
            bot.supervisor.kill(f"guild/{GUILD}")
            await bot.settled(1)
            joins = [record for record in await bot.records() if isinstance(record.event, JoinRecorded)]
            assert len(joins) == 1
            (period,) = await periods(bot, 1)
            assert (period.status, period.credited) == (Status.CERTAIN, "5")


async def test_an_ask_in_the_mailbox_of_a_killed_actor_is_answered_by_its_successor():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        asked = asyncio.get_running_loop().create_task(periods(bot, 1))
        await asyncio.sleep(0)
        bot.supervisor.kill(f"guild/{GUILD}")
        assert await asked == ()


async def test_a_message_that_cannot_be_decided_on_is_tried_once_more_then_buried_and_its_guild_lives_on(
    monkeypatch: pytest.MonkeyPatch,
):
    real = guild_module.decide

    def stumbling(state: GuildState, presence: Presence, message: m.Message) -> Decision:
        if isinstance(message, m.RecordJoin) and message.user == "13":
            raise ZeroDivisionError("unlucky")
        return real(state, presence, message)

    monkeypatch.setattr(guild_module, "decide", stumbling)
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        bot.supervisor.roster.tell(GUILD, bot.join(13, code=None))
        bot.supervisor.roster.tell(GUILD, bot.join(14))
        await bot.until(lambda: bool(bot.events("letter.buried")))
        await bot.settled(2)
        (buried,) = await periods(bot, 13)
        told = [record.event for record in await bot.records() if isinstance(record.event, VerdictReached)]
        reasons = [(each.status, each.reason) for each in told if each.user == "13"]
        assert reasons[0] == (Status.UNKNOWN, "handler_failed")
        assert buried.credited is None
        assert [b'"user":"13"' in payload for payload in bot.kept.values()] == [True]
        (other,) = await periods(bot, 14)
        assert other.status is Status.CANDIDATES, "the use may be of the one that nobody could decide on"
        assert bot.supervisor.statistics().dead_letters == 1


async def test_the_ask_of_a_buried_message_is_answered_crashed(monkeypatch: pytest.MonkeyPatch):
    def failing(state: GuildState, presence: Presence, message: m.Message) -> Decision:
        raise ZeroDivisionError(f"{state.guild} {presence.phase} {message}")

    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        monkeypatch.setattr(guild_module, "decide", failing)
        outcome = await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert outcome.kind is Answered.CRASHED


async def test_a_record_that_cannot_be_replayed_parks_its_guild_and_no_other(monkeypatch: pytest.MonkeyPatch):
    other = GuildId("78")

    def broken(state: GuildState, record: Record) -> GuildState:
        if state.guild == GUILD and isinstance(record.event, JoinRecorded):
            raise ValueError("cannot read this")
        return evolve(state, record)

    monkeypatch.setattr(guild_module, "evolve", broken)
    async with running(Bot()) as bot:
        for guild in (GUILD, other):
            bot.come_up(guild)
        await bot.until(lambda: bot.supervisor.phase_of(other) == "live")
        for guild in (GUILD, other):
            bot.supervisor.roster.tell(guild, bot.join(1))
        await bot.until(lambda: bool(bot.events("guild.parked")))
        await bot.settled(1, other)
        assert {line["guild"] for line in bot.events("guild.restore_failed")} == {GUILD}
        assert [line["hint"] for line in bot.events("guild.parked")] == [EvolveFailed.hint]
        assert bot.supervisor.statistics().parked == (GUILD,)
        outcome = await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert outcome.kind is Answered.CRASHED
        assert [period.counted for period in await periods(bot, 1, other)] == [True]


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_batch_that_no_layer_confirms_ends_the_epoch_and_is_recorded_once(took_effect: bool):  # noqa: FBT001 -- both ways
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        bot.log.fail_next(NotConfirmed("fsync failed"), took_effect=took_effect)
        bot.database.fail_next(NotConfirmed("commit failed"), took_effect=False)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        await bot.settled(1)
        joins = [record for record in await bot.records() if isinstance(record.event, JoinRecorded)]
        assert len(joins) == 1


async def test_a_full_disk_acknowledges_nothing_and_goes_on_by_itself_when_there_is_room():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        for layer in (bot.log, bot.database):
            layer.go_away(DiskFull("no space left"))
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: len(bot.events("storage.stalled")) >= 3)
        assert not bot.events("join.acknowledged")
        for layer in (bot.log, bot.database):
            layer.come_back()
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        await bot.settled(1)
        assert len(bot.events("join.acknowledged")) == 1


async def test_the_journals_death_voids_the_guilds_lives_but_loses_no_message():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        journal = bot.supervisor._children[0].task
        assert journal is not None
        for user in range(1, 6):
            bot.supervisor.roster.tell(GUILD, bot.join(user))
        await asyncio.sleep(0)
        journal.cancel()
        await bot.settled(5)
        joins = [record for record in await bot.records() if isinstance(record.event, JoinRecorded)]
        assert [join.event.user for join in joins if isinstance(join.event, JoinRecorded)] == list("12345")


async def test_a_redelivered_event_is_recorded_once():
    async with running(Bot()) as bot:
        bot.come_up()
        join = bot.join(1)
        for _ in range(3):
            bot.supervisor.roster.tell(GUILD, join)
        await bot.settled(1)
        await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert sum(isinstance(record.event, JoinRecorded) for record in await bot.records()) == 1


async def test_a_drain_empties_the_mailboxes_and_keeps_a_checkpoint_at_the_head():
    bot = Bot()
    async with running(bot):
        bot.come_up()
        for user in range(1, 20):
            bot.supervisor.roster.tell(GUILD, bot.join(user))
        await bot.supervisor.drain()
        (newest, *_) = await all_checkpoints(bot.log, GUILD)
        assert newest.header.seq == (await bot.records())[-1].seq
        assert len(bot.events("join.acknowledged")) == 19
        assert bot.supervisor.roster.addresses()[GUILD].tell(bot.join(99), Lane.MEMBERS).value == "closed"


async def test_a_guild_that_dies_too_often_is_parked(monkeypatch: pytest.MonkeyPatch):
    def failing(state: GuildState, presence: Presence, message: m.Message) -> Decision:
        raise ZeroDivisionError(f"{state.guild} {presence.phase} {message}")

    async with running(Bot()) as bot:
        monkeypatch.setattr(guild_module, "decide", failing)
        for _ in range(20):
            bot.come_up()
        await bot.until(lambda: bool(bot.events("guild.parked")))
        assert [line["hint"] for line in bot.events("guild.parked")] == [BUG_HINT]
        assert bot.supervisor.statistics().restarts <= 11


async def test_a_guild_that_no_layer_leads_to_is_parked_with_what_helps_then(monkeypatch: pytest.MonkeyPatch):
    async def open_guild(guild: GuildId) -> Opened:
        raise NoChain(f"guild {guild}", "no layer leads to seq 7")

    async with running(Bot()) as bot:
        monkeypatch.setattr(bot.store, "open_guild", open_guild)
        bot.come_up()
        await bot.until(lambda: bool(bot.events("guild.parked")))
        assert [line["hint"] for line in bot.events("guild.parked")] == [NoChain.hint]


async def test_counters_are_said_to_be_cached_once_when_the_guild_goes_live_and_not_by_joins():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        assert [(line["guild"], line["counters"]) for line in bot.events("counters.cached")] == [(GUILD, 1)]
