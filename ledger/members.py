"""Memberships: at most one of a user is open, and this module keeps that.

A join event of somebody who is there already is either the same membership told again (an alias, perhaps a use) or
the sign of a leave that was missed: ``_is_repeat`` says which of the two.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decision import Decision
from ledger.fetching import ask_sample
from ledger.ids import UserId
from ledger.presence import Presence
from ledger.samples import LATE_DEATH_US, SKEW_US
from ledger.state import GuildState, Period, is_same_moment
from ledger.verdicts import plain_verdict, pronounce
from ledger.vip import joined_as_vip, vip_drafts
from ledger.windows import oldest_request_us

REJOINED_FLAG: Final = 1
GUEST_FLAG: Final = 16
SAME_JOIN_US: Final = 5_000_000
"""A repeated event this soon after the join is the same join."""
LATE_LEAVE_US: Final = 60_000_000
"""A leave that is heard so soon after a list or another session told of the join may be of the membership before."""
JUST_NOW_US: Final = 3_600_000_000
"""Who joined so lately, by a clock that is fast by so much at most, and is told to join, joins now."""
NEVER: Final = -(10**18)
MAX_SEEDS: Final = 1_000
MAX_LEFT: Final = 10_000
"""Leaves that are remembered while a member list is read."""

Origin = Literal["live", "update", "away"]


def join_drafts(
    state: GuildState, join: m.RecordJoin, *, origin: Origin, reconciled: bool, doubted: bool = False
) -> Iterator[r.Draft]:
    """The records of a join event: a join, a repeat, or nothing for a redelivery or a guest.

    Args:
        state: what is known.
        join: the event.
        origin: heard live, by an update that came before it, or found later.
        reconciled: whether the member list was compared in this session, so that an open membership is real.
        doubted: whether a leave was heard before it that may have ended the open membership (``is_doubtful``).
    """
    if join.flags & GUEST_FLAG:
        return
    if state.is_known_join(join.user, join.joined_at_us):
        if origin == "live" and _is_seed(state, join):
            yield from _join(state, join, (), origin=origin, missed_leave=False)
        return
    periods = state.periods_of(join.user)
    current = periods[-1] if periods and periods[-1].is_open() else None
    if current is not None and not doubted and _is_repeat(current, join, reconciled=reconciled):
        yield _repeat(state.name_of(join.user), current, join, listed=origin == "away" or current.listed)
        return
    yield from _forgotten_leave(state, join.user, join.cause, join.arrived_us)
    yield from _join(state, join, periods, origin=origin, missed_leave=current is not None)


def _is_seed(state: GuildState, join: m.RecordJoin) -> bool:
    """Whether a list had shown them as of before, just before their join is told: by a clock that is fast.

    Who joined before the guild was forgotten whole stays of before, also where their join is told again.
    """
    if join.joined_at_us < state.ours_from_us:
        return False
    held = state.members.get(join.user, ())  # who was forgotten stays so
    seeds = (each for each in held if each.is_open() and not each.counted)
    is_seed = any(is_same_moment(each.opened_us, join.joined_at_us) for each in seeds)
    return is_seed and join.arrived_us - join.joined_at_us < JUST_NOW_US


def leave_drafts(state: GuildState, leave: m.RecordLeave) -> Iterator[r.Draft]:
    """The leave, if it closes a membership that began before it was heard."""
    current = state.current(leave.user)
    if current and current.is_open() and current.opened_us < leave.arrived_us:
        yield _leave(state.name_of(leave.user), current, leave.cause, leave.arrived_us, inferred=False)


def was_there_before(state: GuildState, joined_at_us: int) -> bool:
    """Whether who joined then was surely there before we began to count: no use that we count can be theirs.

    Who joined about then, by clocks that differ, may have come after the first sample: that is a join.
    """
    return joined_at_us < max(state.ours_from_us, state.counting_since_us - SKEW_US)


def is_doubtful(state: GuildState, presence: Presence, leave: m.RecordLeave) -> bool:
    """Whether it may be of a membership before the open one: only another list can tell.

    So it is where the open one began after it, by clocks that differ, or was told just before it by what does not
    come in one order with it: a list, which overtakes dispatches, also of an alias, or a session that a life before
    this one heard, perhaps another process's.
    """
    current = state.current(leave.user)
    if current is None or not current.is_open():
        return False
    told_aside = current.listed or current.arrived_us < presence.since_us
    told_us = max(
        current.arrived_us if told_aside else NEVER, presence.relisted.get(state.name_of(leave.user), NEVER)
    )
    late_us = LATE_DEATH_US if leave.replayed else LATE_LEAVE_US
    return current.opened_us >= leave.arrived_us or leave.arrived_us - told_us < late_us


def doubting(presence: Presence, leave: m.RecordLeave) -> Presence:
    """Remembers a leave that only another list can tell of: who joins before that has perhaps come back."""
    if len(presence.left) >= MAX_LEFT:
        return presence
    return msgspec.structs.replace(presence, left={**presence.left, leave.user: leave.arrived_us})


def heard(presence: Presence, message: object) -> Presence:
    """While the member list is being read, remembers who left: a page may still show them."""
    if presence.reconciled and not (isinstance(message, m.RecordJoin) and message.user in presence.left):
        return presence
    if isinstance(message, m.RecordLeave) and len(presence.left) < MAX_LEFT:
        return msgspec.structs.replace(presence, left={**presence.left, message.user: message.arrived_us})
    if isinstance(message, m.RecordJoin) and message.user in presence.left:
        left = {user: left_us for user, left_us in presence.left.items() if user != message.user}
        return msgspec.structs.replace(presence, left=left)
    return presence


def unreadable_join(state: GuildState, message: m.NoteUnreadable) -> Iterator[r.Draft]:
    """A join that could not be handled, where its user could be read: recorded, and honestly unknown."""
    user = message.user
    if user is None or not message.joined_at_us or message.name != "GUILD_MEMBER_ADD":
        return
    current = state.current(user)
    told = current is not None and current.is_open() and _is_same(current, message.joined_at_us, message.at_us)
    if told or state.is_known_join(user, message.joined_at_us):
        return
    yield from _forgotten_leave(state, user, message.cause, message.at_us)
    event = r.JoinRecorded(
        user=user,
        joined_at_us=message.joined_at_us,
        arrived_us=message.at_us,
        session=message.session,
        origin="unreadable",
        rejoin=bool(state.periods_of(user)),
    )
    yield r.Draft(event=event, cause=message.cause, key=r.join_key(user, event.joined_at_us))
    period = Period(event.joined_at_us, event.arrived_us)
    yield from pronounce(state, period, plain_verdict(user, period, r.Status.UNKNOWN, message.reason), message.cause)


def review_members(state: GuildState, presence: Presence, page: m.ReviewMembers) -> Decision:
    """Compares a page of the member list: who is new, who is gone, who was there before we counted."""
    if page.session != presence.session:
        return Decision(presence=presence)  # of a session that is over: another list follows it
    drafts = (*_newcomers(state, presence, page), *_gone(state, page))
    presence = _compared(_relisted(presence, page, drafts), page)
    joined = any(isinstance(draft.event, r.JoinRecorded) for draft in drafts)
    if not joined or presence.asked:
        return Decision(presence=presence, drafts=drafts)
    presence, fetch = ask_sample(presence)
    return Decision(presence=presence, drafts=drafts, effects=(fetch,))


def _compared(presence: Presence, page: m.ReviewMembers) -> Presence:
    """A list counts when nothing was missed between its first page and its last, and this life has seen it begin.

    Else it may lack a page, or show what was before; the list that was asked for then follows it.
    """
    is_first = int(page.after or "0") == 0 and page.started_us >= presence.since_us
    list_us = page.started_us if is_first else presence.list_us
    if page.upto == "" and page.started_us == list_us:
        since = {user: at_us for user, at_us in presence.left.items() if at_us >= page.started_us}
        return msgspec.structs.replace(presence, reconciled=True, list_us=0, left=since)
    return msgspec.structs.replace(presence, list_us=list_us)


def _relisted(presence: Presence, page: m.ReviewMembers, drafts: Iterable[r.Draft]) -> Presence:
    """Remembers whom the page shows with another joined_at than was told: they may have left and come back."""
    fresh = {draft.event.user: page.at_us for draft in drafts if isinstance(draft.event, r.RepeatRecorded)}
    if not fresh:
        return presence
    lately = {user: at_us for user, at_us in presence.relisted.items() if page.at_us - at_us < LATE_LEAVE_US}
    return msgspec.structs.replace(presence, relisted={**lately, **fresh})


def _newcomers(state: GuildState, presence: Presence, page: m.ReviewMembers) -> Iterator[r.Draft]:
    cause = r.InternalCause(what="member_list")
    seeds: list[r.SeededMember] = []
    for member in page.members:
        if presence.left.get(member.user, -1) >= page.started_us or _is_of_before(state, member):
            continue  # on a page that was asked for later, they have come back
        if not state.periods_of(member.user) and was_there_before(state, member.joined_at_us):
            name = state.name_of(member.user)  # a tombstone: forgotten as an inviter before any list was read
            seeds.append(r.SeededMember(name, member.joined_at_us, bool(member.flags & REJOINED_FLAG)))
        else:
            listed = m.RecordJoin(
                cause=cause,
                user=member.user,
                joined_at_us=member.joined_at_us,
                arrived_us=page.at_us,
                session=page.session,
                bot=member.bot,
                flags=member.flags,
                roles=member.roles,
            )
            doubted = member.user in presence.left
            drafts = tuple(join_drafts(state, listed, origin="away", reconciled=False, doubted=doubted))
            yield from drafts
            if not any(isinstance(draft.event, r.JoinRecorded) for draft in drafts):
                yield from vip_drafts(state, member.user, member.roles, page.at_us, cause)
    bots = {member.user for member in page.members if member.bot}
    for start in range(0, len(seeds), MAX_SEEDS):
        some = tuple(seeds[start : start + MAX_SEEDS])
        event = r.MembersSeeded(members=some, bots=tuple(each.user for each in some if each.user in bots))
        yield r.Draft(event=event, cause=cause, key=f"seeded/{state.seq + 1}/{start}")


def _is_of_before(state: GuildState, member: m.ListedMember) -> bool:
    """Whether the row is of a membership before the open one: they came back while the page was on its way."""
    current = state.current(member.user)
    return current is not None and current.is_open() and member.joined_at_us < current.opened_us - SAME_JOIN_US


def _gone(state: GuildState, page: m.ReviewMembers) -> Iterator[r.Draft]:
    """Open memberships in the page's range of ids that the page does not show, and that began before it."""
    low, high = int(page.after or "0"), int(page.upto) if page.upto else None
    shown = {member.user for member in page.members}
    forgotten = [user for user in state.forgotten if low < int(user) and (high is None or int(user) <= high)]
    names = (*((user, user) for user in state.members.between(low, high)), *_tombstones(state, forgotten))
    for user, name in names:
        current = state.members[name][-1]
        if user not in shown and current.is_open() and current.arrived_us < page.started_us:
            yield _leave(name, current, r.InternalCause(what="member_list"), page.at_us, inferred=True)


