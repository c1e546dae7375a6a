"""/why: what is said of each join, verdict by verdict and credit by credit; and that nobody forgotten is named."""

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from actors.gateway.paged import Turn, packed, turn_id
from actors.gateway.why import NO_EVIDENCE, PAGE_CHARACTERS, Whys
from actors.gateway.why_evidence import MAX_CODES
from actors.gateway.wording import MAX_MESSAGE
from ledger import messages as m
from ledger import records as r
from ledger.answers import CodeReport, CodesReport, Done, MemberReport
from ledger.errors import StorageError
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import Period
from persistence.frames import GENESIS, Frame, seal
from sandbox import Sandbox
from tests.actors.gateway.town import Town

GUILD: Final = GuildId("77")
ANNA, STAFF, ADMIN = UserId("7"), UserId("8"), UserId("9")
JOINED_US: Final = 1_795_542_126_000_000
A, B = InviteCode("A"), InviteCode("B")
OPEN: Final = r.VerdictReached(
    user=ANNA,
    opened_us=JOINED_US,
    status=r.Status.CANDIDATES,
    candidates=(A, B),
    window=3,
    evidence=r.Evidence(
        joins=2,
        uses={A: 1, B: 1},
        capped={InviteCode("C"): -1},
        excluded={InviteCode("D"): "created_after_the_join"},
        sampled_us=(JOINED_US - 10**6, JOINED_US + 10**6),
        broken=("session",),
        assumptions=("P0", "P1", "P2"),
    ),
)
DECIDED: Final = r.VerdictReached(
    user=ANNA, opened_us=JOINED_US, status=r.Status.MANUAL, code=A, staff=STAFF, by=ADMIN, reason="She told *me*"
)
PERIOD: Final = Period(
    JOINED_US,
    JOINED_US,
    status=r.Status.MANUAL,
    code=A,
    staff=STAFF,
    credited=STAFF,
    report=r.Report(5, B),
    vip=True,
    vip_since_us=JOINED_US + 10**6,
    vip_credited=STAFF,
)


async def keep(town: Town, *events: r.Event, appends: Sequence[int] = (), guild: GuildId = GUILD) -> None:
    """As records from 1; ``appends``: the last record of each one's append, where it is not a record of its own."""
    await town.inside.books.open()
    await town.inside.books.begin(1, "lineage")
    frames: list[Frame] = []
    for seq, event in enumerate(events, start=1):
        record = r.Record(
            gsn=seq,
            guild=guild,
            seq=seq,
            epoch=1,
            at_ms=JOINED_US // 1_000 + seq,
            cause=r.InternalCause(what="test"),
            key=f"key/{seq}",
            event=event,
            last=appends[seq - 1] if appends else seq,
        )
        frames.append(seal(record, frames[-1].digest if frames else GENESIS))
    await town.inside.books.append(frames)


async def unreadable(query: object) -> object:
    raise StorageError(f"the disk is gone: {query}")


async def told(town: Town, *periods: Period, forgotten: frozenset[UserId] = frozenset()) -> str:
    town.answer = lambda _: MemberReport(user=ANNA, periods=periods, forgotten=forgotten)
    page = await Whys(town.roster, town.inside).page(GUILD, ANNA, "Anna", 0)
    return page if isinstance(page, str) else page.text


async def test_each_verdict_is_told_with_its_evidence_in_words(town: Town):
    await keep(town, OPEN, DECIDED)
    text = await told(town, PERIOD)
    for said in (
        "**1.**",
        "`A` or `B`",
        "2 people joined",
        "`A` was used 1 time; `B` was used 1 time; `C` may have been used any number of times",
        "Not `D`: it was made after the join",
        "I was not connected all the time",
        "an invite that vanished, and that nobody deleted, was used up",
        "**2.**",
        f"decided by a person: `A` → <@{STAFF}>",
        f"Decided by <@{ADMIN}>: She told \\*me\\*",
        "names `B`",
        f"the join is credited to <@{STAFF}>",
        f"VIP since <t:{JOINED_US // 10**6 + 1}:f>: credited to <@{STAFF}>",
    ):
        assert said in text, said
    assert text.index("**1.**") < text.index("**2.**")


