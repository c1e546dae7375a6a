"""How the supervisor notices what tells nobody: a turn that hangs, a guild that rests, many deaths at once.

Mechanisms with their own small memory; time comes in. What is done about it is ``supervisor.py``'s business.
"""

from collections import deque
from typing import Final

BREAKER_WINDOW_S: Final = 10.0
BREAKER_CHILDREN: Final = 3
"""At least so many children, and …"""
BREAKER_SHARE: Final = 0.2
"""… this share of all, died of their own within the window: then it is not theirs."""
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 60.0


class Stillness:
    """Since when the mark of each name is the same."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[object, float]] = {}

    def of(self, name: str, mark: object, now_s: float) -> float:
        """Seconds for which the mark has been this one, as far as it was looked at."""
        known, since_s = self._since.get(name, (None, now_s))
        if known != mark:
            since_s = now_s
        self._since[name] = (mark, since_s)
        return now_s - since_s


class Breaker:
    """Open while many children die of their own at once: the cause is common (memory, a disk, a bug in shared code).

    While it is open their deaths are charged to nobody, so that no budget is spent and nobody is parked, and all of
    them wait. Each opening that follows soon after another pauses for twice as long.
    """

    def __init__(self) -> None:
        self._deaths: deque[tuple[float, str]] = deque()
        self._closes_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.openings = 0

    def note(self, name: str, children: int, now_s: float) -> bool:
        """Counts a death of the child's own, one of so many ``children``; True when this opens the breaker."""
        self._deaths.append((now_s, name))
        while self._deaths[0][0] < now_s - BREAKER_WINDOW_S:
            self._deaths.popleft()
        dead = len({each for _, each in self._deaths})
        if self.is_open(now_s) or dead < max(BREAKER_CHILDREN, BREAKER_SHARE * children):
            return False
        self._open(now_s)
        return True

    def is_open(self, now_s: float) -> bool:
        return now_s < self._closes_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until it closes; 0 when it is closed."""
        return max(0.0, self._closes_s - now_s)

    def _open(self, now_s: float) -> None:
        soon = self.openings and now_s - self._closes_s < LONGEST_PAUSE_S
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s) if soon else FIRST_PAUSE_S
        self._closes_s = now_s + self._pause_s
        self._deaths.clear()
        self.openings += 1
