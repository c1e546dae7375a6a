"""Terms: the epochs that this process gets, one after the other, and whether it may begin one at all.

Rules: nothing is touched before it is known that all that can be read is one history, and that what cannot be read is
no more than behind. An epoch is above all that was seen, and in the cloud first: one that another process took is not
begun anywhere. A new history begins in the cloud or not at all, unless the operator said otherwise.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.errors import Stale, StorageError, WrongHistory
from ledger.ports import Randomness
from persistence.following import Following
from persistence.layer import FencedLayer
from persistence.leading import UNREAD_EPOCHS
from persistence.seats import Seat, troubles


class CloudAway(StorageError):
    """Nothing is recorded here, and the cloud, which may hold a history, is away."""

    hint = "look at the store that LEDGER_CLOUD names: `inviteledger doctor` tries it"


class Unread(StorageError):
    """A layer nearby, which may hold a history, cannot be read, and nothing else remembers any."""

    hint = (
        "make it readable (owner, mode, mount, DATABASE_URL); or, if nothing in it matters, move it away. A history "
        "that begins beside it would be another one"
    )


class Terms:
    """Used by the store alone. ``epoch`` 0 and ``lineage`` "" = this process has had none yet.

    ``beginning``: the epoch, from when it is claimed in the cloud until that start has ended or failed; else 0.
    """

    def __init__(
        self, near: Sequence[Seat], following: Following | None, randomness: Randomness, *, may_begin_anew: bool
    ) -> None:
        """``may_begin_anew``: a new history begins where all is empty here and the cloud does not answer."""
        self.epoch = 0
        self.lineage = ""
        self.beginning = 0
        self._near = near
        self._following = following
        self._seats: Final = near if following is None else (*near, following.seat)
        self._randomness = randomness
        self._may_begin_anew = may_begin_anew
        self._is_first = True
        self._is_unused = False
        """Whether only starts that did not get through have had the epoch, so that no record has it."""
        self._is_claimed = False
        """Whether the epoch was claimed in the cloud, which may have been away."""

    def is_cloud_away(self) -> bool:
        return self._following is not None and not self._following.seat.healthy

    def mind_lineage(self, seat: Seat) -> None:
        """A layer in whose place another history was put since this process began is as good as broken."""
        lineage = seat.summary.lineage
        if seat in self._near and seat.healthy and self.lineage and lineage not in {"", self.lineage}:
            with seat.minding():
                raise StorageError(str(WrongHistory({seat.name: lineage, "rest": self.lineage})))

    async def mind(self) -> None:
        """Before anything is touched: whether the layers go together, and this process may begin a term.

        Raises:
            WrongHistory: at the first start, when they hold different histories.
            Unread: at the first start, when nothing that can be read remembers a history, and a layer cannot be read.
            CloudAway: when all that can be read here is empty, and the cloud is away.
            Stale: when another process has taken over in the cloud.
        """
        if self._is_first:
            self._mind_near()
        if self._following is not None:
            await self._mind_cloud(self._following)

    async def take(self) -> None:
        """Takes an epoch above all that was seen, and has every layer that can be read begin it, but for the cloud.

        Raises:
            CloudAway: when all here is empty, and the cloud did not take the beginning.
        """
        readable = sorted((seat for seat in self._seats if seat.healthy), key=Seat.rank, reverse=True)
        self.epoch, self._is_unused, self._is_claimed = self._next_epoch(readable), True, False
        lineages = [seat.summary.lineage for seat in readable if seat.summary.lineage]
        self.lineage = lineages[0] if lineages else self.lineage or self._randomness.token()
        if self._following is not None:
            await self._fence(self._following)
        self._refuse_to_begin_apart(lineages)
        for seat in readable:
            if not seat.trails:
                await seat.begin(self.epoch, self.lineage)

    def mind_overtaken(self) -> None:
        """What the cloud was found to hold since the epoch was taken may be another process's, and a layer may have
        been given it before the cloud failed: nothing may be recorded behind that with a lower epoch.

        Raises:
            Stale: when there is a higher one.
        """
        found = [seat.epoch() for seat in self._seats if seat.readable]
        if self._following is not None and self._following.seat.healthy:
            found.append(self._following.seat.summary.epoch)
        if max(found, default=0) > self.epoch:
            raise Stale(f"another process has epoch {max(found)} in the cloud; this one has {self.epoch}")

    def ended(self) -> None:
        """A start is over, one way or the other."""
        self.beginning = 0

    def began(self) -> None:
        """Every layer was made equal: from now on records may have the epoch."""
        self._is_first = self._is_unused = False

    def _mind_near(self) -> None:
        healthy = [seat for seat in self._near if seat.healthy]
        lineages = {seat.name: seat.summary.lineage for seat in healthy if seat.summary.lineage}
        if len({*lineages.values()}) > 1:
            raise WrongHistory(lineages)
        remembered = any(seat.summary.lineage for seat in self._seats if seat.healthy)
        if len(healthy) < len(self._near) and not remembered:
            raise Unread(f"{self._troubles()}; and nothing that can be read knows which history it holds")

    async def _mind_cloud(self, following: Following) -> None:
        seat, lineage = following.seat, following.seat.summary.lineage
        healthy = [near for near in self._near if near.healthy]
        own = {near.summary.lineage for near in healthy if near.summary.lineage}
        if not seat.healthy:
            if not any(near.gsn for near in healthy) and not self._may_begin_anew:
                raise CloudAway(f"all is empty here, and the cloud cannot be asked: {self._troubles()}")
        elif own and lineage and lineage not in own:
            self._refuse(seat, WrongHistory({"cloud": lineage, "folder": min(own)}))
        elif not self._is_first and not await self._has_term(following.layer, seat.summary.epoch):
            raise Stale(f"another process has epoch {seat.summary.epoch} in the cloud; this one has {self.epoch}")

    def _refuse(self, cloud: Seat, error: WrongHistory) -> None:
        """At the first start this ends it; later the cloud is as good as broken, and the rest goes on."""
        if self._is_first:
            raise error
        with cloud.minding():
            raise StorageError(str(error))

    async def _has_term(self, cloud: FencedLayer, newest: int) -> bool:
        if newest < self.epoch or (newest == self.epoch and await cloud.claim(newest)):
            return True
        # A life of this folder may have been killed behind its claim, and the cloud was away at this one's start.
        return not self._is_claimed and await cloud.has_claimed(newest)

    def _next_epoch(self, readable: Iterable[Seat]) -> int:
        """Above all that was seen, or the one that an earlier try took in vain: each is for ever in the cloud.

        ``UNREAD_EPOCHS`` are skipped where a layer nearby was never readable: it may hold the last life's records,
        whose epoch must stay below this one.
        """
        newest = max([self.epoch, *(seat.summary.epoch for seat in readable)])
        if self._is_unused and newest == self.epoch and all(seat.epoch() < newest for seat in readable):
            return newest
        return newest + (1 if all(seat.known for seat in self._near) else UNREAD_EPOCHS)

    async def _fence(self, following: Following) -> None:
        cloud, seat = following.layer, following.seat
        if seat.healthy:
            with seat.minding():
                while not await cloud.claim(self.epoch):
                    self.epoch += 1
                self.beginning, self._is_claimed = self.epoch, True
                seat.learn(await cloud.fence(self.epoch, self.lineage))

    def _refuse_to_begin_apart(self, lineages: Sequence[str]) -> None:
        """Whoever comes meanwhile would begin another history in the cloud."""
        if self.is_cloud_away() and not lineages and not self._may_begin_anew:
            raise CloudAway(f"all is empty here, and the cloud did not take the beginning: {self._troubles()}")

    def _troubles(self) -> str:
        return troubles(self._seats)
