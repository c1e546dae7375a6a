"""The host's clock was ahead, and is set right between two processes (NTP, a time zone mended, another host).

From the first thing that the new process hears on, no time of before may be compared with a time of now: that named
people wrongly, took credits back, and let joins wait until the clock was there again. Times in seconds.
"""

import pytest

from ledger import messages as m
from ledger import records as r
from ledger.effects import ReadAudit
from ledger.ids import InteractionId, SessionId, UserId
from ledger.records import Status
from tests.ledger.examples import ADMIN, ANNA, BEN, CARL, OTHER, STAFF, A, Guild, us
from tests.ledger.lives import GREETING, Life, in_bytes, restored

NEW = SessionId("s2")


@pytest.fixture
def guild() -> Guild:
    return Guild()


def begin_anew(guild: Guild, at_s: float) -> None:
    """A new process, whose clock says so."""
    guild.kill(us(at_s))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(at_s)))


def joins_now(guild: Guild, user: UserId, at_s: float) -> None:
    cause = r.GatewayCause(session=NEW, number=round(at_s * 100) + 10**12, lane="members")
    guild.tell(m.RecordJoin(cause=cause, session=NEW, user=user, joined_at_us=us(at_s), arrived_us=us(at_s)))


def test_who_joins_before_the_first_sample_of_the_new_process_is_worked_out(guild: Guild):
    begin_anew(guild, -9)
    joins_now(guild, ANNA, -8.95)
    for at_s in (-8.9, -7.4, -2.4):
        guild.counters(at_s, A=4)
    assert guild.said() == (Status.LIKELY, A, None)


def test_who_joins_now_has_not_used_what_was_used_before(guild: Guild):
    """A use of A was left over at 200 (somebody on the server took a role invite). Anna joins by no invite."""
    guild.counters(100)
    for at_s in (200, 202):
        guild.counters(at_s, A=4)
    begin_anew(guild, 195)
    joins_now(guild, ANNA, 195.05)
    for at_s in (195.1, 196.6, 201.6):
        guild.counters(at_s, A=4)
    assert guild.said()[:2] != (Status.CERTAIN, A)
    assert guild.said()[0] is not Status.PENDING


def test_who_was_credited_before_keeps_that(guild: Guild):
    guild.joins(CARL, 199.9)
    for at_s in (200, 204):
        guild.counters(at_s, B=8)
    begin_anew(guild, 195)
    joins_now(guild, ANNA, 195.05)
    for at_s in (195.1, 196.6, 201.6):
        guild.counters(at_s, A=4, B=8)
    assert guild.said(CARL)[2] == OTHER
    assert A in guild.period().candidates


@pytest.mark.parametrize("ahead_s", [10, 3_600, 10 * 365 * 86_400])
def test_a_join_that_waited_is_called_what_it_may_be_and_stands_in_nobodys_way(guild: Guild, ahead_s: float):
    guild.joins(BEN, 20)
    begin_anew(guild, 20 - ahead_s)
    for at_s in (0.1, 1.6, 6.6, 8):
        guild.counters(20 - ahead_s + at_s, B=8)
    assert guild.said(BEN)[0] in (Status.LIKELY, Status.CANDIDATES)
    joins_now(guild, ANNA, 30 - ahead_s)
    for at_s in (30.1, 31.6, 36.6):
        guild.counters(at_s - ahead_s, A=4, B=8)
    assert guild.said() == (Status.CERTAIN, A, STAFF)
    assert guild.presence.request.number == 0


def test_who_waited_may_have_used_what_was_given_to_another(guild: Guild):
    """Carl by no invite; Ben by A just before the sample, heard just behind it. His other counters never came."""
    guild.joins(CARL, 199.9)
    guild.counters(200, A=4)
    guild.tell(guild.event(BEN, 199.95, 200.2, (), bot=False))
    assert guild.said(CARL)[0] is Status.CERTAIN
    begin_anew(guild, 195)
    guild.counters(195.1, A=4)
    assert guild.said(CARL)[0] in (Status.LIKELY, Status.CANDIDATES)
    assert guild.said(CARL)[2] is None
    for at_s in (196.6, 201.6):
        guild.counters(at_s, A=4)
    assert A in guild.period(BEN).candidates


@pytest.mark.parametrize("heard", ["unreadable", "decided"])
def test_who_has_a_word_already_and_whose_use_is_still_to_be_seen_leaves_it_to_nobody(guild: Guild, heard: str):
    """Ben by A, whose use no list shows until the bot has ended and begun again; then Carl by no invite."""
    if heard == "unreadable":
        guild.tell(unreadable(guild, BEN, 20))
    else:
        guild.joins(BEN, 20)
        guild.decides(BEN, STAFF)
    begin_anew(guild, 10)
    guild.counters(10.1)
    joins_now(guild, CARL, 12.5)
    for at_s in (12.6, 14.1, 19.1):
        guild.counters(at_s, A=4)
    assert guild.said(CARL)[:2] != (Status.CERTAIN, A)
    assert guild.said(CARL)[0] is not Status.PENDING


def unreadable(guild: Guild, user: UserId, at_s: float) -> m.NoteUnreadable:
    return m.NoteUnreadable(
        cause=guild.cause(),
        session=guild.presence.session,
        name="GUILD_MEMBER_ADD",
        digest="d",
        reason="unreadable",
        at_us=us(at_s),
        user=user,
        joined_at_us=us(at_s),
    )


