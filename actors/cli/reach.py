"""The cloud of the settings, opened for a command that only reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from actors.cli.tools import Tools
from actors.ground import open_cloud
from actors.settings import BadSettings, Settings
from persistence.cloud import CloudLayer
from persistence.histories import CloudHistory
from persistence.objects import Objects
from persistence.offload import Offload, ThreadOffload
from persistence.read_only import ReadOnly


class Reached(msgspec.Struct, frozen=True):
    """A store that was reached for, and where its objects are worked at."""

    objects: Objects
    offload: Offload

    def history(self, tools: Tools) -> CloudHistory:
        """All of it, to be read once."""

        def layer(objects: Objects) -> CloudLayer:
            return CloudLayer(objects, self.offload, tools.randomness, tools.clock, "")

        return CloudHistory(self.objects, self.offload, layer)


@asynccontextmanager
async def reached(settings: Settings, tools: Tools, instead: str = "") -> AsyncIterator[Reached]:
    """The store of LEDGER_CLOUD; nothing can be written through it.

    Args:
        settings: with the store's address.
        tools: what it works with.
        instead: what else can be said, where there is no store.

    Raises:
        BadSettings: when there is none.
        Refused: when it cannot even be asked with the variables that are set.
    """
    offload = ThreadOffload("cloud")
    try:
        objects = open_cloud(settings, tools.disk, offload, tools.randomness)
        if objects is None:
            otherwise = f"; or {instead}" if instead else ""
            raise BadSettings(
                [f"LEDGER_CLOUD must be set, as it is for the bot: the cloud is what is asked for{otherwise}."]
            )
        try:
            yield Reached(ReadOnly(objects), offload)
        finally:
            await objects.close()
    finally:
        offload.leave()  # what still reads there keeps nobody
