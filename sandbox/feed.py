"""The stream of gateway events from the world to whoever listens, with a gate in it.

A held event has already happened in the world and is only not told yet: that is how late, swapped and lost
events are made. What a client may see is filtered later, in `sessions`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    name: str
    data: object
    guild_id: int | None = None


Matches = Callable[[Event], bool]


def but_interactions(event: Event) -> bool:
    return event.name != "INTERACTION_CREATE"


class Feed:
    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []
        self._holds: Matches | None = None
        self.held: deque[Event] = deque()

    def listen(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def emit(self, event: Event, *, hold: bool = False) -> None:
        if hold or (self._holds is not None and self._holds(event)):
            self.held.append(event)
        else:
            self._tell(event)

    def hold(self, matches: Matches = but_interactions) -> None:
        """From now on keep the events that match in `held`; by default all but interactions."""
        self._holds = matches

    def release(self, count: int | None = None) -> None:
        """Tell the first `count` held events in their order; all, and hold no more, without `count`."""
        if count is None:
            self._holds = None
        for _ in range(len(self.held) if count is None else min(count, len(self.held))):
            self._tell(self.held.popleft())

    @contextmanager
    def holding(self, matches: Matches = but_interactions) -> Iterator[deque[Event]]:
        """Hold inside the block, then release; the block may reorder or drop what it is given."""
        self.hold(matches)
        try:
            yield self.held
        finally:
            self.release()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
