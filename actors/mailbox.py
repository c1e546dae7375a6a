"""Mailboxes: where messages wait for an actor, whichever of its lives is running.

A mailbox belongs to an *address*, not to a life of its actor. An *envelope* stays in it until its turn is over, so
that a killed actor's message is handled again and its successor answers the ask. A *holder* number fences lives: one
that was revoked can neither take nor remove. Every lane is bounded. Where a message of the last lane makes one that
still waits there superfluous, the two become one (``Merging``).
What a life does with a message is ``actors/runtime.py``'s business.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from enum import IntEnum, StrEnum
from typing import Final, Generic, TypeVar

import msgspec

from actors.asks import Answered, Ask, Deadlines, Outcome
from ledger.errors import LedgerError

M = TypeVar("M")
A = TypeVar("A")


class Lane(IntEnum):
    """Lanes of a mailbox in the order they are served; order holds within a lane."""

    CONTROL = 0
    MEMBERS = 1
    REST = 2


CAPACITY: Final = (1_024, 4_096, 4_096)
"""Envelopes a lane holds at most, by ``Lane``."""


# To look a member up in its enum costs more than the rest of a ``tell`` together.
_REST: Final = Lane.REST


class Admission(StrEnum):
    """What became of a message that was told."""

    ACCEPTED = "accepted"
    COALESCED = "coalesced"  # it took the place of one that waited, and will be handled there
    GAP = "gap"  # its lane was full; the actor will be told that something is missing
    CLOSED = "closed"  # nobody reads it, for good, or for now and somebody waits for the answer


_ACCEPTED: Final = Admission.ACCEPTED


class Stage(StrEnum):
    """Where in its turn an actor is; a death while deciding is charged to the message, no other is."""

    IDLE = "idle"
    REHYDRATING = "rehydrating"
    DECIDING = "deciding"
    APPENDING = "appending"
    EVOLVING = "evolving"
    ACTING = "acting"


class Revoked(LedgerError):
    """This life of the actor was replaced; it has to stop."""


class MailboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox in numbers: envelopes waiting by lane, and messages since the address was made.

    ``coalesced``: of those accepted, how many were handled together with an earlier one.
    """

    waiting: tuple[int, int, int]
    accepted: int
    coalesced: int
    handled: int
    dropped: int
    dead: int


