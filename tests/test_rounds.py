"""The caretaker's rounds: parked guilds come back, hung turns end, guilds rest and wake; none of it loses a join."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
import pytest

import supervisor
from actors import care
from actors import guild as guild_module
from actors.asks import Answered
from actors.care import HUNG_S, REST_S
from actors.checkpointing import CHECKPOINT_AGE_S, LARGE_BYTES
from actors.journal import RETRY_S
from actors.mailbox import Admission
from actors.supervision import Budget, Child, ChildSpec, spawn
from ledger import messages as m
from ledger.decision import Decision
from ledger.effects import SampleRequest
from ledger.errors import StorageError
from ledger.evolve import evolve
from ledger.ids import GuildId, SessionId, UserId
from ledger.presence import Presence
from ledger.records import ContinuityBroken, GatewayCause, GuildLeft, JoinRecorded, LeaveRecorded, Record, Status
from ledger.state import GuildState
from persistence.frames import Frame
from persistence.layer import Checkpoint, all_checkpoints
from persistence.lists import Lists
from supervisor import LONGEST_PROBE_S
from tests.actors.harness import GUILD, SESSION, Bot, running
from tests.test_supervisor import periods


async def live(bot: Bot, guild: GuildId = GUILD) -> None:
    """The guild is there, its counters are known and its members compared."""
    bot.come_up(guild)
    await bot.until(lambda: bot.supervisor.phase_of(guild) == "live")
    whole = m.ReviewMembers(session=SESSION, members=(), after=UserId("0"), upto="", started_us=0, at_us=0)
    bot.supervisor.roster.tell(guild, whole)


def later(bot: Bot, seconds: float) -> None:
    """A look now, so that stillness begins to count, time, and a round."""
    bot.supervisor.caretaker.go_round()
    bot.clock.now_s += seconds
    bot.supervisor.caretaker.go_round()


async def tired(bot: Bot, guild: GuildId = GUILD) -> None:
    """It finishes what it has, then time passes: it is about to rest."""
    await bot.until(bot.supervisor.roster.addresses()[guild].is_idle)
    later(bot, REST_S)


async def at_rest(bot: Bot, guild: GuildId = GUILD) -> None:
    await tired(bot, guild)
    await bot.until(lambda: bot.supervisor.phase_of(guild) == "passivated")


class Unreadable:
    """An ``evolve`` that stumbles over joins until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    def __call__(self, state: GuildState, record: Record) -> GuildState:
        if not self.mended and isinstance(record.event, JoinRecorded):
            raise ValueError("cannot read this")
        return evolve(state, record)


async def park(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Unreadable:
    fault = Unreadable()
    monkeypatch.setattr(guild_module, "evolve", fault)
    await live(bot)
    bot.supervisor.roster.tell(GUILD, bot.join(1))
    await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "parked")
    return fault


# Parked


