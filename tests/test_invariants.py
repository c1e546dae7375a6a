"""Schedules that an attacker of the invariants would choose (docs/testing.md, I1 to I12)."""

import asyncio
import random
from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

import supervisor as supervisor_module
from actors import journal as journal_module
from actors import mailbox, supervision
from actors.asks import Answered, Outcome
from actors.clock import SystemClock
from actors.drain import SHARES_S, Drain
from actors.journal import Journal
from ledger import messages as m
from ledger.answers import Answer
from ledger.decide import decide
from ledger.decision import Decision
from ledger.effects import Effect, FetchSample, ListMembers, SampleRequest
from ledger.errors import DiskFull, NotConfirmed, StorageError
from ledger.evolve import evolve
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.records import ContinuityBroken, CreditGranted, CreditReversed, GatewayCause, JoinRecorded, Record
from ledger.records import Counter as Invite
from ledger.samples import Sample
from ledger.state import GuildState
from persistence.disk import RealDisk
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from tests.actors.harness import GUILD, SESSION, Bot, Steady
from tests.memory.store import store_of

OTHER = GuildId("78")
NOW_US = 1_700_000_000_000_000
S = 1_000_000


def on_sqlite(folder: Path) -> Bot:
    """The harness's bot with a real database instead of one in memory."""
    bot = Bot()
    layer = SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")
    bot.store = store_of((bot.log, layer), bot.clock, Steady())
    bot.journal._store = bot.store
    return bot


@asynccontextmanager
async def attacked(bot: Bot) -> AsyncIterator[Bot]:
    """The bot at work, ended without a drain, so that a stuck one fails its test at once and does not hang it."""
    await bot.store.start()
    tree = supervision.spawn(bot.supervisor.run(bot.specs()), "supervisor")
    try:
        yield bot
    finally:
        bot.supervisor._stopping = True
        await bot.supervisor._end((*bot.supervisor._guilds.values(), *bot.supervisor._children), 5.0)
        await bot.supervisor.jobs.stop()
        tree.cancel()
        await asyncio.wait([tree])
        if not tree.cancelled():
            tree.exception()
        await bot.store.close()


def on_files(folder: Path, offload: ThreadOffload) -> Bot:
    """The harness's bot with the real log and the real database."""
    bot = Bot()
    disk = RealDisk()
    layers = (LocalLayer(disk, folder, offload), SqliteLayer(disk, folder / "ledger.db", folder / "quarantine"))
    bot.store = store_of(layers, bot.clock, Steady())
    bot.journal._store = bot.store
    return bot


def is_live(bot: Bot, guild: GuildId = GUILD) -> bool:
    return bot.supervisor.phase_of(guild) == "live"


async def joins_of(bot: Bot, guild: GuildId = GUILD) -> list[str]:
    return [r.event.user for r in await bot.records(guild) if isinstance(r.event, JoinRecorded)]


async def in_the_log(bot: Bot, kind: type) -> None:
    async with asyncio.timeout(10):
        while not any(isinstance(record.event, kind) for record in await bot.records()):  # noqa: ASYNC110 -- as the harness
            await asyncio.sleep(0)


class Life:
    """A guild as values: state, presence, records; ``kill`` makes a new life, as the supervisor would."""

    def __init__(self) -> None:
        self.state = GuildState(guild=GUILD)
        self.presence = Presence(phase=Phase.REHYDRATING)
        self.records: list[Record] = []
        self.effects: list[Effect] = []
        self.greeting: m.GuildCameUp | None = None
        self.lives = 1

    def tell(self, message: m.Message) -> Decision:
        if isinstance(message, m.GuildCameUp):
            self.greeting = message
        if isinstance(message, m.GuildWentAway | m.RemoveGuild):
            self.greeting = None
        decision = decide(self.state, self.presence, message)
        seq = self.state.seq
        for place, draft in enumerate(decision.drafts, start=1):
            record = Record(
                gsn=seq + place,
                guild=GUILD,
                seq=seq + place,
                epoch=1,
                at_ms=0,
                cause=draft.cause,
                key=draft.key,
                event=draft.event,
                last=seq + len(decision.drafts),
            )
            self.records.append(record)
            self.state = evolve(self.state, record)
        self.presence = decision.presence
        self.effects += decision.effects
        return decision

    def kill(self) -> None:
        self.lives += 1
        self.state = GuildState(guild=GUILD)
        for record in self.records:
            self.state = evolve(self.state, record)
        self.presence = Presence(phase=Phase.REHYDRATING, asks=self.lives << 20)
        if self.greeting is not None:
            self.tell(self.greeting)

    def sample(self, uses: int, at_us: int) -> m.SampleArrived:
        request = SampleRequest(number=self.presence.asked)
        invite = Invite(code=InviteCode("A"), created_at_us=1, uses=uses, inviter=UserId("5"))
        sample = Sample(requested_us=at_us, answered_us=at_us + 1, session=self.presence.session, counters=(invite,))
        return m.SampleArrived(sample=sample, request=request)


