"""The gateway as the supervisor's child: as many shards as Discord advises, and what they share.

The number of shards is asked at each start and does not change while the process runs: when Discord advises another
one, that is told, and a restart follows it. The shards live independently (``shard``); REST goes through any that is
logged in. Nobody identifies before ``entry`` lets it: while token, intent or budget stop the bot, it holds; when
Discord ends a connection for good, all shards end and pass there anew.
``stop_intake`` comes first in a drain, ``close`` last. No task is started but through ``Jobs`` or ``spawn``.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import discord
import msgspec
from discord.http import HTTPClient, Route
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.backoff import Backoff
from actors.gateway.client import Client, expect_no_voice
from actors.gateway.desk import Desk
from actors.gateway.entry import Entry
from actors.gateway.errands import Errands
from actors.gateway.identify import IdentifyGate
from actors.gateway.inquiry import Inquiry
from actors.gateway.intake import Intake, Keep
from actors.gateway.names import check_library
from actors.gateway.outside import Fetcher
from actors.gateway.pacing import Pacer
from actors.gateway.permissions import PermissionWatch
from actors.gateway.preflight import Preflight, Socket, ask_once
from actors.gateway.registration import Registration
from actors.gateway.rest import Rest
from actors.gateway.restraint import Restraint
from actors.gateway.shard import Shard
from actors.gateway.trouble import GatewayRefused
from actors.gateway.welcome import Welcomer
from actors.roster import Roster
from actors.runtime import Jobs, Spawner
from actors.standing import Inside
from actors.traffic import DispatchTally, DispatchTraffic, ErrandOutcome, RestTraffic, ShardStatus
from ledger.ids import GuildId
from ledger.ports import Clock, Randomness

LOOK_AGAIN_S: Final = 6 * 3_600.0
"""Discord's advice changes as the bot grows, not within hours."""


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway now. ``shards``: empty until Discord has said how many.

    ``held``: what stops the bot from identifying, a sentence each with its fix; ``dispatches``, ``requests`` and
    ``errands`` since the process began.
    """

    shards: tuple[ShardStatus, ...]
    held: tuple[str, ...]
    dispatches: DispatchTraffic
    requests: RestTraffic
    errands: Mapping[ErrandOutcome, int]

    @property
    def connected(self) -> bool:
        """Whether every shard has a session and its socket."""
        return bool(self.shards) and all(shard.connected for shard in self.shards)

    @property
    def awaited(self) -> int:
        """Guilds of READY that have neither come nor been reported unavailable, over all shards."""
        return sum(shard.awaited for shard in self.shards)


class Gateway:
    """Discord, both ways.

    Args:
        token: the bot's. It is handed to the library and nowhere else.
        api_url: REST base, e.g. ``http://127.0.0.1:PORT/api/v10``.
        roster: whom dispatches are told.
        inside: the process, for commands.
        clock: stamps and backoff.
        sleep: pauses.
        randomness: jitter.
        spawn: starts shards and jobs.
        keep: puts a payload that does not decode into quarantine.
        witness: whether the second witness (members-search) may be asked.
        log: where everything is told.
    """

    def __init__(
        self,
        *,
        token: str,
        api_url: str,
        roster: Roster,
        inside: Inside,
        clock: Clock,
        sleep: Sleep,
        randomness: Randomness,
        spawn: Spawner,
        keep: Keep,
        witness: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self._token = token
        self._api_url = api_url
        self._roster = roster
        self._clock = clock
        self._sleep = sleep
        self._randomness = randomness
        self._spawn = spawn
        self._keep = keep
        self._log = log
        self._shards: tuple[Shard, ...] = ()
        self._lives: set[asyncio.Task[None]] = set()
        self._lost_us = 0
        self._lost_of: dict[GuildId, int] = {}
        self._dispatches = DispatchTally()
        self._pacer = Pacer(clock, sleep)
        self._restraint = Restraint(self._pacer, clock, sleep, log)
        self._jobs = Jobs("gateway", spawn, self._job_failed)
        self._watch = PermissionWatch(roster, clock, log)
        self._entry = Entry(self._check, clock, sleep, randomness, log)
        self._registration = Registration(self._client, self._jobs, log)
        self.rest = Rest(self._http, self._pacer, clock)
        self._desk = Desk(roster=roster, rest=self.rest, inside=inside, clock=clock, sleep=sleep)
        self._errands = Errands(rest=self.rest, roster=roster, jobs=self._jobs, clock=clock, witness=witness, log=log)
        self.outside = Fetcher(
            rest=self.rest,
            welcomer=Welcomer(self._find, self.rest, log),
            errands=self._errands,
            roster=roster,
            jobs=self._jobs,
            clock=clock,
            sleep=sleep,
            randomness=randomness,
            log=log,
        )

    async def run(self) -> None:
        """One life: until ``close``.

        Raises:
            LibraryMismatch: when discord.py is not the release we know.
        """
        expect_no_voice()
        check_library()
        point_at(self._api_url)
        read_json_fast()
        self._jobs.start_later(LOOK_AGAIN_S, self._look_again, "advice")
        while (grant := await self._entry.grant()) is not None:
            self._log.info("gateway.planned", shards=grant.shards, at_once=grant.max_concurrency)
            gate = IdentifyGate(grant, self._clock, self._sleep, self._log)
            self._shards = tuple(self._make_shard(number, grant.shards, gate) for number in range(grant.shards))
            try:
                await self._live()
            except GatewayRefused as refused:
                # one that has had no session since the refusal before still misses what it missed then
                lost = (each.intake.lost_us for each in self._shards if each.intake.session or self._lost_us)
                self._lost_us, self._shards = min(lost, default=self._lost_us), ()
                self._entry.refuse(refused)

    def stop_intake(self) -> None:
        """First in a drain: no dispatch is taken any more, no fetch started."""
        for shard in self._shards:
            shard.intake.stop()
        self.outside.stop()

    async def close(self) -> None:
        """Last in a drain: ends jobs and all connections; ``run`` returns, if it holds after its pause."""
        self._entry.close()
        self.stop_intake()
        await self._jobs.stop()
        for shard in self._shards:
            await shard.close()
        for life in self._lives:
            life.cancel()  # it may be waiting for its next try

    def status(self) -> GatewayStatus:
        return GatewayStatus(
            shards=tuple(each.status() for each in self._shards),
            held=tuple(str(each) for each in self._entry.held),
            dispatches=self._dispatches.traffic(),
            requests=self.rest.traffic(),
            errands=self._errands.outcomes(),
        )

    async def _check(self) -> Preflight:
        return await ask_once(self._api_url, self._token, self._clock.now_ms)

    def _make_shard(self, number: int, count: int, gate: IdentifyGate) -> Shard:
        slot, log = (number, count), self._log.bind(shard=number)
        intake = Intake(
            roster=self._roster,
            clock=self._clock,
            keep=self._keep,
            tally=self._dispatches,
            slot=slot,
            log=log,
            lost_us=self._lost_us,
            lost_of=self._lost_of,
        )
        return Shard(
            slot=slot,
            token=self._token,
            intake=intake,
            watch=self._watch,
            desk=self._desk,
            registration=self._registration,
            gate=gate,
            pacer=self._pacer,
            restraint=self._restraint,
            backoff=Backoff(self._clock, self._randomness),
            sleep=self._sleep,
            log=log,
        )

    async def _live(self) -> None:
        """All shards, until they end; what one raises no restart mends, so it ends the others."""
        self._lives = {self._spawn(shard.run(), f"shard/{n}") for n, shard in enumerate(self._shards)}
        try:
            ended, _ = await asyncio.wait(self._lives, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for life in self._lives:
                life.cancel()
            await asyncio.wait(self._lives)
        for life in ended:
            if not life.cancelled():
                life.result()

    async def _look_again(self) -> None:
        """Whether Discord still advises so many shards; a restart is up to the operator until it demands more."""
        self._jobs.start_later(LOOK_AGAIN_S, self._look_again, "advice")  # first, so that no error ends the looking
        async with Inquiry(self._api_url, self._token, self._clock.now_ms) as ask:
            advice = await ask.get("/gateway/bot", Socket)
        if isinstance(advice, Socket) and self._shards and advice.shards != len(self._shards):
            self._log.warning("shards.advised", advised=advice.shards, running=len(self._shards), hint=ADVISED_HINT)

    def _client(self) -> Client | None:
        return next((shard.client for shard in self._shards if shard.http() is not None), None)

    def _find(self, guild: GuildId) -> discord.Guild | None:
        clients = (shard.client for shard in self._shards)
        return next((found for each in clients if each and (found := each.get_guild(int(guild)))), None)

    def _http(self) -> HTTPClient | None:
        client = self._client()
        return client.http if client else None

    def _job_failed(self, name: str, error: BaseException) -> None:
        self._log.error("job.failed", job=name, error=repr(error), exc_info=error)


ADVISED_HINT: Final = "start the bot again when it suits you: it takes the number that Discord advises"


def point_at(api_url: str) -> None:
    """Tells the library where Discord's REST API is; it knows no other way than its own constant."""
    Route.BASE = api_url.rstrip("/")


def read_json_fast() -> None:
    """Gives the library our reader of JSON, a third of the standard one's time; it has a place for orjson's."""
    discord.utils._from_json = _from_json  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- see check_library


def _from_json(text: str) -> object:
    """What the fast reader refuses (half a surrogate pair) is JSON to the library all the same."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
