"""A bar on a terminal for what takes long, nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.progress import Progress

PROGRESS_EVERY: Final = 1_000
"""Records between two looks at the bar."""


@contextmanager
def progress(err: TextIO, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what is told how much of how much is done."""
    if not err.isatty():
        yield lambda _done, _of: None
        return
    with Progress(console=Console(file=err), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
