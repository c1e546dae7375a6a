"""/review: open cases page by page, and a person's decision with all that can be wrong about it."""

import pytest

from actors.gateway.paged import Turn, page_of, turn_id, turn_of
from actors.gateway.review import DONE_ALREADY
from actors.gateway.review_commands import NO_BOT_STAFF, NO_REASON
from actors.gateway.review_words import MAX_LINE, Decide, case_line, decision_lines
from actors.gateway.which_join import join_meant, joins_offered
from ledger import messages as m
from ledger.answers import Answer, CodeReport, CodesReport, Decided, Done, MemberReport, OpenCase, ReviewReport
from ledger.errors import StorageError
from ledger.ids import NO_COUNTER, VANITY, GuildId, InteractionId, InviteCode, UserId
from ledger.records import Evidence, InternalCause, Record, Report, Status, VerdictReached
from ledger.state import Period
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.town import Town

A, B, C = InviteCode("A"), InviteCode("B"), InviteCode("C")
ANNA, BORIS = UserId("5"), UserId("6")
CODES = CodesReport(
    codes=tuple(
        CodeReport(code=code, listed=True, uses=1, inviter=ANNA, assignments=(), label="春" if code == B else "")
        for code in (A, B, C)
    )
)


def case(number: int, *codes: InviteCode, status: Status = Status.CANDIDATES) -> OpenCase:
    period = Period(number * 1_000_000, 0, status=status, candidates=codes or (A, B))
    return OpenCase(user=UserId(str(9_000 + number)), period=period)


def row(of: OpenCase, window: int = 1, **evidence: object) -> VerdictReached:
    return VerdictReached(
        user=of.user,
        opened_us=of.period.opened_us,
        status=of.period.status,
        candidates=of.period.candidates,
        window=window,
        evidence=Evidence(**evidence),  # pyright: ignore[reportArgumentType]
    )


def recorded(verdict: VerdictReached) -> Record:
    return Record(
        gsn=1,
        guild=GuildId("1"),
        seq=1,
        epoch=1,
        at_ms=0,
        cause=InternalCause(what="t"),
        key="",
        event=verdict,
        last=1,
    )


