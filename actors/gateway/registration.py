"""Slash commands are made known to Discord once a process, by whichever shard is logged in, beside everything else.

Without it the bot counts all the same, so nothing waits for it and a failure is tried again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import discord
from structlog.typing import FilteringBoundLogger

from actors.gateway.client import Client
from actors.gateway.failures import GARBLED, in_short
from actors.runtime import Jobs

SYNC_S: Final = 15.0
SYNC_AGAIN_S: Final = 60.0
_TROUBLE: Final = (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError, *GARBLED)
"""RuntimeError: the library's session was closed meanwhile."""


class Registration:
    """Tells Discord which commands there are.

    Args:
        client: one that is logged in, if there is one now.
        jobs: where it runs.
        log: for the outcome.
    """

    def __init__(self, client: Callable[[], Client | None], jobs: Jobs, log: FilteringBoundLogger) -> None:
        self._client = client
        self._jobs = jobs
        self._log = log
        self._begun = False

    def begin(self) -> None:
        """As soon as somebody is logged in; only the first call counts."""
        if not self._begun:
            self._begun = True
            self._jobs.start(self._sync(), "commands")

    async def _sync(self) -> None:
        client = self._client()
        try:
            async with asyncio.timeout(SYNC_S):
                commands = await client.tree.sync() if client else None
        except _TROUBLE as error:
            self._again(in_short(error))
            return
        except Exception:  # a bug: without commands nobody can ask what is wrong
            self._again("crashed")
            raise
        if commands is None:
            self._again("not connected")
        else:
            self._log.info("commands.synced", commands=len(commands))

    def _again(self, why: str) -> None:
        self._log.warning("commands.sync_failed", error=why, again_s=SYNC_AGAIN_S)
        self._jobs.start_later(SYNC_AGAIN_S, self._sync, "commands")
