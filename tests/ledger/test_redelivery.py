"""Twice is once: a dispatch that was handled writes nothing when it is told again; a later one does."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.ids import InviteCode, UserId
from tests.ledger.worlds import START_US, World

SECOND = 1_000_000


def cause(world: World, number: int, lane: str = "rest") -> r.GatewayCause:
    return r.GatewayCause(session=world.session, number=number, lane="members" if lane == "members" else "rest")


@pytest.fixture
def world() -> World:
    """A guild that is there; nothing has happened yet."""
    return World(5, joins=0)


def test_an_invites_death_told_twice_is_one_record(world: World):
    died = m.NoteInviteDied(cause=cause(world, 900), code=InviteCode("x"), arrived_us=START_US)
    for message in (died, died, msgspec.structs.replace(died, cause=cause(world, 899))):
        world.tell(message)
    assert sum(isinstance(record.event, r.InviteDied) for record in world.records) == 1


def test_the_next_dispatch_is_news(world: World):
    died = m.NoteInviteDied(cause=cause(world, 900), code=InviteCode("x"), arrived_us=START_US)
    for number in (900, 901):
        world.tell(msgspec.structs.replace(died, cause=cause(world, number)))
    assert sum(isinstance(record.event, r.InviteDied) for record in world.records) == 2


def test_a_new_sessions_numbers_begin_anew(world: World):
    died = m.NoteInviteDied(cause=cause(world, 900), code=InviteCode("x"), arrived_us=START_US)
    world.tell(died)
    world._session_is_lost()
    world.tell(msgspec.structs.replace(died, cause=cause(world, 3)))
    assert sum(isinstance(record.event, r.InviteDied) for record in world.records) == 2


def test_a_leave_told_again_after_the_return_does_not_end_the_new_membership(world: World):
    user = UserId("77")
    leave = m.RecordLeave(cause=cause(world, 902, "members"), user=user, arrived_us=START_US + 30 * SECOND)
    for number, joined_us in ((901, START_US + 20 * SECOND), (903, START_US + 25 * SECOND)):
        join = m.RecordJoin(
            cause=cause(world, number, "members"),
            session=world.session,
            user=user,
            joined_at_us=joined_us,
            arrived_us=joined_us + 1,
        )
        world.tell(join)
        if number < leave.cause.number:
            world.tell(leave)
    world.tell(leave)
    current = world.state.current(user)
    assert current is not None
    assert current.is_open()
