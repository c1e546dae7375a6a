"""One run: a seed's world, some lives of the process in it, faults, healing, and the judgement of what is durable.

Phase one: things happen and go wrong. Phase two, in the last life: faults are over and everything has to be well
within a bound of virtual time. Then the power is cut once more, and what is left is opened by a store of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final

import msgspec

from actors.cloud_side import Cloud
from actors.supervision import PASSIVATED
from ledger import messages as m
from ledger.errors import LedgerError, StorageError
from ledger.forgetting import person
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.records import Status
from ledger.state import GuildState
from persistence.cloud import CloudLayer
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.memory_database import MemoryDatabase
from persistence.memory_objects import MemoryObjects
from persistence.store import Store
from tests.persistence.simdisk import PowerCut
from tests.simulation import invariants as i
from tests.simulation.agenda import Agenda
from tests.simulation.asks import Asks
from tests.simulation.dials import Dials, stream, tuned
from tests.simulation.faults import IN_FLIGHT, Faults, rot
from tests.simulation.gateway import Gateway
from tests.simulation.kill_points import KillPoint
from tests.simulation.loop import EPOCH_S, Idle, SimClock, SimLoop, SimRandomness
from tests.simulation.oracle import NEARBY, Oracle
from tests.simulation.outside import FORBIDDEN, Shown, SimOutside
from tests.simulation.platter import Platter
from tests.simulation.process import DATA, Process
from tests.simulation.sky import Sky, Way, Weather
from tests.simulation.storage import Connection, Thread, unsealing_once
from tests.simulation.story import Story, guild_ids
from tests.simulation.town import S, Town
from tests.simulation.violation import Violation
from tests.simulation.watched import (
    WatchedJournal,
    WatchedLayer,
    WatchedOutside,
    WatchedStore,
    watching,
)

HEAL_S: Final = 300.0
"""After the faults everything is well within so long; guilds that are parked then, so long after their next try."""
PATIENCE_S: Final = 30.0
STORAGE: Final = frozenset({"disk_full", "disk_fails", "database_fails", "database_away", "rot", "zombie_journal"})
"""Faults after which a layer may not be readable for a while."""
HARMLESS_S: Final = 60.0
"""A verdict is not held against the bot when somebody whom nobody could hear of joined so close to it."""


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to. ``broken``: the invariant that did not hold, "" = none; ``why``: the sentence."""

    dials: Dials
    broken: str
    why: str
    handled: int
    steps: int
    virtual_s: float
    trace: int
    seen: Counter[str]
    injected: Counter[str]
    kill_points: frozenset[KillPoint]


def run(dials: Dials, patches: Sequence[AbstractContextManager[object]] = ()) -> Outcome:
    """Plays a run to its end, or to the first violation. ``patches``: bugs that are planted for so long."""
    world = World(dials)
    with ExitStack() as stack:
        stack.enter_context(tuned(dials))
        stack.enter_context(unsealing_once())
        stack.enter_context(watching(world.oracle, world.faults))
        for patch in patches:
            stack.enter_context(patch)
        try:
            world.play()
        except Violation as violation:
            return world.outcome(violation.name, str(violation))
    return world.outcome("", "")