class Merging(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that takes the place of a waiting one of the same ``key``.

    ``reads``: it changes nothing. One that may change something is never overtaken by a later question: between
    them nothing merges.
    """

    key: Hashable
    reads: bool


class Envelope(msgspec.Struct, Generic[M, A], eq=False, gc=False):
    """A message in a mailbox. ``failures``: how often deciding on it raised; ``asks``: who waits for its answer."""

    message: M
    lane: Lane
    asks: tuple[Ask[A], ...] = ()
    merging: Merging | None = None
    failures: int = 0

    def take_over(self, newer: "Envelope[M, A]") -> None:
        """Says what the newer one says, to all who wait for either."""
        self.message = newer.message
        self.asks = (*self.asks, *newer.asks)

    def answer(self, outcome: Outcome[A]) -> None:
        """Answers every ask that still waits."""
        for ask in self.asks:
            ask.answer(outcome)


class Address(Generic[M, A]):
    """A stable, typed reference to an actor: who holds it can tell and ask, whichever life is running.

    Args:
        name: for logs, e.g. ``guild/123``.
        gap_message: makes the message that says "something was dropped".
        merging: which messages of the last lane make a waiting one superfluous; None for those that do not.
        deadlines: those of the process.
    """

    # as ``Child``: there are thousands
    __slots__ = (
        "_accepted",
        "_closed",
        "_coalesced",
        "_dead",
        "_deadlines",
        "_dropped",
        "_gap",
        "_gap_message",
        "_handled",
        "_in_hand",
        "_lanes",
        "_mergeable",
        "_merging_of",
        "_parked",
        "_rouse",
        "_waiter",
        "holder",
        "name",
        "stage",
    )

    def __init__(
        self,
        name: str,
        gap_message: Callable[[], M],
        merging: Callable[[M], Merging | None],
        deadlines: Deadlines,
    ) -> None:
        self.name = name
        self.holder = 0
        self.stage = Stage.IDLE
        self._gap_message = gap_message
        self._merging_of = merging
        self._deadlines = deadlines
        self._mergeable: dict[Hashable, Envelope[M, A]] = {}
        # lists, not deques: three empty deques are half of what an idle guild takes, and a lane is short
        self._lanes: tuple[list[Envelope[M, A]], ...] = tuple([] for _ in CAPACITY)
        self._in_hand: Envelope[M, A] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gap = False
        self._closed = ""
        self._parked = ""
        self._rouse: Callable[[], None] | None = None
        self._accepted = self._coalesced = self._handled = self._dropped = self._dead = 0

    def tell(self, message: M, lane: Lane) -> Admission:
        """Puts a message into a lane; never waits."""
        return self._put(message, lane, None)

    async def ask(self, message: M, lane: Lane, timeout_s: float) -> Outcome[A]:
        """Puts a message into a lane and waits for its outcome, about ``timeout_s`` seconds at most."""
        loop = asyncio.get_running_loop()
        ask: Ask[A] = Ask(loop.create_future(), loop.time() + timeout_s, timeout_s)
        admission = self._put(message, lane, ask)
        if admission is _ACCEPTED or admission is Admission.COALESCED:
            self._deadlines.watch(ask)
            return await ask.reply
        return self._turned_away(admission)

    def _turned_away(self, admission: Admission) -> Outcome[A]:
        if admission is Admission.CLOSED:
            return Outcome(kind=Answered.CRASHED, text=self._closed or self._parked)
        return Outcome(kind=Answered.REJECTED, text="too much is waiting here; try again in a moment")

    def statistics(self) -> MailboxStatistics:
        control, members, rest = (len(lane) for lane in self._lanes)
        return MailboxStatistics(
            waiting=(control, members, rest),
            accepted=self._accepted,
            coalesced=self._coalesced,
            handled=self._handled,
            dropped=self._dropped,
            dead=self._dead,
        )

    # For the running life, which names itself by its holder number

    def take(self, holder: int) -> Envelope[M, A] | None:
        """The next envelope; it stays in the mailbox until ``finish``. None while nothing waits (``arrival``).

        Raises:
            Revoked: when this life was replaced.
        """
        if holder != self.holder:
            self.check(holder)
        if self._gap:
            self._announce_gap()
        for lane in self._lanes:
            if lane:
                envelope = self._in_hand = lane[0]
                if envelope.merging is not None:
                    self._no_longer_merges(envelope, envelope.merging)
                return envelope
        return None

    async def arrival(self) -> None:
        """Returns when something may have come, or the mailbox was taken away."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def finish(self, holder: int, envelope: Envelope[M, A]) -> None:
        """The turn is over: the envelope leaves the mailbox.

        Raises:
            Revoked: when this life was replaced meanwhile; the successor handles the envelope again.
        """
        if holder != self.holder:
            self.check(holder)
        self._lanes[envelope.lane].pop(0)  # it is the first: it was in hand
        self._in_hand = None
        self._handled += 1

    def check(self, holder: int) -> None:
        """Raises ``Revoked`` when this life was replaced."""
        if holder != self.holder:
            raise Revoked(f"{self.name}: life {holder} was replaced by {self.holder}")

    # For the supervisor

    def hand_over(self) -> int:
        """Takes the mailbox away from the life that holds it and gives it to the next: the new holder number."""
        self.holder += 1
        self.stage = Stage.IDLE
        self._in_hand = None
        self._wake()
        return self.holder

    def charge(self) -> Envelope[M, A] | None:
        """The envelope whose deciding has just failed, with one more failure; None if none was being decided on."""
        if self.stage is not Stage.DECIDING or self._in_hand is None:
            return None
        self._in_hand.failures += 1
        return self._in_hand

    def bury(self, envelope: Envelope[M, A], text: str) -> None:
        """Makes the envelope a dead letter and answers its ask ``crashed``."""
        self._remove(envelope)
        self._dead += 1
        envelope.answer(Outcome(kind=Answered.CRASHED, text=text))

    def doze(self, rouse: Callable[[], None]) -> None:
        """Nobody reads this mailbox until something arrives; ``rouse`` is called once then."""
        self._rouse = rouse

    def park(self, text: str) -> None:
        """Nobody reads this mailbox until ``unpark``: asks are answered ``crashed``, what is told waits.

        The next life is told that something may be missing, as after a full lane.
        """
        self._parked = text
        self._gap = True
        for lane in self._lanes:
            for envelope in tuple(lane):
                if envelope.asks:
                    self._remove(envelope)
                    envelope.answer(Outcome(kind=Answered.CRASHED, text=text))

    def unpark(self) -> None:
        """A life reads this mailbox again."""
        self._parked = ""

    def close(self, text: str) -> None:
        """Nobody will read this mailbox any more: every ask in it, and every later one, is answered ``crashed``."""
        self._closed = text
        self._mergeable.clear()
        for lane in self._lanes:
            while lane:
                lane.pop(0).answer(Outcome(kind=Answered.CRASHED, text=text))

    def waiting_in(self, lane: Lane) -> Sequence[M]:
        """The messages that wait in a lane, the one in hand among them."""
        return tuple(envelope.message for envelope in self._lanes[lane])

    def is_idle(self) -> bool:
        """Whether nothing waits and no turn is under way."""
        return self._in_hand is None and not any(self._lanes)

    def _put(self, message: M, lane: Lane, ask: Ask[A] | None) -> Admission:
        if self._closed or (self._parked and ask is not None):
            return Admission.CLOSED
        envelope: Envelope[M, A] = Envelope(message, lane, () if ask is None else (ask,))
        if lane is _REST and self._is_taken_over(envelope):
            return Admission.COALESCED
        waiting = self._lanes[lane]
        if len(waiting) >= CAPACITY[lane]:
            self._dropped += 1
            self._gap = self._gap or ask is None  # whoever asked is told, so nothing is missing
            return Admission.GAP
        waiting.append(envelope)
        self._accepted += 1
        if lane is _REST:
            self._note_merging(envelope)
        if self._waiter is not None or self._rouse is not None:
            self._wake()
        return _ACCEPTED

    def _is_taken_over(self, newer: Envelope[M, A]) -> bool:
        """Whether one that waits says it from now on."""
        merging = newer.merging = self._merging_of(newer.message)
        if merging is None or merging.key not in self._mergeable:
            return False
        self._mergeable[merging.key].take_over(newer)
        self._accepted += 1
        self._coalesced += 1
        return True

    def _note_merging(self, envelope: Envelope[M, A]) -> None:
        """What changes something is a border: no later question is answered before it."""
        merging = envelope.merging
        if merging is None or not merging.reads:
            self._mergeable.clear()
        if merging is not None:
            self._mergeable[merging.key] = envelope

    def _no_longer_merges(self, envelope: Envelope[M, A], merging: Merging) -> None:
        """It is being decided on, or gone."""
        if self._mergeable.get(merging.key) is envelope:
            del self._mergeable[merging.key]

    def _announce_gap(self) -> None:
        """Once there is room again, so that what is asked for to make it good is not dropped as well."""
        if all(len(lane) * 2 <= capacity for lane, capacity in zip(self._lanes, CAPACITY, strict=True)):
            self._gap = False
            self._lanes[Lane.CONTROL].append(Envelope(self._gap_message(), Lane.CONTROL))

    def _remove(self, envelope: Envelope[M, A]) -> None:
        self._lanes[envelope.lane].remove(envelope)
        if envelope.merging is not None:
            self._no_longer_merges(envelope, envelope.merging)
        self._in_hand = None  # whoever had one in hand is dead

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        rouse, self._rouse = self._rouse, None
        if rouse is not None:
            rouse()
