"""``evolve``: what a record means for a guild's state. The same function handles a new record and a replayed one.

It is total: a record of ours never makes it raise, whatever the state. It asks no clock and decides nothing: what a
record means is in the record. ``GuildState`` has one owner and is changed in place.
"""

from collections.abc import Sequence
from typing import Final, TypeVar, assert_never

import msgspec

from ledger import records as r
from ledger.announcing import shown, to_be_shown
from ledger.channels import without_channel
from ledger.clocks import SET_BACK, set_back
from ledger.creations import awaits, entry, with_creation, with_end
from ledger.deletions import LISTED_LATE_US, SETTLED_US, as_read, is_undecided, with_deletions
from ledger.forgetting import forget_guild, forget_member, person
from ledger.ids import NO_COUNTER, InviteCode, UserId, is_tombstone
from ledger.samples import APPLIED, LATE_DEATH_US, SKEW_US, broken_since, close_gap, is_listed, shown_again, told_dead
from ledger.state import (
    LEFT_UNKNOWN,
    Assignment,
    Birth,
    Bound,
    Carried,
    Death,
    DeskJoin,
    Gap,
    GuildState,
    Period,
    Sweep,
    Unheard,
    identity,
    identity_of,
)
from ledger.taking_in import put_in, take_in
from ledger.testimony import WAYS, names
from ledger.vip import vip_changed
from ledger.windows import CARRIED_US, GAP_KEPT_US, MAX_KEPT_GAPS, oldest_request_us

K = TypeVar("K")
V = TypeVar("V")

MAX_INTERACTIONS: Final = 256
MAX_TOMBSTONES: Final = 200
MAX_UNHEARD: Final = 20_000
MAX_TARGETS: Final = 2_000
MAX_CARRIED: Final = 1_000
HEARD_OF_US: Final = 20_000_000
"""A member younger than this is often missing in Discord's search."""


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
        case r.InternalCause():
            pass
        case r.GatewayCause():
            state.lanes[cause.lane] = (cause.session, cause.number)
        case r.InteractionCause():
            state.interactions[cause.interaction] = record.seq
            _keep_newest(state.interactions, MAX_INTERACTIONS)
        case _:
            assert_never(cause)


def _apply(state: GuildState, record: r.Record) -> None:  # noqa: C901, PLR0912, PLR0915 -- one arm an event, nothing else
    """The most frequent kinds stand first: each arm that is asked in vain costs 0.1 µs."""
    event = record.event
    match event:
        case r.JoinRecorded():
            _join(state, event)
        case r.VerdictReached():
            _verdict(state, event, record.seq)
        case r.CreditGranted():
            _credit(state, event, event.staff)
        case r.SampleTaken():
            _sample(state, event)
        case r.WindowClosed():
            _count_unclaimed(state, event)
            if not event.again:
                _close(state, event)
        case r.WitnessHeard():
            _witness(state, event)
        case r.LeaveRecorded():
            _leave(state, event)
        case r.GuildAdopted():
            state.counting_since_us = event.counting_since_us
        case r.MembersSeeded():
            # A guild that was forgotten whole may count from a moment that, by our clock, has yet to come.
            arrived_us = min(state.counting_since_us, record.at_ms * 1_000)
            for seed in event.members:
                state.members[seed.user] = (_seeded(seed, arrived_us, bot=seed.user in event.bots),)
        case r.RepeatRecorded():
            _repeat(state, event)
        case r.InviteCreated():
            state.births.setdefault(identity(event.invite), Birth(event.invite, event.arrived_us))
        case r.InviteDied():
            _death(state, event, record.cause)
        case r.ContinuityBroken():
            if event.reason == SET_BACK:
                set_back(state, event.at_us)
            _break(state, event.reason, event.at_us)
            state.gaps = broken_since(state.gaps, event)
        case r.DeletionLogged():
            _deletion(state, event)
        case r.CreationLogged():
            _creation(state, event)
        case r.AuditRead():
            _audit(state, event)
        case r.MembersReported():
            _reported(state, event, record.seq)
        case r.CreditReversed():
            _credit(state, event, None)
        case r.VipChanged():
            vip_changed(state, event)
        case r.SettingsChanged():
            _settings(state, event.settings)
        case r.JoinAnnounced():
            shown(state, event)
        case r.InviteAssigned():
            _assign(state, event)
        case r.EventUnreadable():
            _break(state, "unreadable_event", event.at_us)
        case r.GuildLeft():
            _break(state, "left", event.at_us)
        case r.MemberForgotten():
            forget_member(state, event, record.seq)
        case r.GuildForgotten():
            forget_guild(state, event, record.seq)
        case _:
            assert_never(event)


