"""The loop under the simulation: virtual, shuffled, repeatable."""

import asyncio
from random import Random

import pytest

from tests.simulation.loop import Idle, SimLoop


def trace_of(seed: int) -> list[str]:
    """Three tasks that sleep, work in a thread, and are woken together; what they did, in order."""
    loop, said = SimLoop(Random(seed)), list[str]()
    gate = asyncio.Event()

    async def one(name: str) -> None:
        await gate.wait()
        said.append(f"{name} passes")
        await loop.run_in_executor(None, lambda: said.append(f"{name} works"))
        await asyncio.sleep(60.0)
        said.append(f"{name} at {loop.time():.6f}")

    async def main() -> None:
        tasks = [loop.create_task(one(name)) for name in "abc"]
        await asyncio.sleep(1.0)
        gate.set()
        await asyncio.wait(tasks)

    try:
        loop.run(main())
    finally:
        loop.close()
    return said


def test_the_same_seed_gives_the_same_run():
    assert trace_of(7) == trace_of(7)


def test_seeds_give_different_orders():
    assert len({tuple(trace_of(seed)[:3]) for seed in range(40)}) == 6


def test_a_run_that_would_wait_for_ever_says_so():
    loop = SimLoop(Random(1))
    with pytest.raises(Idle):
        loop.run(asyncio.Event().wait())
    loop.close()


def test_work_for_a_thread_is_done_although_its_caller_was_cancelled():
    loop, done = SimLoop(Random(1)), list[int]()

    async def main() -> None:
        work = loop.run_in_executor(None, lambda: done.append(1))
        work.cancel()
        await asyncio.sleep(10.0)

    loop.run(main())
    loop.close()
    assert done == [1]


def test_a_process_that_is_killed_does_nothing_more():
    loop, done = SimLoop(Random(1)), list[str]()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(5.0)
            done.append("slept")
        finally:
            await asyncio.sleep(1.0)
            done.append("cleaned up")

    async def main() -> None:
        loop.create_task(stubborn())
        await asyncio.sleep(1.0)

    loop.run(main())
    loop.abandon()
    assert done == []
