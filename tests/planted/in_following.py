"""Bugs of how the cloud follows, and of what is asked of it: only a run with a cloud can see them."""

from collections.abc import Sequence
from typing import Any, Final

from actors.journal import Journal
from ledger.errors import Stale
from persistence import leading, store
from persistence.following import QUEUED_BYTES, Following, Source
from persistence.frames import Frame
from persistence.salvage import Salvage
from persistence.seats import Seat
from persistence.terms import Terms
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


async def whatever_the_cloud_says(following: Following, source: Source) -> int:
    try:
        return await _give(following, source)
    except Stale:
        following._take(following._piece[-1].record.gsn)
        return 1


async def parted_with(seat: Seat, after_gsn: int, salvage: Salvage) -> None:
    del salvage
    with seat.minding():
        seat.learn(await seat.layer.set_aside(after_gsn))


def begun_apart(terms: Terms, lineages: Sequence[str]) -> None:
    del terms, lineages


def made_to_begin_anew(terms: Terms, *parts: Any, **more: Any) -> None:  # noqa: ANN401 -- the terms'
    _make_terms(terms, *parts, **more)
    terms._may_begin_anew = True


_give: Final = Following.give
_make_terms: Final = Terms.__init__

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
        swaps=(Swap(store, "newest_of", newest_nearby), Swap(leading, "newest_of", newest_nearby)),
        # I6: the database leads then, though the cloud has more, and gets that before the log. I2: a join that the
        # cloud knows is told again, and recorded once more.
        breaks=frozenset({"I1", "I2", "I6", "I9"}),
        hunts=("clouded",),
    ),
    Bug(
        name="overtaken-and-goes-on",
        origin=Origin.OURS,
        what="a process that meets another one's fence takes what it wanted to upload for uploaded",
        swaps=(Swap(Following, "give", whatever_the_cloud_says),),
        breaks=frozenset({"I6"}),
        hunts=("clouded",),
    ),
    Bug(
        name="branch-not-kept",
        origin=Origin.OURS,
        what="what a process recorded nearby while another one had the cloud is set aside, and its facts with it",
        swaps=(Swap(Seat, "set_aside", parted_with),),
        breaks=frozenset({"I1"}),
        hunts=("clouded",),
    ),
    Bug(
        name="history-begun-apart",
        origin=Origin.OURS,
        what="a new history begins nearby although the cloud did not take its beginning",
        swaps=(Swap(Terms, "_refuse_to_begin_apart", begun_apart),),
        breaks=frozenset({"B1"}),
        hunts=("clouded",),
    ),
    Bug(
        name="empty-folder-begins-anew",
        origin=Origin.OURS,
        what="an empty folder begins a new history where the cloud, which may hold one, does not answer",
        swaps=(Swap(Terms, "__init__", made_to_begin_anew),),
        breaks=frozenset({"B1", "I1", "I9"}),
        hunts=("clouded",),
    ),
)