def _tombstones(state: GuildState, forgotten: Iterable[UserId]) -> Iterator[tuple[UserId, UserId]]:
    """Whoever of them has memberships of before, with the name that those stand under."""
    for user in forgotten:
        name = state.tombstone_of(user)
        if name in state.members:
            yield user, name


def _is_repeat(current: Period, join: m.RecordJoin, *, reconciled: bool) -> bool:
    """Whether it is the open membership told again; else its leave was missed.

    It is so within seconds of the join itself; later, once a member list of this session was compared, unless Discord
    says just now that the member has rejoined.
    """
    if _is_same_join(current, join):
        return True
    newly_rejoined = bool(join.flags & REJOINED_FLAG) and not current.rejoin
    return reconciled and not newly_rejoined


def _is_same_join(current: Period, join: m.RecordJoin) -> bool:
    return _is_same(current, join.joined_at_us, join.arrived_us)


def _is_same(current: Period, joined_at_us: int, arrived_us: int) -> bool:
    return joined_at_us - current.opened_us <= SAME_JOIN_US and arrived_us - current.arrived_us <= SAME_JOIN_US


def _repeat(name: UserId, current: Period, join: m.RecordJoin, *, listed: bool) -> r.Draft:
    """The open membership told again. Of a ``listed`` one, or by a list, it may be another one all the same, with a
    use of its own: lists overtake the events of a leave and a return.
    """
    event = r.RepeatRecorded(
        user=name,
        joined_at_us=join.joined_at_us,
        arrived_us=join.arrived_us,
        session=join.session,
        optional_use=not join.bot and not current.bot and (listed or not _is_same_join(current, join)),
    )
    return r.Draft(event=event, cause=join.cause, key=f"repeat/{name}/{join.joined_at_us}")


