"""How values look on Discord's wire: JSON, timestamps, tokens.

Pure helpers. What a payload contains is decided in `payloads`; who may see it, in `world` and `rest`.
"""

import base64
from datetime import UTC, datetime, timedelta
from random import Random
from string import ascii_letters, digits
from typing import Final, cast

import msgspec

JsonObject = dict[str, object]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TOKEN_ALPHABET: Final = ascii_letters + digits + "-_"


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def decode(raw: bytes | str) -> object:
    """The JSON value in `raw`.

    Raises:
        msgspec.DecodeError: when `raw` is not JSON.
    """
    return msgspec.json.decode(raw)


def as_object(value: object) -> JsonObject:
    """`value` if it is a JSON object, else an empty one: Discord, too, reads a missing body as no fields."""
    items = cast("dict[object, object]", value).items() if isinstance(value, dict) else ()
    return {str(key): item for key, item in items}


def as_list(value: object) -> list[object]:
    return list(cast("list[object]", value)) if isinstance(value, list) else []


def as_int(value: object, default: int = 0) -> int:
    """The number in a JSON number or in a string of digits (snowflakes are strings on the wire)."""
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else default


def iso(at_us: int) -> str:
    """Microseconds since 1970 as Discord writes them: `2026-01-02T03:04:05.678000+00:00`."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds")


def as_rest_tells(payload: JsonObject) -> JsonObject:
    """A member or an invite as REST tells it: its times to the millisecond; the gateway tells microseconds."""
    times = {name: f"{str(payload[name])[:-9]}000+00:00" for name in ("joined_at", "created_at") if payload.get(name)}
    return payload | times


def bot_token(bot_id: int, rng: Random) -> str:
    """A token of the real form: libraries and settings read the bot's id from its first part."""
    head = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    middle, tail = ("".join(rng.choices(TOKEN_ALPHABET, k=length)) for length in (6, 38))
    return f"{head}.{middle}.{tail}"
