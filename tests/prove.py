"""``make prove BUDGET=20m``: every proof that is too long for ``make test``, each for its share of the time.

A proof is a program of its own (``python -m tests.NAME --budget SECONDS --resume --from N``): it shows its progress,
stops about in time, keeps in ``.prove/`` where it stopped, and ends with 1 and a command that repeats what failed. On
a clean clone, where nothing is kept, it begins at N: 0, unless told, so that a gate asks the same of each commit and
fails for none that has nothing to do with it. Where nobody sits at a terminal, the end of what failed is told once
more at the end: a CI shows little else.
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, Final

import msgspec
from rich.console import Console
from rich.table import Table

UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600}
LEAST_S: Final = 5
TAIL_LINES: Final = 25
ORPHANS_S: Final = 5.0
"""What a proof has started may hold its output open; so long it is waited for after the proof's own end."""


class Proof(msgspec.Struct, frozen=True):
    """``share``: of the whole time."""

    name: str
    share: float
    what: str


PROOFS: Final = (
    Proof("planted", 0.10, "every planted bug is caught"),
    Proof("fencing", 0.05, "the cloud's protocol: whoever is late, nothing acknowledged is lost"),
    Proof("simulation", 0.35, "L3: whole processes on a simulated disk, clock and Discord"),
    Proof("kills", 0.15, "L1: killed at every await"),
    Proof("disk", 0.15, "L2: every disk operation fails, every power cut"),
    Proof("chaos", 0.10, "L4: real processes, killed and starved"),
    Proof("mutation", 0.10, "the tests find bugs that nobody planted"),
)


class Result(msgspec.Struct, frozen=True):
    """``tail``: the last lines that it said, where they were listened to."""

    proof: Proof
    code: int
    took_s: float
    tail: tuple[str, ...]


def seconds(text: str) -> int:
    """A time as people write it: 90, 90s, 20m, 2h.

    Raises:
        ValueError: when it is none.
    """
    found = re.fullmatch(r"(\d+)([smh]?)", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no time: write 90s, 20m or 2h")
    return int(found[1]) * UNITS_S[found[2]]


def run(proof: Proof, first: int, budget_s: int, console: Console) -> Result:
    share_s = max(LEAST_S, round(budget_s * proof.share))
    console.rule(f"{proof.what} ({share_s} s; from {first} on, or where it stopped)", align="left")
    began_s = time.monotonic()
    options = ["--budget", str(share_s), "--resume", "--from", str(first)]
    command = [sys.executable, "-m", f"tests.{proof.name}", *options]
    code, tail = (leave_alone if console.is_terminal else listen)(command)
    return Result(proof, code, time.monotonic() - began_s, tail)


def leave_alone(command: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """Lets a program draw its progress on the terminal; its exit code, and nothing: one can scroll there."""
    return subprocess.run(command, check=False).returncode, ()


def listen(command: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """Shows what a program says line by line; its exit code and the last ``TAIL_LINES`` of it."""
    tail = deque[str](maxlen=TAIL_LINES)

    def show(said: IO[str]) -> None:
        with said:
            for line in said:
                sys.stdout.write(line)
                sys.stdout.flush()
                tail.append(line.rstrip("\n"))

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    )
    assert process.stdout is not None, "it was asked for"
    listener = threading.Thread(target=show, args=(process.stdout,), name="listener", daemon=True)
    listener.start()
    code = process.wait()
    listener.join(ORPHANS_S)
    return code, tuple(tail)


def tell(results: Sequence[Result], console: Console) -> None:
    """The table of what holds, then the end of each that does not."""
    table = Table("proof", "what", "took", "")
    for each in results:
        said = "holds" if each.code == 0 else f"FAILED (exit {each.code}, see {'below' if each.tail else 'above'})"
        table.add_row(each.proof.name, each.proof.what, f"{each.took_s:.0f} s", said)
    console.print(table)
    for each in results:
        if each.code and each.tail:
            console.rule(f"the end of {each.proof.name}", align="left")
            console.print("\n".join(each.tail), markup=False, highlight=False, soft_wrap=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--budget", type=seconds, default=seconds("20m"), help="for all of it: 90s, 20m, 2h")
    parser.add_argument(
        "--from", dest="first", type=int, default=0, help="where a proof begins that has kept nothing"
    )
    told = parser.parse_args(arguments)
    console = Console()
    results = [run(proof, told.first, told.budget, console) for proof in PROOFS]
    tell(results, console)
    return 1 if any(each.code for each in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
