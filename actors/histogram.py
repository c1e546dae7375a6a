"""A histogram of what is observed as it happens: fixed buckets, and nothing of whoever shows it."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Observations so far. ``counts[i]``: those ≤ ``bounds[i]`` and > the bound before; the last: those above all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Histogram:
    """Counts observations by size; an observation costs a search in a dozen numbers."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: upper ends of the buckets, rising; one more bucket is above them all."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def distribution(self) -> Distribution:
        return Distribution(bounds=self._bounds, counts=tuple(self._counts), total=self._total)
