"""Which joins were told to be acknowledged: the line an operator and the chaos tests go by.

A join is acknowledged once it is durable in every layer that LEDGER_ACK names. One that was recorded while such a
layer was away is told when that has it; one whose append has an unknown outcome, when its guild is found to have it.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from structlog.typing import FilteringBoundLogger

from actors import requests
from actors.tally import Tally
from ledger.ids import GuildId
from ledger.records import JoinRecorded, Record, VerdictReached
from persistence.store import Opened


class Acknowledging:
    """The journal's. ``joins``: how many were acknowledged since the process began."""

    def __init__(self, tally: Tally, log: FilteringBoundLogger) -> None:
        self.joins = 0
        self._tally = tally
        self._log = log
        self._owed: list[Record] = []
        self._doubtful: dict[GuildId, set[str]] = {}

    def recorded(self) -> int:
        """How many joins are durable in any layer."""
        return self.joins + len(self._owed)

    def tell(self, records: Iterable[Record], *, degraded: bool) -> None:
        """Of durable records. ``degraded``: a named layer lacks them; they are owed until ``settle``."""
        for record in records:
            event = record.event
            if not isinstance(event, JoinRecorded):
                continue
            if degraded:
                self._owed.append(record)
            else:
                self.joins += 1
            self._log.info(
                "join.recorded_unacknowledged" if degraded else "join.acknowledged",
                guild=record.guild,
                user=event.user,
                joined_at_ms=event.joined_at_us // 1_000,
                seq=record.seq,
            )

    def settle(self) -> None:
        """Every named layer has all: what is owed is told."""
        owed, self._owed = self._owed, []
        self.tell(owed, degraded=False)

    async def sift(self, in_force: Callable[[Sequence[Record]], Awaitable[list[Record]]]) -> None:
        """At a new epoch: what a branch that lost had is recorded anew, and acknowledged then."""
        self._owed = await in_force(self._owed)

    def doubt(self, request: requests.Append) -> None:
        """Its outcome is unknown: what it told of joins counts when the guild is found to have it."""
        told = (draft for draft in request.append.drafts if isinstance(draft.event, JoinRecorded | VerdictReached))
        self._doubtful.setdefault(request.guild, set()).update(draft.key for draft in told)

    def find(self, guild: GuildId, opened: Opened, *, degraded: bool) -> None:
        """A guild was read back: of what was in doubt there, what it has is told, the rest forgotten."""
        keys = self._doubtful.get(guild)
        if keys is None:
            return
        found = [record for record in opened.tail() if record.key in keys]
        del self._doubtful[guild]  # only now: a tail that cannot be read is read again
        self._tally.take_verdicts(found)
        self.tell(found, degraded=degraded)
