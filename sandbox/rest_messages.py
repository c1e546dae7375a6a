"""REST: messages in channels, their edits, and the nonce that makes a repeated POST harmless for minutes."""

from typing import Final

from sandbox.edge import Call, DiscordError, Route
from sandbox.forms import wrong_in_message
from sandbox.messages import note_pings, refuse_wrong, require_something
from sandbox.models import Permission
from sandbox.rest import require_in_channel
from sandbox.violations import Violations
from sandbox.wire import JsonObject, as_object
from sandbox.world import World

NONCE_KEPT_US: Final = 300_000_000
"""Discord says "the past few minutes"."""
UNKNOWN_MESSAGE: Final = (404, 10008, "Unknown Message")
NOT_ITS_AUTHOR: Final = (403, 50005, "Cannot edit a message authored by another user")
MAX_NONCE: Final = 25


class MessageRoutes:
    def __init__(self, world: World, violations: Violations) -> None:
        self._world = world
        self._violations = violations
        self._by_nonce: dict[tuple[int, str], tuple[int, JsonObject]] = {}

    def routes(self) -> list[Route]:
        one = "/channels/{channel}/messages/{message}"
        return [
            Route("POST", "/channels/{channel}/messages", "messages", self._post),
            Route("PATCH", one, "edit_message", self._edit),
        ]

    async def _post(self, call: Call) -> JsonObject:
        needed = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES
        guild, channel = require_in_channel(self._world, call.id("channel"), needed)
        body = call.fields
        require_something(body)
        refuse_wrong(wrong_in_message(body))
        nonce = str(body.get("nonce", ""))
        refuse_wrong([f"a nonce of {len(nonce)} characters"] if len(nonce) > MAX_NONCE else [])
        known = self._known(channel.id, nonce) if body.get("enforce_nonce") else None
        if known is not None:
            return known
        note_pings(self._violations, body)
        message = self._world.post(guild, channel, self._world.bot, body)
        return self._remember(channel.id, nonce, message) if nonce else message

    async def _edit(self, call: Call) -> JsonObject:
        """Only the author edits; what it takes to read the channel it takes here, too."""
        _, channel = require_in_channel(self._world, call.id("channel"), Permission.VIEW_CHANNEL)
        message = self._world.message(channel, call.id("message"))
        if message is None:
            raise DiscordError(*UNKNOWN_MESSAGE)
        if as_object(message["author"])["id"] != str(self._world.bot.id):
            raise DiscordError(*NOT_ITS_AUTHOR)
        body = call.fields
        require_something(message | body)
        refuse_wrong(wrong_in_message(body))
        note_pings(self._violations, body)
        return self._world.edit(channel, message, body)

    def _known(self, channel_id: int, nonce: str) -> JsonObject | None:
        """The message with that nonce, as it stands now, if it is young and still there."""
        now_us = self._world.clock.now_us()
        young = {key: each for key, each in self._by_nonce.items() if now_us - each[0] < NONCE_KEPT_US}
        self._by_nonce = young
        _, message = young.get((channel_id, nonce), (0, None))
        return message if any(message is each for each in self._world.messages) else None

    def _remember(self, channel_id: int, nonce: str, message: JsonObject) -> JsonObject:
        message["nonce"] = nonce
        self._by_nonce[channel_id, nonce] = self._world.clock.now_us(), message
        return message
