"""Metrics: the process's statistics in Prometheus's form, read when they are asked for. Nothing is counted here."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.ops.health import Health, Vitals
from actors.supervision import LEFT, PARKED, PASSIVATED
from ledger.phases import Phase

Reading: TypeAlias = tuple[str, str, Callable[[Vitals], float]]
"""A metric's name without prefix, what it counts, and where it stands in the vitals."""

PREFIX: Final = "inviteledger"
COUNTERS: Final[tuple[Reading, ...]] = (
    ("joins_acknowledged", "Joins durable in every layer that LEDGER_ACK names", lambda v: v.journal.joins),
    ("batches", "Batches of the journal", lambda v: v.journal.batches),
    ("records", "Records that became durable", lambda v: v.journal.records),
    ("appends_fenced", "Appends refused because a newer life or record was there", lambda v: v.journal.fenced),
    ("epochs_taken", "Epochs taken because the outcome of a write was unknown", lambda v: v.journal.epochs),
    ("actor_restarts", "Restarts of children, kills included", lambda v: v.tree.restarts),
    ("dead_letters", "Messages that could not be handled", lambda v: v.tree.dead_letters),
    ("breaker_openings", "How often many guilds died at once", lambda v: v.tree.breaker),
    ("zombies", "Lives that did not end when they were told to", lambda v: v.tree.zombies),
)
GAUGES: Final[tuple[Reading, ...]] = (
    ("gateway_connected", "1 while the gateway is connected", lambda v: v.connected),
    ("guilds_awaited", "Guilds of READY that have neither come nor been reported unavailable", lambda v: v.awaited),
    ("mailbox_messages", "Messages waiting in all mailboxes", lambda v: v.waiting),
    ("journal_requests", "Requests waiting for the journal", lambda v: v.journal.waiting),
    ("journal_ready", "1 while the journal takes records", lambda v: v.journal.ready),
)


def make_registry(health: Health) -> CollectorRegistry:
    """A registry of our own: the statistics, and this process's memory, CPU and files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Statistics(health))
    ProcessCollector(registry=registry)
    return registry


class _Statistics(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterable[Metric]:
        vitals = self._health.vitals()
        for name, text, read in COUNTERS:
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=read(vitals))
        for name, text, read in GAUGES:
            yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=read(vitals))
        yield _guilds(vitals)
        yield from _layers(vitals)


def _guilds(vitals: Vitals) -> Metric:
    """Every phase is there, also at 0, so that a rule can be written before the trouble."""
    family = GaugeMetricFamily(f"{PREFIX}_guilds", "Guilds by phase", labels=["phase"])
    for phase in (*Phase, PARKED, PASSIVATED, LEFT):
        family.add_metric([str(phase)], vitals.tree.phases.get(phase, 0))
    return family


def _layers(vitals: Vitals) -> Iterator[Metric]:
    healthy = GaugeMetricFamily(f"{PREFIX}_layer_healthy", "1 while the layer takes records", labels=["layer"])
    gsn = GaugeMetricFamily(f"{PREFIX}_layer_gsn", "Number of the layer's last durable record", labels=["layer"])
    for layer in vitals.journal.layers:
        healthy.add_metric([layer.name], layer.healthy)
        gsn.add_metric([layer.name], layer.gsn)
    yield healthy
    yield gsn
