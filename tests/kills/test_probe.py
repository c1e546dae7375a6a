"""The probe: it knows where a coroutine stands, and does to it what it says."""

import asyncio
from collections.abc import Callable, Iterator
from random import Random

import pytest

from ledger.errors import NotConfirmed
from tests.kills import specimen
from tests.kills.acts import LINGER_S, Hands, Mode, Planted, act_of
from tests.kills.points import inventory
from tests.kills.probe import Act, Place, Probe, Waited, factory
from tests.simulation.loop import SimLoop

KNOWN = inventory(("tests/kills/specimen.py",))


class Noting:
    """A watch that notes where it was called, and acts once if it is told how."""

    def __init__(self, act: Act | None = None) -> None:
        self.places: list[Place] = []
        self._act = act

    def visit(self, place: Place, probe: Probe, waited: Waited) -> Act | None:
        del probe, waited
        self.places.append(place)
        act, self._act = self._act, None
        return act


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    loop = SimLoop(Random(1))
    yield loop
    loop.close()


def test_every_await_of_a_coroutine_is_a_place_of_its_own(loop: SimLoop):
    watch = Noting()
    loop.set_task_factory(factory(KNOWN, watch))
    assert loop.run_until_complete(loop.create_task(specimen.everything())) == [0, 0, 0, 1]
    told = {point for place in watch.places for point in place}
    assert told == {point for point in KNOWN.values() if point.function != "waits_for"}
    assert len(told) == len(KNOWN) - 1


@pytest.mark.parametrize(
    ("mode", "ends"),
    [
        (Mode.RAISE, Planted),
        (Mode.FAIL, NotConfirmed),
        (Mode.CANCEL, asyncio.CancelledError),
        (Mode.LATE, asyncio.CancelledError),
    ],
)
def test_a_kill_ends_what_waits_and_not_what_it_waits_for(loop: SimLoop, mode: Mode, ends: type[BaseException]):
    done = loop.create_future()
    work = started(loop, mode, done, lambda: done.set_result("there"))
    with pytest.raises(ends):
        loop.run_until_complete(work)
    if mode in (Mode.FAIL, Mode.LATE):
        assert done.result() == "there"
        assert loop.time() >= 1.0


@pytest.mark.parametrize(("mode", "lingers_s"), [(Mode.ZOMBIE, LINGER_S), (Mode.SWALLOW, 0.0)])
def test_a_life_that_does_not_end_goes_on_with_what_it_waited_for(loop: SimLoop, mode: Mode, lingers_s: float):
    done = loop.create_future()
    work = started(loop, mode, done, lambda: done.set_result("there"))
    assert loop.run_until_complete(work) == "there"
    assert loop.time() >= max(1.0, lingers_s)


def started(loop: SimLoop, mode: Mode, done: "asyncio.Future[str]", later: Callable[[], None]) -> "asyncio.Task[str]":
    """A task that waits for the future, which comes after a second; the deed is done at its first wait."""
    loop.set_task_factory(factory(KNOWN, Noting(act_of(mode, Hands(lambda _: False)))))

    def come() -> None:
        if not done.done():
            later()

    loop.call_later(1.0, come)
    return loop.create_task(specimen.waits_for(done))
