"""What a bot goes through while it is killed: short stories, the same each time.

A story is told in one life (``script``, between the start and the healing that ``campaign`` waits for); what came
before it, damaged disks above all, is made by ``prepare``.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, TypeVar

import msgspec

from actors.care import REST_S
from actors.checkpointing import CHECKPOINT_AGE_S
from actors.drain import Drain
from actors.forgetting import ForgetRequest, Forgetting
from actors.keeper import PASS_S, Keeper
from ledger import messages as m
from ledger.errors import StorageError
from ledger.ids import ChannelId, InteractionId, InviteCode, UserId
from ledger.records import Settings
from persistence.lists import FIRST_CREDIT, Lists
from persistence.offload import Offload
from persistence.quarantine import Quarantine
from tests.kills.databases import InSqlite
from tests.kills.stage import GUILDS, Life, Stage
from tests.memory.objects import MemoryBucket
from tests.persistence.simdisk import SimDisk
from tests.simulation.process import DATA
from tests.simulation.storage import Thread

T = TypeVar("T")

HERE, THERE = GUILDS


def _nothing(stage: Stage) -> None:
    """Nothing came before."""


class Scenario(msgspec.Struct, frozen=True):
    """A story.

    ``prepare``: what came before it; ``heals``: it is waited until all is well before it stops; ``gaps``: records are
    missing everywhere; ``rivals``: two layers hold different histories; ``sqlite``: the database is the real one.
    """

    name: str
    script: Callable[[Life], Coroutine[object, object, None]]
    prepare: Callable[[Stage], None] = _nothing
    heals: bool = True
    gaps: bool = False
    rivals: bool = False
    sqlite: bool = False


async def at_work(life: Life) -> None:
    """Joins, a leave, questions, a command, lists, checkpoints: a day."""
    await life.come_up()
    gone = life.join(HERE)
    for guild in (HERE, THERE, HERE):
        user = life.join(guild)
        life.ask(guild, m.DescribeMember(user=user))
    life.leave(HERE, gone)
    life.ask(THERE, assignment(life))
    life.do("names", lambda: life.process.supervisor.read(_write_names))
    await life.sleep(15.0)
    life.do("joins", lambda: life.process.supervisor.read(_read_lists))
    actor = life.process.supervisor._guilds[HERE].actor
    assert actor is not None
    life.do("a checkpoint", lambda: life.process.supervisor.keep_checkpoint(HERE))
    for _ in range(2):  # one of them waits for the other, whichever is first
        life.process.supervisor.jobs.start(actor.keep_checkpoint(), "checkpoint")
    life.do("another", lambda: life.process.supervisor.keep_checkpoint(HERE))
    life.join(THERE)
    await life.sleep(CHECKPOINT_AGE_S + 1.0)
    life.join(HERE)
    life.join(THERE)
    await life.sleep(1.0)


async def at_rest(life: Life) -> None:
    """Guilds that are told nothing for long are passivated, and come back for whoever joins or asks."""
    await life.come_up()
    life.join(HERE)
    await life.sleep(REST_S + 60.0)
    life.join(HERE)
    life.ask(THERE, m.DescribeGuild())
    await life.sleep(1.0)


async def told_about(life: Life) -> None:
    """The second witness is asked of joins, and they are shown in a channel; answers are on their way meanwhile."""
    await life.come_up()
    settings = Settings(log_channel=ChannelId("5"))
    life.ask(
        HERE,
        m.ChangeSettings(interaction=InteractionId("8"), settings=settings, fields=("log_channel",), by=UserId("2")),
    )
    for _ in range(3):
        life.join(HERE)
        await life.sleep(0.2)
    await life.sleep(40.0)
    life.join(HERE)
    await life.sleep(0.5)


async def read_back(life: Life) -> None:
    """What was written is read back from every layer, between joins, and when the guilds are at rest."""
    await life.come_up()
    life.join(HERE)
    life.join(THERE)
    await life.sleep(15.0)
    process = life.process
    keeper = Keeper(
        process.store, process.journal, process.supervisor, clock=process.clock, sleep=asyncio.sleep, log=process.log
    )
    life.do("a pass", keeper.verify)
    life.join(HERE)
    await life.sleep(5.0)
    life.join(THERE)
    await life.sleep(1.0)
    life.do("what is left", lambda: keeper.finish(Drain(process.clock)))
    life.join(HERE)
    await life.sleep(2 * PASS_S)
    life.do("a round", keeper.go_round)
    life.join(THERE)
    await life.sleep(5.0)


async def forgetting(life: Life) -> None:
    """Somebody leaves and is forgotten, everywhere."""
    await life.come_up()
    gone = life.join(HERE)
    life.join(THERE)
    await life.sleep(15.0)
    life.leave(HERE, gone)
    process = life.process
    quarantine = Quarantine(process.disk, DATA / "quarantine")
    quarantine.keep("1.json", b'"%b"' % gone.encode(), "it could not be read")
    forgets = Forgetting(
        roster=process.supervisor.roster,
        inside=process.supervisor,
        guilds=process.journal.guilds,
        unsalvaged=process.journal.unsalvaged,
        quarantine=quarantine,
        offload=_offload(life),
        clock=process.clock,
    )
    life.do("forgetting", lambda: forgets.forget(ForgetRequest(user=gone), _seen))
    await life.sleep(30.0)
    life.do("forgetting", lambda: forgets.forget(ForgetRequest(guild=THERE), _seen))
    await life.sleep(5.0)


async def without_database(life: Life) -> None:
    """The database is away for longer than anybody waits for it; then it catches up."""
    await life.come_up()
    life.join(HERE)
    life.stage.database.go_away()
    await life.sleep(1.0)
    life.join(THERE)
    life.ask(HERE, m.DescribeGuild())
    life.do("joins", lambda: life.process.supervisor.read(_read_lists))
    await life.sleep(40.0)
    for _ in range(3):
        life.join(HERE)
        await life.sleep(3.0)  # the journal looks for a broken layer every five, whether it is told anything or not
    life.stage.database.lose(2, 2)
    life.stage.database.come_back()


async def without_anything(life: Life) -> None:
    """No layer takes anything for a while: a new epoch."""
    await life.come_up()
    life.stage.database.go_away()
    life.stage.disk.before = _refuse
    life.join(HERE)
    life.join(THERE)
    life.ask(HERE, m.DescribeGuild())
    await life.sleep(3.0)
    life.stage.database.come_back()
    life.stage.disk.before = _let


async def draining(life: Life) -> None:
    """It is told to stop while people join, checkpoints are under way, somebody asks, and a job takes its time."""
    await life.come_up()
    for guild in (HERE, THERE, HERE):
        life.join(guild)
    life.ask(HERE, m.DescribeGuild())
    actor = life.process.supervisor._guilds[THERE].actor
    assert actor is not None
    for _ in range(2):  # one of them waits for the other, whichever is first
        life.process.supervisor.jobs.start(actor.keep_checkpoint(), "checkpoint")
    life.process.supervisor.jobs.start(life.sleep(3_600.0), "long")
    await life.sleep(0.0)


async def crowded(life: Life) -> None:
    """One guild at a time may read its state."""
    life.process.supervisor._recoveries._free = 1
    await life.come_up()
    life.join(HERE)
    life.join(THERE)
    await life.sleep(1.0)
    for guild in GUILDS:
        life.process.supervisor.kill(f"guild/{guild}")
    await life.sleep(1.0)


async def without_cloud(life: Life) -> None:
    """The cloud, for which all wait, is away for longer than anybody waits; then it catches up."""
    await life.come_up()
    life.join(HERE)
    await life.sleep(5.0)
    life.stage.is_cloud_away = True
    life.join(THERE)
    life.join(HERE)
    await life.sleep(1.0)
    life.do("joins", lambda: life.process.supervisor.read(_read_lists))
    await life.sleep(45.0)
    for _ in range(3):
        life.join(HERE)
        await life.sleep(1.0)
    life.stage.is_cloud_away = False
    await life.sleep(40.0)  # the uploader asks again every thirty


async def beside_the_cloud(life: Life) -> None:
    """Nobody waits for the cloud, which is given what gathers."""
    await life.come_up()
    for _ in range(3):
        life.join(HERE)
        life.join(THERE)
        await life.sleep(0.5)
    await life.sleep(5.0)
    life.join(HERE)
    await life.sleep(5.0)


async def cloud_comes_late(life: Life) -> None:
    """A folder with a history goes on without the cloud, which is asked who writes when it answers."""
    await life.come_up()
    life.join(HERE)
    await life.sleep(10.0)
    life.stage.is_cloud_away = False
    life.join(THERE)
    await life.sleep(40.0)


async def coming_up(life: Life) -> None:
    """What recovery made of the disks is worked with."""
    await life.come_up()
    life.join(HERE)
    await life.sleep(5.0)


# What came before


def lived(stage: Stage, joins: int = 3) -> None:
    """A whole life: names, checkpoints of its end, joins behind them, and the power cut."""

    async def script(life: Life) -> None:
        await life.start()
        await life.come_up()
        for number in range(joins):
            life.join(GUILDS[number % 2])
            await life.sleep(12.0)
        await life.process.supervisor.read(_write_names)
        for guild in GUILDS:
            await life.process.supervisor.keep_checkpoint(guild)
        life.join(HERE)
        await life.sleep(12.0)

    ended = stage.life(script)
    assert ended is None, repr(ended)


def acknowledged_in_the_cloud(stage: Stage) -> None:
    """A life, all of whose records are in the cloud too."""
    stage.bucket, stage.named = MemoryBucket(), ("log", "database", "cloud")
    lived(stage)


def wiped(stage: Stage) -> None:
    """A redeploy onto an empty disk, while whoever held the history has only fallen silent."""
    acknowledged_in_the_cloud(stage)
    assert stage.bucket is not None
    stage.disk, stage.database = SimDisk(), stage.database.emptied()
    claim = max(key for key in stage.bucket.objects if key.startswith("epoch/"))
    stage.bucket.objects[claim] = stage.bucket.objects[claim].replace(b'"folder"', b'"elsewhere"')


def beside(stage: Stage) -> None:
    acknowledged_in_the_cloud(stage)
    stage.named = ("log", "database")


def behind_a_cloud(stage: Stage) -> None:
    """The folder is an older copy; the cloud has what was recorded since."""
    acknowledged_in_the_cloud(stage)
    older = stage.copied()
    lived(stage)
    stage.disk, stage.database = older.disk, older.database


def cloud_away(stage: Stage) -> None:
    acknowledged_in_the_cloud(stage)
    stage.is_cloud_away = True


def hole_in_log(stage: Stage) -> None:
    """Two lives, and damage in the first one's file: the database has what is missing."""
    lived(stage)
    lived(stage)
    _damage_log(stage)