def _forgotten_leave(state: GuildState, user: UserId, cause: r.Cause, at_us: int) -> Iterator[r.Draft]:
    """Who joins anew under their id cannot be there as a tombstone: that membership has ended, nobody knows when."""
    name, current = state.name_of(user), state.current(user)
    if name != user and current is not None and current.is_open():
        yield _leave(name, current, cause, at_us, inferred=True)


def _join(
    state: GuildState, join: m.RecordJoin, periods: tuple[Period, ...], *, origin: Origin, missed_leave: bool
) -> Iterator[r.Draft]:
    rejoin = any(each.opened_us < join.joined_at_us for each in periods) or bool(join.flags & REJOINED_FLAG)
    event = r.JoinRecorded(
        user=join.user,
        joined_at_us=join.joined_at_us,
        arrived_us=join.arrived_us,
        session=join.session,
        origin=origin,
        bot=join.bot,
        rejoin=rejoin,
        missed_leave=missed_leave,
        roles=join.roles,
    )
    yield r.Draft(event=event, cause=join.cause, key=r.join_key(join.user, join.joined_at_us))
    yield from joined_as_vip(state, join)
    period = Period(join.joined_at_us, join.arrived_us, rejoin=rejoin)
    if join.bot:
        yield from pronounce(state, period, plain_verdict(join.user, period, r.Status.NON_INVITE, "bot"), join.cause)
    elif _is_unseen(state, join):
        verdict = plain_verdict(join.user, period, r.Status.UNKNOWN, "no_baseline")
        yield from pronounce(state, period, verdict, join.cause)


def _is_unseen(state: GuildState, join: m.RecordJoin) -> bool:
    """Whether it was heard before every sample that is known: while another process, which missed it, took those."""
    return state.baseline is not None and join.arrived_us < oldest_request_us(state.baseline, state.gaps)


def _leave(user: UserId, current: Period, cause: r.Cause, at_us: int, *, inferred: bool) -> r.Draft:
    event = r.LeaveRecorded(user=user, arrived_us=at_us, inferred=inferred)
    return r.Draft(event=event, cause=cause, key=f"leave/{user}/{current.opened_us}")
