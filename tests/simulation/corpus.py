"""Runs that failed once, shrunk: they run before any new seed. A file a run, named by invariant and seed.

A run that passes stays: the fault that it found must not come back. One whose world has changed since tells another
story, and costs little.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.simulation.dials import Dials

FOLDER: Final = Path(__file__).parent / "corpus"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A run that broke an invariant, and what of the product was at fault, once that is known."""

    broken: str
    why: str
    cause: str = ""
    dials: Dials


def kept() -> Sequence[Kept]:
    """The whole corpus, in the order of its names."""
    return [msgspec.json.decode(path.read_bytes(), type=Kept) for path in sorted(FOLDER.glob("*.json"))]


def keep(entry: Kept) -> Path:
    """Puts a run into the corpus; the same invariant and seed once."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{entry.broken}-{entry.dials.seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n")
    return path
