"""What can be done to a task at the place where it waits (``probe.Act``), and to which tasks it applies.

raise         an error nobody expects, at once; what was waited for goes on without the task
fail          what was waited for is done, and then said to be unknown (``NotConfirmed``): storage only
cancel        killed as the supervisor kills, at once; what was waited for goes on
cancel late   killed in the very tick in which the result arrives
zombie        killed, but it does not end: it goes on when its successor has long been at work
swallow       killed, and it takes no notice
late write    killed, and what it asks of the journal arrives there when its successor has long been at work
guilds die    killed is whoever may wait for this place: every guild, while the write is still queued
journal dies  likewise the journal
cut           the power is cut while it waits
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from ledger.errors import NotConfirmed
from tests.kills.probe import Act, Place, Probe, Waited, function_of

LINGER_S: Final = 9.0
"""A zombie lives on for longer than its supervisor waits."""


class Mode(StrEnum):
    RAISE = "raise"
    FAIL = "fail"
    CANCEL = "cancel"
    LATE = "cancel late"
    ZOMBIE = "zombie"
    SWALLOW = "swallow"
    LATE_WRITE = "late write"
    GUILDS = "guilds die"
    JOURNAL = "journal dies"
    CUT = "cut"


class Planted(Exception):
    """An error that nobody expects."""


def _nothing() -> None:
    """There is nothing of the kind here."""


class Hands:
    """How things are ended here: by the supervisor, where it knows them.

    Args:
        kill: ends the task of this name as its owner would; False where it has none.
        guilds: ends every guild's life.
        cut: cuts the power right after the running step.
        withhold: takes a request, by its future, out of the journal's queue; gives what puts it back.
    """

    def __init__(
        self,
        kill: Callable[[str], bool],
        guilds: Callable[[], None] = _nothing,
        cut: Callable[[], None] = _nothing,
        withhold: Callable[[Waited], Callable[[], None]] = lambda _: _nothing,
    ) -> None:
        self._kill = kill
        self.withhold = withhold
        self.guilds = guilds
        self.cut = cut

    def end(self, task: "asyncio.Task[object]") -> None:
        """Whoever owns the task gives it up."""
        if not self._kill(task.get_name()):
            task.cancel()

    def journal(self) -> None:
        self._kill("journal")


CHILDREN: Final = ("guild", "journal", "caretaker", "salvager")
"""Kinds of tasks whose end the supervisor waits for, and of which it may be left with a zombie."""


QUERY: Final = "query"
"""Kind of the task that runs a query on the lists; nobody gives it a name."""


def kind_of(name: str) -> str:
    """The first part of a task's name, e.g. guild, journal, caretaker, supervisor, job, client or main."""
    return QUERY if name.startswith("Task-") else name.partition("/")[0]


def modes_at(place: Place, kind: str) -> list[Mode]:
    """What is done at a place to a task of this kind."""
    modes = [Mode.RAISE, Mode.CANCEL, Mode.LATE, Mode.CUT]
    stores = any(point.module.startswith("persistence/") for point in place)
    if stores:
        modes.append(Mode.FAIL)
    if kind in CHILDREN or kind == "job":
        modes += [Mode.ZOMBIE, Mode.SWALLOW]
    if kind == "journal" and stores:
        modes.append(Mode.GUILDS)
    if kind == "guild" and any(point.module == "actors/journal.py" for point in place):
        modes.append(Mode.JOURNAL)
    if kind in ("guild", "job") and place[-1].function == "Journal._queued":
        modes.append(Mode.LATE_WRITE)
    return modes


def act_of(mode: Mode, hands: Hands) -> Act:
    """The act of a mode."""
    return _ACTS[mode](hands)


def _current() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    assert task is not None, "a probe is driven by a task"
    return task


class _Passive(Act):
    """Nothing more happens when the wait is over."""

    def woken(self, probe: Probe, error: BaseException | None) -> Waited:
        raise AssertionError(f"{self} did not stay, and {probe} came back to it with {error}")


class _Raise(Act):
    """In the middle of a connect only once that is over: torn apart, it leaves the loop a socket that is closed."""

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        if function_of(probe.inner) == "sock_connect":
            return probe.stay(self, waited)
        return probe.go_on_with(Planted("planted"))

    def woken(self, probe: Probe, error: BaseException | None) -> Waited:
        return probe.go_on_with(error or Planted("planted"))


class _Do(_Passive):
    """Does something beside, at once; the task waits for what it waits for."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what = what

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        del probe
        self._what()
        return waited


class _Late(_Passive):
    """The task's own waking up stands behind this in the future's list of callbacks: both fall into one tick."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        del probe
        task = _current()
        if waited is None:
            self._hands.end(task)
        else:
            waited.add_done_callback(lambda _: self._hands.end(task))
        return waited


class _Fail(Act):
    """What was asked for is done; whoever asked hears something else."""

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        return probe.stay(self, waited)

    def woken(self, probe: Probe, error: BaseException | None) -> Waited:
        return probe.go_on_with(error or NotConfirmed("planted"))


class _Linger(Act):
    """The task is killed, and does not end: it goes on with the result, a while later. A second kill it obeys."""

    def __init__(self, hands: Hands, linger_s: float) -> None:
        self._hands = hands
        self._linger_s = linger_s
        self._waited: Waited = None
        self._lingers = False

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        self._waited = waited
        if waited is not None:
            waited._asyncio_future_blocking = False
        self._hands.end(_current())
        return probe.stay(self, self._proxy(0.0))

    def woken(self, probe: Probe, error: BaseException | None) -> Waited:
        if isinstance(error, asyncio.CancelledError) and not self._lingers:
            self._lingers = True
            return probe.stay(self, self._proxy(self._linger_s))
        return probe.go_on() if error is None else probe.go_on_with(error)

    def _proxy(self, at_least_s: float) -> "asyncio.Future[None]":
        """Done when what the coroutine waits for is, and so much time has passed; nobody can cancel that by it."""
        loop = asyncio.get_running_loop()
        proxy: asyncio.Future[None] = loop.create_future()

        def pass_on(_: object = None) -> None:
            if not proxy.done():
                proxy.set_result(None)

        def due() -> None:
            if self._waited is None:
                loop.call_soon(pass_on)
            else:
                self._waited.add_done_callback(pass_on)

        loop.call_later(at_least_s, due) if at_least_s else due()
        proxy._asyncio_future_blocking = True
        return proxy


class _LateWrite(_Linger):
    """A zombie whose request was on its way while it was killed."""

    def begin(self, probe: Probe, waited: Waited) -> Waited:
        asyncio.get_running_loop().call_later(self._linger_s, self._hands.withhold(waited))
        return super().begin(probe, waited)


_ACTS: Final[Mapping[Mode, Callable[[Hands], Act]]] = {
    Mode.RAISE: lambda _: _Raise(),
    Mode.FAIL: lambda _: _Fail(),
    Mode.CANCEL: lambda hands: _Do(lambda: hands.end(_current())),
    Mode.LATE: _Late,
    Mode.ZOMBIE: lambda hands: _Linger(hands, LINGER_S),
    Mode.SWALLOW: lambda hands: _Linger(hands, 0.0),
    Mode.LATE_WRITE: lambda hands: _LateWrite(hands, LINGER_S),
    Mode.GUILDS: lambda hands: _Do(hands.guilds),
    Mode.JOURNAL: lambda hands: _Do(hands.journal),
    Mode.CUT: lambda hands: _Do(hands.cut),
}
