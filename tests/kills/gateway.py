"""Kills in the gateway's glue: the whole bot in this process, on sockets and files, against the sandbox.

The loop is a real one, so a place is found by how often it was visited and not by time. A day of a bot (``days``) is
told, and it is drained; one await of ``actors/gateway`` is killed on the way. Then people join once more, and all has
to be as Discord has it; and whoever gave a command has an answer.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from actors.cli.scoreboard import exported, score, truth_of
from sandbox import Sandbox
from tests.kills.acts import QUERY, Hands, Mode, Planted, act_of, kind_of
from tests.kills.campaign import Run, Spot
from tests.kills.days import DAYS, PATIENCE_S, Office, until
from tests.kills.points import GATEWAY, KERNEL, inventory
from tests.kills.probe import Act, Place, Probe, Waited, Watch, factory
from tests.kills.unreached import never, why_not
from tests.system.fleet import Fleet
from tests.system.hurried import hurry

KNOWN: Final = inventory((*GATEWAY, *KERNEL))
MODES: Final = (Mode.RAISE, Mode.CANCEL, Mode.LATE)
TREE: Final = ("supervisor", "journal", "guild", "shard", "main")
COMMANDS: Final = ("CommandTree-invoker", "discord.py: on_interaction")
"""Names of the tasks that answer commands and clicks."""
TWICE: Final = "interaction.answered_twice"
"""Whoever loses the answer to a first answer cannot know that it has come."""
SEED: Final = 7


class GatewayCase(msgspec.Struct, frozen=True):
    """What is done where. ``spot``: short for the spot's name, so that it holds for another run, too."""

    spot: str
    mode: Mode
    visit: int

    def __str__(self) -> str:
        return f"gateway:{self.spot}:{self.mode}:{self.visit}"

    @classmethod
    def parse(cls, text: str) -> "GatewayCase":
        _, spot, mode, visit = text.split(":")
        return cls(spot, Mode(mode), int(visit))


class Counting(Watch):
    """Counts the visits of the gateway's places."""

    def __init__(self) -> None:
        self.visits: dict[Spot, int] = {}
        self.struck = ""
        self.mode = Mode.RAISE

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        if (spot := spot_of(place)) is not None:
            self.visits[spot] = self.visits.get(spot, 0) + 1
        return None


class Striking(Watch):
    """Does one thing at one visit of one spot."""

    def __init__(self, spot: Spot, visit: int, mode: Mode) -> None:
        self.struck = ""
        self.hands: Hands | None = None
        self._spot = spot
        self._left = visit
        self.mode = mode

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        if self._left == 0 or spot_of(place) != self._spot:
            return None
        self._left -= 1
        if self._left or self.hands is None:
            return None
        self.struck = _name()
        return act_of(self.mode, self.hands)


def spot_of(place: Place) -> Spot | None:
    """The spot, if it is one of the gateway's and a task of the bot's; None for all others."""
    if not any(point.module.startswith("actors/gateway/") for point in place):
        return None
    kind = kind_of(_name())
    return None if kind == "main" else Spot(kind, place)


class Known(msgspec.Struct, frozen=True):
    """Where a day waits, and how often."""

    day: str
    spot: Spot
    visits: int


@cache
def survey() -> dict[str, Known]:
    """Where the days wait, by the spot's short name; each spot in the first day that has it."""
    found: dict[str, Known] = {}
    for day in DAYS:
        counting = Counting()
        faults = _play(day, counting)
        assert not faults, (day, faults)
        for spot, visits in sorted(counting.visits.items(), key=lambda each: str(each[0])):
            found.setdefault(_short(spot), Known(day, spot, visits))
    return found


