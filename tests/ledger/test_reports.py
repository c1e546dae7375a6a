"""What people are told of a guild, and assignments: their history stays, twice is once."""

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.answers import Assigned, CodeReport, CodesReport, GuildReport, MemberReport, OpenWindow
from ledger.decide import decide
from ledger.effects import SampleRequest
from ledger.evolve import evolve
from ledger.ids import GuildId, InteractionId, InviteCode, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.records import Counter
from ledger.state import Assignment, Birth, Bound, Death, DeskJoin, GuildState, Period, Roll

A, B, C = InviteCode("A"), InviteCode("B"), InviteCode("C")
ANNA, BORIS, CLEO = UserId("5"), UserId("6"), UserId("7")
GUILD = GuildId("7")
LIVE = Presence(phase=Phase.LIVE, session=SessionId("s"))


def counter(code: InviteCode, inviter: UserId | None = ANNA, *, uses: int = 1, bot: bool = False) -> Counter:
    return Counter(code=code, created_at_us=1, uses=uses, inviter=inviter, inviter_is_bot=bot)


def codes_of(state: GuildState) -> dict[InviteCode, CodeReport]:
    answer = decide(state, LIVE, m.DescribeCodes()).answer
    assert isinstance(answer, CodesReport)
    return {each.code: each for each in answer.codes}


def test_codes_listed_new_gone_and_assigned_are_all_known():
    state = GuildState(
        guild=GUILD,
        counters={A: counter(A), B: counter(B, bot=True)},
        tombstones={C: counter(C, BORIS)},
        births={"D/1": Birth(counter(InviteCode("D"), uses=0), 5)},
        deaths={B: Death(6, "deleted")},
        assignments={InviteCode("E"): (Assignment(1, BORIS, 9),)},
    )
    told = codes_of(state)
    assert {code: each.listed for code, each in told.items()} == {
        "A": True,
        "B": False,
        "C": False,
        "D": True,
        "E": False,
    }
    assert {code: each.inviter for code, each in told.items()} == {
        "A": ANNA,
        "B": None,
        "C": BORIS,
        "D": ANNA,
        "E": None,
    }
    assert {code for code, each in told.items() if each.bot == ANNA} == {"B"}


def test_a_code_that_came_back_is_the_invite_of_now():
    state = GuildState(guild=GUILD, counters={A: counter(A, BORIS)}, tombstones={A: counter(A, ANNA)})
    assert codes_of(state)[A].inviter == BORIS


def test_a_code_stands_for_its_inviter_until_it_is_assigned():
    state = GuildState(
        guild=GUILD, counters={A: counter(A)}, assignments={A: (Assignment(1, BORIS, 10), Assignment(2, ANNA, 20))}
    )
    assert [codes_of(state)[A].holder_at(at_us) for at_us in (9, 10, 20)] == [ANNA, BORIS, ANNA]


def test_the_open_window_names_its_joins_and_says_whether_a_sample_is_coming():
    state = GuildState(
        guild=GUILD,
        desk={
            "join/5/3": DeskJoin(ANNA, 3, 3, 4),
            "join/6/3": DeskJoin(BORIS, 3, 3, 5),
            "join/6/9": DeskJoin(BORIS, 3, 9, 9, optional=True),
        },
        members=Roll({ANNA: (Period(3, 4),), BORIS: (Period(3, 5, status=r.Status.CERTAIN),)}),
    )
    answer = decide(state, msgspec.structs.replace(LIVE, request=SampleRequest(number=3)), m.DescribeWindow()).answer
    assert answer == OpenWindow(joins=frozenset({"join/5/3"}), fetching=True, trouble="")


