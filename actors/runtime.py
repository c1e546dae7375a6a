"""The actor kernel: mailboxes that outlive their actors, and the turn.

A *mailbox* belongs to an address, not to a life of its actor. An *envelope* stays in it until its turn is over, so
that a killed actor's message is handled again and its successor answers the ask. One message a turn, always in this
order: decide → append → evolve → answer → act. Nothing is answered or done before the append has returned.

A *holder* number fences lives: a life that was revoked can neither take, nor answer, nor remove.
What does not live here: Discord, SQL, restarts (``supervisor.py``).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from enum import IntEnum, StrEnum
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from ledger.errors import LedgerError, Rejected

M = TypeVar("M")
A = TypeVar("A")
R = TypeVar("R")
D = TypeVar("D", bound="Decided")
M_contra = TypeVar("M_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)


class Lane(IntEnum):
    """Lanes of a mailbox in the order they are served; order holds within a lane."""

    CONTROL = 0
    MEMBERS = 1
    REST = 2


CAPACITY: Final = {Lane.CONTROL: 1_024, Lane.MEMBERS: 4_096, Lane.REST: 4_096}
"""Envelopes a lane holds at most."""


class Admission(StrEnum):
    """What became of a message that was told."""

    ACCEPTED = "accepted"
    GAP = "gap"  # its lane was full; the actor will be told that something is missing
    CLOSED = "closed"  # nobody reads it, for good, or for now and somebody waits for the answer


class Answered(StrEnum):
    """How an ask was answered. Each is answered once."""

    OK = "ok"
    REJECTED = "rejected"  # the request cannot be met; the text says why
    CRASHED = "crashed"  # it became a dead letter, or its guild is parked or stopped
    DEGRADED = "degraded"  # done, but not yet durable in every layer that LEDGER_ACK names
    DEADLINE = "deadline"  # no answer in time; it may still be handled


class Outcome(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """The answer to an ask. ``answer`` is there with ok and degraded, ``text`` with the others."""

    kind: Answered
    answer: A | None = None
    text: str = ""


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
    """A mailbox in numbers: envelopes waiting by lane, and messages since the address was made."""

    waiting: tuple[int, int, int]
    accepted: int
    handled: int
    dropped: int
    dead: int


class Envelope(Generic[M, A]):
    """A message in a mailbox. ``failures``: how often deciding on it raised."""

    __slots__ = ("failures", "lane", "message", "reply")

    def __init__(self, message: M, lane: Lane, reply: asyncio.Future[Outcome[A]] | None) -> None:
        self.message = message
        self.lane = lane
        self.reply = reply
        self.failures = 0

    def answer(self, outcome: Outcome[A]) -> None:
        """Answers the ask, if there is one that still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(outcome)


class Address(Generic[M, A]):
    """A stable, typed reference to an actor: who holds it can tell and ask, whichever life is running.

    Args:
        name: for logs, e.g. ``guild/123``.
        gap_message: makes the message that says "something was dropped".
    """

    def __init__(self, name: str, gap_message: Callable[[], M]) -> None:
        self.name = name
        self.holder = 0
        self.stage = Stage.IDLE
        self._gap_message = gap_message
        self._lanes: tuple[deque[Envelope[M, A]], ...] = tuple(deque() for _ in Lane)
        self._in_hand: Envelope[M, A] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gap = False
        self._closed = ""
        self._parked = ""
        self._rouse: Callable[[], None] | None = None
        self._accepted = self._handled = self._dropped = self._dead = 0

    def tell(self, message: M, lane: Lane) -> Admission:
        """Puts a message into a lane; never waits."""
        return self._put(Envelope(message, lane, None))

    async def ask(self, message: M, lane: Lane, timeout_s: float) -> Outcome[A]:
        """Puts a message into a lane and waits for its outcome, at most ``timeout_s`` seconds."""
        reply: asyncio.Future[Outcome[A]] = asyncio.get_running_loop().create_future()
        admission = self._put(Envelope(message, lane, reply))
        if admission is not Admission.ACCEPTED:
            return self._turned_away(admission)
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            return Outcome(kind=Answered.DEADLINE, text=f"no answer within {timeout_s:g} s")

    def _turned_away(self, admission: Admission) -> Outcome[A]:
        if admission is Admission.CLOSED:
            return Outcome(kind=Answered.CRASHED, text=self._closed or self._parked)
        return Outcome(kind=Answered.REJECTED, text="too much is waiting here; try again in a moment")

    def statistics(self) -> MailboxStatistics:
        control, members, rest = (len(lane) for lane in self._lanes)
        return MailboxStatistics(
            waiting=(control, members, rest),
            accepted=self._accepted,
            handled=self._handled,
            dropped=self._dropped,
            dead=self._dead,
        )

    # For the running life, which names itself by its holder number

    async def take(self, holder: int) -> Envelope[M, A]:
        """The next envelope; it stays in the mailbox until ``finish``.

        Raises:
            Revoked: when this life was replaced.
        """
        while True:
            self.check(holder)
            self._announce_gap()
            lane = next((lane for lane in self._lanes if lane), None)
            if lane is not None:
                self._in_hand = lane[0]
                return lane[0]
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def finish(self, holder: int, envelope: Envelope[M, A]) -> None:
        """The turn is over: the envelope leaves the mailbox.

        Raises:
            Revoked: when this life was replaced meanwhile; the successor handles the envelope again.
        """
        self.check(holder)
        self._remove(envelope)
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
                if envelope.reply is not None:
                    lane.remove(envelope)
                    envelope.answer(Outcome(kind=Answered.CRASHED, text=text))

    def unpark(self) -> None:
        """A life reads this mailbox again."""
        self._parked = ""

    def close(self, text: str) -> None:
        """Nobody will read this mailbox any more: every ask in it, and every later one, is answered ``crashed``."""
        self._closed = text
        for lane in self._lanes:
            while lane:
                lane.popleft().answer(Outcome(kind=Answered.CRASHED, text=text))

    def waiting_in(self, lane: Lane) -> Sequence[M]:
        """The messages that wait in a lane, the one in hand among them."""
        return tuple(envelope.message for envelope in self._lanes[lane])

    def is_idle(self) -> bool:
        """Whether nothing waits and no turn is under way."""
        return self._in_hand is None and not any(self._lanes)

    def _put(self, envelope: Envelope[M, A]) -> Admission:
        if self._closed or (self._parked and envelope.reply is not None):
            return Admission.CLOSED
        lane = self._lanes[envelope.lane]
        if len(lane) >= CAPACITY[envelope.lane]:
            self._dropped += 1
            self._gap = self._gap or envelope.reply is None  # whoever asked is told, so nothing is missing
            return Admission.GAP
        lane.append(envelope)
        self._accepted += 1
        self._wake()
        return Admission.ACCEPTED

    def _announce_gap(self) -> None:
        """Once there is room again, so that what is asked for to make it good is not dropped as well."""
        if self._gap and all(len(lane) * 2 <= CAPACITY[kind] for kind, lane in zip(Lane, self._lanes, strict=True)):
            self._gap = False
            self._lanes[Lane.CONTROL].append(Envelope(self._gap_message(), Lane.CONTROL, None))

    def _remove(self, envelope: Envelope[M, A]) -> None:
        self._lanes[envelope.lane].remove(envelope)
        if self._in_hand is envelope:
            self._in_hand = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        rouse, self._rouse = self._rouse, None
        if rouse is not None:
            rouse()


