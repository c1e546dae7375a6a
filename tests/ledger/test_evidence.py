"""What comes after the counters: second witness, people, VIPs, announcements; each rule by an example."""

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.announcing import MAX_POSTED
from ledger.answers import Assigned, Decided, MemberReport, ReviewReport
from ledger.decide import MAX_UNSAMPLED, TOO_MANY
from ledger.decision import Decision
from ledger.effects import AnnounceJoin, AskWitness, ListMembers, ReadAudit, SweepMembers
from ledger.errands import is_idle
from ledger.evolve import HEARD_OF_US, MAX_TOMBSTONES
from ledger.forgetting import names
from ledger.ids import VANITY, InteractionId, InviteCode, RoleId, UserId, tombstone
from ledger.phases import Phase
from ledger.records import Status, join_key
from ledger.samples import Sample
from ledger.state import Carried, GapSource, GuildState
from ledger.witness import ABSENT_AGAIN_US
from tests.ledger.examples import (
    ADMIN,
    ANNA,
    BEN,
    CARL,
    CHANNEL,
    INVITES,
    ONCE,
    OTHER,
    SESSION,
    STAFF,
    VIP,
    A,
    B,
    Guild,
    burst,
    us,
    used_up,
)
from tests.ledger.lives import GUILD, SECOND, UNDER_WAY


@pytest.fixture
def guild() -> Guild:
    return Guild()


# Uses that nobody claims


def test_a_use_is_claimed_by_a_join_that_is_told_of_late_or_by_what_the_log_proves(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 14):
        guild.counters(at_s, A=5)
    assert guild.state.unclaimed == {A: 1}
    guild.tell(guild.event(BEN, 10.5, 20, (), bot=False))
    guild.counters(21, A=5)
    assert (guild.state.unclaimed, guild.said(BEN)[:2]) == ({}, (Status.CERTAIN, A))


def test_what_a_window_leaves_unclaimed_is_counted_once_however_often_it_is_worked_out(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 14):
        guild.counters(at_s, gone=ONCE, A=5)
    assert guild.state.unclaimed == {A: 1}
    guild.reads(30)
    closed = [each.event for each in guild.records if isinstance(each.event, r.WindowClosed)]
    assert [(each.again, dict(each.unclaimed)) for each in closed[-2:]] == [(False, {A: 1}), (True, {A: 1})]
    assert guild.state.unclaimed == {A: 1}


def test_an_invite_that_was_heard_of_proves_all_its_uses_though_it_is_older_than_the_sample_before(guild: Guild):
    """Discord lists an invite a moment late; what was heard of since that sample has no earlier use."""
    invite = r.Counter(code=InviteCode("young"), created_at_us=us(1), uses=0, inviter=OTHER)
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=invite, arrived_us=us(2)))
    guild.joins(ANNA, 10)
    guild.counters(11, also=(msgspec.structs.replace(invite, uses=1),))
    assert guild.said() == (Status.CERTAIN, "young", OTHER)


def test_lower_counters_are_not_believed_while_the_use_of_a_join_of_just_now_may_be_missing(guild: Guild):
    """Three stale lists in a minute: else that use would lie below the new baseline, seen by nobody."""
    for at_s in (10, 40):
        guild.counters(at_s, A=2)
    guild.joins(ANNA, 69.9)
    guild.counters(70, A=2)
    assert guild.said()[0] is Status.PENDING
    guild.counters(75, A=2)
    assert guild.said() == (Status.CANDIDATES, None, None), "by then they are"


@pytest.mark.parametrize(("later_s", "candidates"), [(0, {A, "NI"}), (1, {"NI"})])
def test_who_is_approved_by_hand_may_have_applied_up_to_half_a_year_before(
    guild: Guild, later_s: int, candidates: set[str]
):
    guild.tell(m.GuildCameUp(session=SESSION, at_us=us(2), approval=True))
    guild.lists(3)
    for at_s in (4, 11, 14, 20):
        guild.counters(at_s, A=3 if at_s == 4 else 4)
    end_s = 11 + 180 * 86_400 + later_s
    guild.joins(ANNA, end_s - 8)
    for at_s in (end_s - 7, end_s - 5, end_s):
        guild.counters(at_s, A=4)
    assert {*guild.period().candidates} == candidates


