"""Errands by example: what was asked before an absence or a forgetting is asked anew, never waited for in vain."""

import pytest

from ledger import messages as m
from ledger import records as r
from ledger.effects import AnnounceJoin, AskWitness, ReadAudit, SweepMembers
from ledger.ids import ChannelId, InteractionId, InviteCode, UserId
from ledger.samples import Sample
from tests.ledger.lives import GREETING, SECOND, START_US, UNDER_WAY, Life

ANNA, CLEO, DORA, OWNER = (UserId(str(number)) for number in (1, 51, 52, 99))
A, B = InviteCode("A"), InviteCode("B")
LONG_AGO_US = START_US - 1_000_000 * SECOND


def at(seconds: float) -> int:
    return START_US + round(seconds * SECOND)


def guild(settings: r.Settings, *members: m.ListedMember) -> Life:
    """A guild whose counters were read and whose members were compared."""
    life = Life()
    life.tell(GREETING)
    fields = r.Settings.__struct_fields__
    life.tell(m.ChangeSettings(interaction=InteractionId("s"), settings=settings, fields=fields, by=OWNER))
    sampled(
        life,
        1,
        r.Counter(code=A, created_at_us=1, uses=0, inviter=CLEO),
        r.Counter(code=B, created_at_us=1, uses=0, max_uses=1, inviter=DORA),
    )
    page = m.ReviewMembers(
        session=GREETING.session, members=members, after=UserId("0"), upto="", started_us=at(2), at_us=at(2)
    )
    life.tell(page)
    return life


def sampled(life: Life, at_s: float, *counters: r.Counter) -> None:
    sample = Sample(requested_us=at(at_s), answered_us=at(at_s), session=GREETING.session, counters=counters)
    life.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))


def under_way(life: Life) -> tuple[int, int, int, int]:
    asked = life.presence
    return asked.audit.number, asked.witness.number, asked.sweeping.number, asked.announcing.number


def test_what_failed_while_the_guild_was_away_is_asked_again_when_it_is_back():
    life = guild(r.Settings(log_channel=ChannelId("7")))
    cause = r.GatewayCause(session=GREETING.session, number=1, lane="members")
    life.tell(m.RecordJoin(cause=cause, session=GREETING.session, user=ANNA, joined_at_us=at(5), arrived_us=at(5)))
    sampled(life, 6, r.Counter(code=A, created_at_us=1, uses=1, inviter=CLEO))
    audit, witness, sweeping, announcing = before = under_way(life)
    assert all(before)
    life.tell(m.GuildWentAway(at_us=at(7)))
    life.tell(m.AuditFailed(number=audit, reason="away", forbidden=False, at_us=at(8)))
    life.tell(m.WitnessFailed(number=witness, reason="away", at_us=at(8)))
    life.tell(m.WitnessFailed(number=sweeping, reason="away", at_us=at(8)))
    life.tell(m.AnnouncingFailed(number=announcing, reason="away", at_us=at(8)))
    life.tell(GREETING)
    assert {type(each) for each in life.errands} == {ReadAudit, AskWitness, AnnounceJoin}
    assert not set(under_way(life)) & set(before)


def test_those_of_before_are_asked_for_again_when_the_guild_is_back_and_its_list_was_compared():
    life = guild(r.Settings())
    before = life.presence.sweeping.number
    assert before
    life.tell(m.GuildWentAway(at_us=at(7)))
    life.tell(GREETING)
    page = m.ReviewMembers(
        session=GREETING.session, members=(), after=UserId("0"), upto="", started_us=at(9), at_us=at(9)
    )
    life.tell(page)
    (asked,) = (each for each in life.errands if isinstance(each, SweepMembers))
    assert asked.number == life.presence.sweeping.number != before


def test_a_page_of_before_the_guild_was_forgotten_says_nothing_of_who_is_there_after_it():
    life = guild(r.Settings(), m.ListedMember(user=ANNA, joined_at_us=LONG_AGO_US))
    asked = life.presence.sweeping.number
    life.tell(m.ForgetGuild(at_us=at(5)))
    row = m.SearchedMember(user=ANNA, joined_at_us=LONG_AGO_US, report=r.Report(5, A, CLEO))
    life.tell(m.WitnessAnswered(number=asked, rows=(row,), at_us=at(6), swept=True, done=True))
    assert (life.state.sweep.upto_us, life.state.sweep.done) == (0, False)


def test_what_a_person_decided_of_a_member_of_before_is_not_credited_to_another_by_the_sweep():
    life = guild(r.Settings(credit_backfill=True), m.ListedMember(user=ANNA, joined_at_us=LONG_AGO_US))
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=CLEO, code=A, why="saw it", by=OWNER
    )
    life.tell(decided)
    row = m.SearchedMember(user=ANNA, joined_at_us=LONG_AGO_US, report=r.Report(5, B, DORA))
    asked = life.presence.sweeping.number
    life.tell(m.WitnessAnswered(number=asked, rows=(row,), at_us=at(6), swept=True, done=True))
    (period,) = life.state.members[ANNA]
    assert (period.status, period.staff, period.credited) == (r.Status.MANUAL, CLEO, CLEO)
    granted = [each.event.staff for each in life.records if isinstance(each.event, r.CreditGranted)]
    assert granted == [CLEO]


@pytest.mark.parametrize(("too_long", "times"), [(False, 60), (True, 12)])
def test_a_log_that_is_too_long_costs_its_ten_pages_less_often_than_one_that_fails(*, too_long: bool, times: int):
    """Asked whenever it may be, for an hour."""
    life = guild(r.Settings())
    cause = r.GatewayCause(session=GREETING.session, number=1, lane="members")
    life.tell(m.RecordJoin(cause=cause, session=GREETING.session, user=ANNA, joined_at_us=at(5), arrived_us=at(5)))
    sampled(life, 6)
    for at_s in (8, 13):
        sampled(life, at_s)
    asked: list[int] = []
    while life.presence.audit.from_us < at(3_600):
        asked.append(life.presence.audit.from_us)
        failed = m.AuditFailed(
            number=-1, reason="x", forbidden=False, at_us=max(at(20), asked[-1]), too_long=too_long
        )
        life.tell(failed)
    assert times <= len(asked) <= times + 5
