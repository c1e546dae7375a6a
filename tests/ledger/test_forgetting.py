"""Forgetting is a renaming: nobody else's verdict changes, no join is counted twice, whatever happens in between."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import messages as m
from ledger import records as r
from ledger.answers import Answer, Forgot, MemberReport
from ledger.decide import decide
from ledger.effects import FetchSample
from ledger.evolve import evolve
from ledger.forgetting import person
from ledger.ids import InteractionId, InviteCode, UserId, is_tombstone, tombstone
from ledger.presence import Presence
from ledger.reports import codes_report
from ledger.samples import Sample
from ledger.state import GuildState, Period, from_pages, pages_of
from ledger.verdicts import plain_verdict, pronounce
from tests.ledger.lives import GREETING, UNDER_WAY, Life
from tests.ledger.worlds import GUILD, START_US, World

SECOND = 1_000_000
INVITERS = [UserId(str(number)) for number in (1, 2, 3)]
PEOPLE = [UserId(str(number)) for number in range(1_000, 1_012)]

seeds = st.integers(min_value=0, max_value=10**9)
moments = st.integers(START_US, START_US + 120 * SECOND)
forgettings = st.lists(st.tuples(moments, st.sampled_from([*INVITERS, *PEOPLE])), min_size=1, max_size=4)
whole = st.lists(st.tuples(moments, st.sampled_from([*INVITERS, *PEOPLE, None])), min_size=1, max_size=4)


def played(seed: int, forgotten: list[tuple[int, UserId]] | list[tuple[int, UserId | None]]) -> World:
    world = World(seed)
    for when_us, user in forgotten:
        world.forget_at(when_us, user)
    world.run()
    return world


def told_of(state: GuildState) -> Iterator[tuple[tuple[UserId, int], tuple[object, ...], Period]]:
    """Every membership, by whom it is of, with what is said of it but for names."""
    for name, periods in state.members.items():
        for each in periods:
            said = each.status, each.code, each.candidates, each.reason, each.left_us, each.rejoin, each.aliases
            yield (person(state, name), each.opened_us), said, each


def replayed(records: list[r.Record], state: GuildState | None = None) -> GuildState:
    state = state or GuildState(guild=GUILD)
    for record in records:
        state = evolve(state, record)
    return state


@given(seeds, forgettings)
def test_nobodys_verdict_changes_and_only_names_of_the_forgotten_do(seed: int, forgotten: list[tuple[int, UserId]]):
    plain, world = played(seed, []).state, played(seed, forgotten).state
    expected = {key: (said, period) for key, said, period in told_of(plain)}
    found = {key: (said, period) for key, said, period in told_of(world)}
    assert {key: said for key, (said, _) in found.items()} == {key: said for key, (said, _) in expected.items()}
    for key, (_, period) in found.items():
        before = expected[key][1]
        for now, then in ((period.staff, before.staff), (period.inviter, before.inviter)):
            assert now == then or (now and person(world, now) == then)
        assert (period.credited is None) == (before.credited is None)


@given(seeds, forgettings)
def test_later_records_name_an_inviter_who_was_forgotten_by_the_tombstone(
    seed: int, forgotten: list[tuple[int, UserId]]
):
    gone: set[UserId] = set()
    for record in played(seed, forgotten).records:
        match record.event:
            case r.MemberForgotten(user=user) if user in INVITERS:
                gone.add(user)
            case r.VerdictReached(inviter=inviter, staff=staff):
                assert not gone & {inviter, staff}
            case r.CreditGranted(staff=staff) | r.CreditReversed(staff=staff):
                assert staff not in gone
            case _:
                pass


@given(seeds, whole)
def test_no_join_is_recorded_twice_and_no_key_used_twice(seed: int, forgotten: list[tuple[int, UserId | None]]):
    world = played(seed, forgotten)
    joins = [
        (record.event.user, record.event.joined_at_us)
        for record in world.records
        if isinstance(record.event, r.JoinRecorded)
    ]
    assert len(joins) == len(set(joins))
    keys = [record.key for record in world.records]
    assert len(keys) == len(set(keys))


@given(seeds, whole)
def test_at_most_one_membership_of_a_person_is_open(seed: int, forgotten: list[tuple[int, UserId | None]]):
    state = played(seed, forgotten).state
    opened = [key[0] for key, _, period in told_of(state) if period.is_open()]
    assert len(opened) == len(set(opened))


@given(seeds, whole, st.data())
def test_replay_is_live_and_so_is_a_checkpoint_with_the_records_behind_it(
    seed: int, forgotten: list[tuple[int, UserId | None]], data: st.DataObject
):
    world = played(seed, forgotten)
    live = msgspec.to_builtins(world.state)
    assert msgspec.to_builtins(replayed(world.records)) == live
    cut = data.draw(st.integers(0, len(world.records)))
    kept = from_pages(tuple(pages_of(replayed(world.records[:cut]))))
    assert msgspec.to_builtins(replayed(world.records[cut:], kept)) == live


@given(seeds, whole)
def test_credits_stay_reversible_under_the_name_that_holds_them(
    seed: int, forgotten: list[tuple[int, UserId | None]]
):
    world = played(seed, forgotten)
    held: dict[tuple[UserId, int], UserId] = {}
    for record in world.records:
        match record.event:
            case r.CreditGranted() as granted:
                assert held.setdefault((granted.user, granted.opened_us), granted.staff) == granted.staff
            case r.CreditReversed() as undone:
                assert held.pop((undone.user, undone.opened_us)) == undone.staff
            case r.MemberForgotten(user=user, tombstone=number):
                name = tombstone(number)
                held = {
                    (name if who == user else who, at_us): name if staff == user else staff
                    for (who, at_us), staff in held.items()
                }
            case r.GuildForgotten():
                held = {}
            case _:
                pass
    assert held == {
        (name, period.opened_us): period.credited
        for name, periods in world.state.members.items()
        for period in periods
        if period.credited
    }


@pytest.fixture
def world() -> World:
    """A guild that is there, with its first sample; one person has joined."""
    world = World(5, joins=0)
    world.open_all_doors()
    world.run()
    join(world, 1, START_US + 40 * SECOND)
    world.run()
    return world


ANNA = UserId("77")
CAUSE = r.InternalCause(what="test")


def join(world: World, number: int, joined_us: int, flags: int = 0) -> None:
    world.now_us = max(world.now_us, joined_us + 1)
    cause = r.GatewayCause(session=world.session, number=900 + number, lane="members")
    world.tell(
        m.RecordJoin(
            cause=cause,
            session=world.session,
            user=ANNA,
            joined_at_us=joined_us,
            arrived_us=joined_us + 1,
            flags=flags,
        )
    )


def answer(world: World, message: m.Message) -> Answer:
    return decide(world.state, world.presence, message).answer


def listed(world: World, *joined_us: int) -> m.ReviewMembers:
    members = tuple(m.ListedMember(user=ANNA, joined_at_us=each) for each in joined_us)
    at_us = world.now_us + SECOND
    return m.ReviewMembers(
        session=world.session, members=members, after=UserId("0"), upto="", started_us=at_us, at_us=at_us
    )


def test_nothing_is_said_of_somebody_who_was_forgotten(world: World):
    assert answer(world, m.ForgetMember(user=ANNA)) == Forgot(known=True, memberships=1)
    world.tell(m.ForgetMember(user=ANNA))
    report = answer(world, m.DescribeMember(user=ANNA))
    assert isinstance(report, MemberReport)
    assert report.periods == ()
    assert ANNA not in str({name: list(periods) for name, periods in world.state.members.items()})


def test_forgetting_again_or_somebody_unknown_writes_nothing(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    for user in (ANNA, UserId("78")):
        decision = decide(world.state, world.presence, m.ForgetMember(user=user))
        assert (decision.drafts, decision.answer) == ((), Forgot(known=False))


def test_a_forgotten_join_told_again_or_listed_is_no_new_join(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    seq = world.state.seq
    join(world, 2, START_US + 40 * SECOND)
    world.tell(listed(world, START_US + 40 * SECOND))
    assert world.state.seq == seq


def test_who_is_no_longer_listed_has_left_also_when_forgotten(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    world.tell(listed(world))
    assert isinstance(world.records[-1].event, r.LeaveRecorded)
    assert world.records[-1].event.user == tombstone(1)


def test_who_joins_again_is_shown_with_the_new_membership_only(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    again_us = START_US + 90 * SECOND
    join(world, 2, again_us, flags=1)
    report = answer(world, m.DescribeMember(user=ANNA))
    assert isinstance(report, MemberReport)
    assert [(period.opened_us, period.rejoin) for period in report.periods] == [(again_us, True)]
    (before,) = world.state.members[tombstone(1)]
    assert not before.is_open()


def test_who_is_forgotten_twice_keeps_the_tombstone(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    join(world, 2, START_US + 90 * SECOND, flags=1)
    world.tell(m.ForgetMember(user=ANNA))
    assert ANNA not in world.state.members
    assert len(world.state.members[tombstone(1)]) == 2


def test_an_assignment_to_somebody_forgotten_credits_their_tombstone(world: World):
    staff = UserId("5")
    (code, *_) = world.invites
    assign = m.AssignInvite(
        interaction=r.InteractionId("1"), code=InviteCode(code), staff=staff, by=staff, at_us=world.now_us
    )
    world.tell(assign)
    world.tell(m.ForgetMember(user=staff))
    assert {each.staff for each in world.state.assignments[code]} == {tombstone(1)}
    world.tell(msgspec.structs.replace(assign, interaction=r.InteractionId("2")))
    assert world.state.assignments[code][-1].staff == staff


def test_a_credit_is_held_and_taken_back_by_the_tombstone(world: World):
    staff, opened_us = UserId("5"), START_US + 40 * SECOND
    events = (
        r.VerdictReached(user=ANNA, opened_us=opened_us, status=r.Status.CERTAIN, staff=staff, inviter=staff),
        r.CreditGranted(user=ANNA, opened_us=opened_us, kind="join", staff=staff),
        r.MemberForgotten(user=staff, tombstone=1),
    )
    for event in events:
        record = msgspec.structs.replace(world.records[-1], seq=world.state.seq + 1, event=event)
        world.state = evolve(world.state, record)
    period = world.state.membership(ANNA, opened_us)
    assert period is not None
    assert (period.staff, period.inviter, period.credited) == (tombstone(1),) * 3
    undone = [
        each.event
        for each in pronounce(world.state, period, plain_verdict(ANNA, period, r.Status.UNKNOWN, "x"), CAUSE)
    ]
    assert r.CreditReversed(user=ANNA, opened_us=opened_us, kind="join", staff=tombstone(1)) in undone


def test_an_invite_of_somebody_forgotten_is_said_to_be_their_tombstones(world: World):
    (before, *_) = codes_report(world.state).codes
    assert before.inviter is not None
    world.tell(m.ForgetMember(user=before.inviter))
    assert {each.inviter for each in codes_report(world.state).codes if each.code == before.code} == {tombstone(1)}


def test_an_assignment_by_somebody_forgotten_names_their_tombstone(world: World):
    world.tell(m.ForgetMember(user=ANNA))
    (code, *_) = world.invites
    assign = m.AssignInvite(
        interaction=r.InteractionId("1"), code=code, staff=UserId("5"), by=ANNA, at_us=world.now_us
    )
    world.tell(assign)
    assert isinstance(world.records[-1].event, r.InviteAssigned)
    assert world.records[-1].event.by == tombstone(1)


def test_no_time_at_which_a_join_of_a_forgotten_guild_was_told_makes_it_a_new_one(world: World):
    repeated_us = START_US + 60 * SECOND  # by Discord's clock, which is ahead
    join(world, 2, repeated_us)
    world.tell(m.ForgetGuild(at_us=START_US + 50 * SECOND))
    join(world, 3, repeated_us)
    assert not world.state.members


def test_an_earlier_request_to_forget_a_guild_that_is_handled_late_gives_no_forgotten_join_back(world: World):
    joined_us = START_US + 60 * SECOND
    join(world, 2, joined_us)
    world.tell(m.ForgetGuild(at_us=START_US + 50 * SECOND))  # both were asked before the join was handled
    world.tell(m.ForgetGuild(at_us=START_US + 55 * SECOND))
    join(world, 3, joined_us)
    assert not world.state.members


def test_a_forgotten_guild_is_empty_and_adopted_anew_where_the_bot_is_there(world: World):
    world.tell(m.ForgetGuild(at_us=world.now_us))
    assert not world.state.members
    assert not world.state.counters
    assert world.state.counting_since_us >= world.now_us
    join(world, 2, START_US + 40 * SECOND)
    assert not world.state.members
    world.tell(listed(world, START_US + 40 * SECOND))
    (period,) = world.state.members[ANNA]
    assert not period.counted


def test_a_guild_that_was_forgotten_has_no_baseline_before_two_seconds_are_over(world: World):
    """Ben joins after that, by a clock that is behind: his is no join, and no counter may rise by it."""
    world.tell(m.ForgetGuild(at_us=world.now_us))
    from_us = world.state.ours_from_us
    join(world, 2, from_us - 1)
    assert not world.state.members
    for asked_us, counts in ((from_us + 2 * SECOND - 1, False), (from_us + 2 * SECOND, True)):
        sample = Sample(
            requested_us=asked_us, answered_us=asked_us + 1, session=world.session, counters=(), vanity=world.vanity
        )
        decision = decide(world.state, world.presence, m.SampleArrived(sample=sample, request=world.presence.request))
        assert any(isinstance(draft.event, r.SampleTaken) for draft in decision.drafts) is counts
        (again,) = [each.after_s for each in decision.effects if isinstance(each, FetchSample)] or [None]
        assert again == (None if counts else 1e-6)


def test_a_guild_forgotten_while_the_bot_is_away_counts_from_its_return(world: World):
    world.presence = Presence(phase=world.presence.phase.REHYDRATING)
    world.tell(m.ForgetGuild(at_us=world.now_us))
    assert not world.state.counting_since_us
    assert answer(world, m.ForgetGuild(at_us=world.now_us)) == Forgot(known=False)
    world.tell(m.GuildCameUp(session=world.session, at_us=world.now_us + SECOND))
    assert world.state.counting_since_us == world.now_us + SECOND


def test_no_id_is_a_tombstone():
    assert not is_tombstone(ANNA)
    assert is_tombstone(tombstone(1))


BEN, INVITER = UserId("78"), UserId("909909")


def heard_of(world: World, number: int, joined_us: int, user: UserId) -> None:
    """The event of a join comes now, whenever it was."""
    cause = r.GatewayCause(session=world.session, number=900 + number, lane="members")
    join = m.RecordJoin(
        cause=cause, session=world.session, user=user, joined_at_us=joined_us, arrived_us=world.now_us
    )
    world.tell(join)


def bot_joins(world: World, number: int, user: UserId) -> None:
    """They join now, and nobody asks what the counters say of it."""
    world.now_us += 60 * SECOND
    cause = r.GatewayCause(session=world.session, number=900 + number, lane="members")
    joined_us, now_us = world.now_us - 1, world.now_us
    world.tell(
        m.RecordJoin(
            cause=cause, session=world.session, user=user, joined_at_us=joined_us, arrived_us=now_us, bot=True
        )
    )


def born_and_gone(world: World, inviter: UserId) -> None:
    """An invite is made between two samples, and gone at the second: perhaps used up."""
    code = InviteCode("brief")
    invite = r.Counter(code=code, created_at_us=world.now_us, uses=0, max_uses=1, inviter=inviter)
    cause = r.GatewayCause(session=world.session, number=901, lane="rest")
    world.tell(m.NoteInviteBorn(cause=cause, invite=invite, arrived_us=world.now_us))
    world.now_us += 10 * SECOND
    cause = msgspec.structs.replace(cause, number=902)
    world.tell(m.NoteInviteDied(cause=cause, code=code, arrived_us=world.now_us))
    world.now_us += 10 * SECOND
    world.refresh()
    world.run()


def inviters(world: World, user: UserId) -> set[UserId | None]:
    """Whom the verdicts on the person's joins name, as they were written."""
    verdicts = (record.event for record in world.records if isinstance(record.event, r.VerdictReached))
    return {each.inviter for each in verdicts if each.user == user}


