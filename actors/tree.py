"""The supervisor as the program sees it: who composes the program hands it in, and nothing here knows its module."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from actors.care import Caretaker
from actors.clock import Sleep
from actors.drain import Drain
from actors.guild import Outside
from actors.journal import Journal
from actors.roster import Roster
from actors.runtime import Jobs
from actors.standing import Inside
from actors.supervision import ChildSpec, SupervisorStatistics
from ledger.ports import Clock, Randomness


class Tree(Inside, Protocol):
    """``supervisor.Supervisor``."""

    roster: Roster
    jobs: Jobs
    caretaker: Caretaker

    def connect(self, outside: Outside) -> None: ...

    async def run(self, specs: Sequence[ChildSpec]) -> None: ...

    def kill(self, name: str) -> bool: ...

    def statistics(self) -> SupervisorStatistics: ...

    async def drain(
        self, leave: Callable[[Drain], Awaitable[None]] | None = None, drain: Drain | None = None
    ) -> None: ...


class Supervise(Protocol):
    """Makes one."""

    def __call__(
        self,
        *,
        journal: Journal,
        keep: Callable[[str, bytes], None],
        clock: Clock,
        randomness: Randomness,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> Tree: ...