async def test_a_parked_guild_is_tried_again_now_and_then_and_said_once(monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        await park(bot, monkeypatch)
        tries = len(bot.events("actor.restarted"))
        for _ in range(5):
            bot.clock.now_s += LONGEST_PROBE_S
            bot.supervisor.caretaker.go_round()
            await bot.until(lambda: bot.supervisor._guilds[GUILD].task is None)
        assert bot.supervisor._guilds[GUILD].probes == 6
        assert len(bot.events("guild.parked")) == 1
        assert len(bot.events("actor.restarted")) == tries


async def test_a_parked_guild_is_not_tried_before_its_time(monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        fault = await park(bot, monkeypatch)
        fault.mended = True
        bot.clock.now_s += 29.0  # half of the first interval, as the harness's randomness never surprises
        bot.supervisor.caretaker.go_round()
        await asyncio.sleep(0)
        assert bot.supervisor.phase_of(GUILD) == "parked"


async def test_a_revived_guild_has_lost_nothing_that_it_was_told_meanwhile(monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        fault = await park(bot, monkeypatch)
        for user in (2, 3):
            assert bot.supervisor.roster.tell(GUILD, bot.join(user)) is Admission.ACCEPTED
        outcome = await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert outcome.kind is Answered.CRASHED
        assert "parked" in outcome.text
        fault.mended = True
        bot.clock.now_s += LONGEST_PROBE_S
        bot.supervisor.caretaker.go_round()
        await bot.until(lambda: bool(bot.events("guild.revived")))
        await bot.settled(3)
        assert bot.supervisor.phase_of(GUILD) == "live"
        assert [len(await periods(bot, user)) for user in (1, 2, 3)] == [1, 1, 1]
        reasons = [each.event.reason for each in await bot.records() if isinstance(each.event, ContinuityBroken)]
        assert "gap" in reasons


async def test_asks_that_wait_in_a_mailbox_are_answered_when_its_guild_is_parked(monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        monkeypatch.setattr(guild_module, "evolve", Unreadable())
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        outcome = await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert outcome.kind is Answered.CRASHED


# Correlated deaths


async def test_many_guilds_that_die_at_once_open_the_breaker_and_none_is_parked(monkeypatch: pytest.MonkeyPatch):
    guilds = [GuildId(str(each)) for each in range(100, 108)]
    real = guild_module.decide
    sick = True

    def stumbling(state: GuildState, presence: Presence, message: m.Message) -> Decision:
        if sick and isinstance(message, m.NotePermissions):
            raise MemoryError
        return real(state, presence, message)

    monkeypatch.setattr(guild_module, "decide", stumbling)
    monkeypatch.setattr(care, "FIRST_PAUSE_S", 0.01)  # of the real clock: restarts wait by it
    monkeypatch.setattr(supervisor, "GUILD_BUDGET", Budget(deaths=1, period_s=60.0))
    async with running(Bot()) as bot:
        for guild in guilds:
            await live(bot, guild)
        for guild in guilds:
            bot.supervisor.roster.tell(guild, m.NotePermissions(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.statistics().dead_letters == len(guilds))
        sick = False
        for guild in guilds:
            assert (await bot.supervisor.roster.ask(guild, m.DescribeGuild(), 30.0)).kind is Answered.OK
        assert bot.supervisor.statistics().parked == ()
        assert [line["guilds"] for line in bot.events("breaker.opened")] == [len(guilds)]


# Hung turns


async def hang(bot: Bot) -> None:
    """A join is told, and its turn waits for an append that never ends; later ones do end."""

    async def lost(*_: object) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bot.journal, "append", lost)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bot.supervisor._guilds[GUILD].address.stage == "appending")


async def test_a_turn_that_hangs_while_the_journal_works_is_ended_and_its_message_handled_again():
    async with running(Bot()) as bot:
        await live(bot)
        await hang(bot)
        later(bot, HUNG_S - 1)
        assert not bot.events("turn.hung")
        bot.clock.now_s += 2
        bot.supervisor.caretaker.go_round()
        (line,) = bot.events("turn.hung")
        assert (line["guild"], line["stage"]) == (GUILD, "appending")
        await bot.settled(1)
        assert [period.status for period in await periods(bot, 1)] == [Status.CERTAIN]


async def test_a_turn_that_hangs_is_ended_however_much_arrives_behind_it():
    async with running(Bot()) as bot:
        await live(bot)
        await hang(bot)
        for user in (2, 3, 4, 5):
            later(bot, HUNG_S / 3)
            bot.supervisor.roster.tell(GUILD, bot.join(user))
        assert len(bot.events("turn.hung")) == 1
        await bot.settled(5)


async def test_a_message_that_has_just_come_to_a_guild_which_was_idle_for_long_is_no_hung_turn():
    async with running(Bot()) as bot:
        await live(bot)
        await bot.until(bot.supervisor.roster.addresses()[GUILD].is_idle)
        bot.supervisor.caretaker.go_round()
        bot.clock.now_s += 2 * HUNG_S
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        bot.supervisor.caretaker.go_round()  # before the guild has woken
        assert not bot.events("turn.hung")
        await bot.settled(1)
        assert not bot.events("actor.restarted")


async def test_guilds_that_wait_while_a_layer_is_caught_up_do_not_hang_and_the_journal_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
):
    async with running(Bot()) as bot:
        await live(bot)
        arrived, gate, real = asyncio.Event(), asyncio.Event(), bot.store.catch_up

        async def slow() -> bool:
            arrived.set()
            await gate.wait()
            return await real()

        monkeypatch.setattr(bot.store, "catch_up", slow)
        await _lose_database(bot)
        bot.clock.now_s += RETRY_S[-1]
        bot.supervisor.roster.tell(GUILD, m.NotePermissions(at_us=bot.clock.stamp_us()))
        await arrived.wait()
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        later(bot, HUNG_S)
        assert bot.events("journal.hung")
        assert not bot.events("turn.hung")
        gate.set()
        await bot.settled(1)


async def _lose_database(bot: Bot) -> None:
    """A read finds it broken; nobody has to wait for that."""

    async def fail(_: Lists) -> None:
        await asyncio.sleep(0)
        raise StorageError("gone")

    with suppress(StorageError):
        await bot.journal.read(fail)


async def test_a_journal_that_hangs_is_told_and_no_guild_is_ended_for_it(monkeypatch: pytest.MonkeyPatch):
    async with running(Bot()) as bot:
        await live(bot)
        gate, real = asyncio.Event(), bot.log.append

        async def slow(frames: Sequence[Frame]) -> None:
            await gate.wait()
            await real(frames)

        monkeypatch.setattr(bot.log, "append", slow)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bot.journal.pulse().busy)
        later(bot, 10 * HUNG_S)
        assert bot.events("journal.hung")
        assert not bot.events("turn.hung")
        assert bot.supervisor.statistics().hung_s >= HUNG_S
        gate.set()
        await bot.settled(1)
        bot.supervisor.caretaker.go_round()
        assert bot.supervisor.statistics().hung_s == 0.0


# Zombies


def impatient(child: Child) -> None:
    """So that a life that does not end is given up at once."""
    child.spec = msgspec.structs.replace(child.spec, shutdown_s=0.01)


def stubborn(work: Callable[..., Awaitable[object]], arrived: asyncio.Event, gate: asyncio.Event) -> object:
    """Work that does not end when it is cancelled: it is carried out later, when nobody wants it any more."""

    async def wait_and_work(*args: object) -> object:
        arrived.set()
        with suppress(asyncio.CancelledError):
            await gate.wait()
        async with asyncio.timeout(5.0):  # not for ever, so that a failing test ends
            await gate.wait()
        return await work(*args)

    return wait_and_work


async def test_a_guilds_life_that_does_not_end_is_counted_and_its_late_append_refused(
    monkeypatch: pytest.MonkeyPatch,
):
    arrived, gate = asyncio.Event(), asyncio.Event()
    async with running(Bot()) as bot:
        await live(bot)
        impatient(bot.supervisor._guilds[GUILD])
        with monkeypatch.context() as patch:
            patch.setattr(bot.journal, "append", stubborn(bot.journal.append, arrived, gate))
            bot.supervisor.roster.tell(GUILD, bot.join(1))
            await arrived.wait()
        assert bot.supervisor.kill(f"guild/{GUILD}")
        await bot.settled(1)
        assert bot.supervisor.statistics().zombies == 1
        fenced = bot.journal.statistics().fenced
        gate.set()
        await bot.until(lambda: bot.journal.statistics().fenced > fenced)
        assert sum(isinstance(record.event, JoinRecorded) for record in await bot.records()) == 1


async def test_a_journals_life_that_does_not_end_is_waited_for_since_two_of_them_would_write(
    monkeypatch: pytest.MonkeyPatch,
):
    arrived, gate = asyncio.Event(), asyncio.Event()
    async with running(Bot()) as bot:
        await live(bot)
        journal = bot.supervisor._children[0]
        impatient(journal)
        lingering = journal.task
        with monkeypatch.context() as patch:
            patch.setattr(bot.database, "append", stubborn(bot.database.append, arrived, gate))
            bot.supervisor.roster.tell(GUILD, bot.join(1))
            await arrived.wait()
        assert bot.supervisor.kill("journal")
        await bot.until(lambda: bool(bot.events("actor.lingered")))
        assert bot.supervisor.statistics().zombies == 1
        assert journal.task is lingering
        gate.set()
        await bot.settled(1)
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1"]


async def test_no_child_of_the_root_is_given_a_second_life_beside_one_that_does_not_end():
    arrived, gate, bot = asyncio.Event(), asyncio.Event(), Bot()
    spec = ChildSpec(name="gateway", start=stubborn(gate.wait, arrived, gate))
    tree = spawn(bot.supervisor.run((spec,)), "supervisor")
    await arrived.wait()
    child = bot.supervisor._children[0]
    impatient(child)
    lingering = child.task
    assert bot.supervisor.kill("gateway")
    await bot.until(lambda: bool(bot.events("actor.lingered")))
    assert child.task is lingering
    gate.set()
    await bot.until(lambda: child.restarts == 1)
    await bot.supervisor.drain()
    tree.cancel()
    await asyncio.wait([tree])


# Rest


async def test_a_guild_that_is_told_nothing_rests_without_its_state_and_wakes_at_the_next_message():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        await at_rest(bot)
        assert bot.supervisor._guilds[GUILD].actor is None
        fetches = bot.outside.fetches
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await bot.settled(2)
        assert bot.supervisor.phase_of(GUILD) == "live"
        (period,) = await periods(bot, 2)
        assert (period.status, period.code) == (Status.CERTAIN, "A")  # the baseline of this session still holds
        assert bot.outside.fetches == fetches + 1
        assert not bot.events("actor.restarted")


async def test_a_guild_at_rest_can_rest_again_and_its_request_numbers_never_come_back():
    async with running(Bot()) as bot:
        await live(bot)
        for user in (1, 2, 3):
            await at_rest(bot)
            bot.supervisor.roster.tell(GUILD, bot.join(user))
            await bot.settled(user)
        assert [(await periods(bot, user))[0].status for user in (1, 2, 3)] == [Status.CERTAIN] * 3


async def test_a_new_gateway_session_wakes_a_guild_and_is_noticed():
    async with running(Bot()) as bot:
        await live(bot)
        await at_rest(bot)
        greeting = m.GuildCameUp(session=type(SESSION)("another"), at_us=bot.clock.stamp_us())
        bot.supervisor.roster.tell(GUILD, greeting)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        assert actor.presence.session == "another"


async def _open_join(bot: Bot) -> None:
    bot.outside.silent = True
    bot.supervisor.roster.tell(GUILD, bot.join(1))
    await bot.until(lambda: bool(bot.events("join.acknowledged")))


async def _no_room(bot: Bot) -> None:
    """Checkpoints find no room; the layers are asked again and again, and records go on."""

    async def refuse(_: object) -> None:
        await asyncio.sleep(0)
        raise StorageError("no room")

    for layer in (bot.log, bot.database):
        layer.save_checkpoint = refuse  # a disk with room for records only


@pytest.mark.parametrize("hinder", [_open_join, _no_room])
async def test_no_guild_rests_over_an_open_join_or_without_a_checkpoint(hinder: Callable[[Bot], Awaitable[None]]):
    async with running(Bot()) as bot:
        await live(bot)
        await hinder(bot)
        await tired(bot)
        for _ in range(50):
            await asyncio.sleep(0)
        assert bot.supervisor.phase_of(GUILD) == "live"


async def test_a_message_that_comes_while_a_guild_goes_to_rest_is_handled():
    rested = 0
    for step in range(30):
        async with running(Bot()) as bot:
            await live(bot)
            bot.supervisor.roster.tell(GUILD, bot.join(1))
            await bot.settled(1)
            await tired(bot)
            for _ in range(step):
                await asyncio.sleep(0)
            bot.supervisor.roster.tell(GUILD, bot.join(2))
            await bot.settled(2)
            assert [len(await periods(bot, user)) for user in (1, 2)] == [1, 1]
            rested += bool(bot.events("guild.passivated"))
    assert 0 < rested < 30, "the message came before and after"


async def test_a_guild_that_lost_its_counters_while_its_checkpoint_was_written_does_not_rest():
    async with running(Bot()) as bot:
        await live(bot)
        gate, real = asyncio.Event(), bot.log.save_checkpoint

        async def slow(checkpoint: Checkpoint) -> None:
            await gate.wait()
            await real(checkpoint)

        bot.log.save_checkpoint = slow
        await tired(bot)
        bot.outside.silent = True
        bot.supervisor.roster.tell(GUILD, m.GuildCameUp(session=SessionId("next"), at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "syncing")
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        asked = SampleRequest(number=actor.presence.asked)
        refusal = m.SampleFailed(request=asked, reason="forbidden", forbidden=True, at_us=bot.clock.stamp_us())
        bot.supervisor.roster.tell(GUILD, refusal)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "blind")
        gate.set()
        await bot.until(lambda: bool(bot.events("checkpoint.saved")))
        assert (await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)).kind is Answered.OK
        assert bot.supervisor.phase_of(GUILD) == "blind"


