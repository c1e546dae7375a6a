"""Discord's documented limits on what an interaction is answered with; what breaks one is answered 400, code 50035.

Pure: a body goes in, what is wrong with it comes out, in words. Limits are those of the API reference (messages,
components, components V2, autocomplete), 2026-08.
"""

from collections.abc import Iterator
from typing import Final

from sandbox.answers import components_in
from sandbox.wire import JsonObject, as_int, as_list, as_object

MAX_CONTENT: Final = 2_000
MAX_EMBEDS: Final = 10
MAX_EMBED_TEXT: Final = 6_000
MAX_EMBED_FIELDS: Final = 25
MAX_ROWS: Final = 5
MAX_BUTTONS: Final = 5
MAX_COMPONENTS_V2: Final = 40
MAX_TEXT_V2: Final = 4_000
MAX_CUSTOM_ID: Final = 100
MAX_LABEL: Final = 80
MAX_CHOICES: Final = 25
MAX_CHOICE: Final = 100

COMPONENTS_V2: Final = 1 << 15
ROW, BUTTON, TEXT, CONTAINER = 1, 2, 10, 17
SELECTS: Final = frozenset({3, 5, 6, 7, 8})
TOP_V2: Final = frozenset({ROW, 9, TEXT, 12, 13, 14, CONTAINER})
LINK: Final = 5
V1_PARTS: Final = ("content", "embeds", "poll", "sticker_ids")


def wrong_in_message(body: JsonObject) -> Iterator[str]:
    """What Discord would refuse in a message."""
    top = [as_object(each) for each in as_list(body.get("components"))]
    parts = [part for each in top for part in components_in(each)]
    yield from _texts(body)
    yield from _wrong_layout(body, top, parts)
    for part in parts:
        yield from _wrong_part(part)
    custom_ids = [part["custom_id"] for part in parts if part.get("custom_id")]
    if len(set(custom_ids)) < len(custom_ids):
        yield f"custom_ids are not unique: {custom_ids}"


def wrong_in_choices(body: JsonObject) -> Iterator[str]:
    """What Discord would refuse in the choices of an autocompletion."""
    choices = [as_object(each) for each in as_list(body.get("choices"))]
    if len(choices) > MAX_CHOICES:
        yield f"{len(choices)} choices"
    for choice in choices:
        for key in ("name", "value"):
            yield from _length(f"a choice's {key}", choice.get(key), MAX_CHOICE)


def _texts(body: JsonObject) -> Iterator[str]:
    yield from _length("content", body.get("content"), MAX_CONTENT, least=0)
    embeds = [as_object(each) for each in as_list(body.get("embeds"))]
    if len(embeds) > MAX_EMBEDS:
        yield f"{len(embeds)} embeds"
    for embed in embeds:
        yield from _wrong_embed(embed)
    if sum(len(text) for embed in embeds for _, text, _ in _embed_texts(embed)) > MAX_EMBED_TEXT:
        yield "too much text in embeds"


def _wrong_embed(embed: JsonObject) -> Iterator[str]:
    fields = as_list(embed.get("fields"))
    if len(fields) > MAX_EMBED_FIELDS:
        yield f"{len(fields)} fields in an embed"
    for what, text, most in _embed_texts(embed):
        yield from _length(f"an embed's {what}", text, most, least=1 if what.startswith("field") else 0)


def _embed_texts(embed: JsonObject) -> Iterator[tuple[str, str, int]]:
    """What counts as text in an embed: what it is, the text, how long it may be."""
    yield "title", str(embed.get("title") or ""), 256
    yield "description", str(embed.get("description") or ""), 4_096
    yield "author", str(as_object(embed.get("author")).get("name") or ""), 256
    yield "footer", str(as_object(embed.get("footer")).get("text") or ""), 2_048
    for field in map(as_object, as_list(embed.get("fields"))):
        yield "field's name", str(field.get("name") or ""), 256
        yield "field's value", str(field.get("value") or ""), 1_024


def _wrong_layout(body: JsonObject, top: list[JsonObject], parts: list[JsonObject]) -> Iterator[str]:
    if not as_int(body.get("flags")) & COMPONENTS_V2:
        if len(top) > MAX_ROWS or any(each.get("type") != ROW for each in top):
            yield f"without the flag of components V2, at most {MAX_ROWS} action rows"
        return
    yield from (f"{part} does not go with components V2" for part in V1_PARTS if body.get(part))
    yield from (f"type {each.get('type')} at the top" for each in top if each.get("type") not in TOP_V2)
    if not 1 <= len(parts) <= MAX_COMPONENTS_V2:
        yield f"{len(parts)} components"
    if sum(len(str(part.get("content", ""))) for part in parts) > MAX_TEXT_V2:
        yield "too much text in components"


def _wrong_part(part: JsonObject) -> Iterator[str]:
    inside = [as_object(each) for each in as_list(part.get("components"))]
    match part.get("type"):
        case 1:
            kinds = [as_int(each.get("type")) for each in inside]
            selects = sum(kind in SELECTS for kind in kinds)
            if not kinds or len(kinds) > (1 if selects else MAX_BUTTONS):
                yield f"an action row of {kinds}"
        case 2:
            yield from _wrong_button(part)
        case 10:
            yield from _length("a text", part.get("content"), MAX_TEXT_V2)
        case 17 if not inside:
            yield "an empty container"
        case kind if kind in SELECTS:
            yield from _length("custom_id", part.get("custom_id"), MAX_CUSTOM_ID)
        case _:
            pass


def _wrong_button(part: JsonObject) -> Iterator[str]:
    yield from _length("a label", part.get("label"), MAX_LABEL, least=0)
    if part.get("style") != LINK:
        yield from _length("custom_id", part.get("custom_id"), MAX_CUSTOM_ID)
    elif part.get("custom_id"):
        yield "a link button with a custom_id"


def _length(what: str, value: object, most: int, least: int = 1) -> Iterator[str]:
    size = len(str(value or ""))
    if not least <= size <= most:
        yield f"{what} of {size} characters, {least} to {most} are allowed"
