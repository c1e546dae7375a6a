"""Bugs of salvage: what is done before it is recorded, recorded twice, or brings back who was forgotten."""

from typing import Final

from actors.salvager import ASK_S, Salvager
from ledger import messages as m
from ledger import records as r
from ledger.ids import UserId
from ledger.salvage import Salvaging
from persistence import holes
from persistence.layer import LayerSummary
from persistence.salvage import Lot, Salvage
from persistence.seats import Seat
from tests.planted.bug import Bug, Origin, Swap


async def done_before_it_is_told(salvager: Salvager, lot: Lot) -> None:
    branch, guild = lot
    pieces = [piece async for piece in salvager._salvage.pieces(lot)]
    await salvager._salvage.finish(lot)
    for piece in pieces:
        message = m.Salvage(branch=branch, records=piece.records, forgotten=piece.forgotten, at_us=1)
        await salvager._roster.ask(guild, message, ASK_S)


async def set_aside_before_it_is_kept(seat: Seat, after_gsn: int, salvage: Salvage) -> None:
    with seat.minding():
        frames = [frame async for frame in seat.layer.frames_after(after_gsn)]

        async def stream():
            for frame in frames:
                yield frame

        summary: LayerSummary = await seat.layer.set_aside(after_gsn)
        await salvage.keep(stream())
        seat.learn(summary)


async def nothing_replaced(*_: object) -> list[str]:
    return []


async def not_looked_into(*_: object) -> bool:
    return False


def recorded_whether_known_or_not(salvaging: Salvaging, event: r.JoinRecorded) -> None:
    name = salvaging._name(event.user)
    salvaging._write(event, r.join_key(name, event.joined_at_us))
    salvaging.joins += 1


def named_by_id(salvaging: Salvaging, user: UserId) -> UserId:
    return salvaging._who(user)


BUGS: Final = (
    Bug(
        name="done-before-journaled",
        origin=Origin.OURS,
        what="a branch is marked as done before its guilds have recorded what they had in it",
        swaps=(Swap(Salvager, "_salvage_lot", done_before_it_is_told),),
        breaks=frozenset({"I1"}),
        hunts=("salvage",),
    ),
    Bug(
        name="aside-before-kept",
        origin=Origin.OURS,
        what="a layer parts with a branch before that is kept for its guilds",
        swaps=(Swap(Seat, "set_aside", set_aside_before_it_is_kept),),
        breaks=frozenset({"I1"}),
        hunts=("salvage",),
    ),
    Bug(
        name="filled-before-kept",
        origin=Origin.OURS,
        what="a hole is filled, and nobody asks what became of the records behind it while it was there",
        swaps=(Swap(holes, "_keep_replaced", nothing_replaced),),
        breaks=frozenset({"I1"}),
        hunts=("holes",),
    ),
    Bug(
        name="fed-before-filled",
        origin=Origin.OURS,
        what="a layer that comes back with what is missing in another is fed what began anew in its place",
        swaps=(Swap(holes, "completes", not_looked_into),),
        breaks=frozenset({"I1"}),
        hunts=("holes",),
    ),
    Bug(
        name="salvage-without-a-key",
        origin=Origin.OURS,
        what="what a branch that lost says of a join is news, whatever is known of it",
        swaps=(Swap(Salvaging, "_join", recorded_whether_known_or_not),),
        breaks=frozenset({"I2"}),
        hunts=("forks",),
    ),
    Bug(
        name="forgotten-comes-back",
        origin=Origin.OURS,
        what="the facts of a branch that lost name whom it, or this history, has forgotten",
        swaps=(Swap(Salvaging, "_name", named_by_id),),
        breaks=frozenset({"I2"}),
        hunts=("forks",),
    ),
)
