"""The bot without Discord: journal, supervisor and guild actors over layers in memory, a stand-in for the gateway.

Nothing here is a mock: the layers keep the contract of real ones, ``Scripted`` keeps ``guild.Outside``'s.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from actors.clock import SystemRandomness
from actors.guild import Outside
from actors.journal import Journal
from actors.salvager import Salvager
from actors.supervision import ChildSpec, journal_spec, spawn
from actors.uploader import Uploader
from ledger import messages as m
from ledger.effects import (
    AnnounceJoin,
    AskWitness,
    FetchSample,
    ListMembers,
    ReadAudit,
    Request,
    SweepMembers,
    Welcome,
)
from ledger.errors import Stale
from ledger.ids import GuildId, InviteCode, SessionId, UserId
from ledger.records import Counter, GatewayCause, Record, VerdictReached
from ledger.samples import Sample
from persistence.layer import FencedLayer, Layer, guild_frames
from persistence.salvage import Salvage
from supervisor import Supervisor
from tests.memory.database import MemoryDatabase
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of

GUILD = GuildId("77")
SESSION = SessionId("session")
PATIENCE_S = 45.0
"""For what takes milliseconds: it tells a hang from a machine that is busy, before pytest's own limit does."""
JOINED_US = 1_700_000_000_000_000


class Scripted(Outside):
    """Answers every fetch at once with the counters it was given."""

    def __init__(self, world: "Bot") -> None:
        self.counters: dict[InviteCode, int] = {InviteCode("A"): 3}
        self.fetches = 0
        self.silent = False
        self._world = world
        self.welcomed: list[tuple[GuildId, Welcome]] = []
        self.errands: list[tuple[GuildId, Request]] = []

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        self.fetches += 1
        if self.silent:
            return
        clock = self._world.clock
        clock.now_s += effect.after_s
        sample = Sample(
            requested_us=clock.stamp_us(),
            answered_us=clock.stamp_us(),
            session=effect.session,
            counters=tuple(
                Counter(code=code, created_at_us=1, uses=uses, inviter=UserId("5"))
                for code, uses in self.counters.items()
            ),
        )
        self._world.supervisor.roster.tell(guild, m.SampleArrived(sample=sample, request=effect.request))

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        """An empty page, and no end: nobody new, nobody gone."""
        page = m.ReviewMembers(
            session=effect.session, members=(), after=UserId("0"), upto=UserId("1"), started_us=0, at_us=0
        )
        self._world.supervisor.roster.tell(guild, page)

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        self.welcomed.append((guild, effect))

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        """The second witness is switched off, and the audit log is empty; nothing is announced."""
        self.errands.append((guild, effect))
        at_us = self._world.clock.stamp_us()
        match effect:
            case ReadAudit():
                answer: m.Message = m.AuditArrived(number=effect.number, requested_us=max(at_us, effect.due_us))
            case AskWitness() | SweepMembers():
                answer = m.WitnessFailed(number=effect.number, reason="switched_off", at_us=at_us, again_s=86_400.0)
            case AnnounceJoin():
                answer = m.AnnouncingFailed(number=effect.number, reason="no_channel", at_us=at_us)
        if effect.due_us <= at_us + SOON_US:
            self._world.supervisor.roster.tell(guild, answer)


SOON_US = 60_000_000
"""Errands that are due so soon are answered at once; later ones, which failed before, wait for ever."""


