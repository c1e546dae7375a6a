"""Kills in the gateway's glue: the whole bot in this process, on sockets and files, against the sandbox.

The loop is a real one, so a place is found by how often it was visited and not by time. A day of a bot is told: it
starts, people join, every command is given, its wire is cut, its session refused, and it is drained; one await of
``actors/gateway`` is killed on the way. Then people join once more, and all has to be as Discord has it.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from actors.cli.scoreboard import exported, score, truth_of
from actors.gateway.board import custom_id
from actors.gateway.ranking import Wish
from actors.gateway.tally import By
from sandbox import Reply, Sandbox, User
from tests.kills.acts import Hands, Mode, Planted, act_of, kind_of
from tests.kills.campaign import Run, Spot
from tests.kills.points import GATEWAY, KERNEL, inventory
from tests.kills.probe import Act, Place, Probe, Waited, Watch, factory
from tests.system.fleet import Fleet

KNOWN: Final = inventory((*GATEWAY, *KERNEL))
MODES: Final = (Mode.RAISE, Mode.CANCEL, Mode.LATE)
ANSWER_S: Final = 3.0
"""A command that was killed has no answer; nobody waits for it longer."""
TREE: Final = ("supervisor", "journal", "gateway", "guild", "shard", "main")


class GatewayCase(msgspec.Struct, frozen=True):
    """What is done where. ``spot``: a number, by the order of names."""

    number: int
    mode: Mode
    visit: int

    def __str__(self) -> str:
        return f"gateway:{self.number}:{self.mode}:{self.visit}"


class Counting(Watch):
    """Counts the visits of the gateway's places."""

    def __init__(self) -> None:
        self.visits: dict[Spot, int] = {}

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
        self._mode = mode

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        if self._left == 0 or spot_of(place) != self._spot:
            return None
        self._left -= 1
        if self._left or self.hands is None:
            return None
        self.struck = _name()
        return act_of(self._mode, self.hands)


def spot_of(place: Place) -> Spot | None:
    """The spot, if it is one of the gateway's and a task of the bot's; None for all others."""
    if not any(point.module.startswith("actors/gateway/") for point in place):
        return None
    kind = kind_of(_name())
    return None if kind == "main" else Spot(kind, place)


def survey() -> dict[Spot, int]:
    """Where a day waits, by name, and how often."""
    counting = Counting()
    faults = _play(counting, lambda: "")
    assert not faults, faults
    return dict(sorted(counting.visits.items(), key=lambda each: str(each[0])))


