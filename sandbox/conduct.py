"""How one client behaves on its socket: size and pace of what it sends, its heartbeats, whole member lists.

Limits are Discord's: 4096 bytes a payload (close code 4002), 120 events in 60 s (4008), a heartbeat each interval,
all members of a guild once in 30 s for a session (RATE_LIMITED). Heartbeats do not count among the 120 here, since
tests make the interval tiny.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from sandbox.violations import Violations

MAX_BYTES: Final = 4_096
MAX_EVENTS: Final = 120
EVENTS_PER_S: Final = 60.0
SILENT_BEATS: Final = 2
SPARE_BEATS: Final = 2
"""The one right after HELLO, and one that op 1 asks for."""
TOO_LARGE: Final = 4002
TOO_MANY: Final = 4008


class Conduct:
    def __init__(self, violations: Violations, monotonic_s: Callable[[], float], heartbeat_s: float) -> None:
        self._violations = violations
        self._monotonic_s = monotonic_s
        self._heartbeat_s = heartbeat_s
        self._began_s = self._last_beat_s = monotonic_s()
        self._beats = 0
        self._sent_s: deque[float] = deque()

    def size(self, size: int) -> int | None:
        """A payload of that many bytes came; the code to close with, or None."""
        if size <= MAX_BYTES:
            return None
        self._violations.add("gateway.payload_too_large", f"{size} bytes")
        return TOO_LARGE

    def event(self) -> int | None:
        """Anything but a heartbeat came; the code to close with, or None."""
        now_s = self._monotonic_s()
        while self._sent_s and self._sent_s[0] <= now_s - EVENTS_PER_S:
            self._sent_s.popleft()
        self._sent_s.append(now_s)
        if len(self._sent_s) <= MAX_EVENTS:
            return None
        self._violations.add("gateway.too_many_events", f"{len(self._sent_s)} in {EVENTS_PER_S:.0f} s")
        return TOO_MANY

    def heartbeat(self) -> None:
        """Judged by their number since HELLO: a slow wire may deliver two together, a fast client sends too many."""
        now_s = self._monotonic_s()
        self._beats += 1
        self._last_beat_s = now_s
        if self._beats > (now_s - self._began_s) / self._heartbeat_s + SPARE_BEATS:
            self._violations.add("gateway.heartbeat_early", f"{self._beats} in {now_s - self._began_s:.3f} s")

    @property
    def patience_s(self) -> float:
        """How long the next heartbeat may take."""
        return max(0.0, self._last_beat_s + SILENT_BEATS * self._heartbeat_s - self._monotonic_s())

    def fell_silent(self) -> None:
        self._violations.add("gateway.heartbeat_missed", f"none for {SILENT_BEATS * self._heartbeat_s:.1f} s")
