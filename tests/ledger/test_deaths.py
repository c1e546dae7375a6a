"""Which death is whose, where a code comes back: by example."""

from itertools import count

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.ids import ChannelId, InviteCode, SessionId, UserId
from ledger.samples import Sample
from ledger.state import Period
from tests.ledger.lives import GREETING, SECOND, START_US, THIS, UNDER_WAY, Life

X, A = InviteCode("X"), InviteCode("A")
ONE, TWO = ChannelId("31"), ChannelId("32")
CLEO, DORA, ANNA, BERT = (UserId(str(number)) for number in (51, 52, 1, 2))


def at(seconds: float) -> int:
    return START_US + round(seconds * SECOND)


def invite(created_s: float, by: UserId, channel: ChannelId = ONE, **more: int) -> r.Counter:
    return msgspec.structs.replace(
        r.Counter(code=X, created_at_us=at(created_s), uses=0, inviter=by, channel=channel), **more
    )


class Town:
    """A guild, what it is told, and what it says."""

    def __init__(self, *counters: r.Counter) -> None:
        self._life, self._numbers = Life(), count(1)
        self._life.tell(GREETING)
        self.samples(3, *counters)
        self._life.tell(
            m.ReviewMembers(session=THIS, members=(), after=UserId("0"), upto="", started_us=at(3), at_us=at(3))
        )

    def _cause(self, lane: str = "rest") -> r.GatewayCause:
        return r.GatewayCause(session=SessionId(GREETING.session), number=next(self._numbers), lane=lane)

    def samples(self, at_s: float, *counters: r.Counter, times: int = 1) -> None:
        for second in range(times):
            asked_us = at(at_s + second)
            sample = Sample(requested_us=asked_us, answered_us=asked_us + 1_000, session=THIS, counters=counters)
            self._life.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))

    def born(self, at_s: float, invite: r.Counter) -> None:
        self._life.tell(m.NoteInviteBorn(cause=self._cause(), invite=invite, arrived_us=at(at_s)))

    def died(self, at_s: float) -> None:
        self._life.tell(m.NoteInviteDied(cause=self._cause(), code=X, arrived_us=at(at_s)))

    def channel_died(self, at_s: float, channel: ChannelId = ONE) -> None:
        self._life.tell(m.NoteChannelDied(cause=self._cause(), channel=channel, arrived_us=at(at_s)))

    def misses_something(self, at_s: float) -> None:
        """An event comes that it cannot read."""
        self._life.tell(
            m.NoteUnreadable(
                cause=self._cause(),
                session=SessionId(GREETING.session),
                name="INVITE_CREATE",
                digest="0" * 64,
                reason="it has no code",
                at_us=at(at_s),
            )
        )

    def joins(self, at_s: float, user: UserId = ANNA) -> None:
        join = m.RecordJoin(
            cause=self._cause("members"),
            session=GREETING.session,
            user=user,
            joined_at_us=at(at_s),
            arrived_us=at(at_s + 0.1),
        )
        self._life.tell(join)

    def reads_the_log(self, at_s: float) -> None:
        """It has no entry of any deletion."""
        life = self._life
        life.presence = msgspec.structs.replace(
            life.presence, audit=msgspec.structs.replace(life.presence.audit, number=77)
        )
        life.tell(m.AuditArrived(number=77, requested_us=at(at_s), deletions=(), creations=(), bots=()))

    def of(self, user: UserId = ANNA) -> Period:
        return self._life.state.members[user][-1]


def test_an_invite_that_came_back_and_went_with_its_channel_was_not_used_up():
    town = Town(invite(-100, CLEO, TWO))
    town.died(5)
    town.born(20, invite(19.9, DORA, max_uses=1))
    town.joins(30)  # by no invite
    town.channel_died(40)
    town.samples(60, times=6)
    town.reads_the_log(75)
    assert town.of().status is not r.Status.CERTAIN


def test_a_channels_death_does_not_take_the_time_of_an_earlier_invites_late_one():
    town = Town(invite(-100, CLEO, TWO))
    shown = invite(9.1, DORA)
    town.born(9.2, shown)
    town.samples(9.5, shown)
    town.died(10.4)  # the earlier one's
    town.joins(30)
    town.channel_died(40)
    town.samples(60, times=6)
    assert X in town.of().candidates


