"""Stdout for a process that goes on although nobody reads it: a stopped terminal, a pager, a log driver that hangs.

A thread writes; what it has not written yet waits in memory, up to a limit. Beyond that whole lines are dropped until
half of it is written, and then it is told how many.
"""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, TextIO

WAITING_CHARACTERS: Final = 1_000_000
BATCH_LINES: Final = 100
LAST_WORDS_S: Final = 3.0
"""So long the end of the process waits for whoever reads slowly."""


class Outlet:
    """Takes lines from any thread, and never waits for whoever reads them.

    ``missed``: called with how many lines were dropped, before the first one that is taken again; it may write.
    """

    def __init__(self, stream: TextIO) -> None:
        """``stream`` is this one's from now on."""
        self._stream = stream
        self._lines: SimpleQueue[str | threading.Event] = SimpleQueue()
        self.missed: Callable[[int], object] = lambda _: None
        self._waiting = self._dropped = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._hand_on, name="stdout", daemon=True).start()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, line: str, /) -> int:
        """Takes a whole line, or drops it."""
        with self._lock:
            limit = WAITING_CHARACTERS // 2 if self._dropped else WAITING_CHARACTERS
            if self._waiting and self._waiting + len(line) > limit:
                self._dropped += 1
                return len(line)
            self._waiting += len(line)
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self.missed(dropped)
        self._lines.put(line)
        return len(line)

    def flush(self) -> None:
        """Each line is flushed when it is written."""

    def finish(self, within_s: float = LAST_WORDS_S) -> bool:
        """Waits until all that was taken is written, so long at most; whether it is."""
        written = threading.Event()
        self._lines.put(written)
        return written.wait(within_s)

    def _hand_on(self) -> None:
        """Of a burst many lines are written at once: another thread's turn costs more than they do."""
        while True:
            batch = [self._lines.get()]
            while len(batch) < BATCH_LINES and not self._lines.empty():
                batch.append(self._lines.get())
            text = "".join(each for each in batch if isinstance(each, str))
            with suppress(OSError, ValueError):  # closed, broken or full: nobody is left to tell
                self._stream.write(self._in_words(text))
                self._stream.flush()
            with self._lock:
                self._waiting -= len(text)
            for each in batch:
                if isinstance(each, threading.Event):
                    each.set()

    def _in_words(self, text: str) -> str:
        """Escaped as JSON does it, where the stream's encoding has no sign for something."""
        try:
            text.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            return "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in text)
        return text
