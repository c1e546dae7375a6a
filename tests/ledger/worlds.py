"""Random worlds for the model: a guild with invites, people who join, a network that delays, and the truth.

A world obeys the assumptions that are written into the evidence (P0: every counted use is a join that is told of;
P2: a sample shows every use made before it was asked for); within them it is as nasty as a seed makes it: clocks that
differ, late and repeated events, bursts, codes that are used up, expire, or are deleted, joins by no invite, invites
that give roles or are for some people alone, roles that change soon after a join, kills.
A ``NewWorld`` does not wait until the bot has settled in, and loses what is on its way with a session.
"""

import heapq
import random
from collections.abc import Callable
from itertools import chain, count
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decide import decide
from ledger.effects import Effect, FetchSample, ListMembers
from ledger.evolve import evolve
from ledger.forgetting import person
from ledger.ids import NO_COUNTER, VANITY, GuildId, InviteCode, RoleId, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.samples import Sample
from ledger.state import GuildState

START_US: Final = 1_700_000_000_000_000
SECOND: Final = 1_000_000
GUILD: Final = GuildId("1")
FIRST_PERSON: Final = 1_000


class World:
    """One guild and one program. ``run`` plays it to its end; then ``truth`` and ``state`` can be compared."""

    quiet_us = 20 * SECOND
    """Nothing happens for so long after the bot has come."""

    def __init__(self, seed: int, *, joins: int = 12) -> None:
        self.random, self._doors = random.Random(seed), random.Random(f"doors/{seed}")
        self.now_us = START_US
        self.skew_us = self.random.randint(-SECOND, SECOND)
        self.truth: dict[tuple[UserId, int], InviteCode] = {}
        self.state = GuildState(guild=GUILD)
        self.presence = Presence(phase=Phase.REHYDRATING)
        self.records: list[r.Record] = []
        self.invites: dict[InviteCode, r.Counter] = {}
        self.codes_given: set[InviteCode] = set()
        self.invited_by: dict[tuple[UserId, int], UserId | None] = {}
        self.told_of: set[InviteCode] = {NO_COUNTER, VANITY}
        self.unseen: set[tuple[UserId, int]] = set()
        """Joins by invites that the program never saw: part of NI."""
        self.vanity = r.Vanity(code="acme", uses=5) if self.random.random() < 0.3 else None
        self.session = SessionId("s1")
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._dispatches = count(1)
        self._people = count(FIRST_PERSON)
        self.roles: dict[UserId, tuple[RoleId, ...]] = {}
        """What members have now."""
        self._codes = count()
        self._prepare(joins)

    # The story

    def _prepare(self, joins: int) -> None:
        for _ in range(self.random.randint(1, 4)):
            self._make_invite(at_us=START_US - 3600 * SECOND)
        self._come_up()
        at_us = START_US + self.quiet_us
        spread = self.random.choice((0.05, 0.5, 3.0, 20.0))
        for _ in range(joins):
            at_us += round(self.random.expovariate(1 / spread) * SECOND)
            self._at(at_us, self._somebody_joins)
        for _ in range(self.random.randint(0, 4)):
            when = self.random.randint(START_US + self.quiet_us, at_us + SECOND)
            self._at(when, getattr(self, self.random.choice(HAPPENINGS).__name__))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._agenda:
            self.now_us, _, step = heapq.heappop(self._agenda)
            step()

    def _somebody_joins(self) -> None:
        self._join(UserId(str(next(self._people))))

    def _join(self, user: UserId) -> None:
        self._expire()
        joined_at_us = self.now_us + self.skew_us
        code = self._pick_source(user)
        self.truth[user, joined_at_us] = code
        self.invited_by[user, joined_at_us] = self.invites[code].inviter if code in self.invites else None
        roles = self.roles[user] = self._roles_given(code)
        used_up = self._use(code)
        delay_us = self._delay()
        self._send(delay_us, lambda: self._hear_join(user, joined_at_us, roles))
        if self.random.random() < 0.1:
            self._send(delay_us + 1, lambda: self._hear_join(user, joined_at_us, roles))
        if used_up:
            self._send(self._delay(), lambda: self._hear_death(code))
        if self.random.random() < 0.3:
            self._at(self.now_us + self._delay(), lambda: self._roles_change(user, joined_at_us))

    def _roles_given(self, code: InviteCode) -> tuple[RoleId, ...]:
        """At the door: the invite's, and perhaps another one."""
        by_invite = self.invites[code].roles if code in self.invites else ()
        return tuple(sorted({*by_invite, *self._some_role()}))

    def _some_role(self) -> tuple[RoleId, ...]:
        return (RoleId(self._doors.choice("12")),) if self._doors.random() < 0.3 else ()

    def _roles_change(self, user: UserId, joined_at_us: int) -> None:
        """Its event may overtake the join's."""
        roles = self.roles[user] = self._some_role()
        self._send(self._delay(), lambda: self.tell(m.NoteMember(join=self._member_event(user, joined_at_us, roles))))

    def _hear_join(self, user: UserId, joined_at_us: int, roles: tuple[RoleId, ...] = ()) -> None:
        self.tell(self._member_event(user, joined_at_us, roles))

    def _member_event(self, user: UserId, joined_at_us: int, roles: tuple[RoleId, ...]) -> m.RecordJoin:
        return m.RecordJoin(
            cause=r.GatewayCause(session=self.session, number=next(self._dispatches), lane="members"),
            session=self.session,
            user=user,
            joined_at_us=joined_at_us,
            arrived_us=self.now_us,
            roles=roles,
        )

    def _hear_death(self, code: InviteCode) -> None:
        cause = r.GatewayCause(session=self.session, number=next(self._dispatches), lane="rest")
        self.tell(m.NoteInviteDied(cause=cause, code=code, arrived_us=self.now_us))

    def _pick_source(self, user: UserId) -> InviteCode:
        choices = [code for code, each in self.invites.items() if user in each.targets or not each.targets]
        if self.random.random() < 0.3:
            choices.append(NO_COUNTER)
        if self.vanity is not None:
            choices.append(VANITY)
        return self.random.choice(choices or [NO_COUNTER])

    def _use(self, code: InviteCode) -> bool:
        """Raises the counter; True when that used the invite up."""
        if code == VANITY and self.vanity is not None:
            self.vanity = msgspec.structs.replace(self.vanity, uses=self.vanity.uses + 1)
        if code not in self.invites:
            return False
        invite = self.invites[code]
        self.invites[code] = msgspec.structs.replace(invite, uses=invite.uses + 1)
        if invite.max_uses and invite.uses + 1 >= invite.max_uses:
            del self.invites[code]
            return True
        return False

    def _make_invite(self, at_us: int, code: InviteCode | None = None) -> r.Counter:
        code = code or InviteCode(f"c{next(self._codes)}")
        limited = self.random.random() < 0.4
        lives_s = self.random.randint(10, 120)
        expires = START_US + lives_s * SECOND + self.skew_us if self.random.random() < 0.2 else None
        self.invites[code] = r.Counter(
            code=code,
            created_at_us=at_us + self.skew_us,
            uses=0,
            max_uses=self.random.randint(1, 3) if limited else 0,
            expires_at_us=expires,
            inviter=UserId(str(self.random.randint(1, 3))),
            roles=self._some_role(),
            targets=self._some_people(),
        )
        self.codes_given.add(code)
        return self.invites[code]

    def _some_people(self) -> tuple[UserId, ...]:
        """Whom an invite is for, where it is not for everybody."""
        if self._doors.random() < 0.8:
            return ()
        return tuple(UserId(str(FIRST_PERSON + at)) for at in self._doors.sample(range(12), 4))

    def _invite_is_made(self) -> None:
        invite = self._make_invite(self.now_us)
        self._send(self._delay(), lambda: self._hear_birth(invite))

    def _hear_birth(self, invite: r.Counter) -> None:
        cause = r.GatewayCause(session=self.session, number=next(self._dispatches), lane="rest")
        self.told_of.add(invite.code)
        self.tell(m.NoteInviteBorn(cause=cause, invite=invite, arrived_us=self.now_us))

    def _invite_is_deleted(self) -> None:
        if self.invites:
            code = self.random.choice(list(self.invites))
            del self.invites[code]
            self._send(self._delay(), lambda: self._hear_death(code))

    def _invite_comes_back(self) -> None:
        """A code that was given before is given again, to an invite of somebody else."""
        codes = sorted(set(self.codes_given) - set(self.invites))
        if codes:
            invite = self._make_invite(self.now_us, self.random.choice(codes))
            self._send(self._delay(), lambda: self._hear_birth(invite))

    def _session_is_lost(self) -> None:
        """An IDENTIFY afresh: what happened on the way is heard, but nobody can be sure of it."""
        self.session = SessionId(f"{self.session}+")
        self._come_up()

    def _somebody_leaves(self) -> None:
        """Somebody who is known to be there; some come back."""
        here = self._known()
        if here:
            user = self.random.choice(here)
            cause = r.GatewayCause(session=self.session, number=next(self._dispatches), lane="members")
            self.tell(m.RecordLeave(cause=cause, user=user, arrived_us=self.now_us + 2 * SECOND))
            if self.random.random() < 0.5:
                self._at(self.now_us + 10 * SECOND, lambda: self._join(user))

    def _known(self) -> list[UserId]:
        return sorted({person(self.state, name) for name, each in self.state.members.items() if each[-1].is_open()})

    def _expire(self) -> None:
        now_us = self.now_us + self.skew_us
        for code, invite in tuple(self.invites.items()):
            if invite.expires_at_us is not None and invite.expires_at_us <= now_us:
                del self.invites[code]

    def _send(self, delay_us: int, dispatch: Callable[[], None]) -> None:
        """What the gateway tells after a while."""
        self._at(self.now_us + delay_us, dispatch)

    def _delay(self) -> int:
        """Mostly quick, sometimes late, never later than the death margin of two seconds."""
        return round(self.random.choice((0.02, 0.1, 0.4, 1.8)) * self.random.random() * SECOND)

    def open_all_doors(self) -> None:
        """The invites of now give no roles and are for everybody."""
        for code, each in self.invites.items():
            self.invites[code] = msgspec.structs.replace(each, roles=(), targets=())

    # The program

    def forget_at(self, when_us: int, user: UserId | None) -> None:
        """Later somebody is forgotten, or the whole guild (None)."""
        self._at(when_us, lambda: self.tell(m.ForgetMember(user=user) if user else m.ForgetGuild(at_us=self.now_us)))

    def _kill(self) -> None:
        """A new life in the same session: the records are replayed, the rest is forgotten."""
        self.state = GuildState(guild=GUILD)
        for record in self.records:
            self.state = evolve(self.state, record)
        self.presence = Presence(phase=Phase.REHYDRATING, asks=self.presence.asks + 1_000, since_us=self.now_us)
        self._come_up()

    def _come_up(self) -> None:
        """GUILD_CREATE; the member list has been compared as soon as it is told."""
        self.tell(m.GuildCameUp(session=self.session, at_us=self.now_us, vanity=self.vanity is not None))
        self.presence = msgspec.structs.replace(self.presence, reconciled=True)

    def tell(self, message: m.Message) -> None:
        decision = decide(self.state, self.presence, message)
        seq = self.state.seq
        for place, draft in enumerate(decision.drafts, start=1):
            record = r.Record(
                gsn=seq + place,
                guild=GUILD,
                seq=seq + place,
                epoch=1,
                at_ms=self.now_us // 1000,
                cause=draft.cause,
                key=draft.key,
                event=draft.event,
                last=seq + len(decision.drafts),
            )
            self.records.append(record)
            self.state = evolve(self.state, record)
        self.presence = decision.presence
        for effect in decision.effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, FetchSample):
            self._at(self.now_us + round(effect.after_s * SECOND) + 1, lambda: self._fetch(effect))

    def _fetch(self, effect: FetchSample) -> None:
        """Asked for now, shown as of some moment until the answer."""
        requested_us = self.now_us
        shown_us = requested_us + 1 + round(self.random.random() * 0.3 * SECOND)
        self._at(shown_us, lambda: self._show(effect, requested_us))

    def refresh(self) -> None:
        """A person asks for a sample: an answer to no request."""
        requested_us = self.now_us
        self._at(requested_us + 1, lambda: self._show(None, requested_us))

    def _show(self, effect: FetchSample | None, requested_us: int) -> None:
        self._expire()
        counters = tuple(
            msgspec.structs.replace(each, created_at_us=as_rest_tells(each.created_at_us))
            for each in self.invites.values()
        )
        vanity = self.vanity
        self.told_of.update(self.invites)
        answered_us = self.now_us + 1 + round(self.random.random() * 0.3 * SECOND)
        sample = Sample(
            requested_us=requested_us,
            answered_us=answered_us,
            session=effect.session if effect else self.session,
            counters=counters,
            vanity=vanity,
        )
        request = effect.request if effect else None
        self._at(answered_us, lambda: self.tell(m.SampleArrived(sample=sample, request=request)))

    def _at(self, when_us: int, step: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when_us, next(self._order), step))


