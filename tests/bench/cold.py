"""``python -m tests.bench.cold DATA CLOUD``: a bot's start on an empty folder, as far as the recovery goes.

Its last word is the MiB that the process needed at most.
"""

import asyncio
import sys
from pathlib import Path

from actors.clock import SystemClock, SystemRandomness
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from tests.bench.weighed import peak_mib
from tests.memory.store import store_of


async def start(data: Path, cloud: Path) -> None:
    """Reads the cloud, and writes log and database from it."""
    disk, clock, randomness = RealDisk(), SystemClock(), SystemRandomness()
    near, far = ThreadOffload("disk"), ThreadOffload("cloud")
    layers = (LocalLayer(disk, data, near), SqliteLayer(disk, data / "ledger.db", data / "quarantine"))
    objects = FolderObjects(disk, cloud, far, randomness)
    store = store_of(layers, clock, randomness, CloudLayer(objects, far, randomness, clock, "cold"))
    await store.start()
    sys.stdout.write(f"{store.newest_gsn()} records, {peak_mib():.1f}\n")
    await store.close()
    for offload in (near, far):
        offload.close()


if __name__ == "__main__":
    asyncio.run(start(Path(sys.argv[1]), Path(sys.argv[2])))
