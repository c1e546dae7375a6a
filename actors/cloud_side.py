"""What the program does with its cloud: upload beside the work, keep a pulse, let a newcomer pass, say goodbye.

Made where a cloud is set; everything else of the program is the same with it and without.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.drain import Drain, Step
from actors.handover import Handover
from actors.journal import Journal
from actors.supervision import ChildSpec
from actors.uploader import Uploader
from ledger.errors import Corrupt, LedgerError, Stale, StorageError, WrongHistory
from ledger.ports import Clock, Randomness
from persistence.following import Following
from persistence.objects import Objects
from persistence.presence import Presence
from persistence.probe import StoreUnfit, probe
from persistence.store import Store


async def nothing_known() -> str:
    """Nobody tells which history a folder is of."""
    return ""


class Cloud(msgspec.Struct, frozen=True):
    """A store of objects, the name by which this data folder goes there, and what tells its history's lineage ("" =
    it holds none).
    """

    objects: Objects
    writer: str
    lineage: Callable[[], Awaitable[str]] = nothing_known


class CloudSide:
    """The uploader and the hand-over of one process.

    Args:
        cloud: what the store's cloud layer stands on.
        store: of this process.
        hears: whether this process hears Discord.
        randomness, clock, sleep, log: as everywhere.
    """

    def __init__(
        self,
        cloud: Cloud,
        store: Store,
        *,
        hears: Callable[[], bool],
        randomness: Randomness,
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        assert store.following is not None, "made where a cloud is"
        self._store = store
        self._following: Following = store.following
        self._objects = cloud.objects
        self._lineage = cloud.lineage
        self._randomness = randomness
        self._is_fit = False
        self._is_awaited = False
        self._newest_gsn = 0
        self._clock = clock
        self._sleep = sleep
        self._log = log
        presence = Presence(cloud.objects, cloud.writer)
        self.handover = Handover(
            presence,
            epoch=lambda: store.held,
            records=self._takes_records,
            hears=hears,
            fenced=lambda: self._is_awaited,
            overtaken=self._overtaken,
            beaten=self._following.doubt,
            clock=clock,
            sleep=sleep,
            log=log,
        )

    def attach(self, journal: Journal, named: frozenset[str]) -> None:
        """``named``: the layers that LEDGER_ACK asks for."""
        self._journal = journal
        self._is_awaited = self._following.layer.name in named
        self._uploader = Uploader(
            self._following,
            journal,
            probe=self._prove_fit,
            awaited=self._is_awaited,
            clock=self._clock,
            sleep=self._sleep,
            log=self._log,
        )

    def specs(self) -> tuple[ChildSpec, ...]:
        """Its children."""
        return (
            ChildSpec(name="uploader", start=self._uploader.run, fatal=(Stale, StoreUnfit)),
            ChildSpec(name="pulse", start=self.handover.run),
        )

    async def await_turn(self) -> None:
        """Before the history is read: until nobody else holds it.

        Raises:
            StoreUnfit: when the cloud cannot keep two writers apart.
            WrongHistory: when it holds another history than this folder: whoever holds that is nobody to wait for.
        """
        try:
            await self._prove_fit()
            there = await self._following.ask()  # what is read now need not be read once the other one has gone
        except (StorageError, Corrupt) as error:
            self._following.fail(error)
            self._log.warning("cloud.untried", error=str(error), hint=error.hint)
        else:
            here = await self._lineage()
            if there and here and there != here:
                raise WrongHistory({"cloud": there, "folder": here})
        await self.handover.await_turn()

    async def _prove_fit(self) -> None:
        """Once a process; a store that was away is tried before it gets anything."""
        if not self._is_fit:
            await probe(self._objects, self._randomness)
            self._is_fit = True

    async def let_pass(self, drain: Drain) -> None:
        """Before the intake stops: a newcomer shall hear Discord by then."""
        if self._journal.is_ready():
            await self.handover.await_newcomer(drain.left_s(Step.NEWCOMER))

    async def leave(self, drain: Drain) -> None:
        """Nothing is recorded any more: the rest goes up, and whoever stands by may go on from there.

        No goodbye to a cloud that lacks what it had confirmed: there is nothing to go on from.
        """
        if not self._journal.is_ready():
            return
        self._following.doubt()
        try:
            async with asyncio.timeout(drain.left_s(Step.CLOUD)):
                await self._following.look()
                await self._uploader.flush()
                if self._following.fenced and not self._following.behind():
                    await self.handover.say_goodbye()
                    return
            why = "not all of it could be given"
        except (TimeoutError, LedgerError) as error:
            why = repr(error)
        self._log.warning("cloud.left_behind", behind=self._following.behind(), error=why)

    def _takes_records(self) -> bool:
        """In the middle of a batch nobody knows, and a holder with much to do always is: then, whether any were taken
        since the last beat.
        """
        before, self._newest_gsn = self._newest_gsn, self._store.newest_gsn()
        return self._newest_gsn > before or not self._store.is_in_doubt()

    def _overtaken(self) -> None:
        self._journal.require_epoch()  # which it will not get
