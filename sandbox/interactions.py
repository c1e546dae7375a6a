"""Interactions: sent over the gateway, answered over REST, collected in a `Reply`.

The first answer must come within `ANSWER_S` and only once (40060); what follows goes through the interaction's
webhook while its token lives. Payloads are made in `slash`.
"""

import math
import time
from dataclasses import dataclass
from typing import Final

from sandbox import payloads
from sandbox.answers import EPHEMERAL, LOADING, Callback, CallbackType, Message, Reply, components_in
from sandbox.commands import Commands, may_use
from sandbox.edge import Call, DiscordError, Route, invalid_form
from sandbox.event import Event
from sandbox.forms import wrong_in_choices, wrong_in_message
from sandbox.messages import attached, note_pings, refuse_wrong, require_something
from sandbox.models import Channel, Guild, User
from sandbox.pulse import Pulse
from sandbox.slash import Options, click_data, command_data, envelope, typing_data
from sandbox.violations import Violations
from sandbox.wire import JsonObject, as_int, as_object, iso
from sandbox.world import World

ANSWER_S: Final = 3.0
TOKEN_S: Final = 900.0
MAX_REPLIES: Final = 10_000

ALREADY_ANSWERED: Final = (400, 40060, "Interaction has already been acknowledged.")
UNKNOWN_INTERACTION: Final = (404, 10062, "Unknown interaction")
UNKNOWN_WEBHOOK: Final = (404, 10015, "Unknown Webhook")
UNKNOWN_MESSAGE: Final = (404, 10008, "Unknown Message")
INVALID_TOKEN: Final = (401, 50027, "Invalid Webhook Token")
WORDLESS: Final = (CallbackType.PONG, CallbackType.DEFERRED_MESSAGE, CallbackType.DEFERRED_UPDATE, CallbackType.MODAL)
PROMISES: Final = (CallbackType.DEFERRED_MESSAGE, CallbackType.DEFERRED_UPDATE)


class NotAllowedError(Exception):
    """The user lacks the command's `default_member_permissions` (only with `enforce=True`)."""


@dataclass(slots=True)
class Pending:
    """An interaction on its way: where it was made, when, and what came back."""

    guild: Guild
    reply: Reply
    sent_s: float
    clicked: Message | None


