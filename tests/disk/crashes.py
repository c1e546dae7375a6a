"""The power is cut while SQLite works, at any operation: what may be left is opened, judged and gone on with.

``Workshop`` runs each workload once and keeps its trace; of a cut behind an operation it judges the states in which
nothing that was not synced is there, all of it, and some of it, sector by sector. Equal states are judged once.
"""

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from ledger.errors import LedgerError
from persistence import sqlite
from tests.disk.database import DatabaseProcess, Moment, Site, judge_legible
from tests.disk.database_cases import AFTERWARDS, DATABASE_CASES
from tests.disk.faults import CUTS, Fault, Hit
from tests.disk.sweep import Thread
from tests.persistence.volume import Volume

TORN: Final = 2
"""States for each cut, beside the two extremes."""
_FAULT_OF: Final = {luck: fault for fault, luck in CUTS.items()}


class Workshop:
    """A scratch folder. ``states``: how many were judged; ``pairs``: (workload, operation, fault) that were met."""

    def __init__(self, folder: Path) -> None:
        self.states = 0
        self.runs = 0
        self.pairs: set[tuple[str, int, str]] = set()
        self._folder = folder
        self._made = 0
        self._sites: dict[str, Site] = {}
        self._recorded: dict[str, DatabaseProcess] = {}
        self._known: set[bytes] = set()

    def recorded(self, name: str) -> DatabaseProcess:
        """A run of a workload to which nothing happens."""
        if name not in self._recorded:
            self._recorded[name] = self._run(self._site(name), name)
        return self._recorded[name]

    def known(self) -> int:
        """How many operations the workloads have that were recorded."""
        return sum(len(process.trace.operations) for process in self._recorded.values())

    def cut(self, name: str, number: int, torn: int = TORN) -> None:
        """Judges what a cut behind an operation may leave."""
        process = self.recorded(name)
        for variant, luck in enumerate((0.0, *[None] * torn, 1.0)):
            state = state_behind(process, number, Random(f"{number} {variant}"), luck)
            self.pairs.add((name, number, _FAULT_OF[luck]))
            self._judge(*state, f"{name}, a cut behind operation {number}, luck {luck}")

    def cut_again(self, seed: int) -> None:
        """Any cut, and another one while what it left is opened and gone on with."""
        random = Random(seed)
        name = random.choice(list(DATABASE_CASES))
        numbers = range(1, len(self.recorded(name).trace.operations) + 1)
        first = state_behind(self.recorded(name), random.choice(numbers), random, None)
        survivor = self._survive(*first)
        again = random.randint(1, len(survivor.trace.operations))
        self._judge(*state_behind(survivor, again, random, random.choice((0.0, None, 1.0))), f"cut again, {seed}")

    def fail(self, name: str, number: int, fault: Fault) -> None:
        """An operation fails; then the power is cut at the end."""
        process = self._run(self._site(name), name, Hit(number, fault))
        self.pairs.add((name, number, fault))
        what = f"{name}, operation {number} {fault}"
        self._judge(*state_behind(process, len(process.trace.operations), Random(number), 0.0), what)

    def lag(self, name: str, number: int) -> None:
        """A piece of work for the database's thread is slow and its caller cancelled; then it is done."""
        process = self._run_on(Thread(number), name)
        self.pairs.add((name, number, "slow"))
        what = f"{name}, work {number} slow"
        self._judge(*state_behind(process, len(process.trace.operations), Random(number), 0.0), what)

    def calls(self) -> Iterator[tuple[str, int]]:
        """All that ``lag`` can be asked for."""
        for name in DATABASE_CASES:
            thread = Thread(0)
            self._run_on(thread, name)
            yield from ((name, number) for number in range(1, thread.calls + 1))

    def faults(self, name: str) -> Iterator[tuple[str, int, Fault]]:
        """All that ``fail`` can be asked for."""
        for number, operation in enumerate(self.recorded(name).trace.operations, 1):
            for fault in operation.faults():
                if fault not in CUTS:
                    yield name, number, fault

    def _judge(self, volume: Volume, moment: Moment, what: str) -> None:
        known = hashlib.sha256(repr((moment.number, sorted(volume.contents().items()))).encode()).digest()
        if known in self._known:
            return
        self._known.add(known)
        try:
            self._survive(volume, moment)
        except (AssertionError, LedgerError) as error:
            error.add_note(what)
            raise

    def _survive(self, volume: Volume, moment: Moment) -> DatabaseProcess:
        """A new process on what is left: it starts, is judged, and goes on."""
        self.states += 1
        if moment.site.judge.hurt:
            site = moment.site.put(self._scratch(), volume)
            asyncio.run(judge_legible(site))
            shutil.rmtree(site.folder)
        site = moment.site.put(self._scratch(), volume)
        site.judge_kept()
        process = DatabaseProcess(site, AFTERWARDS)
        self._finish(process)
        return process

    def _run(self, site: Site, name: str, *plan: Hit) -> DatabaseProcess:
        process = DatabaseProcess(site.put(self._scratch()), DATABASE_CASES[name].script, plan)
        self.runs += 1
        try:
            self._finish(process)
        except (AssertionError, LedgerError) as error:
            error.add_note(f"{name}, plan {','.join(map(str, plan))}")
            raise
        return process

    def _run_on(self, thread: Thread, name: str) -> DatabaseProcess:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite, "ThreadOffload", lambda _: thread)
            return self._run(self._site(name), name)

    def _finish(self, process: DatabaseProcess) -> None:
        folder = process.site.folder
        try:
            asyncio.run(process.run())
        finally:
            for each in folder.parent.glob(f"{folder.name}*"):
                shutil.rmtree(each)

    def _site(self, name: str) -> Site:
        if name not in self._sites:
            self._sites[name] = DATABASE_CASES[name].site(self._folder / name)
        return self._sites[name]

    def _scratch(self) -> Path:
        self._made += 1
        folder = self._folder / f"{self._made:06d}"
        folder.mkdir()
        return folder


def state_behind(process: DatabaseProcess, number: int, random: Random, luck: float | None) -> tuple[Volume, Moment]:
    """What a cut behind an operation of a process may leave, and what has to be there."""
    volume = process.trace.volume_behind(number)
    told = [moment for moment in process.moments if moment.number <= number]
    return volume.crashed(random, luck), (told or process.moments)[-1 if told else 0]
