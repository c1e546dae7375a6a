import asyncio
import json
import time
import zlib
from collections.abc import Callable

import aiohttp
import discord
import msgspec
import pytest
import zstandard

from sandbox import Guild, Sandbox
from sandbox.gateway import ACK_AFTER_S
from sandbox.sessions import BUFFER_EVENTS
from tests.sandbox.client import Bot, Connect, client_session


async def test_a_client_logs_in_and_its_guild_becomes_available(bot: Bot, guild: Guild, sandbox: Sandbox):
    assert bot.named("READY", "GUILD_CREATE") == ["READY", "GUILD_CREATE"]
    await bot.wait_until_ready()
    known = bot.get_guild(guild.id)
    assert known is not None
    assert known.name == guild.name
    assert known.me.guild_permissions.manage_guild
    assert bot.user.id == sandbox.world.bot.id == discord.utils.get(known.members, bot=True).id


@pytest.mark.usefixtures("pointed")
async def test_a_wrong_token_is_a_login_failure(sandbox: Sandbox):
    async with discord.Client(intents=discord.Intents.none()) as client:
        with pytest.raises(discord.LoginFailure):
            await client.login("wrong.token.here")
    assert sandbox.count("me", 401) == 1


@pytest.mark.usefixtures("connect")
async def test_privileged_intents_need_the_applications_flag(sandbox: Sandbox):
    sandbox.application.flags = type(sandbox.application.flags)(0)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with discord.Client(intents=discord.Intents.all()) as client:
            await client.start(sandbox.token)


@pytest.mark.usefixtures("pointed")
async def test_the_flag_can_be_switched_on_by_rest(sandbox: Sandbox):
    sandbox.application.flags = type(sandbox.application.flags)(0)
    async with discord.Client(intents=discord.Intents.none()) as client:
        await client.login(sandbox.token)
        info = await client.application_info()
        flags = discord.ApplicationFlags(gateway_guild_members_limited=True)
        changed = await info.edit(flags=flags)
    assert changed is not None
    assert changed.flags.gateway_guild_members_limited
    assert sandbox.application.flags


async def test_without_the_intent_no_member_or_invite_events_come(connect: Connect, guild: Guild, sandbox: Sandbox):
    async with connect(members=False, invites=False) as bot:
        invite = sandbox.world.add_invite(guild, guild.owner)
        sandbox.world.join(guild, via=invite.code)
        sandbox.world.set_permissions(guild, view_audit_log=False)
        await bot.until_heard("GUILD_ROLE_UPDATE")
        assert bot.named("GUILD_MEMBER_ADD", "INVITE_CREATE") == []


async def test_a_dropped_socket_is_resumed_and_misses_nothing(bot: Bot, guild: Guild, sandbox: Sandbox):
    session = sandbox.sessions[0]
    sandbox.gateway.drop_all()
    await sandbox.until(lambda: not session.connected)
    joins = [sandbox.world.join(guild) for _ in range(5)]
    await bot.until_heard("RESUMED")
    assert [int(data["user"]["id"]) for data in bot.data("GUILD_MEMBER_ADD")] == [j.user_id for j in joins]
    assert session.resumed == 1
    assert sandbox.sessions == [session]
    assert not any(join.connected for join in joins)


