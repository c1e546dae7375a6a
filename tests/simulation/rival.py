"""The second process: another machine's, with an empty folder of its own, that takes the history over in the cloud.

It is the whole tree, hears Discord over a session of its own, and lives on the same loop beside the first, in fine
weather. It waits for its turn, or does not (a first process that it cannot see). What it acknowledged is asked of the
final state like anything else; its folder is lost with it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from actors.cloud_side import Cloud
from ledger.errors import Stale
from ledger.ids import GuildId, UserId
from persistence.frames import Frame
from persistence.layer import Layer
from tests.memory.database import MemoryDatabase
from tests.persistence.simdisk import SimDisk
from tests.simulation.dials import Dials
from tests.simulation.gateway import Gateway
from tests.simulation.loop import SimLoop
from tests.simulation.oracle import Oracle
from tests.simulation.outside import Discord, SimOutside
from tests.simulation.process import Line, Process
from tests.simulation.violation import Violation


class Rival:
    """One life of it.

    Args:
        loop: where the first process lives.
        dials: of the run.
        oracle: hears what it writes and acknowledges.
        cloud: its way there.
        gateway: its own.
        discord: whom it asks.
        polite: whether it waits for its turn.
    """

    def __init__(
        self,
        loop: SimLoop,
        dials: Dials,
        oracle: Oracle,
        *,
        cloud: Cloud,
        gateway: Gateway,
        discord: Discord,
        polite: bool,
    ) -> None:
        self.acknowledged: set[tuple[GuildId, UserId, int]] = set()
        self._oracle = oracle
        self._gateway = gateway
        self._process = Process(
            loop,
            SimDisk(),
            MemoryDatabase("database"),
            hear=self._hear,
            cloud=cloud,
            polite=polite,
            named=dials.named,
            segment_bytes=dials.segment_bytes,
            merge_files=dials.merge_files,
            wrap=lambda layer: _Noted(layer, oracle),  # type: ignore[arg-type, return-value]
        )
        self._outside = SimOutside(
            loop, self._process.supervisor.roster, discord, self._process.clock, page=dials.page
        )
        self._life = loop.create_task(self._live())
        self._life.add_done_callback(partial(_failed, loop))

    async def stop(self) -> None:
        """It is told to: it leaves in order."""
        await self._process.stop()

    async def _live(self) -> None:
        try:
            await self._process.start(self._outside)
            assert self._process.tree is not None, "it has started"
            self._gateway.connect(self._process.supervisor, self._process.clock)
            await self._process.tree
        except Stale:
            self._oracle.seen["rival overtaken"] += 1
        finally:
            self._gateway.disconnect()

    def _hear(self, line: Line) -> None:
        match line.event:
            case "join.acknowledged":
                joined_at_ms = line.fields["joined_at_ms"]
                assert isinstance(joined_at_ms, int), "milliseconds"
                self.acknowledged.add(
                    (GuildId(str(line.fields["guild"])), UserId(str(line.fields["user"])), joined_at_ms)
                )
            case "recovery.finished" | "epoch.taken":
                self._oracle.rival_took_over()
            case "actor.restarted":
                self._oracle.died(f"the rival's {line.fields['child']}", str(line.fields["why"]))
            case "letter.buried" | "job.failed":
                self._oracle.line(line)
            case _:
                pass


class _Noted:
    """A layer whose frames the oracle sees on their way in."""

    def __init__(self, layer: Layer, oracle: Oracle) -> None:
        self._layer = layer
        self._oracle = oracle

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the layer has
        return getattr(self._layer, name)

    async def append(self, frames: Sequence[Frame]) -> None:
        self._oracle.given(f"rival's {self._layer.name}", frames)
        await self._layer.append(frames)

    def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        return self._layer.frames_after(gsn)


def _failed(loop: SimLoop, life: "asyncio.Task[None]") -> None:
    if not life.cancelled() and (error := life.exception()) is not None:
        loop.fail(Violation("B1", f"the rival ended: {error!r}"))