def _seeded(seed: r.SeededMember, arrived_us: int, *, bot: bool) -> Period:
    return Period(
        seed.joined_at_us,
        arrived_us,
        counted=False,
        rejoin=seed.rejoin,
        bot=bot,
        status=r.Status.UNKNOWN,
        reason="no_baseline",
        listed=True,
    )


def _join(state: GuildState, event: r.JoinRecorded) -> None:
    key = r.join_key(event.user, event.joined_at_us)
    _expect(state, event, key)
    if event.origin == "salvaged":
        take_in(state, event)
        return
    listed = event.origin == "away"
    period = Period(event.joined_at_us, event.arrived_us, rejoin=event.rejoin, bot=event.bot, listed=listed)
    state.members[event.user] = put_in(state, event, state.members.get(event.user, ()), period)
    if event.bot:
        return
    state.desk[key] = DeskJoin(
        event.user,
        event.joined_at_us,
        event.joined_at_us,
        event.arrived_us,
        roles=event.roles,
        limits=_limits(event),
        roles_told=event.origin == "live",
    )


def _limits(event: r.JoinRecorded) -> tuple[str, ...]:
    """Why nothing better than likely can be said of it; most often nothing, and each recovery comes by here."""
    if event.origin == "live" and not event.missed_leave:
        return ()
    unreadable = ("unreadable_event",) * (event.origin == "unreadable")  # a use may be theirs all the same
    return ("away",) * (event.origin == "away") + ("missed_leave",) * event.missed_leave + unreadable


def _expect(state: GuildState, event: r.JoinRecorded, key: str) -> None:
    """What others will tell of the join: the second witness of a person, the audit log of a bot."""
    if event.bot:
        _leave_unread(state, event.arrived_us - SKEW_US, event.arrived_us)
        return
    if is_tombstone(event.user):
        return
    due_us = event.arrived_us + HEARD_OF_US
    state.unheard[key] = Unheard(event.user, event.joined_at_us, due_us)
    _keep_newest(state.unheard, MAX_UNHEARD)


def _leave_unread(state: GuildState, since_us: int, until_us: int) -> None:
    earlier, later = state.unread
    state.unread = (min(earlier, since_us) if later else since_us, max(later, until_us))


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
        state.unheard.pop(r.join_key(event.user, period.opened_us), None)
        _put_period(state, event.user, msgspec.structs.replace(period, left_us=left_us))


def _break(state: GuildState, reason: str, at_us: int) -> None:
    state.breaks += 1
    state.broken_us = max(state.broken_us, at_us)
    if reason not in state.broken:
        state.broken = (*state.broken, reason)


def _sample(state: GuildState, event: r.SampleTaken) -> None:
    state.gaps = shown_again(state, event)
    gap = close_gap(state, event)
    if gap is not None:
        oldest_us = gap.opened.answered_us - GAP_KEPT_US
        kept = [each for each in state.gaps if each.closed.answered_us >= oldest_us]
        state.gaps = (*kept, gap)[-MAX_KEPT_GAPS:]
        if state.desk and any(is_undecided(source) for source in gap.sources):
            _leave_unread(state, gap.opened.requested_us - LISTED_LATE_US, gap.closed.answered_us)
    state.unsolved += 1
    _replace_counters(state, event)
    if state.births or state.deaths:
        _settle(state, event)
    if state.broken_us <= event.requested_us:
        state.broken = ()  # else it may have been behind this sample as well as before it
    state.broken_us = 0
    state.approval = event.approval
    state.baseline = Bound(event.number, event.requested_us, event.answered_us, event.session)
    if state.logged:
        state.logged = {key: made for key, made in state.logged.items() if awaits(state, made)}


def _settle(state: GuildState, event: r.SampleTaken) -> None:
    """What was heard of invites, and the sample has seen, is over; what came and went is remembered."""
    for birth in state.births.values():
        if birth.arrived_us < event.requested_us and birth.invite.code not in state.counters:
            state.tombstones[birth.invite.code] = birth.invite
    _keep_newest(state.tombstones, MAX_TOMBSTONES)
    listed = (birth for birth in state.births.values() if is_listed(state, birth.invite))
    shown = {birth.invite.code: birth.arrived_us for birth in listed}
    state.births = {
        key: birth
        for key, birth in state.births.items()
        if birth.arrived_us >= event.requested_us and not is_listed(state, birth.invite)
    }
    # An earlier death was of what this sample no longer shows; where it shows the code, that is another invite. So it
    # is where the birth of what is shown was told of behind the death.
    state.deaths = {
        code: death
        for code, death in state.deaths.items()
        if death.arrived_us >= max(event.requested_us, shown.get(code, 0))
    }


