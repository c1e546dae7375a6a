"""What the process says of its health, and what is concluded from it. Values and rules; nothing here serves or waits.

Alive: the loop turns (a child that cannot be kept alive ends the process). Ready: connected, every guild of READY has
come or is reported unavailable, and the journal takes records. A process that stands by is ready as soon as it hears
Discord, so that the host stops the one it waits for. A broken layer is told but does not make unready: joins are
still taken.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from actors.drills import Drill
from actors.journal import JournalStatistics
from actors.keeper import KeeperStatistics
from actors.roster import RosterStatistics
from actors.supervision import LEFT, PASSIVATED, SupervisorStatistics
from actors.traffic import DispatchTraffic, ErrandOutcome, RestTraffic, ShardStatus
from ledger.phases import Phase


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """The process at one moment.

    ``held``: what stops the bot from identifying, a sentence each; ``connected``: every shard has a session and its
    socket; ``awaited``: guilds of READY that have neither come nor been reported unavailable; ``draining``: it is on
    its way out; ``standby``: another process writes the history; ``drill``: the last one, None = there is none;
    ``errands``: how those so far ended; ``release`` of InviteLedger.
    """

    release: str
    held: tuple[str, ...]
    connected: bool
    shards: tuple[ShardStatus, ...]
    awaited: int
    draining: bool
    standby: bool
    drill: Drill | None
    tree: SupervisorStatistics
    journal: JournalStatistics
    keeper: KeeperStatistics
    mailboxes: RosterStatistics
    dispatches: DispatchTraffic
    requests: RestTraffic
    errands: Mapping[ErrandOutcome, int]


class Health(Protocol):
    """Whom health and metrics are asked of."""

    def vitals(self) -> Vitals:
        """The process now; quick, and without effects."""
        ...


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of /readyz. ``why``: what it is not ready for, a sentence each; ``layers``: "ok" or the error.

    ``standby``: it is ready as a standby.
    """

    ready: bool
    standby: bool
    why: tuple[str, ...]
    gateway_connected: bool
    journal_ready: bool
    layers: Mapping[str, str]
    guilds_live: int
    guilds_not_live: int
    guilds_awaited: int


def readiness(vitals: Vitals) -> Readiness:
    """Whether this process does its work, so that an older one may be stopped."""
    why = tuple(_unready(vitals))
    phases = vitals.tree.phases
    live = phases.get(Phase.LIVE, 0) + phases.get(PASSIVATED, 0)
    return Readiness(
        ready=not why,
        standby=vitals.standby,
        why=why,
        gateway_connected=vitals.connected,
        journal_ready=vitals.journal.ready,
        layers={layer.name: "ok" if layer.healthy else layer.error for layer in vitals.journal.layers},
        guilds_live=live,
        guilds_not_live=sum(phases.values()) - phases.get(LEFT, 0) - live,
        guilds_awaited=vitals.awaited,
    )


def _unready(vitals: Vitals) -> Iterator[str]:
    if vitals.draining:
        yield "the bot is stopping"
    yield from vitals.held
    if not vitals.connected:
        yield "the gateway is not connected"
    if vitals.awaited:
        yield f"guilds of READY that have not come yet: {vitals.awaited}"
    if not vitals.journal.ready and not vitals.standby:
        yield "no layer takes records"
    if vitals.tree.hung_s:
        yield f"the journal has not moved for {vitals.tree.hung_s:.0f} s"
