"""A planted bug as data: what of the product it replaces, with what, what that breaks, and who is to find it.

A bug exists in tests only: for so long as it is planted, attributes of the product stand for others. Nothing in the
product knows of it, and no switch turns it on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import ModuleType

import msgspec


class Origin(StrEnum):
    """Who asks for the bug."""

    KERNEL = "KERNEL"
    DURABILITY = "DURABILITY"
    ORACLE = "oracle"  # a witness against one of its invariants
    OURS = "ours"  # an invariant needed one that breaks it, or a mistake of that kind was near


class Swap(msgspec.Struct, frozen=True):
    """``owner.name`` stands for ``by``."""

    owner: ModuleType | type
    name: str
    by: object


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """``what``: the mistake in words; ``breaks``: the invariants of which the first to be found broken is one;
    ``hunts``: who finds it, the cheapest first (``hunts.HUNTS``).
    """

    name: str
    origin: Origin
    what: str
    swaps: tuple[Swap, ...]
    breaks: frozenset[str]
    hunts: tuple[str, ...]


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The bug is in the product meanwhile."""
    before = [vars(swap.owner)[swap.name] for swap in bug.swaps]
    for swap in bug.swaps:
        setattr(swap.owner, swap.name, swap.by)
    try:
        yield
    finally:
        for swap, original in zip(bug.swaps, before, strict=True):
            setattr(swap.owner, swap.name, original)
