"""Answers as text: words that follow the status, within Discord's limits, with nothing in them that plays tricks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.asks import Answered, Outcome
from actors.gateway import failures as f
from actors.gateway.render import WORDS, render
from actors.gateway.staff_invites import bare_code
from actors.gateway.wording import MAX_NAME, ZERO_WIDTH_JOINER, code, either, fit, person, plain, shown
from ledger.answers import Assigned, Done, MemberReport
from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Status
from ledger.state import LEFT_UNKNOWN, Assignment, Period

USER, STAFF = UserId("1"), UserId("2")
A, B = InviteCode("A"), InviteCode("B")


def said_of(period: Period) -> str:
    report = MemberReport(user=USER, periods=(period,))
    return render(Outcome(kind=Answered.OK, answer=report)).splitlines()[1].partition(": ")[2]


@pytest.mark.parametrize(
    ("period", "words"),
    [
        (Period(1, 1, status=Status.CERTAIN, code=A, credited=STAFF), "joined with `A`, credited to <@2>."),
        (Period(1, 1, status=Status.CERTAIN, code=VANITY), "joined with the vanity URL."),
        (
            Period(1, 1, status=Status.CERTAIN, code=A, staff=STAFF, rejoin=True),
            "joined with `A`, an invite of <@2> (not credited) (a return).",
        ),
        (
            Period(1, 1, status=Status.INVITER_CERTAIN, staff=STAFF, candidates=(A, B), credited=STAFF),
            "joined with an invite of <@2>: `A` or `B`, credited to <@2>.",
        ),
        (Period(1, 1, status=Status.LIKELY, code=A), "probably `A`."),
        (Period(1, 1, status=Status.CANDIDATES, candidates=(A, B)), "`A` or `B`."),
        (
            Period(1, 1, status=Status.UNKNOWN, reason="no_use_seen"),
            "not known, because no invite's counter rose for this join.",
        ),
        (
            Period(1, 1, status=Status.UNKNOWN, reason="unreadable: Expected `str`"),
            "not known, because the join's event could not be read.",
        ),
        (Period(1, 1), "not worked out yet."),
        (Period(1, 1, bot=True, status=Status.NON_INVITE), "a bot, added without an invite."),
        (Period(1, 1, bot=True, status=Status.NON_INVITE, inviter=STAFF), "a bot, added by <@2>."),
        (Period(1, 1, counted=False), "was here before I began to count."),
        (
            Period(1, 1, counted=False, status=Status.REPORTED, code=A, staff=STAFF),
            "was here before I began to count; Discord reports `A`, an invite of <@2> (not credited).",
        ),
        (
            Period(1, 1, status=Status.MANUAL, credited=STAFF, staff=STAFF, vip=True, vip_credited=STAFF),
            "decided by a person, credited to <@2>; VIP (credited to <@2>).",
        ),
        (Period(1, 1, status=Status.LIKELY, code=A, vip_since_us=9), "probably `A`; was VIP."),
        (
            Period(1, 1, status=Status.CONFLICT, candidates=(A, B)),
            "disputed: the counters and Discord's member search disagree (`A` or `B`).",
        ),
    ],
)
def test_the_words_follow_the_status(period: Period, words: str):
    assert said_of(period) == words


def test_every_status_has_its_words():
    assert set(WORDS) == set(Status)


def test_no_candidate_is_worded_as_a_fact():
    for status in set(Status) - {Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN}:
        assert "joined with `A`" not in said_of(Period(1, 1, status=status, code=A, candidates=(A, B)))


def test_all_memberships_are_shown_the_newest_first_and_how_they_ended():
    periods = (
        Period(1_000_000, 1, left_us=2_000_000),
        Period(3_000_000, 1, left_us=LEFT_UNKNOWN),
        Period(5_000_000, 1),
    )
    lines = render(Outcome(kind=Answered.OK, answer=MemberReport(user=USER, periods=periods))).splitlines()
    assert lines[0] == "**<@1>**, 3 memberships:"
    assert lines[1].startswith("<t:5:f>: ")
    assert "left, time unknown" in lines[2]
    assert "<t:1:f> – <t:2:f>" in lines[3]


def test_somebody_never_seen():
    text = render(Outcome(kind=Answered.OK, answer=MemberReport(user=USER, periods=())))
    assert text == "I have never seen <@1> here."


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Answered.REJECTED, "cannot be done: no such \\*thing\\*"),
        (Answered.CRASHED, "could not handle this"),
        (Answered.DEADLINE, "may still be done"),
    ],
)
def test_what_did_not_work_is_said_as_it_is(kind: Answered, words: str):
    assert words in render(Outcome(kind=kind, text="no such *thing*"))


def test_what_is_not_durable_everywhere_is_said():
    answer = MemberReport(user=USER, periods=())
    text = render(Outcome(kind=Answered.DEGRADED, answer=answer))
    assert text.startswith("I have never seen")
    assert "not yet in every store" in text


def test_an_unavailable_server_is_said_when_nothing_was_done():
    assert "unavailable" in render(Outcome(kind=Answered.OK, answer=Done()))


def test_a_thousand_memberships_fit_into_one_message():
    periods = tuple(Period(n, n, status=Status.CANDIDATES, candidates=(A, B) * 50) for n in range(1_000))
    text = render(Outcome(kind=Answered.OK, answer=MemberReport(user=USER, periods=periods)))
    assert len(text) <= 2_000
    assert text.splitlines()[-1].endswith("more")


@given(st.text())
def test_no_text_brings_markdown_a_mention_or_a_turn_of_direction(text: str):
    shown = plain(text)
    assert all(letter.isprintable() or letter == ZERO_WIDTH_JOINER for letter in shown)
    bare = shown.replace("\\\\", "")
    for mark in "*_~`|<@#":
        assert bare.count(mark) == bare.count(f"\\{mark}")


@given(st.text(max_size=200))
def test_a_name_is_cut_and_turns_nothing_beside_it(name: str):
    text = shown(name)
    assert text[0] == "\u2068"
    assert text[-1] == "\u2069"
    assert len(text.replace("\\", "")) <= MAX_NAME + 2
    assert "\n" not in text


def test_a_person_is_a_mention_and_the_name_that_is_known():
    assert person(USER) == "<@1>"
    assert person(USER, "*Ann*") == "<@1> (\u2068\\*Ann\\*\u2069)"


def test_a_code_that_stood_for_somebody_else_says_for_whom_and_since_when():
    now, before = Assignment(2, STAFF, 2_000_000), Assignment(1, USER, 1_000_000)
    text = render(Outcome(kind=Answered.OK, answer=Assigned(code=A, assignment=now, before=before)))
    assert text.endswith("\n-# Before: <@1> since <t:1:f>.")
    text = render(Outcome(kind=Answered.OK, answer=Assigned(code=A, assignment=now, news=False)))
    assert text == "`A` stands for <@2> already, since <t:2:f>. Nothing was changed."


@given(st.text())
def test_no_code_leaves_its_span(text: str):
    shown = code(InviteCode(text))
    if text not in {VANITY, NO_COUNTER}:
        assert shown[0] == shown[-1] == "`"
        assert "`" not in shown[1:-1]
        assert shown.replace(ZERO_WIDTH_JOINER, "").isprintable()


def test_lists_of_codes_are_cut():
    assert either([A]) == "`A`"
    assert either([A, B, VANITY]) == "`A`, `B` or the vanity URL"
    assert either([A] * 9) == "`A`, `A`, `A`, `A`, `A` or 4 more"
    assert either([]) == ""


def test_codes_are_told_with_their_labels():
    labels = {A: "出差", B: "a_fair"}
    periods = (Period(1, 1, status=Status.CERTAIN, code=A), Period(2, 2, status=Status.CANDIDATES, candidates=(A, B)))
    text = render(Outcome(kind=Answered.OK, answer=MemberReport(user=USER, periods=periods, labels=labels)))
    assert "joined with `A` (\u2068出差\u2069)" in text
    assert "`A` (\u2068出差\u2069) or `B` (\u2068a\\_fair\u2069)" in text


@given(st.lists(st.text(max_size=300), max_size=50))
def test_what_does_not_fit_is_counted(lines: list[str]):
    assert len(fit(lines)) <= 2_000


def test_a_code_is_found_in_what_people_paste():
    for text in ("abC", " abC ", "discord.gg/abC", "https://discord.com/invite/abC/"):
        assert bare_code(text) == "abC"


def test_every_failure_has_a_name_and_a_sentence():
    for failure in (
        f.Forbidden(),
        f.Unavailable(status=0),
        f.Unavailable(status=503),
        f.Limited(retry_after_s=31.0),
        f.TimedOut(after_s=15.0),
        f.Malformed(why="x"),
    ):
        assert f.reason(failure)
        assert f.explain(failure).endswith(".")
        assert msgspec.structs.asdict(failure)
