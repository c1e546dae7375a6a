"""What goes wrong: each kind of fault of ``dials.FAULTS``, injected at random, counted, and healed in the end.

Deaths come at random steps of the loop (``kill_…``, ``zombie_…``, ``power``), so that they hit any await; the others
at random times, most of them for a while. Every fault is noted with the guild it hits: the oracle lets a guild
restart as often as it was hit, and no more.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Final

from actors.guild import GuildActor
from actors.mailbox import Stage
from ledger import messages as m
from ledger.errors import DiskFull, NotConfirmed, StorageError
from ledger.ids import GuildId, UserId
from tests.memory.database import MemoryDatabase
from tests.persistence.simdisk import PowerCut
from tests.simulation.agenda import Agenda
from tests.simulation.dials import Dials, stream
from tests.simulation.gateway import Gateway
from tests.simulation.kill_points import ELSEWHERE, KillPoint, way
from tests.simulation.platter import Platter
from tests.simulation.process import Process
from tests.simulation.sky import Weather
from tests.simulation.story import Story

LINGERING_S: Final = 12.0
"""For so long a zombie does not end; the supervisor waits for 5 s."""
EARLY: Final = 0.2
"""So often the power is cut while the process starts."""
POWER_PATIENCE: Final = 6
"""A life of the process is so much longer than one of a child, on average."""
WRITERS: Final = frozenset({("persistence/local.py", "append"), ("persistence/store.py", "_write")})
"""Where the journal waits while a write is in a layer's hands."""
IN_FLIGHT: Final = "journal killed with a write in flight"
WRITING: Final = frozenset({"write", "sync", "rename", "sync_folder", "cut"})


class Broken(Exception):
    """A bug in a handler, planted by the simulation."""