async def test_a_checkpoint_of_a_large_guild_is_written_in_proportion_less_often():
    async with running(Bot()) as bot:
        await live(bot)
        crowd = tuple(m.ListedMember(user=UserId(str(1_000 + each)), joined_at_us=1) for each in range(20_000))
        whole = m.ReviewMembers(
            session=SESSION, members=crowd, after=UserId("0"), upto="", started_us=0, at_us=bot.clock.stamp_us()
        )
        bot.supervisor.roster.tell(GUILD, whole)
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        await bot.until(lambda: bool(bot.events("checkpoint.saved")) and not actor._keeping)
        size = sum(map(len, (await all_checkpoints(bot.database, GUILD))[0].pages))
        assert 2 * LARGE_BYTES < size < 3 * LARGE_BYTES
        saved = len(bot.events("checkpoint.saved"))
        for number, waited_s in enumerate(
            (CHECKPOINT_AGE_S + 1, CHECKPOINT_AGE_S)
        ):  # together not yet, then long ago
            bot.clock.now_s += waited_s
            bot.supervisor.roster.tell(GUILD, bot.join(number + 1))
            await bot.settled(number + 1)
            await bot.until(lambda: not actor._keeping)
        assert len(bot.events("checkpoint.saved")) == saved
        bot.clock.now_s += CHECKPOINT_AGE_S
        bot.supervisor.roster.tell(GUILD, bot.join(3))
        await bot.until(lambda: len(bot.events("checkpoint.saved")) == saved + 1)


