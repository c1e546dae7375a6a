"""``make simulate SEEDS=N``: the corpus, then N seeds from a given one on, on all cores; or one seed, twice.

    python -m tests.simulation [--seeds N] [--from S] [--budget SECONDS] [--resume]
    python -m tests.simulation --seed S [--dials JSON]

A seed that breaks an invariant is shrunk, kept in the corpus and printed as a command. Ends with 1 when one did, or
when enough seeds did not reach every rare state. ``--resume`` goes on where the last call stopped,
with the rare states that the calls before it have seen (``.prove/simulation.json``).
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from tests.progress import Bars
from tests.simulation import corpus
from tests.simulation.dials import Dials, draw
from tests.simulation.kill_points import KillPoint, coverage
from tests.simulation.rare import RARE, unreached
from tests.simulation.run import Outcome, run
from tests.simulation.shrink import differences, shrunk

NOTES: Final = Path(".prove/simulation.json")
ENOUGH: Final = 2_000
"""So many seeds reach every rare state."""
USUAL: Final = 1_000
RUNS_A_PROCESS: Final = 100
"""What is left of tasks that were abandoned with a loop is never freed: a megabyte a run, and slower every hour."""
BROKEN: Final = 10
"""After so many failures no other run is begun."""
SHRUNK: Final = 3
"""So many of them are shrunk; the others are only named."""


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """Where resumed calls go on; and how many runs saw what since every rare state had been reached."""

    following: int
    runs: int = 0
    seen: Mapping[str, int] = {}

    def lacking(self) -> list[str]:
        """The rare states that so many runs should have reached."""
        return unreached(Counter(self.seen)) if self.runs >= ENOUGH else []

    def kept(self) -> "Notes":
        """What the next call begins with: where all were reached, they have to be reached again."""
        return Notes(following=self.following) if self.runs >= ENOUGH and not self.lacking() else self


class Summary:
    """What all runs so far came to."""

    def __init__(self) -> None:
        self.runs = self.handled = self.steps = 0
        self.cpu_s = self.virtual_s = 0.0
        self.seen: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.kill_points: set[KillPoint] = set()
        self.broken: list[Outcome] = []

    def take(self, outcome: Outcome, cpu_s: float) -> None:
        self.runs += 1
        self.handled += outcome.handled
        self.steps += outcome.steps
        self.cpu_s += cpu_s
        self.virtual_s += outcome.virtual_s
        self.seen += outcome.seen
        self.injected += outcome.injected
        self.kill_points |= outcome.kill_points
        if outcome.broken:
            self.broken.append(outcome)

    def rate(self) -> float:
        """Handled messages a second of one core."""
        return self.handled / max(self.cpu_s, 1e-9)


def timed(dials: Dials) -> tuple[Outcome, float]:
    """A run, and its seconds of this core.

    Raises:
        RuntimeError: when it was the harness that broke. Anything but an ``Exception`` would end the pool's process,
            and whoever waits for the run would wait for ever.
    """
    began_s = time.process_time()
    try:
        outcome = run(dials)
    except BaseException as error:
        raise RuntimeError(f"the harness broke in SEED={dials.seed}: {error!r}") from error
    return outcome, time.process_time() - began_s


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, help="how many at most; else a thousand, or what the budget allows")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds, about")
    parser.add_argument("--resume", action="store_true", help="go on where the last call stopped")
    parser.add_argument("--seed", type=int, help="only this one, twice")
    parser.add_argument("--dials", default="", help="what of the seed's dials is turned down, as JSON")
    options = parser.parse_args(arguments)
    console = Console()
    if options.seed is not None:
        return play_one(turned(draw(options.seed), options.dials), console)
    notes = (noted() if options.resume else None) or Notes(following=options.first)
    first = notes.following
    seeds = options.seeds or (USUAL if options.budget == float("inf") else sys.maxsize)
    summary = play(first, seeds, time.monotonic() + options.budget, console)
    report(summary, console)
    notes = Notes(
        following=first + max(0, summary.runs - len(corpus.kept())),
        runs=notes.runs + summary.runs,
        seen=Counter(notes.seen) + summary.seen,
    )
    console.print(f"from {first}, next: {notes.following}")
    if options.resume:
        note(notes.kept())
    return explain(summary, notes.lacking(), console)


def noted() -> Notes | None:
    return msgspec.json.decode(NOTES.read_bytes(), type=Notes) if NOTES.exists() else None


def note(notes: Notes) -> None:
    NOTES.parent.mkdir(exist_ok=True)
    NOTES.write_bytes(msgspec.json.encode(notes))


def turned(dials: Dials, changes: str) -> Dials:
    """The dials with those of a JSON object in their place."""
    if not changes:
        return dials
    whole = {**msgspec.to_builtins(dials), **msgspec.json.decode(changes, type=dict[str, object])}
    return msgspec.convert(whole, Dials)


def play(first: int, seeds: int, end_s: float, console: Console) -> Summary:
    """The corpus and the seeds, on all cores, until the time is over."""
    summary = Summary()
    wanted = all_dials(first, seeds)
    cores = os.cpu_count() or 1
    pool = multiprocessing.get_context("fork").Pool(cores, settle, maxtasksperchild=RUNS_A_PROCESS)
    with pool, Bars(console=console) as progress:
        total = None if seeds == sys.maxsize else seeds + len(corpus.kept())
        task = progress.add_task("", total=total)
        begun: deque[AsyncResult[tuple[Outcome, float]]] = deque()
        while True:
            goes_on = time.monotonic() < end_s and len(summary.broken) < BROKEN
            for dials in islice(wanted, cores + 1 - len(begun) if goes_on else 0):
                begun.append(pool.apply_async(timed, (dials,)))
            if not begun:
                return summary
            outcome, cpu_s = begun.popleft().get()
            summary.take(outcome, cpu_s)
            if outcome.broken:  # at once: a run that is ended early has told it
                progress.console.print(f"{outcome.why}; again: {command(outcome.dials)}", highlight=False)
            said = f"{summary.handled} messages, {summary.rate():.0f}/s a core, {len(summary.broken)} broken"
            progress.update(task, advance=1, description=said)


def settle() -> None:
    """In each process: the collector does not look at modules again and again; a tenth of all time went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


