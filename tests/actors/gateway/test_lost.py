"""Whichever way a connection ends: the next one says since when nobody knows what happened."""

import asyncio

import pytest

from ledger import messages as m
from sandbox import Guild, Sandbox
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Town, running


async def soon(_: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def identifies_at_once(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    monkeypatch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 0.0)
    sandbox.identifies.every_s = 0


async def test_a_client_whose_reader_stumbled_says_when_it_was_there(
    guild: Guild, make_gateway: MakeGateway, sandbox: Sandbox, town: Town
):
    """What the library's reader does not expect (a broken stream) ends ``connect`` without its "disconnect"."""

    async def stumble(*_: object) -> None:
        raise RuntimeError("a broken stream")

    gateway = make_gateway(sleep=soon)
    async with running(gateway):
        [first] = await town.until_heard(guild.id, m.GuildCameUp)
        client = gateway._client()
        assert client is not None
        client.ws.received_message = stumble  # type: ignore[method-assign]
        sandbox.world.join(guild)
        second = (await town.until_heard(guild.id, m.GuildCameUp, 2))[1]
    assert first.session != second.session
    assert first.at_us - 1_000_000 < second.lost_us < second.at_us


async def test_when_all_connections_are_made_anew_each_guild_is_told_since_when_it_was_lost(
    guild: Guild, make_gateway: MakeGateway, sandbox: Sandbox, town: Town
):
    """Discord demands more shards (4011), or took the intent away for a while (4014): the way in is a new one."""
    gateway = make_gateway(sleep=soon)
    async with running(gateway):
        [first] = await town.until_heard(guild.id, m.GuildCameUp)
        sandbox.identifies.shards = 2
        sandbox.gateway.connections[0].close(4011)
        second = (await town.until_heard(guild.id, m.GuildCameUp, 2))[1]
    assert first.session != second.session
    assert first.at_us - 1_000_000 < second.lost_us < second.at_us
