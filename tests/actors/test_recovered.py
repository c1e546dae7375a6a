"""What a start found is told once, and what is lost for good as an error."""

import asyncio

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from actors import recovered
from actors.clock import SystemClock
from actors.opening import recover
from actors.recovered import MISSING_HINT, tell_recovery
from persistence.layer import LayerSummary
from persistence.store import StartReport
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness

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


class Hanging(MemoryLayer):
    """Answers when it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let_go = asyncio.Event()

    async def open(self) -> LayerSummary:
        await self.let_go.wait()
        return await super().open()


async def test_a_start_says_again_and_again_what_it_is_at_until_it_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recovered, "GOING_ON_S", 0.0)
    hanging = Hanging("database")
    store = store_of((MemoryLayer("log"), hanging), TestClock(), TestRandomness())
    assert store.doing == ""
    with capture_logs() as lines:
        starting = asyncio.ensure_future(recover(store, SystemClock(), structlog.get_logger()))
        while len(lines) < 2:  # noqa: ASYNC110 -- no event tells it
            await asyncio.sleep(0)
        hanging.let_go.set()
        await starting
        *_, last = [line["event"] for line in lines]
        for _ in range(10):
            await asyncio.sleep(0)
    assert {line["event"] for line in lines[:2]} == {"recovery.going_on"}
    assert (lines[0]["doing"], lines[0]["layers"]) == ("reading database", {"log": 0, "database": 0})
    assert last == lines[-1]["event"] == "recovery.finished"
    assert store.doing == ""
