"""Output into a pipe whose reader may leave before the end (``| head``): that is no error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO


@contextmanager
def reader_may_leave(out: BinaryIO | TextIO) -> Iterator[None]:
    """Flushes at the end; once the reader has left, the rest, and what is flushed at exit, goes nowhere."""
    try:
        yield
        out.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
