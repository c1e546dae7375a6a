"""Every operation of the workloads with every fault: each once, during recovery, twice in a row, and slow.

Each job is a run or a handful of them; what was hit is counted in a ``Tally``.
"""

from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final, TypeAlias, TypeVar

from ledger.errors import LedgerError
from persistence.offload import Offload, inline
from tests.disk.cases import CASES
from tests.disk.faults import Fault, Hit, Operation
from tests.disk.process import driven
from tests.disk.worlds import Ground, World

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


class Sweep:
    """What the workloads begin with and consist of is found out once: with the product as it then is."""

    def __init__(self) -> None:
        self._grounds: dict[str, Ground] = {}
        self._operations: dict[str, Sequence[Operation]] = {}

    def single(self, name: str, number: int, fault: Fault, tally: Tally) -> None:
        """An operation meets a fault."""
        self._run(tally, name, (Hit(number, fault),), number)
        tally.pairs.add((name, number, fault))

    def lag(self, name: str, number: int, tally: Tally) -> None:
        """Work is so slow that whoever waits for it is cancelled; then it is done."""
        self._run(tally, name, (), number, Thread(number))
        tally.pairs.add((name, number, "slow"))

    def recovery(self, name: str, number: int, fault: Fault, tally: Tally) -> None:
        """Behind a cut, every operation of the recovery meets everything that can happen to it."""
        cut = Hit(number, fault)
        world = self._run(tally, name, (cut,), number)
        for again, operation in enumerate(world.trouble.seen[: world.recovery], 1):
            for second in operation.faults():
                self._run(tally, name, (cut, Hit(again, second)), number)

    def double(self, seed: int, tally: Tally) -> None:
        """Any two faults, one soon behind the other."""
        random = Random(seed)
        name, number, fault = random.choice(self.pairs())
        plan = (Hit(number, fault), Hit(random.randint(1, NEAR), random.choice(list(Fault))))
        self._run(tally, name, plan, seed)
        tally.pairs.add((name, number, fault))

    # What there is

    def operations(self, name: str) -> Sequence[Operation]:
        """All operations of a workload to which nothing happens."""
        if name not in self._operations:
            self._operations[name] = self._run(Tally(), name, (), 0).trouble.seen
        return self._operations[name]

    def known(self) -> int:
        """How many operations the workloads have that were looked at."""
        return sum(map(len, self._operations.values()))

    def pairs(self, *names: str) -> list[tuple[str, int, Fault]]:
        """Workload, operation and fault: all there is, or of these workloads."""
        return [
            (name, number, fault)
            for name in names or CASES
            for number, operation in enumerate(self.operations(name), 1)
            for fault in operation.faults()
        ]

    def calls(self) -> list[tuple[str, int]]:
        """Workload and number of each piece of work that is handed to the disk's thread."""
        found: list[tuple[str, int]] = []
        for name in CASES:
            thread = Thread(0)
            self._run(Tally(), name, (), 0, thread)
            found += [(name, number) for number in range(1, thread.calls + 1)]
        return found

    def _run(self, tally: Tally, name: str, plan: Sequence[Hit], seed: int, offload: Offload = inline) -> World:
        """One run of a workload; what the judge says goes out with the plan."""
        world = World(self._ground(name), CASES[name].script, plan, seed, offload)
        try:
            driven(world.run())
        except (AssertionError, LedgerError) as error:
            error.add_note(f"{name}, plan {','.join(map(str, plan))}, seed {seed}")
            raise
        tally.runs += 1
        tally.states += world.states
        tally.seen += world.judge.seen
        return world

    def _ground(self, name: str) -> Ground:
        if name not in self._grounds:
            self._grounds[name] = CASES[name].ground()
        return self._grounds[name].copy()


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

    def close(self) -> None:
        """As a thread's end waits for what it has in hand."""
        self._land()

    def _land(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            with suppress(LedgerError):  # nobody hears it
                late()
