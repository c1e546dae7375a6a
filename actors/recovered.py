"""What a start found, told once: which layer won, what the others lacked, what is lost for good."""

from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from persistence.store import StartReport

MISSING_HINT: Final = (
    "these records were durable and are in no layer any more; what is on no chain counts for nothing without them: "
    "put an older copy of the log or the database in place, if there is one; the rest goes on"
)


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