def _replace_counters(state: GuildState, event: r.SampleTaken) -> None:
    for code in event.gone:
        gone = state.counters.pop(code, None)
        if gone is not None:
            state.tombstones[code] = gone
    for counter in event.changed:
        state.counters[counter.code] = counter
        state.tombstones.pop(counter.code, None)
    _keep_newest(state.tombstones, MAX_TOMBSTONES)
    state.vanity = event.vanity


def _death(state: GuildState, event: r.InviteDied, cause: r.Cause) -> None:
    """Of what is told of one death the first counts, and that its channel was deleted, whenever that is told.

    A code that may have come back meanwhile has died again: the last of its lives ended with the last death.
    """
    death, before = Death(event.arrived_us, event.how), state.deaths.get(event.code)
    if before is not None:
        again = _may_have_come_back(state, event.code, before, cause)
        at_us = (max if again else min)(death.arrived_us, before.arrived_us)
        death = Death(at_us, "channel" if "channel" in (death.how, before.how) else death.how)
    elif event.how != "channel":
        state.gaps = told_dead(state, event)
    state.deaths[event.code] = death
    if event.how == "channel":
        state.gaps = without_channel(state.gaps, (event.code,), event.arrived_us, replayed=event.replayed)


def _may_have_come_back(state: GuildState, code: InviteCode, before: Death, cause: r.Cause) -> bool:
    """Whether another invite of the code was heard of or shown since about that death, or may have been missed."""
    if any(birth.invite.code == code for birth in state.births.values()):
        return True
    held, baseline = state.counters.get(code), state.baseline
    missed = isinstance(cause, r.GatewayCause) and baseline is not None and cause.session != baseline.session
    is_young = held is not None and held.created_at_us + SKEW_US >= before.arrived_us - LATE_DEATH_US
    return missed or is_young or bool(state.broken)


def _creation(state: GuildState, event: r.CreationLogged) -> None:
    state.gaps = with_creation(state.gaps, event)
    if awaits(state, event):
        state.logged[entry(event)] = event
        _keep_newest(state.logged, MAX_TOMBSTONES)


def _deletion(state: GuildState, event: r.DeletionLogged) -> None:
    state.deletions[event.code] = max(event.at_us, state.deletions.get(event.code, 0))
    _keep_newest(state.deletions, MAX_TOMBSTONES)
    state.gaps = with_deletions(state.gaps, (event,))
    for key, made in state.logged.items():
        if made.code == event.code:
            state.logged[key] = with_end(made, event.at_us)


def _audit(state: GuildState, event: r.AuditRead) -> None:
    since_us, until_us = state.unread
    kept_us = state.gaps[0].opened.requested_us - LISTED_LATE_US if state.gaps else since_us
    state.gaps = as_read(state, state.gaps, event)
    if until_us + SETTLED_US <= event.requested_us and event.since_us <= max(since_us, kept_us):
        state.unread = (0, 0)


def _witness(state: GuildState, event: r.WitnessHeard) -> None:
    period = state.membership(event.user, event.opened_us)
    if period is not None:
        _put_period(state, event.user, msgspec.structs.replace(period, report=event.report))
    state.unheard.pop(r.join_key(event.user, event.opened_us), None)


def _reported(state: GuildState, event: r.MembersReported, seq: int) -> None:
    """Members of before we counted; whatever a person has decided of them meanwhile stands."""
    state.sweep = Sweep(event.upto_us, event.upto, event.done)
    for each in event.members:
        period = state.membership(each.user, each.opened_us)
        if period is None or period.counted:
            continue
        told = msgspec.structs.replace(period, report=each.report)
        named = names(state, each.report, frozenset())
        if period.status is not r.Status.MANUAL and named is not None:
            code = None if named == NO_COUNTER else named
            told = msgspec.structs.replace(
                told,
                status=r.Status.REPORTED if code else r.Status.NON_INVITE,
                code=code,
                inviter=each.report.inviter,
                staff=each.staff,
                candidates=(code,) if code else (),
                reason="" if code else WAYS[each.report.way],
                verdict_seq=seq,
                verdicts=period.verdicts + 1,
            )
        _put_period(state, each.user, told)


