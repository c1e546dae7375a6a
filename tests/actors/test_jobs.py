"""Jobs: whoever starts a task watches it, and ends it."""

import asyncio

import pytest

from actors.runtime import Jobs


class Failures(list[tuple[str, str]]):
    def note(self, name: str, error: BaseException) -> None:
        self.append((name, repr(error)))


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
async def jobs(failures: Failures):
    jobs = Jobs("test", lambda work, name: asyncio.get_running_loop().create_task(work, name=name), failures.note)
    yield jobs
    await jobs.stop()


async def until_over(ticks: int = 5) -> None:
    for _ in range(ticks):
        await asyncio.sleep(0)


async def test_a_job_that_fails_is_told_by_its_name_and_one_that_ends_well_is_not(jobs: Jobs, failures: Failures):
    async def fails() -> None:
        raise LookupError("gone")

    async def works() -> None:
        pass

    jobs.start(fails(), "bad")
    jobs.start(works(), "good")
    await until_over()
    assert failures == [("test/bad", "LookupError('gone')")]


async def test_a_job_that_was_cancelled_is_no_failure(jobs: Jobs, failures: Failures):
    jobs.start(asyncio.sleep(3600), "long")
    await until_over()
    await jobs.stop()
    assert failures == []


async def test_stopping_waits_for_jobs_that_take_their_time_to_end(jobs: Jobs):
    ended: list[str] = []

    async def tidy() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append("tidy")

    jobs.start(tidy(), "tidy")
    await until_over()
    await jobs.stop()
    assert ended == ["tidy"]


async def test_a_job_for_later_begins_at_its_time_and_not_at_all_after_a_stop(jobs: Jobs):
    begun: list[str] = []
    rang = asyncio.Event()

    async def begin(name: str) -> None:
        begun.append(name)
        if name == "soon":
            rang.set()

    jobs.start_later(0.0, lambda: begin("now"), "now")
    jobs.start_later(0.001, lambda: begin("soon"), "soon")
    jobs.start_later(3600.0, lambda: begin("late"), "late")
    assert len(jobs._timers) == 2, "what is due needs no timer"
    await rang.wait()
    assert begun == ["now", "soon"]
    assert len(jobs._timers) == 1, "a timer that rang is forgotten"
    timer = next(iter(jobs._timers))
    await jobs.stop()
    assert timer.cancelled()
    assert not jobs._timers


async def test_a_job_that_ended_is_forgotten(jobs: Jobs):
    jobs.start(asyncio.sleep(0), "short")
    await until_over()
    assert not jobs._running
