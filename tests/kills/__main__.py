"""Everything is killed at every await that a story reaches, in every way (``make kills``).

    python -m tests.kills --budget 600 --resume       for about so many seconds, from where the last one stopped
    python -m tests.kills --only "work:13:cancel:7"   one run once more: scenario, place, mode, visit
    python -m tests.kills --places                    where the stories wait, and what no story reaches

Ends with 1 when something does not hold after a kill; then it says which command repeats it.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from tests.kills import campaign, gateway
from tests.kills.acts import Mode
from tests.kills.campaign import Case, Run, Spot
from tests.kills.gateway import GatewayCase
from tests.kills.points import GATEWAY, KERNEL, Point, inventory
from tests.kills.scenarios import SCENARIOS
from tests.kills.unreached import why_not
from tests.progress import Bars

KEPT: Final = Path(".prove")
GATEWAY_SHARE: Final = 0.4
"""Of the time: a day on sockets takes seconds, a story in the simulation a twentieth of one."""


class Part(msgspec.Struct):
    """A part of the whole, with a place of its own to go on from.

    ``runs``: what can be done, in order; ``play`` does one; ``spot`` tells where it strikes.
    """

    name: str
    patterns: Sequence[str]
    runs: Sequence[Case | GatewayCase]
    spots: Sequence[Spot]
    play: Callable[[Case | GatewayCase], Run]
    spot: Callable[[Case | GatewayCase], Spot]


class Tally:
    """What was done, and what did not hold."""

    def __init__(self) -> None:
        self.modes: Counter[Mode] = Counter()
        self.killed: set[Spot] = set()
        self.missed = 0
        self.faults: list[tuple[Case | GatewayCase, Run]] = []

    def take(self, case: Case | GatewayCase, spot: Spot, run: Run) -> None:
        if run.struck:
            self.modes[case.mode] += 1
            self.killed.add(spot)
        else:
            self.missed += 1
        if run.faults:
            self.faults.append((case, run))


def kernel() -> Part:
    """Guild, journal, supervisor and recovery, on simulated disks and on SQLite."""
    runs = sorted(_all_cases(), key=lambda each: each[0])
    return Part(
        name="kernel",
        patterns=KERNEL,
        runs=[case for _, case in runs],
        spots=[spot for scenario in SCENARIOS for spot in campaign.survey(scenario.name).spots],
        play=lambda case: campaign.play(_of_kernel(case)),
        spot=lambda case: campaign.survey(_of_kernel(case).scenario, slow=_of_kernel(case).slow).spots[case.number],
    )


def glue() -> Part:
    """The gateway's glue, on sockets."""
    return Part(
        name="gateway",
        patterns=GATEWAY,
        runs=list(gateway.cases()),
        spots=[known.spot for known in gateway.survey().values()],
        play=lambda case: gateway.play(_of_gateway(case)),
        spot=lambda case: gateway.spot_at(_of_gateway(case)),
    )


PARTS: Final = {"gateway": glue, "kernel": kernel}


def perform(part: Part, budget_s: float, first: int, console: Console, *, resume: bool) -> Tally:
    """As many runs as the time allows, and one at least, from where it stopped; then all over again."""
    began = (_kept(part, first) if resume else first) % max(1, len(part.runs))
    at, tally, end_s = began, Tally(), time.monotonic() + budget_s
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(part.name, total=len(part.runs), completed=at)
        while at < len(part.runs) and (at == began or time.monotonic() < end_s):
            case = part.runs[at]
            tally.take(case, part.spot(case), part.play(case))
            at += 1
            said = f"{part.name} {case}, {len(tally.faults)} faults"
            progress.update(bar, completed=at, description=said)
    if resume:
        _keep(part, at % len(part.runs))
    console.print(f"{part.name}: from {began}, next: {at % len(part.runs)} of {len(part.runs)} runs")
    return tally


