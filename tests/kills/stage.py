"""The stage of a kill: two small guilds, a bot in the simulation that serves them, and the truth it is judged by.

A *life* is one process on a loop of its own; disk and database go from one life to the next, as a cut of the power
leaves them. People join and ask while a life runs; what was told to a process that then died is made good by the
member list, so in the end everybody who joined has to be recorded, once.
"""

import asyncio
import copy
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import pytest

from actors import guild as guild_module
from actors.asks import Outcome
from actors.cloud_side import Cloud
from ledger import messages as m
from ledger.answers import Answer
from ledger.effects import AnnounceJoin, ReadAudit
from ledger.ids import GuildId, InviteCode, SessionId, UserId
from ledger.records import Counter, GatewayCause, Report
from persistence import following, local, recovery, rehydration
from persistence.objects import Unreachable
from tests.kills.acts import Hands
from tests.kills.databases import Database, InMemory, threadless
from tests.kills.points import KERNEL, inventory
from tests.kills.probe import Waited, Watch, factory
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.simdisk import PowerCut, SimDisk
from tests.simulation.loop import SimLoop
from tests.simulation.outside import Shelf, Shown, SimOutside
from tests.simulation.process import Process

GUILDS: Final = (GuildId("77"), GuildId("78"))
KNOWN: Final = inventory(KERNEL)
BY_INVITE: Final = 5
"""A way that the member search gives."""
HEAL_S: Final = 1_200.0
"""Everything is well again so long after the last fault: a probe of a parked guild, and room."""
ANSWER_S: Final = 0.01
SLOW_S: Final = (1.0, 8.0)
"""What a slow device takes for one piece of work; a life that is told to end is waited for 5 s."""


class Village:
    """Two guilds with an invite each; who joined by it."""

    def __init__(self) -> None:
        self.joined: dict[GuildId, dict[UserId, int]] = {guild: {} for guild in GUILDS}
        self.gone: set[tuple[GuildId, UserId]] = set()

    def counters(self, guild: GuildId) -> Shown:
        uses = len(self.joined.get(guild, {}))
        return Shown((Counter(code=InviteCode(f"A{guild}"), created_at_us=1, uses=uses, inviter=UserId("5")),))

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...]:
        rows = [
            m.ListedMember(user=user, joined_at_us=at_us)
            for user, at_us in self.joined.get(guild, {}).items()
            if int(user) > int(after) and (guild, user) not in self.gone
        ]
        return tuple(sorted(rows, key=lambda row: int(row.user))[:limit])

    def logged(self, guild: GuildId, effect: ReadAudit, at_us: int) -> m.AuditArrived:
        """Nobody makes or deletes invites."""
        del guild
        return m.AuditArrived(number=effect.number, requested_us=at_us)

    def searched(self, guild: GuildId, users: Collection[UserId]) -> tuple[m.SearchedMember, ...]:
        here = self.joined.get(guild, {})
        return tuple(
            m.SearchedMember(user=user, joined_at_us=here[user], report=Report(BY_INVITE, InviteCode(f"A{guild}")))
            for user in users
            if user in here and (guild, user) not in self.gone
        )

    def swept(self, guild: GuildId, after: tuple[int, int], limit: int) -> tuple[m.SearchedMember, ...]:
        places = sorted((at_us, int(user)) for user, at_us in self.joined.get(guild, {}).items())
        return self.searched(guild, [UserId(str(user)) for at_us, user in places if (at_us, user) > after][:limit])

    def post(self, guild: GuildId, effect: AnnounceJoin) -> Shelf:
        """Into a channel that keeps everything."""
        del guild
        period = effect.period
        return Shelf(f"m{period.opened_us}", period.opened_us, period.verdicts, (period.status, period.code))


class RootDied(Exception):
    """The supervisor itself ended, and with it the process."""


@contextmanager
def small_chunks() -> Iterator[None]:
    """Whatever goes in chunks goes in several, though there are few records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_CHUNK_RECORDS", 4)
        patch.setattr(recovery, "FEED_RECORDS", 4)
        patch.setattr(guild_module, "REPLAYED_AT_ONCE", 2)
        patch.setattr(rehydration, "VERIFIED_AT_ONCE", 2)
        patch.setattr(rehydration, "VETTED_AT_ONCE", 2)
        patch.setattr(following, "QUEUED_BYTES", 2_000)
        patch.setattr(following, "PIECE_RECORDS", 4)
        yield


@contextmanager
def unheard() -> Iterator[None]:
    """What the coroutines of a killed process still say when they are thrown away is heard by nobody."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


