"""A start, told: each ten seconds what it is at; at its end which layer won, what the others lacked, what is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from ledger.ports import Clock
from persistence.store import StartReport, Store

GOING_ON_S: Final = 10.0
MISSING_HINT: Final = (
    "these records were durable and are in no layer any more; what is on no chain counts for nothing without them: "
    "put an older copy of the log or the database in place, if there is one; the rest goes on"
)


@contextmanager
def telling_how_far(log: FilteringBoundLogger, store: Store, clock: Clock) -> Iterator[None]:
    """The line ``recovery.going_on`` each ``GOING_ON_S``, while layers are read and fed within: one may hang."""
    began_s, loop = clock.monotonic_s(), asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def tell() -> None:
        nonlocal timer
        layers = {health.name: health.gsn for health in store.health()}
        seconds = round(clock.monotonic_s() - began_s)
        log.info("recovery.going_on", doing=store.doing, seconds=seconds, layers=layers)
        timer = loop.call_later(GOING_ON_S, tell)

    timer = loop.call_later(GOING_ON_S, tell)
    try:
        yield
    finally:
        timer.cancel()


def tell_recovery(log: FilteringBoundLogger, report: StartReport, took_s: float) -> None:
    """The line ``recovery.finished``, and ``records.missing`` where some are."""
    log.info(
        "recovery.finished",
        epoch=report.epoch,
        leader=report.leader,
        layers=msgspec.to_builtins(report.layers),
        notes=list(report.notes),
        ms=round(took_s * 1_000, 1),
    )
    if report.missing or report.aside:
        gaps = [list(gap) for gap in report.missing]
        log.error("records.missing", gsn=gaps, on_no_chain=dict(report.aside), hint=MISSING_HINT)