class Faults:
    """Args:
    dials: which kinds, how often.
    agenda: when.
    stories: for storms.
    gateway: for sessions.
    database: for its troubles; another one once the folder was wiped.
    """

    def __init__(
        self,
        dials: Dials,
        agenda: Agenda,
        stories: Mapping[GuildId, Story],
        gateway: Gateway,
        database: MemoryDatabase,
    ) -> None:
        self.injected: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.kill_points: set[KillPoint] = set()
        self.last_point = ELSEWHERE
        self.stages: Counter[Stage] = Counter()
        self.weather = Weather()
        self.rival: Callable[[], bool] = _nobody
        """Starts another process, if none lives."""
        self.over = False
        self._dials = dials
        self._agenda = agenda
        self._stories = stories
        self._gateway = gateway
        self.database = database
        self._process: Process | None = None
        self._random = stream(dials.seed, "faults")
        self._disk_error: type[StorageError] | None = None
        self._slow = False
        self._stubborn: set[GuildActor] = set()
        self._hanging: set[GuildId] = set()
        self._lingering_journal = False
        self._poisoned: Counter[UserId] = Counter()
        self._broken_guilds: set[GuildId] = set()
        self._everywhere = False
        self._unreplayable: set[GuildId] = set()

    # A run

    def begin_life(self, process: Process) -> None:
        """Plans the faults of a life of the process."""
        self._process = process
        self.hits.clear()
        process.disk.before = self._before_disk
        process.loop.latency_s = self.latency_s
        if self.over:
            return
        self._plan_death()
        if "power" in self._dials.faults and self._random.random() < EARLY:
            process.loop.at_step(self._random.randint(1, 40), lambda: self._die("power"))
        for kind in self._dials.faults:
            if kind in AT_TIMES:
                self._plan(kind)

    def end_life(self) -> None:
        self._process = None
        self._stubborn.clear()
        self._hanging.clear()
        self._lingering_journal = False

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.over = True
        self._disk_error = None
        self._slow = self._everywhere = self._lingering_journal = False
        self.database.come_back()
        self.database.heal_next()
        self.weather.clear()
        for taken in (self._hanging, self._poisoned, self._broken_guilds, self._unreplayable, self._stubborn):
            taken.clear()
        for story in self._stories.values():
            self._mend(story)

    def _mend(self, story: Story) -> None:
        story.over, town = self.over, story.town
        story.archive.over = self.over
        town.answering = True
        if not town.readable:
            self._permit(story)
        if not town.available or not town.there:
            town.available = town.there = True
            self._gateway.come_up(town)

    def _plan(self, kind: str) -> None:
        self._agenda.after(self._random.expovariate(1 / self._dials.fault_every_s), lambda: self._strike(kind))

    def _strike(self, kind: str) -> None:
        if self.over or self._process is None:
            return
        self.injected[kind] += 1
        AT_TIMES[kind](self)
        self._plan(kind)

    def _for_a_while(self, undo: Callable[[], None]) -> None:
        self._agenda.after(self._random.choice((0.05, 0.5, 3.0, 20.0)), undo)

    def _some_story(self) -> Story:
        return self._random.choice(list(self._stories.values()))

    # Deaths, at steps

    def _plan_death(self) -> None:
        process = self._process
        kinds = [kind for kind in self._dials.faults if kind in AT_STEPS]
        if process is None or not kinds or self.over:
            return
        kind = self._random.choice(kinds)
        patience = POWER_PATIENCE if kind == "power" else 1
        steps = 1 + int(self._random.expovariate(1 / (patience * self._dials.kill_every)))
        process.loop.at_step(process.loop.steps + steps, lambda: self._die(kind))

    def _die(self, kind: str) -> None:
        if not self.over:
            AT_STEPS[kind](self)
            self._plan_death()

    def kill_guild(self) -> None:
        self._kill_some_guild("kill_guild", stubborn=False)

    def zombie_guild(self) -> None:
        self._kill_some_guild("zombie_guild", stubborn=True)

    def kill_journal(self) -> None:
        self._kill_journal("kill_journal")

    def kill_caretaker(self) -> None:
        self._kill("caretaker", "kill_caretaker")

    def zombie_journal(self) -> None:
        self._lingering_journal = True
        self._kill_journal("zombie_journal")

    def cut_power(self) -> None:
        process = self._process
        if process is None:
            return
        self.injected["power"] += 1
        for task in asyncio.all_tasks(process.loop):
            self.kill_points.update(way(task))
        process.loop.fail(PowerCut())

    def _kill_journal(self, kind: str) -> None:
        if self._kill("journal", kind) and self.last_point[:2] in WRITERS:
            self.injected[IN_FLIGHT] += 1

    def _kill_some_guild(self, kind: str, *, stubborn: bool) -> None:
        process = self._process
        children = list(process.supervisor._guilds.values()) if process is not None else []
        busy = [child for child in children if child.task is not None and child.address.stage is not Stage.IDLE]
        candidates = busy if busy and self._random.random() < 0.9 else children
        if process is None or not candidates:
            return
        child = self._random.choice(candidates)
        if stubborn and child.actor is not None:
            self._stubborn.add(child.actor)
        stage = child.address.stage
        if self._kill(child.spec.name, kind):
            self.stages[stage] += 1

    def _kill(self, name: str, kind: str) -> bool:
        process = self._process
        assert process is not None, "deaths are planned while a process runs"
        children = (*process.supervisor._children, *process.supervisor._guilds.values())
        task = next((child.task for child in children if child.spec.name == name), None)
        if task is None or task.done():
            return False
        killed_at = way(task)
        self.last_point = killed_at[-1]
        self.kill_points.update(killed_at)
        self.injected[kind] += 1
        self.hits[name] += 1
        return process.supervisor.kill(name)

    # The disk and the database

    def latency_s(self, random: Random) -> float:
        """How long work for a thread takes."""
        if self._slow:
            return random.expovariate(1.0)
        if self._dials.busy_disk and random.random() < 0.05:
            return random.uniform(0.01, 0.5)
        return random.expovariate(1_000.0)

    def _before_disk(self, number: int, what: str) -> None:
        if self._disk_error is not None and what in WRITING and self._random.random() < 0.5:
            self.injected[f"{self._disk_error.__name__} at {what}"] += 1
            raise self._disk_error(f"{what} {number}")

    def disk_full(self) -> None:
        self._disk_error = DiskFull
        self._for_a_while(self._calm_disk)

    def disk_fails(self) -> None:
        self._disk_error = NotConfirmed
        self._for_a_while(self._calm_disk)

    def slow_disk(self) -> None:
        self._slow = True
        self._for_a_while(self._speed_up)

    def database_fails(self) -> None:
        error = self._random.choice((NotConfirmed("commit"), StorageError("busy")))
        took_effect = isinstance(error, NotConfirmed) and self._random.random() < 0.5
        self.database.fail_next(error, took_effect=took_effect)

    def database_away(self) -> None:
        self.database.go_away(StorageError("away"))
        self._for_a_while(self.database.come_back)

    def _calm_disk(self) -> None:
        self._disk_error = None

    def _speed_up(self) -> None:
        self._slow = False

    # The cloud

    def cloud_away(self) -> None:
        self._worsen("away")

    def cloud_slow(self) -> None:
        self._worsen("slow")

    def cloud_loses(self) -> None:
        self._worsen("losing")

    def cloud_late(self) -> None:
        self._worsen("late")

    def kill_uploader(self) -> None:
        self._kill("uploader", "kill_uploader")

    def rival_comes(self) -> None:
        if not self.rival():
            self.injected["rival"] -= 1

    def _worsen(self, what: str) -> None:
        setattr(self.weather, what, True)
        self._for_a_while(lambda: setattr(self.weather, what, False))

    # Handlers

    def hang(self) -> None:
        self._hanging.add(self._some_story().town.guild)

    def raise_once(self) -> None:
        self._poison(1)

    def raise_always(self) -> None:
        self._poison(1_000_000)

    def raise_everywhere(self) -> None:
        self._everywhere = True
        self._agenda.after(3.0, self._stop_raising)

    def raise_in_evolve(self) -> None:
        guild = self._some_story().town.guild
        self._unreplayable.add(guild)
        self._for_a_while(lambda: self._unreplayable.discard(guild))

    def _poison(self, times: int) -> None:
        user = self._some_story().town.any_member()
        if user is not None:
            self._poisoned[user] = times

    def _stop_raising(self) -> None:
        self._everywhere = False

    # Discord

    def storm(self) -> None:
        self._some_story().storm(min(3 * self._dials.lane, 60))

    def session_lost(self) -> None:
        self._gateway.identify()

    def resumed(self) -> None:
        self._gateway.hold(self._random.uniform(0.1, 8.0))

    def outage(self) -> None:
        story = self._some_story()
        town = story.town
        if town.available and town.there:
            self._gateway.dispatch(town, lambda heard: m.GuildWentAway(at_us=heard.arrived_us))
            town.available = False
            self._for_a_while(lambda: self._mend(story))

    def removed(self) -> None:
        story = self._some_story()
        town = story.town
        if town.available and town.there:
            self._gateway.dispatch(town, lambda heard: m.RemoveGuild(at_us=heard.arrived_us))
            town.there = False
            self._for_a_while(lambda: self._mend(story))

    def forbidden(self) -> None:
        story = self._some_story()
        if story.town.readable:
            story.town.readable = False
            self._gateway.dispatch(story.town, lambda heard: m.NotePermissions(at_us=heard.arrived_us))
            self._for_a_while(lambda: self._permit(story))

    def no_answers(self) -> None:
        town = self._some_story().town
        town.answering = False
        self._for_a_while(lambda: setattr(town, "answering", True))

    def _permit(self, story: Story) -> None:
        if not story.town.readable:
            story.town.readable = True
            self._gateway.dispatch(story.town, lambda heard: m.NotePermissions(at_us=heard.arrived_us))

    # What the watched parts ask

    def deciding(self, actor: GuildActor, message: m.Message) -> None:
        """Raises where the handler of this message has a bug."""
        user = getattr(message, "user", None)
        if self._everywhere or (user is not None and self._poisoned[user] > 0):
            if user is not None:
                self._poisoned[user] -= 1
            self.hits[f"guild/{actor.guild}"] += 1
            raise Broken(f"deciding on {type(message).__name__}")

    def evolving(self, guild: GuildId) -> None:
        """Raises where a record cannot be replayed."""
        if guild in self._unreplayable:
            self.hits[f"guild/{guild}"] += 1
            raise ValueError("planted: evolve")

    def is_stubborn(self, actor: GuildActor) -> bool:
        """Whether this life does not end when it is told to."""
        return actor in self._stubborn

    def hangs(self, guild: GuildId) -> bool:
        """Whether this turn never comes to its end; asked once."""
        if guild not in self._hanging:
            return False
        self._hanging.discard(guild)
        self.hits[f"guild/{guild}"] += 1
        return True

    def journal_lingers(self) -> bool:
        """Whether the journal's life does not end when it is told to; asked once."""
        lingers, self._lingering_journal = self._lingering_journal, False
        return lingers


