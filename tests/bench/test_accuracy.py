"""The accuracy that the bench shows, on smaller worlds: ours is never wrong where everybody else is."""

import pytest

from tests.bench.accuracy import OURS, Tally, tally_of, tally_of_ours
from tests.bench.trackers import TRACKERS, Tracker
from tests.ledger.listeners import Ours
from tests.ledger.recordings import Recording, record

SEEDS = range(3)


@pytest.fixture(scope="module")
def worlds() -> list[Recording]:
    """Joins from now and then to a raid."""
    return [record(seed, per_minute=rate, joins=90, lags="never") for seed in SEEDS for rate in (1, 6, 20, 60)]


@pytest.mark.parametrize("ours", [kind for _, _, kind in OURS], ids=[name for name, _, _ in OURS])
def test_ours_names_many_and_nobody_wrongly(ours: type[Ours], worlds: list[Recording]):
    tallies = [tally_of_ours(world, ours) for world in worlds]
    assert [each.wrong for each in tallies] == [0] * len(worlds)
    assert sum(each.right for each in tallies) > 300
    assert [_joins(each) for each in tallies] == [len(world.truth) for world in worlds]


@pytest.mark.parametrize("tracker", [kind for _, _, kind in TRACKERS], ids=[name for name, _, _ in TRACKERS])
def test_the_field_names_more_and_some_of_them_wrongly(tracker: type[Tracker], worlds: list[Recording]):
    tallies = [tally_of(world, tracker) for world in worlds]
    assert sum(each.wrong for each in tallies) > len(worlds)
    assert sum(each.right for each in tallies) > sum(each.open for each in tallies)
    assert [_joins(each) for each in tallies] == [len(world.truth) for world in worlds]


def _joins(tally: Tally) -> int:
    return tally.right + tally.wrong + tally.open


def test_alone_and_in_peace_the_field_is_right_too():
    """Their ways are played fairly: where joins are far apart, next to nothing is wrong."""
    world = record(1, per_minute=0.1, joins=60, lags="never")
    for _, _, tracker in TRACKERS:
        tally = tally_of(world, tracker)
        assert tally.wrong <= 3
        assert tally.right > 35


def test_where_the_list_always_lags_ours_is_wrong_far_less_often():
    """What is taken for granted (P2) does not hold there; nobody is right for sure."""
    worlds = [record(seed, per_minute=6, joins=90, lags="always") for seed in SEEDS]
    ours = sum(tally_of_ours(world).wrong for world in worlds)
    for _, _, tracker in TRACKERS:
        assert 10 * ours < sum(tally_of(world, tracker).wrong for world in worlds)
