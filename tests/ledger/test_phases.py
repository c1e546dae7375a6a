"""Phases move along one table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import IllegalMove
from ledger.phases import MOVES, Phase, move


@given(st.sampled_from(Phase), st.sampled_from(Phase))
def test_a_move_is_made_exactly_when_the_table_lists_it(current: Phase, target: Phase):
    if target is current or target in MOVES[current]:
        assert move(current, target) is target
    else:
        with pytest.raises(IllegalMove):
            move(current, target)


def test_live_is_reached_only_by_way_of_rehydrating():
    assert Phase.LIVE not in MOVES[Phase.COLD]
    assert MOVES[Phase.COLD] - {Phase.STOPPING} == {Phase.REHYDRATING}


def test_every_phase_but_the_last_two_can_stop():
    assert all(Phase.STOPPING in MOVES[phase] for phase in Phase if phase not in (Phase.STOPPING, Phase.STOPPED))


def test_nothing_leaves_stopped():
    assert MOVES[Phase.STOPPED] == frozenset()
