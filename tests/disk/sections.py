"""The proof L2 in sections: each a numbered list of jobs in an order that makes every part of it a fair sample."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from tests.disk import vfs
from tests.disk.crashes import Workshop
from tests.disk.database_cases import DATABASE_CASES
from tests.disk.faults import CUTS
from tests.disk.rot import DatabaseRot, LogRot
from tests.disk.sweep import Sweep, Tally


class Section(msgspec.Struct, frozen=True):
    """``jobs``: how many there are, None = no end; ``job``: one, by its number from 0; ``weight``: of its turns."""

    what: str
    jobs: int | None
    job: Callable[[int], object]
    weight: int = 1


class Bench:
    """What the sections share: a folder, what is counted, and what was found out about the workloads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally = Tally()
        self.sweep = Sweep()
        self.workshop = Workshop(folder)


def singles(bench: Bench) -> Section:
    pairs = bench.sweep.pairs()
    Random(1).shuffle(pairs)
    return Section(
        "log: every operation with every fault",
        len(pairs),
        lambda n: bench.sweep.single(*pairs[n], bench.tally),
        weight=3,
    )


def lags(bench: Bench) -> Section:
    calls = bench.sweep.calls()
    return Section(
        "log: every piece of work slow and cancelled", len(calls), lambda n: bench.sweep.lag(*calls[n], bench.tally)
    )


def recoveries(bench: Bench) -> Section:
    cuts = [pair for pair in bench.sweep.pairs() if pair[2] in CUTS]
    Random(2).shuffle(cuts)
    return Section(
        "log: behind every cut, all of the recovery", len(cuts), lambda n: bench.sweep.recovery(*cuts[n], bench.tally)
    )


def doubles(bench: Bench) -> Section:
    return Section("log: two faults in a row", None, lambda n: bench.sweep.double(n, bench.tally))


def cuts(bench: Bench) -> Section:
    workshop = bench.workshop
    places = [
        (name, number)
        for name in DATABASE_CASES
        for number in range(1, len(workshop.recorded(name).trace.operations) + 1)
    ]
    Random(3).shuffle(places)
    what = "SQLite: power cut behind every operation"
    return Section(what, len(places), lambda n: workshop.cut(*places[n]), weight=4)


def cuts_again(bench: Bench) -> Section:
    return Section("SQLite: and once more while it recovers", None, bench.workshop.cut_again)


def failures(bench: Bench) -> Section:
    pairs = [pair for name in DATABASE_CASES for pair in bench.workshop.faults(name)]
    Random(4).shuffle(pairs)
    what = "SQLite: every operation with every error"
    return Section(what, len(pairs), lambda n: bench.workshop.fail(*pairs[n]), weight=3)


def database_lags(bench: Bench) -> Section:
    calls = list(bench.workshop.calls())
    return Section(
        "SQLite: every piece of work slow and cancelled", len(calls), lambda n: bench.workshop.lag(*calls[n])
    )


def log_rot(bench: Bench) -> Section:
    del bench
    rot = LogRot()
    return Section("rot: every byte of the log flipped", len(rot.places), lambda n: rot.flip(*rot.places[n]))


def database_flips(bench: Bench) -> Section:
    rot = DatabaseRot(bench.folder / "flips")
    return Section("rot: every byte of the database flipped", len(rot.places), lambda n: rot.flip(*rot.places[n]))


def database_ends(bench: Bench) -> Section:
    rot = DatabaseRot(bench.folder / "ends")
    return Section("rot: its files cut short at every byte", len(rot.places), lambda n: rot.cut(*rot.places[n]))


_OF_SQLITE: Final[Mapping[str, Callable[[Bench], Section]]] = {
    "cuts": cuts,
    "cuts-again": cuts_again,
    "failures": failures,
    "database-lags": database_lags,
}
_OTHERS: Final[Mapping[str, Callable[[Bench], Section]]] = {
    "singles": singles,
    "lags": lags,
    "recoveries": recoveries,
    "doubles": doubles,
    "log-rot": log_rot,
    "flips": database_flips,
    "ends": database_ends,
}


def sections() -> Mapping[str, Callable[[Bench], Section]]:
    """Those that can run here, by name."""
    return _OTHERS if vfs.library() is None else {**_OTHERS, **_OF_SQLITE}