async def test_a_join_does_not_wait_for_the_checkpoints_of_all_guilds_that_go_to_rest():
    guilds = [GuildId(str(each)) for each in range(100, 120)]
    async with running(Bot()) as bot:
        for guild in guilds:
            await live(bot, guild)
        await bot.until(lambda: all(each.is_idle() for each in bot.supervisor.roster.addresses().values()))
        later(bot, REST_S)
        most = 0

        def all_rest() -> bool:
            nonlocal most
            most = max(most, bot.journal.statistics().waiting)
            return all(bot.supervisor.phase_of(guild) == "passivated" for guild in guilds)

        await bot.until(all_rest)
        assert most <= 1


async def test_a_guild_does_not_rest_while_a_layer_still_has_what_was_forgotten():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        await bot.supervisor.keep_checkpoint(GUILD)
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        real = bot.database.save_checkpoint

        async def refuse(_: object) -> None:
            await asyncio.sleep(0)
            raise StorageError("no room")

        bot.database.save_checkpoint = refuse
        await bot.supervisor.roster.ask(GUILD, m.ForgetMember(user=UserId("1")), 5.0)
        assert (await bot.supervisor.keep_checkpoint(GUILD)).layers["database"] == "no room"
        bot.database.save_checkpoint = real
        later(bot, CHECKPOINT_AGE_S - 1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert bot.supervisor.phase_of(GUILD) == "away"
        later(bot, 2.0)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")
        seqs = [each.header.seq for each in await all_checkpoints(bot.database, GUILD)]
        assert seqs == [len(await bot.records())], "the older one, which knows the person, is gone"


async def test_the_death_of_the_journal_does_not_wake_guilds_at_rest():
    async with running(Bot()) as bot:
        await live(bot)
        await at_rest(bot)
        assert bot.supervisor.kill("journal")
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        assert bot.supervisor.phase_of(GUILD) == "passivated"
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)


