"""Every operation of the workloads with every fault: each once, during recovery, twice in a row, and slow.

A section is a stream of jobs in a fixed order, each a handful of runs; what was hit is counted in a ``Tally``.
"""

from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from random import Random
from typing import Final, TypeAlias, TypeVar

from ledger.errors import LedgerError
from persistence.offload import Offload, inline
from tests.disk.cases import CASES
from tests.disk.faults import CUTS, Fault, Hit, Operation
from tests.disk.process import driven
from tests.disk.worlds import World

T = TypeVar("T")

NEAR: Final = 60
"""The second of two faults comes within so many operations behind the first."""


class Tally:
    """What was done. ``pairs``: (workload, operation, fault) that were hit at least once."""

    def __init__(self) -> None:
        self.runs = 0
        self.states = 0
        self.pairs: set[tuple[str, int, str]] = set()
        self.seen: Counter[str] = Counter()


Job: TypeAlias = Callable[[Tally], None]


def singles() -> Iterator[Job]:
    """Every operation of every workload with everything that can happen to it."""
    for name, number, fault in pairs():
        yield partial(single, name, number, fault)


def recoveries() -> Iterator[Job]:
    """Behind every cut, in random order, every operation of the recovery with everything that can happen to it."""
    cuts = [(name, number, fault) for name, number, fault in pairs() if fault in CUTS]
    Random(1).shuffle(cuts)
    for name, number, fault in cuts:
        yield partial(recovery, name, number, fault)


def doubles() -> Iterator[Job]:
    """Any two faults in a row, by seed, without end."""
    seed = 0
    while True:
        seed += 1
        yield partial(double, seed)


def lags() -> Iterator[Job]:
    """Every piece of work that is handed to the disk's thread is slow, and whoever waits for it is cancelled."""
    for name in CASES:
        for number in range(1, calls(name) + 1):
            yield partial(lag, name, number)


def single(name: str, number: int, fault: Fault, tally: Tally) -> None:
    run(tally, name, (Hit(number, fault),), number)
    tally.pairs.add((name, number, fault))


def recovery(name: str, number: int, fault: Fault, tally: Tally) -> None:
    cut = Hit(number, fault)
    world = run(tally, name, (cut,), number)
    for again, operation in enumerate(world.trouble.seen[: world.recovery], 1):
        for second in operation.faults():
            run(tally, name, (cut, Hit(again, second)), number)


def double(seed: int, tally: Tally) -> None:
    random = Random(seed)
    name, number, fault = random.choice(pairs())
    plan = (Hit(number, fault), Hit(random.randint(1, NEAR), random.choice(list(Fault))))
    run(tally, name, plan, seed)
    tally.pairs.add((name, number, fault))


def lag(name: str, number: int, tally: Tally) -> None:
    run(tally, name, (), number, Thread(number))
    tally.pairs.add((name, number, "slow"))


def run(tally: Tally, name: str, plan: Sequence[Hit], seed: int, offload: Offload = inline) -> World:
    """One run of a workload; what the judge says goes out with the plan."""
    world = World(CASES[name].ground(), CASES[name].script, plan, seed, offload)
    try:
        driven(world.run())
    except (AssertionError, LedgerError) as error:
        error.add_note(f"{name}, plan {','.join(map(str, plan))}, seed {seed}")
        raise
    tally.runs += 1
    tally.states += world.states
    tally.seen += world.judge.seen
    return world


@cache
def operations(name: str) -> Sequence[Operation]:
    """All operations of a workload to which nothing happens."""
    return run(Tally(), name, (), 0).trouble.seen


@cache
def calls(name: str) -> int:
    """How many pieces of work a workload hands to the disk's thread."""
    thread = Thread(0)
    run(Tally(), name, (), 0, thread)
    return thread.calls


@cache
def pairs() -> Sequence[tuple[str, int, Fault]]:
    """All there is: workload, operation, fault."""
    return [
        (name, number, fault)
        for name in CASES
        for number, operation in enumerate(operations(name), 1)
        for fault in operation.faults()
    ]


class Thread:
    """An ``Offload`` whose work ``slow`` is so slow that its caller is cancelled before it is begun.

    It is done all the same, before whatever comes next: there is one thread.
    """

    def __init__(self, slow: int) -> None:
        self.calls = 0
        self._slow = slow
        self._late: Callable[[], object] | None = None

    async def __call__(self, work: Callable[[], T]) -> T:
        self._land()
        self.calls += 1
        if self.calls == self._slow:
            self._late = work
            raise CancelledError
        return work()

    def _land(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            with suppress(LedgerError):  # nobody hears it
                late()


SECTIONS: Final[Mapping[str, Callable[[], Iterator[Job]]]] = {
    "singles": singles,
    "lags": lags,
    "recoveries": recoveries,
    "doubles": doubles,
}
