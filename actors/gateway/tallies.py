"""One tally at a time for each leaderboard: shared by all who wait for it, and kept for a moment.

To add up is to read every join of the guild, and a page turned asks for all of them again. What is kept may be
``KEPT_S`` old, so somebody may be ranked for that long after they were forgotten.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Annotated, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from actors.gateway.tally import By
from ledger.ids import GuildId
from ledger.ports import Clock

Window: TypeAlias = Literal["24 hours", "7 days", "30 days", "all"]
PageNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=999_999)]
"""From 0; what lies beyond the end is the last page."""
Key: TypeAlias = tuple[GuildId, By, Window]

T = TypeVar("T")

KEPT_S: Final = 10.0
MAX_KEPT: Final = 64
"""Tallies that are done; a large guild's takes a megabyte or so. Those under way are as many as people wait for."""


class _Entry(Generic[T]):
    """A tally that is under way (``answer`` None), or done; ``until_s``: how long it may be shown."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.answer: T | str | None = None
        self.until_s = inf


class Tallies(Generic[T]):
    """The tallies that somebody waits for, or that were asked for just now.

    Args:
        add_up: makes one; a text says why there is none.
        clock: how old they are.
    """

    def __init__(self, add_up: Callable[[Key], Awaitable[T | str]], clock: Clock) -> None:
        self._add_up = add_up
        self._clock = clock
        self._entries: dict[Key, _Entry[T]] = {}

    async def of(self, key: Key) -> T | str:
        """The tally, at most ``KEPT_S`` old, or why there is none. Who asks first adds up, in their own task."""
        self._drop_old()
        entry = self._entries.setdefault(key, _Entry[T]())
        async with entry.turn:
            if entry.answer is None:  # also where whoever was adding up has gone away
                entry.answer = await self._add_up(key)
                entry.until_s = self._clock.monotonic_s() + KEPT_S
                if isinstance(entry.answer, str) and self._entries.get(key) is entry:
                    del self._entries[key]  # a failure is for those who wait now
            return entry.answer

    def _drop_old(self) -> None:
        now_s = self._clock.monotonic_s()
        done = [key for key, entry in self._entries.items() if entry.answer is not None]
        too_many = max(0, len(done) - MAX_KEPT + 1)
        for at, key in enumerate(done):
            if at < too_many or self._entries[key].until_s <= now_s:
                del self._entries[key]
