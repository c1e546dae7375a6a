"""The sandbox as one thing: a world, its REST API and gateway on a free loopback port.

async with Sandbox(seed=1) as sandbox:
    guild = sandbox.world.add_guild()
    ...point a client at sandbox.api_url with sandbox.token...
    await sandbox.wait_ready()
    sandbox.world.join(guild, via=sandbox.world.add_invite(guild, guild.owner).code)
"""

import time
from collections import deque
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from sandbox.answers import Message, Reply
from sandbox.application import Application
from sandbox.clock import Clock
from sandbox.commands import CommandRoutes, Commands
from sandbox.credentials import Credentials
from sandbox.edge import API, Edge, Seen
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.identifies import EVERY_S, Identifies
from sandbox.interactions import Interactions
from sandbox.limits import Limits
from sandbox.models import Guild, User
from sandbox.pulse import WAIT_S, Pulse
from sandbox.rest import GuildRoutes
from sandbox.rest_invites import InviteRoutes
from sandbox.rest_messages import MessageRoutes
from sandbox.rest_search import SearchRoutes
from sandbox.rest_self import SelfRoutes
from sandbox.restraint import Restraint
from sandbox.sessions import Session
from sandbox.slash import Options
from sandbox.violations import Violations
from sandbox.wire import JsonObject
from sandbox.world import World

HOST: Final = "127.0.0.1"
SHUTDOWN_S: Final = 1.0


