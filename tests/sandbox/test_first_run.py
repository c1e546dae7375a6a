"""What a first-run check reads: tokens, the application and its flags, the identify budget."""

import aiohttp
import discord
import pytest

from sandbox import Sandbox
from sandbox.application import AppFlag
from sandbox.protocol import Close
from tests.sandbox.client import Bot, client_session


async def get(sandbox: Sandbox, path: str, authorization: str) -> tuple[int, dict[str, object]]:
    async with client_session(authorization) as session, session.get(sandbox.api_url + path) as answer:
        return answer.status, await answer.json()


async def patch(sandbox: Sandbox, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    async with (
        client_session(f"Bot {sandbox.token}") as session,
        session.patch(sandbox.api_url + "/applications/@me", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_the_application_tells_its_id_flags_and_how_it_is_installed(sandbox: Sandbox):
    sandbox.application.install_params = {"scopes": ["bot"], "permissions": "48"}
    status, about = await get(sandbox, "/applications/@me", f"Bot {sandbox.token}")
    assert (status, about["id"], about["name"]) == (200, str(sandbox.world.bot.id), sandbox.world.bot.name)
    assert (about["bot_public"], about["flags"]) == (True, int(AppFlag.MEMBERS_LIMITED))
    assert about["install_params"] == {"scopes": ["bot"], "permissions": "48"}


@pytest.mark.parametrize("path", ["/users/@me", "/gateway/bot", "/applications/@me"])
async def test_only_a_bots_token_behind_bot_opens_a_bots_doors(sandbox: Sandbox, path: str):
    keys = sandbox.credentials
    refused = [
        keys.token,
        f"Bearer {keys.token}",
        f"Bot {keys.user_token}",
        f"Bot {keys.bearer_token}",
        "Bot x.y.z",
        "",
    ]
    assert [(await get(sandbox, path, key))[0] for key in refused] == [401] * 6


async def test_the_tokens_of_people_open_who_they_are_and_nothing_of_the_bots(sandbox: Sandbox):
    bearer, person = f"Bearer {sandbox.credentials.bearer_token}", sandbox.credentials.user_token
    for key in (bearer, person):
        status, me = await get(sandbox, "/users/@me", key)
        assert (status, me["id"], me["bot"]) == (200, str(sandbox.application.owner.id), False)
        assert (await get(sandbox, "/gateway/bot", key))[0] == 401
    assert len(sandbox.violations.take("rest.user_token_used")) == 2


async def test_an_application_without_a_bot_lets_no_bot_in(sandbox: Sandbox):
    sandbox.application.has_bot = False
    assert (await get(sandbox, "/users/@me", f"Bot {sandbox.token}"))[0] == 401


async def test_limited_intents_can_be_switched_on_and_the_reviewed_ones_cannot(sandbox: Sandbox):
    sandbox.application.flags = AppFlag.NONE
    status, about = await patch(sandbox, {"flags": int(AppFlag.MEMBERS_LIMITED)})
    assert (status, about["flags"]) == (200, int(AppFlag.MEMBERS_LIMITED))
    status, refused = await patch(sandbox, {"flags": int(AppFlag.MEMBERS)})
    assert (status, refused["code"]) == (400, 50035)
    sandbox.application.needs_review = True
    assert (await patch(sandbox, {"flags": 0}))[0] == 400
    assert len(sandbox.violations.take("rest.invalid_form")) == 2


async def test_who_names_no_user_agent_is_blocked_and_a_wrong_one_is_listed(sandbox: Sandbox):
    async with (
        aiohttp.ClientSession(skip_auto_headers=("User-Agent",)) as session,
        session.get(sandbox.api_url + "/gateway") as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (403, 40333)
    headers = {"Authorization": f"Bot {sandbox.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        assert (await session.get(sandbox.api_url + "/users/@me")).status == 200
    assert [each.kind for each in sandbox.violations] == ["rest.user_agent_missing", "rest.user_agent_invalid"]
    sandbox.violations.take("rest.user_agent_missing")
    sandbox.violations.take("rest.user_agent_invalid")


async def test_the_identify_budget_is_told_and_each_identify_spends_it(bot: Bot, sandbox: Sandbox):
    sandbox.set_session_start_limit(total=5, remaining=3, max_concurrency=2, reset_after_s=60.0)
    _, told = await get(sandbox, "/gateway/bot", f"Bot {sandbox.token}")
    limit = told["session_start_limit"]
    assert (limit["total"], limit["remaining"], limit["max_concurrency"]) == (5, 3, 2)
    assert 59_000 < limit["reset_after"] <= 60_000
    sandbox.gateway.invalidate()
    await bot.until_heard("READY", 2)
    assert sandbox.identifies.remaining == 2


async def say_hello(bot: Bot, shard_id: int) -> discord.gateway.DiscordWebSocket:
    """A socket of its own that has said IDENTIFY and heard the answer."""
    websocket = await discord.gateway.DiscordWebSocket.from_client(bot, shard_id=shard_id)
    await websocket.poll_event()  # the answer to the first heartbeat
    await websocket.poll_event()
    return websocket


async def test_a_second_identify_within_five_seconds_gets_op_9_unless_its_bucket_is_another(
    bot: Bot, sandbox: Sandbox
):
    bot._connection.shard_count = 2
    sandbox.set_session_start_limit(max_concurrency=2)
    sandbox.identifies.every_s = 5.0
    other = await say_hello(bot, 1)
    with pytest.raises(discord.gateway.ReconnectWebSocket) as refused:
        await say_hello(bot, 0)
    assert (refused.value.op, len(sandbox.sessions)) == ("IDENTIFY", 2)
    assert len(sandbox.violations.take("gateway.identified_too_soon")) == 1
    await other.close(code=1000)


@pytest.mark.usefixtures("pointed")
async def test_beyond_the_budget_all_sessions_end_and_the_token_is_reset(sandbox: Sandbox):
    old = sandbox.token
    sandbox.set_session_start_limit(remaining=0)
    async with discord.Client(intents=discord.Intents.none()) as client:
        with pytest.raises(discord.ConnectionClosed) as closed:
            await client.start(old)
    assert closed.value.code == Close.BAD_TOKEN
    assert (await get(sandbox, "/users/@me", f"Bot {old}"))[0] == 401
    assert (await get(sandbox, "/users/@me", f"Bot {sandbox.token}"))[0] == 200
    assert len(sandbox.violations.take("gateway.identify_budget_exceeded")) == 1