def hole_in_database(stage: Stage) -> None:
    lived(stage)
    stage.database.lose(3, 4)


def hole_in_both(stage: Stage) -> None:
    """What is missing is nowhere, and the database begins anew: checkpoints say where chains go on."""
    hole_in_log(stage)
    stage.database = stage.database.emptied()


def log_behind(stage: Stage) -> None:
    """The log is an older copy."""
    lived(stage)
    older = stage.copied()
    lived(stage)
    stage.disk = older.disk


def database_behind(stage: Stage) -> None:
    """The database is new."""
    lived(stage)
    stage.database = stage.database.emptied()


def branch_in_database(stage: Stage) -> None:
    """Two processes went on from one past, each without the other: the one with the newer epoch keeps the log."""
    lost = _two_branches(stage)
    stage.database = lost.database


def branch_in_log(stage: Stage) -> None:
    lost = _two_branches(stage)
    stage.disk = lost.disk


def damaged_sqlite(stage: Stage) -> None:
    """A row is not what was written: the file is written anew, and the row comes from the log. So is a checkpoint."""
    lived(stage)
    _sqlite_of(stage).change("UPDATE frames SET frame = ? WHERE gsn = 3", b"ruined")


def bad_checkpoint(stage: Stage) -> None:
    """A checkpoint is not what was written: it goes to quarantine, and the log's is taken."""
    lived(stage)
    _sqlite_of(stage).change("UPDATE checkpoints SET file = ?", b"ruined")


