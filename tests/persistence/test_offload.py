"""Work on a thread of its own: done in order, and done whatever becomes of those who asked for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.offload import ThreadOffload
from persistence.salvage import PIECE_RECORDS, FileSalvage
from persistence.sqlite import SqliteLayer
from tests.persistence.making import RED, Chain


@contextmanager
def held(offload: ThreadOffload) -> Iterator[threading.Event]:
    """The thread has its hands full until the event is set, or this ends."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        over.wait()

    holding = asyncio.ensure_future(offload(hold))
    holding.add_done_callback(lambda _: None)
    try:
        yield over
    finally:
        over.set()


async def cancelled(work: "asyncio.Task[object]") -> None:
    await asyncio.sleep(0)  # so that it has asked
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_work_whose_caller_went_while_it_waited_for_its_turn_is_done_before_the_next():
    offload, done = ThreadOffload("test"), list[str]()
    with held(offload):
        await asyncio.sleep(0)
        await cancelled(asyncio.ensure_future(offload(lambda: done.append("asked for"))))
    await offload(lambda: done.append("next"))
    assert done == ["asked for", "next"]
    offload.close()


async def test_a_database_whose_closing_was_cut_short_opens_again_and_nobody_waited_for_it(tmp_path: Path):
    layer = SqliteLayer(RealDisk(), tmp_path / "ledger.db", tmp_path / "quarantine")
    await layer.open()
    await layer.begin(1, "lineage")
    await layer.append(Chain().batch(RED))
    with held(layer._used()):
        await asyncio.sleep(0)
        for _ in range(2):
            await cancelled(asyncio.ensure_future(layer.close()))
    assert (await layer.open()).gsn == 1
    await layer.close()


async def test_a_branch_whose_keeping_was_cut_short_leaves_no_file_open_and_is_kept_later(tmp_path: Path):
    offload = ThreadOffload("test")
    salvage, frames = FileSalvage(RealDisk(), tmp_path, offload), Chain().batch(*[RED] * (PIECE_RECORDS + 1))
    with held(offload):
        await asyncio.sleep(0)
        keeping = asyncio.ensure_future(salvage.keep(stream(frames)))
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([keeping])
    await offload(lambda: None)
    assert open_drafts() == []
    await salvage.keep(stream(frames))
    assert [lot[1] for lot in salvage.pending()] == [RED]
    offload.close()


async def stream(frames: Sequence[Frame]) -> AsyncIterator[Frame]:
    for frame in frames:
        yield frame


def open_drafts() -> list[str]:
    """The drafts that this process has open."""
    names: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it is what the folder itself was listed with
            names.append(str(link.readlink()))
    return sorted(name for name in names if name.endswith(".new"))
