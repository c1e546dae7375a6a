"""One gateway event on its way from the world to whoever may hear it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    name: str
    data: object
    guild_id: int | None = None
