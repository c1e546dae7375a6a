"""/debug_invites in words: from inside the actor, from outside, and where one of them is missing."""

import pytest

from actors.asks import Answered, Outcome
from actors.gateway.report import MAKING_US, Me, Permitted, describe
from actors.gateway.wording import MAX_MESSAGE
from actors.mailbox import MailboxStatistics
from actors.standing import LayerStanding, Standing
from ledger.answers import CodeReport, GuildReport
from ledger.ids import ChannelId, InviteCode, UserId
from ledger.phases import Phase

STANDING = Standing(
    phase="stalled",
    layers=(
        LayerStanding(name="log", seq=41, behind=0, error=""),
        LayerStanding(name="database", seq=-1, behind=1_200, error="no space " + "x" * 5_000),
    ),
    restored_from="log",
    restored_seq=30,
    replayed=11,
    leader="log",
    mailbox=MailboxStatistics(waiting=(0, 3, 1), accepted=9, coalesced=0, handled=5, dropped=2, dead=1),
    restarts=4,
)


def report(**fields: object) -> GuildReport:
    values: dict[str, object] = {
        "phase": Phase.LIVE,
        "seq": 41,
        "counting_since_us": 1_000_000,
        "baseline_us": 2_000_000,
        "counters": 3,
        "open_joins": 0,
        "unclaimed": {},
        "tombstones": 1,
        "breaks": 0,
        "members": 7,
        "reconciled": True,
    }
    return GuildReport(**(values | fields))


ALL_PERMITTED = Permitted()
NOW_US = 1_000_000_000
ME = Me(user=UserId("9"), now_us=NOW_US)


def said(answer: GuildReport, standing: Standing | None = STANDING, permitted: Permitted = ALL_PERMITTED) -> str:
    return describe(Outcome(kind=Answered.OK, answer=answer), standing, permitted, ME)


def test_the_window_the_continuity_and_what_is_wrong_are_told():
    text = said(
        report(open_joins=2, open_since_us=5_000_000, broken=("session", "gap"), breaks=9, trouble="forbidden")
    )
    assert "**State**: live (I may not read the invites here (Manage Server is missing)), record 41" in text
    assert "**Open window**: 2 open joins, the oldest <t:5:R>" in text
    assert "broken now (session, gap); 9 breaks so far" in text
    assert "read <t:2:R> (<t:2:f>)" in text


def test_layers_recovery_mailbox_and_restarts_are_told():
    text = said(report())
    assert "log at record 41; database, 1,200 records behind, broken: no space" in text
    assert "**Last recovery**: from log at record 30, 11 records replayed; at the start log won" in text
    assert "0 control, 3 members, 1 other waiting; 2 dropped, 1 dead; **restarts**: 4" in text


def test_a_guild_whose_actor_is_gone_is_described_from_outside():
    crashed = Outcome(kind=Answered.CRASHED, text="parked")
    text = describe(crashed, STANDING, Permitted(missing=("Manage Server",)), ME)
    assert text.startswith("I could not handle this (parked).")
    assert "**State**: stalled" in text
    assert "**Permissions missing**: Manage Server" in text
    assert "**Mailbox**" in text


def test_a_guild_that_began_with_nothing_says_so():
    text = said(report(baseline_us=0, counting_since_us=0, reconciled=False), None)
    assert "not yet" in text
    assert "not read yet" in text
    assert "list not compared yet" in text
    assert "**Unclaimed**: 0 uses" in text


def made_by_bot(code: str, bot: str, made_us: int) -> CodeReport:
    return CodeReport(
        code=InviteCode(code), listed=True, uses=0, inviter=None, bot=UserId(bot), assignments=(), made_us=made_us
    )


def test_invites_of_ours_that_stand_for_nobody_are_told_with_their_codes_once_they_are_not_in_the_making():
    old_us = NOW_US - MAKING_US - 1
    text = said(
        report(
            bots=(
                made_by_bot("mine", "9", old_us),
                made_by_bot("theirs", "8", old_us),
                made_by_bot("new", "9", NOW_US),
            )
        )
    )
    assert "**1 invite of mine that nobody is credited for**: `mine` (made <t:939:R>)\n" in text
    for said_of_it in (
        "I was stopped after",
        "counts for nobody",
        "may let in anybody",
        "Delete them",
        "/setup_staff",
    ):
        assert said_of_it in text
    assert "theirs" not in text
    assert "`new`" not in text
    assert "nobody is credited for" not in said(report())


def test_a_label_stands_beside_its_code_and_is_harmless():
    labels = {InviteCode("abc"): "<@5> **\u202eאבג"}
    text = said(report(unclaimed={InviteCode("abc"): 2}, labels=labels))
    assert "`abc` (\u2068\\<\\@5\\> \\*\\* אבג\u2069): 2 uses no join explains" in text


def test_what_is_missing_and_only_optional_is_told_as_such():
    text = said(report(), permitted=Permitted(optional=("Create Invite",)))
    assert "**Permissions missing**: none; optional: Create Invite\n" in text


def test_the_second_witness_and_the_audit_log_are_told_with_what_is_wrong():
    assert "**Second witness** (Discord's member search): no joins to ask about\n" in said(report())
    waiting = said(report(unheard=3, witness_trouble="not_ready", audit_trouble="forbidden"))
    assert (
        "3 joins to ask about; no answer, because Discord is still listing this server's members; I ask again later"
        in waiting
    )
    assert "**Audit log**: not read, because I need the permission View Audit Log\n" in waiting
    off = said(report(unheard=3, witness_trouble="switched_off"))
    assert "member search): switched off by LEDGER_SECOND_WITNESS\n" in off
    assert "no answer, because Discord sent an answer I cannot read" in said(
        report(witness_trouble="malformed: the search of another guild")
    )


def test_what_is_lost_without_view_audit_log_is_told():
    text = said(report(), permitted=Permitted(unproving=("View Audit Log",)))
    assert "**Without View Audit Log** the last uses of limited invites stay likely instead of certain" in text


def test_the_worst_guild_stays_within_one_message_and_loses_only_the_tail():
    codes = {InviteCode(f"{number:0100}"): 10**15 for number in range(1_000)}
    permitted = Permitted(
        missing=("Manage Server", "Manage Channels"),
        unheard=tuple(ChannelId(str(10**18 + number)) for number in range(500)),
    )
    worst = report(open_joins=10**6, unclaimed=codes, broken=("x" * 50,) * 5, trouble="y" * 100)
    text = said(worst, permitted=permitted)
    assert len(text) <= MAX_MESSAGE + 100
    assert "500 channels" in text
    assert "**restarts**: 4" in text
    assert "more" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("fields", "writable", "words"),
    [
        ({}, {"5"}, "**Log channel**: <#5>\n"),
        ({"unshown": 2}, None, "**Log channel**: <#5>, 2 joins to announce\n"),
        (
            {"unshown": 1, "showing_trouble": "rate_limited"},
            {"5"},
            "<#5>, 1 join to announce; not now, because Discord asks me to wait; I try again later\n",
        ),
        ({}, {"6"}, "**Log channel**: <#5> is deleted or closed to me, so joins are not announced; give me"),
    ],
)
def test_the_log_channel_is_told_with_what_is_wrong_there(
    fields: dict[str, object], writable: set[str] | None, words: str
):
    permitted = Permitted(writable=frozenset(map(ChannelId, writable)) if writable else None)
    assert words in said(report(log_channel=ChannelId("5"), **fields), permitted=permitted)


def test_without_a_log_channel_nothing_is_said_of_it():
    assert "Log channel" not in said(report(), permitted=Permitted(writable=frozenset()))