def came_up(at_us: int = NOW_US, session: str = SESSION) -> m.GuildCameUp:
    return m.GuildCameUp(session=SessionId(session), at_us=at_us)


def join(user: str, number: int, at_us: int, *, joined_us: int | None = None, flags: int = 0) -> m.RecordJoin:
    return m.RecordJoin(
        cause=GatewayCause(session=SESSION, number=number, lane="members"),
        session=SESSION,
        user=UserId(user),
        joined_at_us=at_us if joined_us is None else joined_us,
        arrived_us=at_us,
        flags=flags,
    )


def leave(user: str, number: int, at_us: int) -> m.RecordLeave:
    cause = GatewayCause(session=SESSION, number=number, lane="members")
    return m.RecordLeave(cause=cause, user=UserId(user), arrived_us=at_us)


def last_page(started_us: int, at_us: int, *members: m.ListedMember) -> m.ReviewMembers:
    return m.ReviewMembers(
        session=SESSION, members=members, after=UserId("0"), upto="", started_us=started_us, at_us=at_us
    )


def live_guild() -> Life:
    life = Life()
    life.tell(came_up())
    life.tell(life.sample(3, NOW_US + S))
    life.tell(last_page(NOW_US, NOW_US + 2 * S))
    assert life.presence.phase is Phase.LIVE
    assert life.presence.reconciled
    return life


# Redelivery


def _every_message() -> list[m.Message]:
    at = NOW_US + 10 * S
    gateway = GatewayCause(session=SESSION, number=7, lane="members")
    rest = GatewayCause(session=SESSION, number=7, lane="rest")
    invite = Invite(code=InviteCode("B"), created_at_us=at, uses=0)
    newcomer = m.ListedMember(user=UserId("50"), joined_at_us=at - S)
    seeded = m.ListedMember(user=UserId("51"), joined_at_us=5)
    return [
        join("9", 7, at),
        m.NoteMember(join=join("9", 7, at)),
        leave("1", 7, at),
        m.NoteInviteBorn(cause=rest, invite=invite, arrived_us=at),
        m.NoteInviteDied(cause=rest, code=InviteCode("A"), arrived_us=at),
        m.NoteChannelDied(cause=rest, channel=ChannelId("7"), arrived_us=at),
        m.NoteUnreadable(
            cause=gateway,
            session=SESSION,
            name="GUILD_MEMBER_ADD",
            digest="d",
            reason="unreadable",
            at_us=at,
            user=UserId("9"),
            joined_at_us=at,
        ),
        came_up(at),
        came_up(at, "another"),
        m.GuildWentAway(at_us=at),
        m.RemoveGuild(at_us=at),
        m.NotePermissions(at_us=at),
        m.NoteGap(at_us=at),
        last_page(at, at + 1, newcomer, seeded),
        m.AssignInvite(
            interaction=InteractionId("1"), code=InviteCode("A"), staff=UserId("5"), by=UserId("6"), at_us=at
        ),
    ]


@pytest.mark.parametrize("message", _every_message(), ids=lambda message: type(message).__name__)
def test_a_message_handled_again_after_a_kill_writes_no_key_a_second_time(message: m.Message):
    life = live_guild()
    life.tell(join("1", 1, NOW_US + 3 * S))
    life.tell(message)
    life.kill()
    life.tell(message)
    keys = Tally(record.key for record in life.records)
    assert {key: times for key, times in keys.items() if times > 1} == {}