def cases() -> Iterator[GatewayCase]:
    """Every spot in every way: first visits of all, then middle ones, then last ones."""
    for nth in range(3):
        for mode in MODES:
            for short, known in survey().items():
                chosen = sorted({1, 1 + known.visits // 2, known.visits})
                if nth < len(chosen):
                    yield GatewayCase(short, mode, chosen[nth])


def spot_at(case: GatewayCase) -> Spot:
    """The case's spot.

    Raises:
        KeyError: this time no day came to it.
    """
    return survey()[case.spot].spot


def play(case: GatewayCase) -> Run:
    """One day with a kill in it."""
    striking = Striking(spot_at(case), case.visit, case.mode)
    faults = _play(survey()[case.spot].day, striking)
    return Run(striking.struck, tuple(faults))


def unexplained() -> list[str]:
    """Awaits that no day comes to and nobody says why not, and reasons that do not hold."""
    reached = {point for known in survey().values() for point in known.spot.place} & {*inventory(GATEWAY).values()}
    waiting = {point for point in inventory(GATEWAY).values() if point.waits}
    return [
        *(f"not reached: {point}" for point in sorted(waiting - reached) if not why_not(point)),
        *(f"said never to wait, and waits: {point}" for point in sorted(reached - waiting)),
        *(f"it is reached by now: {point}" for point in sorted(reached) if never(point)),
    ]


def _short(spot: Spot) -> str:
    return sha256(str(spot).encode()).hexdigest()[:8]


def _play(day: str, watch: "Counting | Striking") -> list[str]:
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="inviteledger-kills-") as folder, _library():
        asyncio.run(_live_through(day, Path(folder), watch, faults))
    return faults


async def _live_through(day: str, folder: Path, watch: "Counting | Striking", faults: list[str]) -> None:
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None, "run by asyncio.run"
    main.set_name("main")
    loop.set_exception_handler(lambda _, told: _complain(told, faults))
    async with Sandbox(seed=11) as sandbox:
        sandbox.interactions.answer_s = PATIENCE_S  # how fast it answers is not tried here
        fleet = Fleet(sandbox, folder / "data", guilds=2, shards=1)
        fleet.world.set_vanity(fleet.guilds[1], "harbour")
        fleet.witness = day == "errands"
        loop.set_task_factory(factory(KNOWN, watch))
        office = Office(fleet, lambda: bool(watch.struck))
        async with fleet.running():
            if isinstance(watch, Striking):
                watch.hands = Hands(fleet.supervisor.kill)
            await DAYS[day](fleet, office)
            faults += await _afterwards(fleet)
            faults += await _unanswered(office, watch)
        loop.set_task_factory(None)
        faults += _in_the_end(fleet, watch.struck)


async def _unanswered(office: Office, watch: Counting | Striking) -> list[str]:
    """Commands that never had an answer, where one is due, and what is left of them; joins that were never shown."""

    def wrong() -> list[str]:
        unanswered, unannounced = office.unanswered(), office.unannounced()
        left = [name for task in asyncio.all_tasks() if (name := task.get_name()) in COMMANDS]
        return [
            *([f"not answered: {unanswered}"] if len(unanswered) > _forgiven(office, watch) else []),
            *(f"not announced: {each}" for each in unannounced),
            *(f"left over: {name}" for name in left),
        ]

    await until(lambda: not wrong())
    return wrong()


def _forgiven(office: Office, watch: Counting | Striking) -> int:
    """So many may have no answer: who asks while a session ends, and whose own task or query is cancelled."""
    if watch.struck == "gateway" or kind_of(watch.struck) == "shard":
        return len(office.given)
    own = watch.struck in COMMANDS or kind_of(watch.struck) == QUERY
    return 1 if own and watch.mode is not Mode.RAISE else 0


async def _afterwards(fleet: Fleet) -> list[str]:
    """People join once more, and all is well: worked out, members compared, mailboxes empty, one life of each."""
    for guild in fleet.guilds:
        fleet.join(guild)
    await until(lambda: fleet.is_worked_out() and _is_well(fleet))
    if not (fleet.is_worked_out() and _is_well(fleet)):
        phases = [fleet.phase_of(guild) for guild in fleet.guilds]
        waiting = fleet.supervisor.roster.statistics().waiting
        return [f"not well: {phases}, {len(fleet.unsettled())} unsettled, {waiting}, {fleet.gateway.status()}"]
    names = Counter(task.get_name() for task in asyncio.all_tasks())
    lives = {name: count for name, count in names.items() if name == "gateway" or kind_of(name) in TREE}
    return [f"{count} lives of {name}" for name, count in lives.items() if count > 1]


def _is_well(fleet: Fleet) -> bool:
    actors = [child.actor for child in fleet.supervisor._guilds.values()]
    compared = all(actor is not None and actor.presence.reconciled for actor in actors)
    return compared and not any(fleet.supervisor.roster.statistics().waiting)


def _in_the_end(fleet: Fleet, struck: str) -> list[str]:
    truth, told = truth_of(fleet.world.truth), exported(fleet.data)
    result = score(truth, told, fleet.acknowledged, fleet.data)
    faults = [] if result.is_clean() else [str(result)]
    bots = {str(each.user_id) for each in fleet.world.truth if each.bot}
    differ = {join for join in truth.keys() ^ told.keys() if join[1] not in bots}  # nobody invites a bot
    faults += [f"{len(differ)} joins differ"] if differ else []
    faults += [f"{each.kind}: {each.detail}" for each in fleet.sandbox.violations if each.kind != TWICE]
    faults += [f"unhandled: {each}" for each in fleet.sandbox.unhandled]
    if not struck:
        faults += [str(line) for event in MISHAPS for line in fleet.named(event)]
    return faults


def sample(days: int) -> list[str]:
    """So many days out of all, each with another kill: what was wrong with them, and the command that repeats it."""
    faults: list[str] = []
    for case in Random(SEED).sample([*cases()], days):
        faults += [f'python -m tests.kills --only "{case}": {spot_at(case)}: {fault}' for fault in play(case).faults]
    return faults


MISHAPS: Final = ("shard.crashed", "job.failed", "dispatch.failed", "command.failed")


def _complain(told: dict[str, object], faults: list[str]) -> None:
    """What goes wrong outside of any task. A connect that was torn apart leaves asyncio a socket that is closed."""
    message, error = str(told["message"]), told.get("exception")
    planted = isinstance(error, Planted) or "never retrieved" in message or "_SelectorTransport" in message
    faults += [] if planted else [f"told in the loop: {message}: {error!r}"]


@contextmanager
def _library() -> Iterator[None]:
    """What the library keeps for the whole process is put back; it does not wait between its tries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Route, "BASE", Route.BASE)
        patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", "unset")
        patch.setattr("actors.gateway.outside.CRASHED_S", 0.1)
        patch.setattr("actors.gateway.registration.SYNC_AGAIN_S", 0.1)
        patch.setattr("actors.gateway.ranking.MAX_PAGE", 2)
        patch.setattr("actors.gateway.ranking.ROWS_A_PAGE", 1)
        patch.setattr("actors.gateway.staff_report.MAX_PAGE", 2)
        patch.setattr("actors.gateway.staff_report.ROWS_A_PAGE", 1)
        patch.setattr("actors.gateway.why.PAGE_CHARACTERS", 60)
        patch.setattr("actors.gateway.review.CASES_A_PAGE", 1)
        patch.setattr("actors.gateway.made_invites.JOB_LOOKS", 2)
        patch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 3.0)
        hurry(patch.setattr)
        patch.setattr("discord.client.ExponentialBackoff.delay", lambda _: 0.1)
        yield


def _name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
