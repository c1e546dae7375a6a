"""Samples that come out of order: what was asked for earlier never takes the place of what is known."""

import pytest

from ledger import messages as m
from ledger import records as r
from ledger.ids import InviteCode, UserId
from ledger.samples import Sample, listed
from tests.ledger.worlds import SECOND, World

NEW = InviteCode("new")


@pytest.fixture
def world() -> World:
    """A guild with a baseline; nothing has happened since."""
    world = World(5, joins=0)
    world.run()
    return world


def sample(world: World, asked_s: int, answered_s: int, *more: r.Counter) -> m.SampleArrived:
    """The counters of before and ``more``, as a person asked for them."""
    arrived = Sample(
        requested_us=world.now_us + asked_s * SECOND,
        answered_us=world.now_us + answered_s * SECOND,
        session=world.session,
        counters=(*world.invites.values(), *more),
        vanity=world.vanity,
    )
    return m.SampleArrived(sample=arrived, request=None)


def test_an_answer_that_a_later_one_overtook_changes_nothing(world: World):
    born = r.Counter(code=NEW, created_at_us=world.now_us + 11 * SECOND, uses=0, inviter=UserId("9"))
    slow, quick = sample(world, 10, 15), sample(world, 12, 13, born)
    world.tell(quick)
    before, written = world.state.baseline, len(world.records)
    world.tell(slow)
    assert (world.state.baseline, len(world.records)) == (before, written)
    assert NEW in world.state.counters


def test_answers_in_the_order_in_which_they_were_asked_for_are_both_taken(world: World):
    for asked_s in (10, 13):
        world.tell(sample(world, asked_s, asked_s + 3))
    assert world.state.baseline is not None
    assert world.state.baseline.requested_us == world.now_us + 13 * SECOND


def test_by_a_clock_that_is_ahead_an_invite_of_before_a_sample_seems_younger_than_it(world: World):
    bound = world.state.baseline
    assert bound is not None
    latest_us = bound.answered_us + 2 * SECOND
    about, younger = (
        r.Counter(code=InviteCode(code), created_at_us=at_us, uses=0)
        for code, at_us in (("about", latest_us), ("younger", latest_us + 1))
    )
    world.tell(sample(world, 10, 11, about, younger))
    before = {source.code for source in listed(world.state, bound)}
    assert about.code in before
    assert younger.code not in before
