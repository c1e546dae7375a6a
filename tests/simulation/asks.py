"""People who ask the bot and wait: each is answered once, in time or not, or the process dies under them."""

from collections.abc import Coroutine
from typing import Final, Protocol

from actors.asks import Outcome
from ledger import messages as m
from ledger.answers import Answer
from ledger.errors import LedgerError
from ledger.ids import GuildId
from tests.simulation.outside import SimOutside
from tests.simulation.process import Process

PAGE: Final = 50


class Heard(Protocol):
    """Who wants to know how people are answered."""

    def asked(self, guild: GuildId, message: m.Message, timeout_s: float) -> None: ...

    def answered(self, guild: GuildId, message: m.Message, outcome: Outcome[Answer]) -> None: ...


class Asks:
    """Those that wait now. ``waiting``: how many there are."""

    def __init__(self, heard: Heard) -> None:
        self.waiting = 0
        self._heard = heard
        self._process: Process | None = None
        self._outside: SimOutside | None = None

    def connect(self, process: Process, outside: SimOutside) -> None:
        self._process, self._outside = process, outside

    def disconnect(self) -> None:
        """The process is gone; nobody is told anything any more."""
        self._process = self._outside = None
        self.waiting = 0

    def stamp_us(self) -> int:
        """The bot's time; 0 while there is none, and nobody can ask."""
        return self._process.clock.stamp_us() if self._process is not None else 0

    def ask(self, guild: GuildId, message: m.Message, timeout_s: float) -> None:
        process = self._process
        if process is not None:
            self._start(process, self._wait(process, guild, message, timeout_s))

    def refresh(self, guild: GuildId) -> None:
        """Fetches the counters now and asks what they tell."""
        if self._outside is not None:
            self._outside.refresh(guild, lambda arrived: self.ask(guild, arrived, 3.0))

    def keep_checkpoint(self, guild: GuildId) -> None:
        process = self._process
        if process is not None:
            self._start(process, self._prove(process, guild))

    def list_joins(self, guild: GuildId) -> None:
        process = self._process
        if process is not None:
            self._start(process, self._list(process, guild))

    def _start(self, process: Process, work: Coroutine[object, object, None]) -> None:
        self.waiting += 1
        process.loop.create_task(work).add_done_callback(lambda task: self._ended(process, task.exception()))

    def _ended(self, process: Process, error: BaseException | None) -> None:
        if process is self._process:
            self.waiting -= 1
        if error is not None:
            process.loop.fail(error)

    async def _wait(self, process: Process, guild: GuildId, message: m.Message, timeout_s: float) -> None:
        self._heard.asked(guild, message, timeout_s)
        outcome = await process.supervisor.roster.ask(guild, message, timeout_s)
        self._heard.answered(guild, message, outcome)

    async def _prove(self, process: Process, guild: GuildId) -> None:
        try:
            await process.supervisor.keep_checkpoint(guild)
        except LedgerError:
            return  # said to whoever asked

    async def _list(self, process: Process, guild: GuildId) -> None:
        try:
            await process.supervisor.read(lambda lists: lists.joins_page(guild, 0, PAGE))
        except LedgerError:
            return
