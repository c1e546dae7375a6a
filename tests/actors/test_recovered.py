"""What a start found is told once, and what is lost for good as an error."""

import msgspec
import structlog
from structlog.testing import capture_logs

from actors.recovered import MISSING_HINT, tell_recovery
from persistence.store import StartReport
from tests.persistence.making import BLUE, RED

WHOLE = StartReport(epoch=2, lineage="lineage", leader="log", layers=(), missing=(), aside={}, notes=("a note",))


def told(report: StartReport) -> list[dict[str, object]]:
    with capture_logs() as lines:
        tell_recovery(structlog.get_logger(), report, 0.25)
    return [dict(line) for line in lines]


def test_where_all_is_there_one_line_says_so():
    (line,) = told(WHOLE)
    assert (line["event"], line["log_level"], line["ms"], line["notes"]) == (
        "recovery.finished",
        "info",
        250,
        ["a note"],
    )


def test_what_is_gone_and_what_is_on_no_chain_behind_it_is_an_error_by_guild():
    _, error = told(msgspec.structs.replace(WHOLE, missing=((537, 568),), aside={RED: 3891, BLUE: 2}))
    assert error == {
        "event": "records.missing",
        "log_level": "error",
        "gsn": [[537, 568]],
        "on_no_chain": {RED: 3891, BLUE: 2},
        "hint": MISSING_HINT,
    }
