"""The program of the proof: it ends well where nothing is wrong, else with a command that repeats what was found."""

from pathlib import Path

import pytest

from tests.disk import __main__ as program
from tests.persistence.simdisk import SimHandle


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def test_a_section_goes_on_where_it_stopped(capsys: pytest.CaptureFixture[str]):
    for following in (2, 4):
        assert program.main(["--only", "lags", "--count", "2", "--resume"]) == 0
        assert program.noted() == {"lags": following}
    assert "0 lost" in capsys.readouterr().out


def test_what_is_found_is_told_with_a_command_that_finds_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    section = program.sections()["singles"]

    def with_a_disk_that_never_syncs(bench: program.Bench) -> program.Section:
        made = section(bench)
        monkeypatch.setattr(SimHandle, "sync", lambda _: None)
        return made

    monkeypatch.setattr(program, "sections", lambda: {"singles": with_a_disk_that_never_syncs})
    assert program.main(["--only", "singles"]) == 1
    assert "repeat: python -m tests.disk --only singles --from 0 --count 1" in capsys.readouterr().out
