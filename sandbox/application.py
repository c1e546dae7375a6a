"""The bot's application: its flags say which privileged intents it may ask for."""

from enum import IntFlag
from typing import Final

from sandbox import payloads
from sandbox.models import User
from sandbox.sessions import Intent
from sandbox.wire import JsonObject


class AppFlag(IntFlag):
    PRESENCE = 1 << 12
    PRESENCE_LIMITED = 1 << 13
    MEMBERS = 1 << 14
    MEMBERS_LIMITED = 1 << 15
    CONTENT = 1 << 18
    CONTENT_LIMITED = 1 << 19


PRIVILEGED: Final = {
    Intent.GUILD_MEMBERS: AppFlag.MEMBERS | AppFlag.MEMBERS_LIMITED,
    Intent.GUILD_PRESENCES: AppFlag.PRESENCE | AppFlag.PRESENCE_LIMITED,
    Intent.MESSAGE_CONTENT: AppFlag.CONTENT | AppFlag.CONTENT_LIMITED,
}


class Application:
    def __init__(self, bot: User, owner: User) -> None:
        self.bot = bot
        self.owner = owner
        self.flags = AppFlag.MEMBERS_LIMITED

    def allows(self, intents: Intent) -> bool:
        return all(self.flags & flags for intent, flags in PRIVILEGED.items() if intent in intents)

    def payload(self, guild_count: int) -> JsonObject:
        return {
            "id": str(self.bot.id),
            "name": self.bot.name,
            "description": "",
            "icon": None,
            "bot": payloads.user(self.bot),
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": payloads.user(self.owner),
            "team": None,
            "verify_key": "0" * 64,
            "flags": int(self.flags),
            "approximate_guild_count": guild_count,
            "integration_types_config": {"0": {}},
            "redirect_uris": [],
            "interactions_endpoint_url": None,
        }
