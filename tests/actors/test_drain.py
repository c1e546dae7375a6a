"""A drain is over in 5 s: its steps share them, and none takes what belongs to a later one."""

import asyncio
from itertools import accumulate

import pytest

from actors.drain import SHARES_S, Drain, Step
from tests.actors.harness import VirtualClock

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
