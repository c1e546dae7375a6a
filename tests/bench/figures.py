"""What a row of the bench is, and the table that a person reads. Nothing is measured here."""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Final, TypeAlias

import msgspec
from rich.table import Table

Measure: TypeAlias = Callable[[], Awaitable[float]]
"""Measures once; what it gives is in the row's unit."""

ROUNDS: Final = 3


async def nothing() -> None:
    """Closes nothing."""


class NotHere(Exception):
    """Cannot be measured on this machine; the text says why."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    ``peer``, described by ``beside``, gives the same kind of figure by other means, in the same run. ``wanted`` is
    wanted of the ratio to it (ours / peer), of the figure itself where there is no peer or ``absolute`` says so, and
    of nothing where it is None. ``at_most``: less is better. ``alone``: only when it is asked
    for.
    """

    name: str
    what: str
    unit: str
    ours: Measure
    peer: Measure | None = None
    beside: str = ""
    wanted: float | None = None
    absolute: bool = False
    at_most: bool = False
    alone: bool = False
    rounds: int = ROUNDS


class Theme(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that belong together; ``close`` lets go of what they shared; ``details``: a table of their own besides."""

    title: str
    rows: tuple[Row, ...]
    details: Callable[[], Table] | None = None
    close: Callable[[], Awaitable[None]] = nothing


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a row: a figure a round, and the peer's of the same round. ``trouble``: why there is none."""

    row: Row
    ours: tuple[float, ...] = ()
    peers: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios: both of a round met the same machine."""
        return median(ours / peer for ours, peer in zip(self.ours, self.peers, strict=True)) if self.peers else None

    @property
    def judged(self) -> float:
        """What the wish is about."""
        ratio = None if self.row.absolute else self.ratio
        return median(self.ours) if ratio is None else ratio

    @property
    def met(self) -> bool | None:
        """Whether the wish is met; None where there is none, or nothing was measured."""
        if self.row.wanted is None or self.trouble:
            return None
        return self.judged <= self.row.wanted if self.row.at_most else self.judged >= self.row.wanted


def table_of(title: str, every: Sequence[Figures]) -> Table:
    """The figures of a theme."""
    table = Table(title=title, title_justify="left", title_style="bold", expand=True)
    table.add_column("row", no_wrap=True)
    table.add_column("what", ratio=1)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("beside it", ratio=1)
    for name in ("its figure", "ratio", "wanted", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for each in every:
        table.add_row(*_cells(each))
    return table


def _cells(each: Figures) -> tuple[str, ...]:
    row = each.row
    if each.trouble:
        return row.name, row.what, "-", row.beside, "-", "-", _wish(row), f"[yellow]{each.trouble}[/yellow]"
    ratio = "" if each.ratio is None else f"{each.ratio:,.2f} ×"
    peer = _figure(median(each.peers), row.unit) if each.peers else ""
    return (
        row.name,
        row.what,
        _figure(median(each.ours), row.unit),
        row.beside,
        peer,
        ratio,
        _wish(row),
        _verdict(each),
    )


def _wish(row: Row) -> str:
    if row.wanted is None:
        return ""
    is_ratio = row.peer is not None and not row.absolute
    return f"{'≤' if row.at_most else '≥'} {row.wanted:,g}{' ×' if is_ratio else ''}"


def _verdict(each: Figures) -> str:
    row = each.row
    if each.met is None or row.wanted is None:
        return ""
    if each.met:
        return "[green]met[/green]"
    share = row.wanted / each.judged if row.at_most else each.judged / row.wanted
    return f"[red]missed: {share:.0%}[/red]"


def _figure(value: float, unit: str) -> str:
    return f"{value:,.{0 if value >= 100 else 2}f} {unit}"
