"""What is done to the bot, one function each; the table of them is in ``adversities.py``.

An act begins with a bot that is live and whole. It may end with a bot that is dead: the round starts it again, waits
until it is whole, and lets somebody join. Layers are damaged one at a time: the next one only when the bot has been
whole again.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.cli.bot_process import BotProcess
from actors.cli.exits import AWAY
from actors.supervision import spawn
from sandbox import Sandbox
from tests.chaos.scene import Scene
from tests.chaos.tiny import filled

FROZEN_S: Final = (0.5, 7.0)
STARVED_S: Final = 3.0
STARVED_BYTES: Final = (1, 300, 5_000, 50_000)
SPARE_BYTES: Final = (0, 4_096, 60_000)
MOST_START_KILLS: Final = 4
BURST: Final = 16
SECOND_S: Final = 60.0
"""A second process gives up after 10 s; one that did not by then never will."""


# Ends of lives


async def sigkill(scene: Scene) -> None:
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


async def start_kills(scene: Scene) -> None:
    await scene.kill()
    await scene.kill_starts(scene.random.randint(2, MOST_START_KILLS))
    scene.judge.look_back()


async def sigterm(scene: Scene) -> None:
    await scene.moment()
    await scene.drain()


# Within a life


async def actors_killed(scene: Scene) -> None:
    guild = scene.random.choice(scene.crowd.guilds)
    victims = scene.random.sample(["journal", "caretaker", "http", f"guild/{guild.id}"], k=2)
    for victim in sorted(victims, key="http".__eq__):  # it is what takes the order
        await scene.moment(0.3)
        await scene.bot.kill_actor(victim)
        scene.done[f"{victim.split('/')[0]} killed"] += 1


async def gateway_killed(scene: Scene) -> None:
    await scene.moment()
    await scene.bot.kill_actor("gateway")
    scene.done["gateway killed"] += 1


async def frozen(scene: Scene) -> None:
    with scene.bot.frozen():
        await scene.moment(scene.random.uniform(*FROZEN_S))
    scene.done["SIGSTOP"] += 1


async def second_process(scene: Scene) -> None:
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


async def handover(scene: Scene) -> None:
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


async def no_file_grows(scene: Scene) -> None:
    with scene.bot.squeezed(_limit(scene)):
        await _endured(scene)
    scene.done["RLIMIT_FSIZE"] += 1


def _limit(scene: Scene) -> int:
    """No file at all, or not the newest of the log, or not the database's WAL."""
    segment = max((scene.data / "log").iterdir())
    wal = scene.data / "ledger.db-wal"
    sizes = [path.stat().st_size for path in (segment, wal) if path.exists()]
    return scene.random.choice([1, *(max(1, size + scene.random.choice((0, 500))) for size in sizes)])


async def disk_full(scene: Scene) -> None:
    with filled(scene.data, scene.random.choice(SPARE_BYTES)):
        await _endured(scene)
    scene.done["disk full"] += 1


async def _endured(scene: Scene) -> None:
    """Some time passes; now and then the trouble ends only after the life does."""
    await scene.moment(3.0)
    if scene.random.random() < 0.3:
        await scene.kill()


async def start_on_full_disk(scene: Scene) -> None:
    await scene.end_life()
    with filled(scene.data, 0):
        await scene.bot.begin()
        await _starved_start(scene)
    scene.done["start on a full disk"] += 1


async def squeezed_start(scene: Scene) -> None:
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


async def log_deleted_alive(scene: Scene) -> None:
    shutil.rmtree(scene.data / "log", ignore_errors=True)  # a new file may come while it goes
    scene.done["log deleted, alive"] += 1
    await _survived(scene)


async def database_deleted_alive(scene: Scene) -> None:
    for path in _database(scene):
        path.unlink(missing_ok=True)
    scene.done["database deleted, alive"] += 1
    await _survived(scene)


async def _survived(scene: Scene) -> None:
    await scene.moment()
    if scene.random.random() < 0.3:
        await scene.kill(with_log=False)  # it may be gone just now: it is looked into when the bot is whole


async def log_deleted(scene: Scene) -> None:
    await scene.end_life()
    shutil.rmtree(scene.data / "log")
    await _hard_start(scene, "log deleted")


async def database_deleted(scene: Scene) -> None:
    await scene.end_life()
    for path in _database(scene):
        path.unlink()
    await _hard_start(scene, "database deleted")


async def checkpoints_deleted(scene: Scene) -> None:
    await scene.end_life()
    shutil.rmtree(scene.data / "checkpoints", ignore_errors=True)  # none was made yet
    await _hard_start(scene, "checkpoints deleted")


async def log_byte(scene: Scene) -> None:
    await scene.end_life()
    _flip(scene, [*(scene.data / "log").iterdir()])
    await _hard_start(scene, "byte of the log")


async def database_byte(scene: Scene) -> None:
    await scene.end_life()
    _flip(scene, _database(scene))
    await _hard_start(scene, "byte of the database")


async def checkpoint_byte(scene: Scene) -> None:
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


async def gateway_troubles(scene: Scene) -> None:
    trouble = scene.random.choice(GATEWAY_TROUBLES)
    trouble(scene.sandbox)
    scene.done["gateway trouble"] += 1
    await scene.moment()


async def rest_troubles(scene: Scene) -> None:
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
