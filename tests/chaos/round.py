"""One round: a Discord on loopback, people, a bot over many lives, a seeded sequence of adversities, a judge.

What a seed repeats is the plan: which adversities in which order, who joins by what, how long is waited. When exactly
a signal hits a real process is the machine's.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

import msgspec

from actors.cli.bot_process import DemoFailed
from sandbox import Join, Sandbox
from tests.chaos.adversities import ALWAYS, HEARTBEAT_MS, MISSED, Adversity
from tests.chaos.bot import Bot
from tests.chaos.crowd import Crowd, id_of
from tests.chaos.judge import Judge, Tally
from tests.chaos.patience import Patience, patiently
from tests.chaos.scene import Scene
from tests.chaos.tiny import tiny_disk

Tell: TypeAlias = Callable[[str], None]

NOT_ALLOWED: Final = "skipped: this machine does not let us mount a filesystem"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a round does. ``seed`` decides all that chance decides; ``calm``: see ``Crowd``."""

    seed: str
    adversities: tuple[Adversity, ...]
    uvloop: bool
    patience: Patience
    calm: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a round. ``starts_s``: from spawn to live, by life; ``faults``: a sentence each, none is good."""

    seed: str
    tally: Tally
    done: Counter[str]
    lives: int
    starts_s: tuple[float, ...]
    drains_s: tuple[float, ...]
    asks: int
    owed: int
    skipped: tuple[str, ...]
    faults: tuple[str, ...]


def draw(
    seed: str, among: Sequence[Adversity], *, most: int, uvloop: bool, patience: Patience, calm: bool = False
) -> Plan:
    """A plan of so many adversities: SIGKILL and start-up kills always, the others as they come."""
    random = Random(seed)
    others = [each for each in among if each not in ALWAYS]
    chosen = [*ALWAYS, *random.sample(others, k=most - len(ALWAYS))]
    random.shuffle(chosen)
    return Plan(seed=seed, adversities=tuple(chosen), uvloop=uvloop, patience=patience, calm=calm)


async def play(plan: Plan, folder: Path, tell: Tell, until_s: float = inf) -> Report:
    """Plays a round in a folder of its own, which holds transcripts and data afterwards.

    After ``until_s`` (monotonic) no other adversity begins; what was begun is judged to its end.
    """
    data = folder / "data"
    wants_mount = any(each.mounted for each in plan.adversities)
    with ExitStack() as stack:
        mounted = wants_mount and stack.enter_context(tiny_disk(data))
        async with Sandbox(seed=Random(plan.seed).randrange(1 << 30), identify_every_s=0.0) as sandbox:
            sandbox.interactions.answer_s = plan.patience.take_s
            if any(MISSED in each.excused for each in plan.adversities):
                sandbox.gateway.heartbeat_ms = HEARTBEAT_MS
            round_ = Round(plan, sandbox, folder, tell, until_s, mounted=mounted)
            report = await round_.play()
        if mounted and report.faults:
            shutil.copytree(data, folder / "data-kept")
    return report


class Round:
    def __init__(
        self, plan: Plan, sandbox: Sandbox, folder: Path, tell: Tell, until_s: float, *, mounted: bool
    ) -> None:
        random = Random(plan.seed)
        self._plan = plan
        self._folder = folder
        self._until_s = until_s
        self._tell = tell
        self._sandbox = sandbox
        self._bot = Bot(
            _environ(sandbox, folder),
            folder / "bot.log",
            module="tests.chaos.under_uvloop" if plan.uvloop else "supervisor",
            patience_s=plan.patience.live_s,
        )
        self._crowd = Crowd(sandbox, Random(f"{plan.seed}/crowd"), calm=plan.calm)
        self._judge = Judge(sandbox, self._crowd, self._bot, folder / "data")
        self._scene = Scene(
            sandbox=sandbox,
            crowd=self._crowd,
            bot=self._bot,
            judge=self._judge,
            folder=folder,
            random=random,
            mounted=mounted,
        )

    async def play(self) -> Report:
        tally = Tally()
        try:
            tally = await self._play()
        except (DemoFailed, TimeoutError) as error:
            self._judge.faults.append(str(error) or repr(error))
        finally:
            await self._bot.kill()
        return self._report(tally)

    async def _play(self) -> Tally:
        await self._bot.come_live(len(self._crowd.guilds))
        await self._bot.line("commands.synced")
        async with self._crowd.living():
            for adversity in self._plan.adversities:
                if time.monotonic() < self._until_s:
                    await self._suffer(adversity)
        await self._settle()
        await self._scene.drain()
        slowest_s = max(self._bot.drains_s)
        self._judge.expect(slowest_s <= self._plan.patience.drain_s, f"a drain took {slowest_s:.1f} s")
        self._judge.look_into_cloud(self._folder / "cloud", self._folder / "restored")
        return self._judge.conclude()

    async def _suffer(self, adversity: Adversity) -> None:
        if adversity.mounted and not self._scene.mounted:
            self._scene.skipped.append(f"{adversity.name}: {NOT_ALLOWED}")
            return
        self._tell(adversity.name)
        if adversity.deaf:
            self._crowd.fall_unheard()
        await adversity.act(self._scene)
        await self._come_back()
        for kind in adversity.excused:
            self._sandbox.violations.take(kind)

    async def _come_back(self) -> None:
        """Live and whole again; a new join in each guild is worked out; nothing is missing."""
        if self._bot.alive:
            await self._bot.whole(len(self._crowd.guilds))
        else:
            await self._bot.come_live(len(self._crowd.guilds))
        self._crowd.be_heard()
        await self._worked_out([self._crowd.join(guild) for guild in self._crowd.guilds])
        self._judge.look_back()

    async def _settle(self) -> None:
        """Nobody comes or goes any more: everything is worked out, everybody has an answer."""
        self._tell("settling")
        await patiently(lambda: not self._crowd.unanswered(), self._plan.patience.answer_s)
        settled = await patiently(lambda: not self._judge.unsettled(), self._plan.patience.live_s)
        self._judge.expect(settled, f"not worked out after all: {sorted(self._judge.unsettled())}")

    async def _worked_out(self, joins: Sequence[Join]) -> None:
        wanted = {id_of(join) for join in joins}
        if not await patiently(lambda: not wanted & self._judge.unsettled(), self._plan.patience.live_s):
            raise DemoFailed(f"new joins are not worked out: {sorted(wanted & self._judge.unsettled())}")

    def _report(self, tally: Tally) -> Report:
        asks = self._crowd.asks
        return Report(
            seed=self._plan.seed,
            tally=tally,
            done=self._scene.done,
            lives=self._bot.lives,
            starts_s=tuple(self._bot.starts_s),
            drains_s=tuple(self._bot.drains_s),
            asks=len(asks),
            owed=sum(ask.owed for ask in asks),
            skipped=tuple(self._scene.skipped),
            faults=tuple(dict.fromkeys(self._judge.faults)),
        )


def _environ(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": sandbox.token,
        "DISCORD_API_URL": sandbox.api_url,
        "LEDGER_DATA": str(folder / "data"),
        "LEDGER_DISK": "lasting",
        "LEDGER_CLOUD": (folder / "cloud").as_uri(),
        "LEDGER_HTTP": "127.0.0.1:0",
        "LEDGER_LOG": "json",
    }
