"""The vault: objects (``persistence/objects.py``) over HTTP, for those who have no bucket.

    GET    /health                         200 while it serves, 503 while it drains; open to all, as is /readyz
    GET    /v1/objects?prefix&after&limit  a page of keys (``KeysPage``), at most ``PAGE_KEYS``
    GET    /v1/objects/{key}               its bytes; 404 where there is none
    PUT    /v1/objects/{key}               204: written over whatever was there. With ``If-None-Match: *`` 201, or 412
                                           where there is one
    DELETE /v1/objects/{key}               204, also where there was none
    GET    /get_discord_data_backup        everything as one JSON document, streamed

Rules: a write is answered only when it is durable; a body that does not come whole leaves nothing. All but health
needs ``Authorization: Bearer LEDGER_CLOUD_TOKEN``; without such a token, or with one that is short enough to be
guessed, it serves a loopback address only, and without one only who calls it by such a name (a web page that leads
its own name here does not). 507 = the disk is full, 503 = later; after 500 nobody knows whether a write happened.
Every answer carries ``VAULT_HEADER``: a proxy's has none.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Final, TypeAlias

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from actors.ops.serving import bears, listen
from actors.settings import BadSettings, Endpoint
from ledger.errors import DiskFull, LedgerError, NotConfirmed
from ledger.ports import Clock
from persistence.objects import MAX_OBJECT_BYTES, Objects, Refused, check_key
from persistence.vault_objects import OBJECTS_PATH, PAGE_KEYS, VAULT_FORMAT, VAULT_HEADER, KeysPage

Document: TypeAlias = Callable[[], AsyncGenerator[bytes, None]]
"""Makes the document of everything, in pieces, none of them empty."""

OPEN_PATHS: Final = frozenset({"/health", "/readyz"})
MAX_BODIES: Final = 8
"""Bodies that are taken at the same time; others wait. Each may be as large as an object."""
BODY_S: Final = 60.0
"""A body has to come within so long."""
PIECE_S: Final = 60.0
"""Whoever reads the document has to take a piece of it within so long."""
DRAIN_S: Final = 5.0
"""Requests in hand have so long to end after SIGTERM; new ones are answered 503 meanwhile."""
SHUTDOWN_S: Final = 1.0
MIN_TOKEN_CHARS: Final = 16
"""A token that others can try must be at least so long."""
DENIED_EVERY_S: Final = 60.0
"""Requests without the token are told of at most that often."""


class Serving(msgspec.Struct, frozen=True):
    """The answer of /health; ``ready`` is what ``healthcheck`` asks for."""

    ready: bool


class VaultServer:
    """The HTTP server of a vault.

    Args:
        endpoint: where to listen; port 0 takes a free one, told by ``vault.started``.
        token: guards all but health.
        objects: what is served; its listings come in the order of bytes. Closed by whoever made it.
        document: makes the document of everything.
        clock: how long ago something was told.
        log: where the real address, and what went wrong, are told.

    Raises:
        BadSettings: without a token that is hard to guess on an address that others can reach.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        token: SecretStr | None,
        objects: Objects,
        document: Document,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        if not endpoint.is_loopback():
            _refuse_weak(token, endpoint)
        self._endpoint = endpoint
        self._token = token
        self._objects = objects
        self._document = document
        self._clock = clock
        self._log = log
        self._bodies = asyncio.Semaphore(MAX_BODIES)
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._draining = self._copying = False
        self._denied, self._denied_told_s = 0, -DENIED_EVERY_S

    async def run(self, stop: asyncio.Future[str]) -> None:
        """Serves until ``stop`` has a result, which says why; then ends what is in hand.

        Raises:
            CannotListen: when the address cannot be had.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            port = await listen(runner, self._endpoint)
            self._log.info(
                "vault.started",
                host=self._endpoint.host,
                port=port,
                objects=self._objects.address,
                guarded=self._token is not None,
            )
            await self._drain(await stop)
        finally:
            await runner.cleanup()

    async def _drain(self, why: str) -> None:
        self._draining = True
        self._log.info("vault.draining", why=why, requests=self._in_hand)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._in_hand:
                    self._idle.clear()
                    await self._idle.wait()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard, self._stored], client_max_size=MAX_OBJECT_BYTES)
        application.on_response_prepare.append(_sign)
        path = f"/{OBJECTS_PATH}/{{key:.*}}"
        application.add_routes(
            [
                web.get("/health", self._health),
                web.get("/readyz", self._health),
                web.get(f"/{OBJECTS_PATH}", self._list, allow_head=False),
                web.get(path, self._get, allow_head=False),
                web.put(path, self._put),
                web.delete(path, self._delete),
                web.get("/get_discord_data_backup", self._everything, allow_head=False),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        self._check(request)
        if self._draining:
            raise _later("the vault is stopping")
        self._in_hand += 1
        try:
            return await handler(request)
        finally:
            self._in_hand -= 1
            self._idle.set()

    def _check(self, request: web.Request) -> None:
        """Whether whoever asks may: by the token, or by having called this machine itself."""
        if self._token is None:
            if not Endpoint(request.url.host or "", 0).is_loopback():
                raise web.HTTPForbidden(text="without LEDGER_CLOUD_TOKEN the vault is called localhost\n")
        elif not bears(request, self._token):
            self._tell_denied(request)
            raise web.HTTPUnauthorized(text="Bearer LEDGER_CLOUD_TOKEN\n", headers={"WWW-Authenticate": "Bearer"})

    def _tell_denied(self, request: web.Request) -> None:
        self._denied += 1
        now_s = self._clock.monotonic_s()
        if now_s - self._denied_told_s >= DENIED_EVERY_S:
            self._log.warning("vault.denied", remote=request.remote, requests=self._denied)
            self._denied, self._denied_told_s = 0, now_s

    @web.middleware
    async def _stored(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What the store cannot do, as a status."""
        try:
            return await handler(request)
        except ConnectionError:  # whoever asked has left: nobody reads what is answered
            return web.Response(status=400)
        except LedgerError as error:
            failed = error
        # What the folder of objects says of it is for whoever writes into a store; this is the store itself.
        cause = failed.__cause__ if isinstance(failed.__cause__, LedgerError) else failed
        self._log.error("vault.failed", method=request.method, path=request.path, error=str(failed), hint=cause.hint)
        match failed:
            case _ if isinstance(cause, DiskFull):
                return web.Response(status=507, text="the vault's disk is full\n")
            case NotConfirmed():
                return web.Response(status=500, text="the vault does not know whether it was written\n")
            case _:
                return web.Response(status=503, text="the vault could not read or write it\n")

    async def _health(self, _request: web.Request) -> web.Response:
        body = msgspec.json.encode(Serving(ready=not self._draining)) + b"\n"
        return web.Response(body=body, status=503 if self._draining else 200, content_type="application/json")

    async def _list(self, request: web.Request) -> web.Response:
        limit = _limit(request)
        found: list[str] = []
        keys = self._objects.keys(request.query.get("prefix", ""), request.query.get("after", ""))
        async for key in keys:
            found.append(key)
            if len(found) > limit:
                break
        page = KeysPage(tuple(found[:limit]), more=len(found) > limit)
        return web.Response(body=msgspec.json.encode(page) + b"\n", content_type="application/json")

    async def _get(self, request: web.Request) -> web.Response:
        data = await self._objects.get(_key(request))
        if data is None:
            raise web.HTTPNotFound(text="there is no such object\n")
        return web.Response(body=data, content_type="application/octet-stream")

    async def _put(self, request: web.Request) -> web.Response:
        key, only_new = _key(request), _only_new(request)
        _check_length(request)
        async with self._bodies:
            data = await _body(request)
            if not only_new:
                await self._objects.put(key, data)
                return web.Response(status=204)
            created = await self._objects.create(key, data)
        if not created:
            raise web.HTTPPreconditionFailed(text="there is such an object\n")
        return web.Response(status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        await self._objects.delete(_key(request))
        return web.Response(status=204)

    async def _everything(self, request: web.Request) -> web.StreamResponse:
        if self._copying:
            raise _later("somebody else is reading everything")
        self._copying = True
        try:
            async with aclosing(self._document()) as pieces:
                return await self._send(request, pieces)
        finally:
            self._copying = False

    async def _send(self, request: web.Request, pieces: AsyncGenerator[bytes, None]) -> web.StreamResponse:
        """Streams the document; one that cannot be finished breaks off, so that nobody takes it for whole."""
        piece = await anext(pieces, b"")  # what fails here is told by a status
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        sent = 0
        try:
            while piece:
                async with asyncio.timeout(PIECE_S):
                    await answer.write(piece)
                sent += len(piece)
                piece = await anext(pieces, b"")
        except (LedgerError, OSError) as error:  # of the store; of whoever asked, who has left or does not read on
            self._log.error("document.failed", error=str(error) or "nobody reads on", bytes=sent)
            _break_off(request)
        else:
            self._log.info("document.served", remote=request.remote, bytes=sent)
        return answer


def _refuse_weak(token: SecretStr | None, endpoint: Endpoint) -> None:
    if token is None:
        where = "in the environment, /run/secrets/ledger_cloud_token or .env"
        raise BadSettings([f"LEDGER_CLOUD_TOKEN must be set {where}: others can reach {endpoint}."])
    if len(token.get_secret_value()) < MIN_TOKEN_CHARS:
        why = f"others can reach {endpoint} and may guess a shorter one"
        fix = "make one with `openssl rand -hex 32`, for the vault and the bot"
        raise BadSettings([f"LEDGER_CLOUD_TOKEN must have {MIN_TOKEN_CHARS} characters at least: {why}; {fix}."])


async def _sign(_request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers[VAULT_HEADER] = VAULT_FORMAT
    answer.headers["Cache-Control"] = "no-store"  # that an object is not there yet is nothing to keep


def _later(why: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=f"{why}\n", headers={"Retry-After": "1"})


def _key(request: web.Request) -> str:
    key = request.match_info["key"]
    try:
        check_key(key)
    except Refused as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    return key


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(PAGE_KEYS))
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= PAGE_KEYS:
        raise web.HTTPBadRequest(text=f"limit is 1 to {PAGE_KEYS}\n")
    return int(text)


def _only_new(request: web.Request) -> bool:
    condition = request.headers.get("If-None-Match")
    if condition not in {None, "*"} or "If-Match" in request.headers:
        raise web.HTTPBadRequest(text="the only condition is If-None-Match: *\n")
    return condition == "*"


def _check_length(request: web.Request) -> None:
    """Only a body whose length is told beforehand can be known to be whole."""
    length = request.content_length
    if length is None:
        raise web.HTTPLengthRequired(text="Content-Length must be there\n")
    if length > MAX_OBJECT_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_OBJECT_BYTES, length, text=f"at most {MAX_OBJECT_BYTES} bytes\n")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {BODY_S:g} s\n") from None


def _break_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
