"""Payloads on their way into quarantine."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.typing import FilteringBoundLogger

from actors import aside
from actors.aside import Aside
from persistence.disk import RealDisk
from persistence.offload import inline
from persistence.quarantine import Quarantine
from tests.actors.gateway.town import Lines

T = TypeVar("T")


async def test_a_payload_lies_in_quarantine_by_its_digest(tmp_path: Path, log: FilteringBoundLogger, lines: Lines):
    quarantine = Quarantine(RealDisk(), tmp_path)
    await Aside(quarantine, inline, log).put("abc", b"{}")
    (kept,) = quarantine.payloads()
    assert kept.endswith("-abc.json")
    assert (tmp_path / kept).read_bytes() == b"{}"
    assert lines == []


async def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path, log: FilteringBoundLogger, lines: Lines):
    taken = tmp_path / "quarantine"
    taken.write_bytes(b"a file")
    await Aside(Quarantine(RealDisk(), taken), inline, log).put("abc", b"{}")
    [line] = lines.named("quarantine.failed")
    assert line["digest"] == "abc"
    assert "Not a directory" in str(line["error"])


async def test_of_a_storm_so_much_waits_in_memory_and_the_rest_is_said_to_be_gone(
    tmp_path: Path, log: FilteringBoundLogger, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(aside, "WAITING_BYTES", aside.EACH_BYTES + 10)
    quarantine, free = Quarantine(RealDisk(), tmp_path), asyncio.Event()

    async def busy(work: Callable[[], T]) -> T:
        await free.wait()
        return work()

    keeper = Aside(quarantine, busy, log)
    async with asyncio.TaskGroup() as storm:
        for digest in ("a", "b", "c"):
            storm.create_task(keeper.put(digest, b'{"":1}'))
        await asyncio.sleep(0)
        free.set()
    assert [name[-6:] for name in quarantine.payloads()] == ["a.json"]
    assert [line["digest"] for line in lines.named("quarantine.failed")] == ["b", "c"]
    await keeper.put("d", b"{" + b" " * 20 + b"}")
    assert len(quarantine.payloads()) == 2
