"""The stream of gateway events from the world to whoever listens, with a gate in it.

A held event has already happened in the world and is only not told yet: that is how late, swapped and lost
events are made. What a client may see is filtered later, in `sessions`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox.event import Event
from sandbox.mischief import Lot, Mischief

Matches = Callable[[Event], bool]


def but_interactions(event: Event) -> bool:
    return event.name != "INTERACTION_CREATE"


class Feed:
    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []
        self._holds: Matches | None = None
        self.held: deque[Event] = deque()
        self.mischief = Mischief()

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

    def drop_next(self, name: str, *, times: int = 1) -> None:
        """The next events of that name are never told."""
        self.mischief.add(name, Lot.DROPPED, times)

    def duplicate_next(self, name: str, *, times: int = 1) -> None:
        """The next are told twice, each time with a number of its own."""
        self.mischief.add(name, Lot.TWICE, times)

    def delay_next(self, name: str, *, behind: int = 1, times: int = 1) -> None:
        """The next are told only after `behind` other events (1: it changes places with the following one)."""
        self.mischief.add(name, behind, times)

    def _tell(self, event: Event) -> None:
        for each in self.mischief.pass_on(event):
            for listener in self._listeners:
                listener(each)