def test_the_guild_in_numbers_says_since_when_joins_are_open_and_why_continuity_is_broken():
    state = GuildState(
        guild=GUILD,
        seq=3,
        baseline=Bound(1, 1, 2, SessionId("s")),
        broken=("gap",),
        desk={"join/5/3": DeskJoin(ANNA, 3, 3, 8), "join/6/3": DeskJoin(BORIS, 3, 3, 5)},
        members=Roll({ANNA: (Period(3, 8),), BORIS: (Period(3, 5),)}),
    )
    report = decide(state, LIVE, m.DescribeGuild()).answer
    assert isinstance(report, GuildReport)
    assert (report.open_joins, report.open_since_us, report.broken, report.baseline_us) == (2, 5, ("gap",), 2)


def assign(state: GuildState, staff: UserId, interaction: str, at_us: int, label: str = "") -> Assigned:
    """Decides, and lets the state follow."""
    message = m.AssignInvite(
        interaction=InteractionId(interaction), code=A, staff=staff, by=CLEO, at_us=at_us, label=label
    )
    decision = decide(state, LIVE, message)
    for draft in decision.drafts:
        seq = state.seq + 1
        record = r.Record(
            gsn=seq,
            guild=GUILD,
            seq=seq,
            epoch=1,
            at_ms=1,
            last=seq,
            cause=draft.cause,
            key=draft.key,
            event=draft.event,
        )
        evolve(state, record)
    assert isinstance(decision.answer, Assigned)
    return decision.answer


def test_the_history_of_assignments_stays_and_the_former_holder_is_told():
    state = GuildState(guild=GUILD)
    assert assign(state, ANNA, "i1", 10).before is None
    told = assign(state, BORIS, "i2", 20)
    assert (told.assignment, told.before) == (Assignment(2, BORIS, 20, CLEO), Assignment(1, ANNA, 10, CLEO))
    assert state.assignments[A] == (Assignment(1, ANNA, 10, CLEO), Assignment(2, BORIS, 20, CLEO))


def test_the_same_interaction_again_is_answered_as_before_and_writes_nothing():
    state = GuildState(guild=GUILD)
    assign(state, ANNA, "i1", 10)
    first = assign(state, BORIS, "i2", 20)
    assert assign(state, BORIS, "i2", 99) == first
    assert state.seq == 2


def test_the_same_person_again_is_no_news_and_keeps_the_earlier_date():
    state = GuildState(guild=GUILD)
    assign(state, ANNA, "i1", 10)
    told = assign(state, ANNA, "i2", 20)
    assert (told.news, told.assignment.since_us, state.seq) == (False, 10, 1)


def test_a_label_stays_and_is_told_where_the_code_is_given_to_somebody_without_one():
    state = GuildState(guild=GUILD)
    assert assign(state, ANNA, "i1", 10, label="夏").label == "夏"
    same = assign(state, ANNA, "i2", 20)
    assert (same.news, same.label, state.seq) == (False, "夏", 1)
    assert assign(state, BORIS, "i3", 30).label == "夏"
    assert assign(state, BORIS, "i4", 40, label="冬").label == "冬"
    assert state.labels == {A: "冬"}


def test_labels_go_with_the_codes_of_a_member_and_with_those_unclaimed():
    periods = (Period(1, 1, code=A), Period(2, 2, candidates=(B, C)))
    state = GuildState(guild=GUILD, labels={A: "出差", C: "fair"}, members=Roll({ANNA: periods}), unclaimed={C: 1})
    member = decide(state, LIVE, m.DescribeMember(user=ANNA)).answer
    assert isinstance(member, MemberReport)
    assert member.labels == {A: "出差", C: "fair"}
    guild = decide(state, LIVE, m.DescribeGuild()).answer
    assert isinstance(guild, GuildReport)
    assert guild.labels == {C: "fair"}


def test_listed_invites_of_bots_that_stand_for_nobody_are_told_with_their_age():
    counters = {A: counter(A, bot=True), B: counter(B, bot=True), C: counter(C)}
    state = GuildState(guild=GUILD, counters=counters, assignments={B: (Assignment(1, BORIS, 9),)})
    guild = decide(state, LIVE, m.DescribeGuild()).answer
    assert isinstance(guild, GuildReport)
    assert [(each.code, each.bot, each.made_us) for each in guild.bots] == [(A, ANNA, 1)]
