"""Plays recordings: tells a listener what is heard, answers what it asks, and stops it while nobody listens.

``Ours`` is the model code that the bot runs. Others are in tests/bench/trackers.py.
"""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.effects import AskWitness, Effect, FetchSample, ListMembers, ReadAudit, Request, SweepMembers
from ledger.ids import NO_COUNTER, VANITY, InviteCode, SessionId, UserId
from ledger.samples import Sample
from ledger.state import Period
from tests.ledger.lives import Life
from tests.ledger.recordings import START_US, Answer, Born, Died, Event, Join, Joined, Left, Logged, Made, Recording
from tests.ledger.worlds import as_rest_tells

DISCOVERY: Final = 3
INVITE: Final = 5
VANITY_WAY: Final = 6
"""How the member search calls the ways in."""
LISTED_US: Final = 50_000
"""So long after it was asked for, the member list shows who is there."""
TOO_YOUNG_US: Final = 20_000_000
"""Whoever has just joined is not found yet."""


class Listener:
    """A program. ``come`` begins a life of it, in which ``hear`` is called for each event."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage

    def come(self) -> None:
        raise NotImplementedError

    def hear(self, event: Event) -> None:
        raise NotImplementedError


class Stage:
    """Time, and Discord's side of a recording."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.now_us = START_US
        self.life = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def play(self, listener: Listener) -> None:
        """From its beginning until nothing is left to happen."""
        comings = [START_US, *(span.until_us for span in self.recording.absences)]
        for at_us in comings:
            self._at(at_us, lambda: self._begin(listener))
        for span in self.recording.absences:
            self._at(span.since_us, self._end)
        for each in self.recording.heard:
            if self.recording.is_listening(each.at_us):
                self._at(each.at_us, lambda event=each.event: listener.hear(event))
        while self._agenda:
            self.now_us, _, step = heappop(self._agenda)
            step()

    def later(self, when_us: int, step: Callable[[], None]) -> None:
        """What the listener wants done then, if it still lives."""
        life = self.life
        self._at(when_us, lambda: step() if self.life == life else None)

    def ask(self, answered: Callable[[int, Answer], None]) -> None:
        """The counters are asked for now; ``answered`` gets the time of that, and the answer when it comes."""
        asked_us = self.now_us
        answer = self.recording.ask(asked_us)
        self.later(answer.at_us, lambda: answered(asked_us, answer))

    def _begin(self, listener: Listener) -> None:
        self.life += 1
        listener.come()

    def _end(self) -> None:
        self.life += 1

    def _at(self, when_us: int, step: Callable[[], None]) -> None:
        heappush(self._agenda, (when_us, next(self._order), step))


