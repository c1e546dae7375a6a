"""Payloads on their way into quarantine."""

from pathlib import Path

from structlog.typing import FilteringBoundLogger

from actors.aside import put_aside
from persistence.disk import RealDisk
from persistence.offload import inline
from persistence.quarantine import Quarantine
from tests.actors.gateway.town import Lines


async def test_a_payload_lies_in_quarantine_by_its_digest(tmp_path: Path, log: FilteringBoundLogger, lines: Lines):
    quarantine = Quarantine(RealDisk(), tmp_path)
    await put_aside(quarantine, inline, "abc", b"{}", log)
    (kept,) = quarantine.payloads()
    assert kept.endswith("-abc.json")
    assert (tmp_path / kept).read_bytes() == b"{}"
    assert lines == []


async def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path, log: FilteringBoundLogger, lines: Lines):
    taken = tmp_path / "quarantine"
    taken.write_bytes(b"a file")
    await put_aside(Quarantine(RealDisk(), taken), inline, "abc", b"{}", log)
    [line] = lines.named("quarantine.failed")
    assert line["digest"] == "abc"
    assert "Not a directory" in str(line["error"])