async def test_an_outage_told_again_to_the_next_life_does_not_kill_the_journal(tmp_path: Path):
    async with attacked(on_sqlite(tmp_path)) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        bot.supervisor.roster.tell(GUILD, m.GuildWentAway(at_us=bot.clock.stamp_us()))
        await in_the_log(bot, ContinuityBroken)
        bot.supervisor.kill(f"guild/{GUILD}")  # durable, and not yet out of the mailbox
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert bot.supervisor._children[0].restarts == 0
        assert bot.supervisor.phase_of(GUILD) == "away"


async def test_after_an_outage_told_twice_the_same_layers_can_be_started_again(tmp_path: Path):
    bot = on_sqlite(tmp_path)
    async with attacked(bot):
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        bot.supervisor.roster.tell(GUILD, m.GuildWentAway(at_us=bot.clock.stamp_us()))
        await in_the_log(bot, ContinuityBroken)
        bot.supervisor.kill(f"guild/{GUILD}")
        for _ in range(200):
            await asyncio.sleep(0.001)
    layer = SqliteLayer(RealDisk(), tmp_path / "ledger.db", tmp_path / "quarantine")
    again = store_of((bot.log, layer), bot.clock, Steady())
    try:
        await again.start()
    finally:
        await again.close()


async def test_an_id_that_sql_cannot_hold_does_not_kill_the_journal(tmp_path: Path):
    async with attacked(on_sqlite(tmp_path)) as bot:
        bot.come_up()
        bot.come_up(OTHER)
        await bot.until(lambda: is_live(bot) and is_live(bot, OTHER))
        bot.supervisor.roster.tell(GUILD, bot.join(2**63))
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert bot.supervisor._children[0].restarts == 0
        assert bot.supervisor._guilds[OTHER].restarts == 0


# Storage


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "WAIT_FOR_LAYER_S", 0.0)
    monkeypatch.setattr(journal_module, "RETRY_S", (0.001, 0.001, 0.001, 0.02))


async def test_a_layer_that_is_not_named_is_brought_back_too(monkeypatch: pytest.MonkeyPatch):
    shorten(monkeypatch)
    bot = Bot()
    bot.journal._named = frozenset({"log"})  # LEDGER_ACK=local
    async with attacked(bot):
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        bot.database.fail_next(StorageError("busy"), took_effect=False)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        await asyncio.sleep(0.5)
        assert [health.healthy for health in bot.store.health()] == [True, True]


async def test_no_join_is_called_acknowledged_that_no_layer_holds(monkeypatch: pytest.MonkeyPatch):
    shorten(monkeypatch)
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        bot.log.go_away(DiskFull("no space left"))
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bool(bot.events("join.recorded_unacknowledged")))
        bot.database.go_away(StorageError("unplugged"))
        bot.log.come_back()
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await asyncio.sleep(0.2)
        bot.database.come_back()
        await bot.until(lambda: len(bot.events("join.acknowledged")) >= 2)
        await asyncio.sleep(0.2)
        acknowledged = {str(line["user"]) for line in bot.events("join.acknowledged")}
        assert acknowledged <= set(await joins_of(bot))


async def test_a_guild_opens_again_when_the_layers_are_found_to_differ_while_all_are_idle(
    monkeypatch: pytest.MonkeyPatch,
):
    shorten(monkeypatch)
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        bot.log.go_away(DiskFull("no space left"))
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bool(bot.events("join.recorded_unacknowledged")))
        await asyncio.sleep(0.1)
        # The database breaks by a checkpoint, so no append has failed; then the log alone comes back.
        bot.database.go_away(StorageError("unplugged"))
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        await actor.keep_checkpoint()
        bot.log.come_back()
        await asyncio.sleep(0.2)
        bot.database.come_back()
        bot.supervisor.kill(f"guild/{GUILD}")
        await asyncio.sleep(0.5)
        outcome = await bot.supervisor.roster.ask(GUILD, m.DescribeGuild(), 1.0)
        assert outcome.kind is not Answered.DEADLINE
        assert "1" in await joins_of(bot)


