"""Plants small bugs one by one and looks whether a test notices. ``python -m tests.mutation --help``.

The choice follows from the seed and the code alone, mutant by mutant. What was tried is kept by the mutant's id in
``.prove/mutation.json``: with ``--resume`` a mutant that was killed is not tried again while its module is the same,
one that survived not while its tests are the same either.
"""

import argparse
import difflib
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.mutation.fresh import become
from tests.mutation.operators import Mutant, mutants
from tests.mutation.running import (
    FRESH,
    NOTICED,
    ROOT,
    Child,
    Collected,
    Fate,
    Reach,
    Trial,
    forked,
    measured,
    path_of,
    trial,
    with_collected,
)
from tests.mutation.targets import GROUPS, Group
from tests.progress import Spoken

T = TypeVar("T")

KEPT: Final = ROOT / ".prove" / "mutation.json"
REACH: Final = ROOT / ".prove" / "mutation-reach.json"
WANTED: Final = 0.85
LIMIT_S: Final = 120.0
"""The least a trial may take; else ten times what its tests take without a mutant."""
CHILDREN: Final = 2
MODULES: Final = tuple(module for group in GROUPS for module in group.modules)


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A mutant, with the text and the tests it is tried on."""

    mutant: Mutant
    group: Group
    source: str
    digest: str

    def diff(self) -> str:
        name = str(path_of(self.mutant.module).relative_to(ROOT))
        before, after = self.source.splitlines(), self.mutant.applied(self.source).splitlines()
        return "\n".join(list(difflib.unified_diff(before, after, name, name, n=1, lineterm=""))[2:])


def chosen(seed: int, number: int) -> list[Planted]:
    """The mutants of this seed: of each group its share. A change of the code changes the choice there only."""

    def lot(each: Planted) -> str:
        return hashlib.sha256(f"{seed}/{each.mutant.id}".encode()).hexdigest()

    drawn = [sorted(candidates_of(group), key=lot)[: round(number * group.share / 100)] for group in GROUPS]
    return sorted((each for group in drawn for each in group), key=lot)


def candidates_of(group: Group) -> Iterator[Planted]:
    """Every mutant of the group's modules."""
    folders = sorted({(ROOT / test.partition("::")[0]).parent for test in group.tests})
    tests = _digest([path for folder in folders for path in sorted(folder.glob("*.py"))])
    for module in group.modules:
        source = path_of(module).read_text(encoding="utf-8")
        digest = f"{_digest([path_of(module)])}/{tests}"
        yield from (
            Planted(mutant=each, group=group, source=source, digest=digest) for each in mutants(module, source)
        )


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that runs. ``again``: a failure is being confirmed, since a test may fail for want of time."""

    planted: Planted
    nodeids: Sequence[str]
    again: bool = False
    fresh: bool = False


class Run:
    """Trials side by side, and what they said."""

    def __init__(self, planted: Sequence[Planted], first: int, *, resume: bool) -> None:
        self.planted = planted
        self.trials = _kept(KEPT, dict[str, Trial]) if resume else {}
        at = first % len(planted)
        self.todo = [each for each in (*planted[at:], *planted[:at]) if not self._is_known(each)]
        self._running: dict[Child, Attempt] = {}
        self._reach: Mapping[str, Reach] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="mutation-"))

    def _is_known(self, each: Planted) -> bool:
        known = self.trials.get(each.mutant.id)
        if known is None:
            return False
        same_module = known.tests.partition("/")[0] == each.digest.partition("/")[0]
        return known.tests == each.digest or (known.fate is not Fate.SURVIVED and same_module)

    def go(self, collected: Collected, budget_s: float, live: Live) -> None:
        """Until all are tried, or the time is up: those that run are then waited for.

        The time begins when it is known which tests reach what: else a short one would be gone before any mutant.
        """
        self._reach = reach_of(collected)
        ends_s = time.monotonic() + budget_s
        try:
            self._go(collected, ends_s, live)
        finally:
            for child in self._running:
                child.stop()

    def _go(self, collected: Collected, ends_s: float, live: Live) -> None:
        spoken = Spoken(live.console)
        while self._running or (self.todo and time.monotonic() < ends_s):
            while self.todo and len(self._running) < CHILDREN and time.monotonic() < ends_s:
                each = self.todo.pop(0)
                self._begin(collected, Attempt(planted=each, nodeids=self._tests_of(collected, each)))
            self._collect(collected)
            live.update(self.table())
            spoken.say(lambda: f"{len(self.tried())} of {len(self.planted)} mutants tried")
            time.sleep(0.02)

    def _tests_of(self, collected: Collected, each: Planted) -> list[str]:
        """The tests of the group that reach the function, quick ones first; outside functions, all of them."""
        mutant = each.mutant
        mine = {nodeid: self._reach[nodeid] for nodeid in collected.among(each.group.tests)}
        called = [nodeid for nodeid, reach in mine.items() if f"{mutant.module}:{mutant.where}" in reach.calls]
        return sorted(called if mutant.in_function else mine, key=lambda nodeid: mine[nodeid].seconds)

    def _begin(self, collected: Collected, attempt: Attempt) -> None:
        planted, nodeids = attempt.planted, attempt.nodeids
        limit_s = max(LIMIT_S, 10 * sum(self._reach[nodeid].seconds for nodeid in nodeids))
        text = planted.mutant.applied(planted.source)
        if attempt.fresh or not planted.mutant.in_function:
            file = self._folder / planted.mutant.id
            file.write_text(text, encoding="utf-8")
            work = partial(become, planted.mutant.module, file, nodeids)
            attempt = msgspec.structs.replace(attempt, fresh=True)
        else:
            work = partial(trial, collected, planted.mutant.module, text, nodeids)
        self._running[forked(work, limit_s)] = attempt

    def _collect(self, collected: Collected) -> None:
        for child, attempt in tuple(self._running.items()):
            ended = child.ended()
            if ended is None:
                continue
            del self._running[child]
            code, said = ended[0], ended[1].decode(errors="replace")
            if code == FRESH:
                self._begin(collected, msgspec.structs.replace(attempt, fresh=True))
            elif code == NOTICED and not attempt.again:
                self._begin(collected, msgspec.structs.replace(attempt, nodeids=(said,), again=True))
            elif code == 0 and attempt.again:  # it failed for want of time: the others still have their say
                rest = self._tests_of(collected, attempt.planted)
                rest = [nodeid for nodeid in rest if nodeid not in attempt.nodeids]
                self._begin(collected, msgspec.structs.replace(attempt, nodeids=rest, again=False))
            else:
                self._note(attempt.planted, code, said, time.monotonic() - child.started_s)

    def _note(self, planted: Planted, code: int | None, said: str, seconds: float) -> None:
        fate = {0: Fate.SURVIVED, NOTICED: Fate.KILLED, None: Fate.HUNG}.get(code, Fate.BROKE)
        done = Trial(fate=fate, seconds=round(seconds, 2), tests=planted.digest, said=said[-300:])
        self.trials[planted.mutant.id] = done
        _keep(KEPT, self.trials)

    def tried(self) -> list[tuple[Planted, Trial]]:
        """Those that were tried, with their outcome."""
        return [(each, self.trials[each.mutant.id]) for each in self.planted if self._is_known(each)]

    def table(self) -> Table:
        table = Table("module", "all", "tried", "killed", "hung", "broke", "alive", "%")
        table.columns[0].no_wrap = True
        tried = self.tried()
        planted = Counter(each.mutant.module for each in self.planted)
        for module in (module for module in MODULES if planted[module]):
            mine = [known for each, known in tried if each.mutant.module == module]
            table.add_row(module, *_row(planted[module], mine))
        table.add_section()
        table.add_row("all", *_row(len(self.planted), [known for _, known in tried]))
        return table


def _row(planted: int, tried: Sequence[Trial]) -> list[str]:
    fates = Counter(each.fate for each in tried)
    alive = fates[Fate.SURVIVED]
    share = f"{100 * (len(tried) - alive) / len(tried):.1f}" if tried else "–"
    return [
        *map(str, (planted, len(tried), len(tried) - alive, fates[Fate.HUNG], fates[Fate.BROKE], alive)),
        share,
    ]


def reach_of(collected: Collected) -> Mapping[str, Reach]:
    """Which tests reach what; measured once while a test's file and the modules stay the same."""
    modules = _digest([path_of(module) for module in MODULES])
    kept = _kept(REACH, dict[str, dict[str, Reach]])
    files: dict[str, list[str]] = {}
    for nodeid in collected.items:
        files.setdefault(nodeid.partition("::")[0], []).append(nodeid)
    keys = {f"{file}/{modules}/{_digest([ROOT / file])}": nodeids for file, nodeids in files.items()}
    news = [nodeid for key, nodeids in keys.items() for nodeid in nodeids if nodeid not in kept.get(key, {})]
    found = _measured(collected, news)
    known = {
        key: kept.get(key, {}) | {nodeid: found[nodeid] for nodeid in nodeids if nodeid in found}
        for key, nodeids in keys.items()
    }
    _keep(REACH, known)
    return {nodeid: reach for by_test in known.values() for nodeid, reach in by_test.items()}