class Interactions:
    def __init__(self, world: World, commands: Commands, pulse: Pulse, violations: Violations) -> None:
        self._violations = violations
        self._world = world
        self._commands = commands
        self._pulse = pulse
        self._by_token: dict[str, Pending] = {}
        self.answer_s = ANSWER_S
        self.token_s = TOKEN_S

    def payload(
        self, guild: Guild, user: User, name: str, options: Options | None = None, *, enforce: bool = False
    ) -> JsonObject:
        """An INTERACTION_CREATE for the registered command `name` ("group sub" reaches subcommands).

        Raises:
            LookupError: when no such command is registered.
            NotAllowedError: when `enforce` and the user may not use it.
            ValueError: when the options do not fit its definition.
        """
        first, *path = name.split()
        command = self._commands.find(guild.id, first)
        if command is None:
            raise LookupError(f"no command /{first} is registered for {guild.name}")
        if enforce and not may_use(command, guild.permissions(user)):
            raise NotAllowedError(f"{user.name} may not use /{first}")
        data = command_data(guild, command, path, options or {}, self._world.users)
        return self._envelope(guild, user) | {"type": 2, "data": data}

    def typing_payload(self, guild: Guild, user: User, name: str, options: Options, focused: str) -> JsonObject:
        """An INTERACTION_CREATE for autocompletion: `focused` is the option that is being typed."""
        first, *path = name.split()
        command = self._commands.find(guild.id, first)
        if command is None:
            raise LookupError(f"no command /{first} is registered for {guild.name}")
        data = typing_data(command, path, options, focused)
        return self._envelope(guild, user) | {"type": 4, "data": data}

    def click_payload(
        self, guild: Guild, user: User, message: Message, custom_id: str, values: list[str]
    ) -> JsonObject:
        """An INTERACTION_CREATE for a component of a message.

        Raises:
            LookupError: when the message has no such component.
            ValueError: when it is disabled, or the values do not fit it.
        """
        parts = [part for each in message.components for part in components_in(each)]
        component = next((part for part in parts if part.get("custom_id") == custom_id), None)
        if component is None:
            raise LookupError(f"the message has no component {custom_id}")
        data = click_data(guild, message, component, values, self._world.users)
        return self._envelope(guild, user) | {"type": 3, "data": data, "message": message.payload}

    def send(self, payload: JsonObject, clicked: Message | None = None) -> Reply:
        """Dispatch it; the same payload again (a redelivery) shares one reply."""
        token = str(payload["token"])
        guild = self._world.guilds[as_int(payload["guild_id"])]
        if token not in self._by_token:
            self._forget_old()
            reply = Reply(as_int(payload["id"]), token)
            self._by_token[token] = Pending(guild, reply, time.monotonic(), clicked)
        self._world.feed.emit(Event(name="INTERACTION_CREATE", data=payload, guild_id=guild.id))
        return self._by_token[token].reply

    def expire(self, reply: Reply) -> None:
        """Its token's 15 minutes are over now."""
        self._by_token[reply.token].sent_s = -math.inf

    async def ask(self, payload: JsonObject, timeout_s: float, clicked: Message | None = None) -> Reply:
        """Send, and wait until the user would see an answer.

        Raises:
            TimeoutError: when there is none within `timeout_s`.
        """
        reply = self.send(payload, clicked)
        await self._pulse.until(lambda: reply.done, timeout_s)
        return reply

    def routes(self) -> list[Route]:
        hook = "/webhooks/{app}/{token}"
        one = hook + "/messages/{message}"
        callback = "/interactions/{interaction}/{token}/callback"
        return [
            Route("POST", callback, "callback", self._callback, open=True),
            Route("POST", hook, "followup", self._followup, open=True),
            Route("GET", one, "webhook_message", self._read, open=True),
            Route("PATCH", one, "webhook_message", self._edit, open=True),
            Route("DELETE", one, "webhook_message", self._delete, open=True),
        ]

    async def _callback(self, call: Call) -> JsonObject | None:
        pending = self._by_token.get(call.text("token"))
        if pending is None or pending.reply.interaction_id != call.id("interaction"):
            raise DiscordError(*UNKNOWN_INTERACTION, kind="interaction.unknown")
        self._check_first(pending)
        callback = _callback_in(call.fields)
        if callback.type is CallbackType.AUTOCOMPLETE:
            refuse_wrong(wrong_in_choices(callback.data))
        elif callback.type not in WORDLESS:
            self._check_words(callback.data)
        self._apply(pending, callback)
        pending.reply.callbacks.append(callback)
        return _callback_answer(pending.reply, callback) if call.flag("with_response") else None

    def _check_first(self, pending: Pending) -> None:
        if pending.reply.callbacks:
            pending.reply.refused += 1
            raise DiscordError(*ALREADY_ANSWERED, kind="interaction.answered_twice")
        if time.monotonic() - pending.sent_s > self.answer_s:
            pending.reply.refused += 1
            raise DiscordError(*UNKNOWN_INTERACTION, kind="interaction.answered_late")

    def _apply(self, pending: Pending, callback: Callback) -> None:
        reply = pending.reply
        reply.deferred = callback.type in PROMISES
        match callback.type:
            case CallbackType.MESSAGE:
                require_something(callback.data)
                reply.original = self._message(pending, callback.data)
            case CallbackType.DEFERRED_MESSAGE:
                promised = as_int(callback.data.get("flags")) & EPHEMERAL | LOADING
                reply.original = self._message(pending, {"flags": promised})
            case CallbackType.UPDATE if pending.clicked is not None:
                pending.clicked.payload |= callback.data
                reply.original = pending.clicked
            case CallbackType.DEFERRED_UPDATE:
                reply.original = pending.clicked
            case _:
                pass

    async def _followup(self, call: Call) -> JsonObject | None:
        """The first one after a deferral takes the promised message's place."""
        pending = self._pending(call)
        require_something(call.fields)
        self._check_words(call.fields)
        described, files = await attached(call)
        fields = call.fields | described
        reply = pending.reply
        if reply.original is not None and reply.thinking:
            message = _fill(reply.original, fields)
        else:
            message = self._message(pending, fields)
            reply.followups.append(message)
        message.files.update(files)
        return message.payload if call.request.query.get("wait") != "0" else None

    async def _read(self, call: Call) -> JsonObject:
        return self._find(call).payload

    async def _edit(self, call: Call) -> JsonObject:
        message = self._find(call)
        self._check_words(call.fields)
        self._pending(call).reply.edits += 1
        edited = {"edited_timestamp": iso(self._world.clock.tick_us())}
        return _fill(message, call.fields | edited).payload

    async def _delete(self, call: Call) -> None:
        message = self._find(call)
        self._pending(call).reply.edits += 1
        message.deleted = True
        message.payload["flags"] = message.flags & ~LOADING

    def _check_words(self, body: JsonObject) -> None:
        refuse_wrong(wrong_in_message(body))
        note_pings(self._violations, body)

    def _pending(self, call: Call) -> Pending:
        pending = self._by_token.get(call.text("token"))
        if pending is None or call.id("app") != self._world.bot.id:
            raise DiscordError(*UNKNOWN_WEBHOOK, kind="interaction.unknown")
        if not pending.reply.callbacks:
            raise DiscordError(*UNKNOWN_WEBHOOK, kind="interaction.followed_up_unanswered")
        if time.monotonic() - pending.sent_s > self.token_s:
            raise DiscordError(*INVALID_TOKEN, kind="interaction.token_expired")
        return pending

    def _find(self, call: Call) -> Message:
        reply, wanted = self._pending(call).reply, call.text("message")
        if wanted == "@original" and reply.original is not None and not reply.original.deleted:
            return reply.original
        for message in reply.messages:
            if str(message.id) == wanted:
                return message
        raise DiscordError(*UNKNOWN_MESSAGE)

    def _message(self, pending: Pending, body: JsonObject) -> Message:
        world, channel = self._world, pending.guild.channel
        return Message(_message_payload(world, channel, body))

    def _envelope(self, guild: Guild, user: User) -> JsonObject:
        if user.id not in guild.members:
            raise ValueError(f"{user.name} is no member of {guild.name}")
        interaction_id = self._world.ids.snowflake()
        token = f"aW50ZXJhY3Rpb246{interaction_id}{self._world.ids.code()}"
        return envelope(guild, user, self._world.bot, interaction_id, token)

    def _forget_old(self) -> None:
        while len(self._by_token) >= MAX_REPLIES:
            del self._by_token[next(iter(self._by_token))]


