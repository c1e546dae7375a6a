"""How many connections Discord wants of us, and how fast they may be made: asked before the first one."""

from collections.abc import Awaitable
from typing import Annotated, TypeAlias

import discord
import msgspec
from discord.http import HTTPClient, Route

from actors.gateway.payloads import decode

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class StartLimit(msgspec.Struct, frozen=True, kw_only=True):
    """``max_concurrency``: how many shards may identify within the same 5 s; ``total``: how many IDENTIFYs a day."""

    max_concurrency: Count
    total: Count


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """GET /gateway/bot. ``shards``: how many Discord advises."""

    shards: Count
    session_start_limit: StartLimit


async def ask_plan(token: str) -> Plan:
    """What Discord advises now.

    Raises:
        discord.LoginFailure: when it does not know the token.
        losses.LOST: when it cannot be asked.
    """
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.http.static_login(token)
        return await read_plan(client.http)


async def read_plan(http: HTTPClient) -> Plan:
    """The same, over a connection that is logged in."""
    answer: Awaitable[object] = http.request(Route("GET", "/gateway/bot"))
    return decode(await answer, Plan)
