"""``make bench``: what the bot does in a second and what it takes, beside peers of the same run.

Timings are noisy, so the ratios count: each round measures ours, then the peer, so that a busy machine harms both
alike; the table shows medians. ``--only NAME`` measures the rows whose names begin so.
The bench judges; it never fails a build.
"""

import argparse
import asyncio
import gc
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from actors.memory import calm_collector
from tests.bench import (
    accuracy,
    arriving,
    cloud,
    durable,
    kernel,
    large,
    layers,
    million,
    pace,
    pauses,
    resident,
    solving,
    whole,
)
from tests.bench.figures import Figures, NotHere, Row, Theme, table_of
from tests.bench.ground import Ground

THEMES: Final[tuple[Callable[[Ground], Theme], ...]] = (
    durable.theme,
    layers.theme,
    cloud.theme,
    million.theme,
    kernel.theme,
    resident.theme,
    whole.theme,
    pace.theme,
    pauses.theme,
    large.theme,
    arriving.theme,
    solving.theme,
    accuracy.theme,
)
WIDE: Final = 160
"""Columns where nobody's terminal says how many there are."""


class Bench:
    """One run.

    Args:
        only: how the names of the rows begin that are measured.
        ground: on the disk that is to be measured.
        progress: where it is shown what is being done.
    """

    def __init__(self, only: str, ground: Ground, progress: Progress) -> None:
        self._only = only
        self._ground = ground
        self._progress = progress

    async def run(self) -> list[tuple[str, list[Figures]]]:
        themes = [make(self._ground) for make in THEMES]
        chosen = [(theme, [row for row in theme.rows if self._is_meant(row)]) for theme in themes]
        task = self._progress.add_task("", total=sum(row.rounds for _, rows in chosen for row in rows))
        every: list[tuple[str, list[Figures]]] = []
        for theme, rows in chosen:
            figures = [await self._measure(row, task) for row in rows]
            await theme.close()
            gc.collect()
            if figures:
                every.append((theme.title, figures))
                self._progress.console.print(table_of(theme.title, figures))
                if theme.details is not None:
                    self._progress.console.print(theme.details())
        return every

    def _is_meant(self, row: Row) -> bool:
        return row.name.startswith(self._only) and bool(self._only or not row.alone)

    async def _measure(self, row: Row, task: TaskID) -> Figures:
        ours: list[float] = []
        others: list[float] = []
        self._progress.update(task, description=row.name)
        try:
            for _ in range(row.rounds):
                ours.append(await row.ours())
                if row.peer is not None:
                    others.append(await row.peer())
                self._progress.advance(task)
        except NotHere as error:
            return Figures(row=row, trouble=str(error))
        return Figures(row=row, ours=tuple(ours), peers=tuple(others))


def machine() -> str:
    """Where it was measured."""
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME", help="rows whose names begin so, e.g. join/100")
    return parser.parse_args()


def main() -> int:
    calm_collector()  # as the program does at its start
    only, console = parse().only, Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console.print(machine())
    with tempfile.TemporaryDirectory() as folder, Progress(*columns, console=console, transient=True) as progress:
        ground = Ground(Path(folder))
        every = asyncio.run(Bench(only, ground, progress).run())
        ground.offload.close()
    figures = [each for _, rows in every for each in rows]
    met = sum(each.met is True for each in figures)
    wished = sum(each.row.wanted is not None for each in figures)
    console.print(f"{met} of {wished} wishes met; {machine()}")
    console.print("5,000 guilds on four shards, and their memory beside an empty client's: make stress")
    return 0


if __name__ == "__main__":
    sys.exit(main())
