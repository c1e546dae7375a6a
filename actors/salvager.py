"""The salvager: hands the guilds what they had in branches that lost, piece by piece, and marks what is done.

A branch is done when each of its guilds has answered for all of its pieces, durably in every layer of LEDGER_ACK.
What is interrupted is told again from its beginning: a guild knows by keys what it has (``ledger/salvage.py``). Where
the files lie is ``persistence/salvage.py``.
"""

from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.asks import Answered
from actors.clock import Sleep
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import Salvaged
from ledger.errors import Corrupt, StorageError
from ledger.ports import Clock
from persistence.salvage import Lot, Salvage

LOOK_EVERY_S: Final = 10.0
"""Branches are found when the process starts, and when a layer comes back; what waits is tried again as often."""
ASK_S: Final = 60.0


class Salvager:
    """A child of the root; one life after the other does the same.

    Args:
        salvage: the store's.
        roster: the guilds' actors, which begin a life for it where they rest.
        clock, sleep: when a guild is told, and the pauses.
        log: where each lot is told of.
    """

    def __init__(
        self, salvage: Salvage, roster: Roster, clock: Clock, sleep: Sleep, log: FilteringBoundLogger
    ) -> None:
        self._salvage = salvage
        self._roster = roster
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._given_up: set[Lot] = set()

    async def run(self) -> None:
        """One life: until it is cancelled."""
        while True:
            await self.salvage_all()
            await self._sleep(LOOK_EVERY_S)

    async def salvage_all(self) -> None:
        """Once through all that waits; a guild that cannot take it now does not hold the others up."""
        for lot in self._salvage.pending():
            if lot not in self._given_up:
                await self._salvage_lot(lot)

    async def _salvage_lot(self, lot: Lot) -> None:
        branch, guild = lot
        facts = joins = 0
        try:
            async for piece in self._salvage.pieces(lot):
                message = m.Salvage(
                    branch=branch, records=piece.records, forgotten=piece.forgotten, at_us=self._clock.stamp_us()
                )
                outcome = await self._roster.ask(guild, message, ASK_S)
                if outcome.kind is not Answered.OK:
                    self._put_off(lot, outcome.text or outcome.kind.value, for_good=outcome.kind is Answered.CRASHED)
                    return
                if isinstance(outcome.answer, Salvaged):
                    facts, joins = facts + outcome.answer.facts, joins + outcome.answer.joins
            await self._salvage.finish(lot)
        except (StorageError, Corrupt) as error:
            self._put_off(lot, str(error), for_good=isinstance(error, Corrupt))
            return
        self._log.info("branch.salvaged", guild=guild, branch=branch, facts=facts, joins=joins)

    def _put_off(self, lot: Lot, why: str, *, for_good: bool) -> None:
        """What would end the same way again waits for the next process: asking it of a guild costs it a life."""
        branch, guild = lot
        if for_good:
            self._given_up.add(lot)
            self._log.error("salvage.failed", guild=guild, branch=branch, why=why)
        else:
            self._log.warning("salvage.postponed", guild=guild, branch=branch, why=why)
