"""The uploader: gives the cloud what is durable nearby, a piece at a time, for as long as it takes.

Rules: nothing waits for it but a journal whose LEDGER_ACK names the cloud. It lets records gather for a moment, so
that a burst costs few requests; where an acknowledgement waits, it does not. A cloud that fails is asked again and
again, with growing pauses; one that was away when the epoch was taken is asked who writes, before it gets anything;
so is one that has no longer what it confirmed, because somebody put an older copy in its place.
Another process with a higher epoch ends this one (``Stale``).
"""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.journal import Journal
from ledger.errors import Corrupt, Stale, StorageError
from ledger.ports import Clock
from persistence.following import Following

GATHER_S: Final = 0.5
"""Records of so long go up together: the cloud lags by this and by what one upload takes."""
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)


class Uploader:
    """The actor.

    ``probe``: returns once the store was found fit for fences; ``awaited``: whether acknowledgements wait for it.
    """

    def __init__(
        self,
        following: Following,
        journal: Journal,
        *,
        probe: Callable[[], Awaitable[None]],
        awaited: bool,
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self._following = following
        self._journal = journal
        self._probe = probe
        self._awaited = awaited
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._failing = False

    async def run(self) -> None:
        """One life: until it is cancelled.

        Raises:
            Stale: when another process writes the history now.
            StoreUnfit: when the cloud, which was away before, cannot keep two writers apart.
        """
        while True:
            await self._following.arrived.wait()
            if not self._awaited:
                await self._sleep(GATHER_S)
            await self._give()

    async def flush(self) -> None:
        """Gives it all that is left; returns when it has everything, or nobody could give it more.

        A piece that was on its way is waited for, and the rest is given behind it.
        """
        left = 0
        while self._following.fenced and self._following.behind() not in {0, left}:
            left = self._following.behind()
            await self._following.give(self._journal.frames_after)
            self._journal.take_note()

    async def _give(self) -> None:
        """One piece, however often it takes."""
        for attempt in count():
            try:
                given = await self._give_or_ask()
            except (StorageError, Corrupt) as error:
                self._tell_failure(error)
                await self._sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            else:
                if self._failing:
                    self._log.info("cloud.recovered", behind=self._following.behind())
                self._failing = False
                self._journal.take_note()
                if not given:
                    await self._sleep(GATHER_S)  # a drain gave it, or a new epoch will say what to give
                return

    def _tell_failure(self, error: StorageError | Corrupt) -> None:
        self._following.fail(error)
        if not self._failing:
            self._log.error("cloud.failed", error=str(error), hint=error.hint, behind=self._following.behind())
        self._failing = True
        self._journal.take_note()

    async def _give_or_ask(self) -> int:
        """How many records it gave."""
        await self._probe()
        if self._following.fenced:
            await self._following.look()
            try:
                return await self._following.give(self._journal.frames_after)
            except Stale:
                self._journal.require_epoch()  # which it will not get: nothing is recorded any more
                raise
        await self._following.ask()
        self._journal.require_epoch()
        await self._following.begun()
        trouble = self._following.seat.trouble
        if trouble is not None:
            raise trouble
        return 0
