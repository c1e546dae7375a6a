"""The console's entry. Reading the program takes a second; Ctrl-C ends it then in silence, with 130."""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Reads the program and runs it; from then on Ctrl-C is its own business."""
    signal.signal(signal.SIGINT, _leave)
    from supervisor import main as run  # noqa: PLC0415 -- what Ctrl-C must not catch in the middle

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """At once: an exception would be told of, or swallowed, by whatever import it hits."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