async def test_an_ask_whose_records_are_not_in_every_named_layer_is_answered_degraded_also_by_the_successor(
    monkeypatch: pytest.MonkeyPatch,
):
    shorten(monkeypatch)
    wish = m.AssignInvite(
        interaction=InteractionId("1"), code=InviteCode("A"), staff=UserId("5"), by=UserId("6"), at_us=NOW_US
    )
    kinds: set[Answered] = set()
    for step in range(14):
        async with attacked(Bot()) as bot:
            bot.come_up()
            await bot.until(lambda bot=bot: is_live(bot))
            bot.database.go_away(DiskFull("no space left"))
            asked = asyncio.get_running_loop().create_task(bot.supervisor.roster.ask(GUILD, wish, 5.0))
            for _ in range(step):
                await asyncio.sleep(0)
            bot.supervisor.kill(f"guild/{GUILD}")
            kinds.add((await asked).kind)
            bot.database.come_back()
    assert kinds == {Answered.DEGRADED}


async def test_a_layer_that_fails_at_each_append_does_not_fill_the_control_lane_with_greetings():
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        address = bot.supervisor.roster.addresses()[GUILD]
        most = 0
        bot.supervisor.roster.tell(GUILD, m.NotePermissions(at_us=NOW_US))
        for _ in range(30):
            epochs = bot.journal.statistics().epochs
            bot.log.fail_next(NotConfirmed("fsync failed"), took_effect=False)
            bot.database.fail_next(NotConfirmed("commit failed"), took_effect=False)
            await bot.until(lambda epochs=epochs: bot.journal.statistics().epochs > epochs)
            most = max(most, address.statistics().waiting[0])
        bot.log._fault = None
        bot.database._fault = None
        await bot.until(address.is_idle)
        assert most <= 3


@pytest.mark.parametrize("how", ["unknown_outcome", "journal_died"])
async def test_a_join_that_became_durable_while_the_journal_had_trouble_gets_its_line_all_the_same(
    how: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_module, "RETRY_S", (0.001, 0.001, 0.001, 0.02))
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        if how == "unknown_outcome":
            bot.log.fail_next(NotConfirmed("fsync failed"), took_effect=True)
            bot.database.fail_next(NotConfirmed("commit failed"), took_effect=False)
            bot.supervisor.roster.tell(GUILD, bot.join(1))
        else:
            bot.database.go_away(DiskFull("no space left"))
            bot.supervisor.roster.tell(GUILD, bot.join(1))
            await in_the_log(bot, JoinRecorded)
            await asyncio.sleep(0.01)
            task = bot.supervisor._children[0].task
            assert task is not None
            task.cancel()  # it waits for the database
            bot.database.come_back()
        await bot.settled(1)
        await asyncio.sleep(0.1)
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1"]


def wish_of(bot: Bot, interaction: int) -> m.AssignInvite:
    return m.AssignInvite(
        interaction=InteractionId(str(interaction)),
        code=InviteCode("A"),
        staff=UserId("5"),
        by=UserId("6"),
        at_us=bot.clock.stamp_us(),
    )


async def misfortune(bot: Bot, dice: random.Random, guild: GuildId) -> None:  # noqa: C901 -- one arm a fault
    match dice.randint(0, 9):
        case 0 | 1:
            bot.supervisor.kill(f"guild/{guild}")
        case 2:
            for child in bot.supervisor._children:
                if child.task is not None:
                    child.task.cancel()
        case 3:
            bot.log.fail_next(NotConfirmed("fsync"), took_effect=dice.random() < 0.5)
            bot.database.fail_next(NotConfirmed("commit"), took_effect=dice.random() < 0.5)
        case 4:
            dice.choice((bot.log, bot.database)).fail_next(DiskFull("full"), took_effect=False)
        case 5:
            bot.supervisor.roster.tell(guild, m.NoteGap(at_us=bot.clock.stamp_us()))
        case 6:
            bot.come_up(guild)
        case 7:
            bot.supervisor.roster.tell(guild, m.GuildWentAway(at_us=bot.clock.stamp_us()))
            for _ in range(dice.randint(0, 9)):
                await asyncio.sleep(0)
            session = dice.choice((SESSION, SessionId(f"session {dice.random()}")))
            bot.supervisor.roster.tell(guild, m.GuildCameUp(session=session, at_us=bot.clock.stamp_us()))
        case _:
            pass


