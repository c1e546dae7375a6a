"""``make planted``: every planted bug, by which layer it is caught, as breaking which invariant, after how many runs.

    python -m tests.planted [--budget SECONDS] [--resume] [--from N] [--only NAME]

Ends with 1 when a bug was looked for to the end and not caught, or caught by an invariant that it should not break.
What the budget did not reach is named; with ``--resume`` the next call begins there (``.prove/planted``).
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.planted.bug import Bug
from tests.planted.hunts import HUNTS
from tests.planted.registry import ALL, BY_NAME
from tests.planted.search import Result, Verdict, search, untried
from tests.progress import Bars

BUDGET_S: Final = 600.0
NOTES: Final = Path(".prove/planted")
BAD: Final = frozenset({Verdict.MISSED, Verdict.OTHERWISE})
LEFT: Final = frozenset({Verdict.UNTRIED, Verdict.UNFINISHED})


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for all of it")
    parser.add_argument("--resume", action="store_true", help="begin with what was not reached the last time")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the bug to begin with, by its number")
    parser.add_argument("--only", default="", help="bugs whose names begin so")
    options = parser.parse_args(arguments)
    bugs = [bug for bug in ALL if bug.name.startswith(options.only)]
    console = Console()
    first = (noted() if options.resume else None) or [bug.name for bug in bugs[options.first % max(1, len(bugs)) :]]
    results = searched(in_order(bugs, first), options.budget, console)
    console.print(table_of(bugs, results))
    if options.resume:
        note([each.bug for each in results if each.verdict in LEFT])
    return told(results, console)


def in_order(bugs: Sequence[Bug], first: Sequence[str]) -> list[Bug]:
    """Those of these names first."""
    return sorted(bugs, key=lambda bug: bug.name not in first)


def searched(bugs: Sequence[Bug], budget_s: float, console: Console) -> list[Result]:
    """All results, made by as many processes as there are cores; each bug has a fresh one."""
    end_s = time.time() + budget_s
    results: list[Result] = []
    with multiprocessing.get_context("fork").Pool(maxtasksperchild=1) as pool, Bars(console=console) as progress:
        task = progress.add_task("", total=len(bugs))
        for result in pool.imap_unordered(partial(search_until, end_s), [bug.name for bug in bugs]):
            progress.update(task, advance=1, description=f"{result.bug}: {result.verdict}")
            results.append(result)
    return results


def search_until(end_s: float, name: str) -> Result:
    """In a process of its own."""
    left_s = end_s - time.time()
    if left_s <= 0:
        return untried(name)
    return search(BY_NAME[name], left_s)


def table_of(bugs: Sequence[Bug], results: Sequence[Result]) -> Table:
    table = Table(title="planted bugs")
    for heading in ("bug", "list", "caught by", "breaks"):
        table.add_column(heading, overflow="fold")
    for heading in ("runs", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    by_name = {result.bug: result for result in results}
    for bug in bugs:
        result = by_name[bug.name]
        found = result.find
        by = f"{HUNTS[found.hunt].layer} {found.hunt}" if found is not None else str(result.verdict)
        broken = found.invariant if found is not None else ""
        style = "red" if result.verdict in BAD else None
        table.add_row(bug.name, bug.origin, by, broken, f"{result.runs:,}", f"{result.took_s:.1f}", style=style)
    return table


def told(results: Sequence[Result], console: Console) -> int:
    """Says what is not as it should be; the exit code."""
    bad = [each for each in results if each.verdict in BAD]
    for line in complaints(bad):
        console.print(line, highlight=False, soft_wrap=True)
    if left := [each.bug for each in results if each.verdict in LEFT]:
        console.print(f"not tried to the end within the budget: {', '.join(left)}", soft_wrap=True)
    return 1 if bad else 0


def complaints(bad: Sequence[Result]) -> Iterator[str]:
    for each in bad:
        why = f": {each.find.why}" if each.find is not None else ""
        yield f"{each.bug}: {each.verdict}{why}\n    repeat: python -m tests.planted --only {each.bug}"


def noted() -> Sequence[str]:
    return NOTES.read_text(encoding="utf-8").splitlines() if NOTES.exists() else ()


def note(names: Sequence[str]) -> None:
    NOTES.parent.mkdir(exist_ok=True)
    NOTES.write_text("\n".join(names), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