class Ours(Listener):
    """A guild of ours, as values."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.model = Life()
        self._dispatches = 0

    def verdict(self, join: Join) -> Period | None:
        """What is said of a join; None: it was never heard of."""
        return self.model.state.membership(*join)

    def come(self) -> None:
        """A process that begins: the records are replayed, the session is a new one."""
        self._dispatches = 0
        if self.model.records:
            self.model.kill()
        by_hand = self.stage.recording.by_hand
        self.tell(m.GuildCameUp(session=self._session, at_us=self.stage.now_us, vanity=True, approval=by_hand))

    def hear(self, event: Event) -> None:
        now_us = self.stage.now_us
        match event:
            case Joined(user=user, joined_at_us=joined_at_us):
                self.tell(
                    m.RecordJoin(
                        cause=self._cause("members"),
                        session=self._session,
                        user=user,
                        joined_at_us=joined_at_us,
                        arrived_us=now_us,
                    )
                )
            case Left(user=user):
                self.tell(m.RecordLeave(cause=self._cause("members"), user=user, arrived_us=now_us))
            case Born(invite=invite):
                self.tell(m.NoteInviteBorn(cause=self._cause("rest"), invite=invite, arrived_us=now_us))
            case Died(code=code):
                self.tell(m.NoteInviteDied(cause=self._cause("rest"), code=code, arrived_us=now_us))
            case Logged() | Made():
                pass

    def tell(self, message: m.Message) -> None:
        for effect in self.model.tell(message).effects:
            self._carry_out(effect)
        for errand in self.model.errands:
            self._go(errand)

    @property
    def _session(self) -> SessionId:
        return SessionId(f"s{self.stage.life}")

    def _cause(self, lane: str) -> r.GatewayCause:
        self._dispatches += 1
        return r.GatewayCause(
            session=self._session, number=self._dispatches, lane="members" if lane == "members" else "rest"
        )

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case FetchSample():
                due_us = self.stage.now_us + round(effect.after_s * 1_000_000) + 1  # behind what was just heard
                self.stage.later(due_us, lambda: self._fetch(effect))
            case ListMembers():
                self.stage.later(self.stage.now_us + LISTED_US, lambda: self._list(effect))
            case _:
                pass

    def _go(self, errand: Request) -> None:
        """By counters alone, nothing else is asked."""

    def _fetch(self, effect: FetchSample) -> None:
        if effect.request.number == self.model.presence.asked:  # else another request has taken its place
            self.stage.ask(lambda asked_us, answer: self._answered(effect, asked_us, answer))

    def _answered(self, effect: FetchSample, asked_us: int, answer: Answer) -> None:
        if answer.listing is None:
            failed = m.SampleFailed(request=effect.request, reason="status_500", forbidden=False, at_us=answer.at_us)
            self.tell(failed)
            return
        sample = Sample(
            requested_us=asked_us,
            answered_us=answer.at_us,
            session=effect.session,
            counters=answer.listing.counters,
            vanity=answer.listing.vanity,
        )
        self.tell(m.SampleArrived(sample=sample, request=effect.request))

    def _list(self, effect: ListMembers) -> None:
        """The member list, one page, read at once."""
        now_us = self.stage.now_us
        rows = self.stage.recording.members_at(now_us)
        page = m.ReviewMembers(
            session=effect.session,
            members=tuple(
                m.ListedMember(user=user, joined_at_us=as_rest_tells(joined_us))
                for user, joined_us in sorted(rows, key=_id)
            ),
            after=UserId("0"),
            upto="",
            started_us=now_us,
            at_us=now_us + 1,
        )
        self.stage.later(now_us + 1, lambda: self.tell(page))


class Told(Ours):
    """Ours, where entries of the audit log are told live, and it cannot be read."""

    def hear(self, event: Event) -> None:
        super().hear(event)
        match event:
            case Logged(code=code, at_us=at_us, by=by):
                self._note(deletions=(m.DeletedInvite(code=code, at_us=at_us, by=by),))
            case Made():
                self._note(creations=(msgspec.structs.replace(_created(event), by=None),))
            case _:
                pass

    def _note(self, deletions: tuple[m.DeletedInvite, ...] = (), creations: tuple[m.CreatedInvite, ...] = ()) -> None:
        cause, arrived_us = self._cause("rest"), self.stage.now_us
        self.tell(m.NoteLogged(cause=cause, deletions=deletions, creations=creations, arrived_us=arrived_us))


class Auditing(Told):
    """Ours, where the audit log may be read as well."""

    def _go(self, errand: Request) -> None:
        if isinstance(errand, ReadAudit):
            self.stage.later(max(errand.due_us, self.stage.now_us + 1), lambda: self._read_audit(errand))

    def _read_audit(self, errand: ReadAudit) -> None:
        """The log is told by Discord's clock."""
        now_us, recording = self.stage.now_us, self.stage.recording
        deletions = tuple(
            m.DeletedInvite(code=each.code, at_us=each.at_us + recording.skew_us, by=each.by)
            for each in recording.deletions
            if errand.invites_since_us <= each.at_us + recording.skew_us and each.at_us <= now_us
        )
        creations = tuple(
            _created(each)
            for each in recording.creations
            if errand.invites_since_us <= each.at_us <= now_us + recording.skew_us
        )
        read = m.AuditArrived(number=errand.number, requested_us=now_us, deletions=deletions, creations=creations)
        self.stage.later(now_us + 100_000, lambda: self.tell(read))


