"""The probe: a coroutine round a task's own, which knows where that one waits, and can do something to it there.

A *place* is the whole way down: the points, outermost first, at which a task waits (``points.py``): the wait for the
disk thread below an append is another place than the same wait below a checkpoint. Each time the coroutine is left
waiting, the loop's watch is told of the place; what it gives back, an ``Act``, is done there and then.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final, Protocol, TypeAlias

from tests.kills.points import Point, Position, position

Place: TypeAlias = tuple[Point, ...]
"""Never empty. The last one is where our code ends, whatever waits below it."""
Waited: TypeAlias = "asyncio.Future[Any] | None"
"""What a coroutine is left waiting for; None: the next turn of the loop."""


class Act(Protocol):
    """What is done to a task that waits."""

    def begin(self, probe: "Probe", waited: Waited) -> Waited:
        """At once. Gives what the task is to wait for: the same, or what the coroutine waits for after it."""
        ...

    def woken(self, probe: "Probe", error: BaseException | None) -> Waited:
        """When the wait is over, with or without an error. Raises, or gives what the task is to wait for next."""
        ...


class Watch(Protocol):
    """Told of each wait."""

    def visit(self, place: Place, probe: "Probe", waited: Waited) -> Act | None: ...


class Probe(Coroutine[Any, Any, Any]):
    """A task's coroutine, watched."""

    def __init__(self, inner: Coroutine[Any, Any, Any], known: Mapping[Position, Point], watch: Watch) -> None:
        self.inner = inner
        self._known = known
        self._watch = watch
        self._act: Act | None = None

    def send(self, value: object) -> Waited:
        act, self._act = self._act, None
        return act.woken(self, None) if act is not None else self.go_on(value)

    def throw(self, error: BaseException) -> Waited:  # type: ignore[override]
        act, self._act = self._act, None
        return act.woken(self, error) if act is not None else self.go_on_with(error)

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise AssertionError("only a task drives a probe")

    # For acts

    def go_on(self, value: object = None) -> Waited:
        """Lets the coroutine go on until it waits again."""
        return self._waits(self.inner.send(value))

    def go_on_with(self, error: BaseException) -> Waited:
        """The same, by raising at the place where it waits."""
        return self._waits(self.inner.throw(error))

    def stay(self, act: Act, waited: Waited) -> Waited:
        """Leaves the coroutine where it is; the act is asked again when the wait is over."""
        self._act = act
        return waited

    def _waits(self, waited: Waited) -> Waited:
        place = place_of(self.inner, self._known)
        act = self._watch.visit(place, self, waited) if place else None
        return waited if act is None else act.begin(self, waited)


def factory(known: Mapping[Position, Point], watch: Watch) -> Callable[..., "asyncio.Task[Any]"]:
    """A loop's task factory whose tasks are watched."""

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: object) -> "asyncio.Task[Any]":
        return asyncio.Task(Probe(work, known, watch), loop=loop, **more)  # type: ignore[arg-type]

    return make


def place_of(coroutine: object, known: Mapping[Position, Point]) -> Place:
    """Where a coroutine that waits stands, as far as it is in our code."""
    found: list[Point] = []
    awaited: object | None = coroutine
    while awaited is not None:
        frame = _frame(awaited)
        point = known.get(position(frame.f_code, frame.f_lasti)) if frame is not None else None
        if point is not None and (not found or found[-1] is not point):  # a comprehension has a frame of its own
            found.append(point)
        awaited = _below(awaited)
    return tuple(found)


def function_of(coroutine: object) -> str:
    """The function at the very bottom of what a coroutine waits in, ours or not."""
    found, awaited = "", coroutine
    while awaited is not None:
        frame = _frame(awaited)
        found = frame.f_code.co_name if frame is not None else found
        awaited = _below(awaited)
    return found


def _frame(awaited: object) -> FrameType | None:
    return next((frame for name in _FRAMES if (frame := getattr(awaited, name, None)) is not None), None)


def _below(awaited: object) -> object | None:
    """What it waits for. An ``async for`` and ``anext`` do not tell which generator they step; the collector does."""
    for name in _BELOW:
        if hasattr(awaited, name):
            below: object = getattr(awaited, name)
            return below
    return next((each for each in gc.get_referents(awaited) if isinstance(each, _STEPPED) or _is_step(each)), None)


def _is_step(each: object) -> bool:
    return type(each).__name__ in _STEPS


_FRAMES: Final = ("cr_frame", "ag_frame", "gi_frame")
_BELOW: Final = ("cr_await", "ag_await", "gi_yieldfrom")
_STEPPED: Final = (CoroutineType, AsyncGeneratorType, GeneratorType)
_STEPS: Final = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})