class Asked:
    """A question and what became of it. ``task``: who asks; ``may_fail``: with an error of ours, and asks again."""

    def __init__(self, what: str, task: str, *, may_fail: bool) -> None:
        self.what = what
        self.task = task
        self.may_fail = may_fail
        self.outcome: Outcome[Answer] | None = None
        self.error: BaseException | None = None


class Life:
    """One process, and what its guilds go through.

    Args:
        stage: what outlives it.
        loop: where it runs.
    """

    def __init__(self, stage: "Stage", loop: SimLoop) -> None:
        self.stage = stage
        self.loop = loop
        self.process = _make(loop, stage)
        stage.lives += 1
        self.session = SessionId(f"session{stage.lives}")
        self.asked: list[Asked] = []
        self.clients: list[asyncio.Task[None]] = []
        self.complaints: list[str] = []
        loop.set_exception_handler(self._complain)
        self._dispatches = 0

    def hands(self) -> Hands:
        """How things end in it."""

        def cut() -> None:
            def off() -> None:
                raise PowerCut

            self.loop.at_step(self.loop.steps, off)

        def guilds() -> None:
            for guild in GUILDS:
                self.process.supervisor.kill(f"guild/{guild}")

        return Hands(self.process.supervisor.kill, guilds, cut, self._withhold)

    async def start(self) -> None:
        roster = self.process.supervisor.roster
        village = self.stage.village
        await self.process.start(SimOutside(self.loop, roster, village, self.process.clock, errands=village))

    async def come_up(self) -> None:
        """Both guilds are there, and counted."""
        for guild in GUILDS:
            self.process.supervisor.roster.tell(guild, m.GuildCameUp(session=self.session, at_us=self.stamp_us()))
        await self.until(self.is_live, HEAL_S)

    def join(self, guild: GuildId) -> UserId:
        """Somebody joins; the bot is told."""
        stage = self.stage
        stage.people += 1
        user, now_us = UserId(str(1_000 + stage.people)), self.stamp_us()
        stage.village.joined[guild][user] = now_us
        join = m.RecordJoin(
            cause=self.cause(), session=self.session, user=user, joined_at_us=now_us, arrived_us=self.stamp_us()
        )
        self.process.supervisor.roster.tell(guild, join)
        return user

    def leave(self, guild: GuildId, user: UserId) -> None:
        """Somebody leaves; the bot is told."""
        self.stage.village.gone.add((guild, user))
        leave = m.RecordLeave(cause=self.cause(), user=user, arrived_us=self.stamp_us())
        self.process.supervisor.roster.tell(guild, leave)

    def ask(self, guild: GuildId, message: m.Message, within_s: float = HEAL_S) -> None:
        """Somebody asks a guild, and waits patiently."""

        async def wait(asked: Asked) -> None:
            asked.outcome = await self.process.supervisor.roster.ask(guild, message, within_s)

        self._begin(f"{type(message).__name__} of {guild}", wait, may_fail=False)

    def do(self, what: str, work: Callable[[], Coroutine[object, object, object]]) -> None:
        """Somebody wants something else of the process, which may be refused."""

        async def wait(_: Asked) -> None:
            await work()

        self._begin(what, wait, may_fail=True)

    def _begin(self, what: str, work: Callable[[Asked], Coroutine[object, object, None]], *, may_fail: bool) -> None:
        asked = Asked(what, f"client/{len(self.clients)}", may_fail=may_fail)
        self.asked.append(asked)

        async def noting() -> None:
            try:
                await work(asked)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever was planted
                asked.error = error

        self.clients.append(self.loop.create_task(noting(), name=asked.task))

    def cause(self) -> GatewayCause:
        self._dispatches += 1
        return GatewayCause(session=self.session, number=self._dispatches, lane="members")

    def stamp_us(self) -> int:
        return self.process.clock.stamp_us()

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_later(seconds, done.set_result, None)
        await done

    async def until(self, holds: Callable[[], bool], patience_s: float) -> None:
        """Waits until it holds, in steps that are short at first."""
        end_s, step_s = self.loop.time() + patience_s, 0.05
        while not holds():
            if self.process.tree is not None and self.process.tree.done():
                raise RootDied(repr(self.process.tree))
            assert self.loop.time() < end_s, f"not within {patience_s:g} s: {self.how_it_is()}"
            await self.sleep(step_s)
            step_s = min(1.0, step_s * 1.5)

    # What is true of it

    def is_live(self) -> bool:
        return all(self.process.supervisor.phase_of(guild) in ("live", "passivated") for guild in GUILDS)

    def is_quiet(self) -> bool:
        """Whether all is live, worked out, answered, and nothing waits anywhere."""
        supervisor, journal = self.process.supervisor, self.process.journal
        waiting = sum(supervisor.roster.statistics().waiting)
        layers = all(layer.healthy and not layer.behind for layer in journal.statistics().layers)
        idle = journal.is_ready() and journal.is_idle() and not journal.pulse().busy and layers
        shown = all(child.actor is None or not child.actor.state.outbox for child in supervisor._guilds.values())
        return self.is_live() and idle and not waiting and shown and all(task.done() for task in self.clients)

    def how_it_is(self) -> str:
        supervisor = self.process.supervisor
        phases = {guild: supervisor.phase_of(guild) for guild in GUILDS}
        return f"{phases}, waiting {supervisor.roster.statistics().waiting}, {self.process.journal.statistics()}"

    def events(self, name: str) -> int:
        return len(self.process.events(name))

    def _withhold(self, waited: Waited) -> Callable[[], None]:
        journal = self.process.journal
        request = next((each for each in journal._queue if each.done is waited), None)
        if request is None:
            return lambda: None  # it was in the journal's hands already
        journal._queue.remove(request)

        def arrive() -> None:
            journal._queue.append(request)
            journal._arrived.set()

        return arrive

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """What goes wrong outside of any task; an outcome that nobody fetched was planted."""
        del loop
        if "never retrieved" not in str(context["message"]):
            self.complaints.append(f"{context['message']}: {context.get('exception')!r}")