async def is_whole(bot: Bot, guild: GuildId, users: set[str]) -> None:
    """Asserts I1 (as far as memory goes), I2, I3, I11 and unique keys for a guild that has come to rest."""
    records = await bot.records(guild)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [key for key, times in Tally(record.key for record in records).items() if times > 1] == []
    assert sorted(await joins_of(bot, guild)) == sorted(users)
    net = Tally[str]()
    state = GuildState(guild=guild)
    for record in records:
        state = evolve(state, record)
        if isinstance(record.event, CreditGranted | CreditReversed):
            net[record.event.user] += 1 if isinstance(record.event, CreditGranted) else -1
            assert 0 <= net[record.event.user] <= 1
    actor = bot.supervisor._guilds[guild].actor
    assert actor is not None
    assert msgspec.to_builtins(state) == msgspec.to_builtins(actor.state)


@pytest.mark.parametrize("seed", range(30))
async def test_a_swarm_of_kills_and_faults_loses_nothing_and_counts_nothing_twice(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    """One layer at least keeps its own at each fault; after healing: all live, all worked out, one credit a join."""
    monkeypatch.setattr(journal_module, "RETRY_S", (0.0, 0.0, 0.0, 0.01))
    dice = random.Random(seed)
    told: dict[GuildId, set[str]] = {GUILD: set(), OTHER: set()}
    asks: list[asyncio.Task[Outcome[Answer]]] = []
    async with attacked(Bot()) as bot:
        roster = bot.supervisor.roster
        for guild in told:
            bot.come_up(guild)
        for user in range(1, 40):
            guild = dice.choice((GUILD, OTHER))
            told[guild].add(str(user))
            event = bot.join(user)
            for _ in range(dice.choice((1, 1, 1, 2))):
                roster.tell(guild, event)
            if dice.random() < 0.3:
                wish = wish_of(bot, dice.randint(1, 6))
                asks.append(asyncio.get_running_loop().create_task(roster.ask(guild, wish, 20.0)))
            for _ in range(dice.choice((0, 1, 2, 5, 12))):
                await asyncio.sleep(0)
            await misfortune(bot, dice, guild)
        bot.log._fault = bot.database._fault = None
        for guild, users in told.items():
            await bot.settled(len(users), guild)
        await bot.until(lambda: all(is_live(bot, each) and roster.addresses()[each].is_idle() for each in told))
        assert {(await ask).kind for ask in asks} <= {Answered.OK, Answered.DEGRADED}
        for guild, users in told.items():
            await is_whole(bot, guild, users)
        assert bot.supervisor.statistics().parked == ()
        assert bot.supervisor.statistics().zombies == 0


@pytest.mark.parametrize("seed", range(8))
async def test_journals_killed_over_real_files_lose_nothing_and_leave_no_late_write(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_module, "RETRY_S", (0.0, 0.0, 0.0, 0.01))
    dice = random.Random(seed)
    offload = ThreadOffload("disk")
    bot = on_files(tmp_path, offload)
    count = 25
    async with attacked(bot):
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        for child in bot.supervisor._children:
            child.spec = msgspec.structs.replace(child.spec, budget=supervision.Budget(deaths=99, period_s=60.0))
        for user in range(1, count + 1):
            bot.supervisor.roster.tell(GUILD, bot.join(user))
            await asyncio.sleep(dice.random() * 0.004)
            if dice.random() < 0.4:
                for child in bot.supervisor._children:
                    if child.task is not None:
                        child.task.cancel()
            if dice.random() < 0.2:
                bot.supervisor.kill(f"guild/{GUILD}")
        await bot.until(lambda: is_live(bot) and bot.supervisor.roster.addresses()[GUILD].is_idle())
        acknowledged = [str(line["user"]) for line in bot.events("join.acknowledged")]
        assert len(acknowledged) == len(set(acknowledged))
    again = store_of(
        (LocalLayer(RealDisk(), tmp_path, offload), SqliteLayer(RealDisk(), tmp_path / "ledger.db", tmp_path / "q")),
        bot.clock,
        Steady(),
    )
    try:
        report = await again.start()
        assert [note for note in report.notes if "LOST" in note or "HOLE" in note] == []
        opened = await again.open_guild(GUILD)
        users = [record.event.user for record in opened.tail() if isinstance(record.event, JoinRecorded)]
        assert sorted(users, key=int) == [str(user) for user in range(1, count + 1)]
    finally:
        await again.close()
        offload.close()


# The end


def soon(share_s: float) -> Drain:
    """A drain whose steps have so long each."""
    return Drain(SystemClock(), dict.fromkeys(SHARES_S, share_s))


async def test_a_drain_ends_although_no_layer_takes_anything():
    bot = Bot()
    await bot.store.start()
    tree = supervision.spawn(bot.supervisor.run(bot.specs()), "supervisor")
    for guild in (GUILD, OTHER):
        bot.come_up(guild)
    await bot.until(lambda: is_live(bot) and is_live(bot, OTHER))
    for layer in (bot.log, bot.database):
        layer.go_away(DiskFull("no space left"))
    bot.supervisor.roster.tell(GUILD, bot.join(1))
    await bot.until(lambda: bool(bot.events("storage.stalled")))
    drain = asyncio.get_running_loop().create_task(bot.supervisor.drain(drain=soon(0.1)))
    done, _ = await asyncio.wait([drain], timeout=2.0)
    for layer in (bot.log, bot.database):
        layer.come_back()
    await asyncio.wait([drain], timeout=5.0)
    tree.cancel()
    await asyncio.wait([tree])
    assert done


async def test_a_drain_ends_although_the_journal_is_given_up(monkeypatch: pytest.MonkeyPatch):
    bot = Bot()
    await bot.store.start()
    tree = supervision.spawn(bot.supervisor.run(bot.specs()), "supervisor")
    bot.come_up()
    await bot.until(lambda: is_live(bot))

    async def dies(journal: Journal) -> None:
        raise ZeroDivisionError(journal)

    monkeypatch.setattr(Journal, "run", dies)
    children = bot.supervisor._children
    children[0].spec = msgspec.structs.replace(
        children[0].spec, start=bot.journal.run, budget=supervision.Budget(deaths=1, period_s=60.0)
    )
    task = children[0].task
    assert task is not None
    task.cancel()
    await asyncio.wait([tree])
    assert isinstance(tree.exception(), supervisor_module.GaveUp)
    drain = asyncio.get_running_loop().create_task(bot.supervisor.drain(drain=soon(0.1)))
    done, _ = await asyncio.wait([drain], timeout=2.0)
    drain.cancel()
    await asyncio.wait([drain])
    assert done


@pytest.mark.parametrize("seed", range(20))
async def test_a_drain_in_the_middle_of_work_answers_every_ask_and_leaves_no_task(seed: int):
    dice = random.Random(seed)
    before = asyncio.all_tasks()
    bot = Bot()
    await bot.store.start()
    tree = supervision.spawn(bot.supervisor.run(bot.specs()), "supervisor")
    loop = asyncio.get_running_loop()
    asks: list[asyncio.Task[Outcome[Answer]]] = []
    for guild in (GUILD, OTHER):
        bot.come_up(guild)
    for user in range(1, 30):
        bot.supervisor.roster.tell(dice.choice((GUILD, OTHER)), bot.join(user))
        asks.append(loop.create_task(bot.supervisor.roster.ask(GUILD, m.DescribeMember(user=UserId(str(user))), 5.0)))
        for _ in range(dice.choice((0, 1, 3))):
            await asyncio.sleep(0)
        if dice.random() < 0.2:
            bot.supervisor.kill(f"guild/{GUILD}")
    if dice.random() < 0.3:
        bot.log.fail_next(NotConfirmed("fsync"), took_effect=True)
    await bot.supervisor.drain(drain=soon(0.2))
    tree.cancel()
    await asyncio.wait([tree])
    async with asyncio.timeout(1.0):
        kinds = {(await ask).kind for ask in asks}
    assert kinds <= {Answered.OK, Answered.DEGRADED, Answered.CRASHED}
    durable = {user for guild in (GUILD, OTHER) for user in await joins_of(bot, guild)}
    assert {str(line["user"]) for line in bot.events("join.acknowledged")} <= durable
    await bot.store.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()


async def test_a_place_to_recover_is_not_lost_by_lives_that_end_while_they_wait_for_it():
    recoveries = supervision.Recoveries(2, 1_000, lambda: None)
    entered = 0

    async def recover(for_s: float) -> None:
        nonlocal entered
        async with recoveries.one(1):
            entered += 1
            await asyncio.sleep(for_s)

    dice = random.Random(7)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(recover(dice.random() * 0.01)) for _ in range(200)]
    for task in dice.sample(tasks, 120):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks)
    await asyncio.gather(*(recover(0.0) for _ in range(2)))
    assert recoveries._free == 2
    assert entered >= 80


