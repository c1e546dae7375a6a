"""The campaign: where a scenario waits, and each place killed in each way.

A first run of a scenario only counts the places that it comes to. Then, for a place, a visit of it and a mode, it is
run anew up to there, the deed is done, all heals, and ``judge`` looks: at the life, at its end, and, after one more
cut of the power, at what is durable.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Final

import msgspec

from persistence.layer import guild_frames
from tests.kills import judge
from tests.kills.acts import LINGER_S, Hands, Mode, act_of, kind_of, modes_at
from tests.kills.databases import InSqlite
from tests.kills.probe import Act, Place, Probe, Waited
from tests.kills.scenarios import SCENARIOS, Scenario, coming_up
from tests.kills.stage import GUILDS, HEAL_S, Life, Stage
from tests.persistence.simdisk import PowerCut

SEED: Final = 7
MOST_VISITS: Final = 24
OPENING: Final = "persistence/store.py:Store.start#1"


class Spot(msgspec.Struct, frozen=True):
    """A place as one kind of task comes to it."""

    kind: str
    place: Place

    def __str__(self) -> str:
        return f"{self.kind}: {' > '.join(point.name for point in self.place)}"


class Case(msgspec.Struct, frozen=True):
    """What is done where. ``number``: of the spot, in the order of the scenario's own run."""

    scenario: str
    number: int
    mode: Mode
    visit: int
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.scenario}{'+slow' if self.slow else ''}:{self.number}:{self.mode}:{self.visit}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        scenario, number, mode, visit = text.split(":")
        name, _, slow = scenario.partition("+")
        return cls(name, int(number), Mode(mode), int(visit), bool(slow))


class Run(msgspec.Struct, frozen=True):
    """What became of a run. ``struck``: the task that was killed, "" = the place was not come to."""

    struck: str
    faults: tuple[str, ...]


class Survey(msgspec.Struct, frozen=True):
    """Where a scenario waits, in the order in which it first does, and how often; ``restarts`` of its own."""

    visits: dict[Spot, int]
    restarts: int
    faults: tuple[str, ...]

    @property
    def spots(self) -> list[Spot]:
        return list(self.visits)


class Counting:
    """A watch that does nothing but count."""

    def __init__(self) -> None:
        self.visits: dict[Spot, int] = {}

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        spot = Spot(kind_of(_task()), place)
        self.visits[spot] = self.visits.get(spot, 0) + 1
        return None


class Striking:
    """A watch that does one thing at one visit of one spot."""

    def __init__(self, spot: Spot, visit: int, mode: Mode) -> None:
        self.struck = ""
        self._spot = spot
        self._left = visit
        self._mode = mode
        self._hands: Hands | None = None

    def in_hands_of(self, life: Life) -> "Striking":
        """Itself, for this life."""
        self._hands = life.hands()
        return self

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        if self._left == 0 or place != self._spot.place or kind_of(_task()) != self._spot.kind:
            return None
        self._left -= 1
        if self._left:
            return None
        assert self._hands is not None, "it strikes within a life"
        self.struck = _task()
        return act_of(self._mode, self._hands)


def cases(scenario: Scenario, *, slow: bool = False) -> Iterator[Case]:
    """Everything that is done to a scenario. All spots come first in one mode each, then in another; so by visits."""
    visits = survey(scenario.name, slow=slow).visits
    for nth, turn in product(range(MOST_VISITS), range(len(Mode))):
        for number, (spot, count) in enumerate(visits.items()):
            chosen, modes = visits_of(spot, count), modes_at(spot.place, spot.kind)
            if nth < len(chosen) and turn < len(modes):
                mode = modes[(turn + number) % len(modes)]
                if not _is_moot(scenario, spot, mode):
                    yield Case(scenario.name, number, mode, chosen[nth], slow)


def _is_moot(scenario: Scenario, spot: Spot, mode: Mode) -> bool:
    """Where the newest of rivals cannot be opened, another leads; and what comes late to a drain finds nobody."""
    if mode is Mode.FAIL:
        return scenario.rivals and OPENING in {point.name for point in spot.place}
    return mode is Mode.LATE_WRITE and not scenario.heals