def cases(visits: dict[Spot, int]) -> Iterator[GatewayCase]:
    """Every spot in every way: first visits of all, then middle ones, then last ones."""
    for nth in range(3):
        for mode in MODES:
            for number, count in enumerate(visits.values()):
                chosen = sorted({1, 1 + count // 2, count})
                if nth < len(chosen):
                    yield GatewayCase(number, mode, chosen[nth])


def play(spot: Spot, case: GatewayCase) -> Run:
    """One day with a kill in it."""
    striking = Striking(spot, case.visit, case.mode)
    faults = _play(striking, lambda: striking.struck)
    return Run(striking.struck, tuple(faults))


def _play(watch: Watch, struck: Callable[[], str]) -> list[str]:
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="inviteledger-kills-") as folder, _library():
        asyncio.run(_day(Path(folder), watch, struck, faults))
    return faults


async def _day(folder: Path, watch: Watch, struck: Callable[[], str], faults: list[str]) -> None:
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None, "run by asyncio.run"
    main.set_name("main")
    loop.set_exception_handler(lambda _, told: _complain(told, faults))
    async with Sandbox(seed=11) as sandbox:
        fleet = Fleet(sandbox, folder / "data", guilds=2, shards=1)
        fleet.world.set_vanity(fleet.guilds[1], "harbour")
        loop.set_task_factory(factory(KNOWN, watch))
        async with fleet.running():
            if isinstance(watch, Striking):
                watch.hands = Hands(fleet.supervisor.kill)
            await _live_through(fleet)
            faults += await _afterwards(fleet)
        loop.set_task_factory(None)
        faults += _in_the_end(fleet, struck())


async def _live_through(fleet: Fleet) -> None:
    """A day. Whatever of it cannot be had, since something was killed, is done without."""
    faults = fleet.sandbox.faults
    for kind in ("me", "gateway", "members"):
        faults.fail(kind, 403 if kind == "members" else 503)
    fleet.gateway._pacer._free = 1
    await fleet.live()
    for guild in fleet.guilds * 2:
        fleet.join(guild)
    await _commands(fleet)
    fleet.gateway._jobs.start(fleet.gateway._look_again(), "advice")
    fleet.sandbox.gateway.drop_all()
    for guild in fleet.guilds:
        fleet.join(guild)
    await fleet.live()
    fleet.sandbox.gateway.invalidate()
    for guild in fleet.guilds:
        fleet.join(guild)
    await fleet.live()
    client = fleet.gateway._shards[0].client if fleet.gateway._shards else None
    if client is not None:
        await asyncio.gather(
            client.close(), return_exceptions=True
        )  # the library gives up; whoever waits with us dies
    for guild in fleet.guilds:
        fleet.join(guild)


async def _commands(fleet: Fleet) -> None:
    """Every command there is; whichever was killed has no answer."""
    guild, sandbox, world = fleet.guilds[0], fleet.sandbox, fleet.world
    asker, other, left = guild.owner, world.add_staff(guild), world.add_staff(guild)
    first, second = (invite.code for invite in fleet.invites[guild.id])
    joined, assign = fleet.join(guild), "setup_staff_invite"
    with suppress(TimeoutError):
        await fleet.until(lambda: bool(fleet.named("commands.synced")), ANSWER_S)

    async def slash(name: str, **options: str | User) -> Reply | None:
        return await _asked(sandbox.slash(guild, asker, name, options, timeout_s=ANSWER_S))

    await asyncio.gather(slash(assign, staff=other, code=first), slash(assign, staff=left, code=second))
    await asyncio.gather(slash(assign, staff=other), slash(assign, staff=sandbox.world.bot))
    world.leave(guild, left)
    await _asked(sandbox.type_in(guild, asker, assign, {"staff": other, "code": "x"}, "code", timeout_s=ANSWER_S))
    for name in ("refresh_invite_cache", "fix_staff_usernames", "debug_invites"):
        await slash(name)
    await asyncio.gather(slash("invites", member=other), slash("who_invited", member=world.users[joined.user_id]))
    for code in (first, second):
        with suppress(TimeoutError):
            await fleet.worked_out(ANSWER_S)
            world.join(guild, via=code)  # proven: nobody else joins meanwhile
    with suppress(TimeoutError):
        await fleet.worked_out(ANSWER_S)
    stranger = world.users[joined.user_id]
    await _asked(sandbox.slash(guild, stranger, "leaderboard", {}, timeout_s=ANSWER_S))
    boards = await asyncio.gather(*(slash("leaderboard", window="7 days", by="inviter") for _ in range(2)))
    if boards[0] is not None and boards[0].messages:
        button = custom_id(Wish(window="7 days", by=By.INVITER, page=1))
        await _asked(sandbox.click(guild, asker, boards[0].messages[-1], button, timeout_s=ANSWER_S))


async def _asked(reply: Awaitable[Reply]) -> Reply | None:
    """What somebody is answered; None where the command was killed, or is not registered since that was."""
    try:
        return await reply
    except (TimeoutError, LookupError, ValueError):
        return None


async def _afterwards(fleet: Fleet) -> list[str]:
    """People join once more, and all is well: worked out, members compared, mailboxes empty, one life of each."""
    for guild in fleet.guilds:
        fleet.join(guild)
    try:
        await fleet.worked_out()
        async with asyncio.timeout(ANSWER_S):
            while not _is_well(fleet):  # noqa: ASYNC110 -- a state of several actors, not an event
                await asyncio.sleep(0.02)
    except TimeoutError:
        phases = [fleet.phase_of(guild) for guild in fleet.guilds]
        waiting = fleet.supervisor.roster.statistics().waiting
        return [f"not well: {phases}, {len(fleet.unsettled())} unsettled, {waiting}, {fleet.gateway.status()}"]
    lives = Counter(name for task in asyncio.all_tasks() if kind_of(name := task.get_name()) in TREE)
    return [f"{count} lives of {name}" for name, count in lives.items() if count > 1]


def _is_well(fleet: Fleet) -> bool:
    actors = [child.actor for child in fleet.supervisor._guilds.values()]
    compared = all(actor is not None and actor.presence.reconciled for actor in actors)
    return compared and not any(fleet.supervisor.roster.statistics().waiting)


def _in_the_end(fleet: Fleet, struck: str) -> list[str]:
    truth, told = truth_of(fleet.world.truth), exported(fleet.data)
    result = score(truth, told, fleet.acknowledged, fleet.data)
    faults = [] if result.is_clean() else [str(result)]
    faults += [f"{len(truth.keys() ^ told.keys())} joins differ"] if told.keys() != truth.keys() else []
    faults += [f"{each.kind}: {each.detail}" for each in fleet.sandbox.violations]
    faults += [f"unhandled: {each}" for each in fleet.sandbox.unhandled]
    if not struck:
        faults += [str(line) for event in MISHAPS for line in fleet.named(event)]
    return faults


def sample(days: int) -> list[str]:
    """So many days out of all, each with another kill: what was wrong with them, and the command that repeats it."""
    visits = survey()
    spots, every = list(visits), list(cases(visits))
    faults: list[str] = []
    for case in every[:: len(every) // days][:days]:
        told = play(spots[case.number], case).faults
        faults += [f'python -m tests.kills --only "{case}": {spots[case.number]}: {fault}' for fault in told]
    return faults


MISHAPS: Final = ("shard.crashed", "job.failed", "dispatch.failed", "command.failed", "interaction.unanswered")


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
        patch.setattr("actors.gateway.ranking.MAX_PAGE", 2)
        patch.setattr("actors.gateway.ranking.ROWS_A_PAGE", 1)
        patch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 1.5)
        patch.setattr("discord.client.ExponentialBackoff.delay", lambda _: 0.1)
        yield


def _name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
