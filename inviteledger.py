"""The console's entry. Reading the program takes a second; Ctrl-C or SIGTERM ends it then in silence, with 130."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic  # noqa: TID251 -- the program, which has a clock, may not have been read
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
HELD_DOWN_S = 1.0
"""Signals that follow one another sooner are one."""


def main() -> None:
    """Reads the program and runs it; from then on Ctrl-C is its own business. So is SIGTERM, or the end of the
    terminal: a command takes away what is unfinished.
    """
    # What nohup has said to ignore stays so.
    others = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in (signal.SIGINT, *others):
        signal.signal(number, _leave)  # the first process of a container hears none that nobody handles
    run = _read_program()
    signal.signal(signal.SIGINT, _interrupt)
    for number in others:
        signal.signal(number, _as_ctrl_c)
    try:
        run()
    except SystemExit as ended:  # by this each command ends
        _end(ended.code)


def _read_program() -> Callable[[], None]:
    """What Ctrl-C must not catch in the middle; for Docker, which asks every 30 s, only as much as it takes."""
    if sys.argv[1:] == ["healthcheck"]:
        from actors.cli.healthcheck import main  # noqa: PLC0415
    else:
        from supervisor import main  # noqa: PLC0415
    return main


def _end(code: object) -> NoReturn:
    """At once: a thread of obstore's that is still about would abort the process while Python is taken down."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None where it was closed before the start
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _leave(_number: int, _frame: FrameType | None) -> None:
    """At once: an exception would be told of, or swallowed, by whatever import it hits."""
    os._exit(INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Wherever the program is. While that is cleaned up, a key that is held down is not heard; who presses it anew
    does not want to wait: a disk may hang.
    """
    heard_s = monotonic()

    def again(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard_s
        before_s, heard_s = heard_s, monotonic()
        if heard_s - before_s >= HELD_DOWN_S:
            os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, again)
    for number in (signal.SIGTERM, signal.SIGHUP):  # whoever sends these can send SIGKILL
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