def test_a_channels_death_that_is_told_late_is_not_that_of_the_next_invite_elsewhere():
    town = Town(invite(-100, CLEO))
    town.born(9.2, invite(9.1, DORA, TWO, expires_at_us=at(40)))
    town.channel_died(10)
    town.joins(30)
    town.samples(50, times=6)
    assert X in town.of().candidates


@pytest.mark.parametrize("late_s", [0.5, 8.9])
def test_a_late_death_does_not_exclude_who_came_by_the_next_invite(late_s: float):
    town = Town(invite(-100, CLEO))
    town.samples(9.5, invite(9.1, DORA))
    town.died(9.1 + late_s)
    town.joins(30)
    town.samples(60, times=6)
    assert X in town.of().candidates


@pytest.mark.parametrize("joined_s", [19.8, 30])
def test_an_invite_that_is_told_of_behind_its_channels_deletion_was_not_used_up(joined_s: float):
    town = Town()
    if joined_s < 20:
        town.joins(joined_s)
    town.channel_died(20)
    town.born(20.5, invite(19.3, DORA, max_uses=1))
    if joined_s > 20:
        town.joins(joined_s)
    town.samples(60, times=6)
    town.reads_the_log(75)
    assert town.of().status is not r.Status.CERTAIN


@pytest.mark.parametrize("shown_s", [[20], [20, 30, 50]])
def test_an_invite_that_is_first_shown_behind_its_channels_deletion_was_not_used_up(shown_s: list[float]):
    """Discord may list what is dead for a while."""
    town = Town()
    town.channel_died(19)
    for at_s in shown_s:
        town.samples(at_s, invite(18.5, DORA, max_uses=1))
    town.joins(55)
    town.samples(60, times=6)
    town.reads_the_log(75)
    assert town.of().status is not r.Status.CERTAIN


def test_so_it_is_where_another_channel_was_deleted_since():
    town = Town()
    town.channel_died(19)
    town.channel_died(19.5, TWO)
    town.samples(20, invite(18.5, DORA, max_uses=1))
    town.joins(55)
    town.samples(60, times=6)
    town.reads_the_log(75)
    assert town.of().status is not r.Status.CERTAIN


def test_an_invite_whose_channel_goes_while_a_sample_is_on_its_way_that_still_shows_it_was_not_used_up():
    town = Town(shown := invite(-100, CLEO, max_uses=1))
    town.channel_died(20.0005)
    town.samples(20, shown)
    town.joins(20.001)
    town.samples(60, times=6)
    town.reads_the_log(75)
    assert town.of().status is not r.Status.CERTAIN
    assert X in town.of().candidates


def test_a_code_that_never_was_before_proves_by_its_death_however_soon_that_comes():
    town = Town(other := r.Counter(code=A, created_at_us=at(-100), uses=0, inviter=CLEO))
    town.born(10.1, invite(10, DORA, max_uses=1))
    town.joins(14)
    town.died(14.1)
    town.joins(18, BERT)
    town.samples(19, msgspec.structs.replace(other, uses=1), times=6)
    town.reads_the_log(40)
    assert [town.of(user).status for user in (ANNA, BERT)] == [r.Status.CERTAIN] * 2


def test_another_code_that_was_made_before_does_not_make_its_death_an_earlier_invites():
    town = Town(other := r.Counter(code=A, created_at_us=at(-100), uses=0, inviter=CLEO))
    town.born(9.1, msgspec.structs.replace(invite(9, CLEO), code=InviteCode("Y")))
    town.born(10.1, invite(10, DORA))
    town.died(14)
    town.joins(18)
    town.samples(19, other, times=6)
    assert town.of().candidates == ("NI", "Y")


def test_a_code_that_dies_again_behind_an_event_that_nobody_could_read_was_alive_between():
    town = Town(invite(-100, CLEO))
    town.died(10)
    town.misses_something(12)
    town.joins(30)
    town.died(40)
    town.samples(60, times=6)
    assert X in town.of().candidates


def test_a_death_that_is_told_before_a_birth_is_an_earlier_invites_also_where_a_sample_has_shown_the_new_one():
    shown = invite(2.9, DORA)
    town = Town(shown)
    town.died(3.2)
    town.born(3.5, shown)
    town.joins(30)
    town.samples(60, times=6)
    assert X in town.of().candidates
