"""What the pure part is told by the world: protocols of clock and randomness. Nothing here has an effect."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for dates, one for durations. Tests and the simulation bring their own."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch (UTC). It may jump; nothing safe depends on it."""
        ...

    def stamp_us(self) -> int:
        """Wall clock in microseconds, strictly rising within this process, so that it also tells order."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never falls."""
        ...


class Randomness(Protocol):
    """Where jitter and fresh ids come from."""

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        ...

    def token(self) -> str:
        """32 fresh hex digits."""
        ...
