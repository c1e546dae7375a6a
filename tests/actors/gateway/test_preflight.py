"""The check before the first IDENTIFY, over real sockets: what is found, in which words, and what never blocks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from actors.clock import SystemClock
from actors.gateway.findings import Finding, Severity, Topic
from actors.gateway.inquiry import Inquiry
from actors.gateway.preflight import Grant, Preflight, check
from sandbox import Sandbox

CLOCK = SystemClock()
MEMBERS, MEMBERS_LIMITED = 1 << 14, 1 << 15
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def asked(url: str, token: str, now_ms: Callable[[], int] = CLOCK.now_ms, deadline_s: float = 5.0) -> Preflight:
    async with Inquiry(url, token, now_ms, deadline_s) as ask:
        return await check(ask, url, token)


async def of(sandbox: Sandbox) -> Preflight:
    return await asked(sandbox.api_url, sandbox.token)


def about(preflight: Preflight, topic: Topic) -> Finding:
    (finding,) = (each for each in preflight.findings if each.topic is topic)
    return finding


@asynccontextmanager
async def serving(page: Page) -> AsyncIterator[str]:
    """A server that is not Discord's: one page for everything; its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v10"
    finally:
        await runner.cleanup()


async def test_a_bot_that_may_start_gets_a_grant_and_is_named(sandbox: Sandbox):
    sandbox.world.add_guild()
    preflight = await of(sandbox)
    bot = sandbox.world.bot
    assert preflight.grant is not None
    assert 0 < preflight.grant.reset_after_s <= 86_400
    assert msgspec.structs.replace(preflight.grant, reset_after_s=0.0) == Grant(
        shards=1,
        max_concurrency=1,
        remaining=1_000,
        total=1_000,
        reset_after_s=0.0,
        application=str(bot.id),
        name=bot.name,
    )
    assert preflight.stopping() == ()
    assert {finding.severity for finding in preflight.findings} == {Severity.FINE}


async def test_a_bot_in_no_server_gets_the_install_link_with_exactly_what_is_used(sandbox: Sandbox):
    finding = about(await of(sandbox), Topic.INSTALL)
    assert finding.severity is Severity.WARNING
    link = f"client_id={sandbox.world.bot.id}&scope=bot+applications.commands&permissions=177 "
    assert f"https://discord.com/oauth2/authorize?{link}" in str(finding)


async def test_the_members_intent_switched_off_blocks_with_its_fix(sandbox: Sandbox):
    sandbox.application.flags = type(sandbox.application.flags)(0)
    preflight = await of(sandbox)
    assert preflight.grant is None
    (finding,) = preflight.stopping()
    assert (finding.topic, finding.severity) == (Topic.INTENT, Severity.BLOCKING)
    assert "inviteledger setup" in finding.fix
    assert preflight.findings[0] == finding


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("1234567890123456789", "id"),
        ("a1" * 32, "public key"),
        ("mfa.abcdefghijklmnop", "person"),
        ("abcdefghijABCDEFGHIJ0123456789-_", "client secret"),
        ("abcdefghijABCDEFGHIJ0123456789", "OAuth"),
        ("MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs", "was reset"),
        ("MTk4NjIyNDgzNDcxOTI1MjQ4", "not copied whole"),
    ],
)
async def test_a_refused_token_is_told_by_its_kind_and_asked_for_once(sandbox: Sandbox, token: str, words: str):
    preflight = await asked(sandbox.api_url, token)
    (finding,) = preflight.stopping()
    assert (finding.topic, finding.severity, preflight.grant) == (Topic.TOKEN, Severity.BLOCKING, None)
    assert words in finding.what
    assert token not in repr(preflight)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("status", "severity"), [(500, Severity.AWAY), (503, Severity.AWAY), (404, Severity.BLOCKING)]
)
@pytest.mark.parametrize("kind", ["me", "application", "gateway"])
async def test_what_discord_cannot_answer_now_stops_and_a_page_it_lacks_only_warns(
    sandbox: Sandbox, kind: str, status: int, severity: Severity
):
    sandbox.world.add_guild()
    sandbox.faults.fail(kind, status)
    preflight = await of(sandbox)
    if status == 404 and kind != "me":
        assert preflight.grant is not None
        assert preflight.findings[0].severity is Severity.WARNING
    else:
        assert [finding.severity for finding in preflight.stopping()] == [severity]