class Decided(Protocol):
    """What a behaviour decides; the runtime only asks whether there is something to append."""

    @property
    def drafts(self) -> Sequence[object]: ...


class Behaviour(Protocol[M_contra, D, R, A_co]):
    """What an actor does. One instance is one life."""

    def decide(self, message: M_contra) -> D:
        """Pure. Raises ``Rejected`` for a request that cannot be met; anything else is a bug."""
        ...

    async def append(self, decision: D) -> tuple[Sequence[R], bool]:
        """Makes the drafts durable: their records, and whether a named layer is still missing (degraded)."""
        ...

    def evolve(self, record: R) -> None:
        """The state after one record. Total."""
        ...

    def is_degraded(self) -> bool:
        """Whether what is known may not be durable in every named layer yet."""
        ...

    def publish(self, decision: D) -> A_co:
        """What else is true now, and the answer."""
        ...

    def act(self, decision: D) -> None:
        """Hands the effects over; never waits."""
        ...


async def live(address: Address[M, A], holder: int, behaviour: Behaviour[M, D, R, A]) -> None:
    """Turns of one life that has its state, until it is cancelled, revoked or dies (which is the supervisor's)."""
    while True:
        address.stage = Stage.IDLE
        envelope = await address.take(holder)
        await _turn(address, holder, behaviour, envelope)


async def _turn(
    address: Address[M, A], holder: int, behaviour: Behaviour[M, D, R, A], envelope: Envelope[M, A]
) -> None:
    address.stage = Stage.DECIDING
    try:
        decision = behaviour.decide(envelope.message)
    except Rejected as refusal:
        envelope.answer(Outcome(kind=Answered.REJECTED, text=str(refusal)))
        address.finish(holder, envelope)
        return
    degraded = behaviour.is_degraded()
    if decision.drafts:
        address.stage = Stage.APPENDING
        records, degraded = await behaviour.append(decision)
        address.check(holder)  # an append may land after its life was replaced; the successor answers and acts
        address.stage = Stage.EVOLVING
        for record in records:
            behaviour.evolve(record)
    address.stage = Stage.ACTING
    kind = Answered.DEGRADED if degraded else Answered.OK
    envelope.answer(Outcome(kind=kind, answer=behaviour.publish(decision)))
    behaviour.act(decision)
    address.finish(holder, envelope)


class Spawner(Protocol):
    """Starts tasks. The only one there is; who starts a task watches it (``supervisor.py``)."""

    def __call__(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]: ...


class Jobs:
    """Short work that effects hand over (a fetch, a page of members), owned by one component.

    A job that fails is told to ``on_failure``, never lost. ``stop`` cancels what is left and waits for it.
    """

    def __init__(self, name: str, spawn: Spawner, on_failure: Callable[[str, BaseException], None]) -> None:
        self._name = name
        self._spawn = spawn
        self._on_failure = on_failure
        self._running: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    def start(self, work: Coroutine[object, object, None], name: str) -> None:
        """Runs the work at once, beside the caller."""
        task = self._spawn(work, f"{self._name}/{name}")
        self._running.add(task)
        task.add_done_callback(self._ended)

    def start_later(self, after_s: float, work: Callable[[], Coroutine[object, object, None]], name: str) -> None:
        """Runs the work ``after_s`` seconds from now."""
        if after_s <= 0:
            self.start(work(), name)
            return
        timer: asyncio.TimerHandle

        def due() -> None:
            self._timers.discard(timer)
            self.start(work(), name)

        timer = asyncio.get_running_loop().call_later(after_s, due)
        self._timers.add(timer)

    async def stop(self) -> None:
        """Cancels timers and jobs, and waits until the jobs are over."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        running = tuple(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(task.get_name(), error)
