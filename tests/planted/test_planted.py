"""Each planted bug is caught, each invariant can be broken; and what catches them finds nothing where none is."""

import pytest

from tests.planted.bug import Bug, planted
from tests.planted.hunts import DATABASE_CUTS, HUNTS, look
from tests.planted.registry import ALL, BUGS, WITNESSES
from tests.planted.search import Verdict, search_apart
from tests.simulation.invariants import INVARIANTS

CPU_S = 50.0
TELLING = {
    "overtaken-and-goes-on": 142,
    "history-begun-apart": 71,
    "start-without-the-cloud": 191,
    "empty-folder-begins-anew": 28,
    "last-candidate-left-out": 7,
    "T2: last-candidate-left-out": 7,
    "stale-row-counts": 7,
    "nobody-unseen": 7,
    "T5: nobody-unseen": 7,
    "T1: first-code-that-rose": 13,
    "message-never-edited": 297,
    "T4: message-never-edited": 297,
    "message-overtaken": 297,
    "I5: ask-never-answered": 124,
    "dead-letter-unanswered": 24,
    "checkpoint-of-any-life": 84,
    "replaced-while-it-appended": 52,
    "I4: no-fence": 19,
    "merged-unsynced": 30,
}
"""A run that finds a rare one, where the search begins here; ``make planted`` looks from the first on."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught_by_an_invariant_that_it_breaks(bug: Bug):
    if not set(bug.hunts) & set(HUNTS):
        pytest.skip("nobody here can see it: this Python carries SQLite within itself")
    result = search_apart(bug, CPU_S, TELLING.get(bug.name, 0))
    assert result.verdict is Verdict.CAUGHT, result


def test_every_invariant_of_the_oracle_has_a_witness_against_it():
    assert sorted(name for bug in WITNESSES for name in bug.breaks) == sorted(INVARIANTS)


@pytest.mark.parametrize("name", HUNTS)
def test_a_hunt_finds_nothing_where_no_bug_is_planted(name: str):
    for number in range(2):
        assert look(HUNTS[name], number) is None


def test_every_bug_has_a_name_of_its_own_and_says_who_finds_it():
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert all(bug.hunts and set(bug.hunts) <= {*HUNTS, DATABASE_CUTS} and bug.breaks for bug in BUGS)


def test_a_bug_is_gone_when_it_was_looked_for():
    before = [[vars(swap.owner)[swap.name] for swap in bug.swaps] for bug in BUGS]
    for bug in BUGS:
        with planted(bug):
            assert [vars(swap.owner)[swap.name] for swap in bug.swaps] == [swap.by for swap in bug.swaps]
    assert before == [[vars(swap.owner)[swap.name] for swap in bug.swaps] for bug in BUGS]
