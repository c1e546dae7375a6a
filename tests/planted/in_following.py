"""Bugs of how the cloud follows, and of what is asked of it: only a run with a cloud can see them."""

from collections.abc import Sequence
from typing import Final

from actors.journal import Journal
from persistence import recovery
from persistence.following import QUEUED_BYTES, Following
from persistence.frames import Frame
from persistence.seats import Seat
from tests.planted.bug import Bug, Origin, Swap


def queued_behind_a_gap(following: Following, frames: Sequence[Frame]) -> None:
    size = sum(len(frame.data) for frame in frames)
    if following._bytes + size <= min(QUEUED_BYTES, 2_000):
        following._waiting.extend(frames)
        following._bytes += size
    following._head = frames[-1].record.gsn
    following._notify()


async def nobody_waits_for_the_cloud(journal: Journal) -> bool:
    del journal
    return False


def newest_nearby(seats: Sequence[Seat]) -> Seat | None:
    near = [seat for seat in seats if seat.readable and not seat.trails]
    return max(near, key=Seat.rank, default=None)


BUGS: Final = (
    Bug(
        name="queue-skips-what-does-not-fit",
        origin=Origin.OURS,
        what="records that do not fit into the queue for the cloud are never uploaded",
        swaps=(Swap(Following, "push", queued_behind_a_gap),),
        breaks=frozenset({"I1", "I9", "I10"}),
        hunts=("clouded",),
    ),
    Bug(
        name="acknowledged-before-the-upload",
        origin=Origin.OURS,
        what="LEDGER_ACK names the cloud, and an answer does not wait for it",
        swaps=(Swap(Journal, "_await_cloud", nobody_waits_for_the_cloud),),
        breaks=frozenset({"I6"}),
        hunts=("clouded",),
    ),
    Bug(
        name="start-without-the-cloud",
        origin=Origin.OURS,
        what="a start takes the newest of the layers nearby, whatever the cloud knows",
        swaps=(Swap(recovery, "newest", newest_nearby),),
        breaks=frozenset({"I1", "I9"}),
        hunts=("clouded",),
    ),
)
