"""Whether a client waits when REST told it to: after a 429, and with a bucket used up.

What was on its way while the answer was made (`ON_ITS_WAY_S`) is excused. Answers to interactions are not bound to
the limit over all requests (https://docs.discord.com/developers/topics/rate-limits, "Global Rate Limit").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.violations import Violations

ON_ITS_WAY_S: Final = 0.2
ROUNDING_S: Final = 0.01
EVERYWHERE: Final = ("*", "*")
MAX_BUCKETS: Final = 10_000
REFUSED: Final = 429


@dataclass(frozen=True, slots=True)
class Shut:
    told_s: float
    until_s: float
    why: str


class Restraint:
    def __init__(self, violations: Violations, monotonic_s: Callable[[], float]) -> None:
        self._violations = violations
        self._monotonic_s = monotonic_s
        self._shut: dict[tuple[str, str], Shut] = {}

    def arrived(self, bucket: tuple[str, str], path: str, *, everywhere: bool) -> None:
        """A request came; ``everywhere``: whether the limit over all requests holds for it as well."""
        now_s = self._monotonic_s()
        for key in (EVERYWHERE, bucket) if everywhere else (bucket,):
            shut = self._shut.get(key)
            if shut and shut.told_s + ON_ITS_WAY_S < now_s < shut.until_s - ROUNDING_S:
                early_s = shut.until_s - now_s
                self._violations.add("rest.did_not_wait", f"{path}: {early_s:.2f} s early, {shut.why}")

    def answered(self, bucket: tuple[str, str], status: int, headers: Mapping[str, str]) -> None:
        """Read what the client is told with this answer."""
        if status == REFUSED:
            key = EVERYWHERE if headers["X-RateLimit-Scope"] == "global" else bucket
            self._close(key, float(headers["Retry-After"]), "it had a 429")
        elif headers.get("X-RateLimit-Remaining") == "0":
            self._close(bucket, float(headers["X-RateLimit-Reset-After"]), "the bucket was used up")

    def _close(self, key: tuple[str, str], for_s: float, why: str) -> None:
        if len(self._shut) >= MAX_BUCKETS:
            self._shut.clear()
        now_s = self._monotonic_s()
        self._shut[key] = Shut(now_s, now_s + for_s, why)
