"""Upgrades by example: in which membership they came, and who is credited for them."""

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.credits import with_upgrades
from ledger.ids import GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.samples import Sample
from ledger.state import GuildState, Period, Roll
from ledger.verdicts import plain_verdict, pronounce
from tests.ledger.lives import GREETING, SECOND, START_US, THIS, UNDER_WAY, Life

ANNA, CLEO, DORA, OWNER = (UserId(str(number)) for number in (1, 51, 52, 99))
VIP = RoleId("9")
SETTINGS = r.Settings(vip_roles=(VIP,))


def at(seconds: float) -> int:
    return START_US + round(seconds * SECOND)


def sampled(life: Life, at_s: float, a: int, b: int) -> None:
    """The counters of Cleo's invite and of Dora's."""
    counters = (
        r.Counter(code=InviteCode("A"), created_at_us=1, uses=a, inviter=CLEO),
        r.Counter(code=InviteCode("B"), created_at_us=1, uses=b, inviter=DORA),
    )
    sample = Sample(requested_us=at(at_s), answered_us=at(at_s), session=THIS, counters=counters)
    life.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))


def listed(life: Life, at_s: float, *members: m.ListedMember) -> None:
    page = m.ReviewMembers(
        session=THIS, members=members, after=UserId("0"), upto="", started_us=at(at_s), at_us=at(at_s)
    )
    life.tell(page)


def told(number: int) -> r.GatewayCause:
    return r.GatewayCause(session=GREETING.session, number=number, lane="members")


def joins(life: Life, at_s: float, *roles: RoleId, bot: bool = False, number: int = 1) -> None:
    join = m.RecordJoin(
        cause=told(number),
        session=GREETING.session,
        user=ANNA,
        joined_at_us=at(at_s),
        arrived_us=at(at_s),
        roles=roles,
        bot=bot,
    )
    life.tell(join)


def decides(life: Life, interaction: str, opened_us: int, staff: UserId | None) -> None:
    decided = m.DecideJoin(
        interaction=InteractionId(interaction),
        user=ANNA,
        opened_us=opened_us,
        staff=staff,
        code=None,
        why="saw it",
        by=OWNER,
    )
    life.tell(decided)


def guild(settings: r.Settings = SETTINGS) -> Life:
    life = Life()
    life.tell(GREETING)
    fields = r.Settings.__struct_fields__
    life.tell(m.ChangeSettings(interaction=InteractionId("s"), settings=settings, fields=fields, by=OWNER))
    sampled(life, 1, 0, 0)
    listed(life, 2)
    return life


def test_who_came_back_and_was_upgraded_during_an_absence_is_no_vip_of_the_membership_before():
    life = guild()
    joins(life, 5)
    sampled(life, 6, 1, 0)
    life.tell(m.GuildCameUp(session=SessionId("next"), at_us=at(500)))
    listed(life, 501, m.ListedMember(user=ANNA, joined_at_us=at(300), roles=(VIP,)))
    sampled(life, 510, 1, 1)
    first, second = life.state.members[ANNA]
    assert (first.staff, first.vip, first.vip_credited) == (CLEO, False, None)
    assert (second.status, second.staff, second.vip, second.vip_credited) == (r.Status.LIKELY, DORA, True, None)


def test_who_is_shown_first_by_a_list_with_the_role_is_vip_and_credited_when_a_person_decides():
    life = guild()
    life.tell(m.GuildCameUp(session=SessionId("next"), at_us=at(500)))
    listed(life, 501, m.ListedMember(user=ANNA, joined_at_us=at(300), roles=(VIP,)))
    sampled(life, 510, 0, 1)
    decides(life, "d", 0, DORA)
    (period,) = life.state.members[ANNA]
    assert (period.vip, period.credited, period.vip_credited) == (True, DORA, DORA)


