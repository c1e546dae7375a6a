"""How many connections Discord wants of us, and how fast they may be made: asked before the first one."""

from collections.abc import Awaitable

import discord
from discord.http import HTTPClient, Route

from actors.gateway.payloads import decode
from actors.gateway.preflight import Socket


async def ask_plan(token: str) -> Socket:
    """What Discord advises now.

    Raises:
        discord.LoginFailure: when it does not know the token.
        losses.LOST: when it cannot be asked.
    """
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.http.static_login(token)
        return await read_plan(client.http)


async def read_plan(http: HTTPClient) -> Socket:
    """The same, over a connection that is logged in."""
    answer: Awaitable[object] = http.request(Route("GET", "/gateway/bot"))
    return decode(await answer, Socket)
