"""The layers that the contract suite runs on. A new layer appends its factory to ``FACTORIES``; no more is needed.

A factory makes a layer over a folder; called again on the same folder it gives the same data to a new object, unless
the layer lives in its object alone.
"""

from collections.abc import Callable
from pathlib import Path

from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.sqlite import SqliteLayer
from tests.memory.database import MemoryDatabase
from tests.memory.layer import MemoryLayer
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.persistence.making import TestClock, TestRandomness


def local_layer(folder: Path) -> Layer:
    return LocalLayer(RealDisk(), folder, inline)


def memory_layer(folder: Path) -> Layer:
    return MemoryLayer(folder.name)


def memory_database(folder: Path) -> Layer:
    return MemoryDatabase(folder.name)


def sqlite_layer(folder: Path) -> Layer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")


_buckets: dict[Path, MemoryBucket] = {}


def cloud_in_memory(folder: Path) -> Layer:
    objects = MemoryObjects(_buckets.setdefault(folder, MemoryBucket()))
    return CloudLayer(objects, inline, TestRandomness(), TestClock(), "writer")


def cloud_in_a_folder(folder: Path) -> Layer:
    objects = FolderObjects(RealDisk(), folder, inline, TestRandomness())
    return CloudLayer(objects, inline, TestRandomness(), TestClock(), "writer")


IN_OBJECT_ALONE = frozenset({memory_layer, memory_database})

FACTORIES: list[Callable[[Path], Layer]] = [
    local_layer,
    memory_layer,
    sqlite_layer,
    cloud_in_memory,
    cloud_in_a_folder,
]

LISTING: list[Callable[[Path], Layer]] = [memory_database, sqlite_layer]
"""Layers that have lists (``persistence/lists.py``)."""
