"""What a command prints, to its end: that a reader leaves (``| head``) is no error, that it cannot be written is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from ledger.errors import LedgerError


class OutputLost(LedgerError):
    """What was to be printed could not be written."""

    hint = "free space where the output goes, or send it elsewhere"


@contextmanager
def printing(out: BinaryIO | IO[str]) -> Iterator[None]:
    """Flushes at the end; after an error the rest, and what is flushed at exit, goes nowhere.

    Raises:
        OutputLost: when it cannot be written, though its reader is there.
    """
    try:
        yield
        out.flush()
    except BrokenPipeError:
        _drop(out)
    except OSError as error:
        _drop(out)
        raise OutputLost(f"the output could not be written ({error.strerror})") from error


def _drop(out: BinaryIO | IO[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)