def all_dials(first: int, seeds: int) -> Iterator[Dials]:
    yield from (entry.dials for entry in corpus.kept())
    yield from islice((draw(seed) for seed in count(first)), seeds)


def play_one(dials: Dials, console: Console) -> int:
    outcome, again = run(dials), run(dials)
    console.print(dials)
    console.print(f"{outcome.handled} messages, {outcome.steps} steps, trace {outcome.trace:08x} {again.trace:08x}")
    console.print((outcome.broken and outcome.why) or "nothing is broken")
    return int(bool(outcome.broken) or outcome.trace != again.trace)


def report(summary: Summary, console: Console) -> None:
    console.print(
        f"{summary.runs} runs, {summary.virtual_s / 3600:.1f} hours of virtual time, {summary.steps} steps, "
        f"{summary.handled} messages handled, {summary.rate():.0f} a second of a core"
    )
    table = Table("rare state", "times", "fault", "times ", title="reached, injected")
    rows = max(len(RARE), len(summary.injected))
    faults = [*sorted(summary.injected.items()), *[("", 0)] * rows]
    for place in range(rows):
        state = RARE[place] if place < len(RARE) else ""
        name, times = faults[place]
        table.add_row(state, str(summary.seen[state]) if state else "", name, str(times) if name else "")
    console.print(table)
    killed, there = coverage(summary.kill_points)
    console.print(f"killed at {killed} of the {there} lines at which the kernel waits (tests/kills/points.py)")


def explain(summary: Summary, lacking: Sequence[str], console: Console) -> int:
    """Shrinks what broke, keeps it, and says how to repeat it; and which rare states are lacking."""
    for outcome in summary.broken[:SHRUNK]:
        with console.status(f"shrinks SEED={outcome.dials.seed}"):
            small = shrunk(outcome.dials, lambda dials, name=outcome.broken: run(dials).broken == name)
        again = run(small)
        path = corpus.keep(corpus.Kept(broken=again.broken, why=again.why, dials=small))
        console.print(f"[red]{outcome.why}[/]", highlight=False)
        console.print(f"kept as {path.name}; again: {command(small)}", highlight=False, soft_wrap=True)
    for outcome in summary.broken[SHRUNK:]:
        console.print(f"{outcome.why}; again: {command(outcome.dials)}", highlight=False, soft_wrap=True)
    if lacking:
        console.print(f"[red]never reached: {', '.join(lacking)}[/]")
    return int(bool(summary.broken) or bool(lacking))


def command(dials: Dials) -> str:
    """Repeats a run."""
    changes = differences(dials, draw(dials.seed))
    if not changes:
        return f"make simulate SEED={dials.seed}"
    return f"make simulate SEED={dials.seed} DIALS='{msgspec.json.encode(changes).decode()}'"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
