"""The gate in front of IDENTIFY, in time that passes only in naps."""

import asyncio

from structlog.typing import FilteringBoundLogger

from actors.gateway.identify import IDENTIFY_EVERY_S, IdentifyGate
from actors.gateway.preflight import Grant
from tests.actors.gateway.town import Lines
from tests.actors.harness import VirtualClock


class Turns:
    """A gate, and when each shard was let through."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        *,
        max_concurrency: int = 1,
        total: int = 1_000,
        remaining: int | None = None,
        reset_after_s: float = 86_400,
    ) -> None:
        self.clock = VirtualClock()
        grant = Grant(
            shards=1,
            max_concurrency=max_concurrency,
            remaining=total if remaining is None else remaining,
            total=total,
            reset_after_s=reset_after_s,
            application="1",
            name="bot",
        )
        self.gate = IdentifyGate(grant, self.clock, self._sleep, log)
        self.waits: list[float] = []

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now_s += seconds
        await asyncio.sleep(0)

    async def identify(self, shard: int, connect_s: float = 0.0) -> float:
        """A turn, a connect that takes so long, an IDENTIFY: when that was."""
        await self.gate.turn(shard)
        self.clock.now_s += connect_s
        await self.gate.identify(shard)
        return self.clock.now_s


async def test_shards_of_one_bucket_go_one_after_the_other(log: FilteringBoundLogger):
    turns = Turns(log)
    for shard in range(3):
        await turns.gate.turn(shard)
    assert turns.waits == [IDENTIFY_EVERY_S, IDENTIFY_EVERY_S]


async def test_buckets_do_not_wait_for_each_other(log: FilteringBoundLogger):
    turns = Turns(log, max_concurrency=2)
    for shard in range(4):
        await turns.gate.turn(shard)
    assert turns.waits == [IDENTIFY_EVERY_S]


async def test_a_turn_after_a_pause_comes_at_once(log: FilteringBoundLogger):
    turns = Turns(log)
    await turns.gate.turn(0)
    turns.clock.now_s += IDENTIFY_EVERY_S
    await turns.gate.turn(0)
    assert turns.waits == []


async def test_a_slow_connect_does_not_bring_two_identifies_too_close(log: FilteringBoundLogger):
    turns = Turns(log)
    slow_s = await turns.identify(0, connect_s=5.2)
    quick_s = await turns.identify(1)
    assert quick_s - slow_s >= IDENTIFY_EVERY_S
    assert await turns.identify(2) - quick_s >= IDENTIFY_EVERY_S


async def test_a_connect_that_outlasts_the_next_turn_keeps_its_distance_all_the_same(log: FilteringBoundLogger):
    turns = Turns(log)
    await turns.gate.turn(0)
    quick_s = await turns.identify(1)
    turns.clock.now_s += 1
    await turns.gate.identify(0)
    assert turns.clock.now_s - quick_s == IDENTIFY_EVERY_S


async def test_a_tenth_of_the_days_budget_is_never_touched_and_that_is_said(log: FilteringBoundLogger, lines: Lines):
    turns = Turns(log, max_concurrency=16, total=10)
    for _ in range(9):
        turns.clock.now_s += 60
        await turns.identify(0)
    assert turns.waits == []
    turns.clock.now_s += 60
    await turns.gate.turn(0)
    [held] = lines.named("identify.held")
    assert turns.waits == [held["again_s"]] == [86_400 - 9 * 60]


async def test_what_was_spent_before_the_start_counts_until_discord_gives_new_ones(log: FilteringBoundLogger):
    turns = Turns(log, total=10, remaining=3, reset_after_s=3_600)
    began_s = turns.clock.now_s
    assert [await turns.identify(0) - began_s for _ in range(3)] == [0, IDENTIFY_EVERY_S, 3_600]


async def test_who_has_a_grant_may_identify_once_however_little_is_left(log: FilteringBoundLogger):
    turns = Turns(log, total=10, remaining=1, reset_after_s=3_600)
    began_s = turns.clock.now_s
    assert [await turns.identify(0) - began_s for _ in range(2)] == [0, 3_600]


async def test_a_turn_that_is_given_up_is_free_again(log: FilteringBoundLogger):
    turns = Turns(log, total=1)
    await turns.identify(0)
    for _ in range(5):
        waiting = asyncio.get_running_loop().create_task(turns.gate.turn(0))
        waiting.cancel()
        await asyncio.wait([waiting])
    began_s = turns.clock.now_s
    await turns.gate.turn(0)
    assert turns.clock.now_s - began_s == 86_400
