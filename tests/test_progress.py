"""Progress where nobody sits at a terminal: a line about every 30 s."""

import io

import pytest
from rich.console import Console

from tests.progress import EVERY_S, Bars


class Watch:
    """A clock that is set by hand, seconds."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def work(console: Console, watch: Watch) -> None:
    """Two kinds of work for 90 s, a piece of each every second."""
    with Bars(console=console, transient=True, now_s=watch) as bars:
        one, other = bars.add_task("cuts [log]", total=90), bars.add_task("", total=None)
        for second in range(90):
            watch.now_s = second + 1.0
            bars.update(one, advance=1)
            bars.update(other, advance=2)


def test_a_line_is_said_about_every_thirty_seconds():
    told = io.StringIO()
    work(Console(file=told, width=200), Watch())
    assert told.getvalue().split("\n")[:2] == ["30 s: 30 of 90 (cuts [log]); 58", "60 s: 60 of 90 (cuts [log]); 118"]


def test_a_terminal_is_shown_the_bar_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    told = io.StringIO()
    watch = Watch()
    work(Console(file=told, width=200, force_terminal=True), watch)
    assert watch.now_s > EVERY_S
    assert " s: " not in told.getvalue()
