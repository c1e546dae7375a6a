"""Salvage: what is recorded anew of a branch that lost, and what is not.

Facts are recorded by their keys, so twice is once: joins, repeats, leaves, who was there before, whom a code stands
for, what a person decided, whom to forget, settings where nobody has made any here, which message shows a join. What
was derived (samples, windows, verdicts, credits) is not: it stood on counters that this history has not seen. A
salvaged join is worked out by the next sample where that can tell of it, else it is honestly unknown. Who was
forgotten in either branch stays forgotten: their facts name the tombstone.
"""

from collections.abc import Sequence
from copy import copy
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.credits import with_upgrades
from ledger.evolve import evolve
from ledger.forgetting import era_key, person
from ledger.ids import SessionId, UserId, is_tombstone, tombstone
from ledger.members import MAX_SEEDS, SAME_JOIN_US, was_there_before
from ledger.state import LEFT_UNKNOWN, GuildState, Period
from ledger.taking_in import SALVAGED, is_open_question
from ledger.verdicts import plain_verdict, pronounce

_NO_SESSION: Final = SessionId("")
LATER: Final = "known"
"""How the key of a leave ends that only adds the time to an end that was known."""


class Salvaging:
    """Takes a message's records one after the other, each against the state that the ones before it have made.

    ``drafts``: what is to be written; their keys are final. ``state``: what it will be then, a copy of the guild's.
    """

    def __init__(self, state: GuildState, message: m.Salvage) -> None:
        tables = {name: copy(getattr(state, name)) for name in state.__struct_fields__}
        self.state = msgspec.structs.replace(state, **tables)
        self.drafts: list[r.Draft] = []
        self.joins = 0
        self.emptied = False
        self._cause = r.InternalCause(what=f"salvage/{message.branch}")
        self._at_us = message.at_us
        self._people = {tombstone(each.tombstone): each.user for each in message.forgotten}
        for record in message.records:
            if isinstance(record.event, r.GuildForgotten):
                self._forget_guild(record.event, message.forgotten)
        self._forget_members(message.forgotten)
        for record in message.records:
            self._take(record)
        if self.joins:  # others' uses may have been theirs
            broken = r.ContinuityBroken(reason=SALVAGED, at_us=message.at_us)
            self._write(broken, f"broken/{self.state.seq + 1}")

    def _take(self, record: r.Record) -> None:
        event = record.event
        match event:
            case r.GuildAdopted():
                self._adopt(event.counting_since_us)
            case r.MembersSeeded():
                self._seed(event)
            case r.JoinRecorded():
                self._join(event)
            case r.RepeatRecorded():
                self._repeat(event)
            case r.LeaveRecorded():
                self._leave(event, record.key)
            case r.VerdictReached(status=r.Status.MANUAL):
                self._decided(event)
            case r.InviteAssigned():
                self._assign(event)
            case r.SettingsChanged():
                self._settle(event)
            case r.JoinAnnounced():
                self._show(event)
            case _:
                pass  # a forgetting, which came first; derived, or of a window that this history has not seen

    def _write(self, event: r.Event, key: str) -> None:
        self._put(r.Draft(event=event, cause=self._cause, key=key))

    def _put(self, draft: r.Draft) -> None:
        """The draft, and what it will have changed when the next one is thought of."""
        draft = msgspec.structs.replace(draft, key=era_key(self.state, draft.key))
        self.drafts.append(draft)
        seq = self.state.seq + 1
        record = r.Record(
            gsn=0, guild=self.state.guild, seq=seq, epoch=0, at_ms=0,
            cause=draft.cause, key=draft.key, event=draft.event, last=seq,
        )  # fmt: skip
        self.state = evolve(self.state, record)

    def _who(self, user: UserId) -> UserId:
        """The person whom a record of the branch names, by id or by a tombstone of the branch."""
        return self._people.get(user) or person(self.state, user)

    def _name(self, user: UserId) -> UserId:
        """How the person is named anew, whether or not they have come back since they were forgotten."""
        return self.state.tombstone_of(self._who(user))

    def _adopt(self, since_us: int) -> None:
        if not self.state.counting_since_us:
            event = r.GuildAdopted(counting_since_us=max(since_us, self.state.ours_from_us))
            self._write(event, f"adopted/{self.state.seq + 1}")

    def _seed(self, event: r.MembersSeeded) -> None:
        seeds: dict[UserId, r.SeededMember] = {}
        bots = {self._name(user) for user in event.bots}
        for seed in event.members:
            name = self._name(seed.user)
            is_new = not self.state.periods_of(self._who(seed.user))
            if is_new and was_there_before(self.state, seed.joined_at_us):
                seeds.setdefault(name, msgspec.structs.replace(seed, user=name))
        members = tuple(seeds.values())
        for start in range(0, len(members), MAX_SEEDS):
            some = members[start : start + MAX_SEEDS]
            seeded = r.MembersSeeded(members=some, bots=tuple(each.user for each in some if each.user in bots))
            self._write(seeded, f"seeded/{self.state.seq + 1}/{start}")

    def _join(self, event: r.JoinRecorded) -> None:
        who, at_us = self._who(event.user), event.joined_at_us
        periods = self.state.periods_of(who)
        held = next((each for each in periods if each.began_at(at_us)), None)
        if at_us < self.state.ours_from_us or (held and held.counted and _is_same_join(held, at_us)):
            return
        name = self.state.holder_of(who, held.opened_us) if held else self._name(who)
        newest = not held and all(each.opened_us < at_us for each in periods)
        salvaged = msgspec.structs.replace(
            event,
            user=name,
            origin="salvaged",
            arrived_us=min(event.arrived_us, self._now_us()),
            rejoin=event.rejoin or any(each.opened_us < at_us for each in periods),
            missed_leave=newest and bool(periods) and periods[-1].is_open(),
        )
        self._write(salvaged, r.join_key(name, at_us))
        self.joins += 1
        self._judge(salvaged, at_us, name)

    def _now_us(self) -> int:
        """No join was heard later, by whatever clock: the branch's may have been ahead, or ours be set back since."""
        baseline = self.state.baseline
        return max(self._at_us, baseline.requested_us if baseline else 0)

    def _judge(self, event: r.JoinRecorded, opened_us: int, name: UserId) -> None:
        if not event.bot and is_open_question(self.state, event):
            return
        period = self._period(name, opened_us)
        verdict = plain_verdict(name, period, r.Status.UNKNOWN, SALVAGED)
        if event.bot:
            verdict = plain_verdict(name, period, r.Status.NON_INVITE, "bot")
        for draft in with_upgrades(self.state, pronounce(self.state, period, verdict, self._cause)):
            self._put(draft)

    def _period(self, name: UserId, opened_us: int) -> Period:
        period = self.state.membership(name, opened_us)
        assert period is not None, "it was taken in just now"
        return period

    def _repeat(self, event: r.RepeatRecorded) -> None:
        who, at_us = self._who(event.user), event.joined_at_us
        current = self.state.current(who)
        if self.state.is_known_join(who, at_us) or current is None:
            return
        if current.is_open() and current.opened_us < at_us:
            name = self.state.holder_of(who, current.opened_us)
            repeat = msgspec.structs.replace(event, user=name, optional_use=False)
            self._write(repeat, f"repeat/{name}/{at_us}")

    def _leave(self, event: r.LeaveRecorded, key: str) -> None:
        """Of the membership that its key names, unless that was told of since."""
        who, opened_us = self._who(event.user), _opened_us(key)
        period = self.state.membership(who, opened_us)
        if period is None or max(opened_us, *period.aliases, 0) >= event.arrived_us:
            return
        name = self.state.holder_of(who, opened_us)
        if period.is_open():
            self._write(msgspec.structs.replace(event, user=name, opened_us=0), f"leave/{name}/{opened_us}")
        elif period.left_us == LEFT_UNKNOWN and not event.inferred:
            known = msgspec.structs.replace(event, user=name, opened_us=opened_us)
            self._write(known, f"leave/{name}/{opened_us}/{LATER}")

    def _decided(self, event: r.VerdictReached) -> None:
        """A person's decision stays; of two of one join this history's."""
        who = self._who(event.user)
        period = self.state.membership(who, event.opened_us)
        if period is None or period.status is r.Status.MANUAL:
            return
        named = r.renamed(event, self._name)
        holder = self.state.holder_of(who, event.opened_us)
        verdict = msgspec.structs.replace(named, user=holder, supersedes=period.verdict_seq)
        for draft in with_upgrades(self.state, pronounce(self.state, period, verdict, self._cause)):
            self._put(draft)

    def _assign(self, event: r.InviteAssigned) -> None:
        named = r.renamed(event, self._name)
        held = self.state.assignments.get(event.code, ())
        is_known = any((each.staff, each.since_us) == (named.staff, named.since_us) for each in held)
        if is_known or event.since_us < self.state.ours_from_us:
            return
        version = self.state.assigned + 1
        self._write(msgspec.structs.replace(named, version=version, salvaged=True), f"assignment/{version}")

    def _settle(self, event: r.SettingsChanged) -> None:
        """Where nobody has decided anything in this history, and it was never forgotten whole."""
        if not self.state.settled and not self.state.ours_from_us:
            self._write(r.renamed(event, self._name), f"settings/{self.state.seq + 1}")

    def _show(self, event: r.JoinAnnounced) -> None:
        """A message that stands there is edited from now on, not sent again; what it says is the other branch's."""
        who = self._who(event.user)
        if not event.message:
            return
        if self.state.membership(who, event.opened_us) and r.join_key(who, event.opened_us) not in self.state.posted:
            name = self.state.holder_of(who, event.opened_us)
            shown = msgspec.structs.replace(event, user=name, verdict=0)
            self._write(shown, f"announced/{name}/{event.opened_us}/{self.state.seq}")

    def _forget_members(self, forgotten: Sequence[r.MemberForgotten]) -> None:
        """Once: who has come back since they were forgotten here is not forgotten again."""
        for each in forgotten:
            if each.user not in self.state.forgotten:
                number = max(self.state.forgotten.values(), default=0) + 1
                event = r.MemberForgotten(user=each.user, tombstone=number)
                self._write(event, f"forgotten/{self.state.seq + 1}")

    def _forget_guild(self, event: r.GuildForgotten, forgotten: Sequence[r.MemberForgotten]) -> None:
        """What came after that stays: joins of since then are recorded in the new era, and no longer worked out."""
        if self.state.ours_from_us >= event.until_us:
            return
        since, counting = _joined_from(self.state, event.until_us), self.state.counting_since_us
        self._write(r.GuildForgotten(until_us=event.until_us), f"forgotten/{self.state.seq + 1}")
        self.emptied = True
        self._forget_members(forgotten)
        self._adopt(max(counting, event.until_us))
        for user, period in since:
            join = r.JoinRecorded(
                user=user,
                joined_at_us=period.opened_us,
                arrived_us=period.arrived_us,
                session=_NO_SESSION,
                bot=period.bot,
                rejoin=period.rejoin,
            )
            self._join(join)
            if not period.is_open():
                left_us = max(period.left_us, period.opened_us + 1)
                leave = r.LeaveRecorded(user=user, arrived_us=left_us, inferred=period.left_us == LEFT_UNKNOWN)
                self._leave(leave, f"leave/{user}/{period.opened_us}")


def _is_same_join(held: Period, joined_at_us: int) -> bool:
    """Whether it is what this membership began with, told again within seconds, perhaps with another time."""
    return abs(joined_at_us - held.opened_us) <= SAME_JOIN_US


def _joined_from(state: GuildState, from_us: int) -> Sequence[tuple[UserId, Period]]:
    """Joins of people who are not forgotten, from a time on."""
    return [
        (user, period)
        for user, periods in state.members.items()
        if not is_tombstone(user)
        for period in periods
        if period.counted and period.opened_us >= from_us
    ]


def _opened_us(key: str) -> int:
    """The membership that the key of a leave names; 0 where it names none."""
    opened = key.split("/")[2:3]
    digits = opened[0].split("@")[0] if opened else ""
    return int(digits) if digits.isdigit() else 0
