"""Events that Discord loses, tells twice, or tells late: scripted by name, one misfortune for one event.

All of it happens before numbering, since that is what Discord could do: on the wire, numbers have no gap and rise in
the order sent; TCP loses and swaps nothing.
"""

from enum import Enum, auto

from sandbox.event import Event


class Lot(Enum):
    DROPPED = auto()
    TWICE = auto()


class Mischief:
    def __init__(self) -> None:
        self._script: dict[str, list[Lot | int]] = {}
        self._late: list[tuple[int, Event]] = []

    def add(self, name: str, lot: Lot | int, times: int) -> None:
        """An int: so many other events are told before it."""
        self._script.setdefault(name, []).extend([lot] * times)

    @property
    def pending(self) -> int:
        """How many misfortunes are still to come, late events included."""
        return sum(map(len, self._script.values())) + len(self._late)

    def pass_on(self, event: Event) -> list[Event]:
        """What is told now, in order."""
        script = self._script.get(event.name)
        match script.pop(0) if script else None:
            case Lot.DROPPED:
                now: list[Event] = []
            case Lot.TWICE:
                now = [event, event]
            case int(behind) if behind > 0:
                self._late.append((behind, event))
                return []
            case _:
                now = [event]
        return [*now, *self._come_due(len(now))]

    def _come_due(self, told: int) -> list[Event]:
        waiting = [(behind - told, event) for behind, event in self._late]
        self._late = [(behind, event) for behind, event in waiting if behind > 0]
        return [event for behind, event in waiting if behind <= 0]
