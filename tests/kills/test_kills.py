"""Killed at every await that a story reaches: each once here, in one way or another; all ways in ``make kills``."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kills import campaign
from tests.kills.acts import modes_at
from tests.kills.campaign import Case, Spot
from tests.kills.points import KERNEL, Point, inventory
from tests.kills.scenarios import SCENARIOS, Scenario
from tests.kills.stage import unheard
from tests.kills.unreached import why_not

DAYS = 3
"""Kills in the gateway's glue; each takes seconds."""
USUAL = "work"


class Gateway(NamedTuple):
    """What the days of the gateway showed."""

    unexplained: list[str]
    faults: list[str]


@pytest.fixture(autouse=True)
def dead_processes_are_thrown_away() -> Iterator[None]:
    """Here, where nobody listens to what they still say."""
    with unheard():
        yield
        gc.collect()


def chosen(scenario: Scenario) -> list[Case]:
    """So many spots that every await of the scenario is on the way to one, each killed once; those of a working day
    are killed in its own.
    """
    left = points_of(scenario.name) - (set() if scenario.name == USUAL else points_of(USUAL))
    turns, cases = cycle(range(7)), []
    for number, spot in enumerate(spots_of(scenario.name)):
        if not left.isdisjoint(spot.place):
            left.difference_update(spot.place)
            modes = [case.mode for case in possible(scenario.name) if case.number == number and case.visit == 1]
            cases.append(Case(scenario.name, number, modes[next(turns) % len(modes)], 1))
    return cases


def points_of(name: str) -> set[Point]:
    return {point for spot in spots_of(name) for point in spot.place}


@cache
def possible(name: str) -> list[Case]:
    return list(campaign.cases(next(each for each in SCENARIOS if each.name == name)))


def spots_of(name: str) -> list[Spot]:
    return campaign.survey(name).spots


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_killed_at_its_awaits_nothing_acknowledged_is_lost_and_all_heals(scenario: Scenario):
    assert campaign.survey(scenario.name).faults == (), "without any kill"
    for case in chosen(scenario):
        run = campaign.play(case)
        assert run.struck, f"{case} did not come to its place"
        assert run.faults == (), f'python -m tests.kills --only "{case}"'


def test_every_await_of_the_kernel_that_can_wait_is_reached_or_it_is_said_why_not():
    reached = {point for scenario in SCENARIOS for point in points_of(scenario.name)}
    waiting = {point for point in inventory(KERNEL).values() if point.waits}
    assert [str(point) for point in sorted(waiting - reached) if not why_not(point)] == []
    assert [str(point) for point in sorted(reached - waiting)] == [], "said never to wait, and waits"
    assert [str(point) for point in sorted(reached) if why_not(point)] == [], "it is reached by now"


def test_the_same_kill_gives_the_same_run():
    case = next(case for case in possible("work") if len(modes_at(spots_of("work")[case.number].place, "guild")) > 3)
    assert campaign.play(case) == campaign.play(case)


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    """In a process of its own: what a torn connect leaves complains when it is collected, in any later test."""
    root = Path(__file__).resolve().parents[2]
    play = f"import json; from tests.kills.gateway import *; print(json.dumps([unexplained(), sample({DAYS})]))"
    played = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", play],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    return Gateway(*json.loads(played.stdout.splitlines()[-1]))


@pytest.mark.timeout(240)
def test_every_await_of_the_gateway_that_can_wait_is_reached_or_it_is_said_why_not(gateway: Gateway):
    assert gateway.unexplained == []


@pytest.mark.timeout(240)
def test_days_of_a_bot_with_a_kill_in_the_gateways_glue(gateway: Gateway):
    assert gateway.faults == []
