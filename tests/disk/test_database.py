"""SQLite's operations, some of each kind, and the states that a cut behind them leaves; the rest: ``-m tests.disk``.

All are judged by the real layer, which opens what is left and goes on with it.
"""

from pathlib import Path

import pytest

from ledger.errors import StorageError
from persistence.sqlite import SqliteLayer
from persistence.sqlite_connection import rows
from persistence.sqlite_vetting import Vetting
from tests.disk import vfs
from tests.disk.crashes import Workshop
from tests.disk.database_cases import DATABASE_CASES, old
from tests.disk.faults import Fault, Hit
from tests.disk.trace import Trace, WatchedDisk

pytestmark = pytest.mark.skipif(
    vfs.library() is None, reason="this Python carries SQLite within itself: no VFS to watch"
)

CUTS, FAILURES, LAGS = 8, 6, 6


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.mark.parametrize("name", list(DATABASE_CASES))
def test_what_a_cut_leaves_of_a_database_holds_all_that_was_acknowledged(workshop: Workshop, name: str):
    numbers = range(1, len(workshop.recorded(name).trace.operations) + 1)
    before = workshop.states
    for number in numbers[:: len(numbers) // CUTS]:
        workshop.cut(name, number)
    assert workshop.states - before > CUTS


@pytest.mark.parametrize("name", list(DATABASE_CASES))
def test_an_operation_of_sqlite_may_fail_in_any_way(workshop: Workshop, name: str):
    faults = list(workshop.faults(name))
    for each in faults[:: len(faults) // FAILURES]:
        workshop.fail(*each)


def test_power_may_be_cut_again_while_what_a_cut_left_is_opened(workshop: Workshop):
    for seed in range(CUTS // 2):
        workshop.cut_again(seed)


def test_work_for_the_database_that_lands_behind_its_callers_cancellation_loses_nothing(workshop: Workshop):
    calls = list(workshop.calls())
    for call in calls[:: len(calls) // LAGS]:
        workshop.lag(*call)


async def test_what_cannot_be_read_now_is_not_taken_for_damage(tmp_path: Path):
    await read_in_vain(tmp_path)


async def test_it_is_noticed_when_whatever_the_check_says_is_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def believe(mine: Vetting) -> None:
        ((said,),) = rows(mine._db, "PRAGMA integrity_check(1)")
        mine.flaws += [] if said == b"ok" else [repr(said)]

    monkeypatch.setattr(Vetting, "_check", believe)
    with pytest.raises(AssertionError):
        await read_in_vain(tmp_path)


async def read_in_vain(tmp_path: Path) -> None:
    """At each read of an opening in turn; SQLite tells of some only in what its check of the pages says."""
    site = old(tmp_path / "old")
    await opened(Trace(site.folder))
    looked = await opened(Trace(site.folder))
    for number in (at for at, operation in enumerate(looked.operations, 1) if not operation.changes):
        copy = site.put(tmp_path / str(number))
        assert (await opened(Trace(copy.folder, [Hit(number, Fault.EIO)]))).fired
        assert not (copy.folder / "quarantine").exists()


async def opened(trace: Trace) -> Trace:
    """A database is opened, once more if that fails, and closed."""
    with vfs.watched(trace):
        layer = SqliteLayer(WatchedDisk(trace), trace.root / "ledger.db", trace.root / "quarantine")
        try:
            summary = await layer.open()
        except StorageError:
            await layer.close()
            summary = await layer.open()
        assert summary.notes == ()
        await layer.close()
    return trace
