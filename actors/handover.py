"""The hand-over: how a newcomer waits until the holder of the history has gone, and how the holder lets it pass.

Rules: nothing here makes two writers safe (the fence does); no clock of another machine is read. A holder is gone
when it said goodbye, or when its pulse stood still for ``SILENT_S`` of our own clock; one that cannot be asked about
for so long is taken for gone as well. One that takes no records for ``IDLE_S``, or one like it after the other, does
not get through its start: its disk is full, or hangs, or it is killed on the way each time. A life on the same folder
is nobody to wait for: the lock has ended it.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from ledger.errors import LedgerError, StorageError
from ledger.ports import Clock
from persistence.objects import Unreachable
from persistence.presence import Holder, Presence

BEAT_S: Final = 10.0
SILENT_S: Final = 30.0
"""Three beats that did not come."""
IDLE_S: Final = 1_800.0
"""Longer than any start takes: two that overtook each other in the middle of theirs would never get through."""
POLL_S: Final = 0.5


class HeldElsewhere(LedgerError):
    """Another process, with a folder of its own, holds the history."""

    hint = "ask that bot (`POST /forget`, or `forget` where it runs), or stop it first"


class Handover:
    """One process's side of it.

    Args:
        presence: the marks in the cloud.
        epoch: the epoch that this process holds, 0 = none.
        records: whether this process takes records.
        hears: whether this process hears Discord: every guild it is in has come, or is known to be away.
        fenced: whether this process acknowledges only what the cloud has (LEDGER_ACK).
        overtaken: called when somebody has a higher epoch.
        beaten: called behind each beat.
        clock, sleep, log: as everywhere.
    """

    def __init__(
        self,
        presence: Presence,
        *,
        epoch: Callable[[], int],
        records: Callable[[], bool],
        hears: Callable[[], bool],
        fenced: Callable[[], bool],
        overtaken: Callable[[], None],
        beaten: Callable[[], None],
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self._presence = presence
        self._epoch = epoch
        self._records = records
        self._hears = hears
        self._fenced = fenced
        self._overtaken = overtaken
        self._beaten = beaten
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self.is_waiting = False
        """Whether somebody holds the history, and this process waits for it."""

    async def await_turn(self) -> None:
        """Stands by until the holder is gone; returns at once where there is none."""
        try:
            await self._await_turn()
        finally:
            self.is_waiting = False

    async def _await_turn(self) -> None:
        seen, since_s, waited_for, announced, told = "", self._clock.monotonic_s(), 0, 0, False
        idle_since_s = since_s
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    holder = await self._presence.holder()
                    if holder is None or holder.gone or self._presence.is_ours(holder):
                        return
                    self.is_waiting = True
                    if waited_for != holder.epoch:
                        self._tell(holder)
                        waited_for = holder.epoch
                    if _signs(holder) != seen:
                        seen, since_s = _signs(holder), self._clock.monotonic_s()
                    if holder.records:
                        idle_since_s = self._clock.monotonic_s()
                    if announced != holder.epoch and self._hears():
                        await self._presence.stand_by(holder.epoch)
                        announced = holder.epoch
            except (StorageError, TimeoutError) as error:
                if not told:
                    why = str(error) or f"no answer within {SILENT_S:g} s"
                    hint = error.hint if isinstance(error, StorageError) else Unreachable.hint
                    self._log.warning("holder.unknown", error=why, hint=hint)
                told = True
            now_s = self._clock.monotonic_s()  # behind the answer: this process may have stood still itself
            if now_s - since_s >= SILENT_S or now_s - idle_since_s >= IDLE_S:
                break
            await self._sleep(POLL_S)
        self._tell_end(seen, self._clock.monotonic_s() - since_s)

    async def expect_nobody(self) -> None:
        """For a tool that writes: nobody else may hold the history. Who was killed holds it for ``SILENT_S`` more.

        Raises:
            HeldElsewhere: when somebody does.
            StorageError: when the cloud cannot be asked.
        """
        seen, end_s = "", self._clock.monotonic_s() + SILENT_S
        while (holder := await self._presence.holder()) is not None and not holder.gone:
            if self._presence.is_ours(holder):
                return
            who = f"the bot with the folder {holder.writer[:8]}" if holder.writer else "a bot whose claim is damaged"
            if seen not in {"", _signs(holder)}:
                raise HeldElsewhere(f"the history is held by {who}")
            if not seen:
                self._log.warning("holder.watched", holder=who, seconds=SILENT_S)
            if self._clock.monotonic_s() >= end_s:
                return
            seen = _signs(holder)
            await self._sleep(POLL_S)

    async def run(self) -> None:
        """One life of the pulse, while this process holds the history.

        It also notices that another one has taken over, where nothing is uploaded that would meet the fence.
        """
        for number in count():
            epoch, began_s = self._epoch(), self._clock.monotonic_s()
            if epoch:
                try:
                    async with asyncio.timeout(BEAT_S):  # one request that hangs is no silence
                        is_alone = await self._presence.beat(epoch, number, records=self._records())
                    self._beaten()
                    if not is_alone:
                        self._overtaken()
                except (StorageError, TimeoutError) as error:
                    self._log.warning("pulse.missed", error=str(error) or f"no answer within {BEAT_S:g} s")
            await self._sleep(max(0.0, BEAT_S - (self._clock.monotonic_s() - began_s)))

    async def await_newcomer(self, within_s: float) -> None:
        """On the way out: a holder goes on taking joins until the newcomer hears Discord, so long at most."""
        end_s = self._clock.monotonic_s() + within_s
        try:
            async with asyncio.timeout(within_s):  # a cloud that does not answer holds nobody up either
                while self._epoch() and self._clock.monotonic_s() < end_s:
                    if await self._presence.is_awaited(self._epoch()):
                        return
                    await self._sleep(POLL_S / 2)
        except TimeoutError:
            return
        except StorageError as error:
            self._log.warning("newcomer.unknown", error=str(error))

    async def say_goodbye(self) -> None:
        """Last: whoever stands by may take over at once."""
        try:
            await self._presence.say_goodbye(self._epoch())
        except StorageError as error:
            self._log.warning("goodbye.unsaid", error=str(error), hint=f"the next one waits {SILENT_S:g} s")

    def _tell_end(self, seen: str, silent_s: float) -> None:
        """Nobody is waited for any more."""
        if silent_s < SILENT_S:
            self._log.warning("holder.idle", seconds=IDLE_S, hint=IDLE_HINT)
        elif seen:
            self._log.warning("holder.silent", seconds=SILENT_S, hint=SILENT_HINT)

    def _tell(self, holder: Holder) -> None:
        if self._fenced():
            self._log.info("standby.began", epoch=holder.epoch, holder=holder.writer)
        else:
            self._log.warning("standby.began", epoch=holder.epoch, holder=holder.writer, hint=UNFENCED_HINT)


UNFENCED_HINT: Final = (
    "LEDGER_ACK does not wait for the cloud, and another folder has the same history: whichever process is overtaken "
    "may acknowledge joins until its next upload that the other does not know; they come back when its folder is "
    "started again. Set LEDGER_ACK=cloud for both, or run one alone"
)
IDLE_HINT: Final = (
    "this process takes the history over now; look into the log of the other one, which takes no records"
)
SILENT_HINT: Final = "this process takes the history over now; if the other one still runs, it will find out and stop"


def _signs(holder: Holder) -> str:
    return f"{holder.epoch} {holder.pulse}"
