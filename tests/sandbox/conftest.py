"""Every test here has a sandbox of its own, and a client over real sockets where it asks for one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import discord
import pytest
import yarl

from sandbox import Guild, Sandbox
from tests.sandbox.client import Bot, Connect


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, identify_every_s=0.0) as running:
        yield running
        assert list(running.unhandled) == []
        assert list(running.violations) == []


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild()


@pytest.fixture
def pointed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(discord.http.Route, "BASE", sandbox.api_url)
        patch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway_url))
        yield


@pytest.fixture
def connect(sandbox: Sandbox, pointed: None) -> Connect:  # noqa: ARG001  # set up before, not used
    @asynccontextmanager
    async def connected(**options: bool) -> AsyncIterator[Bot]:
        bot = Bot(sandbox, **options)
        async with bot:
            await bot.login(sandbox.token)
            running = asyncio.create_task(bot.connect())
            await sandbox.wait_ready()
            await sandbox.until(lambda: len(bot.data("GUILD_CREATE")) == len(sandbox.world.guilds))
            yield bot
        await running
        assert bot.errors == []

    return connected


@pytest.fixture
async def bot(connect: Connect, guild: Guild) -> AsyncIterator[Bot]:  # noqa: ARG001  # there before the client
    async with connect() as running:
        yield running
