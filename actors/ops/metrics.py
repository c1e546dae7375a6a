"""Metrics: the process's statistics in Prometheus's form, read when they are asked for. Nothing is counted here.

No label has values without end: no guild, no user, no error text. Every value that a label can have is there from the
start, also at 0, so that a rule can be written before the trouble.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.histogram import Distribution
from actors.mailbox import Lane
from actors.ops.health import Health, Vitals
from actors.supervision import LEFT, PARKED, PASSIVATED
from ledger.phases import Phase

Reading: TypeAlias = tuple[str, str, Callable[[Vitals], float]]
"""A metric's name without prefix, what it counts, and where it stands in the vitals."""
Spread: TypeAlias = tuple[str, str, Callable[[Vitals], Distribution]]
"""As a ``Reading``, for what is observed as it happens."""
Split: TypeAlias = tuple[str, str, str, Callable[[Vitals], Iterable[tuple[str, float]]]]
"""As a ``Reading``, with the label by whose values it is split."""


def _connections(vitals: Vitals) -> Iterator[tuple[str, float]]:
    for shard in vitals.shards:
        yield str(shard.number), shard.connected


def _latencies(vitals: Vitals) -> Iterator[tuple[str, float]]:
    for shard in vitals.shards:
        if shard.latency_s is not None:
            yield str(shard.number), shard.latency_s


def _lanes(vitals: Vitals) -> Iterator[tuple[str, float]]:
    yield from zip((lane.name.lower() for lane in Lane), vitals.mailboxes.waiting, strict=True)


def _phases(vitals: Vitals) -> Iterator[tuple[str, float]]:
    for phase in (*Phase, PARKED, PASSIVATED, LEFT):
        yield phase, vitals.tree.phases.get(phase, 0)


def _healthy(vitals: Vitals) -> Iterator[tuple[str, float]]:
    for layer in vitals.journal.layers:
        yield layer.name, layer.healthy


def _gsns(vitals: Vitals) -> Iterator[tuple[str, float]]:
    for layer in vitals.journal.layers:
        yield layer.name, layer.gsn


def _lags(vitals: Vitals) -> Iterator[tuple[str, float]]:
    newest = max((layer.gsn for layer in vitals.journal.layers), default=0)
    for layer in vitals.journal.layers:
        yield layer.name, newest - layer.gsn


