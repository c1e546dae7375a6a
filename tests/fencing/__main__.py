"""``make fencing SCHEDULES=10000``: the cloud's protocol under random schedules, on all cores.

    python -m tests.fencing [--schedules N] [--from S] [--budget SECONDS] [--resume]
    python -m tests.fencing --seed S

A schedule that breaks an invariant is printed as a command. Ends with 1 when one did, or when enough of them did not
have every trouble. ``--resume`` goes on where the last call stopped (``.prove/fencing``).
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.fencing.schedule import Outcome, run
from tests.progress import Bars

NOTES: Final = Path(".prove/fencing")
USUAL: Final = 10_000
SHARE: Final = 50
"""So many schedules are given to a core at once."""
BROKEN: Final = 10
"""After so many failures no other is begun."""
ENOUGH: Final = 500
TROUBLES: Final = (
    "take-over", "stale", "killed", "slow", "lost", "late", "refused", "twice", "reopened", "checkpoint", "pack",
)  # fmt: skip
"""What so many schedules have seen: what never happened proves nothing."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fencing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--schedules", type=int, help="how many at most; else ten thousand, or what the budget allows"
    )
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds, about")
    parser.add_argument("--resume", action="store_true", help="go on where the last call stopped")
    parser.add_argument("--seed", type=int, help="only this one")
    options = parser.parse_args(arguments)
    console = Console()
    if options.seed is not None:
        return told([run(options.seed)], console)
    first = int(NOTES.read_text()) if options.resume and NOTES.exists() else options.first
    wanted = options.schedules or (USUAL if options.budget == float("inf") else sys.maxsize)
    outcomes = list(played(first, wanted, time.monotonic() + options.budget, console))
    if options.resume:
        NOTES.parent.mkdir(exist_ok=True)
        NOTES.write_text(str(first + len(outcomes)))
    return told(outcomes, console)


def played(first: int, wanted: int, end_s: float, console: Console) -> Iterator[Outcome]:
    """Schedules from a seed on, on all cores, until the time is over."""
    total = None if wanted == sys.maxsize else wanted
    with multiprocessing.get_context("fork").Pool() as pool, Bars(console=console) as progress:
        task = progress.add_task("schedules", total=total)
        broken = done = 0
        for start in count(first, SHARE * 4):
            if done >= wanted or time.monotonic() >= end_s or broken >= BROKEN:
                return
            seeds = range(start, min(start + SHARE * 4, first + wanted))
            for outcome in pool.imap(run, seeds, chunksize=SHARE // 2):
                done, broken = done + 1, broken + bool(outcome.broken)
                progress.update(task, advance=1, description=f"{done} schedules, {broken} broken")
                yield outcome


def told(outcomes: Sequence[Outcome], console: Console) -> int:
    """Says what came of it, and how to repeat what broke."""
    seen: Counter[str] = Counter()
    for outcome in outcomes:
        seen += outcome.seen
    acknowledged = sum(outcome.acknowledged for outcome in outcomes)
    console.print(f"{len(outcomes)} schedules, {acknowledged} records acknowledged")
    console.print(", ".join(f"{name} {times}" for name, times in sorted(seen.items())))
    broken = [outcome for outcome in outcomes if outcome.broken]
    for outcome in broken:
        console.print(f"[red]{outcome.why}[/]; again: python -m tests.fencing --seed {outcome.seed}", soft_wrap=True)
    lacking = [name for name in TROUBLES if not seen[name]] if len(outcomes) >= ENOUGH else []
    if lacking:
        console.print(f"[red]never happened: {', '.join(lacking)}[/]")
    return int(bool(broken) or bool(lacking))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
