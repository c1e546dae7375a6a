"""The search for one planted bug: its hunts in their order, run by run, until one finds it or time is over.

Hunts are interleaved, so that one which cannot see the bug does not hold up the next: each gets as much time as those
before it have had.
"""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from tests.planted.bug import Bug, planted
from tests.planted.hunts import HUNTS, Find, Hunt, look
from tests.planted.registry import BY_NAME

Seconds = Callable[[], float]

FIRST_TURN_S: Final = 0.5


class Verdict(StrEnum):
    CAUGHT = "caught"
    OTHERWISE = "caught, but by an invariant that it should not break"
    MISSED = "NOT CAUGHT"
    UNFINISHED = "not finished"
    UNTRIED = "not tried"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """``runs``: of the hunt that found it, or of all that did not; ``took_s``: of all together."""

    bug: str
    verdict: Verdict
    find: Find | None
    runs: int
    took_s: float


def untried(bug: str) -> Result:
    """Of a bug that nobody looked for."""
    return Result(bug=bug, verdict=Verdict.UNTRIED, find=None, runs=0, took_s=0.0)


def search(bug: Bug, limit_s: float, now_s: Seconds = time.perf_counter, first: int = 0) -> Result:
    """Looks for about ``limit_s`` seconds at most; missed is what no run of any hunt found, from ``first`` on."""
    began_s = now_s()
    hunts = [HUNTS[name] for name in bug.hunts if name in HUNTS]
    if not hunts:
        return untried(bug.name)
    with planted(bug):
        find, runs, finished = _take_turns(hunts, limit_s, now_s, first)
    return Result(
        bug=bug.name, verdict=_verdict(bug, find, finished=finished), find=find, runs=runs, took_s=now_s() - began_s
    )


def search_apart(bug: Bug, limit_s: float, first: int = 0) -> Result:
    """The same by processor time, in a process of its own: what hunts keep while a bug is planted ends with it."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_search_named, (bug.name, limit_s, first))


def _search_named(name: str, limit_s: float, first: int) -> Result:
    return search(BY_NAME[name], limit_s, time.process_time, first)


def _verdict(bug: Bug, find: Find | None, *, finished: bool) -> Verdict:
    if find is None:
        return Verdict.MISSED if finished else Verdict.UNFINISHED
    return Verdict.CAUGHT if find.invariant in bug.breaks else Verdict.OTHERWISE


def _take_turns(hunts: Sequence[Hunt], limit_s: float, now_s: Seconds, first: int) -> tuple[Find | None, int, bool]:
    """What was found, after how many runs, and whether every run was made."""
    end_s, turn_s = now_s() + limit_s, FIRST_TURN_S
    done = dict.fromkeys((hunt.name for hunt in hunts), first)
    while now_s() < end_s:
        left = [hunt for hunt in hunts if done[hunt.name] < hunt.runs]
        if not left:
            return None, sum(done.values()), True
        for hunt in left:
            find, done[hunt.name] = _turn(hunt, done[hunt.name], min(now_s() + turn_s, end_s), now_s)
            if find is not None:
                return find, done[hunt.name], False
        turn_s *= 2
    return None, sum(done.values()), False


def _turn(hunt: Hunt, number: int, until_s: float, now_s: Seconds) -> tuple[Find | None, int]:
    """Runs from a number on, at least one; what was found, and the number that is next."""
    while number < hunt.runs:
        find, number = look(hunt, number), number + 1
        if find is not None or now_s() >= until_s:
            return find, number
    return None, number