def test_of_uses_that_nobody_claims_those_stay_that_a_late_join_leaves(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 14):
        guild.counters(at_s, A=6)
    assert guild.state.unclaimed == {A: 2}
    guild.tell(guild.event(BEN, 10.5, 20, (), bot=False))
    for at_s in (21, 24):
        guild.counters(at_s, A=6)
    assert guild.state.unclaimed == {A: 1}


def test_a_window_that_is_worked_out_again_counts_nothing_of_another_ones_unclaimed_uses(guild: Guild):
    for user, at_s, uses in ((ANNA, 10, 5), (CARL, 100, 7)):
        guild.joins(user, at_s)
        for after_s in (1, 4):
            guild.counters(at_s + after_s, gone=ONCE, A=uses)
    assert guild.state.unclaimed == {A: 2}
    guild.reads(120)
    assert guild.state.unclaimed == {A: 2}


def test_which_window_left_a_use_unclaimed_is_remembered_as_long_as_its_gap(guild: Guild):
    for window in range(3):
        at_s = 10 + 1_000 * window
        guild.joins(UserId(str(500 + window)), at_s)
        for after_s in (1, 4):
            guild.counters(at_s + after_s, A=5 + 2 * window)
    assert guild.state.unclaimed == {A: 3}
    assert set(guild.state.unclaimed_lately) <= {gap.number for gap in guild.state.gaps}


def test_where_more_uses_went_missing_since_it_was_asked_for_them_it_is_asked_again(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11)
    guild.counters(13)
    guild.joins(BEN, 13.05)
    guild.counters(18)
    assert guild.said()[0] is Status.PENDING
    for at_s in (19, 21, 26):
        guild.counters(at_s)
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.UNKNOWN] * 2


def test_a_vanity_url_that_was_not_there_before_may_have_been_used_any_number_of_times(guild: Guild):
    guild.joins(ANNA, 10)
    vanity = r.Vanity(code="harbour", uses=7)
    for at_s in (11, 13, 18):
        sample = Sample(
            requested_us=us(at_s),
            answered_us=us(at_s) + 1,
            session=SESSION,
            counters=tuple(INVITES.values()),
            vanity=vanity,
        )
        guild.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
    assert {*guild.period().candidates} == {VANITY, "NI"}


# Invites without number


def test_births_and_deaths_that_no_sample_follows_are_kept_up_to_a_number_and_break_continuity_beyond(guild: Guild):
    for each in range(MAX_UNSAMPLED + 5):
        invite = r.Counter(code=InviteCode(f"x{each}"), created_at_us=us(5), uses=0)
        cause = r.GatewayCause(session=SESSION, number=each + 1, lane="rest")
        guild.tell(m.NoteInviteBorn(cause=cause, invite=invite, arrived_us=us(5)))
        died = r.GatewayCause(session=SESSION, number=each + 1, lane="members")
        guild.tell(m.NoteInviteDied(cause=died, code=invite.code, arrived_us=us(6)))
    assert (len(guild.state.births), len(guild.state.deaths)) == (MAX_UNSAMPLED, MAX_UNSAMPLED)
    assert guild.state.broken == (TOO_MANY,)
    guild.number = 2 * MAX_UNSAMPLED
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    assert guild.said() == (Status.LIKELY, A, None)


def test_of_invites_that_came_and_went_unlisted_the_newest_are_remembered(guild: Guild):
    codes = [InviteCode(f"x{each}") for each in range(MAX_TOMBSTONES + 2)]
    for code in codes:
        invite = r.Counter(code=code, created_at_us=us(5), uses=0)
        guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=invite, arrived_us=us(5)))
    guild.counters(11)
    assert list(guild.state.tombstones) == codes[2:]