async def test_every_membership_is_told_the_newest_first_each_with_its_own_verdicts(town: Town):
    await keep(town, OPEN)
    later = Period(JOINED_US + 10**9, JOINED_US + 10**9)
    left = msgspec.structs.replace(PERIOD, left_us=JOINED_US + 10**7)
    newest, older = (await told(town, left, later)).split("**Join 1 of 2**")
    assert "**Join 2 of 2**" in newest
    assert "not worked out yet" in newest
    assert "`A`" not in newest
    assert f"left <t:{JOINED_US // 10**6 + 10}:f>" in older
    assert "`A` or `B`" in older


def moved(event: type[r.CreditGranted] | type[r.CreditReversed], kind: r.Credit, staff: UserId) -> r.Event:
    return event(user=ANNA, opened_us=JOINED_US, kind=kind, staff=staff)


async def test_what_was_credited_taken_back_and_moved_is_told_beside_the_verdict_that_did_it(town: Town):
    sure = r.VerdictReached(user=ANNA, opened_us=JOINED_US, status=r.Status.CERTAIN, code=A, staff=STAFF)
    unsure = msgspec.structs.replace(OPEN, supersedes=1)
    events = (
        *(sure, moved(r.CreditGranted, "join", STAFF)),
        moved(r.CreditGranted, "vip", STAFF),
        *(unsure, moved(r.CreditReversed, "join", STAFF)),
        *(DECIDED, moved(r.CreditGranted, "join", ADMIN)),
        *(moved(r.CreditReversed, "vip", STAFF), moved(r.CreditGranted, "vip", ADMIN)),
    )
    await keep(town, *events, appends=(2, 2, 3, 5, 5, 9, 9, 9, 9))
    text = await told(town, PERIOD)
    lines = [
        "**1.**",
        f"-# Credit for the join went to <@{STAFF}>.",
        f"<t:{JOINED_US // 10**6}:f>: Credit for the VIP went to <@{STAFF}> for their upgrade.",
        "**2.**",
        f"-# Credit for the join was taken back from <@{STAFF}>, since the verdict that it stood on holds no longer.",
        "**3.**",
        f"-# Credit for the join went to <@{ADMIN}>.",
        f"-# Credit for the VIP moved from <@{STAFF}> to <@{ADMIN}>, for whom it counts by this verdict.",
        f"**Now**: the join is credited to <@{STAFF}>",
    ]
    places = [text.find(line) for line in lines]
    assert -1 not in places, lines[places.index(-1)]
    assert places == sorted(places)


async def test_the_one_vip_credit_of_a_life_that_passed_on_to_another_join_is_told_as_such(town: Town):
    later_us = JOINED_US + 10**9
    verdict = msgspec.structs.replace(DECIDED, opened_us=later_us)
    given = r.CreditGranted(user=ANNA, opened_us=JOINED_US, kind="vip", staff=STAFF)
    await keep(town, OPEN, verdict, given, appends=(1, 3, 3))
    older = (await told(town, PERIOD, Period(later_us, later_us, verdicts=1))).split("**Join 1 of 2**")[1]
    assert f"went to <@{STAFF}> for their upgrade, since another of their joins carries it no longer." in older


async def test_what_made_a_later_verdict_differ_is_said_and_the_same_evidence_not_twice(town: Town):
    evidence = r.Evidence(joins=1, capped={A: 1}, assumptions=("P0", "P2"))
    likely = r.VerdictReached(
        user=ANNA, opened_us=JOINED_US, status=r.Status.LIKELY, code=A, window=1, evidence=evidence
    )
    used_up = msgspec.structs.replace(evidence, uses={A: 1}, capped={}, assumptions=("P0", "P1", "P2"))
    sure = msgspec.structs.replace(likely, status=r.Status.CERTAIN, evidence=used_up)
    two = msgspec.structs.replace(used_up, joins=2, broken=("gap",))
    open_again = msgspec.structs.replace(likely, status=r.Status.CANDIDATES, candidates=(A, B), evidence=two)
    reported = msgspec.structs.replace(open_again, status=r.Status.REPORTED, candidates=())
    confirmed = msgspec.structs.replace(reported, status=r.Status.CONFIRMED)
    await keep(town, likely, sure, open_again, reported, confirmed)
    text = await told(town, PERIOD)
    parts = text.split("\n**")
    second, third, fourth = (next(part for part in parts if part.startswith(f"{number}.**")) for number in (2, 3, 4))
    assert "New: nobody deleted the invite that vanished, so it was used up." in second
    assert "New: 2 joins may lie in that time, not 1; more is known of what I may have missed." in third
    assert "New: Discord's member search answered" in fourth
    assert "The counters say the same as before." in fourth
    assert "New: Discord's member search answered" in fourth.partition("**5.**")[0]
    assert text.count("member search answered") == 1, "once heard, it is no news"
    assert "Between two readings" in third
    assert "Between two readings" not in fourth


