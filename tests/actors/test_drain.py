"""A drain is over in 5 s: its steps share them, and none takes what belongs to a later one."""

import asyncio
from collections.abc import Sequence
from itertools import accumulate

import pytest

from actors.clock import SystemClock
from actors.drain import SHARES_S, Drain, Step
from actors.supervision import spawn
from persistence.frames import Frame
from tests.actors.harness import GUILD, PATIENCE_S, Bot, VirtualClock
from tests.memory.layer import MemoryLayer

LONGEST_S = 5.0


def test_the_shares_of_all_steps_are_five_seconds_at_most():
    assert list(SHARES_S) == list(Step)
    assert sum(SHARES_S.values()) <= LONGEST_S
    assert min(SHARES_S.values()) > 0


def test_steps_that_take_all_they_may_leave_each_later_one_its_share():
    clock = VirtualClock()
    drain = Drain(clock)
    for step, end_s in zip(SHARES_S, accumulate(SHARES_S.values()), strict=True):
        assert drain.left_s(step) == pytest.approx(SHARES_S[step])
        clock.now_s += drain.left_s(step)
        assert drain.left_s(step) == pytest.approx(0.0, abs=1e-6)
        assert drain.took_s == pytest.approx(end_s)


def test_what_a_step_leaves_over_the_next_ones_may_use():
    drain = Drain(VirtualClock())
    assert drain.left_s(Step.MAILBOXES) == SHARES_S[Step.NEWCOMER] + SHARES_S[Step.MAILBOXES]
    assert drain.left_s(Step.GATEWAY) == pytest.approx(sum(SHARES_S.values()))


async def test_a_step_that_hangs_is_given_up_and_named():
    drain = Drain(VirtualClock(), dict.fromkeys(Step, 0.0))
    async with drain.limit(Step.CHILDREN):
        await asyncio.Event().wait()
    async with drain.limit(Step.GATEWAY):
        pass
    assert drain.cut == [Step.CHILDREN]


async def test_an_answer_that_did_not_come_in_time_is_no_end_of_the_step():
    drain = Drain(VirtualClock())
    with pytest.raises(TimeoutError):
        async with drain.limit(Step.CLOUD):
            raise TimeoutError
    assert drain.cut == []


class Hanging(MemoryLayer):
    """A layer that takes what it is given when it likes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.free = asyncio.Event()
        self.free.set()

    async def append(self, frames: Sequence[Frame]) -> None:
        await self.free.wait()
        await super().append(frames)


async def test_where_everything_hangs_a_drain_ends_all_the_same_and_names_what_it_cut():
    log, over = Hanging("log"), asyncio.Event()
    bot = Bot((log,))
    await bot.store.start()
    tree = spawn(bot.supervisor.run(bot.specs()), "supervisor")
    bot.come_up()
    await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
    log.free.clear()
    bot.supervisor.roster.tell(GUILD, bot.join(1))

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async def leave(drain: Drain) -> None:
        async with drain.limit(Step.CLOUD):
            await asyncio.Event().wait()

    bot.supervisor.jobs.start(stubborn(), "stubborn")
    drain = Drain(SystemClock(), dict.fromkeys(SHARES_S, 0.02))
    async with asyncio.timeout(PATIENCE_S):
        await bot.supervisor.drain(leave, drain)
    over.set()
    tree.cancel()
    await asyncio.wait([tree])
    await bot.supervisor.jobs.stop()
    assert drain.cut == [Step.MAILBOXES, Step.CHECKPOINTS, Step.CLOUD, Step.CHILDREN]
