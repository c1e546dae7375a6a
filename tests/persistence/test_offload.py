"""Work on a thread of its own: done in order, and done whatever becomes of those who asked for it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistence.disk import RealDisk
from persistence.offload import ThreadOffload
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


async def test_a_database_whose_closing_was_cut_short_opens_again(tmp_path: Path):
    layer = SqliteLayer(RealDisk(), tmp_path / "ledger.db", tmp_path / "quarantine")
    await layer.open()
    await layer.begin(1, "lineage")
    frames = Chain().batch(RED)
    await layer.append(frames)
    with held(layer._used()) as over:
        await asyncio.sleep(0)
        threading.Timer(0.05, over.set).start()  # who is cut short waits for the thread, which ends with it
        await cancelled(asyncio.ensure_future(layer.close()))
    assert (await layer.open()).gsn == 1
    await layer.close()
