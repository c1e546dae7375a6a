"""The peer of the whole bot: a discord.py client whose handler is empty, in a process of its own.

    python -m tests.bench.listener API_URL TOKEN EVENTS

Prints "ready", and the time (seconds since 1970) whenever EVENTS more members have joined. It asks for what our
client asks for: the same intents, no cache of members or messages.
"""

import asyncio
import sys
import time

import discord
import yarl
from discord.gateway import DiscordWebSocket

from actors.gateway.client import intents
from actors.gateway.rest import url_of_gateway
from actors.gateway.runner import point_at


class Listener(discord.Client):
    """Counts joins, which is the least that an empty handler can be seen to do."""

    def __init__(self, events: int) -> None:
        super().__init__(
            intents=intents(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
        )
        self._events = events
        self._heard = 0

    async def setup_hook(self) -> None:
        address = await url_of_gateway(self.http)
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(address["url"])

    async def on_ready(self) -> None:
        print("ready", flush=True)

    async def on_member_join(self, _member: discord.Member) -> None:
        self._heard += 1
        if self._heard % self._events == 0:
            print(time.time(), flush=True)


async def listen(api_url: str, token: str, events: int) -> None:
    point_at(api_url)
    async with Listener(events) as client:
        await client.start(token)


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