def test_a_log_that_may_not_be_read_is_asked_for_again_in_an_hour_and_the_guild_may_rest(guild: Guild):
    used_up(guild)
    number = guild.presence.audit.number
    guild.tell(m.AuditFailed(number=number, reason="forbidden", forbidden=True, at_us=us(24)))
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert asked.due_us == us(24 + 3_600)
    assert not is_idle(guild.state, guild.presence), "the second witness has not spoken"
    for number in (guild.presence.witness.number, guild.presence.sweeping.number):
        guild.tell(m.WitnessFailed(number=number, reason="switched_off", at_us=us(31), again_s=86_400.0))
    assert is_idle(guild.state, guild.presence)


def test_who_added_a_bot_is_told_once(guild: Guild):
    guild.joins(ANNA, 10, bot=True)
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert (asked.since_us, asked.due_us) == (us(8), us(15))
    guild.reads(16, bots=(m.AddedBot(bot=ANNA, by=ADMIN), m.AddedBot(bot=BEN, by=ADMIN)))
    assert (guild.period().status, guild.period().inviter) == (Status.NON_INVITE, ADMIN)
    verdicts = guild.period().verdicts
    guild.joins(CARL, 20, bot=True)
    guild.reads(26, bots=(m.AddedBot(bot=ANNA, by=STAFF),))
    assert (guild.period().inviter, guild.period().verdicts) == (ADMIN, verdicts)


# The second witness


def test_it_is_asked_of_ten_joins_at_once_when_they_are_old_enough(guild: Guild):
    for number in range(12):
        guild.joins(UserId(str(200 + number)), 10 + number / 10)
    (asked,) = guild.asked(AskWitness)
    assert isinstance(asked, AskWitness)
    assert [int(user) for user in asked.users] == list(range(200, 210))
    assert asked.due_us == us(10.9) + HEARD_OF_US


def test_a_join_that_it_does_not_know_is_asked_for_four_times_in_all(guild: Guild):
    burst(guild)
    guild.hears(31, (BEN, B, 5))
    for tries, wait_us in enumerate(ABSENT_AGAIN_US[1:], start=1):
        (asked,) = (each for each in guild.errands if isinstance(each, AskWitness))
        assert (asked.users, asked.due_us) == ((ANNA,), us(30) + wait_us), tries
        guild.hears(31 + wait_us / SECOND)
    guild.hears(4_000)
    assert guild.state.unheard == {}
    assert guild.period().report == r.Report(-1)
    assert guild.said() == (Status.REPORTED, A, STAFF), "by elimination"
    guild.hears(5_000, (ANNA, A, 5))
    assert guild.said() == (Status.REPORTED, A, STAFF), "an answer to no question of now"


def test_whoever_leaves_is_not_asked_for(guild: Guild):
    burst(guild)
    guild.leaves(ANNA, 12)
    assert [each.user for each in guild.state.unheard.values()] == [BEN]


def test_a_certain_result_that_it_contradicts_makes_the_guild_careful(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    assert not guild.state.pooled
    guild.hears(31, (ANNA, B, 5))
    assert guild.said() == (Status.CONFLICT, None, None)
    guild.joins(BEN, 40)
    guild.counters(41, A=5)
    assert guild.said(BEN)[0] is Status.CERTAIN
    assert guild.state.pooled, "for good"


def test_the_vanity_url_is_named_by_its_way_whatever_its_text(guild: Guild):
    burst(guild)
    guild.hears(31, (ANNA, InviteCode("old-text"), 6))
    assert (guild.said()[0], guild.period().candidates) == (Status.CONFLICT, ("A", "B", "VANITY"))


def test_those_of_before_are_reported_by_pages_and_credited_only_if_the_owner_wants(guild: Guild):
    old = tuple(m.ListedMember(user=user, joined_at_us=us(-100) + int(user)) for user in (ANNA, BEN))
    guild.lists(5, *old)
    (asked,) = guild.asked(SweepMembers)
    assert isinstance(asked, SweepMembers)
    assert (asked.after_us, asked.after) == (0, "0")
    rows = tuple(
        m.SearchedMember(user=each.user, joined_at_us=each.joined_at_us, report=r.Report(way, code, maker))
        for each, way, code, maker in zip(old, (5, 3), (A, None), (STAFF, None), strict=True)
    )
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=rows, at_us=us(6), swept=True))
    assert guild.said() == (Status.REPORTED, A, None)
    assert (guild.period(BEN).status, guild.period(BEN).reason) == (Status.NON_INVITE, "discovery")
    assert (guild.state.sweep.upto_us, guild.state.sweep.done) == (old[1].joined_at_us, False)
    guild.settles(credit_backfill=True)
    again = m.WitnessAnswered(number=guild.presence.sweeping.number, rows=rows, at_us=us(9), swept=True, done=True)
    assert not [each for each in guild.tell(again).drafts if isinstance(each.event, r.CreditGranted)], "known already"
    assert guild.state.sweep.done
    assert not list(guild.asked(SweepMembers))