def test_whose_invite_was_made_and_gone_within_one_gap_can_be_forgotten(world: World):
    joined_us = world.now_us + 5 * SECOND
    born_and_gone(world, INVITER)
    world.now_us += SECOND
    assert answer(world, m.ForgetMember(user=INVITER)) == Forgot(known=True, memberships=0)
    world.tell(m.ForgetMember(user=INVITER))
    heard_of(world, 2, joined_us, BEN)
    world.run()
    assert inviters(world, BEN) == {tombstone(1)}


def test_an_old_gap_names_no_inviter_by_id_who_was_forgotten_and_came_back(world: World):
    joined_us = world.now_us + 5 * SECOND
    born_and_gone(world, INVITER)
    world.tell(m.ForgetMember(user=INVITER))
    assert INVITER not in str(world.state.gaps)
    bot_joins(world, 2, INVITER)
    heard_of(world, 3, joined_us, BEN)
    world.run()
    assert inviters(world, BEN) == {tombstone(1)}


def used(world: World, number: int, user: UserId) -> r.Counter:
    """Somebody joins now by an invite of the world's, which is not yet seen in a sample."""
    (code, *_) = world.invites
    world.invites[code] = msgspec.structs.replace(world.invites[code], uses=world.invites[code].uses + 1)
    world.now_us += 60 * SECOND
    heard_of(world, number, world.now_us - 1, user)
    return world.invites[code]