async def test_a_place_to_recover_is_not_lost_by_a_life_that_ends_by_an_error_nobody_expects():
    recoveries, loop = supervision.Recoveries(1, 1_000, lambda: None), asyncio.get_running_loop()

    async def recover() -> None:
        async with recoveries.one(1):
            await asyncio.sleep(0)

    async with recoveries.one(1):
        life = recover()
        life.send(None)  # it waits for the place
        with pytest.raises(MemoryError):
            life.throw(MemoryError)
    async with asyncio.timeout(1.0):
        await loop.create_task(recover())


async def test_when_many_have_come_back_and_no_other_is_about_to_that_is_said_once():
    said: list[int] = []
    back = 0
    recoveries = supervision.Recoveries(2, 5, lambda: said.append(back))

    async def recover() -> None:
        nonlocal back
        async with recoveries.one(1):
            await asyncio.sleep(0)
            back += 1

    await asyncio.gather(*(recover() for _ in range(7)))
    await recover()
    assert said == [7]


# Full mailboxes


async def test_a_full_lane_does_not_swallow_the_answer_that_a_window_waits_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        mailbox, "CAPACITY", (1_024, 4_096, 8)
    )  # 4,096 in truth: a storm of invites while storage is slow
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        address = bot.supervisor.roster.addresses()[GUILD]
        bot.outside.silent = True
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(address.is_idle)
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        effect = FetchSample(request=SampleRequest(number=actor.presence.asked), session=SESSION, after_s=0.0)
        bot.outside.silent = False
        for number in range(20):
            died = m.NoteInviteDied(
                cause=GatewayCause(session=SESSION, number=10_000 + number, lane="rest"),
                code=InviteCode(f"x{number}"),
                arrived_us=bot.clock.stamp_us(),
            )
            bot.supervisor.roster.tell(GUILD, died)
        bot.outside.fetch_sample(GUILD, effect)
        await bot.until(address.is_idle)
        bot.supervisor.roster.tell(GUILD, bot.join(2))
        await bot.settled(2)