def _measured(collected: Collected, nodeids: Sequence[str]) -> dict[str, Reach]:
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    parts = [nodeids[at::CHILDREN] for at in range(CHILDREN)]
    running = [
        forked(lambda _, part=part, at=at: measured(collected, part, MODULES, folder / str(at)), 3_600.0)
        for at, part in enumerate(parts)
    ]
    found: dict[str, Reach] = {}
    try:
        for at in range(len(running)):
            while (ended := running[0].ended()) is None:
                time.sleep(0.05)
            del running[0]
            if ended[0] != 0:
                raise SystemExit(f"the tests have to be green without any mutant: {ended[1].decode()}")
            found |= msgspec.json.decode((folder / str(at)).read_bytes(), type=dict[str, Reach])
    finally:
        for child in running:
            child.stop()
    return found


def _kept(file: Path, kind: type[dict[str, T]]) -> dict[str, T]:
    return msgspec.json.decode(file.read_bytes(), type=kind) if file.exists() else {}


def _keep(file: Path, what: object) -> None:
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(what), indent=1))
    fresh.replace(file)


def told(run: Run, console: Console) -> int:
    """The survivors as diffs, what is left to do; 1 where too many survived."""
    tried = run.tried()
    survivors = [each for each, known in tried if known.fate is Fate.SURVIVED]
    if len(run.planted) == 1:
        console.print(*(f"{known.fate.value} {known.said}" for _, known in tried), markup=False)
    for each in sorted(survivors, key=lambda each: (each.mutant.module, each.mutant.line)):
        console.print(f"\n{each.mutant.id}  {each.mutant.where}, {each.mutant.operator}", style="bold", markup=False)
        console.print(each.diff(), markup=False, highlight=False)
    if survivors:
        console.print("\nOne again: python -m tests.mutation --only ID", markup=False)
    if len(tried) < len(run.planted):
        console.print(f"next: the other {len(run.planted) - len(tried)}, with --resume", markup=False)
    return int(len(survivors) > (1 - WANTED) * len(run.planted))  # so few cannot be caught up with any more


def main() -> int:
    asked = _asked()
    os.nice(asked.nice)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the children end, too
    planted = chosen(asked.seed, asked.mutants)
    if asked.only:
        planted = [each for group in GROUPS for each in candidates_of(group) if each.mutant.id == asked.only]
        if not planted:
            raise SystemExit(f"no mutant {asked.only}: the code around it has changed")
    run = Run(planted, asked.first, resume=asked.resume)
    console = Console()

    def use(collected: Collected) -> None:
        with Live(run.table(), console=console, refresh_per_second=1) as live:
            run.go(collected, asked.budget, live)

    if run.todo:
        groups = {each.group.name: each.group for each in run.todo}.values()
        with_collected(sorted({test for group in groups for test in group.tests}), use)
    else:
        console.print(run.table())
    return told(run, console)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=300, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the one to begin with, by its number")
    parser.add_argument(
        "--budget", type=float, default=float("inf"), help="seconds, about, behind the tests' own turn"
    )
    parser.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    parser.add_argument("--only", metavar="ID", help="one mutant")
    parser.add_argument("--nice", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
