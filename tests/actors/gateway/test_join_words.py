"""What the log channel says of a join: by kind, never surer than the verdict, never pinging, never too long."""

from collections.abc import Mapping

import msgspec
import pytest

from actors.gateway.join_words import DEFAULTS, KINDS, PLACEHOLDERS, join_message, kind_of, wrong_in
from actors.gateway.wording import MAX_MESSAGE, NO_LABELS
from ledger.effects import AnnounceJoin
from ledger.ids import NO_COUNTER, VANITY, ChannelId, InviteCode, UserId, tombstone
from ledger.records import Status
from ledger.state import Period

DAY_US = 86_400_000_000
JOINED_US = 1_700_000_000_000_000
MEMBER, STAFF = UserId("41771983423143937"), UserId("80351110224678912")  # accounts of 2015
HARBOUR = InviteCode("harbour")


def period(status: Status, **fields: object) -> Period:
    return msgspec.structs.replace(Period(JOINED_US, JOINED_US, status=status, verdicts=1), **fields)


def said(  # what an announcement is made of
    of: Period,
    template: str = "",
    *,
    user: UserId = MEMBER,
    total: int = 12,
    young_days: int = 7,
    labels: Mapping[InviteCode, str] = NO_LABELS,
) -> str:
    return join_message(
        AnnounceJoin(
            number=1,
            user=user,
            period=of,
            channel=ChannelId("5"),
            message="",
            template={kind_of(of): template} if template else {},
            young_days=young_days,
            total=total,
            due_us=0,
            labels=labels,
        )
    )


def account_of(age_us: int) -> UserId:
    return UserId(str(((JOINED_US - age_us) // 1_000 - 1_420_070_400_000) << 22))


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (
            period(Status.CERTAIN, code=HARBOUR, staff=STAFF, credited=STAFF),
            f"<@{MEMBER}>: joined with `harbour`; for <@{STAFF}> (12 joins credited).",
        ),
        (
            period(Status.REPORTED, code=HARBOUR, staff=STAFF),
            f"<@{MEMBER}>: Discord reports `harbour`; for <@{STAFF}> (12 joins credited).",
        ),
        (period(Status.MANUAL, reason="so"), f"<@{MEMBER}>: decided by a person."),
        (period(Status.CERTAIN, code=VANITY), f"<@{MEMBER}>: joined with the vanity URL."),
        (period(Status.NON_INVITE, bot=True, inviter=STAFF), f"<@{MEMBER}>: a bot, added by <@{STAFF}>."),
        (period(Status.NON_INVITE, bot=True), f"<@{MEMBER}>: a bot, added by somebody I do not know (yet)."),
        (period(Status.LIKELY, code=HARBOUR, staff=STAFF), f"<@{MEMBER}>: probably `harbour`."),
        (period(Status.CANDIDATES, candidates=("a", HARBOUR)), f"<@{MEMBER}>: `a` or `harbour`."),
        (
            period(Status.UNKNOWN, reason="no_use_seen"),
            f"<@{MEMBER}>: not known, because no invite's counter rose for this join.",
        ),
    ],
)
def test_each_kind_of_join_has_its_words(of: Period, text: str):
    assert said(of) == text


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("bot", [True, False])
def test_every_status_has_a_kind_and_words(status: Status, *, bot: bool):
    of = period(status, bot=bot, code=NO_COUNTER)
    assert kind_of(of) in KINDS
    assert said(of).startswith(f"<@{MEMBER}>: ")


def test_a_candidate_is_never_worded_as_a_fact():
    of = period(Status.LIKELY, code=HARBOUR, staff=STAFF)
    assert said(of, "{inviter} {code}") == f"probably <@{STAFF}> probably `harbour`"
    assert said(period(Status.CANDIDATES, candidates=("a", "b")), "{inviter}") == "somebody I do not know (yet)"


@pytest.mark.parametrize(
    ("age_us", "days", "words"),
    [
        (DAY_US // 2, 7, "⚠ The account was less than a day old."),
        (DAY_US, 7, "⚠ The account was 1 day old."),
        (7 * DAY_US - 2_000_000, 7, "⚠ The account was 6 days old."),
        (7 * DAY_US, 7, ""),
        (0, 0, ""),
        (-5_000_000, 7, "⚠ The account was less than a day old."),  # two clocks
    ],
)
def test_accounts_younger_than_the_setting_are_marked(age_us: int, days: int, words: str):
    text = said(period(Status.UNKNOWN), "x {young}", user=account_of(age_us), young_days=days)
    assert text == f"x {words}".strip()


def test_somebody_forgotten_has_no_age_and_no_mention():
    assert "<@" not in said(period(Status.UNKNOWN), "{member} {young}", user=tombstone(1))


@pytest.mark.parametrize("text", ["欢迎 {member} 🎉", "مرحبا {member} \u202e", "@here **{member}** {"])
def test_a_template_stays_as_it_is_in_every_writing(text: str):
    assert wrong_in(text) == ""
    assert said(period(Status.UNKNOWN), text) == text.replace("{member}", f"<@{MEMBER}>")


def test_what_is_filled_in_is_neither_filled_again_nor_markdown():
    of = period(Status.MANUAL, code=InviteCode("{why}`"), staff=STAFF, reason="**{member}** <@1> @here")
    assert said(of, "{code} {why}") == "`{why}` \\*\\*{member}\\*\\* \\<\\@1\\> \\@here"


def test_a_label_stands_beside_its_code_and_has_a_placeholder_of_its_own():
    labels = {HARBOUR: "**夏** {why} @here"}
    named = "\u2068\\*\\*夏\\*\\* {why} \\@here\u2069"
    sure = period(Status.CERTAIN, code=HARBOUR, staff=STAFF)
    assert f"joined with `harbour` ({named}); for" in said(sure, labels=labels)
    assert said(sure, "{code} {label}", labels=labels) == f"`harbour` ({named}) {named}"
    likely, open_ = period(Status.LIKELY, code=HARBOUR), period(Status.CANDIDATES, candidates=("a", HARBOUR))
    assert said(likely, "{label}", labels=labels) == f"probably {named}"
    assert said(open_, "{code}x{label}", labels=labels) == f"`a` or `harbour` ({named})x"
    assert said(sure, "{label}|") == "|"


@pytest.mark.parametrize("text", ["{who}", "{}", "{member.id}", "{member!r}", "{ member }", "{member:>900}"])
def test_an_unknown_placeholder_is_refused_with_those_that_are_known(text: str):
    refusal = wrong_in(text)
    assert "I do not know the placeholder" in refusal
    assert all(f"{{{name}}}" in refusal for name in PLACEHOLDERS)


def test_a_text_that_is_too_long_is_refused():
    assert wrong_in("x" * 1_000) == ""
    assert "1,001 characters" in wrong_in("x" * 1_001)


def test_a_message_is_cut_before_discord_refuses_it():
    of = period(Status.UNKNOWN, reason="*" * 400)
    assert len(said(of, "{why}" * 200)) == MAX_MESSAGE


def test_a_template_that_says_nothing_gives_way_to_the_default():
    assert said(period(Status.UNKNOWN, reason="no_use_seen"), "{young}") == said(
        period(Status.UNKNOWN, reason="no_use_seen")
    )


def test_the_defaults_would_be_accepted():
    assert [wrong_in(text) for text in DEFAULTS.values()] == [""] * len(KINDS)
