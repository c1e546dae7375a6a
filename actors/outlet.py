"""Stdout for a process that goes on although nobody reads it: a stopped terminal, a pager, a log driver that hangs.

What the other end does not take yet waits here, up to a limit; beyond that whole lines are dropped.
"""

import select
from collections import deque
from typing import Final, TextIO

WAITING_CHARACTERS: Final = 1_000_000
PIECE_CHARACTERS: Final = 1_024
"""At most 4,096 bytes in UTF-8: so many fit into a pipe that takes any."""


class Outlet:
    """Writes to a stream with a descriptor of its own, and never waits for whoever reads it. One thread uses it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pieces: deque[str] = deque()
        self._waiting = 0

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, line: str, /) -> int:
        """Takes a whole line, or drops it."""
        if self._waiting + len(line) <= WAITING_CHARACTERS:
            self._pieces.extend(line[at : at + PIECE_CHARACTERS] for at in range(0, len(line), PIECE_CHARACTERS))
            self._waiting += len(line)
        return len(line)

    def flush(self) -> None:
        """Hands on what is taken now.

        Raises:
            OSError: when the other end is gone; what waited is dropped.
        """
        try:
            while self._pieces and self._is_taken():
                self._stream.write(self._pieces[0])
                self._stream.flush()
                self._waiting -= len(self._pieces.popleft())
        except OSError:
            self._pieces.clear()
            self._waiting = 0
            raise

    def _is_taken(self) -> bool:
        _, ready, _ = select.select((), (self._stream,), (), 0)
        return bool(ready)
