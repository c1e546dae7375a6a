"""The report of a drill is read back as it was written, and what is none is none."""

from pathlib import Path

import pytest

from actors.drills import NAME, Drill, keep_drill, last_drill
from persistence.disk import RealDisk


def test_the_newest_report_is_the_one_that_is_told(tmp_path: Path):
    disk = RealDisk()
    assert last_drill(disk, tmp_path) is None
    for number in (1, 2):
        drill = Drill(source="file:///cloud", differences=("guild 1: …",), records=number, at_ms=number)
        keep_drill(disk, tmp_path, drill)
        assert last_drill(disk, tmp_path) == drill


@pytest.mark.parametrize("text", ["", "{", "[]", '{"source": 3}'])
def test_what_is_no_report_is_as_if_there_were_none(tmp_path: Path, text: str):
    (tmp_path / NAME).write_text(text)
    assert last_drill(RealDisk(), tmp_path) is None


def test_what_cannot_be_read_is_as_if_there_were_none(tmp_path: Path):
    (tmp_path / NAME).mkdir()
    assert last_drill(RealDisk(), tmp_path) is None
