"""``evolve`` is total and the whole truth: any record, any state; replayed, or from a checkpoint at any cut."""

from hypothesis import given
from hypothesis import strategies as st

from ledger import records as r
from ledger.evolve import evolve
from ledger.ids import InteractionId, InviteCode, SessionId, UserId
from ledger.state import MEMBERS_PER_PAGE, GuildState, pages_of
from tests.ledger.lives import (
    GUILD,
    SECOND,
    START_US,
    Script,
    causes,
    events,
    in_bytes,
    numbered,
    played,
    replayed,
    restored,
    scripts,
)
from tests.ledger.reading import claimed, claims, read, shown
from tests.ledger.test_worlds import played as played_world
from tests.ledger.test_worlds import seeds
from tests.ledger.worlds import World

drafts = st.builds(r.Draft, event=events, cause=causes, key=st.just("k"))


@given(scripts(forgetting=True), st.lists(drafts, min_size=1, max_size=6))
def test_any_record_whatever_the_state_makes_a_state_that_a_checkpoint_holds(script: Script, more: list[r.Draft]):
    state = played(script).state
    for record in numbered(state.seq, more):
        state = evolve(state, record)
        assert state.seq == record.seq
    assert in_bytes(restored(state)) == in_bytes(state)


@given(scripts(forgetting=True, kills=False))
def test_what_is_replayed_is_what_was_lived(script: Script):
    life = played(script)
    assert in_bytes(replayed(life.records)) == in_bytes(life.state)


@given(scripts(forgetting=True, kills=False))
def test_a_checkpoint_at_every_cut_and_the_records_behind_it_are_the_whole(script: Script):
    _every_cut(played(script).records)


@given(seeds)
def test_in_a_true_world_too_a_checkpoint_at_every_cut_and_the_records_behind_it_are_the_whole(seed: int):
    world = World(seed, joins=5)
    world.run()
    _every_cut(world.records)


def _every_cut(records: list[r.Record]) -> None:
    whole = in_bytes(replayed(records))
    state = GuildState(guild=GUILD)
    for cut, record in enumerate(records):
        assert in_bytes(replayed(records[cut:], restored(state))) == whole
        state = evolve(state, record)


def test_a_checkpoint_of_many_members_has_them_in_pages_in_their_order():
    members = tuple(r.SeededMember(UserId(str(at)), START_US + at) for at in range(1, 2 * MEMBERS_PER_PAGE + 2))
    draft = r.Draft(event=r.MembersSeeded(members=members), cause=r.InternalCause(what="member_list"), key="k")
    state = replayed(numbered(0, [draft]))
    assert len(list(pages_of(state))) == 1 + 3
    assert in_bytes(restored(state)) == in_bytes(state)
    assert list(restored(state).members) == [member.user for member in members]


@given(scripts(forgetting=False))
def test_the_state_is_what_the_records_say(script: Script):
    life = played(script)
    assert shown(life.state) == read(life.records)
    assert claimed(life.state) == claims(life.records)


@given(seeds)
def test_in_a_true_world_too_the_state_is_what_the_records_say(seed: int):
    world = played_world(seed)
    assert shown(world.state) == read(world.records)
    assert claimed(world.state) == claims(world.records)


def test_the_newest_256_interactions_and_200_invites_that_are_gone_are_remembered():
    assigned = [
        r.Draft(
            event=r.InviteAssigned(code=InviteCode("A"), staff=UserId("1"), since_us=at, version=at),
            cause=r.InteractionCause(interaction=InteractionId(str(at))),
            key=f"assignment/{at}",
        )
        for at in range(1, 259)
    ]
    invites = [r.Counter(code=InviteCode(f"c{at}"), created_at_us=1, uses=0) for at in range(202)]
    samples = [
        _sample(1, changed=tuple(invites)),
        _sample(2, gone=tuple(invite.code for invite in invites)),
    ]
    state = replayed(numbered(0, [*assigned, *samples]))
    assert list(state.interactions) == [str(at) for at in range(3, 259)]
    assert list(state.interactions.values()) == list(range(3, 259))
    assert list(state.tombstones) == [invite.code for invite in invites[2:]]


def _sample(number: int, at_us: int = 0, **difference: tuple[object, ...]) -> r.Draft:
    at_us = at_us or START_US + number
    event = r.SampleTaken(number=number, requested_us=at_us, answered_us=at_us, session=SessionId("s"), **difference)
    return r.Draft(event=event, cause=r.InternalCause(what="sample"), key=f"sample/{number}")


def test_gaps_are_kept_for_ten_minutes_and_at_most_32_of_them():
    close = [_sample(number) for number in range(1, 36)]
    state = replayed(numbered(0, close))
    assert [gap.number for gap in state.gaps] == list(range(4, 36))
    just = _sample(100, at_us=START_US + 32 + 600 * SECOND)
    state = evolve(state, numbered(state.seq, [just])[0])
    assert [gap.number for gap in state.gaps] == [*range(5, 36), 100], "nobody may have listened in between"
    state = evolve(state, numbered(state.seq, [_sample(101, at_us=START_US + 700 * SECOND)])[0])
    assert [gap.number for gap in state.gaps] == [*range(32, 36), 100, 101]


def test_a_leave_of_somebody_unknown_or_gone_changes_nothing():
    user = UserId("1")
    leaves = [
        r.Draft(
            event=r.LeaveRecorded(user=user, arrived_us=at_us), cause=r.InternalCause(what="x"), key=f"leave/{at_us}"
        )
        for at_us in (5, 20, 30)
    ]
    joined = r.JoinRecorded(user=user, joined_at_us=10, arrived_us=11, session=SessionId("s"))
    join = r.Draft(event=joined, cause=r.InternalCause(what="x"), key="join")
    state = replayed(numbered(0, [leaves[0]]))
    assert state.members == {}
    state = replayed(numbered(0, [join, *leaves[1:]]))
    assert [each.left_us for each in state.members[user]] == [20]
