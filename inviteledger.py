"""The console's entry. Reading the program takes a second; Ctrl-C or SIGTERM ends it then in silence, with 130."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Reads the program and runs it; from then on Ctrl-C is its own business. So is SIGTERM, or the end of the
    terminal: a command takes away what is unfinished.
    """
    # What nohup has said to ignore stays so.
    others = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in (signal.SIGINT, *others):
        signal.signal(number, _leave)  # the first process of a container hears none that nobody handles
    run = _read_program()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in others:
        signal.signal(number, _as_ctrl_c)
    run()


def _read_program() -> Callable[[], None]:
    """What Ctrl-C must not catch in the middle; for Docker, which asks every 30 s, only as much as it takes."""
    if sys.argv[1:] == ["healthcheck"]:
        from actors.cli.healthcheck import main  # noqa: PLC0415
    else:
        from supervisor import main  # noqa: PLC0415
    return main


def _leave(_number: int, _frame: FrameType | None) -> None:
    """At once: an exception would be told of, or swallowed, by whatever import it hits."""
    os._exit(INTERRUPTED)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
