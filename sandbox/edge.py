"""The edge every REST request passes: log, faults, authorization, limits, errors as Discord writes them.

A handler gets a `Call` and returns JSON (None: 204), or raises `DiscordError`. Routes are data.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import unquote

import msgspec
from aiohttp import web

from sandbox.credentials import Caller, Credentials
from sandbox.faults import Fault, Faults
from sandbox.limits import Limits
from sandbox.pulse import Pulse
from sandbox.restraint import Restraint
from sandbox.violations import Violations
from sandbox.wire import JsonObject, as_int, as_list, as_object, decode, encode

API: Final = "/api/v10"
LOG_REQUESTS: Final = 10_000
NO_CONTENT: Final = 204
ACCEPTED: Final = 202
TOO_MANY: Final = 429
INVALID: Final = (401, 403, 429)
"""Discord bans an address for 10,000 answers of these in 10 minutes."""
MAJOR: Final = ("guild", "channel", "app", "interaction")


class DiscordError(Exception):
    """An error answer: HTTP status, Discord's code, its message, and which fields are wrong.

    `kind` is what it is called in the list of violations; None: an answer anybody may get.
    """

    def __init__(
        self, status: int, code: int, message: str, *, errors: JsonObject | None = None, kind: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.kind = kind


def invalid_form(field: str, code: str, message: str) -> DiscordError:
    """Error 50035 about one field; `field` is a path like `embeds.0.title`."""
    errors: JsonObject = {"_errors": [{"code": code, "message": message}]}
    for part in reversed(field.split(".")):
        errors = {part: errors}
    return DiscordError(400, 50035, f"Invalid Form Body\n{field}: {message}", errors=errors, kind="rest.invalid_form")


MISSING_ACCESS: Final = (403, 50001, "Missing Access")
MISSING_PERMISSIONS: Final = (403, 50013, "Missing Permissions")
UNAUTHORIZED: Final = (401, 0, "401: Unauthorized")
NOT_FOUND: Final = (404, 0, "404: Not Found")
BLOCKED_BY_CLOUDFLARE: Final = (403, 40333, "internal network error")
USER_AGENT: Final = "DiscordBot ("
BOTS: Final = frozenset({Caller.BOT})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as a handler sees it."""

    request: web.Request
    fault: Fault
    body: JsonObject | list[object]
    caller: Caller

    def id(self, name: str) -> int:
        return as_int(self.request.match_info.get(name))

    def text(self, name: str) -> str:
        return self.request.match_info[name]

    def number(self, name: str, default: int) -> int:
        return as_int(self.request.query.get(name), default)

    def page(self, default: int, most: int) -> int:
        """`limit`, refused where it is out of bounds."""
        limit = self.number("limit", default)
        if not 1 <= limit <= most:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", f"int value should be between 1 and {most}.")
        return limit

    def flag(self, name: str) -> bool:
        return self.request.query.get(name, "").lower() in ("1", "true")

    async def file(self, name: str) -> bytes | None:
        """A file of a form; None: not in it."""
        if not self.request.content_type.startswith("multipart/"):
            return None
        part = (await self.request.post()).get(name)
        return part.file.read() if isinstance(part, web.FileField) else None

    @property
    def fields(self) -> JsonObject:
        return self.body if isinstance(self.body, dict) else {}

    @property
    def reason(self) -> str | None:
        raw = self.request.headers.get("X-Audit-Log-Reason")
        return unquote(raw) if raw else None


