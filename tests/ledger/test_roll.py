"""The roll of members: its figures are those that a walk over all memberships gives, whatever has happened."""

from collections import Counter
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ids import UserId, is_tombstone
from ledger.records import Status
from ledger.state import Period, Roll
from tests.ledger.lives import Script, played, restored, scripts

ANNA, BORIS, CARLA = UserId("7"), UserId("30"), UserId("200")
FORGOTTEN = UserId("-1")


def walked(roll: Roll) -> tuple[object, ...]:
    periods = [each for all_of in roll.values() for each in all_of]
    return (
        sum(each.left_us == 0 for each in periods),
        Counter(each.credited for each in periods if each.credited),
        {user for user, all_of in roll.items() if any(each.is_case() for each in all_of)},
        sorted((user for user in roll if not is_tombstone(user)), key=int),
    )


def kept(roll: Roll) -> tuple[object, ...]:
    return roll.here, +roll.credited, roll.cases, list(roll.between(0, None))


@given(scripts(forgetting=True))
def test_what_the_roll_keeps_is_what_a_walk_finds_live_restored_and_copied(script: Script):
    state = played(script).state
    for roll in (state.members, restored(state).members, copy(state.members)):
        assert kept(roll) == walked(roll)
        assert roll == state.members


@pytest.mark.parametrize(
    ("period", "waits"),
    [
        (Period(1, 1, status=Status.REPORTED, staff=BORIS), True),
        (Period(1, 1, status=Status.REPORTED, staff=BORIS, credited=BORIS), False),
        (Period(1, 1, status=Status.REPORTED), False),
        (Period(1, 1, status=Status.REPORTED, staff=BORIS, rejoin=True), False),
        (Period(1, 1, status=Status.REPORTED, staff=BORIS, counted=False), False),
        (Period(1, 1, status=Status.CERTAIN, staff=BORIS), False),
    ],
)
def test_a_report_waits_for_a_person_where_somebody_is_behind_it_and_not_credited(period: Period, *, waits: bool):
    assert kept(Roll({ANNA: (period,)}))[2] == ({ANNA} if waits else set())


def test_a_copy_goes_its_own_way():
    roll = Roll({ANNA: (Period(1, 1, credited=BORIS),)})
    other = copy(roll)
    other[ANNA] = (Period(1, 1, left_us=2),)
    other[BORIS] = (Period(3, 3, status=Status.LIKELY),)
    assert kept(roll) == (1, Counter({BORIS: 1}), set(), [ANNA])
    assert kept(other) == (1, Counter(), {BORIS}, [ANNA, BORIS])


@given(st.permutations([ANNA, BORIS, CARLA, FORGOTTEN]))
def test_people_between_two_ids_come_by_rising_id_as_numbers_not_as_words(order: list[UserId]):
    roll = Roll({user: (Period(1, 1),) for user in order[:2]})
    assert list(roll.between(0, None)) == sorted((user for user in order[:2] if int(user) > 0), key=int)
    for user in order[2:]:
        roll[user] = (Period(1, 1),)
    assert list(roll.between(0, None)) == [ANNA, BORIS, CARLA]
    assert list(roll.between(7, 30)) == [BORIS]
    assert list(roll.between(6, 29)) == [ANNA]
    assert list(roll.between(30, None)) == [CARLA]
    assert list(roll.between(200, None)) == []


def test_who_is_struck_is_nowhere_any_more_and_may_come_back_once():
    roll = Roll({ANNA: (Period(1, 1, status=Status.CONFLICT, credited=BORIS),), CARLA: (Period(2, 2),)})
    assert list(roll.between(0, None)) == [ANNA, CARLA]
    assert [each.opened_us for each in roll.strike(ANNA)] == [1]
    assert kept(roll) == (1, Counter(), set(), [CARLA])
    assert ANNA not in roll
    assert roll.strike(ANNA) == ()
    roll[ANNA] = (Period(5, 5),)
    assert kept(roll) == (2, Counter(), set(), [ANNA, CARLA])