async def test_a_rate_limit_is_waited_for_as_long_as_discord_says(sandbox: Sandbox):
    sandbox.faults.fail("me", 429, retry_after_s=77.0)
    (finding,) = (await of(sandbox)).stopping()
    assert (finding.severity, finding.wait_s) == (Severity.AWAY, 77.0)


async def test_all_findings_come_at_once_and_the_worst_first(sandbox: Sandbox):
    sandbox.application.flags = type(sandbox.application.flags)(0)
    sandbox.faults.fail("gateway", 503)
    preflight = await asked(sandbox.api_url, sandbox.token, now_ms=lambda: CLOCK.now_ms() + 60_000)
    assert [finding.topic for finding in preflight.findings[:4]] == [
        Topic.INTENT,
        Topic.DISCORD,
        Topic.INSTALL,
        Topic.CLOCK,
    ]


@pytest.mark.parametrize(("ahead_ms", "words"), [(60_000, "60 s ahead of"), (-60_000, "60 s behind")])
async def test_a_clock_that_differs_from_discords_is_a_warning(sandbox: Sandbox, ahead_ms: int, words: str):
    preflight = await asked(sandbox.api_url, sandbox.token, now_ms=lambda: CLOCK.now_ms() + ahead_ms)
    assert words in about(preflight, Topic.CLOCK).what
    assert preflight.grant is not None


async def test_a_clock_that_agrees_is_not_mentioned(sandbox: Sandbox):
    assert all(finding.topic is not Topic.CLOCK for finding in (await of(sandbox)).findings)


async def test_nobody_there_is_away():
    (finding,) = (await asked("http://127.0.0.1:9/api/v10", "x")).stopping()
    assert (finding.topic, finding.severity) == (Topic.DISCORD, Severity.AWAY)


async def test_no_answer_within_the_deadline_is_away(sandbox: Sandbox):
    sandbox.faults.hang("me")
    (finding,) = (await asked(sandbox.api_url, sandbox.token, deadline_s=0.05)).stopping()
    assert finding.severity is Severity.AWAY
    assert "within 0.05 s" in finding.what


async def test_a_page_of_html_is_not_taken_for_discord():
    async def portal(_: web.Request) -> web.Response:
        return web.Response(text="<html>Please log in</html>", content_type="text/html")

    async with serving(portal) as url:
        (finding,) = (await asked(url, "x")).stopping()
    assert finding.severity is Severity.BLOCKING
    assert "not Discord's API" in finding.what


async def test_the_token_does_not_follow_a_redirect(sandbox: Sandbox):
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"{sandbox.api_url}/users/@me")

    async with serving(moved) as url:
        (finding,) = (await asked(url, sandbox.token)).stopping()
    assert "status 302" in finding.what
    assert len(sandbox.requests) == 0


async def test_a_persons_token_blocks_even_where_it_is_taken():
    async def person(_: web.Request) -> web.Response:
        return web.json_response({"id": "5", "username": "ann", "name": "x", "flags": MEMBERS})

    async with serving(person) as url:
        (finding,) = (await asked(url, "x")).stopping()
    assert "person" in finding.what


async def test_what_keeps_people_from_installing_or_asking_is_warned_of():
    body = {
        "id": "5",
        "username": "b",
        "bot": True,
        "flags": MEMBERS_LIMITED,
        "bot_public": False,
        "bot_require_code_grant": True,
        "interactions_endpoint_url": "https://elsewhere.example",
        "approximate_guild_count": 80,
        "shards": 2,
        "session_start_limit": {"total": 1_000, "remaining": 1, "reset_after": 5_400_000, "max_concurrency": 16},
    }

    async def odd(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with serving(odd) as url:
        told = await asked(url, "x")
    (spent,) = told.stopping()
    assert (spent.topic, "1 h 30 min" in spent.what) == (Topic.BUDGET, True)
    warned = [finding.what for finding in told.findings if finding.severity is Severity.WARNING]
    assert len(warned) == 3
    assert [
        word for word in ("80 servers", "code grant", "endpoint") if not any(word in each for each in warned)
    ] == []