def _settings(state: GuildState, settings: r.Settings) -> None:
    state.settings, state.settled = settings, True
    if settings.log_channel is None:
        state.outbox = {key: each for key, each in state.outbox.items() if key in state.posted}


def _gaps_of(state: GuildState, event: r.WindowClosed) -> list[Gap]:
    return [gap for gap in state.gaps if event.first_sample < gap.closed.number <= event.last_sample]


def _carry(state: GuildState, gaps: Sequence[Gap], oldest_us: int) -> None:
    """Uses of a guild that approves by hand stay to be claimed by those who are approved later."""
    fresh = [
        Carried(source, gap.closed.answered_us) for gap in gaps for source in gap.sources if source.why == APPLIED
    ]
    kept = [each for each in state.carried if each.seen_us >= oldest_us]
    state.carried = tuple([*kept, *fresh][-MAX_CARRIED:])


def _count_unclaimed(state: GuildState, event: r.WindowClosed) -> None:
    """What a window leaves unclaimed holds in place of what it, or its parts, had left before."""
    before = [number for number in state.unclaimed_lately if event.first_sample < number <= event.last_sample]
    for number in before:
        for code, uses in state.unclaimed_lately.pop(number).items():
            _claim(state, code, uses)
    if not event.unclaimed:
        return
    for code, uses in event.unclaimed.items():
        state.unclaimed[code] = state.unclaimed.get(code, 0) + uses
    kept = {gap.number for gap in state.gaps}
    lately = {number: left for number, left in state.unclaimed_lately.items() if number in kept}
    state.unclaimed_lately = {**lately, event.last_sample: dict(event.unclaimed)}


def _claim(state: GuildState, code: InviteCode, uses: int) -> None:
    left = state.unclaimed.pop(code) - uses
    if left:
        state.unclaimed[code] = left


def _close(state: GuildState, event: r.WindowClosed) -> None:
    state.unsolved = 0
    if event.abandoned or state.baseline is None:
        _break(state, "given_up", 0)  # their uses are nobody's, and are still to be seen
        state.desk = {}
        return
    gaps = _gaps_of(state, event)
    _carry(state, gaps, state.baseline.answered_us - CARRIED_US)
    if gaps and event.joins > sum(event.tally.values()):  # perhaps by an invite that only the audit log tells of
        _leave_unread(state, gaps[0].opened.requested_us - LISTED_LATE_US, gaps[-1].closed.answered_us)
    oldest_us = oldest_request_us(state.baseline, state.gaps)
    state.desk = {key: join for key, join in state.desk.items() if join.arrived_us >= oldest_us}


def _verdict(state: GuildState, event: r.VerdictReached, seq: int) -> None:
    period = state.membership(event.user, event.opened_us)
    if period is not None:
        contradicted = event.status is r.Status.CONFLICT and period.status is r.Status.CERTAIN
        state.pooled = state.pooled or contradicted
        to_be_shown(state, event, period)
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


def _credit(state: GuildState, event: r.CreditGranted | r.CreditReversed, staff: UserId | None) -> None:
    period = state.membership(event.user, event.opened_us)
    if period is not None and event.kind == "join":
        _put_period(state, event.user, msgspec.structs.replace(period, credited=staff))
    elif period is not None:
        _put_period(state, event.user, msgspec.structs.replace(period, vip_credited=staff))


def _assign(state: GuildState, event: r.InviteAssigned) -> None:
    state.assigned = event.version
    if event.label:
        state.labels[event.code] = event.label
    if event.targets:
        state.targets[identity_of(event.code, event.made_us)] = event.targets
        _keep_newest(state.targets, MAX_TARGETS)
    assignment = Assignment(event.version, event.staff, event.since_us, event.by)
    held = (*state.assignments.get(event.code, ()), assignment)
    state.assignments[event.code] = tuple(sorted(held, key=_since)) if event.salvaged else held


def _since(assignment: Assignment) -> int:
    return assignment.since_us


def _keep_newest(held: dict[K, V], most: int) -> None:
    while len(held) > most:
        del held[next(iter(held))]


def _put_period(state: GuildState, user: UserId, period: Period) -> None:
    """Replaces the membership that began at the same time."""
    held = state.members.get(user, ())
    state.members[user] = tuple([period if each.opened_us == period.opened_us else each for each in held])
