"""All planted bugs, in the order of the lists that ask for them; and a witness against each invariant of the oracle.

A *witness* is a bug that the swarm alone has to find, as breaking that invariant before any other: an invariant
without one would prove nothing, and would be deleted.
"""

from typing import Final

import msgspec

from tests.planted import in_actors, in_cloud, in_disk, in_following, in_ledger, in_salvage, in_storage, in_turns
from tests.planted.bug import Bug, Origin

BUGS: Final[tuple[Bug, ...]] = (
    *in_storage.BUGS,
    *in_cloud.BUGS,
    *in_following.BUGS,
    *in_disk.BUGS,
    *in_actors.BUGS,
    *in_turns.BUGS,
    *in_ledger.BUGS,
    *in_salvage.BUGS,
)

_BUGS: Final = {bug.name: bug for bug in BUGS}


def _witness(invariant: str, name: str, hunt: str = "swarm") -> Bug:
    return msgspec.structs.replace(
        _BUGS[name],
        name=f"{invariant}: {name}",
        origin=Origin.ORACLE,
        breaks=frozenset({invariant}),
        hunts=(hunt,),
    )


WITNESSES: Final = (
    _witness("I1", "joins-told-by-their-arrival"),
    _witness("I2", "no-key"),
    _witness("I3", "one-seq-for-all"),
    _witness("I4", "no-fence"),
    _witness("I5", "ask-never-answered"),
    _witness("I6", "effect-before-journal"),
    _witness("I7", "phase-by-hand"),
    _witness("I8", "retry-in-a-retry"),
    _witness("I9", "last-batch-cut"),
    _witness("I10", "list-not-compared"),
    _witness("I11", "checkpoint-seq-off-by-one"),
    _witness("I12", "dice-of-its-own", "traces"),
    _witness("T1", "first-code-that-rose"),
    _witness("T2", "last-candidate-left-out"),
    _witness("T3", "person-overruled"),
    _witness("T4", "message-never-edited"),
    _witness("T5", "nobody-unseen"),
    _witness("B1", "handler-at-a-loss"),
)

ALL: Final = (*BUGS, *WITNESSES)
BY_NAME: Final = {bug.name: bug for bug in ALL}