def tell(part: Part, tally: Tally, console: Console) -> None:
    """The inventory, and what was done."""
    points = list(inventory(part.patterns).values())
    waiting = [point for point in points if point.waits]
    reached = {point for spot in part.spots for point in spot.place} & set(points)
    killed = {point for spot in tally.killed for point in spot.place} & set(points)
    done = ", ".join(f"{mode} {count}" for mode, count in tally.modes.items())
    console.print(
        f"{part.name}: {len(points)} awaits, {len(waiting)} of them can be left waiting; the stories reach "
        f"{len(reached)}, by {len(set(part.spots))} ways; killed in this run: {len(killed)}, by {len(tally.killed)} "
        f"ways ({done or 'none'})"
    )
    if tally.missed:
        console.print(f"  {tally.missed} runs did not come to their place as often as the first one did")
    _tell_unreached([point for point in waiting if point not in reached], console)
    for case, run in tally.faults:
        console.print(
            f"[red]FAULT[/red] {case} (struck {run.struck}) at {part.spot(case)}", highlight=False, soft_wrap=True
        )
        for fault in run.faults:
            console.print(f"  {fault}", markup=False, highlight=False, soft_wrap=True)
        console.print(f'  again: python -m tests.kills --only "{case}"', highlight=False, soft_wrap=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--budget", type=float, default=float("inf"), metavar="SECONDS", help="stop after about so long"
    )
    parser.add_argument("--resume", action="store_true", help="go on where the last run with this stopped")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the run to begin with")
    parser.add_argument("--only", metavar="CASE", help="one run")
    parser.add_argument("--part", choices=PARTS, help="this one alone")
    parser.add_argument("--places", action="store_true", help="tell where the stories wait")
    asked = parser.parse_args(arguments)
    console = Console()
    if asked.only:
        return _only(asked.only, console)
    began_s, failed = time.monotonic(), False
    for name in PARTS if asked.part is None else (asked.part,):
        part = PARTS[name]()
        share = GATEWAY_SHARE if name == "gateway" and asked.part is None else 1.0
        if asked.places:
            _tell_places(part, console)
            tell(part, Tally(), console)
            continue
        left_s = asked.budget - (time.monotonic() - began_s)
        tally = perform(part, left_s * share, asked.first, console, resume=asked.resume)
        tell(part, tally, console)
        failed = failed or bool(tally.faults)
    return 1 if failed else 0


def _all_cases() -> Iterator[tuple[tuple[bool, int], Case]]:
    """Each with what orders them: no slow device first, then in turn from all scenarios."""
    for slow in (False, True):
        for scenario in SCENARIOS:
            for number, case in enumerate(campaign.cases(scenario, slow=slow)):
                yield (slow, number), case


def _only(text: str, console: Console) -> int:
    if text.startswith("gateway:"):
        return _once(glue(), GatewayCase.parse(text), console)
    return _once(kernel(), Case.parse(text), console)


def _once(part: Part, case: Case | GatewayCase, console: Console) -> int:
    run = part.play(case)
    console.print(f"{case}: struck {run.struck or 'nothing'} at {part.spot(case)}", highlight=False, soft_wrap=True)
    for fault in run.faults:
        console.print(f"  {fault}", markup=False, highlight=False, soft_wrap=True)
    return 1 if run.faults else 0


def _tell_unreached(points: Sequence[Point], console: Console) -> None:
    console.print(f"  not reached: {len(points)}")
    for point in points:
        console.print(
            f"    {point}: {why_not(point) or 'NO STORY YET'}", markup=False, highlight=False, soft_wrap=True
        )


def _tell_places(part: Part, console: Console) -> None:
    for spot in part.spots:
        console.print(str(spot), markup=False, highlight=False, soft_wrap=True)


def _kept(part: Part, first: int) -> int:
    path = KEPT / f"kills-{part.name}"
    return int(path.read_text(encoding="utf-8")) if path.exists() else first


def _keep(part: Part, at: int) -> None:
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"kills-{part.name}").write_text(str(at), encoding="utf-8")


def _of_kernel(case: Case | GatewayCase) -> Case:
    assert isinstance(case, Case), "a case of the kernel's"
    return case


def _of_gateway(case: Case | GatewayCase) -> GatewayCase:
    assert isinstance(case, GatewayCase), "a case of the gateway's"
    return case


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
