"""Several shards in one process: each hears its own guilds, and lives and dies by itself."""

import asyncio
import threading

import pytest
from discord.gateway import KeepAliveHandler
from discord.http import HTTPClient

from actors.gateway import runner
from actors.gateway.identify import IdentifyGate
from actors.gateway.rest import url_of_gateway
from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.records import GatewayCause
from sandbox import Guild, Sandbox
from sandbox.sessions import Session
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Town, running

SHARDS = 3


@pytest.fixture
def guilds(sandbox: Sandbox) -> dict[int, Guild]:
    """A guild for each of the shards, by its number; they may all identify at once."""
    sandbox.identifies.shards = SHARDS
    sandbox.set_session_start_limit(max_concurrency=SHARDS)
    found: dict[int, Guild] = {}
    while len(found) < SHARDS:
        guild = sandbox.world.add_guild()
        found.setdefault((guild.id >> 22) % SHARDS, guild)
    return found


@pytest.fixture
def identifies_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a gateway whose sleep does not wait."""
    monkeypatch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 0.0)


async def all_up(guilds: dict[int, Guild], town: Town, times: int = 1) -> None:
    for guild in guilds.values():
        await town.until_heard(guild.id, m.GuildCameUp, times)


def sessions_of(sandbox: Sandbox) -> dict[int, Session]:
    return {session.shard[0]: session for session in sandbox.sessions}


async def test_each_shard_hears_its_own_guilds(
    guilds: dict[int, Guild], make_gateway: MakeGateway, sandbox: Sandbox, town: Town
):
    gateway: Gateway = make_gateway()
    async with running(gateway):
        await all_up(guilds, town)
        for number, guild in guilds.items():
            sandbox.world.join(guild)
            [join] = await town.until_heard(guild.id, m.RecordJoin)
            assert isinstance(join.cause, GatewayCause)
            assert join.cause.session == sessions_of(sandbox)[number].id
        status = gateway.status()
        assert [shard.number for shard in status.shards] == [0, 1, 2]
        assert (status.connected, status.awaited) == (True, 0)


async def test_commands_are_made_known_once_and_answered_on_every_shard(
    guilds: dict[int, Guild], make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    async with running(make_gateway()):
        await all_up(guilds, town)
        await lines.until("commands.synced")
        replies = [await sandbox.slash(guild, guild.owner, "debug_invites") for guild in guilds.values()]
    assert all(reply.text for reply in replies)
    assert sandbox.count("commands") == 1


@pytest.mark.usefixtures("identifies_at_once")
async def test_one_shards_new_session_and_new_client_leave_the_others_alone(
    guilds: dict[int, Guild], make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    async def soon(_: float) -> None:
        await asyncio.sleep(0)

    sandbox.identifies.every_s = 0
    gateway: Gateway = make_gateway(sleep=soon)
    async with running(gateway):
        await all_up(guilds, town)
        before = sessions_of(sandbox)
        connection = next(each for each in sandbox.gateway.connections if each.send == before[1]._send)
        sandbox.gateway.sessions.drop(before[1].id)
        connection.close(4000)  # the library resumes, which is refused, and identifies
        await town.until_heard(guilds[1].id, m.GuildCameUp, 2)
        client = gateway._shards[1].client
        assert client is not None
        await client.close()  # a new client is made
        await town.until_heard(guilds[1].id, m.GuildCameUp, 3)
        after = sessions_of(sandbox)
    assert {number for number in before if before[number].id == after[number].id} == {0, 2}
    assert len(town.heard(guilds[0].id, m.GuildCameUp)) == 1
    assert [line["shard"] for line in lines.named("gateway.lost")] == [1]


async def test_rest_goes_on_through_another_shard_while_one_is_lost(
    guilds: dict[int, Guild], make_gateway: MakeGateway, town: Town
):
    gateway: Gateway = make_gateway(sleep=asyncio.sleep)
    async with running(gateway):
        await all_up(guilds, town)
        client = gateway._shards[0].client
        assert client is not None
        await client.close()
        http = gateway._http()
        assert http is not None
        assert (await url_of_gateway(http))["url"].startswith("ws://")


@pytest.mark.usefixtures("identifies_at_once")
async def test_a_demand_for_more_shards_makes_all_connections_anew_with_as_many_as_are_advised_then(
    guilds: dict[int, Guild], make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    gateway: Gateway = make_gateway(sleep=no_pause)
    async with running(gateway):
        await all_up(guilds, town)
        sandbox.identifies.shards = SHARDS + 1
        sandbox.gateway.connections[0].close(4011)
        for guild in guilds.values():
            await town.until_heard(guild.id, m.GuildCameUp, 2)
        assert [status.number for status in gateway.status().shards] == [0, 1, 2, 3]
    (line,) = lines.named("preflight.held")
    assert "Discord demands more shards" in str(line["findings"])


async def test_a_drain_is_not_ended_by_a_shards_life_that_is_cancelled_while_it_closes(
    guilds: dict[int, Guild], make_gateway: MakeGateway, town: Town
):
    gateway = make_gateway()
    async with running(gateway):
        await all_up(guilds, town)
        shard = gateway._shards[0]
        assert shard.client is not None
        closing = asyncio.get_running_loop().create_task(shard.close())
        while shard.client._closing_task is None:  # noqa: ASYNC110 -- the library says nothing of it
            await asyncio.sleep(0)
        shard.client._closing_task.cancel()
        await closing
        assert not shard.client.is_connected()
    assert not hearts()


async def test_a_life_that_is_cancelled_again_while_it_closes_ends_its_connection_all_the_same(
    guilds: dict[int, Guild], make_gateway: MakeGateway, sandbox: Sandbox, town: Town
):
    gateway = make_gateway()
    async with running(gateway):
        await all_up(guilds, town)
        lives, clients = gateway._lives, [shard.client for shard in gateway._shards]
        for life in lives:
            life.cancel()
        while any(client and client._closing_task is None for client in clients):  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0)
        for life in lives:
            life.cancel()
        await asyncio.wait(lives)
        assert not any(client and client.is_connected() for client in clients)
        assert all(client and client.http._HTTPClient__session.closed for client in clients)
        assert not hearts()
        await sandbox.until(lambda: not sandbox.gateway.connections)


async def test_a_connection_that_ends_before_it_identifies_ends_with_its_heart(
    make_gateway: MakeGateway, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """The library opens the socket, hears HELLO, starts the thread that beats, and asks us: so far it gets, twice."""
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def never(_: IdentifyGate, __: int) -> None:
        asked.put_nowait(None)
        await asyncio.Event().wait()

    monkeypatch.setattr(IdentifyGate, "identify", never)
    gateway = make_gateway()
    async with running(gateway):
        await asked.get()
        [heart] = hearts()
        [life] = gateway._lives
        life.cancel()
        await asyncio.wait([life])
        assert heart not in hearts()
        await asked.get()
        assert len(hearts()) == len(sandbox.gateway.connections) == 1
    assert not hearts()
    await sandbox.until(lambda: not sandbox.gateway.connections)


@pytest.mark.usefixtures("identifies_at_once")
async def test_a_connection_that_may_not_identify_in_time_ends_before_the_next_is_made(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, monkeypatch: pytest.MonkeyPatch
):
    """The library gives a connect up after 60 s, and makes another; here it is the gate that gives up."""
    guild, identify = sandbox.world.add_guild(), IdentifyGate.identify
    refusals = iter((False, True, False))

    async def refuse_the_second(gate: IdentifyGate, shard: int) -> None:
        if next(refusals, False):
            raise TimeoutError
        await identify(gate, shard)

    monkeypatch.setattr(IdentifyGate, "identify", refuse_the_second)
    monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.0)
    async with running(make_gateway()):
        await town.until_heard(guild.id, m.GuildCameUp)
        sandbox.gateway.invalidate()
        await town.until_heard(guild.id, m.GuildCameUp, 2)
        assert len(hearts()) == 1
    assert not any(refusals)


def hearts() -> list[threading.Thread]:
    """The library's threads that beat for a connection, but for those that were told to stop."""
    every = (each for each in threading.enumerate() if isinstance(each, KeepAliveHandler))
    return [heart for heart in every if not heart._stop_ev.is_set()]


