"""A deterministic event loop: virtual time, tasks in an order that a seed chooses, threads that are none.

Rules. Nothing waits for anything real: with nothing ready, time jumps to the next timer; with no timer either, the
run is over (``Idle``). Of the handles that are ready together, those that step a task come in random order among
themselves; plain callbacks keep theirs, as asyncio promises. Work for a thread (``run_in_executor``) is done on the
loop after a random latency, in the order of its executor, and is finished although its caller was cancelled; until it
is done, others go on. The same seed gives the same run: no real clock, no ids, no hash order is looked at.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context, copy_context
from random import Random
from typing import Any, Final, TypeVar

T = TypeVar("T")

EPOCH_S: Final = 1_700_000_000.0
"""Our clock at the loop's time 0 (``SimClock``)."""


class Idle(Exception):
    """Nothing is ready and no timer runs: whoever waits would wait for ever."""


class _Step(asyncio.Handle):
    """A ``Handle`` that is made faster: nobody debugs this loop."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: Sequence[object],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None


class _Timer(asyncio.TimerHandle):
    """The same of a ``TimerHandle``."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: Sequence[object],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None
        self._when = when
        self._scheduled = True

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None


class SimLoop(asyncio.BaseEventLoop):
    """An event loop for one simulated process.

    Args:
        random: chooses the order and the latencies.
        latency_s: how long a piece of work for a thread takes, from its begin.
        start_s: the loop's time at its begin; a later life of a process goes on where the earlier one ended.
    """

    def __init__(
        self, random: Random, latency_s: Callable[[Random], float] | None = None, start_s: float = 0.0
    ) -> None:
        super().__init__()
        self.random = random
        self.steps = 0
        self.failure: BaseException | None = None
        self._alarm_at = -1
        self._alarm: Callable[[], None] = _nothing
        self.latency_s = latency_s or _a_disk
        self._now_s = start_s
        self._free_at_s: dict[Executor | None, float] = {}

    def time(self) -> float:
        return self._now_s

    def at_step(self, step: int, alarm: Callable[[], None]) -> None:
        """Calls ``alarm`` right after that step (``steps`` counts them); one alarm at a time."""
        self._alarm_at, self._alarm = step, alarm

    def fail(self, error: BaseException) -> None:
        """Ends ``run`` with this error right after the step in hand; the first one counts."""
        self.failure = self.failure or error

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback that raises ends the run: nobody else would hear of it."""
        if "handle" in context:
            self.fail(context["exception"])

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end.

        Raises:
            Idle: when it never ends.
            BaseException: what ``fail`` was told.
        """
        return self.run_until_complete(main)

    def abandon(self) -> None:
        """Kill −9: nobody does another step. What ``finally`` blocks still try meets a loop that is closed.

        Whoever cuts the power takes the disk away first.
        """
        tasks = asyncio.all_tasks(self)
        self._ready.clear()
        self._scheduled.clear()
        self.close()
        for task in tasks:
            task._log_destroy_pending = False
            with suppress(Exception):  # they are dead: nobody hears what they say
                task.get_coro().close()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., T], *args: object
    ) -> "asyncio.Future[T]":  # type: ignore[override]
        """As a thread would: later, in the order of its executor, whoever still waits."""
        done: asyncio.Future[T] = self.create_future()
        begin_s = max(self._now_s, self._free_at_s.get(executor, 0.0))
        end_s = self._free_at_s[executor] = begin_s + self.latency_s(self.random)

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 -- a thread hands over whatever was raised
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self.call_at(end_s, work)
        return done

    # A run takes some thousand steps, most of which do little: what a step costs here is a third of it

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            self._check_closed()
        handle = _Step(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._closed:
            self._check_closed()
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, (when, timer))  # numbers are compared faster than timers
        return timer

    def _run_once(self) -> None:
        self._wait()
        ready = list(self._ready)
        self._ready.clear()
        for handle in self._shuffled(ready):
            if not handle._cancelled:
                self.steps += 1
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 -- as ``Handle._run`` does
                    self.call_exception_handler({"exception": error, "handle": handle})
                if self.steps == self._alarm_at:
                    self._alarm()
                if self.failure is not None:
                    raise self.failure

    def _wait(self) -> None:
        """Lets time pass until something is ready."""
        ready, scheduled, now_s = self._ready, self._scheduled, self._now_s
        while True:
            while scheduled and (scheduled[0][0] <= now_s or scheduled[0][1]._cancelled):
                timer = heapq.heappop(scheduled)[1]
                if not timer._cancelled:
                    ready.append(timer)
            if ready:
                return
            if not scheduled:
                raise Idle("nothing is ready and no timer runs")
            self._now_s = now_s = scheduled[0][0]

    def _shuffled(self, ready: list[asyncio.Handle]) -> list[asyncio.Handle]:
        """Tasks in random order at the places where tasks stand."""
        if len(ready) == 1:
            return ready
        places = [at for at, handle in enumerate(ready) if steps_a_task(handle)]
        if len(places) > 1:
            tasks = [ready[at] for at in places]
            self.random.shuffle(tasks)
            for at, handle in zip(places, tasks, strict=True):
                ready[at] = handle
        return ready

    # What BaseEventLoop asks of a real one

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """There are no threads; whatever comes from one would not be deterministic."""
        return self.call_soon(callback, *args, context=context)


class SimClock:
    """``ledger.ports.Clock`` on a loop's virtual time; stamps rise by one all the same."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last_us = 0

    def now_ms(self) -> int:
        return int((EPOCH_S + self._loop.time()) * 1_000)

    def stamp_us(self) -> int:
        self._last_us = max(self._last_us + 1, int((EPOCH_S + self._loop.time()) * 1_000_000))
        return self._last_us

    def monotonic_s(self) -> float:
        return self._loop.time()


class SimRandomness:
    """``ledger.ports.Randomness`` out of the seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def token(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def steps_a_task(handle: asyncio.Handle) -> bool:
    """Whether running the handle steps a task (its first step, or its waking up)."""
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


def _nothing() -> None:
    """No alarm is set."""


def _a_disk(random: Random) -> float:
    """Mostly a millisecond; now and then as slow as a disk that is busy elsewhere."""
    return random.expovariate(1_000.0) if random.random() < 0.95 else random.uniform(0.01, 0.5)
