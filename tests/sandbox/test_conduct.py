"""What a client must not do: it is answered as Discord answers it, and it is listed."""

import asyncio

import discord
import pytest

from sandbox import Guild, Sandbox
from sandbox.answers import Reply
from sandbox.definitions import wrong_in_command
from sandbox.mentions import could_ping
from sandbox.restraint import ON_ITS_WAY_S
from sandbox.wire import JsonObject
from tests.sandbox.client import Bot, Connect, client_session


async def post(sandbox: Sandbox, path: str, body: object) -> tuple[int, JsonObject]:
    async with (
        client_session(f"Bot {sandbox.token}") as session,
        session.post(sandbox.api_url + path, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def closed_with(bot: Bot, sandbox: Sandbox, payload: JsonObject, times: int = 1) -> int:
    """The code with which a fresh socket is closed for saying that."""
    websocket = await discord.gateway.DiscordWebSocket.from_client(bot)
    for _ in range(times):
        await websocket.socket.send_json(payload)
    while not websocket.socket.closed:
        await websocket.socket.receive()
    websocket._keep_alive.stop()
    await sandbox.until(lambda: len(sandbox.gateway.connections) == 1)
    return websocket.socket.close_code


@pytest.mark.parametrize(
    ("payload", "code", "kind"),
    [
        ({"op": 3, "d": {"status": "x" * 4_096}}, 4002, "gateway.payload_too_large"),
        ({"op": 77}, 4001, "gateway.unknown_op"),
    ],
)
async def test_what_is_too_large_or_unknown_closes_the_socket(
    payload: JsonObject, code: int, kind: str, bot: Bot, sandbox: Sandbox
):
    assert await closed_with(bot, sandbox, payload) == code
    assert len(sandbox.violations.take(kind)) == 1


async def test_the_121st_event_within_a_minute_closes_the_socket(bot: Bot, sandbox: Sandbox):
    assert await closed_with(bot, sandbox, {"op": 3, "d": None}, times=120) == 4008  # after the IDENTIFY
    assert len(sandbox.violations.take("gateway.too_many_events")) == 1


def identify(sandbox: Sandbox, **fields: object) -> JsonObject:
    return {"op": 2, "d": {"token": sandbox.token, "intents": 1, "properties": {}} | fields}


@pytest.mark.parametrize(
    ("fields", "code", "kind"),
    [
        ({"shard": [2, 2]}, 4010, "gateway.invalid_shard"),
        ({"intents": 1 << 40}, 4013, "gateway.invalid_intents"),
        ({"shard": [0, 1]}, 4011, "gateway.sharding_required"),
    ],
)
async def test_an_identify_that_cannot_be_is_closed(
    fields: JsonObject, code: int, kind: str, guild: Guild, sandbox: Sandbox
):
    sandbox.gateway.max_guilds_a_shard = 0 if code == 4011 else 1
    async with client_session() as session, session.ws_connect(sandbox.gateway_url) as websocket:
        await websocket.send_json(identify(sandbox, **fields))
        while not websocket.closed:
            await websocket.receive()
    assert (websocket.close_code, guild.has_bot) == (code, True)
    assert len(sandbox.violations.take(kind)) == 1


async def test_a_second_identify_on_one_socket_and_speech_before_the_first_are_closed(bot: Bot, sandbox: Sandbox):
    assert await closed_with(bot, sandbox, identify(sandbox)) == 4005
    assert len(sandbox.violations.take("gateway.identified_twice")) == 1
    async with client_session() as session, session.ws_connect(sandbox.gateway_url) as websocket:
        await websocket.send_json({"op": 3, "d": None})
        while not websocket.closed:
            await websocket.receive()
    assert websocket.close_code == 4003
    assert len(sandbox.violations.take("gateway.not_authenticated")) == 1


async def test_a_resume_from_the_future_is_closed(bot: Bot, sandbox: Sandbox):
    session = sandbox.sessions[0]
    wish = {"token": sandbox.token, "session_id": session.id, "seq": session.seq + 1}
    assert await closed_with(bot, sandbox, {"op": 6, "d": wish}) == 4007
    assert len(sandbox.violations.take("gateway.resumed_from_the_future")) == 1


async def test_heartbeats_that_do_not_come_and_that_come_too_often(connect: Connect, sandbox: Sandbox):
    async with connect() as bot:
        for _ in range(4):
            await bot.ws.socket.send_json({"op": 1, "d": None})
        await sandbox.until(lambda: len(sandbox.violations) > 0)
        assert sandbox.violations.take("gateway.heartbeat_early")
        sandbox.gateway.heartbeat_ms = 20
        silent = await discord.gateway.DiscordWebSocket.from_client(bot)
        silent._keep_alive.stop()
        await sandbox.until(lambda: len(sandbox.violations) > 0)
        assert len(sandbox.violations.take("gateway.heartbeat_missed")) == 1
        await silent.close(code=4000)


async def test_all_members_twice_within_30_s_are_told_to_wait_for_another_guild_not(
    bot: Bot, guild: Guild, sandbox: Sandbox
):
    other = sandbox.world.add_guild()
    for each in (guild, other, guild):
        await bot.ws.request_chunks(each.id, query="", limit=0, nonce="abc")
    (told,) = await bot.until_heard("RATE_LIMITED")
    assert (told["opcode"], told["meta"]) == (8, {"guild_id": str(guild.id), "nonce": "abc"})
    assert 29 < told["retry_after"] <= 30
    assert len(bot.data("GUILD_MEMBERS_CHUNK")) == 2
    assert len(sandbox.violations.take("gateway.members_too_often")) == 1


async def test_all_members_are_not_told_without_the_intent(connect: Connect, guild: Guild, sandbox: Sandbox):
    async with connect(members=False) as bot:
        await bot.ws.request_chunks(guild.id, query="", limit=0)
        await bot.ws.request_chunks(guild.id, query="", limit=1)
        await bot.until_heard("GUILD_MEMBERS_CHUNK")
        assert len(bot.data("GUILD_MEMBERS_CHUNK")) == 1
    assert len(sandbox.violations.take("gateway.members_without_intent")) == 1


async def test_more_than_50_requests_in_a_second_are_refused_everywhere(sandbox: Sandbox):
    sandbox.limits.global_per_s = 3
    async with client_session(f"Bot {sandbox.token}") as session:
        answers = [await session.get(sandbox.api_url + "/users/@me") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert (await answers[3].json())["global"] is True
    assert len(sandbox.violations.take("rest.too_many_requests")) == 1


@pytest.mark.parametrize("is_global", [False, True])
async def test_who_asks_again_before_the_wait_is_over_is_listed(sandbox: Sandbox, *, is_global: bool):
    sandbox.faults.fail("me", 429, retry_after_s=20.0, is_global=is_global)
    async with client_session(f"Bot {sandbox.token}") as session:
        await session.get(sandbox.api_url + "/users/@me")
        await session.get(sandbox.api_url + "/users/@me")  # was on its way
        await asyncio.sleep(ON_ITS_WAY_S + 0.01)
        await session.get(sandbox.api_url + "/users/@me")
        await session.get(sandbox.api_url + "/gateway/bot")
    assert len(sandbox.violations.take("rest.did_not_wait")) == (2 if is_global else 1)


async def test_who_answers_an_interaction_need_not_wait_for_the_limit_over_all_requests(sandbox: Sandbox):
    sandbox.faults.fail("me", 429, retry_after_s=20.0, is_global=True)
    async with client_session(f"Bot {sandbox.token}") as session:
        await session.get(sandbox.api_url + "/users/@me")
        await asyncio.sleep(ON_ITS_WAY_S + 0.01)
        await session.post(sandbox.api_url + "/interactions/1/token/callback", json={"type": 5})
    assert len(sandbox.violations.take("interaction.unknown")) == 1
    assert sandbox.violations.take("rest.did_not_wait") == []


async def test_who_goes_on_with_a_bucket_that_is_used_up_is_listed(sandbox: Sandbox):
    sandbox.limits.set("me", limit=1, per_s=20.0)
    async with client_session(f"Bot {sandbox.token}") as session:
        await session.get(sandbox.api_url + "/users/@me")
        await asyncio.sleep(ON_ITS_WAY_S + 0.01)
        assert (await session.get(sandbox.api_url + "/users/@me")).status == 429
    assert len(sandbox.violations.take("rest.did_not_wait")) == 1


@pytest.mark.parametrize("path", ["members?limit=1001", "members?limit=0", "audit-logs?limit=101"])
async def test_a_page_is_as_large_as_discord_allows_or_refused(sandbox: Sandbox, guild: Guild, path: str):
    async with client_session(f"Bot {sandbox.token}") as session:
        answer = await session.get(f"{sandbox.api_url}/guilds/{guild.id}/{path}")
    assert (answer.status, (await answer.json())["code"]) == (400, 50035)
    assert len(sandbox.violations.take("rest.invalid_form")) == 1


async def test_answers_that_count_towards_a_ban_are_counted(sandbox: Sandbox):
    async with client_session() as session:
        await session.get(sandbox.api_url + "/users/@me")
        await session.get(sandbox.api_url + "/gateway")
    assert sandbox.invalid_requests == 1


async def test_a_body_that_is_no_json_is_refused(sandbox: Sandbox):
    headers = {"Content-Type": "application/json"}
    async with (
        client_session(f"Bot {sandbox.token}") as session,
        session.post(f"{sandbox.api_url}/channels/1/invites", data=b"{", headers=headers) as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (400, 50109)
    assert len(sandbox.violations.take("rest.malformed_body")) == 1


def interaction(sandbox: Sandbox, guild: Guild) -> Reply:
    sandbox.commands.put(None, {"name": "hello", "description": "Says hello."})
    return sandbox.send_interaction(sandbox.interaction_payload(guild, guild.owner, "hello"))


def callback(reply: Reply) -> str:
    return f"/interactions/{reply.interaction_id}/{reply.token}/callback?with_response=1"


async def test_an_answer_after_three_seconds_is_unknown(sandbox: Sandbox, guild: Guild):
    reply = interaction(sandbox, guild)
    sandbox.interactions.answer_s = 0.0
    status, told = await post(sandbox, callback(reply), {"type": 4, "data": {"content": "hello"}})
    assert (status, told["code"], reply.refused) == (404, 10062, 1)
    assert len(sandbox.violations.take("interaction.answered_late")) == 1


async def test_a_follow_up_needs_an_answer_before_it_and_a_living_token(sandbox: Sandbox, guild: Guild):
    reply = interaction(sandbox, guild)
    hook, body = f"/webhooks/{sandbox.world.bot.id}/{reply.token}", {"content": "more"}
    status, told = await post(sandbox, hook, body)
    assert (status, told["code"]) == (404, 10015)
    await post(sandbox, callback(reply), {"type": 4, "data": {"content": "hello"}})
    assert (await post(sandbox, hook, body))[0] == 200
    sandbox.interactions.expire(reply)
    status, told = await post(sandbox, hook, body)
    assert (status, told["code"]) == (401, 50027)
    assert len(sandbox.violations.take("interaction.followed_up_unanswered")) == 1
    assert len(sandbox.violations.take("interaction.token_expired")) == 1


@pytest.mark.parametrize(("data", "code"), [({"content": "x" * 2_001}, 50035), ({"content": ""}, 50006)])
async def test_what_breaks_a_limit_is_refused_and_listed(sandbox: Sandbox, guild: Guild, data: JsonObject, code: int):
    reply = interaction(sandbox, guild)
    status, told = await post(sandbox, callback(reply), {"type": 4, "data": data})
    assert (status, told["code"], reply.callbacks) == (400, code, [])
    kind = "rest.invalid_form" if code == 50035 else "rest.empty_message"
    assert len(sandbox.violations.take(kind)) == 1


@pytest.mark.parametrize(
    ("allowed", "kinds"),
    [
        (None, ["users", "roles", "everyone"]),
        ({"parse": []}, []),
        ({"parse": ["users"]}, ["users"]),
        ({"parse": [], "roles": ["2"]}, ["roles"]),
    ],
)
def test_whom_a_message_could_ping(allowed: JsonObject | None, kinds: list[str]):
    body: JsonObject = {"content": "<@1> <@&2>", "components": [{"type": 10, "content": "@here"}]}
    assert could_ping(body | ({"allowed_mentions": allowed} if allowed else {})) == kinds


async def test_a_message_that_could_ping_is_sent_and_listed(bot: Bot, guild: Guild, sandbox: Sandbox):
    await bot.get_channel(guild.channel.id).send("@everyone hello")
    assert len(sandbox.world.messages) == 1
    assert len(sandbox.violations.take("message.could_ping")) == 1


def option(at: int, **fields: object) -> JsonObject:
    return {"type": 3, "name": f"option-{at}", "description": "x"} | fields


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Hello"},
        {"name": "two words"},
        {"name": "x" * 33},
        {"name": ""},
        {"description": ""},
        {"description": "x" * 101},
        {"options": [option(at) for at in range(26)]},
        {"options": [option(1), option(1)]},
        {"options": [option(1), option(2, required=True)]},
        {"options": [option(1, choices=[{"name": "x", "value": "x"}] * 26)]},
        {"options": [option(1, choices=[{"name": "x" * 101, "value": "x"}])]},
        {"options": [option(1, choices=[{"name": "x", "value": "x"}], autocomplete=True)]},
        {"options": [option(1, description="x" * 101)]},
        {"options": [option(1, choices=[{"name": f"{at}", "value": "x" * 400}]) for at in range(21)]},
    ],
)
def test_what_discord_refuses_in_a_command_is_found(change: JsonObject):
    good: JsonObject = {"name": "who_invited", "description": "x" * 100, "options": [option(at) for at in range(25)]}
    assert list(wrong_in_command(good)) == []
    assert list(wrong_in_command(good | change)) != []


async def test_a_command_beyond_the_limits_is_not_registered(sandbox: Sandbox):
    path = f"/applications/{sandbox.world.bot.id}/commands"
    status, told = await post(sandbox, path, {"name": "Hello", "description": "x"})
    assert (status, told["code"], list(told["errors"]), sandbox.commands.of(None)) == (400, 50035, ["name"], [])
    assert len(sandbox.violations.take("rest.invalid_form")) == 1
