"""What the bot answered to one interaction, in order, and the text a user would read.

Filled by `interactions`; read by tests and the demo.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from sandbox.wire import JsonObject, as_int, as_list, as_object

EPHEMERAL: Final = 1 << 6
LOADING: Final = 1 << 7


class CallbackType(IntEnum):
    PONG = 1
    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    AUTOCOMPLETE = 8
    MODAL = 9


@dataclass(frozen=True, slots=True)
class Callback:
    """The first answer: its type and its data as sent."""

    type: CallbackType
    data: JsonObject


@dataclass(slots=True)
class Message:
    """A message of the bot as it stands now; `payload` is Discord's object, `files` what is attached, by name."""

    payload: JsonObject
    deleted: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> int:
        return as_int(self.payload["id"])

    @property
    def content(self) -> str:
        return str(self.payload.get("content") or "")

    @property
    def embeds(self) -> list[JsonObject]:
        return [as_object(each) for each in as_list(self.payload.get("embeds"))]

    @property
    def components(self) -> list[JsonObject]:
        return [as_object(each) for each in as_list(self.payload.get("components"))]

    @property
    def flags(self) -> int:
        return as_int(self.payload.get("flags"))

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def text(self) -> str:
        """All that can be read: content, embeds, text components and labels, one a line."""
        parts = [self.content]
        for embed in self.embeds:
            parts += _embed_text(embed)
        for component in self.components:
            parts += _component_text(component)
        return "\n".join(part for part in parts if part)


@dataclass(slots=True)
class Reply:
    """The answers to one interaction.

    Attributes:
        callbacks: the accepted callback (at most one).
        refused: how many callbacks came too many or too late.
        original: the message of the callback; None until it is there.
        deferred: whether it was promised first (type 5 or 6).
        followups: messages sent after it, in order.
        edits: how often one of them was changed or taken away.
    """

    interaction_id: int
    token: str
    callbacks: list[Callback] = field(default_factory=list)
    refused: int = 0
    original: Message | None = None
    deferred: bool = False
    followups: list[Message] = field(default_factory=list)
    edits: int = 0

    @property
    def messages(self) -> list[Message]:
        there = [self.original, *self.followups]
        return [message for message in there if message is not None and not message.deleted]

    @property
    def text(self) -> str:
        return "\n".join(message.text for message in self.messages if message.text)

    @property
    def choices(self) -> list[JsonObject]:
        """What an autocompletion offers."""
        return [as_object(each) for callback in self.callbacks for each in as_list(callback.data.get("choices"))]

    @property
    def ephemeral(self) -> bool:
        """Whether every message is for the asker alone."""
        return bool(self.messages) and all(message.ephemeral for message in self.messages)

    @property
    def thinking(self) -> bool:
        """Deferred, and the promised message is not there."""
        return self.original is not None and bool(self.original.flags & LOADING)

    @property
    def done(self) -> bool:
        """Whether the user sees something: not before the update or message that was promised."""
        if not self.callbacks or self.thinking:
            return False
        promised = self.callbacks[0].type is CallbackType.DEFERRED_UPDATE
        return not promised or bool(self.edits or self.followups)


def _embed_text(embed: JsonObject) -> list[str]:
    author, footer = as_object(embed.get("author")), as_object(embed.get("footer"))
    parts = [author.get("name"), embed.get("title"), embed.get("description")]
    for each in as_list(embed.get("fields")):
        one = as_object(each)
        parts += [one.get("name"), one.get("value")]
    return [str(part) for part in [*parts, footer.get("text")] if part]


def _component_text(component: JsonObject) -> list[str]:
    return [str(part[key]) for part in components_in(component) for key in ("content", "label") if part.get(key)]


def components_in(component: JsonObject) -> Iterator[JsonObject]:
    """The component and all inside it."""
    yield component
    inside = [*as_list(component.get("components")), component.get("accessory")]
    for child in inside:
        if child:
            yield from components_in(as_object(child))