def test_who_came_by_no_invite_before_we_counted_has_no_candidates_and_credits_nobody(guild: Guild):
    guild.settles(credit_backfill=True)
    guild.lists(5, m.ListedMember(user=ANNA, joined_at_us=us(-100)))
    row = m.SearchedMember(user=ANNA, joined_at_us=us(-100), report=r.Report(3, None, None))
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=(row,), at_us=us(6), swept=True))
    assert (guild.period().status, guild.period().candidates) == (Status.NON_INVITE, ())
    assert not [each for each in guild.records if isinstance(each.event, r.CreditGranted)]


def test_of_those_of_before_of_whom_nothing_is_told_nothing_is_reported(guild: Guild):
    people = {ANNA: r.Report(5, A), BEN: r.Report(-1)}
    guild.lists(5, *(m.ListedMember(user=user, joined_at_us=us(-100)) for user in people))
    rows = tuple(m.SearchedMember(user=user, joined_at_us=us(-100), report=report) for user, report in people.items())
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=rows, at_us=us(6), swept=True))
    (reported,) = [each.event for each in guild.records if isinstance(each.event, r.MembersReported)]
    assert [each.user for each in reported.members] == [ANNA]


def test_of_those_of_before_it_is_said_by_which_assignment_somebody_is_credited(guild: Guild):
    assign = m.AssignInvite(interaction=InteractionId("1"), code=A, staff=OTHER, by=ADMIN, at_us=us(-200))
    guild.tell(assign)
    guild.lists(5, m.ListedMember(user=ANNA, joined_at_us=us(-100)))
    row = m.SearchedMember(user=ANNA, joined_at_us=us(-100), report=r.Report(5, A, STAFF))
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=(row,), at_us=us(6), swept=True))
    (reported,) = [each.event for each in guild.records if isinstance(each.event, r.MembersReported)]
    assert [(each.staff, each.assignment) for each in reported.members] == [(OTHER, 1)]


def test_new_permissions_let_it_be_asked_at_once_that_had_failed(guild: Guild):
    guild.lists(5, m.ListedMember(user=ANNA, joined_at_us=us(-100)))
    number = guild.presence.sweeping.number
    guild.tell(m.WitnessFailed(number=number, reason="forbidden", at_us=us(6), again_s=86_400.0))
    assert [each.due_us for each in guild.asked(SweepMembers)] == [0]
    assert guild.presence.sweeping.from_us > us(86_000)
    guild.tell(m.NotePermissions(at_us=us(7)))
    assert guild.presence.sweeping.from_us < us(86_000)


def test_a_failure_of_no_request_is_nothing(guild: Guild):
    before = guild.presence
    assert before.witness.number == 0, "nobody has joined yet"
    guild.tell(m.WitnessFailed(number=0, reason="status_500", at_us=us(6)))
    assert guild.presence == before


# People


def test_a_decision_is_answered_as_it_then_stands_and_nothing_but_another_supersedes_it(guild: Guild):
    burst(guild)
    before = guild.period()
    answer = guild.decides(ANNA, OTHER, B).answer
    after = guild.period()
    assert isinstance(answer, Decided)
    assert answer.before == before
    for field in ("status", "code", "staff", "candidates", "reason", "credited"):
        assert getattr(answer.period, field) == getattr(after, field), field
    assert guild.said() == (Status.MANUAL, B, OTHER)
    guild.hears(31, (ANNA, A, 5))
    assert guild.said() == (Status.MANUAL, B, OTHER)
    guild.decides(ANNA, None)
    assert guild.said() == (Status.MANUAL, None, None)
    assert isinstance(guild.decides(CARL, STAFF).answer, MemberReport)