class Bot:
    """Everything behind the gateway, over the layers ``log`` and ``database``, or over others (the bench's)."""

    def __init__(
        self,
        layers: Sequence[Layer] = (),
        salvage: Salvage | None = None,
        *,
        cloud: FencedLayer | None = None,
        ack: str = "",
    ) -> None:
        """``cloud``: with an uploader; ``ack``: a layer that LEDGER_ACK names beside the others."""
        self.clock = VirtualClock()
        self.lines = StringIO()
        self.log = MemoryLayer("log")
        self.database = MemoryDatabase("database")
        self.naps: list[float] = []
        self.kept: dict[str, bytes] = {}
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            structlog.PrintLogger(self.lines),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        ).bind()
        self.store = store_of(layers or (self.log, self.database), self.clock, SystemRandomness(), cloud, salvage)
        names = frozenset(layer.name for layer in layers) or frozenset({"log", "database"})
        self.named = names | {ack} - {""}
        self.journal = Journal(self.store, self.named, self.clock, self._nap, self.logger)
        self.supervisor = Supervisor(
            journal=self.journal,
            keep=lambda digest, payload: self.kept.update({digest: payload}),
            clock=self.clock,
            randomness=Steady(),
            sleep=self._nap,
            log=self.logger,
        )
        self.outside = Scripted(self)
        self.supervisor.connect(self.outside)
        self._dispatches = 0

    def salvager(self) -> Salvager:
        """What hands out branches that lost; it is no child here, and runs when a test says so."""
        return Salvager(self.store.salvage, self.supervisor.roster, self.clock, self._nap, self.logger)

    async def _nap(self, seconds: float) -> None:
        """Time passes at once; others get their turn."""
        self.naps.append(seconds)
        self.clock.now_s += seconds
        await asyncio.sleep(0)

    def specs(self) -> tuple[ChildSpec, ...]:
        return (journal_spec(self.journal), *self._cloud_specs())

    def _cloud_specs(self) -> Iterator[ChildSpec]:
        following = self.store.following
        if following is not None:
            awaited = following.layer.name in self.named
            uploader = Uploader(
                following,
                self.journal,
                probe=partial(asyncio.sleep, 0),
                awaited=awaited,
                clock=self.clock,
                sleep=self._nap,
                log=self.logger,
            )
            yield ChildSpec(name="uploader", start=uploader.run, fatal=(Stale,))

    def come_up(self, guild: GuildId = GUILD) -> None:
        self.supervisor.roster.tell(guild, m.GuildCameUp(session=SESSION, at_us=self.clock.stamp_us()))

    def join(self, user: int, *, code: str | None = "A") -> m.RecordJoin:
        """Raises the counter and makes the event; it has to be told."""
        if code is not None:
            self.outside.counters[InviteCode(code)] += 1
        self._dispatches += 1
        now_us = self.clock.stamp_us()
        return m.RecordJoin(
            cause=GatewayCause(session=SESSION, number=self._dispatches, lane="members"),
            session=SESSION,
            user=UserId(str(user)),
            joined_at_us=now_us,
            arrived_us=now_us,
        )

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines with this event."""
        lines = [msgspec.json.decode(line, type=dict[str, object]) for line in self.lines.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Lets everybody work until it holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 -- what is waited for is a state of several actors, not an event
                await asyncio.sleep(0)

    async def records(self, guild: GuildId = GUILD) -> list[Record]:
        """What is durable of a guild."""
        return [frame.record for frame in await guild_frames(self.log, guild, 0)]

    async def settled(self, users: int, guild: GuildId = GUILD) -> None:
        """So many users have a durable verdict (its log line may have died with the actor)."""
        async with asyncio.timeout(PATIENCE_S):
            while len(_decided(await self.records(guild))) < users:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0)


def _decided(records: Sequence[Record]) -> set[UserId]:
    return {record.event.user for record in records if isinstance(record.event, VerdictReached)}


class VirtualClock:
    """Time that passes only in naps; stamps rise by one all the same. ``wrong_s``: so far the wall clock is ahead."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self.wrong_s = 0.0
        self._last_us = 0

    def now_ms(self) -> int:
        return int((self.now_s + self.wrong_s) * 1_000)

    def stamp_us(self) -> int:
        self._last_us = max(self._last_us + 1, int((self.now_s + self.wrong_s) * 1_000_000))
        return self._last_us

    def monotonic_s(self) -> float:
        return self.now_s


class Steady:
    """Randomness that never surprises: the lowest value, and counted tokens."""

    def uniform(self, low: float, high: float) -> float:
        del high
        return low

    def token(self) -> str:
        return "0" * 32


@asynccontextmanager
async def running(bot: Bot, *, started: bool = True) -> AsyncIterator[Bot]:
    """The bot at work; afterwards everything is drained and ended. ``started``: its layers were read before."""
    if started:
        await bot.store.start()
    tree = spawn(bot.supervisor.run(bot.specs()), "supervisor")
    try:
        yield bot
    finally:
        await bot.supervisor.drain()
        tree.cancel()
        await asyncio.wait([tree])
        await bot.store.close()
