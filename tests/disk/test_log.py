"""Operations of the workloads on the log, each with every fault, some twice; ``python -m tests.disk`` takes all."""

from collections.abc import Callable, Iterable
from functools import partial

import pytest

from ledger.errors import LedgerError
from tests.disk import sweep as sweeping
from tests.disk.cases import CASES
from tests.disk.faults import Fault
from tests.disk.sweep import Job, Sweep, T, Tally, Thread

EVERY = 10
"""Of the operations and faults of the damaged worlds every tenth pair is taken here."""
DOUBLES = 40
SEEN = {
    Fault.TORN: "torn tail",
    Fault.FLUSHED: "came back unacknowledged",
    Fault.EIO: "StorageError",
    Fault.EIO_DONE: "StorageError",
    Fault.EIO_ON: "NotConfirmed",
    Fault.ENOSPC: "StorageError",
    Fault.ENOSPC_ON: "DiskFull",
    Fault.SHORT: "DiskFull",
}
"""What each of them brings about somewhere; nothing that was lost does."""


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return Sweep()


def swept(jobs: Iterable[Job]) -> Tally:
    tally = Tally()
    for job in jobs:
        job(tally)
    return tally


@pytest.mark.parametrize("fault", list(Fault))
def test_at_every_operation_of_a_life_each_fault_loses_nothing(sweep: Sweep, fault: Fault):
    tally = swept(partial(sweep.single, *pair) for pair in sweep.pairs("life") if pair[2] is fault)
    possible = sum(fault in operation.faults() for operation in sweep.operations("life"))
    assert len(tally.pairs) == tally.runs == possible > 10
    assert fault is Fault.LOST or tally.seen[SEEN[fault]] > 0
    assert tally.states >= possible


@pytest.mark.parametrize("name", [name for name in CASES if name != "life"])
def test_operations_that_make_a_damaged_log_good_may_fail(sweep: Sweep, name: str):
    some = sweep.pairs(name)[::EVERY]
    assert swept(partial(sweep.single, *pair) for pair in some).states >= len(some)


def test_every_operation_of_a_recovery_may_fail_in_every_way(sweep: Sweep):
    """Behind a cut that left a batch unconfirmed, which is there all the same."""
    names = [each.name for each in sweep.operations("life")]
    write = max(at for at in range(len(names)) if names[at : at + 3] == ["write", "sync", "identity"]) + 1
    tally = swept([partial(sweep.recovery, "life", write, Fault.FLUSHED)])
    assert tally.runs > 80
    assert tally.seen["came back unacknowledged"] >= tally.runs


def test_two_faults_in_a_row_lose_nothing(sweep: Sweep):
    assert swept(partial(sweep.double, seed) for seed in range(DOUBLES)).runs == DOUBLES


def test_work_that_lands_behind_its_callers_cancellation_loses_nothing(sweep: Sweep):
    tally = swept(partial(sweep.lag, *call) for call in sweep.calls())
    assert tally.seen["cancelled"] == tally.runs > 100


class TwoThreads(Thread):
    """The slow one's work lands behind what was handed over after it."""

    async def __call__(self, work: Callable[[], T]) -> T:
        late, self._late = self._late, None
        try:
            return await super().__call__(work)
        finally:
            if late is not None:
                late()


def test_the_judge_catches_work_that_lands_behind_a_later_one(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweeping, "Thread", TwoThreads)
    with pytest.raises((AssertionError, LedgerError)):
        swept(partial(sweep.lag, *call) for call in sweep.calls())