PREFIX: Final = "inviteledger"
COUNTERS: Final[tuple[Reading, ...]] = (
    ("joins_recorded", "Joins durable in at least one layer", lambda v: v.journal.recorded),
    ("joins_acknowledged", "Joins durable in every layer that LEDGER_ACK names", lambda v: v.journal.joins),
    ("batches", "Batches of the journal", lambda v: v.journal.batches),
    ("records", "Records that became durable", lambda v: v.journal.records),
    ("appends_fenced", "Appends refused because a newer life or record was there", lambda v: v.journal.fenced),
    ("epochs_taken", "Epochs taken because the outcome of a write was unknown", lambda v: v.journal.epochs),
    ("messages_accepted", "Messages that mailboxes took", lambda v: v.mailboxes.accepted),
    ("messages_handled", "Messages whose turn was completed", lambda v: v.mailboxes.handled),
    ("messages_coalesced", "Messages handled together with an earlier one", lambda v: v.mailboxes.coalesced),
    ("messages_dropped", "Messages that found their mailbox full", lambda v: v.mailboxes.dropped),
    ("actor_restarts", "Restarts of children, kills included", lambda v: v.tree.restarts),
    ("dead_letters", "Messages that could not be handled", lambda v: v.tree.dead_letters),
    ("breaker_openings", "How often many guilds died at once", lambda v: v.tree.breaker),
    ("zombies", "Lives that did not end when they were told to", lambda v: v.tree.zombies),
    ("records_scrubbed", "Records of old that were read again, in all layers", lambda v: v.keeper.scrubbed),
    ("backup_faults", "How often a layer gave back what was not written", lambda v: v.keeper.faults),
    ("gateway_sessions", "Gateway sessions begun (READY)", lambda v: v.dispatches.sessions),
    ("gateway_resumes", "Gateway sessions resumed", lambda v: v.dispatches.resumes),
    ("dispatches_unreadable", "Dispatches that could not be decoded", lambda v: v.dispatches.unreadable),
)
SPLIT_COUNTERS: Final[tuple[Split, ...]] = (
    (
        "verdicts",
        "First verdicts, at most one a join, by their status",
        "status",
        lambda v: v.journal.verdicts.items(),
    ),
    (
        "verdicts_superseding",
        "Verdicts that took an earlier one's place, by the new status; their joins are in verdicts_total already",
        "status",
        lambda v: v.journal.superseding.items(),
    ),
    (
        "dispatches",
        "Dispatches of the gateway that are taken, by name",
        "name",
        lambda v: v.dispatches.dispatches.items(),
    ),
    (
        "rest_requests",
        "Requests to Discord's REST API, by how they ended",
        "outcome",
        lambda v: v.requests.requests.items(),
    ),
    (
        "errands",
        "Readings of the audit log, searches of the second witness and join messages, by how they ended",
        "outcome",
        lambda v: v.errands.items(),
    ),
)
GAUGES: Final[tuple[Reading, ...]] = (
    ("gateway_connected", "1 while every shard is connected", lambda v: v.connected),
    ("gateway_findings", "What stops the bot from identifying, 0 = nothing", lambda v: len(v.held)),
    (
        "gateway_last_dispatch_timestamp_seconds",
        "Unix time at which the last dispatch came, 0 = none yet",
        lambda v: v.dispatches.heard_us / 1_000_000,
    ),
    ("guilds_awaited", "Guilds of READY that have neither come nor been reported unavailable", lambda v: v.awaited),
    ("mailbox_deepest_messages", "Messages waiting in the fullest mailbox", lambda v: v.mailboxes.deepest),
    ("journal_requests", "Requests waiting for the journal", lambda v: v.journal.waiting),
    ("journal_ready", "1 while the journal takes records", lambda v: v.journal.ready),
    ("standby", "1 while another process holds the history, and this one waits for it", lambda v: v.standby),
    ("journal_hung_seconds", "For how long the journal has not moved, 0 = it does", lambda v: v.tree.hung_s),
    (
        "backup_age_seconds",
        "Since all that was recorded was last read back from every layer",
        lambda v: v.keeper.age_s,
    ),
    ("rest_waiting", "Fetches that wait for a permit", lambda v: v.requests.waiting),
    (
        "drill_timestamp_seconds",
        "Unix time at which the last drill (restore --drill) ended, 0 = there was none",
        lambda v: v.drill.at_ms / 1_000 if v.drill else 0,
    ),
    (
        "drill_differences",
        "Differences that the last drill found between the cloud and the live history",
        lambda v: len(v.drill.differences) if v.drill else 0,
    ),
)
SPLIT_GAUGES: Final[tuple[Split, ...]] = (
    ("gateway_shard_connected", "1 while the shard is connected", "shard", _connections),
    ("gateway_latency_seconds", "Of the last heartbeat; without a value until one was answered", "shard", _latencies),
    ("mailbox_messages", "Messages waiting in all mailboxes, by lane", "lane", _lanes),
    ("guilds", "Guilds by phase", "phase", _phases),
    ("layer_healthy", "1 while the layer takes records", "layer", _healthy),
    ("layer_gsn", "Number of the layer's last durable record", "layer", _gsns),
    ("layer_lag_records", "Records that the newest layer has and this one not", "layer", _lags),
)
HISTOGRAMS: Final[tuple[Spread, ...]] = (
    (
        "commit_seconds",
        "How long a batch took to become durable: write and fsync of the log, commit of the database",
        lambda v: v.journal.commit_s,
    ),
    ("batch_records", "Records of a batch", lambda v: v.journal.batch_records),
    ("rest_permit_wait_seconds", "How long a fetch waited for its permit", lambda v: v.requests.waited_s),
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
        for name, text, label, split in SPLIT_COUNTERS:
            yield _filled(CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[label]), split(vitals))
        for name, text, label, split in SPLIT_GAUGES:
            yield _filled(GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label]), split(vitals))
        for name, text, spread in HISTOGRAMS:
            yield _histogram(name, text, spread(vitals))
        yield _build(vitals)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[str, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    for value, number in values:
        family.add_metric([value], number)
    return family


def _histogram(name: str, text: str, spread: Distribution) -> Metric:
    bounds = (*(str(float(bound)) for bound in spread.bounds), "+Inf")
    buckets = list(zip(bounds, map(float, accumulate(spread.counts)), strict=True))
    return HistogramMetricFamily(f"{PREFIX}_{name}", text, buckets=buckets, sum_value=spread.total)


def _build(vitals: Vitals) -> Metric:
    told = {"version": vitals.release, "python": platform.python_version()}
    family = GaugeMetricFamily(f"{PREFIX}_build_info", "1; its labels say what runs", labels=list(told))
    family.add_metric(list(told.values()), 1)
    return family
