"""What Discord told us to wait for (429), kept beyond the one request that was told, so that nobody asks too early.

The library waits for a limit as long as its request lives; ours end at a deadline, and the next would hit the limit
again. Each request passes here before it is sent, and each answer before the library has it (a trace of its HTTP
session), whoever asks. A limit of one route shuts that route, a global one, or one without ``Via`` (Cloudflare's
ban), shuts everything but answers to interactions, which Discord does not count; both slow us down.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Final

import aiohttp
import discord
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.failures import wait_of
from actors.gateway.pacing import Pacer
from ledger.ports import Clock

TOO_MANY: Final = 429
UNSAID_S: Final = 5.0
"""Where a 429 does not say for how long."""
MAX_ROUTES: Final = 10_000
PATIENCE_S: Final = 1.0
"""A request that comes so little too early waits, an earlier one fails at once."""
UNCOUNTED: Final = ("interactions/", "webhooks/")


class Restraint:
    """Shut routes, and the pacer that is told of the rest.

    Args:
        pacer: slowed down, or shut as a whole.
        clock: tells when a route is open again.
        sleep: waits for it.
        log: for each 429.
    """

    def __init__(self, pacer: Pacer, clock: Clock, sleep: Sleep, log: FilteringBoundLogger) -> None:
        self._pacer = pacer
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._open_s: dict[str, float] = {}

    def left_s(self, route: str) -> float:
        """Seconds until the route (a path behind the API's version) may be asked again; 0 = now."""
        everything_s = 0.0 if route.startswith(UNCOUNTED) else self._pacer.shut_for_s()
        return max(everything_s, self._open_s.get(route, 0.0) - self._clock.monotonic_s())

    def trace(self) -> aiohttp.TraceConfig:
        """To be given to a client of the library."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._asked)
        trace.on_request_end.append(self._answered)
        return trace

    async def _asked(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestStartParams
    ) -> None:
        """Raises what the library raises for a limit that is too long to be waited for."""
        route = route_of(told.url.path)
        while route and (left_s := self.left_s(route)):
            if left_s > PATIENCE_S:
                raise discord.RateLimited(left_s)
            await self._sleep(left_s)

    async def _answered(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestEndParams
    ) -> None:
        if told.response.status == TOO_MANY:
            self._limited(route_of(told.url.path), told.response.headers)

    def _limited(self, route: str, headers: Mapping[str, str]) -> None:
        wait_s = wait_of(headers.get("Retry-After", ""), UNSAID_S)
        everywhere = headers.get("X-RateLimit-Scope") == "global" or "Via" not in headers
        self._log.warning("rest.limited", route=without_token(route), again_s=wait_s, everywhere=everywhere)
        self._pacer.slow_down()
        if everywhere:
            self._pacer.shut(wait_s)
            return
        if len(self._open_s) >= MAX_ROUTES:
            self._open_s.clear()  # whoever is too early is told again
        self._open_s[route] = self._clock.monotonic_s() + wait_s


def route_of(path: str) -> str:
    """A path behind the API's version, e.g. ``guilds/1/invites``; "" for the gateway's socket."""
    return path.partition("/v10/")[2]


def without_token(route: str) -> str:
    """The route as it may be logged: whoever has an interaction's token may answer in our place for 15 minutes."""
    return "/".join(route.split("/")[:2]) if route.startswith(UNCOUNTED) else route
