"""What the audit log and deleted channels say of invites, live and read; each rule by an example."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.decision import Decision
from ledger.effects import ReadAudit
from ledger.evolve import MAX_TOMBSTONES
from ledger.forgetting import names
from ledger.ids import ChannelId, InteractionId, InviteCode
from ledger.records import Status
from tests.ledger.examples import (
    ADMIN,
    ANNA,
    BEN,
    CARL,
    INVITES,
    ONCE,
    OTHER,
    SESSION,
    STAFF,
    A,
    B,
    Guild,
    us,
    used_up,
)


@pytest.fixture
def guild() -> Guild:
    return Guild()


def test_what_the_audit_log_proves_still_holds_when_the_window_is_solved_again(guild: Guild):
    used_up(guild)
    assert guild.said() == (Status.LIKELY, ONCE, None)
    (asked,) = guild.asked(ReadAudit)
    assert isinstance(asked, ReadAudit)
    assert (asked.since_us, asked.due_us) == (us(1 - 60), us(23) + 1), "listed a minute after it was deleted, perhaps"
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    assert not list(guild.asked(ReadAudit))
    guild.tell(guild.event(BEN, 10.5, 24.5, (), bot=False))  # told of late: the window is opened again
    for at_s in (25, 27, 32):
        guild.counters(at_s, gone=ONCE)
    assert [guild.said(user) for user in (ANNA, BEN)] == [(Status.CANDIDATES, None, None)] * 2, "one use, two joins"
    assert {ONCE} < {*guild.period().candidates}
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["used_up"]


def test_a_deletion_that_is_told_later_takes_the_proof_back_with_the_credit(guild: Guild):
    used_up(guild)
    guild.reads(24)
    deletion = m.DeletedInvite(code=ONCE, at_us=us(10.5), by=ADMIN)
    cause = r.GatewayCause(session=SESSION, number=1, lane="rest")
    told = m.NoteLogged(cause=cause, deletions=(deletion,), arrived_us=us(30))
    guild.tell(told)
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["deleted"]
    assert guild.tell(told).drafts == (), "the dispatch came twice"


def test_of_an_invite_that_came_back_an_earlier_deletion_says_nothing(guild: Guild):
    used_up(guild)
    guild.reads(24, m.DeletedInvite(code=ONCE, at_us=0))
    assert guild.said()[0] is Status.CERTAIN


def test_a_log_that_was_asked_for_too_early_or_answers_another_request_proves_nothing(guild: Guild):
    used_up(guild)
    guild.reads(22)
    assert guild.said()[0] is Status.LIKELY
    assert guild.tell(m.AuditArrived(number=0, requested_us=us(60))).drafts == ()
    assert list(guild.asked(ReadAudit)), "it is read again"


DAY_S = 86_400


@pytest.mark.parametrize(
    ("read_s", "status"),
    [
        (23, Status.LIKELY),
        (23.000001, Status.CERTAIN),  # five seconds behind the last sample's answer
        (1 + 45 * DAY_S - 0.000001, Status.CERTAIN),
        (1 + 45 * DAY_S, Status.LIKELY),  # Discord keeps it for 45 days: an entry of the gap may be gone
    ],
)
def test_a_log_proves_what_it_must_hold_by_then_and_still_holds(guild: Guild, read_s: float, status: Status):
    used_up(guild)
    guild.reads(read_s)
    assert guild.said()[0] is status


def test_where_every_join_is_explained_the_log_is_not_read(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    assert guild.said()[0] is Status.CERTAIN
    assert list(guild.asked(ReadAudit)) == []


def test_of_entries_that_no_sample_follows_the_newest_are_kept(guild: Guild):
    codes = [InviteCode(f"x{number}") for number in range(MAX_TOMBSTONES + 2)]
    for code in codes:
        guild.told_live(5, creations=(created(5, code=code),), deletions=(m.DeletedInvite(code=code, at_us=us(5)),))
    assert [each.code for each in guild.state.logged.values()] == codes[2:]
    assert list(guild.state.deletions) == codes[2:]


HARBOUR = ChannelId("7")


def channel_died(guild: Guild, at_s: float) -> Decision:
    return guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(at_s)))


def into_the_harbour(guild: Guild) -> None:
    """The one-use invite leads to a channel of its own."""
    guild.counters(5, also=(msgspec.structs.replace(INVITES[ONCE], channel=HARBOUR),), gone=ONCE)


@pytest.mark.parametrize("told_s", [10.5, 19, 24.5])
def test_an_invite_whose_channel_was_deleted_is_never_used_up_whenever_that_is_told(guild: Guild, told_s: float):
    """Before the sample, before the log is read, and behind it: the proof is taken back, with the credit."""
    into_the_harbour(guild)
    guild.joins(ANNA, 10)
    for at_s, hears in ((10.5, None), (11, ONCE), (13, ONCE), (18, ONCE), (19, None), (24, None), (24.5, None)):
        if hears:
            guild.counters(at_s, gone=ONCE)
        if at_s == 24:
            guild.reads(24)
        if at_s == told_s:
            channel_died(guild, told_s)
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert {*guild.period().candidates} == {ONCE, "NI"}
    assert guild.period().credited is None


def test_an_invite_that_no_sample_has_shown_goes_with_its_channel_as_well(guild: Guild):
    invite = msgspec.structs.replace(SHOWN, channel=HARBOUR)
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=invite, arrived_us=us(SHOWN_S)))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER)
    channel_died(guild, 25)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_a_channel_that_is_deleted_long_after_an_invite_was_used_up_takes_nothing_back(guild: Guild):
    into_the_harbour(guild)
    used_up(guild)
    guild.reads(24)
    assert channel_died(guild, 700).drafts == ()
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)


def test_a_channel_to_which_no_invite_leads_is_nobodys_business(guild: Guild):
    assert channel_died(guild, 10).drafts == ()


def test_that_its_channel_was_deleted_counts_whatever_else_is_told_of_its_death(guild: Guild):
    into_the_harbour(guild)
    guild.joins(ANNA, 10)
    channel_died(guild, 10.5)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(10.6)))
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
    guild.reads(24)
    assert guild.said() == (Status.CANDIDATES, None, None)


def test_of_two_deaths_of_one_invite_the_first_excludes_who_came_later(guild: Guild):
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(5)))
    guild.joins(ANNA, 10)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(10.5)))
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
    assert guild.said() == (Status.UNKNOWN, None, None)


def test_of_two_deaths_of_one_invite_neither_is_that_of_its_channel_unless_one_says_so(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (10.5, 10.6):
        guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(at_s)))
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF), "used up"


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_deletions_of_one_code_each_finds_its_invite_in_any_order(guild: Guild, *, newest_first: bool):
    used_up(guild)
    entries = [m.DeletedInvite(code=ONCE, at_us=at_us) for at_us in (us(10.5), 0)]
    guild.reads(24, *(entries if newest_first else reversed(entries)))
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["deleted"]


def test_an_earlier_deletion_that_is_read_later_does_not_hide_the_one_that_was_told(guild: Guild):
    guild.joins(ANNA, 10)
    guild.told_live(10.5, deletions=(m.DeletedInvite(code=ONCE, at_us=us(10.4)),))
    for at_s in (11, 13):
        guild.counters(at_s)
    guild.reads(14, m.DeletedInvite(code=ONCE, at_us=0))
    guild.counters(18, gone=ONCE)
    guild.reads(50)
    assert guild.said() == (Status.CANDIDATES, None, None)


HIDDEN = InviteCode("hidden")
SHOWN_S = 5
SHOWN = r.Counter(code=HIDDEN, created_at_us=us(SHOWN_S), uses=0, max_uses=1, inviter=OTHER, channel=HARBOUR)


def created(at_s: float, **fields: object) -> m.CreatedInvite:
    """Entry 40 of an invite that nobody has told of."""
    entry = m.CreatedInvite(code=HIDDEN, at_us=us(at_s), max_uses=1, by=OTHER)
    return msgspec.structs.replace(entry, **fields)


def unexplained(guild: Guild, status: Status = Status.UNKNOWN) -> None:
    """Anna alone, and no counter has risen."""
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert guild.said() == (status, None, None)


def test_an_invite_that_only_the_audit_log_tells_of_is_a_candidate_and_may_be_reported(guild: Guild):
    unexplained(guild)
    (asked,) = guild.asked(ReadAudit)
    assert asked.due_us == us(23) + 1
    guild.reads(24, creations=(created(5),))
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    assert not list(guild.asked(ReadAudit))
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER)
    assert guild.period().inviter == OTHER


@pytest.mark.parametrize(
    ("deleted_s", "entry"),
    [
        (None, created(16)),  # behind the join, even if the log is late
        (None, created(3, max_age_s=6)),
        (7.9, created(5)),
        (None, created(-100)),  # the sample before would show it
    ],
)
def test_an_invite_that_was_not_there_at_the_join_is_no_candidate(
    guild: Guild, deleted_s: float | None, entry: m.CreatedInvite
):
    unexplained(guild)
    deletions = [m.DeletedInvite(code=HIDDEN, at_us=us(deleted_s))] if deleted_s else []
    guild.reads(24, *deletions, creations=(entry,))
    assert guild.said() == (Status.UNKNOWN, None, None)


def test_a_deletion_of_it_that_is_told_later_counts(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5),))
    cause = r.GatewayCause(session=SESSION, number=1, lane="rest")
    deletion = m.DeletedInvite(code=HIDDEN, at_us=us(7))
    guild.tell(m.NoteLogged(cause=cause, deletions=(deletion,), arrived_us=us(30)))
    assert guild.said() == (Status.UNKNOWN, None, None)


def test_an_earlier_deletion_of_an_invite_with_the_same_code_ends_nothing(guild: Guild):
    unexplained(guild)
    guild.reads(24, m.DeletedInvite(code=HIDDEN, at_us=us(4.9)), creations=(created(5),))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_the_deletion_of_another_invite_ends_nothing(guild: Guild):
    unexplained(guild)
    guild.reads(24, m.DeletedInvite(code=B, at_us=us(7)), creations=(created(5),))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_an_invite_that_was_heard_of_or_shown_is_not_made_twice(guild: Guild):
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(SHOWN_S)))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    logged = created(5.3), created(1, code=A, at_us=1_000_000), created(5.3)
    guild.reads(24, creations=logged)
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER), "used up, as the log proves"
    assert not [each for each in guild.records if isinstance(each.event, r.CreationLogged)]


def test_an_invite_that_is_told_of_live_is_a_candidate_before_the_log_is_read(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    unexplained(guild, Status.CANDIDATES)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    assert guild.state.logged == {}, "the sample did not show it: it is gone"
    guild.reads(24, creations=(created(5),))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER), "the reading has named who made it"
    logged = [each.event for each in guild.records if isinstance(each.event, r.CreationLogged)]
    assert [each.by for each in logged] == [None, OTHER]


def test_an_invite_of_which_the_reading_says_that_a_bot_made_it_is_nobodys(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    unexplained(guild, Status.CANDIDATES)
    guild.reads(24, creations=(created(5, by_bot=True),))
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, None)
    assert (guild.period().inviter, guild.period().staff) == (OTHER, None)


def makes(guild: Guild) -> Decision:
    """/invite for Anna, which the bot has Discord make and assigns a second later."""
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=HIDDEN, staff=STAFF, by=ADMIN, at_us=us(SHOWN_S + 1), made=SHOWN
    )
    return guild.tell(assign)


def tells_of_it(guild: Guild, at_s: float) -> None:
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(at_s)))


@pytest.mark.parametrize("told_s", [SHOWN_S, SHOWN_S + 2, 19, None])
def test_an_invite_that_the_bot_made_is_one_source_whenever_invite_create_tells_of_it(
    guild: Guild, told_s: float | None
):
    """Late, perhaps; or never, where the bot may not manage the channel."""
    if told_s == SHOWN_S:
        tells_of_it(guild, told_s)
    makes(guild)
    if told_s == SHOWN_S + 2:
        tells_of_it(guild, told_s)
    assert len(guild.state.births) == 1
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    if told_s == 19:
        tells_of_it(guild, told_s)
        guild.counters(20)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["gone"]
    guild.reads(26)
    assert guild.said() == (Status.CERTAIN, HIDDEN, STAFF)


def test_an_invite_that_the_bot_made_and_a_sample_has_shown_is_no_second_source(guild: Guild):
    guild.counters(5.5, also=(SHOWN,))
    makes(guild)
    assert makes(guild).drafts == (), "the interaction was handled before"
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["gone"]
    assert guild.state.births == {}


def test_an_invite_that_the_bot_made_stays_dead_with_its_channel_when_invite_create_tells_of_it_late(guild: Guild):
    makes(guild)
    channel_died(guild, 7)
    tells_of_it(guild, 8)
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["channel_deleted"]


@pytest.mark.parametrize("at_s", [4, 6])
def test_an_invite_that_is_told_of_live_and_then_heard_of_is_not_made_twice(guild: Guild, at_s: float):
    """Also where the log was quicker than INVITE_CREATE."""
    tells = [
        lambda: guild.told_live(at_s, creations=(created(5.3, by=None),)),
        lambda: guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(SHOWN_S))),
    ]
    for tell in tells if at_s < SHOWN_S else reversed(tells):
        tell()
    guild.joins(ANNA, 10)
    for after_s in (11, 13, 18):
        guild.counters(after_s)
    assert [each.why for each in guild.state.gaps[-1].sources] == ["gone"]
    guild.reads(24, creations=(created(5.3),))
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER), "used up, as the log proves"


def test_an_invite_that_is_told_of_live_is_no_more_once_a_sample_shows_it(guild: Guild):
    guild.told_live(6, creations=(created(5.3, by=None),))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s, also=(SHOWN,))
    assert guild.said() == (Status.UNKNOWN, None, None)
    assert guild.state.logged == {}


def test_an_invite_that_is_told_of_live_while_the_sample_is_asked_for_waits_for_the_next_one(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(10.5, A=4)
    guild.told_live(11, creations=(created(10.4, by=None),))
    assert [each.code for each in guild.state.logged.values()] == [HIDDEN]
    guild.joins(BEN, 20)
    for at_s in (21, 23, 28):
        guild.counters(at_s, A=4)
    assert guild.said(ANNA)[0] is Status.CERTAIN
    assert {*guild.period(BEN).candidates} == {HIDDEN, "NI"}


def test_a_deletion_that_is_told_live_ends_it(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    guild.told_live(7.5, deletions=(m.DeletedInvite(code=HIDDEN, at_us=us(7)),))
    unexplained(guild)


def test_a_deletion_of_it_is_no_news_when_the_log_is_read(guild: Guild):
    deletion = m.DeletedInvite(code=HIDDEN, at_us=us(12))
    guild.told_live(6, creations=(created(5, by=None),))
    guild.told_live(12.2, deletions=(deletion,))
    unexplained(guild, Status.CANDIDATES)
    guild.reads(24, deletion, creations=(created(5),))
    guild.joins(BEN, 40, bot=True)
    guild.reads(60, deletion, creations=(created(5),))
    assert isinstance(guild.records[-1].event, r.AuditRead)


def test_it_is_named_by_nobody_but_discord_also_where_others_joined_unseen(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    guild.joins(ANNA, 10)
    later = msgspec.structs.replace(SHOWN, code=InviteCode("later"), created_at_us=us(13), uses=2, max_uses=0)
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=later, arrived_us=us(13)))
    for at_s in (14, 16):
        guild.counters(at_s, also=(later,))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_who_made_it_is_known_where_a_sample_shows_it_later(guild: Guild):
    """The entry came so soon after a sample that its invite may lie on both sides of it."""
    guild.joins(BEN, 5)
    guild.counters(5.5, A=4)
    guild.told_live(7, creations=(created(6.5, by=None),))
    shown = msgspec.structs.replace(SHOWN, created_at_us=us(6), uses=1, max_uses=0)
    guild.joins(ANNA, 7)
    guild.joins(CARL, 7.5)
    for at_s in (8, 10, 15):
        guild.counters(at_s, also=(shown,), A=4)
    assert guild.said()[0] is Status.CANDIDATES
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER)


def test_whoever_made_an_invite_that_waits_for_its_sample_can_be_forgotten(guild: Guild):
    guild.joins(CARL, 5.5, bot=True)
    guild.reads(11, creations=(created(5, by=ADMIN),))
    assert [each.code for each in guild.state.logged.values()] == [HIDDEN], (
        "a reading tells of what the next sample should show"
    )
    assert names(guild.state, ADMIN)
    guild.tell(m.ForgetMember(user=ADMIN))
    assert not names(guild.state, ADMIN)
    unexplained(guild, Status.CANDIDATES)
    [source] = guild.state.gaps[-1].sources
    assert source.inviter == guild.state.tombstone_of(ADMIN) != ADMIN


def test_an_invite_that_waits_for_its_sample_is_no_news_again(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    seq = guild.state.seq
    guild.told_live(7, creations=(created(5, by=None),))
    assert guild.state.seq == seq


def test_a_code_that_comes_back_unseen_is_two_invites(guild: Guild):
    """Of one use each, made within a few seconds, and both gone before the sample: two people may have come so."""
    first, second = created(5, by=None), created(7, by=None)
    for at_s, creations in ((5.5, (first,)), (7.5, (second,))):
        guild.told_live(at_s, creations=creations)
    guild.told_live(8, deletions=(m.DeletedInvite(code=HIDDEN, at_us=us(6)),))
    guild.joins(ANNA, 6)
    guild.joins(BEN, 9)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.hears(40, (ANNA, HIDDEN, 5), (BEN, HIDDEN, 5))
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.REPORTED] * 2


def test_so_it_is_where_a_sample_lies_between_the_two(guild: Guild):
    guild.told_live(12, creations=(created(12, by=None),))
    guild.counters(13)
    guild.told_live(13.6, creations=(created(13.5, by=None),))
    guild.joins(ANNA, 16)
    guild.joins(BEN, 17)
    for at_s in (18, 20, 25):
        guild.counters(at_s)
    guild.hears(45, (ANNA, HIDDEN, 5), (BEN, HIDDEN, 5))
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.REPORTED] * 2


def test_who_added_a_bot_is_named_as_soon_as_the_log_tells_of_it_live(guild: Guild):
    guild.joins(BEN, 10, bot=True)
    guild.told_live(11, bots=(m.AddedBot(bot=BEN, by=ADMIN), m.AddedBot(bot=CARL, by=ADMIN)))
    assert guild.period(BEN).inviter == ADMIN
    assert guild.state.current(CARL) is None


def test_a_bot_that_was_added_twice_is_there_by_the_second(guild: Guild):
    guild.joins(BEN, 10, bot=True)
    guild.reads(20, bots=(m.AddedBot(bot=BEN, by=ADMIN), m.AddedBot(bot=BEN, by=OTHER)))
    assert guild.period(BEN).inviter == OTHER
    keys = [each.key for each in guild.records]
    assert len({*keys}) == len(keys)


def test_a_bot_that_made_it_is_credited_with_nothing(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5, by_bot=True),))
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, None)


def test_a_log_that_tells_the_same_again_writes_nothing_of_it(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5), created(5)))
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    guild.reads(44, creations=(created(5),))
    assert len([each for each in guild.records if isinstance(each.event, r.CreationLogged)]) == 1
    assert guild.said(BEN) == (Status.UNKNOWN, None, None)


def test_a_log_that_was_read_before_the_gap_was_closed_is_read_again_for_it(guild: Guild):
    """Made between two samples, as the clocks say; the join lies behind the second one."""
    unexplained(guild)
    guild.reads(24, creations=(created(19.5),))
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    guild.reads(44, creations=(created(19.5),))
    assert {*guild.period(BEN).candidates} == {HIDDEN, "NI"}


def test_the_log_is_read_at_most_twice_a_minute_and_for_invites_only_as_far_back_as_windows_are_kept(guild: Guild):
    unexplained(guild)
    guild.reads(24)
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert asked.due_us == us(24 + 30)
    for user, joined_s in ((CARL, 1_000), (STAFF, 2_000)):
        guild.joins(user, joined_s)
        for after_s in (1, 3, 8):
            guild.counters(joined_s + after_s)
    (asked,) = guild.asked(ReadAudit)
    assert asked.since_us == us(18 - 60), "of the window of Ben's, which was not read"
    assert asked.invites_since_us == us(38 - 60), "of the oldest gap that is kept"
