"""The phases of a guild actor: one enum and one table.

Two rules. A phase changes only along ``MOVES``; anything else is ``IllegalMove``. A new life of the actor starts
``cold``, whatever its predecessor's phase was: phases are true of a life, not of a guild, and are not recorded.
The diagram in docs/architecture.md is made from this table (``python -m tests.diagram``). What becomes of a message
in each phase is in ``ledger/fates.py``.
``parked`` is not here: a guild given up is the supervisor's business.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from ledger.errors import IllegalMove


class Phase(StrEnum):
    """Where in its life a guild actor is."""

    COLD = "cold"  # made, nothing read
    REHYDRATING = "rehydrating"  # reads checkpoint and records; then at their head, until the guild comes up
    SYNCING = "syncing"  # at the durable head; waits for this session's first complete sample
    LIVE = "live"  # the baseline is of this session: joins are worked out
    BLIND = "blind"  # counters cannot be read: joins are recorded and stay pending
    AWAY = "away"  # Discord says the guild is unavailable
    STALLED = "stalled"  # no layer takes records: nothing is acknowledged
    STOPPING = "stopping"  # draining
    STOPPED = "stopped"  # done; a later life starts cold


MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.COLD: frozenset({Phase.REHYDRATING, Phase.STOPPING}),
    Phase.REHYDRATING: frozenset({Phase.SYNCING, Phase.LIVE, Phase.AWAY, Phase.STALLED, Phase.STOPPING}),
    Phase.SYNCING: frozenset({Phase.LIVE, Phase.BLIND, Phase.AWAY, Phase.STALLED, Phase.STOPPING}),
    Phase.LIVE: frozenset({Phase.SYNCING, Phase.BLIND, Phase.AWAY, Phase.STALLED, Phase.STOPPING}),
    Phase.BLIND: frozenset({Phase.SYNCING, Phase.LIVE, Phase.AWAY, Phase.STALLED, Phase.STOPPING}),
    Phase.AWAY: frozenset({Phase.SYNCING, Phase.LIVE, Phase.STALLED, Phase.STOPPING}),
    Phase.STALLED: frozenset({Phase.REHYDRATING, Phase.STOPPING}),
    Phase.STOPPING: frozenset({Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
}


def move(current: Phase, target: Phase) -> Phase:
    """The phase after the move; staying where one is is no move and always allowed.

    Raises:
        IllegalMove: when the table does not list it.
    """
    if target is not current and target not in MOVES[current]:
        raise IllegalMove(f"{current} → {target}")
    return target
