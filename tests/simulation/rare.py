"""Rare states that a run of enough seeds has to reach, each by the name that the oracle counts it under.

A simulation that never gets there proves nothing about them: ``unreached`` says which are still to come.
"""

from collections import Counter
from typing import Final

RARE: Final = (
    "VIP credited",
    "append into one layer only",
    "ask crashed",
    "ask deadline",
    "ask degraded",
    "ask rejected",
    "audit log read",
    "batch of several guilds",
    "batch refused",
    "branch salvaged",
    "branch set aside",
    "breaker open",
    "caught up",
    "certain verdict compared",
    "checkpoint failed",
    "cloud failed",
    "cloud recovered",
    "database fed by the log",
    "dead letter",
    "degraded append",
    "drain cut short",
    "drained",
    "epoch taken anew",
    "fenced append refused",
    "gap noted",
    "guild forgotten",
    "healed",
    "hole reported",
    "hung turn ended",
    "join not yet acknowledged",
    "join announced",
    "journal hung",
    "journal killed with a write in flight",
    "killed while appending",
    "killed while idle",
    "killed while rehydrating",
    "log fed by the database",
    "log merged",
    "lost answer recognised",
    "member forgotten",
    "parked",
    "message deduplicated",
    "message edited",
    "passivated",
    "power cut",
    "power cut while it starts",
    "queue for the cloud overflowed",
    "read again for the cloud",
    "recovery led by cloud",
    "recovery led by database",
    "recovery led by log",
    "rehydrated from a checkpoint",
    "rehydrated from a checkpoint and a tail",
    "rehydrated from the beginning and a tail",
    "rehydrated from the database",
    "rehydrated from the log",
    "restore failed",
    "revived",
    "rival overtaken",
    "rival took over",
    "rot mended",
    "stale checkpoint refused",
    "stale found",
    "standby waited",
    "start refused",
    "storage stalled",
    "superseding verdict",
    "torn tail cut",
    "unacknowledged records gone",
    "unknown outcome had happened",
    "verdict confirmed",
    "verdict conflict",
    "verdict manual",
    "verdict non_invite",
    "verdict reported",
    "wiped folder came back",
    "woken",
    "write arrived late",
    "zombie guild left behind",
    "zombie journal waited for",
)
"""No kill finds an actor deciding, evolving or acting: nothing in these stages awaits."""


VERY_RARE: Final = frozenset({"hole reported"})
"""Reported and not asked for: some thousand seeds may pass without one."""

IN_HUNDREDS: Final = frozenset(RARE) - VERY_RARE - {"rival overtaken", "start refused"}
"""What three hundred seeds reach, in a dozen of them at least."""


def unreached(seen: Counter[str]) -> list[str]:
    """The rare states that were not reached, and should have been."""
    return [state for state in RARE if not seen[state] and state not in VERY_RARE]
