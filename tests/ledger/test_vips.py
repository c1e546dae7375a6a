"""Upgrades by example: in which membership they came, and who is credited for them."""

from ledger import messages as m
from ledger import records as r
from ledger.ids import InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.samples import Sample
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


def joins(life: Life, at_s: float, *roles: RoleId, bot: bool = False) -> None:
    cause = r.GatewayCause(session=GREETING.session, number=1, lane="members")
    join = m.RecordJoin(
        cause=cause,
        session=GREETING.session,
        user=ANNA,
        joined_at_us=at(at_s),
        arrived_us=at(at_s),
        roles=roles,
        bot=bot,
    )
    life.tell(join)


def guild() -> Life:
    life = Life()
    life.tell(GREETING)
    fields = r.Settings.__struct_fields__
    life.tell(m.ChangeSettings(interaction=InteractionId("s"), settings=SETTINGS, fields=fields, by=OWNER))
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
    decided = m.DecideJoin(
        interaction=InteractionId("d"), user=ANNA, opened_us=0, staff=DORA, code=None, why="saw it", by=OWNER
    )
    life.tell(decided)
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
