"""A store that keeps in memory what branches that lost had."""

from collections.abc import Sequence

from ledger.ports import Clock, Randomness
from persistence.layer import FencedLayer, Layer
from persistence.salvage import Salvage
from persistence.store import Store
from tests.memory.salvage import MemorySalvage


def store_of(
    layers: Sequence[Layer],
    clock: Clock,
    randomness: Randomness,
    cloud: FencedLayer | None = None,
    salvage: Salvage | None = None,
    *,
    named: frozenset[str] = frozenset(),
    may_begin_anew: bool = False,
) -> Store:
    """``salvage`` None = a new one in memory."""
    return Store(
        layers, clock, randomness, cloud, salvage or MemorySalvage(), named=named, may_begin_anew=may_begin_anew
    )