async def test_op_7_makes_the_client_come_back_with_the_same_session(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.gateway.ask_reconnect()
    await bot.until_heard("RESUMED")
    sandbox.world.join(guild)
    await bot.until_heard("GUILD_MEMBER_ADD")
    assert bot.named("READY", "RESUMED") == ["READY", "RESUMED"]


async def test_op_9_leads_to_a_new_session_and_the_gap_is_lost(bot: Bot, guild: Guild, sandbox: Sandbox):
    old = sandbox.sessions[0]
    sandbox.gateway.invalidate()
    sandbox.world.join(guild)
    await bot.until_heard("READY", 2)
    await bot.until_heard("GUILD_CREATE", 2)
    assert bot.data("GUILD_MEMBER_ADD") == []
    assert sandbox.sessions[0].id != old.id


async def test_op_9_resumable_keeps_the_session(bot: Bot, sandbox: Sandbox):
    sandbox.gateway.invalidate(resumable=True)
    await bot.until_heard("RESUMED")
    assert len(bot.data("READY")) == 1


async def test_a_session_older_than_its_buffer_cannot_be_resumed(bot: Bot, sandbox: Sandbox):
    session = sandbox.sessions[0]
    sandbox.gateway.drop_all()
    await sandbox.until(lambda: not session.connected)
    for number in range(BUFFER_EVENTS + 1):
        session.push("NOISE", {"number": number})
    await bot.until_heard("READY", 2)
    assert bot.data("RESUMED") == []


async def test_another_process_may_resume_the_session(connect: Connect, guild: Guild, sandbox: Sandbox):
    async with connect() as first:
        session_id, seq = first.ws.session_id, first.ws.sequence
        await first.ws.socket.close(code=4000)  # as a hand-over does; 1000 would end the session
        sandbox.sessions[0].detach(sandbox.sessions[0]._send)
        sandbox.world.join(guild)
        websocket = await discord.gateway.DiscordWebSocket.from_client(
            first, session=session_id, sequence=seq, resume=True
        )
        while websocket.sequence < seq + 1:
            await websocket.poll_event()
        await websocket.close(code=4000)


@pytest.mark.parametrize(("code", "left"), [(1000, 0), (1001, 0), (4000, 1)])
async def test_only_a_goodbye_with_1000_or_1001_ends_the_session(bot: Bot, sandbox: Sandbox, code: int, left: int):
    websocket = await discord.gateway.DiscordWebSocket.from_client(bot)
    await sandbox.until(lambda: len(sandbox.sessions) == 2)
    await websocket.close(code=code)
    await sandbox.until(lambda: len(sandbox.sessions) == 1 + left and len(sandbox.gateway.connections) == 1)


async def test_plain_text_frames_when_no_compression_is_asked(bot: Bot, sandbox: Sandbox):
    websocket = await discord.gateway.DiscordWebSocket.from_client(bot, compress=False)
    while websocket.session_id is None:
        await websocket.poll_event()
    assert websocket.session_id in {session.id for session in sandbox.sessions}
    await websocket.close(code=1000)


async def test_heartbeats_are_answered(connect: Connect, sandbox: Sandbox):
    sandbox.gateway.heartbeat_ms = 50
    async with connect() as bot:
        async with asyncio.timeout(2):
            while bot.latency == float("inf"):
                await bot.wait_for("socket_raw_receive")


async def test_a_heartbeat_is_answered_no_sooner_than_over_a_network(sandbox: Sandbox):
    async with client_session() as session, session.ws_connect(sandbox.gateway_url) as socket:
        await socket.receive()  # HELLO
        began_s = time.monotonic()
        await socket.send_json({"op": 1, "d": None})
        assert json.loads((await socket.receive()).data)["op"] == 11
        assert time.monotonic() - began_s > ACK_AFTER_S / 2


async def test_member_chunks_hold_at_most_a_thousand(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.settle(guild, 2_100)
    members = await bot.get_guild(guild.id).chunk(cache=False)
    assert len(members) == len(guild.members)
    assert [len(data["members"]) for data in bot.data("GUILD_MEMBERS_CHUNK")] == [1_000, 1_000, 102]


async def test_an_outage_of_a_guild_is_told_and_its_joins_are_not(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.make_unavailable(guild)
    sandbox.world.join(guild)
    sandbox.world.make_available(guild)
    await bot.until_heard("GUILD_CREATE", 2)
    assert bot.named("GUILD_DELETE", "GUILD_CREATE", "GUILD_MEMBER_ADD")[1:] == ["GUILD_DELETE", "GUILD_CREATE"]
    assert bot.data("GUILD_CREATE")[1]["member_count"] == len(guild.members)


async def test_a_bot_thrown_out_hears_no_more_until_it_is_back(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.remove_bot(guild)
    sandbox.world.join(guild)
    with pytest.raises(discord.Forbidden):
        await bot.http.invites_from(guild.id)
    sandbox.world.invite_bot(guild)
    await bot.until_heard("GUILD_CREATE", 2)
    assert bot.data("GUILD_DELETE") == [{"id": str(guild.id)}]
    assert bot.data("GUILD_MEMBER_ADD") == []


async def test_any_payload_can_be_injected(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.inject("GUILD_MEMBER_ADD_V2", {"user": None, "guild_id": "x"}, guild)
    assert await bot.until_heard("GUILD_MEMBER_ADD_V2") == [{"user": None, "guild_id": "x"}]


@pytest.mark.usefixtures("pointed")
async def test_each_shard_hears_its_own_guilds(sandbox: Sandbox):
    while len({(number >> 22) % 2 for number in sandbox.world.guilds}) < 2:
        sandbox.world.add_guild()
    intents = discord.Intents(guilds=True)
    async with discord.Client(intents=intents, shard_id=1, shard_count=2, guild_ready_timeout=0.05) as client:
        await client.login(sandbox.token)
        running = asyncio.create_task(client.connect())
        await sandbox.wait_ready()
        mine = {number for number in sandbox.world.guilds if (number >> 22) % 2 == 1}
        while len(client.guilds) < len(mine):
            await client.wait_for("guild_available")
        assert {guild.id for guild in client.guilds} == mine
    await running


@pytest.mark.parametrize(
    ("asked", "unpack"),
    [
        ("zlib-stream", lambda: zlib.decompressobj().decompress),
        ("zstd-stream", lambda: zstandard.ZstdDecompressor().decompressobj().decompress),
    ],
)
async def test_frames_are_packed_as_the_client_asks(
    sandbox: Sandbox, asked: str, unpack: Callable[[], Callable[[bytes], bytes]]
):
    hello = unpack()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sandbox.gateway.url}?v=10&encoding=json&compress={asked}") as socket,
    ):
        assert msgspec.json.decode(hello(await socket.receive_bytes()))["op"] == 10


async def test_the_library_asks_for_zstd(sandbox: Sandbox, bot: Bot):
    assert bot.ws._decompressor.COMPRESSION_TYPE == "zstd-stream"
    assert sandbox.gateway.connections
