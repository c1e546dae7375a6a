"""/refresh_invite_cache again and again: it neither puts a verdict off for ever nor forces it early."""

import pytest

from ledger.closing import OPEN_FOR_US
from ledger.fetching import SETTLE_AFTER_S
from ledger.ids import UserId
from ledger.records import Status
from ledger.state import Period
from tests.ledger.worlds import SECOND, START_US, World

SOMEBODY = UserId("1000")
JOINED_US = START_US + 20 * SECOND


def impatient(every_s: float, for_s: float = 60.0) -> World:
    """Somebody joins whose use no sample ever shows, and a person asks for samples all the time."""
    world = World(seed=1, joins=0)
    world._agenda = [step for step in world._agenda if step[0] < JOINED_US]
    world._at(JOINED_US, lambda: world._hear_join(SOMEBODY, JOINED_US))
    for ask in range(1, round(for_s / every_s)):
        world._at(JOINED_US + round(ask * every_s * SECOND), world.refresh)
    return world


def play(world: World, until_us: int) -> Period:
    world._at(until_us, world._agenda.clear)
    world.run()
    period = world.state.membership(SOMEBODY, JOINED_US)
    assert period is not None
    return period


@pytest.mark.parametrize("every_s", [0.5, 1.0, 3.0])
def test_who_asks_all_the_time_does_not_put_a_verdict_off_for_ever(every_s: float):
    late_us = JOINED_US + OPEN_FOR_US + 10 * SECOND
    assert play(impatient(every_s), late_us).status is Status.UNKNOWN


def test_who_asks_all_the_time_forces_no_verdict_before_the_counters_had_their_time():
    early_us = JOINED_US + round(sum(SETTLE_AFTER_S) * SECOND)
    assert play(impatient(0.1), early_us).status is Status.PENDING
