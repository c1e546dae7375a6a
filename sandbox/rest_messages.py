"""REST: messages in channels, with the nonce that makes a repeated POST harmless."""

from typing import Final

from sandbox.edge import Call, Route
from sandbox.forms import wrong_in_message
from sandbox.messages import note_pings, refuse_wrong, require_something
from sandbox.models import Permission
from sandbox.rest import require_in_channel
from sandbox.violations import Violations
from sandbox.wire import JsonObject
from sandbox.world import World

NONCES: Final = 1_000
MAX_NONCE: Final = 25


class MessageRoutes:
    def __init__(self, world: World, violations: Violations) -> None:
        self._world = world
        self._violations = violations
        self._by_nonce: dict[tuple[int, str], JsonObject] = {}

    def routes(self) -> list[Route]:
        return [Route("POST", "/channels/{channel}/messages", "messages", self._post)]

    async def _post(self, call: Call) -> JsonObject:
        needed = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES
        guild, channel = require_in_channel(self._world, call.id("channel"), needed)
        body = call.fields
        require_something(body)
        refuse_wrong(wrong_in_message(body))
        nonce = str(body.get("nonce", ""))
        refuse_wrong([f"a nonce of {len(nonce)} characters"] if len(nonce) > MAX_NONCE else [])
        known = self._by_nonce.get((channel.id, nonce)) if body.get("enforce_nonce") else None
        if known is not None:
            return known
        note_pings(self._violations, body)
        message = self._world.post(guild, channel, self._world.bot, body)
        return self._remember(channel.id, nonce, message) if nonce else message

    def _remember(self, channel_id: int, nonce: str, message: JsonObject) -> JsonObject:
        message["nonce"] = nonce
        self._by_nonce[channel_id, nonce] = message
        while len(self._by_nonce) > NONCES:
            del self._by_nonce[next(iter(self._by_nonce))]
        return message