def ruined_sqlite(stage: Stage) -> None:
    """It is no database any more."""
    lived(stage)
    _sqlite_of(stage).path.write_bytes(b"ruined" * 4_096)


def _two_branches(stage: Stage) -> Stage:
    """The stage goes on twice; what is given went on once, and further."""
    lived(stage)
    lost = stage.copied()
    lost.people += 500
    lived(lost, joins=6)
    lived(stage, joins=1)
    lived(stage, joins=1)
    stage.acknowledged |= lost.acknowledged
    return lost


SCENARIOS: Final[Sequence[Scenario]] = (
    Scenario("work", at_work),
    Scenario("forgetting", forgetting),
    Scenario("drain", draining, heals=False),
    Scenario("hole-in-log", coming_up, hole_in_log),
    Scenario("hole-in-database", coming_up, hole_in_database),
    Scenario("hole-in-both", coming_up, hole_in_both, gaps=True),
    Scenario("log-behind", coming_up, log_behind),
    Scenario("database-behind", coming_up, database_behind),
    Scenario("branch-in-database", coming_up, branch_in_database, rivals=True),
    Scenario("branch-in-log", coming_up, branch_in_log, rivals=True),
    Scenario("read-back", read_back),
    Scenario("cloud-work", at_work, acknowledged_in_the_cloud),
    Scenario("cloud-drain", draining, acknowledged_in_the_cloud, heals=False),
    Scenario("cloud-wiped", coming_up, wiped),
    Scenario("cloud-epoch", without_anything, beside),
    Scenario("cloud-ahead", coming_up, behind_a_cloud),
    Scenario("cloud-away", without_cloud, acknowledged_in_the_cloud),
    Scenario("cloud-flush", draining, beside, heals=False),
    Scenario("cloud-beside", beside_the_cloud, beside),
    Scenario("cloud-late", cloud_comes_late, cloud_away),
    Scenario("told-about", told_about),
    Scenario("rest", at_rest),
    Scenario("without-database", without_database),
    Scenario("without-anything", without_anything),
    Scenario("crowd", crowded),
    Scenario("sqlite-work", at_work, sqlite=True),
    Scenario("sqlite-read-back", read_back, sqlite=True),
    Scenario("sqlite-drain", draining, heals=False, sqlite=True),
    Scenario("sqlite-hole-in-database", coming_up, hole_in_database, sqlite=True),
    Scenario("sqlite-log-behind", coming_up, log_behind, sqlite=True),
    Scenario("sqlite-branch-in-database", coming_up, branch_in_database, rivals=True, sqlite=True),
    Scenario("sqlite-damaged", coming_up, damaged_sqlite, sqlite=True),
    Scenario("sqlite-bad-checkpoint", coming_up, bad_checkpoint, sqlite=True),
    Scenario("sqlite-ruined", coming_up, ruined_sqlite, sqlite=True),
)


