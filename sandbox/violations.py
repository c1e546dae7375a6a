"""What the client did that Discord forbids, or that costs it: a list which tests require to be empty.

Kinds are `part.what` ("gateway.identified_too_soon", "rest.unknown_route", "interaction.answered_twice", ...);
the detail is for people. What Discord answers with an error is answered with that error, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

MAX_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Violation:
    """One misdeed: when (seconds since 1970), what, and the particulars."""

    at_s: float
    kind: str
    detail: str


class Violations:
    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s
        self._kept: list[Violation] = []

    def __iter__(self) -> Iterator[Violation]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, kind: str, detail: str) -> None:
        if len(self._kept) < MAX_KEPT:
            self._kept.append(Violation(self._time_s(), kind, detail))

    def take(self, kind: str) -> list[Violation]:
        """Those of that kind, taken off the list: how a test says which it expects."""
        found = [each for each in self._kept if each.kind == kind]
        self._kept = [each for each in self._kept if each.kind != kind]
        return found
