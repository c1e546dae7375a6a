"""The bot's application: its flags say which privileged intents it may ask for.

`PATCH /applications/@me` may switch the *limited* intent flags only; the others come with Discord's review.
"""

from enum import IntFlag
from typing import Final

from sandbox import payloads
from sandbox.models import User
from sandbox.sessions import Intent
from sandbox.wire import JsonObject


class AppFlag(IntFlag):
    NONE = 0
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
LIMITED: Final = AppFlag.PRESENCE_LIMITED | AppFlag.MEMBERS_LIMITED | AppFlag.CONTENT_LIMITED
KNOWN_INTENTS: Final = (1 << 26) - 1


class Application:
    """Whose bot it is, and how it may be installed; a test sets the fields it needs.

    Attributes:
        needs_review: so many people use it that intents come by review only; PATCH of a flag is refused.
        has_bot: without one the bot's token opens nothing.
        install_params: `{"scopes": [...], "permissions": "..."}` of the install link, or None.
    """

    def __init__(self, bot: User, owner: User) -> None:
        self.bot = bot
        self.owner = owner
        self.flags = AppFlag.MEMBERS_LIMITED
        self.bot_public = True
        self.needs_review = False
        self.has_bot = True
        self.install_params: JsonObject | None = None
        self.description = ""

    def allows(self, intents: Intent) -> bool:
        return all(self.flags & flags for intent, flags in PRIVILEGED.items() if intent in intents)

    def may_become(self, flags: AppFlag) -> bool:
        """Whether the API lets these flags be set."""
        changed = self.flags ^ flags
        return not changed & ~LIMITED and not (changed and self.needs_review)

    def payload(self, guild_count: int) -> JsonObject:
        whole: JsonObject = {
            "id": str(self.bot.id),
            "name": self.bot.name,
            "description": self.description,
            "icon": None,
            "bot_public": self.bot_public,
            "bot_require_code_grant": False,
            "owner": payloads.user(self.owner),
            "team": None,
            "verify_key": "0" * 64,
            "flags": int(self.flags),
            "approximate_guild_count": guild_count,
            "approximate_user_install_count": 0,
            "integration_types_config": {"0": self._install_config()},
            "redirect_uris": [],
            "interactions_endpoint_url": None,
        }
        whole |= {"bot": payloads.user(self.bot)} if self.has_bot else {}
        return whole | ({"install_params": self.install_params} if self.install_params else {})

    def _install_config(self) -> JsonObject:
        return {"oauth2_install_params": self.install_params} if self.install_params else {}
