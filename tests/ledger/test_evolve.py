"""``evolve`` is total and the whole truth: any record, any state; replayed, or from a checkpoint at any cut."""

from hypothesis import given
from hypothesis import strategies as st

from ledger import records as r
from ledger.evolve import evolve
from ledger.ids import UserId
from ledger.state import MEMBERS_PER_PAGE, GuildState, pages_of
from tests.ledger.lives import (
    GUILD,
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
from tests.ledger.test_worlds import played as played_world
from tests.ledger.test_worlds import seeds

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
    _every_cut(played_world(seed).records)


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
