"""Who leads: the seat that the others have to follow.

The layer with the highest (epoch, gsn) leads, but of two branches with one epoch that of the layer which trails: many
processes reach it, so others may have gone on there. So they may where the other's epoch jumped ahead of what could
not be read (``UNREAD_EPOCHS``) and was never claimed there. Where an acknowledgement speaks for that layer, its
branch leads in any case: what the other holds behind the fork has none, and what has one must not come to lie in a
folder alone. No clock decides.
"""

from collections.abc import Sequence
from typing import Final, cast

from persistence.branches import parting
from persistence.layer import FencedLayer
from persistence.seats import Seat, newest_of

UNREAD_EPOCHS: Final = 100_000
"""An epoch is so far above all that can be read where a layer cannot be: more than a life begins meanwhile."""


async def leader_of(seats: Sequence[Seat]) -> Seat | None:
    """The seat that the others have to follow, by the rules above; None = none can be read."""
    leader = newest_of(seats)
    for seat in seats:
        if leader is None or seat is leader or not (seat.trails and seat.readable):
            continue
        if not seat.promised and seat.epoch() != leader.epoch() and not await _has_jumped(leader, seat):
            continue
        shared = await parting(seat, leader)
        if not leader.readable:
            return await leader_of(seats)
        if shared is not None:
            return seat
    return leader


async def _has_jumped(seat: Seat, shared: Seat) -> bool:
    """Whether a seat's epoch only says that something could not be read when it was taken, without the layer that
    many processes share, where this folder has not claimed it; where that cannot be told, it does not.
    """
    if seat.epoch() - shared.epoch() < UNREAD_EPOCHS // 2:  # others may have had lives since
        return False
    with shared.minding():
        return not await cast("FencedLayer", shared.layer).has_claimed(seat.epoch())
    return False
