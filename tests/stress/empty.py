"""Clients of discord.py that do nothing, with as many guilds and shards: what is their memory?

    python -m tests.stress.empty GUILDS SHARDS

Prints by how many MiB the process has grown since the sandbox in it had its guilds. No members and no messages are
cached.
"""

import asyncio
import sys

import discord
import yarl
from discord.gateway import DiscordWebSocket

from actors.gateway.client import intents
from actors.gateway.runner import point_at
from sandbox import Sandbox
from tests.system.startup import resident_mib

PATIENCE_S = 600.0


async def grown_mib(guilds: int, shards: int) -> float:
    async with Sandbox(seed=11, identify_every_s=0.0) as sandbox:
        for number in range(guilds):
            guild = sandbox.world.add_guild(f"Harbour {number}")
            for _ in range(2):
                sandbox.world.add_invite(guild, sandbox.world.add_staff(guild))
        sandbox.set_session_start_limit(max_concurrency=shards)
        sandbox.identifies.shards = shards
        before_mib = resident_mib()
        point_at(sandbox.api_url)
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(sandbox.gateway_url)
        clients = [_client(number, shards) for number in range(shards)]
        lives = [asyncio.create_task(client.start(sandbox.token)) for client in clients]
        async with asyncio.timeout(PATIENCE_S):
            while sum(len(client.guilds) for client in clients) < guilds:  # noqa: ASYNC110 -- the library has no event for it
                await asyncio.sleep(0.1)
        grown = resident_mib() - before_mib
        for client in clients:
            await client.close()
        await asyncio.wait(lives)
        return grown


def _client(number: int, shards: int) -> discord.Client:
    return discord.Client(
        intents=intents(),
        shard_id=number,
        shard_count=shards,
        max_messages=None,
        chunk_guilds_at_startup=False,
        member_cache_flags=discord.MemberCacheFlags.none(),
    )


if __name__ == "__main__":
    print(asyncio.run(grown_mib(int(sys.argv[1]), int(sys.argv[2]))))
