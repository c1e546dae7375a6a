"""How far a long proof is: a bar on a terminal; elsewhere, where a bar is seen at its end only, a line at times."""

import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TaskID

EVERY_S: Final = 30.0
"""About so long nothing is said."""

Seconds = Callable[[], float]


class Spoken:
    """Says a line about every ``EVERY_S``, where ``console`` is no terminal.

    ``now_s``: a clock that only goes forward.
    """

    def __init__(self, console: Console, now_s: Seconds = time.monotonic) -> None:
        self._console = console
        self._now_s = now_s
        self._began_s = now_s()
        self._due_s = self._began_s + EVERY_S

    def say(self, line: Callable[[], str]) -> None:
        """To be called often; ``line`` is asked for when it is time to say it."""
        now_s = self._now_s()
        if self._console.is_terminal or now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        said = f"{now_s - self._began_s:.0f} s: {line()}"
        self._console.print(said, markup=False, highlight=False, soft_wrap=True)


class Bars(Progress):
    """``Progress`` that is ``Spoken`` as well: at its updates, so that whoever hangs falls silent."""

    def __init__(
        self,
        *columns: str | ProgressColumn,
        console: Console,
        transient: bool = False,
        now_s: Seconds = time.monotonic,
    ) -> None:
        super().__init__(*columns, console=console, transient=transient)
        self._spoken = Spoken(console, now_s)

    def update(self, task_id: TaskID, **changes: Any) -> None:  # noqa: ANN401 -- as the base has them
        super().update(task_id, **changes)
        self._spoken.say(self._line)

    def _line(self) -> str:
        return "; ".join(_of(task) for task in self.tasks)


def _of(task: Task) -> str:
    total = "" if task.total is None else f" of {task.total:.0f}"
    what = task.description.strip()
    return f"{task.completed:.0f}{total}" + (f" ({what})" if what else "")
