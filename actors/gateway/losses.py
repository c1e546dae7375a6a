"""Why a connection to Discord ended: what may be better next time, and what only the operator can mend."""

import zlib
from typing import Final

import aiohttp
import discord
from discord.http import Route

from actors.gateway.failures import in_short
from actors.gateway.trouble import GatewayRefused, IntentsMissing, ShardsDemanded, TokenRefused

FINAL_CODES: Final = {
    4004: "Discord refused the token",
    4010: "Discord refused the shard",
    4011: "Discord demands more shards",
    4012: "Discord no longer speaks this version of its gateway",
    4013: "Discord does not know these intents",
}
LOST: Final = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError, ValueError, zlib.error)
"""The world's doing, as the library raises it. ValueError: what should be JSON is none; zlib: nor a packed stream."""


def why_lost(error: Exception) -> str:
    """One of ``LOST`` in words.

    Raises:
        GatewayRefused: when no retry mends it; ``error`` is not its cause, since it may hold the token.
    """
    match error:
        case discord.LoginFailure():
            raise TokenRefused(FINAL_CODES[4004], 4004) from None
        case discord.PrivilegedIntentsRequired():
            raise IntentsMissing("Discord refused the members intent", 4014) from None
        case discord.ConnectionClosed(code=code):
            return _closed_with(code)
        case discord.NotFound():
            return f"nothing of Discord's at {Route.BASE}; does DISCORD_API_URL end in /api/v10?"
        case _:
            return in_short(error)


def _closed_with(code: int) -> str:
    match code:
        case 4004:
            raise TokenRefused(FINAL_CODES[code], code) from None
        case 4011:
            raise ShardsDemanded(FINAL_CODES[code], code) from None
        case _ if code in FINAL_CODES:
            raise GatewayRefused(FINAL_CODES[code], code) from None
        case _:
            return f"closed with {code}"
