"""Answers that are none of Discord's, over real sockets: whatever comes is a value, and nobody is silent or dead."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import discord
import pytest
from aiohttp import web
from discord.http import HTTPClient

from actors.gateway.failures import LONGEST_WAIT_S, Failure, Limited, Malformed, Unavailable, in_short, wait_of
from actors.gateway.inquiry import Inquiry
from actors.gateway.pacing import Pacer, Urgency
from actors.gateway.preflight import Me
from actors.gateway.rest import Rest
from actors.gateway.runner import point_at
from ledger.ids import GuildId, SessionId
from sandbox import Sandbox
from tests.actors.gateway.town import Town

VIA = {"Via": "1.1 somebody"}
DEADLINE_S = 0.5


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[HTTPClient]:
    """Logged in at the sandbox; the next request goes where the test says."""
    point_at(sandbox.api_url)
    async with discord.Client(intents=discord.Intents(guilds=True), max_ratelimit_timeout=30) as client:
        await client.login(sandbox.token)
        yield client.http


@asynccontextmanager
async def answering(status: int, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[str]:
    """The address of a server that answers everything so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": "application/json"} | dict(headers))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v10"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "headers", "failure"),
    [
        (200, b"{no json", {}, Malformed(why="JSONDecodeError")),
        (200, b"\xff\xfe", {}, Malformed(why="UnicodeDecodeError")),
        (200, b"", {}, Malformed(why="JSONDecodeError")),
        (200, b"[%s]" % (b"9" * 5_000), {}, Malformed(why="ValueError")),
        (200, b"<html>", {"Content-Type": "text/html"}, Malformed(why="Expected `array`, got `str`")),
        (200, b"[]", {"X-RateLimit-Remaining": "few"}, Malformed(why="ValueError")),
        (500, b"oops", {}, Malformed(why="JSONDecodeError")),
        (400, b'{"errors": [1]}', {}, Malformed(why="AttributeError")),
        (429, b"[]", VIA, Malformed(why="TypeError")),
        (429, b"{}", VIA, Malformed(why="KeyError")),
        (429, b'{"retry_after": "soon"}', VIA, Malformed(why="TypeError")),
        (429, b'{"retry_after": 1e999}', VIA, Limited(retry_after_s=LONGEST_WAIT_S)),
        (429, b"<html>", {"Content-Type": "text/html"}, Unavailable(status=429)),
        (302, b"", {"Location": "/api/v10/round"}, Unavailable(status=0)),
    ],
)
async def test_whatever_is_answered_becomes_a_value(  # noqa: PLR0917 -- fixtures
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    failure: Failure,
    http: HTTPClient,
    town: Town,
):
    async with answering(status, body, headers) as address:
        point_at(address)
        rest = Rest(lambda: http, Pacer(town.clock, asyncio.sleep), town.clock, DEADLINE_S)
        assert await rest.sample(GuildId("1"), SessionId("s"), vanity=False, urgency=Urgency.LIVE) == failure


@pytest.mark.parametrize("said", ["inf", "1e300", "99999999999"])
async def test_a_check_believes_no_limit_that_would_hold_the_bot_for_ever(said: str, town: Town):
    async with (
        answering(429, b"{}", {"Retry-After": said}) as address,
        Inquiry(address, "a.b.c", town.clock.now_ms) as ask,
    ):
        assert await ask.get("/users/@me", Me) == Limited(retry_after_s=LONGEST_WAIT_S)


@pytest.mark.parametrize("said", ["", "-5", "nan", "-inf", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_limit_that_says_no_number_of_seconds_lasts_as_long_as_one_that_says_nothing(said: str):
    assert wait_of(said, 7.0) == 7.0


def test_a_limit_is_believed_up_to_an_hour():
    assert [wait_of(said, 7.0) for said in ("0", "0.25", "12", 13.5, "3601")] == [0, 0.25, 12, 13.5, 3_600]


def test_a_page_of_html_is_told_in_short():
    text = in_short(ValueError("<html>" * 1_000))
    assert text.startswith("ValueError: <html>")
    assert len(text) == 300
