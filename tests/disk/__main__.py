"""The proof L2: every operation of a disk with everything that can happen to it, and every state that a cut leaves.

    python -m tests.disk [--budget SECONDS] [--resume] [--from N] [--count N] [--only SECTION]

Sections take turns until the budget is spent or all is done; with ``--resume`` each goes on where it stopped the last
time (``.prove/disk``), and behind its last job with the first. Ends with 1, and a command that repeats it, at the
first thing that is not as it should be.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from ledger.errors import LedgerError
from tests.disk.sections import Bench, Section, sections
from tests.progress import Bars

BUDGET_S: Final = 120.0
TURN_S: Final = 1.0
NOTES: Final = Path(".prove/disk")


class Failed(Exception):
    """A job of a section did not end as it should."""

    def __init__(self, section: str, number: int, why: BaseException) -> None:
        super().__init__(f"{why}; {'; '.join(getattr(why, '__notes__', []))}")
        self.command = f"python -m tests.disk --only {section} --from {number} --count 1"


class Run:
    """Sections in turns. ``next``: of each, the number of the job that comes next; ``first``: that it began with."""

    def __init__(self, parts: Mapping[str, Section], first: Mapping[str, int], progress: Bars) -> None:
        self.parts = parts
        self.first = {name: first.get(name, 0) % (part.jobs or sys.maxsize) for name, part in parts.items()}
        self.next = dict(self.first)
        self._progress = progress
        self._tasks: dict[str, TaskID] = {
            name: progress.add_task(f"{name:13}", total=part.jobs) for name, part in parts.items()
        }

    def until(self, end_s: float, most: int | None) -> None:
        """Takes turns until the time is over, or all is done, or each section has made ``most`` jobs."""
        while time.monotonic() < end_s and (left := [name for name in self.parts if not self._is_over(name, most)]):
            for name in left:
                turn_s = TURN_S * self.parts[name].weight
                self._turn(name, min(time.monotonic() + turn_s, end_s), most)

    def _turn(self, name: str, end_s: float, most: int | None) -> None:
        while not self._is_over(name, most):
            jobs, number = self.parts[name].jobs, self.next[name]
            number = number if jobs is None else number % jobs
            try:
                self.parts[name].job(number)
            except (AssertionError, LedgerError) as error:
                raise Failed(name, number, error) from error
            self.next[name] += 1
            self._progress.update(self._tasks[name], completed=self.next[name] - self.first[name])
            if time.monotonic() >= end_s:
                return

    def _is_over(self, name: str, most: int | None) -> bool:
        jobs = self.parts[name].jobs
        done = self.next[name] - self.first[name]
        return (jobs is not None and done >= jobs) or (most is not None and done >= most)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    console = Console()
    known = sections()
    if "cuts" not in known:
        console.print("skipped: SQLite, which this Python carries within itself: there is no library to watch")
    names = [options.only] if options.only else list(known)
    first = dict.fromkeys(names, options.first) | (noted() if options.resume else {})
    end_s = time.monotonic() + options.budget
    with tempfile.TemporaryDirectory() as folder, Bars(console=console) as progress:
        bench = Bench(Path(folder))
        run = Run({name: known[name](bench) for name in names}, first, progress)
        try:
            run.until(end_s, options.count)
        except Failed as failed:
            console.print(f"[red]FAILED[/red] {failed}\nrepeat: {failed.command}", soft_wrap=True)
            return 1
        finally:
            note(noted() | run.next if options.resume else {})
    console.print(table_of(run, bench))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.disk", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for all of it")
    parser.add_argument("--resume", action="store_true", help="go on where it stopped the last time")
    parser.add_argument("--only", choices=sorted(sections()), help="one section")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the job to begin with")
    parser.add_argument("--count", type=int, default=None, help="so many jobs of each section")
    return parser.parse_args(arguments)


def table_of(run: Run, bench: Bench) -> Table:
    tally, workshop = bench.tally, bench.workshop
    states = tally.states + workshop.states
    table = Table("section", "what", title=f"{states:,} states behind a cut were judged, 0 lost")
    for heading in ("done now", "next", "of"):
        table.add_column(heading, justify="right")
    for name, part in run.parts.items():
        jobs = "no end" if part.jobs is None else f"{part.jobs:,}"
        table.add_row(name, part.what, f"{run.next[name] - run.first[name]:,}", f"{run.next[name]:,}", jobs)
    table.caption = "; ".join(coverage(bench))
    return table


def coverage(bench: Bench) -> Iterator[str]:
    """How many operations the workloads have, and how many pairs of an operation and a fault were hit now."""
    yield f"log: {bench.sweep.known():,} operations, {len(bench.tally.pairs):,} (operation, fault) hit"
    yield f"SQLite: {bench.workshop.known():,} operations, {len(bench.workshop.pairs):,} hit"


def noted() -> dict[str, int]:
    """Where each section stopped the last time."""
    return msgspec.json.decode(NOTES.read_bytes(), type=dict[str, int]) if NOTES.exists() else {}


def note(following: Mapping[str, int]) -> None:
    if following:
        NOTES.parent.mkdir(exist_ok=True)
        NOTES.write_bytes(msgspec.json.encode(following))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
