import asyncio
import time

import aiohttp
import discord
import pytest

from sandbox import VANITY, Guild, Sandbox
from tests.sandbox.client import Bot, client_session


async def test_a_429_is_retried_by_the_client(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("invites", 429, retry_after_s=0.02)
    assert await bot.http.invites_from(guild.id) == []
    assert [seen.status for seen in sandbox.requests if seen.kind == "invites"] == [429, 200]


async def test_a_narrow_limit_is_obeyed(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.limits.set("invites", limit=2, per_s=0.1)
    started = time.monotonic()
    await asyncio.gather(*(bot.http.invites_from(guild.id) for _ in range(5)))
    assert time.monotonic() - started > 0.1
    assert sandbox.count("invites", 200) == 5


async def test_a_500_is_retried_and_a_503_is_not(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("invites", 500)
    assert await bot.http.invites_from(guild.id) == []
    sandbox.faults.fail("invites", 503)
    with pytest.raises(discord.DiscordServerError):
        await bot.http.invites_from(guild.id)


async def test_a_scripted_refusal_is_forbidden(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("vanity", 403, code=50001)
    with pytest.raises(discord.Forbidden):
        await bot.http.get_vanity_code(guild.id)
    assert sandbox.faults.pending("vanity") == 0


def test_what_fails_for_ever_fails_in_each_guild_it_was_said_of(sandbox: Sandbox):
    for guild_id in (1, 2):
        sandbox.faults.fail("search", 403, times=None, guild_id=guild_id)
    assert [sandbox.faults.take("search", guild_id).status for guild_id in (1, 2, 3)] == [403, 403, None]


async def test_a_fault_waits_for_its_guild(bot: Bot, guild: Guild, sandbox: Sandbox):
    other = sandbox.world.add_guild("Other")
    sandbox.faults.fail("invites", 503, guild_id=other.id)
    assert await bot.http.invites_from(guild.id) == []
    with pytest.raises(discord.DiscordServerError):
        await bot.http.invites_from(other.id)


async def test_a_list_without_metadata(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.add_invite(guild, guild.owner)
    sandbox.faults.bare_invites()
    assert "uses" not in (await bot.http.invites_from(guild.id))[0]
    assert "uses" in (await bot.http.invites_from(guild.id))[0]


async def test_the_empty_vanity_glitch(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.set_vanity(guild, "harbour", uses=3)
    sandbox.faults.blank_vanity()
    assert await bot.http.get_vanity_code(guild.id) == {"code": None, "uses": 0}
    assert await bot.http.get_vanity_code(guild.id) == {"code": "harbour", "uses": 3}


async def test_a_stale_list_shows_the_counters_of_then(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner, max_uses=1)
    sandbox.faults.stale_invites(sandbox.world.clock.now_us())
    sandbox.world.join(guild, via=invite.code)
    (stale,) = await bot.http.invites_from(guild.id)
    assert (stale["code"], stale["uses"]) == (invite.code, 0)
    assert await bot.http.invites_from(guild.id) == []


async def test_counters_may_lag_behind(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    sandbox.world.set_vanity(guild, "harbour")
    invite.created_at_us -= 60_000_000
    sandbox.faults.lag_us = 30_000_000
    sandbox.world.join(guild, via=invite.code)
    sandbox.world.join(guild, via=VANITY)
    assert [row["uses"] for row in await bot.http.invites_from(guild.id)] == [0]
    assert (await bot.http.get_vanity_code(guild.id))["uses"] == 0


@pytest.mark.parametrize(("late", "uses"), [(False, 1), (True, 0)])
async def test_a_gate_stops_a_request_before_or_after_the_counters_are_read(
    bot: Bot, guild: Guild, sandbox: Sandbox, *, late: bool, uses: int
):
    invite = sandbox.world.add_invite(guild, guild.owner)
    gate = sandbox.faults.hang("invites", late=late)
    async with asyncio.TaskGroup() as tasks:
        fetch = tasks.create_task(bot.http.invites_from(guild.id))
        await gate.arrived()
        sandbox.world.join(guild, via=invite.code)
        gate.open()
    assert fetch.result()[0]["uses"] == uses


async def test_latency_uses_the_given_sleep(bot: Bot, guild: Guild, sandbox: Sandbox):
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    sandbox.edge.sleep = sleep
    sandbox.faults.latency_s["invites"] = 3.0
    sandbox.faults.delay("invites", 9.0, late=True)
    await bot.http.invites_from(guild.id)
    assert slept == [3.0, 9.0]


async def test_a_cut_connection(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.faults.drop("invites", times=2)  # aiohttp itself tries a GET once more
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bot.http.invites_from(guild.id)
    assert await bot.http.invites_from(guild.id) == []


async def test_unknown_paths_are_404_and_remembered(sandbox: Sandbox):
    async with client_session() as session, session.get(sandbox.api_url + "/no/such/thing") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, 0)
    assert sandbox.unhandled.popleft() == ("GET", "/api/v10/no/such/thing")
    assert len(sandbox.violations.take("rest.unknown_route")) == 1


async def test_answers_carry_limits_and_the_bare_json_type(sandbox: Sandbox):
    async with client_session() as session, session.get(sandbox.api_url + "/users/@me") as answer:
        assert answer.status == 401
        assert answer.headers["Content-Type"] == "application/json"
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Bucket"} <= set(answer.headers)
        assert await answer.json() == {"message": "401: Unauthorized", "code": 0}