def as_rest_tells(at_us: int) -> int:
    """A time of Discord's, to the millisecond; the gateway tells microseconds."""
    return at_us // 1_000 * 1_000


class NewWorld(World):
    """A world in which people join from the moment on in which the bot comes. What is on its way is lost with a
    session, but nobody is: the member list is read, and shows who is there. Of an early join by an invite whose code
    came back nothing is kept but that.
    """

    quiet_us = 0

    def __init__(self, seed: int, *, away_us: int = 0) -> None:
        """``away_us``: nobody listens for so long after a session was lost."""
        self.here: dict[UserId, int] = {}
        self._newest: dict[InviteCode, int] = {}
        self._used: dict[tuple[UserId, int], tuple[InviteCode, int]] = {}
        self._early: set[tuple[UserId, int]] = set()
        self._listed_us = 0
        self._away_us = away_us
        super().__init__(seed)
        self._at(START_US + self.random.randint(0, 3 * SECOND), self._session_is_lost)

    def run(self) -> None:
        super().run()
        samples = (each.event.changed for each in self.records if isinstance(each.event, r.SampleTaken))
        births = (each.event.invite for each in self.records if isinstance(each.event, r.InviteCreated))
        shown = {_which(invite) for invite in (*chain.from_iterable(samples), *births)}
        self.unseen |= {joined for joined, invite in self._used.items() if invite not in shown}
        self.unseen |= {joined for joined in self._early if self._used[joined] not in self._newest.items()}

    def _join(self, user: UserId) -> None:
        super()._join(user)
        joined_us = self.here[user] = self.now_us + self.skew_us
        code = self.truth[user, joined_us]
        if code in self._newest:
            self._used[user, joined_us] = (code, self._newest[code])

    def _make_invite(self, at_us: int, code: InviteCode | None = None) -> r.Counter:
        invite = super()._make_invite(at_us, code)
        self._newest[invite.code] = invite.created_at_us
        return invite

    def _session_is_lost(self) -> None:
        self.session = SessionId(f"{self.session}+")
        self._at(self.now_us + self._away_us, self._come_up)

    def _known(self) -> list[UserId]:
        """Whose membership of now is known."""
        return [user for user in super()._known() if self._is_known(user)]

    def _is_known(self, user: UserId) -> bool:
        current = self.state.current(user)
        return current is not None and user in self.here and current.began_at(self.here[user])

    def _send(self, delay_us: int, dispatch: Callable[[], None]) -> None:
        session = self.session
        self._at(self.now_us + delay_us, lambda: dispatch() if session == self.session else None)

    def _come_up(self) -> None:
        self.tell(m.GuildCameUp(session=self.session, at_us=self.now_us, vanity=self.vanity is not None))

    def tell(self, message: m.Message) -> None:
        was_new = self.state.baseline is None
        if isinstance(message, m.RecordLeave):
            self.here.pop(message.user, None)
        super().tell(message)
        if was_new and self.state.baseline is not None:
            births = (birth.invite for birth in self.state.births.values())
            shown = {_which(invite) for invite in (*self.state.counters.values(), *births)}
            self._early = {*self._used}
            self.unseen = {joined for joined in self._early if self._used[joined] not in shown}

    def _carry_out(self, effect: Effect) -> None:
        super()._carry_out(effect)
        if isinstance(effect, ListMembers):
            started_us = max(self.now_us, self._listed_us)  # one after the other
            shown_us = started_us + self._delay()
            told_us = self._listed_us = shown_us + self._delay()
            self._at(shown_us, lambda: self._show_members(effect.session, started_us, told_us))

    def _show_members(self, session: SessionId, started_us: int, told_us: int) -> None:
        rows = tuple(
            m.ListedMember(user=user, joined_at_us=as_rest_tells(joined_us), roles=self.roles[user])
            for user, joined_us in self.here.items()
        )
        page = m.ReviewMembers(
            session=session, members=rows, after=UserId("0"), upto=UserId(""), started_us=started_us, at_us=told_us
        )
        self._at(told_us, lambda: self.tell(page))


class DeafWorld(NewWorld):
    """A new world in which a program that is away hears nothing: a list shows who joined, with the roles of then."""

    def __init__(self, seed: int) -> None:
        self._back_us = 0
        super().__init__(seed, away_us=15 * SECOND)

    def _session_is_lost(self) -> None:
        if self.now_us >= self._back_us:
            self._back_us = self.now_us + self._away_us
            super()._session_is_lost()

    def _come_up(self) -> None:
        self._back_us = 0
        super()._come_up()

    def _send(self, delay_us: int, dispatch: Callable[[], None]) -> None:
        super()._send(delay_us, lambda: dispatch() if self.now_us >= self._back_us else None)


def _which(invite: r.Counter) -> tuple[InviteCode, int]:
    return invite.code, invite.created_at_us


HAPPENINGS: Final = (
    World._invite_is_made,
    World._invite_is_deleted,
    World._invite_comes_back,
    World._session_is_lost,
    World._somebody_leaves,
    World._kill,
)
