"""``make prove`` in a CI: everything is shown as it is said, and the end of what failed once more."""

import io
import os
import signal
import sys
import threading

import pytest
from rich.console import Console

from tests.prove import PROOFS, TAIL_LINES, Result, listen, tell

COUNTS = (
    "import sys\nfor n in range(100): print(f'[line] {n}', flush=True)\nprint('why', file=sys.stderr)\nsys.exit(3)"
)


def test_all_is_shown_and_the_last_lines_are_kept(capsys: pytest.CaptureFixture[str]):
    code, tail = listen([sys.executable, "-c", COUNTS])
    assert code == 3
    assert len(tail) == TAIL_LINES
    assert tail[-2:] == ("[line] 99", "why")
    assert len(capsys.readouterr().out.splitlines()) == 101


def test_what_a_proof_leaves_behind_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    """It holds the output open."""
    monkeypatch.setattr("tests.prove.ORPHANS_S", 0.1)
    orphan = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    code, tail = listen([sys.executable, "-c", orphan])
    listener = next(thread for thread in threading.enumerate() if thread.name == "listener")
    os.kill(int(tail[0]), signal.SIGKILL)
    listener.join()
    assert code == 0


def test_the_end_of_what_failed_stands_behind_the_table():
    told = io.StringIO()
    results = [
        Result(PROOFS[0], 0, 1.0, ("all is well",)),
        Result(PROOFS[1], 1, 1.0, ("FAULT [of a seed]", "python -m tests.simulation --seed 7")),
    ]
    tell(results, Console(file=told, width=100))
    lines = told.getvalue().splitlines()
    assert lines[-2:] == ["FAULT [of a seed]", "python -m tests.simulation --seed 7"]
    assert "all is well" not in told.getvalue()
    assert "see below" in told.getvalue()