async def test_a_guild_whose_control_lane_was_full_hears_of_the_new_session_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(mailbox, "CAPACITY", (8, 4_096, 4_096))
    async with attacked(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: is_live(bot))
        for _ in range(8):
            bot.supervisor.roster.tell(GUILD, m.NotePermissions(at_us=bot.clock.stamp_us()))
        session = SessionId("another")
        bot.supervisor.roster.tell(GUILD, m.GuildCameUp(session=session, at_us=bot.clock.stamp_us()))
        await bot.until(bot.supervisor.roster.addresses()[GUILD].is_idle)
        actor = bot.supervisor._guilds[GUILD].actor
        assert actor is not None
        assert actor.presence.session == session


def test_after_a_gap_an_open_membership_is_no_longer_taken_for_sure():
    """The dropped event may have been a leave: a join of somebody who seems to be here is then a join, no repeat."""
    life = live_guild()
    life.tell(join("1", 1, NOW_US + 3 * S))
    life.tell(m.NoteGap(at_us=NOW_US + 20 * S))  # the leave of 1 was dropped
    life.tell(join("1", 9, NOW_US + 30 * S))
    joins = [record for record in life.records if isinstance(record.event, JoinRecorded)]
    assert len(joins) == 2


# The member list


def test_a_page_of_before_an_outage_does_not_spare_the_list_after_it():
    life = Life()
    life.tell(came_up())
    life.tell(life.sample(3, NOW_US + S))
    page = last_page(NOW_US, NOW_US + 2 * S)  # in the members lane; control goes first
    life.tell(m.GuildWentAway(at_us=NOW_US + 2 * S))
    life.tell(page)
    life.effects.clear()
    life.tell(came_up(NOW_US + 60 * S))
    assert any(isinstance(effect, ListMembers) for effect in life.effects)