def test_a_join_of_before_names_no_inviter_by_id_who_came_back_before_it_was_worked_out(world: World):
    inviter = used(world, 2, BEN).inviter
    assert inviter is not None
    world.tell(m.ForgetMember(user=inviter))
    used(world, 3, inviter)
    world.run()
    assert inviters(world, BEN) == {tombstone(1)}


def test_a_join_after_an_inviter_came_back_names_them_by_id(world: World):
    inviter = next(iter(world.invites.values())).inviter
    assert inviter is not None
    world.tell(m.ForgetMember(user=inviter))
    heard_of(world, 2, world.now_us + 1, inviter)
    world.run()
    used(world, 3, BEN)
    world.run()
    assert inviters(world, BEN) == {inviter}


def test_an_inviter_who_was_forgotten_before_the_members_were_read_is_listed_as_a_tombstone(world: World):
    inviter = next(iter(world.invites.values())).inviter
    assert inviter is not None
    world.tell(m.ForgetMember(user=inviter))
    page = listed(world)
    there = m.ListedMember(user=inviter, joined_at_us=START_US - 60 * SECOND)
    world.tell(msgspec.structs.replace(page, members=(there,)))
    assert inviter not in world.state.members
    assert [period.is_open() for period in world.state.members[tombstone(1)]] == [True]
    used(world, 2, BEN)
    world.run()
    assert inviters(world, BEN) == {tombstone(1)}
    assert answer(world, m.ForgetMember(user=inviter)) == Forgot(known=False)


