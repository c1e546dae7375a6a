"""A sample of the schedules of ``make fencing``; that it sees each safety device missing is ``tests/planted``'s."""

from collections import Counter

import pytest

from tests.fencing.__main__ import TROUBLES
from tests.fencing.schedule import run

SAMPLES = 10
SCHEDULES = 50


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_nothing_that_was_acknowledged_is_lost_whoever_is_late(sample: int):
    seen: Counter[str] = Counter()
    for seed in range(sample * SCHEDULES, (sample + 1) * SCHEDULES):
        outcome = run(seed)
        assert not outcome.broken, f"{outcome.why}; again: python -m tests.fencing --seed {seed}"
        seen += outcome.seen
    assert not [name for name in TROUBLES if not seen[name]]


def test_a_seed_gives_the_same_schedule_again():
    assert run(7) == run(7)