# Helpers


def assignment(life: Life) -> m.AssignInvite:
    """A command that is recorded."""
    return m.AssignInvite(
        interaction=InteractionId("9"),
        code=InviteCode(f"A{THERE}"),
        staff=UserId("6"),
        by=UserId("5"),
        at_us=life.stamp_us(),
    )


def _offload(life: Life) -> Offload:
    thread = Thread(life.loop)

    async def offload(work: Callable[[], T]) -> T:
        return await thread(work)

    return offload


def _sqlite_of(stage: Stage) -> InSqlite:
    assert isinstance(stage.database, InSqlite), "a story of SQLite"
    return stage.database


async def _seen(number: int, of: int) -> None:
    del number, of
    await asyncio.sleep(0)


async def _write_names(lists: Lists) -> None:
    await lists.put_names(HERE, {UserId("5"): "Ada"})
    await lists.names(HERE, [UserId("5")])


async def _read_lists(lists: Lists) -> None:
    await lists.joins_page(HERE, 0, 10)
    await lists.credits_page(HERE, FIRST_CREDIT, 10)
    await lists.verdicts(HERE, UserId("5"))
    await lists.credits_of(HERE, UserId("5"))
    await lists.forget_names(HERE, UserId("5"))


def _refuse(number: int, what: str) -> None:
    raise StorageError(f"planted: {what} {number}")


def _let(number: int, what: str) -> None:
    del number, what


def _damage_log(stage: Stage) -> None:
    """Flips a bit in the third line of the oldest file that has records."""
    disk = stage.disk
    for name in disk.names(DATA / "log"):
        path = DATA / "log" / name
        lines = disk.read(path).split(b"\n")
        if len(lines) > 4:
            lines[3] = bytes([lines[3][0] ^ 1]) + lines[3][1:]
            disk.overwrite(path, b"\n".join(lines))
            return
    raise AssertionError("no file has records")
