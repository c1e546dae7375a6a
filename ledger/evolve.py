"""``evolve``: what a record means for a guild's state. The same function handles a new record and a replayed one.

It is total: a record of ours never makes it raise, whatever the state. It asks no clock and decides nothing: what a
record means is in the record. ``GuildState`` has one owner and is changed in place.
"""

from itertools import islice
from typing import Final, assert_never

import msgspec

from ledger import records as r
from ledger.forgetting import forget_guild, forget_member, person
from ledger.ids import UserId
from ledger.samples import close_gap
from ledger.state import (
    LEFT_UNKNOWN,
    Assignment,
    Birth,
    Bound,
    Death,
    DeskJoin,
    GuildState,
    Period,
    identity,
)
from ledger.taking_in import take_in
from ledger.windows import MAX_KEPT_GAPS, bounds_of, place

MAX_INTERACTIONS: Final = 256
MAX_TOMBSTONES: Final = 200
GAP_KEPT_US: Final = 600_000_000
"""A closed gap serves late join events for ten minutes, and, however long nobody listened, those that come with the
first sample afterwards: the member list shows who joined unheard.
"""


def evolve(state: GuildState, record: r.Record) -> GuildState:
    """The state after ``record``, which must be the next one (seq + 1) of the state's guild."""
    assert record.seq == state.seq + 1, f"record {record.seq} behind {state.seq}"
    state.seq = record.seq
    _remember_cause(state, record)
    _apply(state, record)
    return state


def _remember_cause(state: GuildState, record: r.Record) -> None:
    cause = record.cause
    match cause:
        case r.GatewayCause():
            state.lanes[cause.lane] = (cause.session, cause.number)
        case r.InteractionCause():
            state.interactions[cause.interaction] = record.seq
            for old in tuple(islice(state.interactions, max(0, len(state.interactions) - MAX_INTERACTIONS))):
                del state.interactions[old]
        case r.InternalCause():
            pass
        case _:
            assert_never(cause)


def _apply(state: GuildState, record: r.Record) -> None:  # noqa: C901, PLR0912 -- one arm an event, nothing else
    event = record.event
    match event:
        case r.GuildAdopted():
            state.counting_since_us = event.counting_since_us
        case r.MembersSeeded():
            for seed in event.members:
                state.members[seed.user] = (_seeded(seed, state.counting_since_us),)
        case r.JoinRecorded():
            _join(state, event)
        case r.RepeatRecorded():
            _repeat(state, event)
        case r.LeaveRecorded():
            _leave(state, event)
        case r.InviteCreated():
            state.births[identity(event.invite)] = Birth(event.invite, event.arrived_us)
        case r.InviteDied():
            state.deaths[event.code] = Death(event.arrived_us, event.how)
        case r.ContinuityBroken():
            _break(state, event.reason)
        case r.SampleTaken():
            _sample(state, event)
        case r.WindowClosed():
            _close(state, event)
        case r.VerdictReached():
            _verdict(state, event, record.seq)
        case r.CreditGranted():
            _credit(state, event.user, event.opened_us, event.staff)
        case r.CreditReversed():
            _credit(state, event.user, event.opened_us, None)
        case r.InviteAssigned():
            _assign(state, event)
        case r.EventUnreadable():
            _break(state, "unreadable_event")
        case r.GuildLeft():
            _break(state, "left")
        case r.MemberForgotten():
            forget_member(state, event, record.seq)
        case r.GuildForgotten():
            forget_guild(state, event, record.seq)
        case _:
            assert_never(event)


def _seeded(seed: r.SeededMember, since_us: int) -> Period:
    return Period(
        seed.joined_at_us,
        since_us,
        counted=False,
        rejoin=seed.rejoin,
        status=r.Status.UNKNOWN,
        reason="no_baseline",
        listed=True,
    )


def _join(state: GuildState, event: r.JoinRecorded) -> None:
    if event.origin == "salvaged":
        take_in(state, event)
        return
    periods = state.members.get(event.user, ())
    if periods and periods[-1].is_open():
        ended = msgspec.structs.replace(periods[-1], left_us=LEFT_UNKNOWN)
        periods = (*periods[:-1], ended)
    listed = event.origin == "away"
    period = Period(event.joined_at_us, event.arrived_us, rejoin=event.rejoin, bot=event.bot, listed=listed)
    state.members[event.user] = (*periods, period)
    if event.bot or event.origin == "unreadable":
        return
    limits = tuple(reason for reason, holds in (("away", listed), ("missed_leave", event.missed_leave)) if holds)
    state.desk[r.join_key(event.user, event.joined_at_us)] = DeskJoin(
        event.user,
        event.joined_at_us,
        event.joined_at_us,
        event.arrived_us,
        roles=event.roles,
        limits=limits,
    )


