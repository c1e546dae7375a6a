"""The store of a data folder and its cloud, as the program opens them: what hangs in one holds up no other."""

import asyncio
import shutil
from pathlib import Path

import pytest

from actors import opening
from actors.clock import SystemClock
from actors.opening import opened
from actors.settings import Settings
from persistence.offload import ThreadOffload
from persistence.store import Appended
from tests.persistence.making import RED, joins
from tests.persistence.test_offload import held


async def test_a_cloud_that_hangs_in_a_folder_holds_up_no_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    threads = list[ThreadOffload]()

    def thread(name: str) -> ThreadOffload:
        threads.append(ThreadOffload(name))
        return threads[-1]

    monkeypatch.setattr(opening, "ThreadOffload", thread)
    said = {"ledger_data": tmp_path / "data", "ledger_cloud": f"file://{tmp_path / 'cloud'}"}
    (tmp_path / "data").mkdir()
    disk = ThreadOffload("disk")
    async with opened(Settings.model_validate(said), disk, SystemClock()) as (store, cloud, seen):
        await store.start()
        assert (cloud is not None, seen, len(threads)) == (True, False, 1)
        with held(threads[0]):
            await asyncio.sleep(0)
            (appended,) = await store.append([joins(RED, 0, 1)])
    assert isinstance(appended, Appended)
    disk.close()


async def test_files_in_the_place_of_folders_and_no_marker_leave_the_database(tmp_path: Path):
    data, disk = tmp_path / "data", ThreadOffload("disk")
    data.mkdir()
    settings = Settings.model_validate({"ledger_data": data})
    async with opened(settings, disk, SystemClock()) as (store, _, _):
        await store.start()
        await store.append([joins(RED, 0, 1)])
    shutil.rmtree(data / "log")
    (data / "marker").unlink()
    for name in ("log", "salvage"):
        (data / name).write_bytes(b"mine")
    async with opened(settings, disk, SystemClock()) as (store, _, seen):
        report = await store.start()
        assert (report.leader, store.newest_gsn(), seen) == ("database", 1, True)
        assert [layer.name for layer in report.layers if layer.error] == ["log"]
        assert any("salvage/ waits" in note for note in report.notes)
    assert [(data / name).read_bytes() for name in ("log", "salvage")] == [b"mine", b"mine"]
    disk.close()
