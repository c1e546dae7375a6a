"""The clock of this machine: its stamps tell order, and go on whatever becomes of the wall clock."""

import pytest

from actors.clock import SystemClock

SECOND = 1_000_000


class Machine:
    """What the operating system says, in microseconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall_us, self.monotonic_us = 1_700_000_000 * SECOND, 5 * SECOND
        patch.setattr("actors.clock.time.time_ns", lambda: self.wall_us * 1_000)
        patch.setattr("actors.clock.time.monotonic_ns", lambda: self.monotonic_us * 1_000)

    def passes(self, seconds: float) -> None:
        self.wall_us += round(seconds * SECOND)
        self.monotonic_us += round(seconds * SECOND)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_stamps_are_the_wall_clocks_and_rise_all_the_same(machine: Machine):
    clock = SystemClock()
    assert [clock.stamp_us(), clock.stamp_us()] == [machine.wall_us, machine.wall_us + 1]
    machine.passes(3)
    assert clock.stamp_us() == machine.wall_us


def test_while_the_wall_clock_is_behind_stamps_go_on_at_half_its_pace_until_it_is_there(machine: Machine):
    clock = SystemClock()
    before_us = clock.stamp_us()
    machine.wall_us -= 3_600 * SECOND
    for _ in range(4):
        machine.passes(2.5)
        stamp_us = clock.stamp_us()
    assert stamp_us == before_us + 5 * SECOND
    machine.passes(2 * 3_600)
    stamp_us = clock.stamp_us()
    machine.passes(1)
    assert clock.stamp_us() == machine.wall_us > stamp_us


def test_the_wall_clock_set_ahead_is_followed_at_once(machine: Machine):
    clock = SystemClock()
    clock.stamp_us()
    machine.wall_us += 3_600 * SECOND
    assert clock.stamp_us() == machine.wall_us
