"""A guild for examples: its people, its invites, and what can be told to it in a word."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decision import Decision
from ledger.effects import Request
from ledger.errands import errands
from ledger.ids import ChannelId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.presence import NO_ERRAND
from ledger.records import Status
from ledger.samples import Sample
from ledger.state import Period
from tests.ledger.lives import GREETING, SECOND, START_US, UNDER_WAY, Life

ANNA, BEN, CARL, STAFF, OTHER, ADMIN = (UserId(str(each)) for each in range(101, 107))
A, B, ONCE = InviteCode("A"), InviteCode("B"), InviteCode("once")
SESSION = SessionId("s1")
VIP, CHANNEL = RoleId("9"), ChannelId("42")
INVITES = {
    A: r.Counter(code=A, created_at_us=1, uses=3, inviter=STAFF),
    B: r.Counter(code=B, created_at_us=1, uses=7, inviter=OTHER),
    ONCE: r.Counter(code=ONCE, created_at_us=1, uses=0, max_uses=1, inviter=STAFF),
}


def us(at_s: float) -> int:
    return START_US + round(at_s * SECOND)


class Guild(Life):
    """A guild with a baseline of all invites at 1 s, and nobody missing in the member list."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.tell(GREETING)
        self.lists(0.5)
        self.counters(1)

    def cause(self, lane: Literal["members", "rest"] = "members") -> r.GatewayCause:
        self.number += 1
        return r.GatewayCause(session=SESSION, number=self.number, lane=lane)

    def lists(self, at_s: float, *members: m.ListedMember) -> None:
        page = m.ReviewMembers(
            session=SESSION, members=members, after=UserId("0"), upto="", started_us=us(at_s), at_us=us(at_s) + 1
        )
        self.tell(page)

    def counters(
        self, at_s: float, gone: InviteCode | None = None, also: tuple[r.Counter, ...] = (), **uses: int
    ) -> None:
        listed = tuple(
            msgspec.structs.replace(each, uses=uses.get(code, each.uses))
            for code, each in INVITES.items()
            if code != gone
        )
        told = (*listed, *also)
        session = self.presence.session
        sample = Sample(requested_us=us(at_s), answered_us=us(at_s) + 1, session=session, counters=told)
        self.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))

    def joins(self, user: UserId, at_s: float, *, bot: bool = False, roles: tuple[RoleId, ...] = ()) -> None:
        self.tell(self.event(user, at_s, at_s, roles, bot=bot))

    def updates(self, user: UserId, at_s: float, *roles: RoleId) -> None:
        opened_s = (self.period(user).opened_us - START_US) / SECOND
        self.tell(m.NoteMember(join=self.event(user, opened_s, at_s, roles, bot=False)))

    def leaves(self, user: UserId, at_s: float) -> None:
        self.tell(m.RecordLeave(cause=self.cause(), user=user, arrived_us=us(at_s)))

    def event(
        self, user: UserId, joined_s: float, at_s: float, roles: tuple[RoleId, ...], *, bot: bool
    ) -> m.RecordJoin:
        return m.RecordJoin(
            cause=self.cause(),
            session=SESSION,
            user=user,
            joined_at_us=us(joined_s),
            arrived_us=us(at_s),
            bot=bot,
            roles=roles,
        )

    def reads(
        self,
        at_s: float,
        *deletions: m.DeletedInvite,
        creations: tuple[m.CreatedInvite, ...] = (),
        bots: tuple[m.AddedBot, ...] = (),
    ) -> None:
        number = self.presence.audit.number
        self.tell(
            m.AuditArrived(number=number, requested_us=us(at_s), deletions=deletions, creations=creations, bots=bots)
        )

    def told_live(
        self,
        at_s: float,
        *,
        deletions: tuple[m.DeletedInvite, ...] = (),
        creations: tuple[m.CreatedInvite, ...] = (),
        bots: tuple[m.AddedBot, ...] = (),
    ) -> None:
        cause, arrived_us = self.cause("rest"), us(at_s)
        self.tell(
            m.NoteLogged(cause=cause, deletions=deletions, creations=creations, bots=bots, arrived_us=arrived_us)
        )

    def hears(self, at_s: float, *rows: tuple[UserId, InviteCode | None, int]) -> None:
        searched = tuple(
            m.SearchedMember(user=user, joined_at_us=self.period(user).opened_us, report=r.Report(way, code))
            for user, code, way in rows
        )
        self.tell(m.WitnessAnswered(number=self.presence.witness.number, rows=searched, at_us=us(at_s)))

    def settles(self, **fields: object) -> Decision:
        return self.changes(settings=r.Settings(**fields), fields=tuple(fields))

    def changes(self, **what: object) -> Decision:
        return self.tell(m.ChangeSettings(interaction=InteractionId(str(len(self.records))), by=ADMIN, **what))

    def decides(self, user: UserId, staff: UserId | None, code: InviteCode | None = None) -> Decision:
        decision = m.DecideJoin(
            interaction=InteractionId(str(len(self.records))),
            user=user,
            opened_us=0,
            staff=staff,
            code=code,
            why="I saw it",
            by=ADMIN,
        )
        return self.tell(decision)

    def period(self, user: UserId = ANNA) -> Period:
        period = self.state.current(user)
        assert period is not None
        return period

    def said(self, user: UserId = ANNA) -> tuple[Status, str | None, str | None]:
        period = self.period(user)
        return period.status, period.code, period.credited

    def asked(self, kind: type[Request]) -> Iterator[Request]:
        """What would be asked now if nothing were under way."""
        idle = msgspec.structs.replace(
            self.presence, audit=NO_ERRAND, witness=NO_ERRAND, sweeping=NO_ERRAND, announcing=NO_ERRAND
        )
        return (each for each in errands(self.state, idle)[1] if isinstance(each, kind))


def burst(guild: Guild) -> None:
    """Anna and Ben at once, one use of A and one of B."""
    guild.joins(ANNA, 10)
    guild.joins(BEN, 10.1)
    guild.counters(11, A=4, B=8)


def used_up(guild: Guild) -> None:
    """Anna alone, and the one-use invite is gone."""
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
