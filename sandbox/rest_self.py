"""REST: who the bot is, its application, users, and where the gateway is: what a first-run check reads."""

from typing import Final

from sandbox import payloads
from sandbox.application import AppFlag, Application
from sandbox.credentials import Caller
from sandbox.edge import Call, DiscordError, Route, invalid_form
from sandbox.gateway import Gateway
from sandbox.models import User
from sandbox.wire import JsonObject
from sandbox.world import World

UNKNOWN_USER: Final = (404, 10013, "Unknown User")
PEOPLE: Final = frozenset({Caller.BOT, Caller.BEARER, Caller.USER})


class SelfRoutes:
    def __init__(self, world: World, application: Application, gateway: Gateway) -> None:
        self._world = world
        self._application = application
        self._gateway = gateway

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/gateway", "gateway", self._url, open=True),
            Route("GET", "/gateway/bot", "gateway", self._url_for_bot),
            Route("GET", "/users/@me", "me", self._me, callers=PEOPLE),
            Route("GET", "/users/{user:\\d+}", "users", self._user),
            Route("GET", "/users/@me/guilds", "me", self._guilds),
            Route("GET", "/applications/@me", "application", self._about),
            Route("PATCH", "/applications/@me", "application", self._change),
            Route("GET", "/oauth2/applications/@me", "application", self._about),
        ]

    async def _url(self, _: Call) -> JsonObject:
        return {"url": self._gateway.url}

    async def _url_for_bot(self, _: Call) -> JsonObject:
        starts = self._gateway.identifies
        return {"url": self._gateway.url, "shards": starts.shards, "session_start_limit": starts.payload()}

    async def _me(self, call: Call) -> JsonObject:
        """The bot, or the person whose token it is."""
        return payloads.own_user(self._world.bot if call.caller is Caller.BOT else self._application.owner)

    async def _user(self, call: Call) -> JsonObject:
        return payloads.user(self._known(call.id("user")))

    async def _guilds(self, _: Call) -> list[JsonObject]:
        mine = [guild for guild in self._world.guilds.values() if guild.has_bot]
        return [payloads.guild(guild) for guild in mine]

    async def _about(self, _: Call) -> JsonObject:
        return self._application.payload(len(self._world.guilds))

    async def _change(self, call: Call) -> JsonObject:
        """Limited intent flags, the description and the install parameters can be changed by the API."""
        if "flags" in call.fields:
            self._application.flags = self._wanted_flags(call.fields["flags"])
        self._application.description = str(call.fields.get("description", self._application.description))
        return self._application.payload(len(self._world.guilds))

    def _wanted_flags(self, raw: object) -> AppFlag:
        if not isinstance(raw, int):
            raise invalid_form("flags", "NUMBER_TYPE_COERCE", f"Value {raw!r} is not int.")
        flags = AppFlag(raw)
        if not self._application.may_become(flags):
            raise invalid_form("flags", "APPLICATION_FLAGS_INVALID", "These flags cannot be changed by the API.")
        return flags

    def _known(self, user_id: int) -> User:
        user = self._world.users.get(user_id)
        if user is None:
            raise DiscordError(*UNKNOWN_USER)
        return user
