"""One run: a seed's world, some lives of the process in it, faults, healing, and the judgement of what is durable.

Phase one: things happen and go wrong. Phase two, in the last life: faults are over and everything has to be well
within a bound of virtual time. Then the power is cut once more, and what is left is opened by a store of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final

import msgspec

from actors.cloud_side import Cloud
from actors.supervision import PASSIVATED
from ledger import messages as m
from ledger.effects import AnnounceJoin, ReadAudit
from ledger.errors import LedgerError, Stale, StorageError
from ledger.forgetting import person
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.records import Status, join_key
from ledger.state import GuildState
from persistence.cloud import CloudLayer
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.log_files import is_packed
from persistence.store import Store
from tests.memory.database import MemoryDatabase
from tests.memory.objects import MemoryObjects
from tests.memory.store import store_of
from tests.persistence.simdisk import PowerCut
from tests.simulation import invariants as i
from tests.simulation.agenda import Agenda
from tests.simulation.archive import Archive, manners
from tests.simulation.asks import Asks
from tests.simulation.dials import Dials, stream, tuned
from tests.simulation.faults import IN_FLIGHT, Faults, rot
from tests.simulation.gateway import Gateway
from tests.simulation.kill_points import KillPoint
from tests.simulation.loop import EPOCH_S, Idle, SimClock, SimLoop, SimRandomness
from tests.simulation.oracle import NEARBY, Oracle
from tests.simulation.outside import FORBIDDEN, Shelf, Shown, SimOutside
from tests.simulation.platter import Platter
from tests.simulation.process import DATA, Process
from tests.simulation.rival import Rival
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
MESSAGE_S: Final = 1.0
"""And so long for each message that the log channel is still to be shown."""
PATIENCE_S: Final = 30.0
SHUT_OUT: Final = 5
"""So many lives in fine weather may find a claim of the dead that arrived late."""
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
        self.archives = {guild: self._archive(town) for guild, town in self.towns.items()}
        self.stories = {guild: self._story(town) for guild, town in self.towns.items()}
        self.faults = Faults(dials, self.agenda, self.stories, self.gateway, self.database)
        self._random = random
        self.faults.rival = self._begin_rival
        self._rival: Rival | None = None
        self._rivals = self._folders = self._handled = self._steps = 0
        self._process: Process | None = None

    # What the bot may ask of Discord

    def counters(self, guild: GuildId) -> Shown | str:
        town = self.towns.get(guild)
        return town.shown() if town is not None else FORBIDDEN

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...] | str:
        return self.towns[guild].listed(after, limit)

    def logged(self, guild: GuildId, effect: ReadAudit, at_us: int) -> m.AuditArrived | str:
        return self.archives[guild].logged(effect.number, at_us)

    def searched(self, guild: GuildId, users: Collection[UserId]) -> tuple[m.SearchedMember, ...] | str:
        return self.archives[guild].searched(users)

    def swept(self, guild: GuildId, after: tuple[int, int], limit: int) -> tuple[m.SearchedMember, ...] | str:
        return self.archives[guild].swept(after, limit)

    def post(self, guild: GuildId, effect: AnnounceJoin) -> Shelf | str:
        return self.archives[guild].post(effect)

    # The run

    def play(self) -> None:
        for life in range(self.dials.lives):
            self._live(life, last=False)
            self._between_lives()
        self.faults.heal()
        for life in range(self.dials.lives, self.dials.lives + SHUT_OUT):
            if not self._live(life, last=True):
                break
            self._between_lives()
        else:
            raise Violation("I10", "every life finds somebody else who writes")
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
            seen=+self.oracle.seen
            + self._deduplicated()
            + self._killed()
            + (Counter() if self.sky is None else self.sky.seen),
            injected=+self.faults.injected,
            kill_points=frozenset(self.faults.kill_points),
        )

    def _deduplicated(self) -> Counter[str]:
        return Counter({"message deduplicated": sum(each.deduplicated for each in self.archives.values())})

    def _killed(self) -> Counter[str]:
        counts = {f"killed while {stage}": count for stage, count in self.faults.stages.items()}
        return Counter({**counts, IN_FLIGHT: self.faults.injected[IN_FLIGHT]})

    def _town(self, guild: GuildId, skew_us: int) -> Town:
        def now_us() -> int:
            return int((EPOCH_S + self.agenda.now_s()) * S) + skew_us

        return Town(guild, stream(self.dials.seed, f"town/{guild}"), now_us, self.agenda.now_s)

    def _archive(self, town: Town) -> Archive:
        random = stream(self.dials.seed, f"archive/{town.guild}")
        return Archive(town, manners(stream(self.dials.seed, "manners"), faulty=bool(self.dials.faults)), random)

    def _story(self, town: Town) -> Story:
        random = stream(self.dials.seed, f"story/{town.guild}")
        return Story(town, self.agenda, self.gateway, self.asks, random, self.archives[town.guild])

    # A life of the process

    def _live(self, life: int, *, last: bool) -> bool:
        """One; whether it ended because others write the history now."""
        loop = SimLoop(stream(self.dials.seed, f"loop/{life}"), start_s=self.agenda.now_s())
        process = self._process = self._make(loop)
        self.agenda.attach(loop)
        self.oracle.begin_life(process, self.disk)
        self.faults.begin_life(process)
        try:
            loop.run(self._lifetime(process, last=last))
        except PowerCut:
            self.oracle.seen["power cut" if process.tree else "power cut while it starts"] += 1
        except Stale:
            self.oracle.seen["stale found"] += 1
            return True
        except StorageError:
            self.oracle.seen["start refused"] += 1
        except Idle as idle:
            raise Violation("I10", str(idle)) from idle
        finally:
            self._end(process)
        return False

    def _make(self, loop: SimLoop) -> Process:
        def make_store(*parts: object, **more: object) -> Store:
            store = WatchedStore(*parts, **more)  # type: ignore[arg-type]
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
            merge_files=self.dials.merge_files,
            wrap=wrap,
            make_store=make_store,
            make_journal=make_journal,
        )

    def _cloud(self, loop: SimLoop, weather: Weather) -> Cloud | None:
        """A process's way to the cloud, under the name of the folder that is there now."""
        if self.sky is None:
            return None
        return Cloud(Way(self.sky, weather, self.agenda, loop.random).objects, self._folder())

    def _folder(self) -> str:
        return f"folder-{self._folders}"

    def _begin_rival(self) -> bool:
        if self.sky is None or self._process is None or self._rival is not None:
            return False
        loop = self._process.loop
        self._rivals += 1
        name = f"rival-{self._rivals}"
        way = Way(self.sky, Weather(), self.agenda, loop.random)
        self.gateway.also = Gateway(self.agenda, self.towns, stream(self.dials.seed, name), name)
        self._rival = Rival(
            loop,
            self.dials,
            self.oracle,
            cloud=Cloud(way.objects, name),
            gateway=self.gateway.also,
            discord=self,
            polite=self._random.random() < 0.3,
        )
        return True

    def _end_rival(self) -> None:
        if self._rival is not None and self.gateway.also is not None:
            self.oracle.rival_ended(self._rival.acknowledged)
            self.gateway.also.disconnect()
        self._rival = self.gateway.also = None

    async def _lifetime(self, process: Process, *, last: bool) -> None:
        supervisor = process.supervisor
        outside = SimOutside(process.loop, supervisor.roster, self, process.clock, page=self.dials.page, errands=self)
        await process.start(WatchedOutside(outside, self.oracle))
        assert process.tree is not None, "it has started"
        process.tree.add_done_callback(partial(self._tree_ended, process, process.clock.now_ms(), last=last))
        self.gateway.connect(supervisor, process.clock)
        self.asks.connect(process, outside)
        if last:
            await self._be_well(process)
            process.loop.fail(PowerCut())
            return
        for story in self.stories.values():
            story.unfold(self.dials.happenings, self.dials.life_s)
        until_s = process.loop.time() + self.dials.life_s
        await asyncio.wait({process.tree}, timeout=self.dials.life_s)
        if process.tree.done():
            await self._leave_to_others(process, until_s)
        elif self._random.random() < 0.4:
            self.oracle.seen["drained"] += 1
            await process.stop()
        else:
            process.loop.fail(PowerCut())

    async def _leave_to_others(self, process: Process, until_s: float) -> None:
        """It was told that it is stale: it ends as the program does, and whoever took over goes on for a while."""
        await process.stop()
        await asyncio.sleep(max(0.0, until_s - process.loop.time()))
        if self._rival is not None and self._random.random() < 0.5:
            await self._rival.stop()
        process.tree.result()

    def _tree_ended(self, process: Process, began_ms: int, tree: "asyncio.Task[None]", *, last: bool) -> None:
        error = None if tree.cancelled() else tree.exception()
        try:
            if isinstance(error, Stale) and self.sky is not None:
                i.stale_behind_another(self.sky.newest_claim(), self._folder(), began_ms)
            elif error is not None:
                i.no_bug_of_ours(f"the tree ended: {error!r}", planted=False)
        except Violation as violation:
            process.loop.fail(violation)
        if last and error is not None:
            process.loop.fail(error)

    def _end(self, process: Process) -> None:
        addresses = process.supervisor.roster.addresses().values()
        self._handled += sum(address.statistics().handled for address in addresses)
        self._steps += process.loop.steps
        self.oracle.judge_restarts(self.faults.hits, storage_failed=bool(STORAGE & {*self.dials.faults}))
        self._end_rival()
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
        await self._wait_for(process, lambda: self._unwell(process) or self._unasked() or self._undecided())
        for guild, town in self.towns.items():
            state = self.oracle.book(guild).state
            known = {person(state, name) for name, periods in state.members.items() if periods[-1].is_open()}
            i.members_are_known(guild, town.members, known)
        self.oracle.seen["healed"] += 1

    async def _wait_for(self, process: Process, unwell: Callable[[], list[str]]) -> None:
        began_s = process.loop.time()
        parked = [child.probe_at_s for child in process.supervisor._guilds.values() if child.parked]
        limit_s, shown = max([began_s, *parked]) - began_s + HEAL_S, 0
        while troubles := unwell():
            waited_s = process.loop.time() - began_s
            shown = max((shown, *(len(book.state.outbox) for book in self.oracle.books.values())))
            if waited_s > limit_s + shown * MESSAGE_S:
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
        said += [f"the branch {branch} of guild {guild} waits" for branch, guild in process.store.salvage.pending()]
        return said or [f"{name} runs beside its successor" for name in _zombies(process)]  # last: it takes long

    def _undecided(self) -> list[str]:
        return [
            f"guild {guild}: the join of {user} is pending"
            for guild, book in self.oracle.books.items()
            for user, periods in book.state.members.items()
            if any(period.status is Status.PENDING for period in periods)
        ]

    def _unasked(self) -> list[str]:
        """What Discord is still to be asked or shown."""
        return [
            f"guild {guild}: {what} waits"
            for guild, book in self.oracle.books.items()
            for what, waits in (
                ("the audit log", book.state.unread[1]),
                ("the second witness", book.state.unheard),
                ("the log channel", book.state.outbox),
            )
            if waits
        ]

    # The judgement

    def _judge(self) -> None:
        """What the last power cut left is opened, by one layer alone, by the cloud alone, and by
        all; and the verdicts are compared.
        """
        self.oracle.seen["log merged"] += any(is_packed(DATA / name) for name in self.disk.names(DATA / "log"))
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
            loop.run(self.oracle.judge(store_of(layers, clock, randomness, cloud)))
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
        truthful = self.archives[town.guild].is_truthful
        i.no_claim_is_wrong(town.guild, verdicts, truth, truthful=truthful)
        told_of = self.oracle.book(town.guild).told_of()
        if truthful and all(joined.invite in told_of[0] for joined in town.joins.values()):
            i.true_reports_do_not_clash(town.guild, state)
        # A use of somebody of whom nobody was told, or only another process in time, leaves too few for others (P0).
        if truthful and not unheard_s and not self.oracle.book(town.guild).has_salvaged():
            candidates = {join: each.candidates for join, each in known.items()}
            i.truth_is_a_candidate(town.guild, candidates, truth, told_of)
        i.upgrade_is_credited_once(town.guild, state)
        i.no_key_is_used_twice(town.guild, self.oracle.book(town.guild).records)
        self._judge_channel(town, state)

    def _judge_channel(self, town: Town, state: GuildState) -> None:
        """Where nothing that was recorded got lost to others, the channel shows the last verdicts."""
        if self.oracle.lost or {"rival", "wipe"} & {*self.dials.faults}:
            return
        shelves = self.archives[town.guild].shelves
        for name, periods in state.members.items():
            for period in periods:
                posted = state.posted.get(join_key(name, period.opened_us))
                if posted is not None:
                    i.channel_shows(town.guild, period, posted, shelves.get(period.opened_us))


def _is_reconciled(process: Process, guild: GuildId) -> bool:
    actor = process.supervisor._guilds[guild].actor
    return actor is not None and actor.presence.reconciled


def _zombies(process: Process) -> list[str]:
    """Names of guilds' lives that have not ended although others took their place."""
    running = {child.task for child in process.supervisor._guilds.values()}
    tasks = asyncio.all_tasks(process.loop)
    return sorted(task.get_name() for task in tasks if task.get_name().startswith("guild/") and task not in running)


def _nothing(number: int, what: str) -> None:
    del number, what