Script = Callable[[Life], Coroutine[object, object, None]]


class Stage:
    """Disk, database and truth, over many lives.

    Args:
        seed: chooses latencies, order of tasks, and what a cut of the power leaves.
        slow: every piece of disk work takes seconds.
    """

    def __init__(self, seed: int, *, slow: bool = False) -> None:
        self.random = Random(seed)
        self.slow = slow
        self.disk = SimDisk()
        self.database: Database = InMemory()
        self.bucket: MemoryBucket | None = None
        self.is_cloud_away = False
        self.village = Village()
        self.people = 0
        self.acknowledged: set[tuple[GuildId, UserId]] = set()
        self.now_s = 0.0
        self.named: tuple[str, ...] = ("log", "database")
        self.lives = 0

    def copied(self) -> "Stage":
        """All of it once more, for somebody who will change it."""
        fresh = Stage(0, slow=self.slow)
        fresh.random.setstate(self.random.getstate())
        fresh.disk, fresh.database = copy.deepcopy(self.disk), self.database.copied()
        fresh.bucket = None if self.bucket is None else self.bucket.copy()
        fresh.is_cloud_away = self.is_cloud_away
        fresh.take_truth(self)
        fresh.now_s, fresh.lives, fresh.named = self.now_s, self.lives, self.named
        return fresh

    def take_truth(self, other: "Stage") -> None:
        """Who joined, and what was acknowledged, is what it was there."""
        self.village, self.people = copy.deepcopy(other.village), other.people
        self.acknowledged = set(other.acknowledged)

    def life(self, script: Script, watch: "Callable[[Life], Watch] | None" = None) -> BaseException | None:
        """Runs one process to the end of the script, then cuts the power. What ended it otherwise is given."""
        latency_s = (lambda random: random.uniform(*SLOW_S)) if self.slow and watch is not None else None
        loop = SimLoop(Random(self.random.random()), latency_s, start_s=self.now_s)
        life = Life(self, loop)
        if watch is not None:
            loop.set_task_factory(factory(KNOWN, watch(life)))
        ended: BaseException | None = None
        with threadless(), small_chunks(), unheard():
            ended = self._ran(life, script)
            self.end(life)
        return ended

    def _ran(self, life: Life, script: Script) -> BaseException | None:
        loop, ended = life.loop, None
        try:
            loop.run_until_complete(loop.create_task(script(life), name="main"))
        except (PowerCut, Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever was planted
            ended = error
        return ended

    def end(self, life: Life) -> None:
        """The power is off."""
        self.now_s = life.loop.time() + 1.0
        for fields in life.process.events("join.acknowledged"):
            self.acknowledged.add((GuildId(str(fields["guild"])), UserId(str(fields["user"]))))
        life.process.kill()
        self.disk = self.disk.crashed(self.random)
        self.database.left()


def _make(loop: SimLoop, stage: Stage) -> Process:
    return Process(loop, stage.disk, stage.database.used(), cloud=_cloud_of(stage), named=stage.named)


def _cloud_of(stage: Stage) -> Cloud | None:
    """The stage's bucket, each answer of which takes a moment; or none at all."""
    if stage.bucket is None:
        return None
    objects = MemoryObjects(stage.bucket)

    async def answer(call: Call) -> None:
        await asyncio.sleep(ANSWER_S)
        if stage.is_cloud_away:
            raise Unreachable(f"no answer to {call.verb}")

    objects.before = answer
    return Cloud(objects, "folder")