def test_what_is_to_be_read_in_the_audit_log_is_read_now(guild: Guild):
    guild.joins(BEN, 20)
    for at_s in (20.1, 21.6, 26.6):
        guild.counters(at_s)
    begin_anew(guild, 26.6 - 3_600)
    (reading,) = guild.asked(ReadAudit)
    assert reading.due_us < us(60 - 3_600)


def test_who_is_not_in_the_list_has_left(guild: Guild):
    guild.joins(BEN, 20)
    begin_anew(guild, -3_580)
    guild.tell(no_members(-3_579))
    assert not guild.period(BEN).is_open()


def test_what_was_assigned_before_holds_now(guild: Guild):
    guild.tell(m.AssignInvite(interaction=InteractionId("1"), code=A, staff=OTHER, by=ADMIN, at_us=us(10)))
    begin_anew(guild, -3_600)
    for at_s in (-3_599.9, -3_590):
        guild.counters(at_s)
    joins_now(guild, ANNA, -3_580)
    guild.counters(-3_579.9, A=4)
    assert guild.said() == (Status.CERTAIN, A, OTHER)


def test_a_checkpoint_tells_what_the_records_tell(guild: Guild):
    guild.joins(BEN, 20)
    guild.joins(BEN, 27)
    kept = restored(guild.state)
    begin_anew(guild, -3_580)
    assert in_bytes(restored(guild.state)) == in_bytes(guild.state)
    assert in_bytes(kept) != in_bytes(guild.state)


def test_a_process_that_stood_by_while_another_one_counted_has_the_right_time(guild: Guild):
    """It has heard of the guild at 5, and begins when the other one ends, at 30."""
    guild.joins(ANNA, 20)
    guild.counters(20.1, A=4)
    guild.kill(us(30))
    guild.tell(m.GuildCameUp(session=NEW, at_us=us(5)))
    assert not any(isinstance(each.event, r.ContinuityBroken) for each in guild.records)


def no_members(at_s: float) -> m.ReviewMembers:
    return m.ReviewMembers(
        session=NEW, members=(), after=UserId("0"), upto="", started_us=us(at_s), at_us=us(at_s) + 1
    )


# A clock that is ten seconds fast when the server is counted for the first time: the baseline is of 1


@pytest.fixture
def fast() -> Guild:
    guild = Guild.__new__(Guild)
    Life.__init__(guild)
    guild.number = 0
    guild.tell(GREETING)
    guild.counters(1)
    return guild


def test_who_is_listed_before_their_join_is_told_leaves_no_use_to_others(fast: Guild):
    """Ben joins by no invite, Anna by A; the list shows her before her event comes."""
    fast.tell(fast.event(BEN, -8.8, 1.2, (), bot=False))
    fast.lists(1.4, m.ListedMember(user=ANNA, joined_at_us=us(-8.7)), m.ListedMember(user=BEN, joined_at_us=us(-8.8)))
    fast.tell(fast.event(ANNA, -8.7, 1.5, (), bot=False))
    for at_s in (1.6, 3.1, 8.1):
        fast.counters(at_s, A=4)
    assert fast.said(BEN)[:2] != (Status.CERTAIN, A)
    assert (fast.period().counted, A in fast.period().candidates) == (True, True)
    assert len(fast.state.members[ANNA]) == 1


def test_who_was_heard_before_the_first_sample_and_listed_before_that_was_handled_does_not_wait_for_ever(fast: Guild):
    """A process stood by, heard the join, and took over from one that had begun to count since."""
    fast.lists(1.4, m.ListedMember(user=ANNA, joined_at_us=us(-8.7)))
    fast.tell(fast.event(ANNA, -8.7, 0.5, (), bot=False))
    assert (fast.period().counted, fast.said(ANNA)[0]) == (True, Status.UNKNOWN)


def test_a_join_told_again_of_somebody_who_came_long_before_is_none(fast: Guild):
    fast.lists(1.4, m.ListedMember(user=ANNA, joined_at_us=us(-86_400)))
    fast.tell(fast.event(ANNA, -86_400, 5, (), bot=False))
    assert not fast.period().counted


def test_who_was_forgotten_is_counted_by_no_event_told_again(fast: Guild):
    fast.lists(1.4, m.ListedMember(user=ANNA, joined_at_us=us(-8.7)))
    fast.tell(m.ForgetMember(user=ANNA))
    fast.tell(fast.event(ANNA, -8.7, 1.5, (), bot=False))
    assert ANNA not in fast.state.members


def test_who_joined_before_the_server_was_forgotten_is_counted_by_no_event_told_again(fast: Guild):
    """The join is in the records of before; a list shows the member, and a RESUME tells of it again."""
    fast.tell(fast.event(ANNA, 2, 2.2, (), bot=False))
    fast.tell(m.ForgetGuild(at_us=us(5)))
    fast.lists(6, m.ListedMember(user=ANNA, joined_at_us=us(2)))
    fast.tell(fast.event(ANNA, 2, 7, (), bot=False))
    assert sum(isinstance(each.event, r.JoinRecorded) for each in fast.records) == 1