def _message_payload(world: World, channel: Channel, body: JsonObject) -> JsonObject:
    message = payloads.message(channel, world.ids.snowflake(), world.bot, world.clock.tick_us(), body)
    hook = {"application_id": str(world.bot.id), "webhook_id": str(world.bot.id), "type": 20}
    return message | hook


def _fill(message: Message, body: JsonObject) -> Message:
    """Put content in; what is ephemeral stays so, and thinking ends."""
    kept = message.flags & EPHEMERAL
    message.payload |= {key: value if value is not None else _EMPTY.get(key) for key, value in body.items()}
    message.payload["flags"] = (as_int(body.get("flags")) | kept) & ~LOADING
    return message


_EMPTY: Final[JsonObject] = {"content": "", "embeds": [], "components": []}


def _callback_in(body: JsonObject) -> Callback:
    kind = as_int(body.get("type"))
    if kind not in set(CallbackType):
        raise invalid_form("type", "BASE_TYPE_CHOICES", f"{kind} is no type of a callback.")
    return Callback(CallbackType(kind), as_object(body.get("data")))


def _callback_answer(reply: Reply, callback: Callback) -> JsonObject:
    interaction: JsonObject = {"id": str(reply.interaction_id), "type": 2}
    resource: JsonObject = {"type": int(callback.type)}
    if reply.original is not None:
        interaction |= {
            "response_message_id": str(reply.original.id),
            "response_message_loading": reply.thinking,
            "response_message_ephemeral": reply.original.ephemeral,
        }
        resource |= {"message": reply.original.payload}
    return {"interaction": interaction, "resource": resource}