def _repeat(state: GuildState, event: r.RepeatRecorded) -> None:
    period = state.current(event.user)
    if period is None:
        return
    aliased = msgspec.structs.replace(period, aliases=(*period.aliases, event.joined_at_us))
    _put_period(state, event.user, aliased)
    if event.optional_use:
        state.desk[r.join_key(event.user, event.joined_at_us)] = DeskJoin(
            person(state, event.user), period.opened_us, event.joined_at_us, event.arrived_us, optional=True
        )


def _leave(state: GuildState, event: r.LeaveRecorded) -> None:
    if event.opened_us:
        period = state.membership(event.user, event.opened_us)
        is_news = period is not None and period.left_us == LEFT_UNKNOWN
    else:
        period = state.current(event.user)
        is_news = period is not None and period.is_open()
    if period is not None and is_news:
        left_us = LEFT_UNKNOWN if event.inferred else event.arrived_us
        _put_period(state, event.user, msgspec.structs.replace(period, left_us=left_us))


def _break(state: GuildState, reason: str) -> None:
    state.breaks += 1
    if reason not in state.broken:
        state.broken = (*state.broken, reason)


def _sample(state: GuildState, event: r.SampleTaken) -> None:
    gap = close_gap(state, event)
    if gap is not None:
        oldest_us = gap.opened.answered_us - GAP_KEPT_US
        kept = [each for each in state.gaps if each.closed.answered_us >= oldest_us]
        state.gaps = (*kept, gap)[-MAX_KEPT_GAPS:]
    state.unsolved += 1
    _replace_counters(state, event)
    listed = {identity(counter) for counter in state.counters.values()}
    state.births = {
        key: birth
        for key, birth in state.births.items()
        if key not in listed and birth.arrived_us >= event.requested_us
    }
    # An earlier death was of what this sample no longer shows; where it shows the code, that is another invite.
    state.deaths = {code: death for code, death in state.deaths.items() if death.arrived_us >= event.requested_us}
    state.broken = ()
    state.baseline = Bound(event.number, event.requested_us, event.answered_us, event.session)


def _replace_counters(state: GuildState, event: r.SampleTaken) -> None:
    for code in event.gone:
        gone = state.counters.pop(code, None)
        if gone is not None:
            state.tombstones[code] = gone
    for counter in event.changed:
        state.counters[counter.code] = counter
        state.tombstones.pop(counter.code, None)
    for code in tuple(islice(state.tombstones, max(0, len(state.tombstones) - MAX_TOMBSTONES))):
        del state.tombstones[code]
    state.vanity = event.vanity


def _close(state: GuildState, event: r.WindowClosed) -> None:
    state.unsolved = 0
    for code, uses in event.unclaimed.items():
        state.unclaimed[code] = state.unclaimed.get(code, 0) + uses
    if event.abandoned or state.baseline is None:
        state.desk = {}
        return
    bounds = bounds_of(state.baseline, state.gaps)
    oldest = bounds[0].number
    state.desk = {key: join for key, join in state.desk.items() if place(join, bounds).last > oldest}


def _verdict(state: GuildState, event: r.VerdictReached, seq: int) -> None:
    period = state.membership(event.user, event.opened_us)
    if period is not None:
        decided = msgspec.structs.replace(
            period,
            status=event.status,
            code=event.code,
            inviter=event.inviter,
            staff=event.staff,
            candidates=event.candidates,
            reason=event.reason,
            verdict_seq=seq,
            verdicts=period.verdicts + 1,
        )
        _put_period(state, event.user, decided)


def _credit(state: GuildState, user: UserId, opened_us: int, staff: UserId | None) -> None:
    period = state.membership(user, opened_us)
    if period is not None:
        _put_period(state, user, msgspec.structs.replace(period, credited=staff))


def _assign(state: GuildState, event: r.InviteAssigned) -> None:
    state.assigned = event.version
    assignment = Assignment(event.version, event.staff, event.since_us, event.by)
    held = (*state.assignments.get(event.code, ()), assignment)
    state.assignments[event.code] = tuple(sorted(held, key=_since)) if event.salvaged else held


def _since(assignment: Assignment) -> int:
    return assignment.since_us


def _put_period(state: GuildState, user: UserId, period: Period) -> None:
    """Replaces the membership that began at the same time."""
    state.members[user] = tuple(
        period if each.opened_us == period.opened_us else each for each in state.members.get(user, ())
    )
