"""What must hold, whatever was done: looked at after each life, and whole at the end of a round.

The export is read as ``inviteledger export`` prints it, line by line; ``verify`` runs as an operator runs it. A join
is lost when it was acknowledged, or its member is there at the end, and the export does not have it. What is called
certain may not be wrong. ``likely`` and ``candidates`` may: who came and left again while nobody listened used a code
that looks as if somebody else had (docs/attribution.md, P0); they are counted.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

import msgspec

from actors.cli.bot_process import JoinId
from actors.cli.export import export_joins
from actors.cli.history import JoinLine
from actors.cli.scoreboard import credited_twice, is_wrong, truth_of
from ledger.records import Status
from sandbox import Sandbox
from tests.chaos.bot import ROOT, Bot
from tests.chaos.crowd import Crowd

GUESSES: Final = frozenset({Status.LIKELY, Status.CANDIDATES})
SHOWN: Final = 3
"""Examples of a fault."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Joins of a round in numbers. ``guessed``: guesses that were wrong; ``open``: without a verdict."""

    happened: int = 0
    told: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    guessed: int = 0
    open: int = 0


class Judge:
    """Gathers what does not hold, a sentence each, in ``faults``."""

    def __init__(self, sandbox: Sandbox, crowd: Crowd, bot: Bot, data: Path) -> None:
        self._sandbox = sandbox
        self._crowd = crowd
        self._bot = bot
        self._data = data
        self.faults: list[str] = []

    def expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)

    def look_back(self) -> Tally:
        """After a life, and whenever the log is there: what was acknowledged is in it, once and not wrong."""
        lines, truth = export_lines(self._data), truth_of(self._sandbox.world.truth)
        told = {join_of(line): line for line in lines}
        lost = self._bot.acknowledged - told.keys()
        repeated = [join for join, times in Counter(map(join_of, lines)).items() if times > 1]
        credited = credited_twice(self._data)
        off = [line for join, line in told.items() if join in truth and is_wrong(truth[join], line)]
        wrong = [line for line in off if line.status not in GUESSES]
        self.expect(not lost, f"acknowledged and lost: {_some(lost)}")
        self.expect(not repeated, f"more than once in the export: {_some(repeated)}")
        self.expect(not credited, f"credited twice: {_some(credited)}")
        self.expect(not wrong, f"wrong: {_some(wrong)}")
        self.expect(told.keys() <= truth.keys(), f"never happened: {_some(told.keys() - truth.keys())}")
        return Tally(
            happened=len(truth),
            told=len(told),
            acknowledged=len(self._bot.acknowledged),
            lost=len(lost),
            twice=len(repeated) + len(credited),
            wrong=len(wrong),
            guessed=len(off) - len(wrong),
            open=sum(line.status is Status.PENDING for line in lines),
        )

    def unsettled(self) -> set[JoinId]:
        """Joins of those who are there that are not told of, or have no verdict yet."""
        told = {join_of(line): line for line in export_lines(self._data)}
        return {join for join in self._crowd.there() if join not in told or told[join].status is Status.PENDING}

    def conclude(self) -> Tally:
        """At the end, when the bot has drained: everything."""
        tally = self.look_back()
        self.look_around()
        done = verify(self._data)
        self.expect(done.returncode == 0, f"verify: {done.stdout.strip()} {done.stderr.strip()}")
        return tally

    def look_into_cloud(self, cloud: Path, scratch: Path) -> None:
        """After a drain, which has uploaded the rest: the cloud alone gives back what was acknowledged."""
        done = restore(cloud, scratch)
        self.expect(done.returncode == 0, f"restore: {done.stdout.strip()} {done.stderr.strip()}")
        told = {join_of(line) for line in export_lines(scratch)} if scratch.exists() else set[JoinId]()
        lost = self._bot.acknowledged - told
        self.expect(not lost, f"acknowledged, and the cloud does not have it: {_some(lost)}")

    def look_around(self) -> None:
        """What was answered, what the bot said, what Discord forbids."""
        self._look_at_asks()
        self.expect(not (raised := self._bot.raised()), f"raised: {_some(raised)}")
        self.expect(not self._sandbox.unhandled, f"unknown routes: {_some(self._sandbox.unhandled)}")
        misdeeds = [f"{each.kind}: {each.detail}" for each in self._sandbox.violations]
        self.expect(not misdeeds, f"misdeeds: {_some(misdeeds)}")

    def _look_at_asks(self) -> None:
        waiting = [f"/{ask.command} {ask.reply.interaction_id}" for ask in self._crowd.unanswered()]
        self.expect(not waiting, f"{len(waiting)} asks without an answer: {_some(waiting)}")
        many = [ask for ask in self._crowd.asks if len(ask.reply.callbacks) > 1 or len(ask.reply.followups) > 1]
        self.expect(not many, f"answered twice: {_some(ask.command for ask in many)}")


def export_lines(data: Path) -> list[JoinLine]:
    """What ``inviteledger export`` prints, line by line."""
    out = BytesIO()
    export_joins(data, data / "ledger.db", None, out, StringIO())
    return [msgspec.json.decode(raw, type=JoinLine) for raw in out.getvalue().splitlines()]


def join_of(line: JoinLine) -> JoinId:
    return line.guild, line.user, line.joined_at_ms


def verify(data: Path) -> subprocess.CompletedProcess[str]:
    """``inviteledger verify``."""
    return _command("verify", LEDGER_DATA=str(data))


def restore(cloud: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """``inviteledger restore``, of a cloud in a folder."""
    return _command("restore", "--to", str(to), LEDGER_DATA=str(to), LEDGER_CLOUD=cloud.as_uri())


def _command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor", *words]
    return subprocess.run(
        command, env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def _some(faults: Iterable[object]) -> str:
    shown = [str(each)[:300] for each in faults]
    return "; ".join(shown[:SHOWN]) + (f"; … {len(shown)} in all" if len(shown) > SHOWN else "")
