"""Why Discord would not have us, where only the operator can help. Each comes with the fix; none holds the token.

LedgerError
└── GatewayRefused        Discord ended the connection for good; the code says why
    ├── TokenRefused      the token is not one of a bot, or was reset
    ├── IntentsMissing    the members intent is not switched on
    └── ShardsDemanded    there are too many guilds for this number of shards
"""

from typing import Final

import discord

from ledger.errors import LedgerError

FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    LedgerError,
    discord.DiscordException,
)
"""What handling a dispatch or a click can raise: ours for our bugs, the library's for payloads it does not expect."""


class GatewayRefused(LedgerError):
    """The gateway closed with a code that no retry mends (wrong shard, version or intents)."""

    hint = "look the close code up in Discord's documentation; a newer release of this program may be needed"

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class TokenRefused(GatewayRefused):
    """Discord does not know the token."""

    hint = "copy the token anew (Developer Portal, Bot, Reset Token) into DISCORD_TOKEN"


class IntentsMissing(GatewayRefused):
    """The application may not use the members intent."""

    hint = "switch on Server Members Intent (Developer Portal, Bot, Privileged Gateway Intents)"


class ShardsDemanded(GatewayRefused):
    """Discord takes no more guilds on so few shards."""

    hint = "nothing: the bot asks how many connections it needs, and makes them anew"
