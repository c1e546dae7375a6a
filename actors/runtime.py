"""The turn: what a life of an actor does with one message after the other, and the jobs that effects hand over.

One message a turn, always in this order: decide → append → evolve → answer → act. Nothing is answered or done before
the append has returned; the message leaves the mailbox (``actors/mailbox.py``) after that.
What does not live here: Discord, SQL, restarts (``supervisor.py``).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol, TypeVar

from actors.asks import Answered, Outcome
from actors.mailbox import Address, Envelope, Stage

M = TypeVar("M")
A = TypeVar("A")
R = TypeVar("R")
D = TypeVar("D", bound="Decided")
M_contra = TypeVar("M_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)

# As in ``actors/mailbox.py``: looked up once.
_IDLE, _DECIDING, _ACTING = Stage.IDLE, Stage.DECIDING, Stage.ACTING


class Decided(Protocol):
    """What a behaviour decides; the runtime only asks whether there is something to append."""

    @property
    def drafts(self) -> Sequence[object]: ...


class Behaviour(Protocol[M_contra, D, R, A_co]):
    """What an actor does. One instance is one life."""

    def decide(self, message: M_contra) -> D:
        """Pure. A request that cannot be met has an answer that says so; whatever it raises is a bug."""
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
        address.stage = _IDLE
        envelope = address.take(holder)
        if envelope is None:
            await address.arrival()
            continue
        decision = _decide(address, behaviour, envelope)
        degraded = behaviour.is_degraded()
        if decision.drafts:
            degraded = await _persist(address, holder, behaviour, decision)
        _act(address, behaviour, envelope, decision, degraded=degraded)
        address.finish(holder, envelope)


def _decide(address: Address[M, A], behaviour: Behaviour[M, D, R, A], envelope: Envelope[M, A]) -> D:
    address.stage = _DECIDING
    return behaviour.decide(envelope.message)


async def _persist(address: Address[M, A], holder: int, behaviour: Behaviour[M, D, R, A], decision: D) -> bool:
    """Append, then evolve; whether it is degraded.

    Raises:
        Revoked: when this life was replaced meanwhile: the successor answers and acts.
    """
    address.stage = Stage.APPENDING
    records, degraded = await behaviour.append(decision)
    address.check(holder)
    address.stage = Stage.EVOLVING
    for record in records:
        behaviour.evolve(record)
    return degraded


def _act(
    address: Address[M, A],
    behaviour: Behaviour[M, D, R, A],
    envelope: Envelope[M, A],
    decision: D,
    *,
    degraded: bool,
) -> None:
    address.stage = _ACTING
    answer = behaviour.publish(decision)
    if envelope.asks:
        envelope.answer(Outcome(kind=Answered.DEGRADED if degraded else Answered.OK, answer=answer))
    behaviour.act(decision)


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