def test_somebody_who_joins_while_the_list_is_read_does_not_count_as_gone_though_the_clocks_differ():
    life = live_guild()
    started_us = NOW_US + 100 * S
    life.tell(join("1", 1, started_us + S // 2, joined_us=started_us - S // 2))  # Discord's clock is a second behind
    life.tell(last_page(started_us, started_us + S))  # shown before the join
    period = life.state.current(UserId("1"))
    assert period is not None
    assert period.is_open()


def test_a_leave_that_crosses_the_first_list_is_not_undone_by_it():
    life = Life()
    life.tell(came_up())
    life.tell(life.sample(3, NOW_US + S))
    life.tell(leave("8", 1, NOW_US + 2 * S))  # here before we counted; left after the page was shown
    life.tell(last_page(NOW_US, NOW_US + 3 * S, m.ListedMember(user=UserId("8"), joined_at_us=5)))
    period = life.state.current(UserId("8"))
    assert period is None or not period.is_open()


def test_a_leave_that_a_list_has_overtaken_does_not_end_the_membership_after_it():
    """Somebody leaves and comes back; a list shows that before the dispatches of both are told."""
    life = live_guild()
    user = UserId("1")
    life.tell(join(user, 1, NOW_US + 3 * S))
    life.tell(m.NoteGap(at_us=NOW_US + 19 * S))
    back = m.ListedMember(user=user, joined_at_us=NOW_US + 20 * S, flags=1)
    life.tell(last_page(NOW_US + 19 * S, NOW_US + 21 * S, back))
    life.effects.clear()
    life.tell(leave(user, 2, NOW_US + 22 * S))
    assert any(isinstance(effect, ListMembers) for effect in life.effects), "a list says who is there"
    life.tell(join(user, 3, NOW_US + 22 * S, joined_us=NOW_US + 20 * S, flags=1))
    life.tell(last_page(NOW_US + 23 * S, NOW_US + 24 * S, back))
    assert [period.is_open() for period in life.state.members[user]] == [False, True]


def test_who_leaves_after_a_list_has_shown_them_is_gone_with_the_next_one():
    life = live_guild()
    user = UserId("1")
    life.tell(m.NoteGap(at_us=NOW_US + 19 * S))
    new = m.ListedMember(user=user, joined_at_us=NOW_US + 10 * S)
    life.tell(last_page(NOW_US + 19 * S, NOW_US + 21 * S, new))
    life.tell(leave(user, 2, NOW_US + 22 * S))
    life.tell(last_page(NOW_US + 23 * S, NOW_US + 24 * S))
    assert [period.is_open() for period in life.state.members[user]] == [False]


def test_who_joins_and_leaves_within_the_difference_of_the_clocks_is_asked_for():
    life = live_guild()
    user = UserId("1")
    life.tell(join(user, 1, NOW_US + 20 * S, joined_us=NOW_US + 21 * S))  # Discord's clock is a second ahead
    life.effects.clear()
    life.tell(leave(user, 2, NOW_US + 20 * S + 1))
    assert any(isinstance(effect, ListMembers) for effect in life.effects)
    life.tell(last_page(NOW_US + 20 * S + 2, NOW_US + 20 * S + 3))
    assert [period.is_open() for period in life.state.members[user]] == [False]
