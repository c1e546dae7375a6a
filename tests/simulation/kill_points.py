"""Where a task was when it was killed: the innermost line of the product that it waited in."""

import asyncio
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = str(Path(__file__).resolve().parents[2]) + "/"
TESTS: Final = ROOT + "tests/"

KillPoint: TypeAlias = tuple[str, str, int]
"""Module (its path in the repository), function and line."""

ELSEWHERE: Final[KillPoint] = ("elsewhere", "", 0)


def where(task: "asyncio.Task[object]") -> KillPoint:
    """The await that the task stands at."""
    found, waits = ELSEWHERE, task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None)
        if frame is not None and _is_product(frame.f_code.co_filename):
            found = frame.f_code.co_filename.removeprefix(ROOT), frame.f_code.co_name, frame.f_lineno
        waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None)
    return found


def _is_product(path: str) -> bool:
    return path.startswith(ROOT) and not path.startswith(TESTS) and "/.venv/" not in path