AT_STEPS: Final[Mapping[str, Callable[[Faults], None]]] = {
    "kill_guild": Faults.kill_guild,
    "kill_journal": Faults.kill_journal,
    "kill_caretaker": Faults.kill_caretaker,
    "kill_uploader": Faults.kill_uploader,
    "zombie_guild": Faults.zombie_guild,
    "zombie_journal": Faults.zombie_journal,
    "power": Faults.cut_power,
}
AT_TIMES: Final[Mapping[str, Callable[[Faults], None]]] = {
    "hang": Faults.hang,
    "disk_full": Faults.disk_full,
    "disk_fails": Faults.disk_fails,
    "slow_disk": Faults.slow_disk,
    "database_fails": Faults.database_fails,
    "database_away": Faults.database_away,
    "cloud_away": Faults.cloud_away,
    "cloud_slow": Faults.cloud_slow,
    "cloud_loses": Faults.cloud_loses,
    "cloud_late": Faults.cloud_late,
    "rival": Faults.rival_comes,
    "raise_once": Faults.raise_once,
    "raise_always": Faults.raise_always,
    "raise_everywhere": Faults.raise_everywhere,
    "raise_in_evolve": Faults.raise_in_evolve,
    "storm": Faults.storm,
    "session_lost": Faults.session_lost,
    "resumed": Faults.resumed,
    "outage": Faults.outage,
    "removed": Faults.removed,
    "forbidden": Faults.forbidden,
    "no_answers": Faults.no_answers,
}


