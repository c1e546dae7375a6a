"""Who may ask when: an order by urgency, a limit at a time, a beat; in virtual time."""

import asyncio

import pytest

from actors.gateway.pacing import Pacer, Urgency


class VirtualClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ms(self) -> int:
        return int(self.now_s * 1_000)

    def stamp_us(self) -> int:
        return int(self.now_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


async def settle() -> None:
    """Every task that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_free_permits_go_to_the_most_urgent_then_to_who_came_first():
    clock = VirtualClock()
    pacer, order = Pacer(clock, clock.sleep, at_a_time=1), []

    async def fetch(name: str, urgency: Urgency) -> None:
        async with pacer.permit(urgency):
            order.append(name)

    async with pacer.permit(Urgency.LIVE), asyncio.TaskGroup() as tasks:
        for name, urgency in (
            ("list", Urgency.LISTING),
            ("start 1", Urgency.STARTING),
            ("start 2", Urgency.STARTING),
            ("live", Urgency.LIVE),
            ("person", Urgency.PERSON),
        ):
            tasks.create_task(fetch(name, urgency))
        await settle()
        assert pacer.waiting() == 5
        pacer._release()  # as if one more had been free
    assert order == ["person", "live", "start 1", "start 2", "list"]


async def test_no_more_than_so_many_at_a_time():
    clock = VirtualClock()
    pacer = Pacer(clock, clock.sleep, at_a_time=3)
    now, most = 0, 0

    async def fetch() -> None:
        nonlocal now, most
        async with pacer.permit(Urgency.LIVE):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(fetch())
    assert (now, most) == (0, 3)


async def test_requests_keep_the_beat_however_many_want_to_send():
    clock = VirtualClock()
    pacer = Pacer(clock, clock.sleep, per_s=40.0)
    for _ in range(81):
        await pacer.beat()
    assert clock.now_s == pytest.approx(102.0)


async def test_a_permit_handed_to_somebody_who_was_cancelled_is_not_lost():
    clock = VirtualClock()
    pacer = Pacer(clock, clock.sleep, at_a_time=1)

    async def fetch() -> None:
        async with pacer.permit(Urgency.LIVE):
            await asyncio.Event().wait()

    async with pacer.permit(Urgency.LIVE):
        loop = asyncio.get_running_loop()
        early, late = loop.create_task(fetch()), loop.create_task(fetch())
        await settle()
        early.cancel()
        await settle()
    late.cancel()  # the permit was handed over, the task has not run since
    await asyncio.wait([early, late])
    async with asyncio.timeout(1), pacer.permit(Urgency.LISTING):
        assert pacer.waiting() == 0


async def test_a_permit_is_not_lost_by_a_fetch_that_ends_by_an_error_nobody_expects():
    clock = VirtualClock()
    pacer = Pacer(clock, clock.sleep, at_a_time=1)

    async def fetch() -> None:
        async with pacer.permit(Urgency.LIVE):
            await asyncio.sleep(0)

    async with pacer.permit(Urgency.LIVE):
        waiting = fetch()
        waiting.send(None)
        with pytest.raises(MemoryError):
            waiting.throw(MemoryError)
    async with asyncio.timeout(1.0):
        await asyncio.get_running_loop().create_task(fetch())


async def test_who_waited_for_a_permit_and_how_long_is_known():
    clock = VirtualClock()
    pacer = Pacer(clock, clock.sleep, at_a_time=1)

    async def fetch() -> None:
        async with pacer.permit(Urgency.LIVE):
            await settle()  # the other one asks meanwhile
            clock.now_s += 3.0

    await asyncio.gather(fetch(), fetch())
    told = pacer.waited_s()
    assert (sum(told.counts), told.total, told.counts[0]) == (2, 3.0, 1)
