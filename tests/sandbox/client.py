"""An unmodified discord.py client which keeps what it hears."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import discord
from discord import app_commands

from sandbox import Sandbox

Payload = dict[str, object]
Connect = Callable[..., AbstractAsyncContextManager["Bot"]]


USER_AGENT = "DiscordBot (https://example.org, 1.0)"


def client_session(authorization: str = "") -> aiohttp.ClientSession:
    """Plain HTTP as Discord wants it: with a bot's user agent."""
    return aiohttp.ClientSession(headers={"User-Agent": USER_AGENT, "Authorization": authorization})


class Bot(discord.Client):
    """Keeps the name and payload of every dispatch it gets, as they came over the wire."""

    def __init__(self, sandbox: Sandbox, **options: bool) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.members = intents.invites = intents.moderation = True
        for name, wish in options.items():
            setattr(intents, name, wish)
        super().__init__(
            intents=intents, enable_debug_events=True, chunk_guilds_at_startup=False, guild_ready_timeout=0.05
        )
        self.tree = app_commands.CommandTree(self)
        self.sandbox = sandbox
        self.heard: list[tuple[str, Payload]] = []
        self.errors: list[BaseException] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the library's 5 s between two IDENTIFYs."""

    async def on_socket_raw_receive(self, raw: str) -> None:
        message = json.loads(raw)
        if message["t"]:
            self.heard.append((message["t"], message["d"]))
            self.sandbox.pulse.beat()

    async def on_error(self, *_: object) -> None:
        self.errors.append(AssertionError("an event handler failed"))

    def named(self, *names: str) -> list[str]:
        return [name for name, _ in self.heard if name in names]

    def data(self, name: str) -> list[Payload]:
        return [data for heard, data in self.heard if heard == name]

    async def until_heard(self, name: str, count: int = 1) -> list[Payload]:
        await self.sandbox.until(lambda: len(self.data(name)) >= count)
        return self.data(name)
