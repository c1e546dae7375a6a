"""What a history holds, as lines for a person."""

from typing import TextIO

from actors.cli.times import shown
from actors.gateway.wording import count
from persistence.copying import Contents, Copied


class Say:
    """Writes lines that name the command they are of."""

    def __init__(self, name: str, out: TextIO) -> None:
        self._name = name
        self._out = out

    def __call__(self, *lines: str) -> None:
        self._out.writelines(f"{self._name}: {line}\n" for line in lines)


def said_of(copied: Copied, *, cut: bool = False) -> tuple[str, str]:
    """How much there is, and what tells it from any other history; where a ``cut`` one ends is said elsewhere."""
    held = sum_of(copied.contents, tell_end=not cut)
    return (
        f"{held}; {count(copied.checkpoints, 'checkpoint')}",
        f"lineage {copied.lineage}, epoch {copied.epoch}, digest {copied.contents.digest}",
    )


def sum_of(contents: Contents, *, tell_end: bool = True) -> str:
    """``1,234 records of 3 guilds, up to 2026-11-28 18:00:05 UTC``."""
    until = f", up to {shown(contents.newest_ms)}" if contents.records and tell_end else ""
    return f"{count(contents.records, 'record')} of {count(contents.guilds, 'guild')}{until}"
