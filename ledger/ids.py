"""Identifiers, each its own type so that a guild is never taken for a user.

Discord's ids are snowflakes: unsigned 64-bit numbers sent as decimal strings. They stay strings in memory and in
JSON (a JSON number loses digits beyond 2**53 in many readers) and become integers at the border to SQL.
"""

from typing import Final, NewType

GuildId = NewType("GuildId", str)
UserId = NewType("UserId", str)
RoleId = NewType("RoleId", str)
ChannelId = NewType("ChannelId", str)
InteractionId = NewType("InteractionId", str)
SessionId = NewType("SessionId", str)
"""A gateway session, as READY names it. A RESUME keeps it; an IDENTIFY makes a new one."""
InviteCode = NewType("InviteCode", str)

VANITY: Final = InviteCode("VANITY")
"""The source "vanity URL", whatever its text is at the moment."""
NO_COUNTER: Final = InviteCode("NI")
"""The source "any path that raises no invite counter": discovery, student hub, OAuth, integration, lobby."""


MAX_ID: Final = 2**63 - 1


def is_id(text: str) -> bool:
    """Whether this can be an id of Discord's."""
    return text.isascii() and text.isdigit() and 0 < int(text) <= MAX_ID


def tombstone(number: int) -> UserId:
    """Stands for a forgotten person; ``number`` ≥ 1 counts those of a guild. No id of Discord's is negative."""
    return UserId(f"-{number}")


def is_tombstone(user: UserId) -> bool:
    """Whether this stands for a person who was forgotten."""
    return user.startswith("-")
