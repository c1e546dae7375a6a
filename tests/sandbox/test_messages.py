"""Messages in channels as Discord keeps them: a nonce for some minutes, edits by their author, permissions."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sandbox import Sandbox
from sandbox.models import Channel, Guild, Permission
from sandbox.wire import JsonObject, as_object
from tests.sandbox.client import client_session

Answer = tuple[int, JsonObject]


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session(f"Bot {sandbox.token}") as session:
        yield session


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild()


class Poster:
    """Posts and edits as the bot."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self._url = f"{sandbox.api_url}/channels"
        self._http = http

    async def post(self, channel: Channel, content: str, **fields: object) -> Answer:
        body = {"content": content, "allowed_mentions": {"parse": []}} | fields
        async with self._http.post(f"{self._url}/{channel.id}/messages", json=body) as answer:
            return answer.status, as_object(await answer.json())

    async def edit(self, channel: Channel, message: object, content: str) -> Answer:
        body = {"content": content, "allowed_mentions": {"parse": []}}
        async with self._http.patch(f"{self._url}/{channel.id}/messages/{message}", json=body) as answer:
            return answer.status, as_object(await answer.json())


@pytest.fixture
def poster(sandbox: Sandbox, http: aiohttp.ClientSession) -> Poster:
    return Poster(sandbox, http)


async def test_an_enforced_nonce_gives_back_the_message_that_stands_there(
    poster: Poster, sandbox: Sandbox, guild: Guild
):
    _, first = await poster.post(guild.channel, "one", nonce="n", enforce_nonce=True)
    _, again = await poster.post(guild.channel, "two", nonce="n", enforce_nonce=True)
    assert (again["id"], again["content"]) == (first["id"], "one")
    assert len(sandbox.world.messages) == 1


async def test_a_nonce_that_is_not_enforced_or_of_another_channel_posts_anew(
    poster: Poster, sandbox: Sandbox, guild: Guild
):
    other = sandbox.world.add_channel(guild, "other")
    await poster.post(guild.channel, "one", nonce="n", enforce_nonce=True)
    await poster.post(guild.channel, "two", nonce="n")
    await poster.post(other, "three", nonce="n", enforce_nonce=True)
    assert [message["content"] for message in sandbox.world.messages] == ["one", "two", "three"]


async def test_a_nonce_is_forgotten_after_some_minutes():
    now_s = [1_700_000_000.0]
    async with Sandbox(clock=lambda: now_s[0]) as sandbox, client_session(f"Bot {sandbox.token}") as http:
        guild, poster = sandbox.world.add_guild(), Poster(sandbox, http)
        for content in ("one", "two"):
            await poster.post(guild.channel, content, nonce="n", enforce_nonce=True)
            now_s[0] += 600
        assert [message["content"] for message in sandbox.world.messages] == ["one", "two"]


async def test_an_edit_changes_the_message_in_its_place(poster: Poster, sandbox: Sandbox, guild: Guild):
    _, first = await poster.post(guild.channel, "one")
    status, edited = await poster.edit(guild.channel, first["id"], "two")
    assert (status, edited["id"], edited["content"]) == (200, first["id"], "two")
    assert edited["edited_timestamp"] is not None
    assert [message["content"] for message in sandbox.world.messages] == ["two"]


async def test_a_message_that_is_gone_or_of_somebody_else_cannot_be_edited(
    poster: Poster, sandbox: Sandbox, guild: Guild
):
    _, first = await poster.post(guild.channel, "one")
    sandbox.world.delete_message(sandbox.world.messages[0])
    theirs = sandbox.world.post(guild, guild.channel, guild.owner, {"content": "theirs"})
    answers = [await poster.edit(guild.channel, each["id"], "two") for each in (first, theirs)]
    assert [(status, answer["code"]) for status, answer in answers] == [(404, 10008), (403, 50005)]


async def test_a_closed_and_a_deleted_channel_refuse_both(poster: Poster, sandbox: Sandbox, guild: Guild):
    log = sandbox.world.add_channel(guild, "log")
    _, first = await poster.post(log, "one")
    sandbox.world.set_overwrite(guild, log, sandbox.world.bot, deny=Permission.SEND_MESSAGES)
    assert (await poster.post(log, "two"))[1]["code"] == 50013
    sandbox.world.set_overwrite(guild, log, sandbox.world.bot, deny=Permission.VIEW_CHANNEL)
    assert (await poster.post(log, "two"))[1]["code"] == 50001
    assert (await poster.edit(log, first["id"], "two"))[1]["code"] == 50001
    sandbox.world.delete_channel(guild, log)
    answers = [await poster.post(log, "two"), await poster.edit(log, first["id"], "two")]
    assert [(status, answer["code"]) for status, answer in answers] == [(404, 10003)] * 2
