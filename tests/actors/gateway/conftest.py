"""A gateway against a sandbox over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping

import discord
import pytest
import structlog
from discord.gateway import DiscordWebSocket
from discord.http import HTTPClient, Route
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep, SystemRandomness
from actors.gateway.pacing import Pacer
from actors.gateway.rest import Rest
from actors.gateway.runner import Gateway, point_at
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.town import Lines, Town, running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, identify_every_s=0.0) as running:
        yield running
        assert list(running.unhandled) == []
        assert list(running.violations) == []
        for_asker_alone(running)


def for_asker_alone(sandbox: Sandbox) -> None:
    """Whatever was answered in the test was ephemeral and pinged nobody. Limits the sandbox keeps itself."""
    for pending in sandbox.interactions._by_token.values():
        reply = pending.reply
        assert all(message.ephemeral for message in reply.messages)
        sent = [callback.data for callback in reply.callbacks if callback.type in (4, 7)]
        sent += [message.payload for message in reply.messages if "allowed_mentions" in message.payload]
        assert all(body["allowed_mentions"] == {"parse": []} for body in sent)
        assert sent or reply.thinking or not reply.messages


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild()


@pytest.fixture
def staff(guild: Guild, sandbox: Sandbox) -> User:
    return sandbox.world.add_staff(guild)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town()
    await made.inside.books.open()
    yield made
    await made.close()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def log(lines: Lines) -> FilteringBoundLogger:
    def keep(_: object, __: str, line: MutableMapping[str, object]) -> str:
        lines.keep(dict(line))
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0))


@pytest.fixture
def quarantine() -> dict[str, bytes]:
    return {}


@pytest.fixture(autouse=True)
def library_points_back() -> Iterator[None]:
    """The library's idea of where Discord is, is global: put it back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Route, "BASE", Route.BASE)
        patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", "unset")
        yield


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[HTTPClient]:
    """The library's HTTP client, logged in, without a gateway."""
    point_at(sandbox.api_url)
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(sandbox.token)
        yield client.http


@pytest.fixture
def rest(http: HTTPClient, town: Town) -> Rest:
    """Requests at a pace that no test notices."""
    return Rest(lambda: http, Pacer(town.clock, asyncio.sleep, per_s=10_000), town.clock, deadline_s=5.0)


MakeGateway = Callable[..., Gateway]


@pytest.fixture
def make_gateway(
    sandbox: Sandbox, town: Town, log: FilteringBoundLogger, quarantine: dict[str, bytes]
) -> MakeGateway:
    def make(token: str = "", api_url: str = "", sleep: Sleep = asyncio.sleep, *, witness: bool = True) -> Gateway:
        return Gateway(
            token=token or sandbox.token,
            api_url=api_url or sandbox.api_url,
            roster=town.roster,
            inside=town.inside,
            clock=town.clock,
            sleep=sleep,
            randomness=SystemRandomness(),
            spawn=town.spawn,
            keep=quarantine.__setitem__,
            witness=witness,
            log=log,
        )

    return make


@pytest.fixture
async def gateway(make_gateway: MakeGateway, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """A gateway that is connected; guilds made before are there."""
    made = make_gateway()
    async with running(made):
        await sandbox.wait_ready()
        yield made
