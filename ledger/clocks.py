"""Our own clock is set right now and then: what its times are worth once it was set back between two processes.

Within a process times rise (``Clock.stamp_us``). A new one may begin, by its clock, before what is recorded: then
nothing of before can be compared with what it will hear, except that it was before.
"""

from typing import Final, TypeVar

from msgspec.structs import replace

from ledger.presence import Presence
from ledger.state import Birth, Death, Gap, GuildState, Period
from ledger.windows import bounds_of, place

HeardT = TypeVar("HeardT", Birth, Death, Period)

SET_BACK: Final = "clock"
"""Why continuity is broken where our clock was set back."""


def was_set_back(state: GuildState, presence: Presence) -> bool:
    """Whether this life, of which nothing is recorded yet, began before what is: our clock was ahead then."""
    return not presence.session and 0 < presence.since_us < _newest_us(state)


def doubted(state: GuildState) -> tuple[Gap, ...]:
    """The gaps in which joins may lie that wait: the last time that the two can be compared is now."""
    if state.baseline is None or not state.gaps:
        return state.gaps
    bounds = bounds_of(state.baseline, state.gaps)
    places = [place(join, bounds) for join in state.open_joins()]
    return tuple(
        replace(gap, broken=(*gap.broken, SET_BACK))
        if any(each.first <= gap.number <= each.last for each in places)
        else gap
        for gap in state.gaps
    )


def set_back(state: GuildState, now_us: int) -> None:
    """Whatever was heard later than now was heard by now. Joins that are worked out stay as they are; those that are
    not have come before the next sample, perhaps before the last one as well.
    """
    baseline = state.baseline
    behind_us = baseline.requested_us if baseline else 0
    if baseline is not None:
        state.baseline = replace(baseline, requested_us=now_us, answered_us=now_us)
    waiting = set(state.open_joins())
    state.desk = {
        key: replace(join, arrived_us=now_us)
        for key, join in state.desk.items()
        if join in waiting or (join.optional and join.arrived_us >= behind_us)
    }
    state.gaps, state.unsolved = (), 0
    _cap_the_rest(state, now_us)


def _newest_us(state: GuildState) -> int:
    heard = [join.arrived_us for join in state.desk.values()]
    return max(state.baseline.answered_us if state.baseline else 0, *heard, 0)


def _cap_the_rest(state: GuildState, now_us: int) -> None:
    """What is ahead would else be waited for until our clock is there again, which may take years."""
    state.counting_since_us = min(state.counting_since_us, now_us)
    state.ours_from_us = min(state.ours_from_us, now_us)
    state.broken_us = min(state.broken_us, now_us)
    state.unread = (min(state.unread[0], now_us), min(state.unread[1], now_us))
    state.births = {key: _arrived(each, now_us) for key, each in state.births.items()}
    state.deaths = {code: _arrived(each, now_us) for code, each in state.deaths.items()}
    state.carried = tuple(replace(each, seen_us=min(each.seen_us, now_us)) for each in state.carried)
    state.unheard = {key: replace(each, due_us=min(each.due_us, now_us)) for key, each in state.unheard.items()}
    state.assignments = {
        code: tuple(replace(each, since_us=min(each.since_us, now_us)) for each in held)
        for code, held in state.assignments.items()
    }
    ahead = [user for user, periods in state.members.items() if periods[-1].arrived_us > now_us]
    for user in ahead:
        state.members[user] = tuple(_arrived(each, now_us) for each in state.members[user])


def _arrived(heard: HeardT, now_us: int) -> HeardT:
    return replace(heard, arrived_us=min(heard.arrived_us, now_us))