class Court:
    """What the guild answers."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.cases: tuple[OpenCase, ...] = ()
        self.now: tuple[Period, ...] = ()
        self.rows: dict[UserId, Record] = {}
        town.answer = self.answer
        town.inside.books.told = self.rows

    def periods_of(self, user: UserId) -> tuple[Period, ...]:
        own = [each.period for each in self.cases if each.user == user]
        return self.now or tuple(sorted(own, key=lambda period: period.opened_us))

    def answer(self, message: m.Message) -> Answer:
        match message:
            case m.DescribeReview():
                return ReviewReport(cases=self.cases)
            case m.DescribeCodes():
                return CODES
            case m.DecideJoin(user=user, opened_us=opened_us, staff=holder):
                (before,) = [each for each in self.periods_of(user) if each.opened_us == opened_us]
                after = Period(opened_us, 0, status=Status.MANUAL, code=A, staff=holder, credited=holder)
                self.now = tuple(after if each is before else each for each in self.periods_of(user))
                return Decided(user=user, period=after, before=before)
            case m.DescribeMember(user=user):
                return MemberReport(user=user, periods=self.periods_of(user))
            case _:
                return Done()


@pytest.fixture
async def court(town: Town, guild: Guild, gateway: object) -> Court:
    del gateway
    await town.until_heard(guild.id, m.GuildCameUp)
    return Court(town)


async def test_a_thousand_open_cases_have_pages_that_turn(court: Court, guild: Guild, staff: User, sandbox: Sandbox):
    court.cases = tuple(case(number) for number in range(1_000, 0, -1))
    reply = await sandbox.slash(guild, staff, "review list")
    message = reply.original
    assert message is not None
    assert reply.ephemeral
    assert "1,000 open cases" in message.text
    assert "<@10000>" in message.text
    assert "Page 1 of 200" in message.text
    await sandbox.click(guild, staff, message, turn_id(Turn("review", "", 1)))
    assert "Page 2 of 200" in message.text
    assert "<@9995>" in message.text
    assert "<@10000>" not in message.text


async def test_no_open_case_and_a_database_that_is_away(court: Court, guild: Guild, staff: User, sandbox: Sandbox):
    assert "No case is open" in (await sandbox.slash(guild, staff, "review list")).text
    court.cases = (case(1),)
    court.town.inside.books.go_away(StorageError("no disk"))
    listed = (await sandbox.slash(guild, staff, "review list")).text
    assert "`A` or `B` (\u2068春\u2069)" in listed, "as far as the state knows"
    court.town.inside.books.come_back()


async def test_a_decision_says_what_it_changed_and_suggests_what_it_leaves(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    own = OpenCase(user=UserId(str(member.user_id)), period=case(1).period)
    same, other, elsewhere = case(2), case(3, A, B, C), case(4)
    court.cases = (own, same, other, elsewhere)
    for each in court.cases:
        told = row(each, window=2 if each is elsewhere else 1, joins=4, uses={A: 1, B: 3})
        court.rows[each.user] = recorded(told)
    typed = {"member": member.user_id, "staff": staff, "code": "https://discord.gg/A", "reason": "*asked* @everyone"}
    text = (await sandbox.slash(guild, staff, "review decide", typed)).text
    (told_,) = court.town.heard(guild.id, m.DecideJoin)
    assert (told_.code, told_.why, told_.by) == (A, "*asked* @everyone", UserId(str(staff.id)))
    assert "\\*asked\\* \\@everyone" in text
    assert f"nobody → <@{staff.id}>" in text
    assert f"<@{same.user}> is left with `B` (\u2068春\u2069) for their join on <t:2:f>" in text
    assert f"<@{other.user}>" not in text
    assert f"<@{elsewhere.user}>" not in text
    assert len(court.town.heard(guild.id, m.DecideJoin)) == 1, "nobody else is changed"


async def test_what_is_wrong_about_a_decision_is_said_and_nothing_is_done(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    bot = sandbox.world.add_user(bot=True)
    stranger = sandbox.world.add_user()
    plain = sandbox.world.join(guild, via=None)
    court.cases = (OpenCase(user=UserId(str(member.user_id)), period=case(1).period),)
    good = {"member": member.user_id, "staff": staff, "reason": "asked"}

    async def said(by: User = staff, **typed: object) -> str:
        return (await sandbox.slash(guild, by, "review decide", good | typed)).text  # pyright: ignore[reportArgumentType]

    assert await said(reason="   ") == NO_REASON
    assert await said(staff=bot) == NO_BOT_STAFF
    assert "never seen the invite `nosuch`" in await said(code="nosuch")
    assert "never seen" in await said(staff=stranger)
    assert "Manage Server" in await said(by=sandbox.world.users[plain.user_id])
    assert court.town.heard(guild.id, m.DecideJoin) == []
    assert "I have never seen" in await said(member=plain.user_id), "of a member without any membership here"


async def test_who_left_and_came_back_has_several_cases_and_the_one_that_is_named_is_decided(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    user = UserId(str(member.user_id))
    court.cases = tuple(OpenCase(user=user, period=case(number).period) for number in (3, 2, 1))
    listed = (await sandbox.slash(guild, staff, "review list")).text
    assert "(join `1970-01-01 00:00:02 UTC`)" in listed
    typed = {"member": member.user_id, "staff": staff, "reason": "asked"}
    offered = await sandbox.type_in(guild, staff, "review decide", typed | {"join": "1970-01-01 00:00:0"}, "join")
    assert [each["name"] for each in offered.choices] == [
        f"1970-01-01 00:00:0{second} UTC · open: A or B" for second in (3, 2, 1)
    ]
    picked = str(offered.choices[1]["value"])
    said = (await sandbox.slash(guild, staff, "review decide", typed | {"join": picked})).text
    assert "on <t:2:f> counts" in said
    assert "Still open for this member, each a case of its own: 1970-01-01 00:00:03 UTC, 1970-01-01 00:00:01" in said
    by_name = (await sandbox.slash(guild, staff, "review decide", typed | {"join": "1970-01-01 00:00:01"})).text
    assert "on <t:1:f> counts" in by_name
    newest_open = (await sandbox.slash(guild, staff, "review decide", typed)).text
    assert "on <t:3:f> counts" in newest_open
    assert [told.opened_us for told in court.town.heard(guild.id, m.DecideJoin)] == [2_000_000, 1_000_000, 3_000_000]


async def test_the_invites_that_may_be_it_are_offered_first_gone_ones_and_the_vanity_url_too(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    gone = InviteCode("gone")
    period = case(1, VANITY, gone, B, NO_COUNTER).period
    court.cases = (OpenCase(user=UserId(str(member.user_id)), period=period),)
    typed = {"member": member.user_id, "reason": "asked", "code": ""}
    offered = (await sandbox.type_in(guild, staff, "review decide", typed, "code")).choices
    assert [each["value"] for each in offered] == [VANITY, gone, B, A, C]
    assert [each["name"] for each in offered][:3] == [
        "the vanity URL · may be it",
        "gone · may be it",
        "B · may be it · 春",
    ]
    some = (await sandbox.type_in(guild, staff, "review decide", typed | {"code": "春"}, "code")).choices
    assert [each["value"] for each in some] == [B]
    said = (await sandbox.slash(guild, staff, "review decide", typed | {"code": VANITY})).text
    assert "counts for nobody, with the vanity URL" in said
    (told,) = court.town.heard(guild.id, m.DecideJoin)
    assert told.code == VANITY


async def test_a_join_that_fits_none_or_several_is_not_guessed(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    user = UserId(str(member.user_id))
    court.cases = tuple(OpenCase(user=user, period=case(number).period) for number in (2, 1))
    typed = {"member": member.user_id, "staff": staff, "reason": "asked"}
    none = (await sandbox.slash(guild, staff, "review decide", typed | {"join": "**yesterday** @everyone"})).text
    assert "no join here that fits “\\*\\*yesterday\\*\\* \\@everyone”" in none
    several = (await sandbox.slash(guild, staff, "review decide", typed | {"join": "1970-01-01"})).text
    assert "2 joins of" in several
    assert "1970-01-01 00:00:01 UTC, 1970-01-01 00:00:02 UTC" in several
    assert court.town.heard(guild.id, m.DecideJoin) == []


async def test_joins_are_offered_to_staff_alone_once_a_member_is_named(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    member = sandbox.world.join(guild, via=None)
    court.cases = (OpenCase(user=UserId(str(member.user_id)), period=case(1).period),)
    nobody = sandbox.world.users[member.user_id]
    named = {"member": member.user_id, "join": ""}
    assert (await sandbox.type_in(guild, nobody, "review decide", named, "join")).choices == []
    assert (await sandbox.type_in(guild, staff, "review decide", {"join": ""}, "join")).choices == []
    assert len((await sandbox.type_in(guild, staff, "review decide", named, "join")).choices) == 1


def test_each_join_is_described_by_what_is_known_of_it():
    told = Status.CERTAIN
    periods = (
        Period(1, 1, counted=False, status=Status.UNKNOWN),
        Period(1_000_000, 1, status=told, code=A),
        Period(2_000_000, 1, status=Status.LIKELY, candidates=(VANITY, A)),
        Period(3_000_000, 1, status=Status.MANUAL),
        Period(4_000_000, 1),
    )
    assert [each.name[26:] for each in joins_offered(periods, "")] == [
        "open: the vanity URL or A",
        "not worked out yet",
        "decided by a person",
        "worked out: A",
        "here before I counted",
    ]
    assert join_meant(ANNA, periods, "") == periods[2]
    assert join_meant(ANNA, periods[:2], "") == periods[1], "where no case is open: the newest"
    of_before = Period(9_000_000, 1, counted=False, status=Status.LIKELY)
    assert join_meant(ANNA, (periods[2], of_before), "") == periods[2], "who was here before is no case"


def test_credits_that_moved_are_told_and_those_that_did_not_too():
    before = Period(1, 1, status=Status.LIKELY, code=A, vip_credited=ANNA)
    now = Period(1, 1, status=Status.MANUAL, code=B, credited=BORIS, vip_credited=BORIS)
    wish = Decide(
        interaction=InteractionId("1"), guild=GuildId("1"), user=UserId("1"), name="א 安娜", staff=BORIS,
        is_member=True, code=B, why="so", by=ANNA,
    )  # fmt: skip
    lines = list(decision_lines(wish, before, now))
    assert "Credit for the join: nobody → <@6>." in lines
    assert "Credit for the VIP: <@5> → <@6>." in lines
    assert DONE_ALREADY not in lines


def test_a_case_tells_what_was_counted_and_what_discord_reports():
    own = case(1, status=Status.CONFLICT)
    reported = OpenCase(
        user=own.user, period=Period(1, 1, status=Status.CONFLICT, candidates=(A, B), report=Report(5, A))
    )
    text = case_line(reported, row(own, joins=4, uses={A: 2, C: 1}))
    assert "4 joins at that time: `A` used 2×" in text
    assert "`C`" not in text
    assert "member search names `A`" in text


def test_labels_give_way_where_a_case_would_grow_too_long_for_its_page():
    codes = tuple(InviteCode(f"code{n:016}") for n in range(8))
    labels = dict.fromkeys(codes, "**@everyone** 春 " * 6)
    text = case_line(case(1, *codes), row(case(1, *codes), joins=3, uses=dict.fromkeys(codes, 3)), labels=labels)
    assert "春" not in text
    assert len(text) <= MAX_LINE
    few = case_line(case(1), None, labels={A: "**春**"})
    assert "`A` (\u2068\\*\\*春\\*\\*\u2069) or `B`" in few


async def test_a_page_is_never_cut_however_much_evidence_its_cases_have(
    court: Court, guild: Guild, staff: User, sandbox: Sandbox
):
    codes = tuple(InviteCode(f"code{n:06}") for n in range(8))
    many = [case(number, *codes) for number in range(1_000, 0, -1)]
    court.cases = tuple(OpenCase(user=UserId(f"{2**62 + n}"), period=each.period) for n, each in enumerate(many))
    for each in court.cases[:5]:
        court.rows[each.user] = recorded(row(each, joins=1_000, uses=dict.fromkeys(codes, 1_000)))
    text = (await sandbox.slash(guild, staff, "review list")).text
    assert all(f"<@{each.user}>" in text for each in court.cases[:5])
    assert "1,000 joins at that time" in text
    assert "more\n" not in text


def test_a_turn_survives_its_button_and_those_of_others_are_none():
    turn = Turn("why", "7", 12)
    assert turn_of(turn_id(turn), "why") == turn
    wrong = ("", "why", "why/7/-1", "why/7/²", "why/7/9999999", "review//1", "why/7/1/2")
    assert [turn_of(text, "why") for text in wrong] == [None] * len(wrong)
    assert page_of(["a", "b", "c"], 9, 2) == (["c"], 1, 2)