Handler = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    kind: str
    handler: Handler
    open: bool = False
    callers: frozenset[Caller] = BOTS


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of the request log."""

    method: str
    route: str
    status: int
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is no JSON of the sandbox's making."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: object
    headers: dict[str, str]


class Edge:
    def __init__(
        self,
        *,
        credentials: Credentials,
        faults: Faults,
        limits: Limits,
        pulse: Pulse,
        violations: Violations,
        restraint: Restraint,
    ) -> None:
        self._credentials = credentials
        self._violations = violations
        self._restraint = restraint
        self.invalid_requests = 0
        self._faults = faults
        self._limits = limits
        self._pulse = pulse
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.requests: deque[Seen] = deque(maxlen=LOG_REQUESTS)
        self.unhandled: deque[tuple[str, str]] = deque(maxlen=LOG_REQUESTS)

    def install(self, app: web.Application, routes: Iterable[Route]) -> None:
        for route in routes:
            app.router.add_route(route.method, API + route.path, self._serve(route))
        app.router.add_route("*", "/{rest:.*}", self._unknown)

    def _serve(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            answer = await self._answer(route, request)
            self._log(request, route.path, route.kind, answer.status)
            return _respond(answer)

        return handle

    async def _unknown(self, request: web.Request) -> web.Response:
        self.unhandled.append((request.method, request.path))
        self._violations.add("rest.unknown_route", f"{request.method} {request.path}")
        self._log(request, request.path, "unknown", NOT_FOUND[0])
        return _respond(_refused(DiscordError(*NOT_FOUND), {}))

    def _log(self, request: web.Request, route: str, kind: str, status: int) -> None:
        self.invalid_requests += status in INVALID
        self.requests.append(Seen(request.method, route, status, kind, request.path))
        self._pulse.beat()

    async def _answer(self, route: Route, request: web.Request) -> Answer:
        guild_id = as_int(request.match_info.get("guild")) or None
        fault = self._faults.take(route.kind, guild_id)
        await self._hold_up(fault, route.kind, request, late=False)
        bucket = (route.kind, _major(request))
        self._restraint.arrived(bucket, request.path, everywhere=not route.open)
        passed, headers = self._limits.enter(*bucket)
        fault = self._global_limit(route, fault)
        answer = await self._decide(route, request, fault, headers, passed=passed)
        await self._hold_up(fault, route.kind, request, late=True)
        self._restraint.answered(bucket, answer.status, answer.headers)
        return answer

    def _global_limit(self, route: Route, fault: Fault) -> Fault:
        """The answer to one request too many in this second; else what was to happen anyway."""
        wait_s = 0.0 if route.open else self._limits.enter_all()
        if not wait_s:
            return fault
        self._violations.add("rest.too_many_requests", f"more than {self._limits.global_per_s} in a second")
        return Fault(status=TOO_MANY, retry_after_s=wait_s, is_global=True)

    async def _hold_up(self, fault: Fault, kind: str, request: web.Request, *, late: bool) -> None:
        delay_s = 0.0 if late else self._faults.latency_s.get(kind, 0.0)
        if fault.late == late:
            delay_s += fault.delay_s
            if fault.gate is not None:
                await fault.gate.pass_through()
            if fault.drop and request.transport is not None:
                request.transport.abort()
        if delay_s:
            await self.sleep(delay_s)

    async def _decide(
        self, route: Route, request: web.Request, fault: Fault, headers: dict[str, str], *, passed: bool
    ) -> Answer:
        try:
            self._check_user_agent(route, request)
            caller = self._credentials.caller(request.headers.get("Authorization", ""))
            if not route.open:
                self._authorize(route, caller)
            if fault.status is not None and not fault.done:
                return _scripted(fault, headers)
            if not passed:
                retry_after_s = float(headers["X-RateLimit-Reset-After"])
                return _scripted(Fault(status=TOO_MANY, retry_after_s=retry_after_s), headers)
            if fault.body is not None:
                return Answer(200, Raw(fault.body, fault.content_type), headers)
            body = await route.handler(Call(request, fault, await _body(request), caller))
            if fault.done:
                return _scripted(fault, headers)
        except DiscordError as error:
            if error.kind is not None:
                self._violations.add(error.kind, f"{request.method} {request.path}: {error.message}")
            return _refused(error, headers)
        return Answer(NO_CONTENT if body is None else 200, body, headers)

    def _check_user_agent(self, route: Route, request: web.Request) -> None:
        """None at all is blocked; a wrong form passes, but Discord's docs forbid it.

        Interactions and webhooks are exempt: discord.py itself sends aiohttp's there.
        """
        agent = request.headers.get("User-Agent", "")
        if not agent:
            raise DiscordError(*BLOCKED_BY_CLOUDFLARE, kind="rest.user_agent_missing")
        if not route.open and not agent.startswith(USER_AGENT):
            self._violations.add("rest.user_agent_invalid", f"{route.method} {route.path}: {agent}")

    def _authorize(self, route: Route, caller: Caller) -> None:
        if caller is Caller.USER:
            self._violations.add(
                "rest.user_token_used", f"{route.method} {route.path}: a person's token in a program"
            )
        if caller not in route.callers:
            raise DiscordError(*UNAUTHORIZED)


async def _body(request: web.Request) -> JsonObject | list[object]:
    """JSON, or the `payload_json` part of a form (messages with files)."""
    raw: bytes | str = await request.read() if not request.content_type.startswith("multipart/") else ""
    if request.content_type.startswith("multipart/"):
        part = (await request.post()).get("payload_json", "")
        raw = bytes(part) if isinstance(part, bytearray) else str(part)  # as the part says it is JSON, or text
    if not raw:
        return {}
    try:
        value = decode(raw)
    except msgspec.DecodeError:
        message = "The request body contains invalid JSON."
        raise DiscordError(400, 50109, message, kind="rest.malformed_body") from None
    return as_list(cast("list[object]", value)) if isinstance(value, list) else as_object(value)


def _major(request: web.Request) -> str:
    """Discord counts for each guild, channel, webhook and interaction apart."""
    return "/".join(request.match_info.get(name, "") for name in MAJOR)


def _scripted(fault: Fault, headers: dict[str, str]) -> Answer:
    status = fault.status or 500
    if status == TOO_MANY:
        body: JsonObject = {"message": "You are being rate limited.", "global": fault.is_global}
        scope = "global" if fault.is_global else "user"
        # discord.py takes a 429 without Via for Cloudflare's ban
        extra = {"Via": "1.1 sandbox", "Retry-After": f"{fault.retry_after_s:.3f}", "X-RateLimit-Scope": scope}
        return Answer(status, body | {"retry_after": fault.retry_after_s}, headers | extra)
    body = {"message": fault.message, "code": fault.code}
    return Answer(status, body | ({"retry_after": fault.retry_after_s} if status == ACCEPTED else {}), headers)


def _refused(error: DiscordError, headers: dict[str, str]) -> Answer:
    body: JsonObject = {"message": error.message, "code": error.code}
    return Answer(error.status, body | ({"errors": error.errors} if error.errors else {}), headers)


def _respond(answer: Answer) -> web.Response:
    if answer.status == NO_CONTENT:
        return web.Response(status=NO_CONTENT, headers=answer.headers)
    # exactly this type, without a charset: discord.py compares the whole header
    raw = answer.body if isinstance(answer.body, Raw) else Raw(encode(answer.body))
    return web.Response(status=answer.status, body=raw.body, content_type=raw.content_type, headers=answer.headers)
