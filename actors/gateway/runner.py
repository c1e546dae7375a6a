"""The gateway as the supervisor's child: log in, listen, and start afresh when the library gives up.

The library resumes by itself as long as it can; what ends its ``start`` is a first connect that is refused, a 503 at
login, or a close it takes as final. Those are tried again with a backoff that spares the IDENTIFY budget (1,000 a
day); a token or an intent that Discord refuses ends ``run`` with an error that carries the fix.
``stop_intake`` comes first in a drain, ``close`` last. No task is started but through ``Jobs``.
"""

import asyncio
from typing import Final

import aiohttp
import discord
import msgspec
from discord.http import HTTPClient, Route
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.channels import InviteChannels
from actors.gateway.client import Client, expect_no_voice
from actors.gateway.commands import install
from actors.gateway.desk import Desk
from actors.gateway.intake import Intake, Keep, Shard
from actors.gateway.names import check_library
from actors.gateway.outside import Fetcher
from actors.gateway.pacing import Pacer
from actors.gateway.permissions import PermissionWatch
from actors.gateway.rest import Rest
from actors.gateway.trouble import GatewayRefused, IntentsMissing, TokenRefused
from actors.roster import Roster
from actors.runtime import Jobs, Spawner
from ledger.ids import SessionId
from ledger.ports import Clock, Randomness

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 120.0
"""720 tries a day at most."""
STEADY_S: Final = 300.0
"""A connection that lasted so long was a good one: the next pause is the first again."""
LOGIN_S: Final = 60.0
"""Login asks a handful of things; the library retries each and has no deadline of its own."""
SYNC_S: Final = 15.0
SYNC_AGAIN_S: Final = 60.0
FINAL_CODES: Final = {
    4004: "Discord refused the token",
    4010: "Discord refused the shard",
    4011: "Discord demands more shards",
    4012: "Discord no longer speaks this version of its gateway",
    4013: "Discord does not know these intents",
}
LOST: Final = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""What ends the library's ``start`` and may be better next time; ValueError: what should be JSON is none."""


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway now. ``session`` "" before the first READY; ``latency_s`` of the last heartbeat, None = not known.

    ``awaited``: guilds of READY that have neither come nor been reported unavailable; ``queued``: fetches that wait
    for their turn.
    """

    session: SessionId
    connected: bool
    latency_s: float | None
    awaited: int
    queued: int


class Gateway:
    """Discord, both ways.

    Args:
        token: the bot's. It is handed to the library and nowhere else.
        api_url: REST base, e.g. ``http://127.0.0.1:PORT/api/v10``; None = Discord's own.
        roster: whom dispatches are told.
        clock: stamps and backoff.
        sleep: pauses.
        randomness: jitter.
        spawn: starts jobs.
        keep: puts a payload that does not decode into quarantine.
        log: where everything is told.
        shard: which shard of how many.
    """

    def __init__(
        self,
        *,
        token: str,
        api_url: str | None,
        roster: Roster,
        clock: Clock,
        sleep: Sleep,
        randomness: Randomness,
        spawn: Spawner,
        keep: Keep,
        log: FilteringBoundLogger,
        shard: Shard = (0, 1),
    ) -> None:
        self._token = token
        self._api_url = api_url
        self._roster = roster
        self._clock = clock
        self._sleep = sleep
        self._randomness = randomness
        self._shard = shard
        self._log = log
        self._client: Client | None = None
        self._closing = False
        self._synced = False
        self._pacer = Pacer(clock, sleep)
        self._jobs = Jobs("gateway", spawn, self._job_failed)
        self._watch = PermissionWatch(roster, clock)
        channels = InviteChannels()
        self.rest = Rest(self._http, self._pacer, clock)
        self._desk = Desk(roster, self.rest, clock)
        self._intake = Intake(roster=roster, channels=channels, clock=clock, keep=keep, shard=shard, log=log)
        self.outside = Fetcher(
            rest=self.rest,
            channels=channels,
            roster=roster,
            jobs=self._jobs,
            clock=clock,
            sleep=sleep,
            randomness=randomness,
            log=log,
        )

    async def run(self) -> None:
        """One life: until ``close``, or until Discord refuses us for good.

        Raises:
            LibraryMismatch: when discord.py is not the release we know.
            GatewayRefused: when only the operator can help (``TokenRefused``, ``IntentsMissing``).
        """
        expect_no_voice()
        check_library()
        point_at(self._api_url)
        failures = 0
        while not self._closing:
            began_s = self._clock.monotonic_s()
            why = await self._connect()
            if self._closing:
                return
            failures = 1 if self._clock.monotonic_s() - began_s > STEADY_S else failures + 1
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 10))
            pause_s *= self._randomness.uniform(0.5, 1.0)
            self._log.warning("gateway.lost", error=why, failures=failures, again_s=round(pause_s, 1))
            await self._sleep(pause_s)

    def stop_intake(self) -> None:
        """First in a drain: no dispatch is taken any more, no fetch started."""
        self._intake.stop()
        self.outside.stop()

    async def close(self) -> None:
        """Last in a drain: ends jobs and the connection; ``run`` returns."""
        self._closing = True
        self.stop_intake()
        await self._jobs.stop()
        if self._client is not None:
            await self._client.close()

    def status(self) -> GatewayStatus:
        client = self._client
        latency_s = client.latency if client else float("nan")
        return GatewayStatus(
            session=self._intake.session,
            connected=client is not None and client.is_connected(),
            latency_s=latency_s if 0 <= latency_s < float("inf") else None,
            awaited=self._intake.awaited(),
            queued=self._pacer.waiting(),
        )

    async def _connect(self) -> str:
        """One client's life; why it ended."""
        client = self._client = Client(self._intake, self._watch, self._shard, self._sync_commands, self._log)
        install(client.tree, self._desk)
        try:
            async with client:
                async with asyncio.timeout(LOGIN_S):
                    await client.login(self._token)
                await client.connect()
        except discord.LoginFailure:
            raise TokenRefused(FINAL_CODES[4004], 4004) from None
        except discord.PrivilegedIntentsRequired:
            raise IntentsMissing("Discord refused the members intent", 4014) from None
        except discord.ConnectionClosed as error:
            _raise_if_final(error.code)
            return f"closed with {error.code}"
        except AttributeError:
            if client.ws is not None:  # pyright: ignore[reportUnnecessaryComparison] -- the library sets it late
                raise
            return "the first connect was refused"  # the library stumbles over the socket it never had
        except discord.NotFound:
            return f"nothing of Discord's at {Route.BASE}; does DISCORD_API_URL end in /api/v10?"
        except LOST as error:
            return f"{type(error).__name__}: {error}"
        return "the connection ended"

    async def _sync_commands(self, client: Client) -> None:
        """Once a process; without it the bot counts all the same, so a failure is tried again beside."""
        if self._synced:
            return
        try:
            async with asyncio.timeout(SYNC_S):
                commands = await client.tree.sync()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            self._log.warning("commands.sync_failed", error=f"{type(error).__name__}: {error}", again_s=SYNC_AGAIN_S)
            self._jobs.start_later(SYNC_AGAIN_S, lambda: self._sync_commands(client), "commands")
        else:
            self._synced = True
            self._log.info("commands.synced", commands=len(commands))

    def _http(self) -> HTTPClient | None:
        client = self._client
        return client.http if client and client.user and not client.is_closed() else None

    def _job_failed(self, name: str, error: BaseException) -> None:
        self._log.error("job.failed", job=name, error=repr(error), exc_info=error)


def point_at(api_url: str | None) -> None:
    """Tells the library where Discord's REST API is; it knows no other way than its own constant."""
    if api_url is not None:
        Route.BASE = api_url.rstrip("/")


def _raise_if_final(code: int) -> None:
    if code == 4004:  # noqa: PLR2004 -- Discord's number for it, and the table above names it
        raise TokenRefused(FINAL_CODES[code], code) from None
    if code in FINAL_CODES:
        raise GatewayRefused(FINAL_CODES[code], code) from None