def test_who_joins_with_the_role_is_credited_once_with_the_verdict_whatever_a_list_shows_later():
    life = guild()
    joins(life, 5, VIP)
    sampled(life, 6, 1, 0)
    assert life.state.members[ANNA][0].vip_credited == CLEO
    listed(life, 8, m.ListedMember(user=ANNA, joined_at_us=at(5), roles=(VIP,)))
    granted = [each.event.kind for each in life.records if isinstance(each.event, r.CreditGranted)]
    assert sorted(granted) == ["join", "vip"]


def test_a_bot_with_the_role_is_no_vip():
    life = guild()
    joins(life, 5, VIP, bot=True)
    (period,) = life.state.members[ANNA]
    assert not period.vip


def test_the_one_credit_of_a_life_goes_to_the_next_upgrade_where_the_first_proves_to_be_nobodys():
    life = guild()
    joins(life, 5, VIP)
    sampled(life, 6, 1, 0)
    life.tell(m.RecordLeave(cause=told(2), user=ANNA, arrived_us=at(20)))
    joins(life, 30, VIP, number=3)
    sampled(life, 31, 1, 1)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [CLEO, None]
    decides(life, "d", at(5), None)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [None, DORA]
    decides(life, "e", at(5), CLEO)  # and stays there: it was given, and is not taken back
    assert [each.vip_credited for each in life.state.members[ANNA]] == [None, DORA]
    decides(life, "f", at(30), None)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [CLEO, None]


def test_once_a_membership_each_upgrade_has_a_credit_of_its_own():
    life = guild(r.Settings(vip_roles=(VIP,), vip_once="membership"))
    joins(life, 5, VIP)
    sampled(life, 6, 1, 0)
    life.tell(m.RecordLeave(cause=told(2), user=ANNA, arrived_us=at(20)))
    joins(life, 30, VIP, number=3)
    sampled(life, 31, 1, 1)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [CLEO, DORA]
    decides(life, "d", at(5), None)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [None, DORA]


def test_what_was_credited_before_it_was_to_be_once_stays_where_a_person_says_the_same():
    life = guild(r.Settings(vip_roles=(VIP,), vip_once="membership"))
    joins(life, 5, VIP)
    sampled(life, 6, 1, 0)
    life.tell(m.RecordLeave(cause=told(2), user=ANNA, arrived_us=at(20)))
    joins(life, 30, VIP, number=3)
    sampled(life, 31, 1, 1)
    life.tell(m.ChangeSettings(interaction=InteractionId("o"), settings=SETTINGS, fields=("vip_once",), by=OWNER))
    decides(life, "d", at(30), DORA)
    assert [each.vip_credited for each in life.state.members[ANNA]] == [CLEO, DORA]


def test_two_upgrades_of_a_life_that_are_judged_together_have_one_credit():
    life = guild()
    joins(life, 5, VIP)
    life.tell(m.RecordLeave(cause=told(2), user=ANNA, arrived_us=at(20)))
    joins(life, 30, VIP, number=3)
    sampled(life, 31, 2, 0)
    first, second = life.state.members[ANNA]
    assert [each.status for each in (first, second)] == [r.Status.CERTAIN] * 2
    assert (first.vip_credited, second.vip_credited) == (CLEO, None)


def test_a_credit_does_not_pass_on_to_an_upgrade_that_nobody_stands_behind_any_more_either():
    certain = Period(START_US, START_US, status=r.Status.CERTAIN, staff=CLEO, vip_since_us=START_US, verdicts=1)
    first = msgspec.structs.replace(certain, vip_credited=CLEO)
    second = msgspec.structs.replace(certain, opened_us=at(30))
    state = GuildState(guild=GuildId("1"), settings=SETTINGS, members=Roll({ANNA: (first, second)}))
    fallen = [
        draft
        for period in (first, second)
        for draft in pronounce(state, period, plain_verdict(ANNA, period, r.Status.UNKNOWN, "no_use_seen"), told(1))
    ]
    moved = [each.event for each in with_upgrades(state, fallen)[len(fallen) :]]
    assert moved == [r.CreditReversed(user=ANNA, opened_us=START_US, kind="vip", staff=CLEO)]
