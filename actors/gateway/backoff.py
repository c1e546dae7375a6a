"""How long to wait before the next try to connect: doubling, with jitter, forgiven after a good connection."""

from typing import Final

from ledger.ports import Clock, Randomness

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 120.0
"""720 tries a day at most, which leaves room in the 1,000 IDENTIFYs of a day."""
STEADY_S: Final = 300.0
"""A connection that lasted so long was a good one: the next pause is the first again."""


class Backoff:
    """The failures in a row of one connection.

    Args:
        clock: tells how long a try lasted.
        randomness: for the jitter.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self.failures = 0
        self._clock = clock
        self._randomness = randomness
        self._began_s = clock.monotonic_s()

    def begin(self) -> None:
        """A try starts now."""
        self._began_s = self._clock.monotonic_s()

    def pause_s(self) -> float:
        """The try has failed: seconds until the next."""
        steady = self._clock.monotonic_s() - self._began_s > STEADY_S
        self.failures = 1 if steady else self.failures + 1
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 10))
        return longest_s * self._randomness.uniform(0.5, 1.0)
