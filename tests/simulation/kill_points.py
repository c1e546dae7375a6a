"""Where a task was when it was killed: the lines of the product that it waited in, one within the other."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Final, TypeAlias

from tests.kills.points import KERNEL, inventory

ROOT: Final = str(Path(__file__).resolve().parents[2]) + "/"
TESTS: Final = ROOT + "tests/"

KillPoint: TypeAlias = tuple[str, str, int]
"""Module (its path in the repository), function and line."""

ELSEWHERE: Final[KillPoint] = ("elsewhere", "", 0)


def way(task: "asyncio.Task[object]") -> tuple[KillPoint, ...]:
    """The awaits that the task stands at, the innermost last."""
    found, waits = [ELSEWHERE], task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None)
        if frame is not None and _is_product(frame.f_code.co_filename):
            found.append((frame.f_code.co_filename.removeprefix(ROOT), frame.f_code.co_name, frame.f_lineno))
        waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None)
    return tuple(found)


def coverage(killed: Collection[KillPoint]) -> tuple[int, int]:
    """At how many of the inventory's lines somebody was killed, and how many there are."""
    there = {(point.module, point.line) for point in inventory(KERNEL).values() if point.waits}
    return len(there & {(module, line) for module, _, line in killed}), len(there)


def _is_product(path: str) -> bool:
    return path.startswith(ROOT) and not path.startswith(TESTS) and "/.venv/" not in path
