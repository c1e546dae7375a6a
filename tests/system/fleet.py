"""The whole bot in this process, on real files and sockets, while people keep joining: for what a gateway suffers.

What ``Program`` is made of, without its HTTP; pauses are cut short, so that a backoff of minutes is none here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import structlog

from actors.cli.bot_process import JoinId
from actors.cli.history import JoinLine
from actors.cli.scoreboard import exported, score, truth_of
from actors.clock import SystemClock, SystemRandomness
from actors.gateway.runner import Gateway
from actors.journal import Journal
from actors.supervision import ChildSpec, Restart, journal_spec, spawn
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.records import Status
from persistence.disk import RealDisk
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from sandbox import NI, Guild, Invite, Join, Sandbox
from supervisor import Supervisor
from tests.memory.store import store_of

PATIENCE_S = 25.0
JOIN_EVERY_S = 0.02
LONGEST_PAUSE_S = 0.2
PACED_S = 0.45
"""The pacer lets 16 wait at most, 25 ms apart; a failure costs half a second at least."""


async def short_sleep(seconds: float) -> None:
    """The bot's pauses: those of the pacer as they are, those after a failure cut short."""
    await asyncio.sleep(seconds if seconds < PACED_S else LONGEST_PAUSE_S)


class Fleet:
    """Guilds with two invites each, and a bot that has not been started yet.

    ``unseen``: codes that no sample can have shown; the truth about their joins is that no counter tells of them;
    ``witness``: whether the second witness is asked.
    """

    def __init__(self, sandbox: Sandbox, data: Path, *, guilds: int, shards: int) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.data = data
        sandbox.identifies.shards, sandbox.identifies.every_s = shards, 0.0
        sandbox.set_session_start_limit(max_concurrency=shards)
        self.guilds: list[Guild] = [self.world.add_guild(f"Harbour {n}") for n in range(guilds)]
        self.invites: dict[int, list[Invite]] = {
            guild.id: [self.world.add_invite(guild, self.world.add_staff(guild)) for _ in range(2)]
            for guild in self.guilds
        }
        self.lines: list[MutableMapping[str, object]] = []
        self.acknowledged: set[JoinId] = set()
        self._news = asyncio.Event()
        self._random = Random(5)
        self._joining = False
        self.live_now: set[object] = set()
        self.unseen: set[str] = set()
        self.witness = False

    def _build(self) -> None:
        log = structlog.wrap_logger(
            None, processors=[self._keep_line], wrapper_class=structlog.make_filtering_bound_logger(20)
        )
        self._offload = ThreadOffload("fleet")
        clock, randomness, disk = SystemClock(), SystemRandomness(), RealDisk()
        layers = (
            LocalLayer(disk, self.data, self._offload),
            SqliteLayer(disk, self.data / "ledger.db", self.data / "quarantine"),
        )
        self.store = store_of(layers, clock, randomness)
        self.journal = Journal(self.store, frozenset({"log", "database"}), clock, asyncio.sleep, log)
        self.supervisor = Supervisor(
            journal=self.journal,
            keep=lambda *_: None,
            clock=clock,
            randomness=randomness,
            sleep=asyncio.sleep,
            log=log,
        )
        self.gateway = Gateway(
            token=self.sandbox.token,
            api_url=self.sandbox.api_url,
            roster=self.supervisor.roster,
            inside=self.supervisor,
            clock=clock,
            sleep=short_sleep,
            randomness=randomness,
            spawn=spawn,
            keep=lambda *_: None,
            witness=self.witness,
            log=log,
        )
        self.supervisor.connect(self.gateway.outside)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A bot at work, a new one on the same folder each time; afterwards it is drained as ``Program`` drains."""
        self.data.mkdir(exist_ok=True)
        self.lines.clear()
        self.live_now.clear()
        self._build()
        await self.store.start()
        specs = (
            journal_spec(self.journal),
            ChildSpec(name="gateway", start=self.gateway.run, restart=Restart.TRANSIENT),
        )
        tree = spawn(self.supervisor.run(specs), "supervisor")
        try:
            yield
        finally:
            self.gateway.stop_intake()
            await self.supervisor.drain()
            tree.cancel()
            await asyncio.wait([tree])
            await self.store.close()
            await self.gateway.close()
            self._offload.close()

    @asynccontextmanager
    async def joining(self) -> AsyncIterator[None]:
        """People join everywhere, by one invite or the other, whatever happens inside the block."""
        self._joining = True
        task = asyncio.get_running_loop().create_task(self._join_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def join(self, guild: Guild) -> Join:
        """One more, by one of its invites."""
        return self.world.join(guild, via=self._random.choice(self.invites[guild.id]).code)

    def kill(self, guild: Guild) -> bool:
        return self.supervisor.kill(GuildId(str(guild.id)))

    def named(self, event: str) -> Sequence[MutableMapping[str, object]]:
        return [line for line in self.lines if line["event"] == event]

    async def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Waits until something holds that the bot's lines tell of."""
        async with asyncio.timeout(patience_s):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def live(self) -> None:
        """All guilds are live, on every shard."""
        await self.until(self._is_live)

    async def worked_out(self, patience_s: float = PATIENCE_S) -> None:
        """Every join of the world is recorded and has its verdict, and all guilds are live."""
        await self.until(self.is_worked_out, patience_s)

    def is_worked_out(self) -> bool:
        """Whether that is so now."""
        return self._is_live() and not self._first_unsettled()

    async def worked_out_after_a_pause(self) -> None:
        """Nobody joins any more; then as ``worked_out``."""
        self._joining = False
        await self.worked_out()

    def unsettled(self, joins: Sequence[Join] | None = None) -> list[Join]:
        """Those of the joins, or of all, that have no verdict yet."""
        return [join for join in joins or self.world.truth if self._status(join) is Status.PENDING]

    def _first_unsettled(self) -> Join | None:
        return next((join for join in reversed(self.world.truth) if self._status(join) is Status.PENDING), None)

    def phase_of(self, guild: Guild) -> str:
        return self.supervisor.phase_of(GuildId(str(guild.id)))

    def lines_of_joins(self) -> dict[JoinId, JoinLine]:
        """The export."""
        return exported(self.data)

    def line_of(self, join: Join) -> JoinLine:
        """The export's line of a join."""
        return exported(self.data)[GuildId(str(join.guild_id)), UserId(str(join.user_id)), join.joined_at_us // 1_000]

    def assert_clean(self) -> None:
        """Every join of the world once in the export, none by a wrong name; nothing that Discord forbids."""
        truth, told = truth_of(self.world.truth), exported(self.data)
        truth |= {join: NI for join, code in truth.items() if code in self.unseen}
        result = score(truth, told, self.acknowledged, self.data)
        assert result.is_clean(), str(result)
        assert told.keys() == truth.keys()
        assert {line.period for line in told.values()} <= {1}
        assert list(self.sandbox.unhandled) == []
        misdeeds = [f"{each.kind}: {each.detail}" for each in self.sandbox.violations]
        assert misdeeds == [], misdeeds
        assert self.named("shard.crashed") == self.named("job.failed") == self.named("dispatch.failed") == []

    async def _join_on(self) -> None:
        while self._joining:
            self.join(self._random.choice(self.guilds))
            await asyncio.sleep(JOIN_EVERY_S)  # people come when they come; nothing is waited for by it

    def _is_live(self) -> bool:
        if len(self.live_now) < len(self.guilds):
            return False
        return self.gateway.status().connected and all(self.phase_of(guild) == Phase.LIVE for guild in self.guilds)

    def _status(self, join: Join) -> Status:
        child = self.supervisor._guilds.get(GuildId(str(join.guild_id)))
        actor = child.actor if child else None
        period = actor.state.membership(UserId(str(join.user_id)), join.joined_at_us) if actor else None
        return period.status if period else Status.PENDING

    def _keep_line(self, _: object, method: str, line: MutableMapping[str, object]) -> str:
        self.lines.append(dict(line) | {"level": method})
        if line["event"] == "join.acknowledged":
            joined_ms = int(str(line["joined_at_ms"]))
            self.acknowledged.add((GuildId(str(line["guild"])), UserId(str(line["user"])), joined_ms))
        if line["event"] == "guild.moved":
            (self.live_now.add if line["phase"] == Phase.LIVE else self.live_now.discard)(line["guild"])
        self._news.set()
        raise structlog.DropEvent
