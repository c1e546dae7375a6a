"""What a break in continuity makes doubtful, and what it leaves as it was; each rule by an example."""

import pytest

from ledger import messages as m
from ledger import records as r
from ledger.records import Status
from tests.ledger.examples import ANNA, BEN, CARL, OTHER, SESSION, STAFF, A, B, Guild, us
from tests.ledger.test_late_and_unseen import tell_unreadable
from tests.ledger.test_wrong_names import X


@pytest.fixture
def guild() -> Guild:
    return Guild()


def anna_and_ben_by_a(guild: Guild) -> None:
    guild.joins(ANNA, 10)
    guild.joins(BEN, 10.1)
    guild.counters(11, A=5)
    assert [guild.said(user) for user in (ANNA, BEN)] == [(Status.CERTAIN, A, STAFF)] * 2


def breaks(guild: Guild) -> list[str]:
    return [each.event.reason for each in guild.records if isinstance(each.event, r.ContinuityBroken)]


def test_what_was_counted_before_the_connection_was_lost_stays_certain(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.joins(BEN, 30)
    guild.counters(31, A=4, B=8)
    guild.tell(m.NoteGap(at_us=us(60), since_us=us(30.5)))
    assert guild.said(ANNA) == (Status.CERTAIN, A, STAFF)
    assert guild.said(BEN) == (Status.LIKELY, B, None)


def test_two_who_used_one_code_before_an_outage_hid_others_still_have_no_other_candidate(guild: Guild):
    anna_and_ben_by_a(guild)
    guild.tell(m.GuildWentAway(at_us=us(40), lost_us=us(10.5)))
    assert [guild.said(user) for user in (ANNA, BEN)] == [(Status.LIKELY, A, None)] * 2


def test_uses_of_a_time_in_which_members_may_have_been_approved_by_hand_need_be_nobodys_who_joined(guild: Guild):
    """The switch is told by a RESUME: applicants may have made both uses."""
    anna_and_ben_by_a(guild)
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(40), lost_us=us(10.5), replayed=True, approval=True))
    assert [guild.said(user) for user in (ANNA, BEN)] == [(Status.CANDIDATES, None, None)] * 2
    assert {*guild.period().candidates} == {A, "NI"}


def test_an_invite_that_only_the_audit_log_tells_of_stays_one_where_approval_was_switched_unseen(guild: Guild):
    """It was deleted before she came, and stays so: nothing was seen of its uses that could be an applicant's."""
    guild.joins(ANNA, 10)
    made = m.CreatedInvite(code=X, at_us=us(5), max_uses=0, max_age_s=0, by=OTHER, by_bot=False)
    guild.told_live(10.2, creations=(made,), deletions=(m.DeletedInvite(code=X, at_us=us(7), by=OTHER),))
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    before = guild.period().candidates
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(40), lost_us=us(10.5), replayed=True, approval=True))
    assert guild.period().candidates == before == ("NI",)


@pytest.mark.parametrize("name", ["GUILD_MEMBER_REMOVE", "INVITE_CREATE"])
def test_an_event_that_can_hide_no_join_makes_no_use_of_before_doubtful(guild: Guild, name: str):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    tell_unreadable(guild, 40, 10.5, name)
    assert guild.said() == (Status.CERTAIN, A, STAFF)


def test_an_event_that_can_hide_no_join_but_its_own_is_one_break(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    before = guild.state.breaks
    tell_unreadable(guild, 40)
    assert guild.state.breaks == before + 1
    assert guild.said() == (Status.CERTAIN, A, STAFF)


def test_a_switch_to_approval_that_is_told_twice_before_a_sample_is_one(guild: Guild):
    for at_s in (10, 11):
        guild.tell(m.GuildCameUp(session=SESSION, at_us=us(at_s), approval=True))
    assert breaks(guild) == ["approval"]


def test_nobody_is_named_before_the_sample_that_their_window_waits_for_whatever_is_told_of_its_beginning(
    guild: Guild,
):
    """Carl's event comes so late that he may lie in either gap; Ben joins while the second sample is on its way."""
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.tell(guild.event(CARL, 12.5, 19, (), bot=False))
    guild.tell(guild.event(BEN, 19.5, 20.1, (), bot=False))
    guild.counters(20, A=4, B=8)
    assert [guild.said(user)[0] for user in (CARL, BEN)] == [Status.PENDING] * 2
    guild.tell(m.GuildWentAway(at_us=us(20.2), lost_us=us(10.5)))
    assert [guild.said(user)[0] for user in (CARL, BEN)] == [Status.PENDING] * 2