class Sandbox:
    """A Discord for one bot. REST's limits last by `monotonic_s`.

    Attributes:
        world: what exists and happens; `world.truth` is what verdicts are scored against; `world.feed` holds,
            drops, doubles and delays events.
        faults: what goes wrong on the REST side.
        gateway: sockets and sessions: drop, reconnect, invalidate.
        limits: rate limits: 50 requests/s over all, buckets by default out of reach.
        commands: what the bot has registered.
        interactions: what users do; `answer_s`, `token_s` and `expire` set how long an answer may take.
        pulse: whoever changes something outside the sandbox may give a beat, for `until`.
        application: the bot's flags, which allow privileged intents, and how it is installed.
        identifies: how often the bot may IDENTIFY.
        credentials: the bot's token, and what people paste in its place.
        violations: what the client did that Discord forbids or that costs it; tests require none.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        token: str | None = None,
        port: int = 0,
        identify_every_s: float = EVERY_S,
    ) -> None:
        rng = Random(seed)  # noqa: S311  # made-up names and codes; the same for the same seed
        self._port = port
        self.pulse = Pulse()
        self._runner: web.AppRunner | None = None
        self.world = World(Clock(clock), rng)
        self.violations = Violations(time.time)
        self.application = Application(self.world.bot, self.world.add_user("captain"))
        self.credentials = Credentials(self.application, token, rng)
        self.faults = Faults()
        self.limits = Limits(time.time, monotonic_s)
        self.identifies = Identifies(time.monotonic, identify_every_s)
        self.gateway = Gateway(
            world=self.world,
            application=self.application,
            credentials=self.credentials,
            identifies=self.identifies,
            pulse=self.pulse,
            violations=self.violations,
        )
        self.commands = Commands(self.world)
        self.interactions = Interactions(self.world, self.commands, self.pulse, self.violations)
        self.edge = Edge(
            credentials=self.credentials,
            faults=self.faults,
            limits=self.limits,
            pulse=self.pulse,
            violations=self.violations,
            restraint=Restraint(self.violations, monotonic_s),
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        self.gateway.url = f"ws://{HOST}:{self._port}/gateway"

    async def stop(self) -> None:
        """Let nobody wait any more, then close."""
        self.faults.clear()
        self.gateway.drop_all()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def token(self) -> str:
        """What a client must present; another one after too many IDENTIFYs."""
        return self.credentials.token

    def set_session_start_limit(
        self,
        *,
        total: int | None = None,
        remaining: int | None = None,
        max_concurrency: int | None = None,
        reset_after_s: float | None = None,
    ) -> None:
        """What GET /gateway/bot says and IDENTIFY is held to; None leaves a value as it is."""
        self.identifies.set_limit(
            total=total, remaining=remaining, max_concurrency=max_concurrency, reset_after_s=reset_after_s
        )

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self._port}{API}"

    @property
    def gateway_url(self) -> str:
        return self.gateway.url

    @property
    def sessions(self) -> list[Session]:
        return list(self.gateway.sessions)

    @property
    def requests(self) -> deque[Seen]:
        return self.edge.requests

    @property
    def unhandled(self) -> deque[tuple[str, str]]:
        """(method, path) of requests which no route takes."""
        return self.edge.unhandled

    @property
    def invalid_requests(self) -> int:
        """How many were answered 401, 403 or 429; Discord bans for 10,000 in 10 minutes."""
        return self.edge.invalid_requests

    def count(self, kind: str, status: int | None = None) -> int:
        """How many requests of a kind (with that status) were answered, as far as the log goes back."""
        return sum(seen.kind == kind and status in (None, seen.status) for seen in self.requests)

    async def until(self, ready: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until `ready()`; it is asked after each event, request, message and answer.

        Raises:
            TimeoutError: when it does not come to that.
        """
        await self.pulse.until(ready, timeout_s)

    async def wait_ready(self, timeout_s: float = WAIT_S) -> Session:
        """Wait until a client with a socket has been sent READY and its guilds."""
        await self.until(lambda: any(each.ready and each.connected for each in self.sessions), timeout_s)
        return next(each for each in self.sessions if each.ready and each.connected)

    def interaction_payload(
        self, guild: Guild, user: User, name: str, options: Options | None = None, *, enforce: bool = False
    ) -> JsonObject:
        return self.interactions.payload(guild, user, name, options, enforce=enforce)

    def send_interaction(self, payload: JsonObject) -> Reply:
        """Send it without waiting; the same payload twice is a redelivery and has one reply."""
        return self.interactions.send(payload)

    async def slash(
        self,
        guild: Guild,
        user: User,
        name: str,
        options: Options | None = None,
        *,
        timeout_s: float = WAIT_S,
        enforce: bool = False,
    ) -> Reply:
        """`user` types the command; returns when there is an answer to read.

        Raises:
            LookupError: no such command is registered.
            NotAllowedError: `enforce`, and the user lacks the command's permissions.
            ValueError: the options do not fit the command's definition.
            TimeoutError: no answer within `timeout_s`.
        """
        payload = self.interaction_payload(guild, user, name, options, enforce=enforce)
        return await self.interactions.ask(payload, timeout_s)

    async def type_in(
        self, guild: Guild, user: User, name: str, options: Options, focused: str, *, timeout_s: float = WAIT_S
    ) -> Reply:
        """`user` is typing the option `focused`; the reply has the `choices` that are offered."""
        payload = self.interactions.typing_payload(guild, user, name, options, focused)
        return await self.interactions.ask(payload, timeout_s)

    async def click(
        self,
        guild: Guild,
        user: User,
        message: Message,
        custom_id: str,
        values: list[str] | None = None,
        *,
        timeout_s: float = WAIT_S,
    ) -> Reply:
        """`user` presses a button, or picks `values`, under a message of the bot."""
        payload = self.interactions.click_payload(guild, user, message, custom_id, values or [])
        return await self.interactions.ask(payload, timeout_s, message)

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=32 * 1024**2)
        app.router.add_get("/gateway", self.gateway.handle)
        app.router.add_get("/gateway/", self.gateway.handle)
        tables = (
            SelfRoutes(self.world, self.application, self.gateway),
            GuildRoutes(self.world, self.faults),
            SearchRoutes(self.world, self.faults),
            InviteRoutes(self.world, self.faults),
            MessageRoutes(self.world, self.violations),
            CommandRoutes(self.commands),
            self.interactions,
        )
        self.edge.install(app, [route for table in tables for route in table.routes()])
        return app