class Hearing(Auditing):
    """Ours, where Discord's member search is asked as well."""

    def _go(self, errand: Request) -> None:
        super()._go(errand)
        now_us = self.stage.now_us
        match errand:
            case AskWitness():
                self.stage.later(max(errand.due_us, now_us + 1), lambda: self._search(errand))
            case SweepMembers():
                self.stage.later(max(errand.due_us, now_us + 1), lambda: self._sweep(errand))
            case _:
                pass

    def report(self, join: Join) -> r.Report:
        """What the search says of a join."""
        used = self.stage.recording.truth[join]
        if used.code == NO_COUNTER:
            return r.Report(way=DISCOVERY)
        if used.code == VANITY:
            return r.Report(way=VANITY_WAY, code=InviteCode("acme"))
        return r.Report(way=INVITE, code=used.code, inviter=used.inviter)

    def _search(self, errand: AskWitness) -> None:
        self._found([join for join in self._indexed() if join[0] in errand.users], errand.number, swept=False)

    def _sweep(self, errand: SweepMembers) -> None:
        place = (errand.after_us, int(errand.after or 0))
        self._found([join for join in self._indexed() if (join[1], int(join[0])) > place], errand.number, swept=True)

    def _indexed(self) -> list[Join]:
        """Members who are there and not too young to be found."""
        now_us = self.stage.now_us
        there = self.stage.recording.members_at(now_us)
        return sorted((join for join in there if join[1] < now_us - TOO_YOUNG_US), key=lambda join: join[1])

    def _found(self, joins: list[Join], number: int, *, swept: bool) -> None:
        answered_us = self.stage.now_us + 100_000
        rows = tuple(m.SearchedMember(user=join[0], joined_at_us=join[1], report=self.report(join)) for join in joins)
        answer = m.WitnessAnswered(number=number, rows=rows, at_us=answered_us, swept=swept, done=swept)
        self.stage.later(answered_us, lambda: self.tell(answer))


class Misled(Hearing):
    """Ours, where the member search lies about every tenth member: another invite, or none."""

    def report(self, join: Join) -> r.Report:
        luck = random.Random(f"{self.stage.recording.seed}/{join}")
        if luck.random() > 0.1:
            return super().report(join)
        others = [used for used in self.stage.recording.truth.values() if used.inviter]
        lie = luck.choice(others)
        return luck.choice([r.Report(way=DISCOVERY), r.Report(way=INVITE, code=lie.code, inviter=lie.inviter)])


def _created(made: Made) -> m.CreatedInvite:
    """What the log says of it; told live, it does not say by whom."""
    invite = made.invite
    lives_us = invite.expires_at_us - invite.created_at_us if invite.expires_at_us else 0
    return m.CreatedInvite(
        code=invite.code,
        at_us=made.at_us,
        max_uses=invite.max_uses,
        max_age_s=lives_us // 1_000_000,
        by=invite.inviter,
    )


def _id(row: Join) -> int:
    return int(row[0])


def played(recording: Recording, kind: type[Ours] = Ours) -> Ours:
    """Ours, after the whole story."""
    stage = Stage(recording)
    ours = kind(stage)
    stage.play(ours)
    return ours


def differences(before: Ours, after: Ours) -> dict[Join, tuple[object, object]]:
    """What is said of whom differently."""
    said = {join: (_said(before.verdict(join)), _said(after.verdict(join))) for join in before.stage.recording.truth}
    return {join: both for join, both in said.items() if both[0] != both[1]}


def _said(period: Period | None) -> object:
    return period and (period.status, period.code, period.staff, period.candidates)