async def test_why_a_vip_is_credited_to_nobody_is_said(town: Town):
    await keep(town, OPEN)
    vip = msgspec.structs.replace(PERIOD, status=r.Status.CERTAIN, vip_credited=None)
    before = msgspec.structs.replace(PERIOD, opened_us=1, vip_credited=STAFF)
    assert "nobody here, since another of their joins carries it (`/settings`, `vip_once`)" in await told(
        town, before, vip
    )
    open_ = msgspec.structs.replace(vip, status=r.Status.LIKELY, vip=False)
    text = await told(town, open_)
    assert "nobody yet, since it is open whose the join is" in text
    assert "is none now (when the role went, my records alone say; it takes no credit back)" in text


async def test_why_a_known_invite_is_credited_to_nobody_is_said(town: Town):
    await keep(town, OPEN)
    plain = Period(JOINED_US, JOINED_US, status=r.Status.CERTAIN, staff=STAFF)
    for period, why in (
        (msgspec.structs.replace(plain, status=r.Status.LIKELY), "that is not proven: `/review decide`"),
        (msgspec.structs.replace(plain, rejoin=True), "`credit_rejoins`"),
        (msgspec.structs.replace(plain, status=r.Status.REPORTED), "`credit_reported`"),
        (plain, "as `/settings` stood"),
        (msgspec.structs.replace(plain, staff=ANNA), "since it is their own (`/settings`, `credit_self`)"),
    ):
        text = await told(town, period)
        assert f"an invite of <@{period.staff}>, and credited to nobody, " in text
        assert why in text


async def test_verdicts_that_cannot_be_listed_are_said_and_the_others_keep_their_numbers(town: Town):
    await keep(town, msgspec.structs.replace(DECIDED, supersedes=5))
    text = await told(town, msgspec.structs.replace(PERIOD, verdicts=3))
    assert "The 2 verdicts before these I keep" in text
    assert "**3.**" in text
    assert "ask again" not in text


async def test_a_database_that_lags_behind_is_said(town: Town):
    await keep(town, OPEN)
    text = await told(town, msgspec.structs.replace(PERIOD, verdicts=2))
    assert "What was written just now is not in this list yet" in text
    assert "**1.**" in text


async def test_a_raid_does_not_fill_the_page_and_what_was_possible_is_named_first(town: Town):
    codes = {InviteCode(f"c{number}"): 1 for number in range(500)}
    excluded = dict.fromkeys(codes, "dead_before_the_join")
    evidence = r.Evidence(joins=1_000, uses={**codes, A: 1}, excluded=excluded)
    await keep(town, msgspec.structs.replace(OPEN, evidence=evidence))
    text = await told(town, PERIOD)
    assert "-# `A` was used 1 time; `c0` was used" in text
    assert f"{501 - MAX_CODES} more invites likewise" in text
    assert len(text) <= MAX_MESSAGE


async def test_a_long_history_has_pages_that_turn_also_after_a_restart(town: Town, sandbox: Sandbox, gateway: object):
    del gateway
    guild = sandbox.world.add_guild()
    staff = sandbox.world.add_staff(guild)
    await town.until_heard(guild.id, m.GuildCameUp)
    user = UserId(str(sandbox.world.join(guild, via=None).user_id))
    verdicts = [
        msgspec.structs.replace(OPEN, user=user, supersedes=number, reason=f"{number}") for number in range(20)
    ]
    await keep(town, *verdicts, guild=GuildId(str(guild.id)))
    period = Period(JOINED_US, JOINED_US, status=r.Status.CANDIDATES, candidates=(A, B), verdicts=20)
    town.answer = lambda message: (
        MemberReport(user=user, periods=(period,)) if isinstance(message, m.DescribeMember) else Done()
    )
    reply = await sandbox.slash(guild, staff, "why", {"member": int(user)})
    message = reply.original
    assert message is not None
    assert reply.ephemeral
    assert "**1.**" in message.text
    assert "**20.**" not in message.text
    pages = int(message.text.rpartition(" of ")[2].partition(",")[0])
    for number in range(1, pages):
        await sandbox.click(guild, staff, message, turn_id(Turn("why", user, number)))
        assert f"Page {number + 1} of {pages}" in message.text
        assert len(message.text) <= MAX_MESSAGE
    assert "**20.**" in message.text