def test_settings_change_by_field_and_other_vip_roles_are_looked_for_at_once(guild: Guild):
    assert guild.settles(young_days=30).effects == ()
    assert guild.settles(vip_roles=(VIP,)).effects == (ListMembers(session=SESSION),)
    assert guild.state.settings == r.Settings(young_days=30, vip_roles=(VIP,))
    assert guild.settles(young_days=30).drafts == ()


def test_two_who_change_one_list_at_once_both_have_what_they_asked_for(guild: Guild):
    other = RoleId("10")
    guild.changes(templates={"known": "hello"}, vips=(VIP,))
    guild.changes(templates={"bot": "a bot"}, vips=(other, VIP))
    assert guild.state.settings == r.Settings(templates={"known": "hello", "bot": "a bot"}, vip_roles=(VIP, other))
    guild.changes(templates={"known": ""}, no_vips=(VIP,))
    assert guild.state.settings == r.Settings(templates={"bot": "a bot"}, vip_roles=(other,))
    assert guild.changes(templates={"known": ""}, no_vips=(VIP,)).drafts == ()


def test_a_credit_says_on_which_verdict_it_rests(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.decides(ANNA, OTHER, B)
    granted = [each.event for each in guild.records if isinstance(each.event, r.CreditGranted)]
    assert [(each.staff, each.verdict) for each in granted] == [(STAFF, 1), (OTHER, 2)]


def test_an_assignment_that_was_made_is_not_made_again_though_another_one_has_come_since(guild: Guild):
    first, second = (
        m.AssignInvite(interaction=InteractionId(str(each)), code=A, staff=staff, by=ADMIN, at_us=us(each))
        for each, staff in ((2, OTHER), (3, BEN))
    )
    guild.tell(first)
    guild.tell(second)
    again = guild.tell(first)
    assert again.drafts == ()
    assert isinstance(again.answer, Assigned)
    assert (again.answer.assignment.staff, again.answer.news) == (BEN, True)


def test_a_label_stays_where_an_assignment_names_none(guild: Guild):
    for number, label in enumerate(("summer", "")):
        staff = (OTHER, BEN)[number]
        interaction = InteractionId(f"label {number}")
        guild.tell(
            m.AssignInvite(interaction=interaction, code=A, staff=staff, by=ADMIN, at_us=us(2 + number), label=label)
        )
    assert guild.state.labels == {A: "summer"}


# VIPs


def vip_credits(guild: Guild) -> list[tuple[str, str, str]]:
    return [
        (type(each.event).__name__, each.event.user, each.event.staff)
        for each in guild.records
        if isinstance(each.event, r.CreditGranted | r.CreditReversed) and each.event.kind == "vip"
    ]


def test_an_upgrade_is_credited_once_however_often_the_role_goes_and_comes(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.updates(ANNA, 20, VIP)
    guild.updates(ANNA, 21, VIP)
    guild.updates(ANNA, 22)
    assert not guild.period().vip
    guild.updates(ANNA, 23, VIP)
    assert (guild.period().vip, guild.period().vip_since_us) == (True, us(20))
    assert vip_credits(guild) == [("CreditGranted", ANNA, STAFF)]


def test_roles_of_another_membership_make_nobody_a_vip_in_this_one(guild: Guild):
    """Their leave and their return were missed."""
    guild.settles(vip_roles=(VIP,))
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.tell(m.NoteMember(join=guild.event(ANNA, 20, 21, (VIP,), bot=False)))
    assert vip_credits(guild) == []
    assert not guild.state.members[ANNA][0].vip


def test_an_upgrade_of_an_open_join_is_credited_when_that_is_settled(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    burst(guild)
    guild.updates(ANNA, 20, VIP)
    assert vip_credits(guild) == []
    guild.decides(ANNA, OTHER, B)
    guild.decides(ANNA, STAFF, A)
    moved = [("CreditGranted", ANNA, OTHER), ("CreditReversed", ANNA, OTHER), ("CreditGranted", ANNA, STAFF)]
    assert vip_credits(guild) == moved


@pytest.mark.parametrize(("once", "credits_"), [("life", 1), ("membership", 2)])
def test_whoever_comes_back_and_is_upgraded_again_is_credited_as_the_owner_set(
    guild: Guild, once: str, credits_: int
):
    guild.settles(vip_roles=(VIP,), vip_once=once)
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.updates(ANNA, 12, VIP)
    guild.leaves(ANNA, 20)
    guild.joins(ANNA, 30)
    guild.counters(31, A=4, B=8)
    guild.updates(ANNA, 40, VIP)
    assert guild.said() == (Status.CERTAIN, B, None), "a return is not credited"
    assert len(vip_credits(guild)) == credits_


def test_who_has_left_is_no_new_vip_and_the_list_tells_of_those_who_became_one_unseen(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    burst(guild)
    guild.leaves(ANNA, 12)
    guild.updates(ANNA, 13, VIP)
    assert not any(isinstance(each.event, r.VipChanged) for each in guild.records)
    guild.lists(20, m.ListedMember(user=BEN, joined_at_us=guild.period(BEN).opened_us, roles=(VIP,)))
    assert guild.period(BEN).vip


def test_roles_that_say_what_is_known_are_no_news(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    guild.joins(ANNA, 10)
    guild.updates(ANNA, 20, VIP)
    for roles in ((VIP,), (VIP, RoleId("8"))):
        event = guild.event(ANNA, 10, 21, roles, bot=False)
        assert guild.tell(m.NoteMember(join=event)).drafts == ()


# Announcements


def test_what_is_decided_of_somebody_who_was_there_before_is_announced_nowhere(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    guild.lists(5, m.ListedMember(user=ANNA, joined_at_us=us(-100)))
    guild.decides(ANNA, STAFF, A)
    assert guild.state.outbox == {}


def announced(guild: Guild, message: str, verdict: int | None = None, user: UserId = ANNA) -> Decision:
    period = guild.period(user)
    told = m.Announced(
        number=guild.presence.announcing.number,
        user=user,
        opened_us=period.opened_us,
        verdict=period.verdicts if verdict is None else verdict,
        channel=CHANNEL,
        message=message,
        at_us=us(50),
    )
    return guild.tell(told)


def test_a_join_is_announced_with_its_first_verdict_and_edited_with_each_later_one(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    burst(guild)
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert (asked.user, asked.message, asked.channel, asked.period.status) == (ANNA, "", CHANNEL, Status.CANDIDATES)
    announced(guild, "77")
    assert list(guild.state.outbox) == [join_key(BEN, us(10.1))]
    announced(guild, "78", user=BEN)
    guild.hears(31, (ANNA, A, 5))
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert (asked.message, asked.period.status, asked.total) == ("77", Status.REPORTED, 1)


def test_what_announces_a_join_knows_the_labels_of_its_codes_and_no_others(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    for code, label in ((A, "summer"), (InviteCode("other"), "winter")):
        interaction = InteractionId(f"label {code}")
        guild.tell(m.AssignInvite(interaction=interaction, code=code, staff=ANNA, by=ANNA, at_us=us(1), label=label))
    burst(guild)
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert asked.labels == {A: "summer"}


def test_a_verdict_that_came_while_the_message_was_sent_is_shown_next(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    burst(guild)
    guild.hears(31, (ANNA, A, 5))
    announced(guild, "77", verdict=1)
    assert join_key(ANNA, us(10)) in guild.state.outbox
    announced(guild, "77", verdict=2)
    assert join_key(ANNA, us(10)) not in guild.state.outbox
    assert announced(guild, "77").drafts == (), "it is known"


def test_of_who_is_forgotten_no_message_is_known_any_more_and_none_waits(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    burst(guild)
    announced(guild, "77", verdict=1)
    guild.hears(31, (ANNA, A, 5))
    assert {join_key(ANNA, us(10))} == guild.state.posted.keys()
    guild.tell(m.ForgetMember(user=ANNA))
    assert guild.state.posted == {}
    assert not [key for key in guild.state.outbox if f"/{ANNA}/" in key]


def test_what_cannot_be_shown_is_not_tried_for_ever_and_what_failed_is_tried_later(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    number = guild.presence.announcing.number
    guild.tell(m.AnnouncingFailed(number=number + 1, reason="status_500", at_us=us(12)))
    assert guild.presence.announcing.number == number, "of another request"
    guild.tell(m.AnnouncingFailed(number=number, reason="status_500", at_us=us(12)))
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert asked.due_us == us(13.5)
    announced(guild, "")
    assert guild.state.outbox == {}
    assert guild.state.posted == {}


def test_without_a_channel_nothing_waits_and_a_channel_set_later_tells_of_later_joins(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.settles(log_channel=CHANNEL)
    guild.hears(31, (ANNA, A, 5))
    assert guild.state.outbox == {}
    guild.joins(BEN, 40)
    guild.counters(41, A=4, B=8)
    assert list(guild.state.outbox) == [join_key(BEN, us(40))]
    guild.settles(log_channel=None)
    assert guild.state.outbox == {}


def test_the_newest_thousand_messages_are_remembered(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    for number in range(MAX_POSTED + 5):
        user = UserId(str(1_000 + number))
        guild.joins(user, 10 + number, bot=True)
        announced(guild, str(number), user=user)
    assert len(guild.state.posted) == MAX_POSTED
    assert guild.state.outbox == {}


def test_a_guild_that_is_away_asks_nothing(guild: Guild):
    burst(guild)
    guild.tell(m.GuildWentAway(at_us=us(20)))
    assert guild.presence.phase is Phase.AWAY
    assert guild.errands == ()


def waiting(guild: Guild) -> list[UserId]:
    answer = guild.tell(m.DescribeReview()).answer
    assert isinstance(answer, ReviewReport)
    return [case.user for case in answer.cases]


@pytest.mark.parametrize("allowed", [True, False])
def test_what_the_owner_does_not_let_a_report_credit_waits_for_a_person(guild: Guild, *, allowed: bool):
    guild.settles(credit_reported=allowed)
    burst(guild)
    assert waiting(guild) == [BEN, ANNA]
    guild.hears(35, (ANNA, A, 5), (BEN, B, 5))
    assert guild.said() == (Status.REPORTED, A, STAFF if allowed else None)
    assert waiting(guild) == ([] if allowed else [BEN, ANNA])
    guild.decides(ANNA, STAFF, A)
    assert waiting(guild) == ([] if allowed else [BEN])


# Forgetting


def test_who_is_forgotten_is_asked_for_nowhere_and_older_checkpoints_know_too_much(guild: Guild):
    burst(guild)
    assert [each.user for each in guild.state.unheard.values()] == [ANNA, BEN]
    guild.tell(m.ForgetMember(user=ANNA))
    assert [each.user for each in guild.state.unheard.values()] == [BEN]
    assert guild.state.forgot_seq == guild.state.seq


def test_whoever_else_is_named_beside_the_forgotten_keeps_their_name(guild: Guild):
    guild.tell(m.AssignInvite(interaction=InteractionId("7"), code=A, staff=OTHER, by=ADMIN, at_us=us(2)))
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    named = guild.period()
    assert (named.inviter, named.staff, named.credited) == (STAFF, OTHER, OTHER)
    guild.tell(m.ForgetMember(user=STAFF))
    named = guild.period()
    assert (named.inviter, named.staff, named.credited, named.vip_credited) == (tombstone(1), OTHER, OTHER, None)


def test_a_use_that_somebody_may_still_claim_names_whose_invite_it_was():
    source = GapSource(A, 1, exact=False, uses=1, why="applied", inviter=STAFF)
    state = GuildState(guild=GUILD, carried=(Carried(source, us(1)),))
    assert names(state, STAFF)
    assert not names(state, OTHER)
