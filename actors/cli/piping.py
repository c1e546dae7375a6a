"""What a command prints, to its end: that a reader leaves (``| head``) is no error, that it cannot be written is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from rich.console import Console

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


class Page(Console):
    """What help and version are printed on; raises ``OutputLost`` as ``printing`` does."""

    def print(self, *objects: object, **how: Any) -> None:  # noqa: ANN401 -- the library's many options
        with printing(self.file):
            super().print(*objects, **how)


def _drop(out: BinaryIO | IO[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)