def test_who_only_assigned_a_code_can_be_forgotten(world: World):
    (code, *_) = world.invites
    assign = m.AssignInvite(
        interaction=r.InteractionId("1"), code=code, staff=UserId("5"), by=INVITER, at_us=world.now_us
    )
    world.tell(assign)
    world.tell(m.ForgetMember(user=INVITER))
    (assignment,) = world.state.assignments[code]
    assert (assignment.staff, assignment.by) == (UserId("5"), tombstone(1))


def made_for(user: UserId, life: Life) -> None:
    """An invite that only this person can use."""
    counter = r.Counter(code=InviteCode("T"), created_at_us=1, uses=0, inviter=UserId("9"))
    sample = Sample(requested_us=START_US, answered_us=START_US, session=GREETING.session, counters=(counter,))
    life.tell(GREETING)
    life.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
    assign = m.AssignInvite(
        interaction=InteractionId("1"),
        code=counter.code,
        staff=UserId("9"),
        by=UserId("8"),
        at_us=START_US,
        targets=(user,),
        made=counter,
    )
    life.tell(assign)


def test_who_was_only_invited_by_name_can_be_forgotten():
    life, anna = Life(), UserId("1")
    made_for(anna, life)
    assert life.tell(m.ForgetMember(user=anna)).answer == Forgot(known=True, memberships=0)
    assert [each.targets for each in codes_report(life.state).codes] == [(tombstone(1),)]


def test_who_was_forgotten_may_still_join_by_the_invite_that_is_theirs():
    life, anna = Life(), UserId("1")
    made_for(anna, life)
    life.tell(m.ForgetMember(user=anna))
    at_us = START_US + 60 * SECOND
    cause = r.GatewayCause(session=GREETING.session, number=1, lane="members")
    life.tell(m.RecordJoin(cause=cause, session=GREETING.session, user=anna, joined_at_us=at_us, arrived_us=at_us))
    used = r.Counter(code=InviteCode("T"), created_at_us=1, uses=1, inviter=UserId("9"))
    sample = Sample(requested_us=at_us + 1, answered_us=at_us + 1, session=GREETING.session, counters=(used,))
    life.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))
    (period,) = life.state.members[anna]
    assert (period.status, period.code) == (r.Status.CERTAIN, "T")
