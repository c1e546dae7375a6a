"""Limits that Discord has told of, kept beyond the request that was told; over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import discord
import pytest
from discord.http import HTTPClient
from structlog.typing import FilteringBoundLogger

from actors.gateway.failures import Limited
from actors.gateway.pacing import SLOWEST_GAP_S, Pacer, Urgency
from actors.gateway.rest import Rest
from actors.gateway.restraint import Restraint, without_token
from actors.gateway.runner import point_at
from ledger.ids import GuildId, SessionId
from ledger.samples import Sample
from sandbox import Guild, Sandbox
from tests.actors.gateway.town import Lines
from tests.actors.harness import VirtualClock


class Asker:
    """Asks for samples, in time that passes only when a test says so (or the pacer waits)."""

    def __init__(self, http: HTTPClient, clock: VirtualClock, pacer: Pacer) -> None:
        self.clock = clock
        self.pacer = pacer
        self.rest = Rest(lambda: http, pacer, clock)

    async def sample(self, guild: Guild) -> object:
        return await self.rest.sample(GuildId(str(guild.id)), SessionId("s"), vanity=False, urgency=Urgency.LIVE)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def sandbox(clock: VirtualClock) -> AsyncIterator[Sandbox]:
    """It looks at the same clock, and so does not miss who asks too early."""
    async with Sandbox(seed=7, monotonic_s=clock.monotonic_s) as running:
        yield running
        assert list(running.violations) == []


@pytest.fixture
async def asker(sandbox: Sandbox, clock: VirtualClock, log: FilteringBoundLogger) -> AsyncIterator[Asker]:
    async def sleep(seconds: float) -> None:
        clock.now_s += seconds
        await asyncio.sleep(0)

    pacer = Pacer(clock, sleep)
    restraint = Restraint(pacer, clock, sleep, log)
    point_at(sandbox.api_url)
    async with discord.Client(
        intents=discord.Intents(guilds=True), max_ratelimit_timeout=30, http_trace=restraint.trace()
    ) as client:
        await client.login(sandbox.token)
        yield Asker(client.http, clock, pacer)


async def test_a_long_limit_of_a_route_is_not_asked_again_before_its_time(
    asker: Asker, sandbox: Sandbox, lines: Lines
):
    guild, other = sandbox.world.add_guild(), sandbox.world.add_guild()
    sandbox.faults.fail("invites", 429, retry_after_s=60.0)
    assert await asker.sample(guild) == Limited(retry_after_s=60.0)
    asker.clock.now_s += 40
    assert await asker.sample(guild) == Limited(retry_after_s=20.0)
    assert isinstance(await asker.sample(other), Sample)
    asker.clock.now_s += 20
    assert isinstance(await asker.sample(guild), Sample)
    assert sandbox.count("invites", 429) == 1
    assert lines.named("rest.limited")[0]["route"] == f"guilds/{guild.id}/invites"


async def test_a_global_limit_shuts_everything_until_it_is_over(asker: Asker, sandbox: Sandbox):
    guild, other = sandbox.world.add_guild(), sandbox.world.add_guild()
    sandbox.faults.fail("invites", 429, retry_after_s=60.0, is_global=True)
    began_s = asker.clock.now_s
    assert await asker.sample(guild) == Limited(retry_after_s=60.0)
    assert isinstance(await asker.sample(other), Sample)
    assert asker.clock.now_s - began_s >= 60


async def test_limits_slow_us_down_and_quiet_brings_us_back(asker: Asker, sandbox: Sandbox):
    guilds = [sandbox.world.add_guild() for _ in range(8)]
    sandbox.faults.fail("invites", 429, times=8, retry_after_s=31.0)
    for guild in guilds:
        await asker.sample(guild)
    assert asker.pacer.gap_s() > SLOWEST_GAP_S / 2
    asker.clock.now_s += 31
    for _ in range(40):
        await asker.pacer.beat()
    assert asker.pacer.gap_s() == 1 / 40


async def test_an_answer_to_an_interaction_does_not_wait_for_the_global_limit(
    asker: Asker, log: FilteringBoundLogger
):
    restraint = Restraint(asker.pacer, asker.clock, asyncio.sleep, log)
    asker.pacer.shut(10.0)
    assert restraint.left_s("interactions/1/token/callback") == restraint.left_s("webhooks/1/token") == 0.0
    assert restraint.left_s("guilds/1/invites") == 10.0


def test_the_token_of_an_interaction_is_not_told():
    assert without_token("webhooks/7/aW50ZXJhY3Rpb24/messages/@original") == "webhooks/7"
    assert without_token("interactions/7/aW50ZXJhY3Rpb24/callback") == "interactions/7"
    assert without_token("guilds/7/invites") == "guilds/7/invites"
