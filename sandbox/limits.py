"""Rate limits: a fixed window for each bucket, and the headers that tell of it.

Buckets are so wide by default that nobody meets them; a test narrows a kind with `set`. The global limit is
Discord's: 50 requests/s of a bot, interactions and webhooks apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 10_000
PER_S: Final = 1.0
GLOBAL_PER_S: Final = 50
MAX_WINDOWS: Final = 10_000


@dataclass(slots=True)
class Window:
    limit: int
    per_s: float
    ends_s: float
    used: int = 0


class Limits:
    def __init__(self, time_s: Callable[[], float], monotonic_s: Callable[[], float]) -> None:
        self._time_s = time_s
        self._monotonic_s = monotonic_s
        self._settings: dict[str, tuple[int, float]] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._everything = Window(GLOBAL_PER_S, PER_S, 0.0)
        self.global_per_s = GLOBAL_PER_S

    def enter_all(self) -> float:
        """Count one request against the global limit: 0, or how long (s) to wait."""
        now_s = self._monotonic_s()
        if self._everything.ends_s <= now_s:
            self._everything = Window(self.global_per_s, PER_S, now_s + PER_S)
        self._everything.used += 1
        return 0.0 if self._everything.used <= self.global_per_s else self._everything.ends_s - now_s

    def set(self, kind: str, limit: int, per_s: float) -> None:
        """At most `limit` requests of the kind in `per_s`, for each guild, channel or webhook."""
        self._settings[kind] = (limit, per_s)
        self._windows = {key: window for key, window in self._windows.items() if key[0] != kind}

    def enter(self, kind: str, major: str) -> tuple[bool, dict[str, str]]:
        """Count one request; whether it may pass, and the headers of its answer."""
        window = self._window(kind, major)
        window.used += 1
        left_s = window.ends_s - self._monotonic_s()
        headers = {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(max(0, window.limit - window.used)),
            "X-RateLimit-Reset": f"{self._time_s() + left_s:.3f}",
            "X-RateLimit-Reset-After": f"{left_s:.3f}",
            "X-RateLimit-Bucket": f"sandbox-{kind}",
        }
        return window.used <= window.limit, headers

    def _window(self, kind: str, major: str) -> Window:
        now_s = self._monotonic_s()
        window = self._windows.get((kind, major))
        if window is None or window.ends_s <= now_s:
            if len(self._windows) >= MAX_WINDOWS:
                self._windows.clear()
            limit, per_s = self._settings.get(kind, (LIMIT, PER_S))
            window = self._windows[kind, major] = Window(limit, per_s, now_s + per_s)
        return window
