"""Forgetting: a person becomes a tombstone, a guild becomes empty; what is counted stays counted.

To forget a person is to rename them: in the state, and in all that is derived from earlier records, a negative number
stands where their id stood. New records go on with that name wherever they speak of what was before, so nothing that
is worked out of anybody changes. Only one thing is kept under the id: that it has this tombstone. Without it the next
member list, or an event told twice, would count the person again. Who joins again is a new fact, under the id.

To forget a guild is to empty its state. Its old keys are taken for ever, so new ones name their era.
"""

from collections.abc import Iterator

import msgspec

from ledger import records as r
from ledger.ids import UserId, is_tombstone, tombstone
from ledger.state import Assignment, Gap, GapSource, GuildState, Period


def forget_member(state: GuildState, event: r.MemberForgotten, seq: int) -> None:
    """Renames the person in everything that answers are made of."""
    user, name = event.user, tombstone(event.tombstone)
    state.forgotten[user] = event.tombstone
    state.forgot_seq = seq
    if user in state.members:
        state.members[name] = (*state.members.get(name, ()), *state.members.strike(user))
    for member in _naming(state, user):
        state.members[member] = tuple(_renamed(period, user, name) for period in state.members[member])
    for code, history in state.assignments.items():
        state.assignments[code] = tuple(_reassigned(each, user, name) for each in history)
    state.gaps = tuple(_disowned(gap, user, name) for gap in state.gaps)
    state.carried = tuple(
        msgspec.structs.replace(each, source=_unmade(each.source, user, name)) for each in state.carried
    )
    state.logged = {
        key: msgspec.structs.replace(each, by=name) if each.by == user else each for key, each in state.logged.items()
    }
    state.unheard = {key: each for key, each in state.unheard.items() if each.user != user}
    state.outbox = {key: each for key, each in state.outbox.items() if each[0] != user}
    state.posted = {key: each for key, each in state.posted.items() if not key.startswith(f"join/{user}/")}
    state.targets = {
        invite: tuple(name if each == user else each for each in those) for invite, those in state.targets.items()
    }


def forget_guild(state: GuildState, event: r.GuildForgotten, seq: int) -> None:
    """Empties the state, but for what tells a redelivery from news, and for what numbers go on from."""
    emptied = GuildState(
        guild=state.guild,
        seq=seq,
        lanes=state.lanes,
        interactions=state.interactions,
        assigned=state.assigned,
        forgot_seq=seq,
        era=state.era + 1,
        ours_from_us=event.until_us,
    )
    for field in GuildState.__struct_fields__:
        setattr(state, field, getattr(emptied, field))


def names(state: GuildState, user: UserId) -> bool:
    """Whether an answer made of this state could name the person."""
    if user in state.members or _naming(state, user) or any(each == user for each in _people(state)):
        return True
    return user not in state.forgotten and _invites(state, user)


def person(state: GuildState, name: UserId) -> UserId:
    """Who a tombstone stands for; anybody else is themselves."""
    if not is_tombstone(name):
        return name
    return next((user for user, number in state.forgotten.items() if tombstone(number) == name), name)


def era_key(state: GuildState, key: str) -> str:
    """A key that no record of an earlier era has."""
    return f"{key}@{state.era}" if state.era else key


def _naming(state: GuildState, user: UserId) -> list[UserId]:
    """In whose memberships the person invited, or was credited. Walks them all, for which nobody is in a hurry."""
    return [member for member, periods in state.members.items() for period in periods if user in _named(period)]


def _people(state: GuildState) -> Iterator[UserId | None]:
    """Whoever was invited by name, or stands behind an invite or put somebody there."""
    for history in state.assignments.values():
        for assignment in history:
            yield from (assignment.staff, assignment.by)
    for targets in state.targets.values():
        yield from targets


def _invites(state: GuildState, user: UserId) -> bool:
    """Whether an invite is theirs: who joins by it, or is worked out late, will be said to be invited by them."""
    births = [birth.invite for birth in state.births.values()]
    invites = (*state.counters.values(), *state.tombstones.values(), *births)
    used = [source.inviter for gap in state.gaps for source in gap.sources]
    used += [each.source.inviter for each in state.carried]
    used += [each.by for each in state.logged.values()]
    return user in (*(each.inviter for each in invites), *used)


def _named(period: Period) -> tuple[UserId | None, ...]:
    reporter = period.report.inviter if period.report else None
    return period.inviter, period.staff, period.credited, period.vip_credited, reporter


def _renamed(period: Period, user: UserId, name: UserId) -> Period:
    inviter, staff, credited, vip, maker = (name if each == user else each for each in _named(period))
    report = msgspec.structs.replace(period.report, inviter=maker) if period.report else None
    return msgspec.structs.replace(
        period, inviter=inviter, staff=staff, credited=credited, vip_credited=vip, report=report
    )


def _reassigned(assignment: Assignment, user: UserId, name: UserId) -> Assignment:
    staff, by = (name if each == user else each for each in (assignment.staff, assignment.by))
    return msgspec.structs.replace(assignment, staff=staff, by=by)


def _disowned(gap: Gap, user: UserId, name: UserId) -> Gap:
    return msgspec.structs.replace(gap, sources=tuple(_unmade(each, user, name) for each in gap.sources))


def _unmade(source: GapSource, user: UserId, name: UserId) -> GapSource:
    return msgspec.structs.replace(source, inviter=name) if source.inviter == user else source