def _nobody() -> bool:
    return False


def rot(platter: Platter, elsewhere: Collection[bytes], random: Random) -> bool:
    """Flips a bit somewhere in the log, as a disk does between two lives; False where there is none to flip.

    ``elsewhere``: frames that the other layer will tell of at the next start.
    """
    paths = [path for path in platter._volume.names if path.parent.name == "log" and platter.read(path)]
    if not paths:
        return False
    path = random.choice(paths)
    data = bytearray(platter.read(path))
    place, bit = random.randrange(len(data)), random.randrange(8)
    if path == max(paths) and _would_seem_torn(bytes(data), place, elsewhere):
        return False
    data[place] ^= 1 << bit
    platter.overwrite(path, bytes(data))
    platter.index()
    return True


def _would_seem_torn(data: bytes, place: int, elsewhere: Collection[bytes]) -> bool:
    """Whether rot there is like a last batch that was never whole, and no other layer could tell.

    Then acknowledged records are gone unnoticed, whatever the program does: LEDGER_ACK named this layer alone, or the
    other one was away.
    """
    written = data[: data.rfind(b"\n") + 1]  # the opening of a next batch that was torn itself confirms nothing
    opening = written.rfind(b'{"batch":')
    return place >= opening and any(line not in elsewhere for line in data[opening:].split(b"\n")[1:-1])