class World:
    """Everything of one run."""

    def __init__(self, dials: Dials) -> None:
        self.dials = dials
        self.agenda = Agenda()
        random = stream(dials.seed, "world")
        skew_us = random.randint(-S, S)
        self.towns = {guild: self._town(guild, skew_us) for guild in guild_ids(dials.guilds)}
        self.database = MemoryDatabase("database")
        self.disk = Platter()
        self.sky = Sky() if dials.cloud else None
        self.oracle = Oracle(self.database, self.sky, dials.named)
        self.asks = Asks(self.oracle)
        self.gateway = Gateway(self.agenda, self.towns, stream(dials.seed, "gateway"))
        self.stories = {guild: self._story(town) for guild, town in self.towns.items()}
        self.faults = Faults(dials, self.agenda, self.stories, self.gateway, self.database)
        self._random = random
        self._folders = self._handled = self._steps = 0
        self._process: Process | None = None

    # What the bot may ask of Discord

    def counters(self, guild: GuildId) -> Shown | str:
        town = self.towns.get(guild)
        return town.shown() if town is not None else FORBIDDEN

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...] | str:
        return self.towns[guild].listed(after, limit)

    # The run

    def play(self) -> None:
        for life in range(self.dials.lives):
            self._live(life, last=False)
            self._between_lives()
        self.faults.heal()
        self._live(self.dials.lives, last=True)
        self._judge()

    def outcome(self, broken: str, why: str) -> Outcome:
        return Outcome(
            dials=self.dials,
            broken=broken,
            why=why,
            handled=self._handled,
            steps=self._steps,
            virtual_s=self.agenda.now_s(),
            trace=self.oracle.trace,
            seen=+self.oracle.seen + self._killed() + (Counter() if self.sky is None else self.sky.seen),
            injected=+self.faults.injected,
            kill_points=frozenset(self.faults.kill_points),
        )

    def _killed(self) -> Counter[str]:
        counts = {f"killed while {stage}": count for stage, count in self.faults.stages.items()}
        return Counter({**counts, IN_FLIGHT: self.faults.injected[IN_FLIGHT]})

    def _town(self, guild: GuildId, skew_us: int) -> Town:
        def now_us() -> int:
            return int((EPOCH_S + self.agenda.now_s()) * S) + skew_us

        return Town(guild, stream(self.dials.seed, f"town/{guild}"), now_us, self.agenda.now_s)

    def _story(self, town: Town) -> Story:
        random = stream(self.dials.seed, f"story/{town.guild}")
        return Story(town, self.agenda, self.gateway, self.asks, random)

    # A life of the process

    def _live(self, life: int, *, last: bool) -> None:
        loop = SimLoop(stream(self.dials.seed, f"loop/{life}"), start_s=self.agenda.now_s())
        process = self._process = self._make(loop)
        self.agenda.attach(loop)
        self.oracle.begin_life(process, self.disk)
        self.faults.begin_life(process)
        try:
            loop.run(self._lifetime(process, last=last))
        except PowerCut:
            self.oracle.seen["power cut" if process.tree else "power cut while it starts"] += 1
        except StorageError:
            self.oracle.seen["start refused"] += 1
        except Idle as idle:
            raise Violation("I10", str(idle)) from idle
        finally:
            self._end(process)

    def _make(self, loop: SimLoop) -> Process:
        def make_store(*parts: object) -> Store:
            store = WatchedStore(*parts)  # type: ignore[arg-type]
            store.oracle = self.oracle
            return store

        def make_journal(*parts: object, **more: object) -> WatchedJournal:
            journal = WatchedJournal(*parts, **more)  # type: ignore[arg-type]
            journal.oracle = self.oracle
            return journal

        def wrap(layer: Layer) -> Layer:
            return WatchedLayer(layer, self.oracle, self.faults)  # type: ignore[return-value]

        return Process(
            loop,
            self.disk,
            self.database,
            hear=self.oracle.line,
            cloud=self._cloud(loop, self.faults.weather),
            named=self.dials.named,
            segment_bytes=self.dials.segment_bytes,
            wrap=wrap,
            make_store=make_store,
            make_journal=make_journal,
        )

    def _cloud(self, loop: SimLoop, weather: Weather) -> Cloud | None:
        """A process's way to the cloud, under the name of the folder that is there now."""
        if self.sky is None:
            return None
        return Cloud(Way(self.sky, weather, self.agenda, loop.random).objects, f"folder {self._folders}")

    async def _lifetime(self, process: Process, *, last: bool) -> None:
        supervisor = process.supervisor
        outside = SimOutside(process.loop, supervisor.roster, self, process.clock, page=self.dials.page)
        await process.start(WatchedOutside(outside, self.oracle))
        assert process.tree is not None, "it has started"
        process.tree.add_done_callback(partial(_tree_ended, process.loop))
        self.gateway.connect(supervisor, process.clock)
        self.asks.connect(process, outside)
        if last:
            await self._be_well(process)
            process.loop.fail(PowerCut())
            return
        for story in self.stories.values():
            story.unfold(self.dials.happenings, self.dials.life_s)
        await asyncio.sleep(self.dials.life_s)
        if self._random.random() < 0.4:
            self.oracle.seen["drained"] += 1
            await process.stop()
        else:
            process.loop.fail(PowerCut())

    def _end(self, process: Process) -> None:
        addresses = process.supervisor.roster.addresses().values()
        self._handled += sum(address.statistics().handled for address in addresses)
        self._steps += process.loop.steps
        self.oracle.judge_restarts(self.faults.hits, storage_failed=bool(STORAGE & {*self.dials.faults}))
        self.gateway.disconnect()
        self.asks.disconnect()
        self.faults.end_life()
        self.agenda.detach()
        self.disk.before = _nothing
        process.kill()
        self.disk = self.disk.crashed(self._random)

    def _between_lives(self) -> None:
        """Some time passes without a process; perhaps a bit flips on the disk, or the folder is wiped."""
        if "wipe" in self.dials.faults and self._random.random() < 0.5:
            self._wipe()
        elif (
            "rot" in self.dials.faults
            and self._random.random() < 0.5
            and rot(self.disk, self._surely_elsewhere(), self._random)
        ):
            self.faults.injected["rot"] += 1
        self.agenda.pass_until(self.agenda.now_s() + self._random.choice((0.1, 5.0, 100.0)))

    def _wipe(self) -> None:
        """The next life has the cloud, and nothing else: a new machine, a redeploy without a volume."""
        self.faults.injected["wipe"] += 1
        self._folders += 1
        self.disk, self.database = Platter(), MemoryDatabase("database")
        self.faults.database = self.database
        self.oracle.wiped(self.database)

    def _surely_elsewhere(self) -> frozenset[bytes]:
        """Frames that the database will tell of, whenever the next life starts."""
        may_be_away = {"database_away", "database_fails"} & {*self.dials.faults}
        return frozenset() if may_be_away else frozenset(self.database._frames.values())

    # Phase two

    async def _be_well(self, process: Process) -> None:
        """Everything recovers, everybody is answered, every join is worked out, and every member known."""
        await self._wait_for(process, lambda: self._unwell(process))
        for guild in self.towns:
            for message in (m.DescribeGuild(), m.DescribeCodes(), m.DescribeWindow()):
                outcome = await process.supervisor.roster.ask(guild, message, PATIENCE_S)
                i.answered_when_well(outcome, message)
        await self._wait_for(process, lambda: [*self._unwell(process), *self._undecided()])
        for guild, town in self.towns.items():
            state = self.oracle.book(guild).state
            known = {person(state, name) for name, periods in state.members.items() if periods[-1].is_open()}
            i.members_are_known(guild, town.members, known)
        self.oracle.seen["healed"] += 1

    async def _wait_for(self, process: Process, unwell: Callable[[], list[str]]) -> None:
        began_s = process.loop.time()
        parked = [child.probe_at_s for child in process.supervisor._guilds.values() if child.parked]
        limit_s = max([began_s, *parked]) - began_s + HEAL_S
        while troubles := unwell():
            waited_s = process.loop.time() - began_s
            if waited_s > limit_s:
                i.healed(troubles, waited_s)
            await asyncio.sleep(1.0)

    def _unwell(self, process: Process) -> list[str]:
        """What is not as it should be."""
        supervisor, said = process.supervisor, list[str]()
        for guild in self.towns:
            phase, address = supervisor.phase_of(guild), supervisor.roster.addresses().get(guild)
            if phase not in {Phase.LIVE, PASSIVATED}:
                said.append(f"guild {guild} is {phase}")
            elif phase == Phase.LIVE and not _is_reconciled(process, guild):
                said.append(f"guild {guild} has not compared its members")
            if address is not None and not address.is_idle():
                said.append(f"guild {guild} has messages waiting")
        said += [f"{each.name}: {each.error}" for each in process.store.health() if not each.healthy or each.behind]
        if not process.journal.is_idle() or not process.journal.is_ready() or process.journal.is_degraded():
            said.append("the journal is not idle")
        if not self.gateway.is_idle():
            said.append("dispatches are on their way")
        if self.asks.waiting:
            said.append(f"{self.asks.waiting} people wait for an answer")
        return said or [f"{name} runs beside its successor" for name in _zombies(process)]  # last: it takes long

    def _undecided(self) -> list[str]:
        return [
            f"guild {guild}: the join of {user} is pending"
            for guild, book in self.oracle.books.items()
            for user, periods in book.state.members.items()
            if any(period.status is Status.PENDING for period in periods)
        ]

    # The judgement

    def _judge(self) -> None:
        """What the last power cut left is opened, by one layer alone, by the cloud alone, and by
        all; and the verdicts are compared.
        """
        self._judge_what(self.disk, self.database, (self._random.choice(NEARBY),), None)
        if self.sky is not None:
            self._judge_what(Platter(), MemoryDatabase("database"), NEARBY, Sky(self.sky.objects))
        self._judge_what(self.disk, self.database, NEARBY, self.sky)
        for guild, town in self.towns.items():
            self._judge_verdicts(town, self.oracle.book(guild).state)

    def _judge_what(self, disk: Platter, database: MemoryDatabase, names: Sequence[str], sky: Sky | None) -> None:
        loop = SimLoop(stream(self.dials.seed, "judge"), start_s=self.agenda.now_s())
        clock, randomness = SimClock(loop), SimRandomness(loop.random)
        files = LocalLayer(disk.crashed(self._random), DATA, Thread(loop), segment_bytes=self.dials.segment_bytes)
        layers = [each for each in (files, Connection(database, Thread(loop))) if each.name in names]
        cloud = None if sky is None else CloudLayer(MemoryObjects(sky), Thread(loop), randomness, clock, "judge")
        try:
            loop.run(self.oracle.judge(Store(layers, clock, randomness, cloud)))
        except LedgerError as error:
            raise Violation("I9", f"what is left cannot be read: {error}") from error
        finally:
            loop.abandon()

    def _judge_verdicts(self, town: Town, state: GuildState) -> None:
        """Those are passed over that somebody of whom nobody could be told may have disturbed."""
        known = {
            (person(state, name), each.opened_us): each for name, periods in state.members.items() for each in periods
        }
        unheard_s = [joined.at_s for join, joined in town.joins.items() if join not in known]
        truth = {
            join: joined
            for join, joined in town.joins.items()
            if all(abs(joined.at_s - at_s) > HARMLESS_S for at_s in unheard_s)
        }
        verdicts = {join: (period.status, period.code) for join, period in known.items()}
        self.oracle.seen["certain verdict compared"] += sum(
            verdicts[join][0] is Status.CERTAIN for join in truth if join in verdicts
        )
        i.no_claim_is_wrong(town.guild, verdicts, truth)


def _is_reconciled(process: Process, guild: GuildId) -> bool:
    actor = process.supervisor._guilds[guild].actor
    return actor is not None and actor.presence.reconciled


def _zombies(process: Process) -> list[str]:
    """Names of guilds' lives that have not ended although others took their place."""
    running = {child.task for child in process.supervisor._guilds.values()}
    tasks = asyncio.all_tasks(process.loop)
    return sorted(task.get_name() for task in tasks if task.get_name().startswith("guild/") and task not in running)


def _tree_ended(loop: SimLoop, tree: "asyncio.Task[None]") -> None:
    if not tree.cancelled() and tree.exception() is not None:
        loop.fail(Violation("B1", f"the tree ended: {tree.exception()!r}"))


def _nothing(number: int, what: str) -> None:
    del number, what
