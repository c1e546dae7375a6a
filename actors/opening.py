"""The store of a data folder and its cloud: how they are opened, compared and closed again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from structlog.typing import FilteringBoundLogger

from actors.clock import SystemRandomness
from actors.cloud_side import Cloud, CloudSide
from actors.ground import open_cloud
from actors.recovered import tell_recovery, telling_how_far
from actors.settings import Settings
from ledger.ports import Clock
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.local import LocalLayer, folder_lineage
from persistence.marker import folder_id
from persistence.offload import ThreadOffload
from persistence.salvage import FileSalvage
from persistence.sqlite import SqliteLayer
from persistence.store import Store


@asynccontextmanager
async def opened(
    settings: Settings, offload: ThreadOffload, clock: Clock, *, may_begin_anew: bool = False
) -> AsyncIterator[tuple[Store, Cloud | None, bool]]:
    """The store of a data folder, whose lock the caller holds; its cloud, if any; whether it saw a start before.

    The cloud has a thread of its own: a folder on another machine that hangs must not hang the log.
    """
    disk, data, randomness = RealDisk(), settings.ledger_data, SystemRandomness()
    afar = ThreadOffload("cloud")
    layers = (LocalLayer(disk, data, offload), SqliteLayer(disk, settings.database(), data / "quarantine"))
    writer, seen = folder_id(disk, data, randomness)
    objects = open_cloud(settings, disk, afar, randomness)
    cloud = None if objects is None else CloudLayer(objects, afar, randomness, clock, writer)
    lineage = partial(offload, partial(folder_lineage, disk, data))
    store = Store(
        layers,
        clock,
        randomness,
        cloud,
        FileSalvage(disk, data, offload),
        named=settings.named_layers(),
        may_begin_anew=may_begin_anew,
    )
    try:
        yield store, None if objects is None else Cloud(objects, writer, lineage), seen
    finally:
        await store.close()
        if objects is not None:
            await objects.close()
        afar.leave()


async def recover(store: Store, clock: Clock, log: FilteringBoundLogger) -> None:
    """Compares the layers, for a tool that is to fail where they cannot be: a bot's journal tries again."""
    began_s = clock.monotonic_s()
    with telling_how_far(log, store, clock):
        report = await store.start()
    tell_recovery(log, report, clock.monotonic_s() - began_s)


def cloud_side(
    cloud: Cloud, store: Store, hears: Callable[[], bool], clock: Clock, log: FilteringBoundLogger
) -> CloudSide:
    """The cloud's part of this process; ``hears``: whether it hears Discord."""
    return CloudSide(
        cloud, store, hears=hears, randomness=SystemRandomness(), clock=clock, sleep=asyncio.sleep, log=log
    )
