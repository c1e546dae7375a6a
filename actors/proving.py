"""How layers are read back while the bot works: those nearby between two batches, the cloud beside the journal.

A layer nearby that gives back what was not written is broken by that, and the journal brings it back as any other
(opened, verified whole, filled). The cloud is mended here: what it cannot give is written there once more.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.journal import Journal
from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.following import Following
from persistence.frames import Frame
from persistence.layer import Checkpoint
from persistence.objects import Refused
from persistence.proofs import Walk
from persistence.scan import Gap
from persistence.seats import Seat
from persistence.store import Store

MEND_RECORDS: Final = 10_000
"""At least so many are offered at once to a cloud that cannot read some."""


class Prover:
    """Reads pieces and checkpoints back. ``faults``: how often something was not what was written."""

    def __init__(self, store: Store, journal: Journal, log: FilteringBoundLogger) -> None:
        self.faults = 0
        self.said = set[str]()
        """What was told of the cloud since the last pass."""
        self.mends = True
        """Whether the cloud is written to; not any more once somebody else may write there."""
        self._store = store
        self._journal = journal
        self._log = log

    def names(self) -> tuple[str, ...]:
        """All layers, the log first."""
        following = self._store.following
        return self._store.near() if following is None else (*self._store.near(), following.layer.name)

    def gsn_of(self, layer: str) -> int:
        """The last record that the layer has to give back."""
        cloud = self._cloud(layer)
        return self._store.newest_gsn() if cloud is None else cloud.seat.gsn

    def first_walk(self, layer: str) -> Walk:
        """A walk through what the layer got since it was last read whole."""
        cloud = self._cloud(layer)
        since = self._store.witness.since
        return Walk(self._store.witness, since if cloud is None else min(since, cloud.seat.summary.gsn))

    async def step(self, layer: str, walk: Walk, upto: int) -> None:
        """The next piece of a walk.

        Raises:
            Corrupt: when it was not what was written: told, and the layer is broken, or could not be mended.
            StorageError: when it cannot be read now.
        """
        cloud = self._cloud(layer)
        if cloud is not None:
            await self._step_in_cloud(cloud, walk, upto)
            return
        try:
            await self._journal.look_into(layer, lambda seat: walk.step(seat, upto))
        except Corrupt as error:
            self.tell(layer, str(error))
            raise

    async def scrub_cloud(self, begin: float, share: float) -> None:
        """The next of what the walks do not read there (``FencedLayer.scrub``); damage is told, and mended.

        Raises:
            StorageError: when it cannot be read now.
        """
        cloud = self._store.following
        if cloud is None or not cloud.fenced:
            return
        cloud.layer.take_notes()  # of before: nothing that was read now
        is_damaged = False
        try:
            await cloud.layer.scrub(begin, share)
        except Refused as error:
            self._tell_once(cloud, str(error))
        finally:
            is_damaged = self._tell_notes(cloud)
        if is_damaged:
            await self._mend(cloud)

    async def newest(self, layer: str, guild: GuildId) -> Checkpoint | None:
        """The newest checkpoint of a guild that a layer nearby gives back; None where there is none.

        Raises:
            StorageError: when the layer cannot be read now.
        """

        async def query(seat: Seat) -> Checkpoint | None:
            for place in seat.layer.checkpoint_places(guild):
                checkpoint = await seat.layer.checkpoint(guild, place)
                if checkpoint is not None:
                    return checkpoint
            return None

        return await self._journal.look_into(layer, query)

    def tell(self, layer: str, what: str) -> None:
        """Says that something is not what was written."""
        self.faults += 1
        self._log.error("backup.differs", layer=layer, what=what, hint=Corrupt.hint)

    def _cloud(self, layer: str) -> Following | None:
        return None if layer in self._store.near() else self._store.following

    async def _step_in_cloud(self, cloud: Following, walk: Walk, upto: int) -> None:
        if not cloud.fenced:
            raise StorageError("the cloud was away when this epoch began, and has not been asked since who writes")
        failed: Corrupt | None = None
        cloud.layer.take_notes()  # of before: nothing that was read now
        try:
            await walk.step(cloud.seat, upto)
        except Corrupt as error:
            failed = error
        finally:
            told = self._tell_notes(cloud)
        if failed is None:
            return
        if not told:
            self._tell_once(cloud, str(failed))
        if not self.mends:
            raise failed
        await self._mend(cloud)
        await walk.step(cloud.seat, upto)

    def _tell_notes(self, cloud: Following) -> bool:
        """Says what the cloud noted of what was read; whether that was anything."""
        notes = cloud.layer.take_notes()
        for what in notes:
            self._tell_once(cloud, what)
        return bool(notes)

    def _tell_once(self, cloud: Following, what: str) -> None:
        """Until the next pass: what cannot be mended is met in every round."""
        if what not in self.said:
            self.said.add(what)
            self.tell(cloud.layer.name, what)

    async def _mend(self, cloud: Following) -> None:
        """Offers the cloud all that it cannot read; what is nowhere is a hole from then on."""
        missing, offered = await self._filled(cloud, ()), set[Gap]()
        known = missing
        while gap := next((gap for gap in missing if gap not in offered), None):
            offered.add(gap)
            if not any(first <= gap[0] and gap[1] <= last for first, last in known):
                self._tell_once(cloud, f"gsn {gap[0]} to {gap[1]} cannot be read")
            missing = await self._filled(cloud, await self._journal.frames_after(gap[0] - 1, MEND_RECORDS))
        cloud.seat.summary = msgspec.structs.replace(cloud.seat.summary, missing=missing)

    async def _filled(self, cloud: Following, frames: Sequence[Frame]) -> Sequence[Gap]:
        """What is missing there with these frames, in all that is there: it is read anew."""
        async with cloud.alone:
            return (await cloud.layer.fill(frames)).missing
