"""Health, metrics, forgetting and, under chaos only, the killing of actors, over HTTP.

    GET  /livez               200 while the loop turns
    GET  /readyz              200 when ready, else 503; the body says why
    GET  /metrics             Prometheus
    POST /forget              a ``ForgetRequest`` as JSON; answers with a line of JSON now and then, the last a report
    POST /chaos/kill/{child}  there only under ``run --chaos`` and on a loopback address

Health is open to all. The rest needs ``Authorization: Bearer LEDGER_HTTP_TOKEN``; without such a token it is open on
a loopback address and closed on any other. Forgetting cannot be undone, so it takes nothing from a web page: no
request with an Origin, and JSON only.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr
from structlog.typing import FilteringBoundLogger

from actors.forgetting import BadForgetting, Forget, ForgetReport, ForgetRequest
from actors.ops.health import Health, readiness
from actors.ops.metrics import make_registry
from actors.ops.serving import bears, listen
from actors.settings import Endpoint
from actors.supervision import spawn

OPEN_PATHS: Final = frozenset({"/livez", "/readyz"})
SHUTDOWN_S: Final = 1.0
"""A request under way has so long to end."""


PROGRESS_S: Final = 10.0
"""Between two lines of progress, also while one guild takes its time: whoever asks knows that it goes on."""


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of /livez. ``pid``: whose it is, so that ``doctor`` can tell one bot from another."""

    alive: bool
    pid: int


class ForgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of what /forget answers: so many of so many guilds are done; with the report it is the last."""

    done: int
    of: int
    report: ForgetReport | None = None


class OpsServer:
    """The HTTP server of one process.

    Args:
        endpoint: where to listen; port 0 takes a free one, told by ``http.started``.
        token: guards all but health.
        health: asked at every request.
        forget: forgets a person or a guild.
        kill: ends the life of a child (``guild/ID``, ``journal`` …); False when it has none.
        chaos: whether killing may be asked for at all.
        log: where the real address is told.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        token: SecretStr | None,
        health: Health,
        forget: Forget,
        kill: Callable[[str], bool],
        chaos: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._health = health
        self._registry: CollectorRegistry = make_registry(health)
        self._forget_for_good = forget
        self._kill = kill
        self._chaos = chaos and endpoint.is_loopback()
        self._log = log

    async def run(self) -> None:
        """Serves until it is cancelled.

        Raises:
            CannotListen: when the address cannot be had.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            port = await listen(runner, self._endpoint)
            self._log.info("http.started", host=self._endpoint.host, port=port, chaos=self._chaos)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.post("/forget", self._forget),
            ]
        )
        if self._chaos:
            application.add_routes([web.post("/chaos/kill/{child:.+}", self._kill_child)])
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        if self._token is None and not self._endpoint.is_loopback():
            raise web.HTTPForbidden(text="set LEDGER_HTTP_TOKEN to read this from outside\n")
        if self._token is not None and not bears(request, self._token):
            raise web.HTTPUnauthorized(text="Bearer LEDGER_HTTP_TOKEN\n", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _livez(self, _request: web.Request) -> web.Response:
        return _json(Liveness(alive=True, pid=os.getpid()), ok=True)

    async def _readyz(self, _request: web.Request) -> web.Response:
        told = readiness(self._health.vitals())
        return _json(told, ok=told.ready)

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = generate_latest(self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        if "Origin" in request.headers or request.content_type != "application/json":
            raise web.HTTPForbidden(text="POST JSON, and not from a web page\n")
        try:
            wanted = msgspec.json.decode(await request.read(), type=ForgetRequest).checked()
        except (msgspec.MsgspecError, BadForgetting) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        if not self._health.vitals().journal.ready:  # whom it does not know yet, it would not know of
            raise web.HTTPServiceUnavailable(text="the bot reads its history, stands by, or can record nothing\n")
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        async with aclosing(self._forgetting(wanted)) as lines:
            async for line in lines:
                await answer.write(msgspec.json.encode(line) + b"\n")
        return answer

    async def _forgetting(self, wanted: ForgetRequest) -> AsyncGenerator[ForgetLine, None]:
        so_far = ForgetLine(done=0, of=0)

        async def note(done: int, of: int) -> None:
            nonlocal so_far
            so_far = ForgetLine(done=done, of=of)

        work = spawn(self._forget_for_good(wanted, note), "forgetting")
        try:
            while not (await asyncio.wait({work}, timeout=PROGRESS_S))[0]:
                yield so_far
        finally:
            work.cancel()
        report = work.result()
        yield ForgetLine(done=report.guilds, of=report.guilds, report=report)

    async def _kill_child(self, request: web.Request) -> web.Response:
        child = request.match_info["child"]
        killed = self._kill(child)
        return _json({"child": child, "killed": killed}, ok=killed, otherwise=HTTPStatus.NOT_FOUND)


def _json(body: object, *, ok: bool, otherwise: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> web.Response:
    status = HTTPStatus.OK if ok else otherwise
    return web.Response(body=msgspec.json.encode(body) + b"\n", status=status, content_type="application/json")
