"""Our own clock is set right now and then: what its times are worth once it was set back between two processes.

Within a process times rise (``Clock.stamp_us``). A new one may begin, by its clock, before what is recorded: then
nothing of before can be compared with what it will hear, except that it was before.
"""

from collections.abc import Iterator
from typing import Final, TypeVar

from msgspec.structs import replace

from ledger.presence import Presence
from ledger.state import Birth, Bound, Death, DeskJoin, Gap, GuildState, Period
from ledger.windows import Place, bounds_of, place

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
    places = [where for _, where in _waiting(state, state.baseline)]
    return tuple(
        replace(gap, broken=(*gap.broken, SET_BACK))
        if any(each.first <= gap.number <= each.last for each in places)
        else gap
        for gap in state.gaps
    )


def _waiting(state: GuildState, baseline: Bound) -> Iterator[tuple[DeskJoin, Place]]:
    """Joins, and repeats, that may lie behind the last window that was closed, and where. What is said of one already
    (it could not be read, or a person has decided) says nothing of whose its use is.
    """
    bounds = bounds_of(baseline, state.gaps)
    for join in state.desk.values():
        where = place(join, bounds)
        if where.last > baseline.number - state.unsolved:
            yield join, where


def set_back(state: GuildState, now_us: int) -> None:
    """Whatever was heard later than now was heard by now. Joins that are worked out stay as they are; those that are
    not have come before the next sample, perhaps before the last one as well.
    """
    if (baseline := state.baseline) is not None:
        waiting = {join for join, _ in _waiting(state, baseline)}
        state.desk = {key: join for key, join in state.desk.items() if join in waiting}
        state.baseline = replace(baseline, requested_us=now_us, answered_us=now_us)
    state.desk = {key: replace(join, arrived_us=now_us) for key, join in state.desk.items()}
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