async def test_a_guild_that_was_told_nothing_since_the_journal_died_can_rest_and_is_kept_at_a_drain():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        assert bot.supervisor.kill("journal")
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        await at_rest(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await bot.settled(2)
        assert bot.supervisor.kill("journal")
        await bot.until(lambda: len(bot.events("epoch.taken")) == 2)
    assert len(bot.events("checkpoint.saved")) == 2
    assert not bot.events("checkpoint.failed")


# Left


async def test_a_guild_that_the_bot_left_stops_and_keeps_its_data():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        bot.supervisor.caretaker.go_round()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")
        assert isinstance((await bot.records())[-1].event, GuildLeft)
        assert [period.code for period in await periods(bot, 1)] == ["A"]  # asking wakes it
        bot.supervisor.caretaker.go_round()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")


async def test_a_guild_that_the_bot_is_not_in_rests_again_after_it_was_asked_about():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        assert bot.supervisor.kill(f"guild/{GUILD}")  # as after a start of the process, nobody says that it is there
        outcome = await bot.supervisor.roster.ask(GUILD, m.ForgetMember(user=UserId("1")), 5.0)
        assert outcome.kind is Answered.OK
        await tired(bot)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")


async def test_on_return_to_a_guild_nothing_is_better_than_likely_and_its_data_is_there():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        bot.supervisor.caretaker.go_round()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")
        bot.clock.now_s += 3_600.0
        bot.outside.silent = True
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "syncing")
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await bot.until(lambda: len(bot.events("join.acknowledged")) == 2)
        bot.outside.silent = False
        bot.supervisor.roster.tell(GUILD, m.NotePermissions(at_us=bot.clock.stamp_us()))
        await bot.settled(2)
        assert [period.status for period in await periods(bot, 2)] == [Status.LIKELY]
        assert [period.status for period in await periods(bot, 1)] == [Status.CERTAIN]


