"""The gate in front of IDENTIFY, in time that passes only in naps."""

import asyncio

from structlog.typing import FilteringBoundLogger

from actors.gateway.identify import IDENTIFY_EVERY_S, IdentifyGate
from actors.gateway.preflight import Grant
from tests.actors.gateway.town import Lines
from tests.actors.harness import VirtualClock


class Turns:
    """A gate, and when each shard was let through."""

    def __init__(self, log: FilteringBoundLogger, *, max_concurrency: int = 1, total: int = 1_000) -> None:
        self.clock = VirtualClock()
        grant = Grant(
            shards=1, max_concurrency=max_concurrency, remaining=total, total=total, application="1", name="bot"
        )
        self.gate = IdentifyGate(grant, self.clock, self._sleep, log)
        self.waits: list[float] = []

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_shards_of_one_bucket_go_one_after_the_other(log: FilteringBoundLogger):
    turns = Turns(log)
    for shard in range(3):
        await turns.gate.turn(shard)
    assert turns.waits == [IDENTIFY_EVERY_S, 2 * IDENTIFY_EVERY_S]


async def test_buckets_do_not_wait_for_each_other(log: FilteringBoundLogger):
    turns = Turns(log, max_concurrency=2)
    await asyncio.gather(*(turns.gate.turn(shard) for shard in range(4)))
    assert turns.waits == [IDENTIFY_EVERY_S, IDENTIFY_EVERY_S]


async def test_a_turn_after_a_pause_comes_at_once(log: FilteringBoundLogger):
    turns = Turns(log)
    await turns.gate.turn(0)
    turns.clock.now_s += IDENTIFY_EVERY_S
    await turns.gate.turn(0)
    assert turns.waits == []


async def test_a_tenth_of_the_days_budget_is_never_touched_and_that_is_said(log: FilteringBoundLogger, lines: Lines):
    turns = Turns(log, max_concurrency=16, total=10)
    for _ in range(9):
        turns.clock.now_s += 60
        await turns.gate.turn(0)
    assert turns.waits == []
    turns.clock.now_s += 60
    await turns.gate.turn(0)
    [held] = lines.named("identify.held")
    assert turns.waits == [held["again_s"]] == [86_400 - 9 * 60]