def visits_of(spot: Spot, count: int) -> list[int]:
    """Which visits of a spot are killed: the first, the middle one, the last; of a guild's write every one."""
    if spot.kind == "guild" and spot.place[-1].function == "Journal._queued":
        return [*range(1, min(count, MOST_VISITS) + 1)]
    return sorted({1, 1 + count // 2, count})


@cache
def survey(name: str, *, slow: bool = False) -> Survey:
    """The scenario without any kill."""
    counting, told = Counting(), Story(_named(name), Hopes(struck=lambda: "", restarts=1_000))
    stage = prepared(name, slow=slow)
    ended = stage.life(told.tell, lambda _: counting)
    faults = [
        *told.faults,
        *([f"I10: it ended with {ended!r}"] if ended else []),
        *_afterwards(stage, gaps=_named(name).gaps),
    ]
    return Survey(counting.visits, told.restarts, tuple(faults))


def play(case: Case) -> Run:
    """One run with a kill in it."""
    base, stage = survey(case.scenario, slow=case.slow), prepared(case.scenario, slow=case.slow)
    spot = base.spots[case.number]
    striking = Striking(spot, case.visit, case.mode)
    # A new epoch restarts whoever has something to write behind it, which is a matter of milliseconds.
    by_itself = max(base.restarts, len(GUILDS)) if base.restarts else 0
    hopes = Hopes(struck=lambda: striking.struck, restarts=by_itself + _due(case.mode, spot.kind))
    told = Story(_named(case.scenario), hopes)
    ended = stage.life(told.tell, striking.in_hands_of)
    faults = list(told.faults)
    faults += [] if ended is None else _unexpected(ended, case.mode, spot.kind)
    if ended is not None or not _named(case.scenario).heals:
        faults += _next_life(stage)
    return Run(striking.struck, (*faults, *_afterwards(stage, gaps=_named(case.scenario).gaps)))


class Hopes(msgspec.Struct, frozen=True):
    """``struck``: the task that was killed, "" = none yet; ``restarts``: so many at most."""

    struck: Callable[[], str]
    restarts: int


class Story:
    """A scenario as it is told in a life, and what was found wrong."""

    def __init__(self, scenario: Scenario, hopes: Hopes) -> None:
        self.faults: list[str] = []
        self.restarts = 0
        self._scenario = scenario
        self._hopes = hopes

    async def tell(self, life: Life) -> None:
        await life.start()
        await self._scenario.script(life)
        if self._scenario.heals:
            await life.until(life.is_quiet, HEAL_S)
            await life.sleep(LINGER_S)
            await life.until(life.is_quiet, HEAL_S)
            self.faults += judge.after_healing(life, struck=self._hopes.struck(), restarts=self._hopes.restarts)
        self.restarts = life.process.supervisor.statistics().restarts
        await life.process.stop()
        await life.sleep(LINGER_S)
        self.faults += judge.after_the_end(life)


def _unexpected(ended: BaseException, mode: Mode, kind: str) -> list[str]:
    """Whoever is cut off ends; so does a process whose root or whose start was killed. Nobody else."""
    if mode is Mode.CUT:
        due = isinstance(ended, PowerCut)
    else:
        due = kind in ("main", "supervisor") and not isinstance(ended, AssertionError)
    return [] if due else [f"I10: the process ended with {ended!r}"]


def _due(mode: Mode, kind: str) -> int:
    """So many restarts a kill may cost: its own; of both guilds when what they wait for is lost; a zombie's."""
    alone = kind == "guild" and mode in (Mode.CANCEL, Mode.LATE, Mode.ZOMBIE, Mode.SWALLOW, Mode.RAISE)
    return 1 if alone else 2 * len(GUILDS) + 1


def _next_life(stage: Stage) -> list[str]:
    """After a life that ended before all was well: the next one makes everything good; the cloud is back by then."""
    stage.is_cloud_away = False
    told = Story(Scenario("the next life", coming_up), Hopes(struck=lambda: "", restarts=0))
    ended = stage.life(told.tell)
    return [*told.faults, *([f"I10: the next life ended with {ended!r}"] if ended else [])]


def _afterwards(stage: Stage, *, gaps: bool) -> list[str]:
    """What is wrong with what is durable."""
    faults: list[str] = []
    stage.is_cloud_away = False

    async def script(life: Life) -> None:
        await life.process.store.start()
        for guild in GUILDS:
            log = await guild_frames(life.process.files, guild, 0)
            database = await guild_frames(life.process.database, guild, 0)
            faults.extend([f"I9: the layers differ in {guild}"] if list(log) != list(database) else [])
            faults.extend(judge.of_the_durable(stage, guild, [frame.record for frame in log], gaps=gaps))

    ended = stage.life(script)
    return [*faults, *([f"I9: the last look ended with {ended!r}"] if ended else [])]


def prepared(name: str, *, slow: bool) -> Stage:
    """A scenario's stage, as what came before left it."""
    stage = _prepared(name).copied()
    stage.slow = slow
    return stage


@cache
def _prepared(name: str) -> Stage:
    stage, scenario = Stage(SEED), _named(name)
    if scenario.sqlite:
        stage.database = InSqlite()
    scenario.prepare(stage)
    return stage


def _named(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def _task() -> str:
    task = asyncio.current_task()
    assert task is not None, "a probe is driven by a task"
    return task.get_name()
