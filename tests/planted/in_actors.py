"""Bugs of the actors: fences, answers, the journal's death. L1 finds them, by killing at an await.

Some obvious ones are none here, because another line of defence makes them harmless: a turn that swallows its
cancellation meets the mailbox's fence, and a journal that does not void its queue the store's doubt.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.journal import Journal
from actors.mailbox import Address
from actors.reads import Reads
from ledger.errors import Fenced
from persistence.frames import Frame
from persistence.numbering import Append, Numbering
from persistence.store import Store
from tests.planted.bug import Bug, Origin, Swap

_hand_over, _number, _write = Address.hand_over, Numbering.take, Store._write


def any_life_may(mine: Address[Any, Any], holder: int) -> None:
    del mine, holder


def hand_over_without_what_is_in_hand(mine: Address[Any, Any]) -> int:
    if mine._in_hand is not None:
        mine._remove(mine._in_hand)
    return _hand_over(mine)


def numbered_behind_whatever_is_there(mine: Numbering, append: Append) -> tuple[Frame, ...] | Fenced:
    head = mine.moved.get(append.guild) or mine._heads.get(append.guild)
    return _number(mine, msgspec.structs.replace(append, base_seq=head.seq if head else 0))


def never_stale(mine: Journal, request: object) -> bool:
    del mine, request
    return False


def void_by_forgetting(mine: Journal, error: object) -> None:
    del error
    mine._needs_epoch = True
    mine._queue.clear()


def reads_void_by_forgetting(mine: Reads, error: object) -> None:
    del error
    mine._waiting = deque()


def void_nothing(mine: Journal, error: object) -> None:
    del mine, error


async def write_without_doubt(mine: Store, frames: Sequence[Frame]) -> frozenset[str]:
    try:
        return await _write(mine, frames)
    finally:
        mine._in_doubt = False


ANSWERED: Final = frozenset({"I5", "I10"})

BUGS: Final = (
    Bug(
        name="zombie-takes",
        origin=Origin.KERNEL,
        what="a life that was replaced still takes from the mailbox",
        swaps=(Swap(Address, "check", any_life_may),),
        breaks=frozenset({"I4", "I8"}),
        hunts=("kills-zombie",),
    ),
    Bug(
        name="ask-never-answered",
        origin=Origin.KERNEL,
        what="an ask dies with the life that has it in hand",
        swaps=(Swap(Address, "hand_over", hand_over_without_what_is_in_hand),),
        breaks=ANSWERED,
        hunts=("kills-cancel",),
    ),
    Bug(
        name="no-fence",
        origin=Origin.KERNEL,
        what="the journal takes an append of a life that was replaced, wherever it stands",
        swaps=(Swap(Journal, "_is_stale", never_stale), Swap(Numbering, "take", numbered_behind_whatever_is_there)),
        breaks=frozenset({"I2", "I4", "I10"}),
        hunts=("kills-late-write",),
    ),
    Bug(
        name="queue-forgotten",
        origin=Origin.OURS,
        what="a journal that dies forgets who waits in its queue",
        swaps=(Swap(Journal, "void", void_by_forgetting),),
        breaks=ANSWERED,
        hunts=("kills-late-cancel",),
    ),
    Bug(
        name="reads-forgotten",
        origin=Origin.OURS,
        what="a journal that dies forgets who waits for a list",
        swaps=(Swap(Reads, "void", reads_void_by_forgetting),),
        breaks=ANSWERED,
        hunts=("kills-journal-dies",),
    ),
    Bug(
        name="no-new-epoch",
        origin=Origin.KERNEL,
        what="a journal that died with a write in flight goes on as if it knew what became of it",
        swaps=(Swap(Store, "_write", write_without_doubt), Swap(Journal, "void", void_nothing)),
        breaks=frozenset({"I1", "I3", "I4", "I9", "I10"}),
        hunts=("kills-cancel",),
    ),
)
