"""What passes between us and Discord, in numbers since the process began: the gateway counts, ops shows."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from actors.histogram import Distribution
from ledger.ids import SessionId

READY: Final = "READY"
RESUMED: Final = "RESUMED"


class RequestOutcome(StrEnum):
    """How a request to Discord's REST API ended, the library's own retries included."""

    OK = "ok"
    FORBIDDEN = "forbidden"  # 401, 403
    LIMITED = "limited"  # 429, and longer than the library waits for
    UNAVAILABLE = "unavailable"  # any other status, or no answer
    TIMED_OUT = "timed_out"  # no answer within our deadline
    MALFORMED = "malformed"  # an answer that does not decode
    NOT_READY = "not_ready"  # members-search: its index is being built


class ErrandOutcome(StrEnum):
    """How an errand beside the counters ended (``gateway/errands.py``)."""

    AUDIT_READ = "audit_read"
    AUDIT_FAILED = "audit_failed"
    WITNESS_ANSWERED = "witness_answered"
    WITNESS_FAILED = "witness_failed"
    JOIN_ANNOUNCED = "join_announced"
    JOIN_NOT_ANNOUNCED = "join_not_announced"  # it could and will not be shown
    ANNOUNCING_FAILED = "announcing_failed"


class RestTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """Requests. ``waited_s``: how long fetches waited for their permits; ``waiting``: fetches that wait now."""

    requests: Mapping[RequestOutcome, int]
    waited_s: Distribution
    waiting: int


class DispatchTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """Dispatches. ``dispatches``: by name, those that are taken; ``heard_us``: when the last came, 0 = none."""

    sessions: int
    resumes: int
    dispatches: Mapping[str, int]
    unreadable: int
    heard_us: int


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A shard now. ``session`` "" before the first READY; ``latency_s`` of the last heartbeat, None = not known.

    ``awaited``: guilds of READY that have neither come nor been reported unavailable.
    """

    number: int
    session: SessionId
    connected: bool
    latency_s: float | None
    awaited: int


class DispatchTally:
    """Counts the dispatches of all shards; it outlives their connections."""

    def __init__(self) -> None:
        self.unreadable = 0
        self._heard_us = 0
        self._counts = {READY: 0, RESUMED: 0}

    def expect(self, names: Iterable[str]) -> None:
        """Only what is expected is counted: names that Discord makes up are no labels."""
        for name in names:
            self._counts.setdefault(name, 0)

    def take(self, name: str, arrived_us: int) -> None:
        self._heard_us = arrived_us
        if name in self._counts:
            self._counts[name] += 1

    def traffic(self) -> DispatchTraffic:
        """The dispatches so far."""
        return DispatchTraffic(
            sessions=self._counts[READY],
            resumes=self._counts[RESUMED],
            dispatches=dict(self._counts),
            unreadable=self.unreadable,
            heard_us=self._heard_us,
        )