@pytest.mark.parametrize("size", [1, 80, PAGE_CHARACTERS, 3 * PAGE_CHARACTERS])
def test_lines_are_packed_into_pages_and_none_is_lost(size: int):
    lines = [f"{number}{'x' * (size - 2)}" for number in range(10, 60)]
    pages = packed(lines, PAGE_CHARACTERS)
    assert all(len(page) <= PAGE_CHARACTERS for page in pages)
    assert [line[:2] for page in pages for line in page.split("\n")] == [line[:2] for line in lines]
    assert packed([], 10) == [""]


async def test_a_label_stands_beside_its_code_wherever_the_code_is_named(town: Town):
    await keep(town, OPEN, DECIDED)
    label = "**夏** @everyone"
    codes = CodesReport(codes=(CodeReport(code=A, listed=True, uses=1, inviter=None, assignments=(), label=label),))
    member = MemberReport(user=ANNA, periods=(msgspec.structs.replace(PERIOD, report=r.Report(5, A)),))
    town.answer = lambda message: codes if isinstance(message, m.DescribeCodes) else member
    text = await Whys(town.roster, town.inside).page(GUILD, ANNA, "Anna", 0)
    assert isinstance(text, str)
    named = "`A` (\u2068\\*\\*夏\\*\\* \\@everyone\u2069)"
    for said in (f"{named} or `B`", f"{named} was used", f"a person: {named} → ", f"names {named}"):
        assert said in text, said


async def test_whoever_was_forgotten_is_not_named(town: Town):
    await keep(town, OPEN, DECIDED)
    plain = Period(JOINED_US, JOINED_US, status=r.Status.MANUAL)
    text = await told(town, plain, forgotten=frozenset({STAFF, ADMIN}))
    assert f"<@{STAFF}>" not in text
    assert f"<@{ADMIN}>" not in text
    assert "a forgotten member" in text


async def test_somebody_never_seen_and_somebody_from_before_are_told_apart(town: Town):
    await keep(town, OPEN)
    assert "never seen" in await told(town)
    assert "before I began to count" in await told(town, Period(1, 1, counted=False))


async def test_of_members_of_before_the_member_search_is_the_first_evidence_and_a_decision_the_second(town: Town):
    before = Period(JOINED_US, JOINED_US, counted=False, status=r.Status.REPORTED, staff=STAFF, report=r.Report(5, B))
    await keep(town, msgspec.structs.replace(DECIDED, supersedes=4))
    decided = msgspec.structs.replace(before, verdicts=2, credited=STAFF, vip_since_us=JOINED_US)
    text = await told(town, decided)
    assert "**1.** They were here before I began to count" in text
    assert "search names `B`" in text
    assert text.count("member search") == 1
    assert "**2.**" in text
    assert "I keep" not in text
    assert "credited to nobody, since they were here before I began to count" in text


async def test_who_added_a_bot_is_told_once_it_is_known(town: Town):
    plain = r.VerdictReached(user=ANNA, opened_us=JOINED_US, status=r.Status.NON_INVITE, reason="bot")
    await keep(town, plain, msgspec.structs.replace(plain, inviter=STAFF, supersedes=1))
    text = await told(town, Period(JOINED_US, JOINED_US, bot=True, status=r.Status.NON_INVITE, inviter=STAFF))
    assert text.index("a bot, added without an invite") < text.index(f"a bot, added by <@{STAFF}>")


async def test_records_that_cannot_be_read_are_said(town: Town):
    await keep(town, OPEN)
    town.inside.read = unreadable
    assert await told(town, PERIOD) == NO_EVIDENCE
