"""What a salvaged join means for the state: a membership takes its place among the others of its user.

It is older news than what the state knows, so it goes by its own time: behind memberships that began before it, in
front of those that began later. A seed, or an alias of another membership, of the same joined_at becomes this join.
On the desk it counts as a join wherever the samples that are known can tell of it, and is at most likely.
"""

from typing import Final

import msgspec

from ledger import records as r
from ledger.forgetting import person
from ledger.ids import is_tombstone
from ledger.state import LEFT_UNKNOWN, DeskJoin, GuildState, Period, is_same_moment
from ledger.windows import oldest_request_us

SALVAGED: Final = "salvaged"
"""Why nothing better than likely is said of such a join, and of a window that it may lie in."""


def take_in(state: GuildState, event: r.JoinRecorded) -> None:
    """Opens the membership, or says that it is known to have ended."""
    at_us = event.joined_at_us
    periods = state.members.get(event.user, ())
    held = next((each for each in periods if each.began_at(at_us)), None)
    period = Period(at_us, event.arrived_us, rejoin=event.rejoin, bot=event.bot)
    if held is None or is_same_moment(held.opened_us, at_us):
        periods = put_in(state, event, periods, period)
    else:
        periods = _parted(periods, held, period)
    state.members[event.user] = periods
    join = DeskJoin(person(state, event.user), at_us, at_us, event.arrived_us, limits=(SALVAGED,))
    if not event.bot and _may_be_seen(state, join):
        state.desk[r.join_key(event.user, at_us)] = join


def is_open_question(state: GuildState, join: r.JoinRecorded) -> bool:
    """Whether the next sample can tell of the join: it may lie behind the newest one."""
    return state.baseline is not None and join.arrived_us >= state.baseline.requested_us


def _may_be_seen(state: GuildState, join: DeskJoin) -> bool:
    baseline = state.baseline
    return baseline is not None and join.arrived_us >= oldest_request_us(baseline, state.gaps)


def put_in(
    state: GuildState, event: r.JoinRecorded, periods: tuple[Period, ...], period: Period
) -> tuple[Period, ...]:
    """The memberships with one more: those before it have ended, and it had before those behind it began.

    One that a list had shown becomes this one. Most people join for the first time, and a recovery waits for them.
    """
    if not periods and not is_tombstone(event.user):
        return (period,)
    held = next((each for each in periods if is_same_moment(each.opened_us, period.opened_us)), None)
    if held is not None:
        return _replaced(periods, held, _counted(held, period))
    later = (at for at, each in enumerate(periods) if each.opened_us > period.opened_us)
    at = next(later, len(periods))
    user = person(state, event.user)
    came_back = user != event.user and user in state.members
    if at < len(periods) or came_back:
        return (*periods[:at], msgspec.structs.replace(period, left_us=LEFT_UNKNOWN), *periods[at:])
    return (*(_ended(each) for each in periods), period)


def _ended(period: Period) -> Period:
    return msgspec.structs.replace(period, left_us=LEFT_UNKNOWN) if period.is_open() else period


def _counted(held: Period, period: Period) -> Period:
    """Somebody who was thought to have been there before: their membership is a join of ours.

    What a person has decided of it stands; a credit stays until a verdict moves it.
    """
    if held.status is r.Status.MANUAL:
        return msgspec.structs.replace(
            held, arrived_us=period.arrived_us, counted=True, rejoin=period.rejoin, bot=period.bot, listed=False
        )
    return msgspec.structs.replace(
        period,
        left_us=held.left_us,
        aliases=held.aliases,
        verdict_seq=held.verdict_seq,
        verdicts=held.verdicts,
        credited=held.credited,
        vip=held.vip,
        vip_since_us=held.vip_since_us,
        vip_credited=held.vip_credited,
    )


def _parted(periods: tuple[Period, ...], held: Period, period: Period) -> tuple[Period, ...]:
    """What was taken for the same membership told again was another one, and the first had ended."""
    at_us = period.opened_us
    first = msgspec.structs.replace(
        held, left_us=LEFT_UNKNOWN, aliases=tuple(each for each in held.aliases if each < at_us)
    )
    second = msgspec.structs.replace(
        period, left_us=held.left_us, aliases=tuple(each for each in held.aliases if each > at_us)
    )
    place_of = periods.index(held)
    return (*periods[:place_of], first, second, *periods[place_of + 1 :])


def _replaced(periods: tuple[Period, ...], old: Period, new: Period) -> tuple[Period, ...]:
    return tuple(new if each is old else each for each in periods)
