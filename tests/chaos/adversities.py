"""What is done to the bot, one function each, and the table of them.

An adversity begins with a bot that is live and whole, or, where another one is still in force, with whatever that
left. It may end with a bot that is dead: the round starts it again, waits until it is whole, and lets somebody join.
Layers are damaged one at a time: the next one only when the bot has been whole again.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from actors.cli.bot_process import BotProcess
from actors.cli.exits import AWAY
from actors.supervision import spawn
from sandbox import Sandbox
from tests.chaos.scene import Scene
from tests.chaos.tiny import filled

Act: TypeAlias = Callable[[Scene], Awaitable[None]]

FROZEN_S: Final = (0.5, 7.0)
HEARTBEAT_MS: Final = 2_000
"""Of the sandbox, where somebody is frozen: for twice as long, and they are silent."""
MISSED: Final = "gateway.heartbeat_missed"
STARVED_S: Final = 3.0
STARVED_BYTES: Final = (1, 300, 5_000, 50_000)
SPARE_BYTES: Final = (0, 4_096, 60_000)
MOST_START_KILLS: Final = 4
BURST: Final = 16
SECOND_S: Final = 60.0
"""A second process gives up after 10 s; one that did not by then never will."""


class Adversity(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, and what must hold.

    ``deaf``: whether what is asked meanwhile may stay without an answer (after the end of a life it may in any case);
    ``excused``: misdeeds that it explains; ``mounted``: whether the data folder has to be a filesystem of its own;
    ``slow``: too long for every test run.
    """

    name: str
    does: str
    holds: str
    act: Act
    deaf: bool = True
    excused: tuple[str, ...] = ()
    mounted: bool = False
    slow: bool = False


# Ends of lives


