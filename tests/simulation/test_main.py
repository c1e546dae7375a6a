"""``make simulate``: what several calls have seen together, and where something was killed."""

from collections import Counter

from tests.kills.points import KERNEL, inventory
from tests.simulation.__main__ import ENOUGH, Notes
from tests.simulation.kill_points import coverage
from tests.simulation.rare import RARE

ALL = Counter(RARE)
LESS = {name: times for name, times in ALL.items() if name != "parked"}


def test_rare_states_are_asked_for_once_enough_runs_were_made_in_however_many_calls():
    assert Notes(following=0, runs=ENOUGH - 1, seen=LESS).lacking() == []
    assert Notes(following=0, runs=ENOUGH, seen=LESS).lacking() == ["parked"]


def test_what_was_seen_is_carried_over_until_nothing_is_lacking():
    few, lacking = Notes(following=7, runs=9, seen=LESS), Notes(following=7, runs=ENOUGH, seen=LESS)
    assert (few.kept(), lacking.kept()) == (few, lacking)
    assert Notes(following=7, runs=ENOUGH, seen=ALL).kept() == Notes(following=7)


def test_who_is_killed_at_every_line_of_the_inventory_was_killed_at_all_of_them():
    points = [point for point in inventory(KERNEL).values() if point.waits]
    killed = [(point.module, point.function, point.line) for point in points]
    done, there = coverage(killed)
    assert done == there > 100
    assert coverage(killed[:1])[0] == 1
    assert coverage([("elsewhere", "", 0)])[0] == 0