async def test_who_left_before_the_bot_did_and_came_back_before_it_has_a_new_join():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        cause = GatewayCause(session=SESSION, number=99, lane="members")
        bot.supervisor.roster.tell(
            GUILD, m.RecordLeave(cause=cause, user=UserId("1"), arrived_us=bot.clock.stamp_us())
        )
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        bot.clock.now_s += 1.0
        back = m.ListedMember(user=UserId("1"), joined_at_us=bot.clock.stamp_us())
        bot.come_up()
        now_us = bot.clock.stamp_us()
        page = m.ReviewMembers(
            session=SESSION, members=(back,), after=UserId("0"), upto="", started_us=now_us, at_us=now_us
        )
        bot.supervisor.roster.tell(GUILD, page)
        assert [each.is_open() for each in await periods(bot, 1)] == [False, True]


async def test_a_guild_in_an_outage_is_waited_for_and_does_not_stop():
    async with running(Bot()) as bot:
        await live(bot)
        bot.supervisor.roster.tell(GUILD, m.GuildWentAway(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        later(bot, 10 * REST_S)
        for _ in range(50):
            await asyncio.sleep(0)
        assert bot.supervisor.phase_of(GUILD) == "away"


async def test_a_leave_told_to_a_guild_at_rest_is_recorded():
    async with running(Bot()) as bot:
        await live(bot)
        join = bot.join(1)
        bot.supervisor.roster.tell(GUILD, join)
        await bot.settled(1)
        await at_rest(bot)
        cause = GatewayCause(session=SESSION, number=99, lane="members")
        leave = m.RecordLeave(cause=cause, user=UserId("1"), arrived_us=bot.clock.stamp_us())
        bot.supervisor.roster.tell(GUILD, leave)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 5.0)
        assert isinstance((await bot.records())[-1].event, LeaveRecorded)