async def _sigkill(scene: Scene) -> None:
    """At any time, or right when some of many who join at once have been acknowledged."""
    if scene.random.random() < 0.5:
        await scene.moment()
    else:
        known, guild = len(scene.bot.acknowledged), scene.random.choice(scene.crowd.guilds)
        for _ in range(BURST):
            scene.crowd.join(guild)
        first = known + scene.random.randint(1, BURST // 2)
        await scene.bot.until(lambda: len(scene.bot.acknowledged) >= first, "acknowledged joins")
    await scene.kill()


async def _start_kills(scene: Scene) -> None:
    await scene.kill()
    await scene.kill_starts(scene.random.randint(2, MOST_START_KILLS))
    scene.judge.look_back()


async def _sigterm(scene: Scene) -> None:
    await scene.moment()
    await scene.drain()


# Within a life


async def _actors_killed(scene: Scene) -> None:
    guild = scene.random.choice(scene.crowd.guilds)
    victims = scene.random.sample(["journal", "caretaker", "http", f"guild/{guild.id}"], k=2)
    for victim in sorted(victims, key="http".__eq__):  # it is what takes the order
        await scene.moment(0.3)
        await scene.bot.kill_actor(victim)
        scene.done[f"{victim.split('/')[0]} killed"] += 1


async def _gateway_killed(scene: Scene) -> None:
    await scene.moment()
    await scene.bot.kill_actor("gateway")
    scene.done["gateway killed"] += 1


async def _frozen(scene: Scene) -> None:
    with scene.bot.frozen():
        await scene.moment(scene.random.uniform(*FROZEN_S))
    scene.done["SIGSTOP"] += 1


async def _second_process(scene: Scene) -> None:
    first = scene.bot.pid
    transcript = scene.folder / "second.log"
    second: BotProcess = scene.bot.twin(transcript)
    code = None
    try:
        async with asyncio.timeout(SECOND_S):
            code = await second.run_to_its_end()
    except TimeoutError:
        pass  # it runs beside the first
    finally:
        await second.kill()
    scene.done["second process"] += 1
    scene.judge.expect(code == AWAY, f"the second process ended with {code}")
    named = f"process {first} on" in transcript.read_text(encoding="utf-8")
    scene.judge.expect(named, f"the second process did not name the first, {first}")
    scene.judge.expect(scene.bot.alive and scene.bot.pid == first, "the first process did not live on")


async def _handover(scene: Scene) -> None:
    """As at a deploy: the new process waits for the folder, then the old one goes."""
    second = scene.bot.twin(scene.folder / "bot.log")
    coming = spawn(second.start(len(scene.crowd.guilds)), "chaos/second")
    try:
        await scene.moment()
        await scene.end_life()
        await coming
        await scene.moment()
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        await second.kill()
        scene.bot.acknowledged |= second.acknowledged
    scene.done["handover"] += 1
    scene.judge.look_back()


# A disk that takes nothing


async def _no_file_grows(scene: Scene) -> None:
    with scene.bot.squeezed(_limit(scene)):
        await _endured(scene)
    scene.done["RLIMIT_FSIZE"] += 1


def _limit(scene: Scene) -> int:
    """No file at all, or not the newest of the log, or not the database's WAL."""
    segment = max((scene.data / "log").iterdir())
    wal = scene.data / "ledger.db-wal"
    sizes = [path.stat().st_size for path in (segment, wal) if path.exists()]
    return scene.random.choice([1, *(max(1, size + scene.random.choice((0, 500))) for size in sizes)])


async def _disk_full(scene: Scene) -> None:
    with filled(scene.data, scene.random.choice(SPARE_BYTES)):
        await _endured(scene)
    scene.done["disk full"] += 1


async def _endured(scene: Scene) -> None:
    """Some time passes; now and then the trouble ends only after the life does."""
    await scene.moment(3.0)
    if scene.random.random() < 0.3:
        await scene.kill()


async def _start_on_full_disk(scene: Scene) -> None:
    await scene.end_life()
    with filled(scene.data, 0):
        await scene.bot.begin()
        await _starved_start(scene)
    scene.done["start on a full disk"] += 1


async def _squeezed_start(scene: Scene) -> None:
    """Something may be written, but not much: a start begins a file of the log, and moves the database's WAL."""
    await scene.end_life()
    await scene.bot.begin()
    with scene.bot.squeezed(scene.random.choice(STARVED_BYTES)):
        await _starved_start(scene)
    scene.done["start under RLIMIT_FSIZE"] += 1


async def _starved_start(scene: Scene) -> None:
    code = await scene.bot.ended_within(STARVED_S)
    scene.judge.expect(code in (None, AWAY), f"a start that may not write ended with {code}")
    await scene.bot.kill()
    scene.judge.look_back()


# Layers that go, or change


async def _log_deleted_alive(scene: Scene) -> None:
    shutil.rmtree(scene.data / "log", ignore_errors=True)  # a new file may come while it goes
    scene.done["log deleted, alive"] += 1
    await _survived(scene)


async def _database_deleted_alive(scene: Scene) -> None:
    for path in _database(scene):
        path.unlink(missing_ok=True)
    scene.done["database deleted, alive"] += 1
    await _survived(scene)


async def _survived(scene: Scene) -> None:
    await scene.moment()
    if scene.random.random() < 0.3:
        await scene.kill(with_log=False)  # it may be gone just now: it is looked into when the bot is whole


async def _log_deleted(scene: Scene) -> None:
    await scene.end_life()
    shutil.rmtree(scene.data / "log")
    await _hard_start(scene, "log deleted")


async def _database_deleted(scene: Scene) -> None:
    await scene.end_life()
    for path in _database(scene):
        path.unlink()
    await _hard_start(scene, "database deleted")


async def _checkpoints_deleted(scene: Scene) -> None:
    await scene.end_life()
    shutil.rmtree(scene.data / "checkpoints", ignore_errors=True)  # none was made yet
    await _hard_start(scene, "checkpoints deleted")


async def _log_byte(scene: Scene) -> None:
    await scene.end_life()
    _flip(scene, [*(scene.data / "log").iterdir()])
    await _hard_start(scene, "byte of the log")


async def _database_byte(scene: Scene) -> None:
    await scene.end_life()
    _flip(scene, _database(scene))
    await _hard_start(scene, "byte of the database")


async def _checkpoint_byte(scene: Scene) -> None:
    await scene.end_life()
    _flip(scene, [*(scene.data / "checkpoints").rglob("*.*")])
    await _hard_start(scene, "byte of a checkpoint")


async def _hard_start(scene: Scene, what: str) -> None:
    """What was damaged is healed by a start, perhaps by one that was interrupted."""
    scene.done[what] += 1
    if scene.random.random() < 0.4:
        await scene.kill_starts(scene.random.randint(1, MOST_START_KILLS))


def _database(scene: Scene) -> list[Path]:
    return [*scene.data.glob("ledger.db*")]


def _flip(scene: Scene, paths: list[Path]) -> None:
    """One bit of one byte of one file that has any."""
    paths = sorted(path for path in paths if path.is_file() and path.stat().st_size)
    if not paths:
        return
    path = scene.random.choice(paths)
    data = bytearray(path.read_bytes())
    data[scene.random.randrange(len(data))] ^= 1 << scene.random.randrange(8)
    path.write_bytes(data)


# Discord's troubles


async def _gateway_troubles(scene: Scene) -> None:
    trouble = scene.random.choice(GATEWAY_TROUBLES)
    trouble(scene.sandbox)
    scene.done["gateway trouble"] += 1
    await scene.moment()


async def _rest_troubles(scene: Scene) -> None:
    for trouble in scene.random.sample(REST_TROUBLES, k=2):
        trouble(scene.sandbox)
    scene.done["REST trouble"] += 1
    await scene.moment()


def _forget_and_drop(sandbox: Sandbox) -> None:
    sandbox.gateway.drop_all()
    sandbox.gateway.forget_sessions()


GATEWAY_TROUBLES: Final[tuple[Callable[[Sandbox], None], ...]] = (
    lambda sandbox: sandbox.gateway.drop_all(),
    lambda sandbox: sandbox.gateway.ask_reconnect(),
    lambda sandbox: sandbox.gateway.invalidate(resumable=True),
    lambda sandbox: sandbox.gateway.invalidate(),
    lambda sandbox: sandbox.gateway.close_all(4000),
    _forget_and_drop,
)
REST_TROUBLES: Final[tuple[Callable[[Sandbox], None], ...]] = (
    lambda sandbox: sandbox.faults.fail("invites", 503, times=2),
    lambda sandbox: sandbox.faults.fail("invites", 429, times=3, retry_after_s=0.5),
    lambda sandbox: sandbox.faults.fail("invites", 429, retry_after_s=0.5, is_global=True),
    lambda sandbox: sandbox.faults.drop("invites", times=2),
    lambda sandbox: sandbox.faults.delay("invites", 1.0, times=3),
    lambda sandbox: sandbox.faults.bare_invites(),
    lambda sandbox: sandbox.faults.blank_vanity(),
    lambda sandbox: sandbox.world.feed.duplicate_next("GUILD_MEMBER_ADD", times=5),
    lambda sandbox: sandbox.world.feed.delay_next("GUILD_MEMBER_ADD", times=3),
)

KEPT: Final = "everything acknowledged is there, once; live again, a new join is worked out"

SIGKILL: Final = Adversity(name="SIGKILL", does="SIGKILL at a random moment", holds=KEPT, act=_sigkill)
START_KILLS: Final = Adversity(
    name="start-up kills", does="SIGKILL, then lives killed between spawn and live", holds=KEPT, act=_start_kills
)
ALWAYS: Final = (SIGKILL, START_KILLS)
"""In every round."""
TABLE: Final = (
    *ALWAYS,
    Adversity(
        name="SIGTERM",
        does="SIGTERM amid joins",
        holds="it drains, before Docker would kill it, and ends with 0",
        act=_sigterm,
    ),
    Adversity(
        name="actors killed",
        does="two of guild, journal, http, caretaker killed by the chaos switch",
        holds="nobody else is disturbed; every ask is answered",
        act=_actors_killed,
        deaf=False,
    ),
    Adversity(name="gateway killed", does="the gateway's actor is killed", holds=KEPT, act=_gateway_killed),
    Adversity(
        name="frozen",
        does="SIGSTOP for some seconds, SIGCONT",
        holds="the session goes on or a new one begins; " + KEPT,
        act=_frozen,
        excused=(MISSED, "interaction.answered_late"),
    ),
    Adversity(
        name="second process",
        does="another process on the same folder",
        holds="it ends with 69 and names the first, which is not disturbed",
        act=_second_process,
        deaf=False,
        slow=True,
    ),
    Adversity(
        name="handover",
        does="another process waits for the folder, then the first is ended",
        holds="the second takes over; " + KEPT,
        act=_handover,
    ),
    Adversity(
        name="no file grows",
        does="RLIMIT_FSIZE below what log or database need, then lifted, or SIGKILL",
        holds=KEPT,
        act=_no_file_grows,
        deaf=False,
    ),
    Adversity(
        name="disk full",
        does="a tiny filesystem is filled, then freed, or SIGKILL",
        holds=KEPT,
        act=_disk_full,
        deaf=False,
        mounted=True,
    ),
    Adversity(
        name="start on a full disk",
        does="a life begins on a full disk, then there is room",
        holds="it waits or ends with 69; " + KEPT,
        act=_start_on_full_disk,
        mounted=True,
    ),
    Adversity(
        name="start under a limit",
        does="a life begins under RLIMIT_FSIZE, is killed, and the next one has room",
        holds="it waits or ends with 69; " + KEPT,
        act=_squeezed_start,
    ),
    Adversity(
        name="log deleted, alive", does="the log goes while it runs", holds=KEPT, act=_log_deleted_alive, deaf=False
    ),
    Adversity(
        name="database deleted, alive",
        does="the database goes while it runs",
        holds=KEPT,
        act=_database_deleted_alive,
    ),
    Adversity(name="log deleted", does="the log goes between two lives", holds=KEPT, act=_log_deleted),
    Adversity(name="database deleted", does="the database goes between lives", holds=KEPT, act=_database_deleted),
    Adversity(name="checkpoints deleted", does="checkpoints go between lives", holds=KEPT, act=_checkpoints_deleted),
    Adversity(name="byte of the log", does="a bit flips in the log between lives", holds=KEPT, act=_log_byte),
    Adversity(
        name="byte of the database", does="a bit flips in the database between lives", holds=KEPT, act=_database_byte
    ),
    Adversity(
        name="byte of a checkpoint",
        does="a bit flips in a checkpoint between lives",
        holds=KEPT,
        act=_checkpoint_byte,
    ),
    Adversity(
        name="gateway trouble",
        does="the socket is cut, the session invalid, forgotten, or to be resumed",
        holds=KEPT,
        act=_gateway_troubles,
    ),
    Adversity(
        name="REST trouble",
        does="5xx, 429, dropped or slow answers, events told twice or late",
        holds="nothing lost, every ask answered",
        act=_rest_troubles,
        deaf=False,
    ),
)
