"""A command that takes long shows a bar to whoever sits at a terminal; nothing of it goes into a pipe."""

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec
import pytest

from actors.cli.backup import back_up
from actors.cli.drill import drill
from actors.cli.progress import progress
from actors.cli.replay import Question, replay
from actors.cli.restore import Wish, restore_backup
from actors.cli.tools import Tools
from actors.cli.verify import verify_layers
from persistence.disk import RealDisk
from persistence.histories import FolderHistory
from tests.actors.test_cli_backup import played
from tests.actors.test_logs import Terminal
from tests.actors.written import Around, write_history


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One that can move its cursor, whatever the tests themselves run in."""
    for name in ("TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def tools(err: TextIO) -> Tools:
    return msgspec.structs.replace(Around().all, err=err)


def backed_up(folder: Path, err: TextIO) -> int:
    return back_up(tools(err), folder / "data", folder / "data" / "ledger.db", folder / "kept")


def restored(folder: Path, err: TextIO) -> int:
    backed_up(folder, io.StringIO())
    return asyncio.run(restore_backup(tools(err), folder / "kept", Wish(to=folder / "new", until_ms=None)))


def replayed(folder: Path, err: TextIO) -> int:
    question = Question(guild=None, until_ms=None)
    return replay(tools(err), folder / "data", folder / "data" / "ledger.db", question, json=True)


def verified(folder: Path, err: TextIO) -> int:
    return verify_layers(folder / "data", folder / "data" / "ledger.db", io.StringIO(), err)


def drilled(folder: Path, err: TextIO) -> int:
    backed_up(folder, io.StringIO())
    history = FolderHistory(RealDisk(), folder / "kept", None)
    return asyncio.run(drill(tools(err), folder / "data", folder / "data" / "ledger.db", history, "kept"))


BARS: dict[Callable[[Path, TextIO], int], tuple[str, ...]] = {
    backed_up: ("copying", "reading back"),
    restored: ("copying", "reading back"),
    replayed: ("replaying",),
    verified: ("reading the log",),
    drilled: ("copying", "reading back", "reading the log", "reading what came back", "comparing"),
}


@pytest.mark.parametrize("command", BARS)
def test_what_takes_long_shows_its_bars_on_a_terminal(
    tmp_path: Path, terminal: Terminal, command: Callable[[Path, TextIO], int]
):
    write_history(tmp_path / "data", played(1))
    assert command(tmp_path, terminal) == 0
    assert [bar for bar in BARS[command] if bar not in terminal.getvalue()] == []


@pytest.mark.parametrize("command", BARS)
def test_nothing_of_a_bar_goes_into_a_pipe(tmp_path: Path, command: Callable[[Path, TextIO], int]):
    write_history(tmp_path / "data", played(1))
    end, begin = os.pipe()
    with os.fdopen(end) as reader:
        with os.fdopen(begin, "w") as pipe:
            assert command(tmp_path, pipe) == 0
        assert reader.read() == ""


def test_a_bar_says_how_much_is_done_and_is_gone_in_the_end(terminal: Terminal):
    with progress(terminal, "copying") as advance:
        advance(250, 1_000)
    shown = terminal.getvalue()
    assert "25%" in shown
    assert shown.endswith("\x1b[2K"), "the line is cleared"
