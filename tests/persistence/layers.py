"""The layers that the contract suite runs on. A new layer appends its factory to ``FACTORIES``; no more is needed.

A factory makes a layer over a folder; called again on the same folder it gives the same data to a new object, unless
the layer lives in its object alone.
"""

from collections.abc import Callable
from pathlib import Path

from persistence.disk import RealDisk
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.memory import MemoryLayer
from persistence.memory_database import MemoryDatabase
from persistence.offload import inline
from persistence.sqlite import SqliteLayer


def local_layer(folder: Path) -> Layer:
    return LocalLayer(RealDisk(), folder, inline)


def memory_layer(folder: Path) -> Layer:
    return MemoryLayer(folder.name)


def memory_database(folder: Path) -> Layer:
    return MemoryDatabase(folder.name)


def sqlite_layer(folder: Path) -> Layer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")


FACTORIES: list[Callable[[Path], Layer]] = [local_layer, memory_layer, sqlite_layer]

LISTING: list[Callable[[Path], Layer]] = [memory_database, sqlite_layer]
"""Layers that have lists (``persistence/lists.py``)."""
