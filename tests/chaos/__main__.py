"""``make chaos MINUTES=10``: rounds of real processes and real trouble for so long, with a report at the end.

    python -m tests.chaos --minutes 10               so long, from a seed of its own
    python -m tests.chaos --seed 7 --round 12        one round once more, as far as real processes repeat
    python -m tests.chaos --budget 60 --resume       so many seconds, from where the last such run stopped
    python -m tests.chaos --list                     what is done, and what must hold

It ends with 1 when a round failed; that round's transcripts and data are kept in the folder that is named.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.adversities import TABLE
from tests.chaos.judge import Tally
from tests.chaos.patience import Patience
from tests.chaos.round import Plan, Report, Tell, draw, play

KEPT: Final = Path(".prove/chaos")
ADVERSITIES: Final = 9
"""Of a round; about a minute."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A round that failed: its number, where what it left is, and how it is played again."""

    number: int
    folder: Path
    again: str
    faults: tuple[str, ...]


class Run:
    """Rounds one after the other, and their sums."""

    def __init__(self, seed: int, console: Console, patience: Patience) -> None:
        self._seed = seed
        self._console = console
        self._patience = patience
        self._began_s = time.monotonic()
        self.reports: list[Report] = []
        self.failures: list[Failure] = []

    def play(self, number: int, until_s: float) -> None:
        """One round, or what there is time for; what it leaves is kept where it failed."""
        plan = plan_of(self._seed, number, self._patience)
        folder = Path(tempfile.mkdtemp(prefix=f"inviteledger-chaos-{self._seed}-{number}-"))
        with self._progress(number, plan) as tell:
            report = asyncio.run(play(plan, folder, tell, until_s))
        self.reports.append(report)
        self._console.print(_line(number, plan, report))
        if report.faults:
            again = f"python -m tests.chaos --seed {self._seed} --round {number}"
            self.failures.append(Failure(number=number, folder=folder, again=again, faults=report.faults))
            self._console.print(*(f"  [red]{fault}[/]" for fault in report.faults), sep="\n")
            self._console.print(f"  kept in {folder}; once more: {again}")
        else:
            shutil.rmtree(folder)

    @contextmanager
    def _progress(self, number: int, plan: Plan) -> Iterator[Tell]:
        """What is done now, on a terminal as one line that changes."""
        done = 0
        with self._console.status("") as status:

            def tell(what: str) -> None:
                nonlocal done
                done += 1
                so_far = f"{len(self.reports)} rounds done, {len(self.failures)} failed"
                age_s = time.monotonic() - self._began_s
                status.update(
                    f"round {number}: {done} of {len(plan.adversities) + 1}, {what} ({so_far}, {age_s:.0f} s)"
                )

            tell("starting")
            yield tell


def plan_of(seed: int, number: int, patience: Patience) -> Plan:
    """Every other round under uvloop, every other pair of rounds with people who stay."""
    uvloop, calm = number % 2 == 1, number % 4 < 2
    return draw(f"{seed}/{number}", TABLE, most=ADVERSITIES, uvloop=uvloop, patience=patience, calm=calm)


def _line(number: int, plan: Plan, report: Report) -> str:
    loop = "uvloop" if plan.uvloop else "asyncio"
    state = "[red]FAILED[/]" if report.faults else "[green]ok[/]"
    done = ", ".join(f"{what} {times}" for what, times in sorted(report.done.items()))
    tally = report.tally
    return (
        f"round {number} ({loop}): {state}; {report.lives} lives, {tally.happened} joins, "
        f"{tally.acknowledged} acknowledged, {tally.lost} lost; {done}"
    )


def report_table(reports: list[Report]) -> Table:
    """Sums over all rounds."""
    table = Table("what", "figure")
    names = [field.name for field in msgspec.structs.fields(Tally)]
    done = sum((report.done for report in reports), Counter[str]())
    rows = {
        "rounds": len(reports),
        "lives": sum(report.lives for report in reports),
        **{f"joins {name}": sum(getattr(report.tally, name) for report in reports) for name in names},
        "interactions": sum(report.asks for report in reports),
        "of these owed an answer, and answered once": sum(report.owed for report in reports),
        "slowest start to live, s": _most([each for report in reports for each in report.starts_s]),
        "slowest drain, s": _most([each for report in reports for each in report.drains_s]),
        **dict(sorted(done.items())),
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.1f}")
    for skipped, times in Counter(each for report in reports for each in report.skipped).items():
        table.add_row(skipped, f"{times} times")
    return table


def _most(figures: list[float]) -> float:
    return max(figures, default=0.0)


def _list(console: Console) -> None:
    table = Table("name", "does", "must hold")
    for each in TABLE:
        table.add_row(each.name, each.does, each.holds)
    console.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=10.0, help="for about how long")
    parser.add_argument("--budget", type=float, help="the same in seconds")
    parser.add_argument("--seed", type=int, help="decides every plan; left out, the time does")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first round")
    parser.add_argument("--round", type=int, help="only this round, whole")
    parser.add_argument("--resume", action="store_true", help=f"go on where {KEPT} says, and keep it there")
    parser.add_argument("--list", action="store_true", help="what is done, and what must hold")
    return parser.parse_args()


def _rounds(run: Run, said: argparse.Namespace) -> int:
    """Plays what was asked for; the number of the round that would be next."""
    if said.round is not None:
        run.play(said.round, inf)
        return int(said.round) + 1
    number = int(KEPT.read_text()) if said.resume and KEPT.exists() else said.first
    until_s = time.monotonic() + (said.budget or said.minutes * 60)
    with suppress(KeyboardInterrupt):
        while time.monotonic() < until_s:
            run.play(number, until_s)
            number += 1
    return number


def main() -> int:
    said, console = _arguments(), Console(highlight=False, soft_wrap=True)
    if said.list:
        _list(console)
        return 0
    seed = said.seed if said.seed is not None else 1 if said.resume else int(time.time())
    run = Run(seed, console, Patience())
    console.print(f"seed {seed}")
    number = _rounds(run, said)
    console.print(report_table(run.reports))
    for failure in run.failures:
        console.print(f"[red]failed[/]: {failure.again} ({failure.folder})")
    if said.resume:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(f"{number}\n")
    console.print(f"next: {number} (--seed {seed} --from {number})")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