async def test_another_advice_is_told_and_changes_nothing(  # noqa: PLR0917 -- fixtures
    guilds: dict[int, Guild],
    make_gateway: MakeGateway,
    sandbox: Sandbox,
    town: Town,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(runner, "LOOK_AGAIN_S", 0.05)
    async with running(make_gateway()):
        await all_up(guilds, town)
        sandbox.identifies.shards = SHARDS + 1
        line = await lines.until("shards.advised")
        assert (line["advised"], line["running"]) == (SHARDS + 1, SHARDS)
        assert len(sandbox.gateway.connections) == SHARDS


async def test_shards_of_one_bucket_identify_one_after_the_other_as_discord_wants(  # noqa: PLR0917 -- fixtures
    guilds: dict[int, Guild],
    make_gateway: MakeGateway,
    sandbox: Sandbox,
    town: Town,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
):
    """Discord's seconds are tenths here."""
    sandbox.set_session_start_limit(max_concurrency=1)
    sandbox.identifies.every_s = 0.5
    monkeypatch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 0.525)
    async with running(make_gateway()):
        await all_up(guilds, town)
    assert [line["shard"] for line in lines.named("gateway.session_began")] == [0, 1, 2]
    assert list(sandbox.violations) == []


@pytest.mark.parametrize("late_s", [0.4, 0.9])
async def test_a_socket_that_opens_late_does_not_bring_two_identifies_of_a_bucket_too_close(  # noqa: PLR0917 -- fixtures
    late_s: float,
    guilds: dict[int, Guild],
    make_gateway: MakeGateway,
    sandbox: Sandbox,
    town: Town,
    monkeypatch: pytest.MonkeyPatch,
):
    """Discord's seconds are tenths here."""
    connect, first = HTTPClient.ws_connect, asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(late_s, first.set_result, None)

    async def late(http: HTTPClient, url: str) -> object:
        nonlocal first
        mine, first = first, asyncio.get_running_loop().create_future()
        first.set_result(None)
        await mine
        return await connect(http, url)

    sandbox.set_session_start_limit(max_concurrency=1)
    sandbox.identifies.every_s = 0.5
    monkeypatch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 0.525)
    monkeypatch.setattr(HTTPClient, "ws_connect", late)
    async with running(make_gateway()):
        await all_up(guilds, town)
    assert list(sandbox.violations) == []
