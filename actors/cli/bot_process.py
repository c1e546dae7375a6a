"""The bot as another process, for the demo: started, listened to line by line, asked, killed.

Everything is known from outside: the lines it logs, its HTTP, its exit code.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
import msgspec

from actors.supervision import spawn
from ledger.errors import LedgerError
from ledger.ids import GuildId, UserId

Line: TypeAlias = dict[str, object]
JoinId: TypeAlias = tuple[GuildId, UserId, int]
"""Guild, user, joined_at in milliseconds."""

PATIENCE_S: Final = 30.0
MAX_LINE_BYTES: Final = 1 << 20


class DemoFailed(LedgerError):
    """The demo waited for something that did not come."""

    hint = "the bot's lines are in the file named above; please report them"


class BotProcess:
    """One bot and its data folder, over several lives. All lines of all lives go to ``transcript``.

    ``module``: what is started as ``python -m``; ``patience_s``: how long anything is waited for.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        transcript: Path,
        *,
        module: str = "supervisor",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.acknowledged: set[JoinId] = set()
        self._environ = {**os.environ, **environ}
        self._transcript = transcript
        self._module = module
        self._patience_s = patience_s
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._seen: list[Line] = []
        self._news = asyncio.Event()
        self._port = 0

    @property
    def pid(self) -> int:
        """Of the newest life."""
        assert self._process is not None, "started before"
        return self._process.pid

    async def start(self, guilds: int) -> None:
        """Starts a life and waits until so many guilds are live."""
        await self._spawn()
        await self.line("http.started")
        while not await self._is_ready(guilds):
            await self._hear("the bot to be ready")

    async def start_blind(self) -> None:
        """Starts a life that may not read counters, and waits until it knows."""
        await self._spawn()
        await self.until(lambda: any(line.get("phase") == "blind" for line in self._seen), "blindness")

    async def start_standby(self) -> None:
        """Starts a life beside one that holds the history, and waits until a host would call it ready."""
        await self._spawn()
        await self.line("http.started")
        while True:
            told = await self._readyz()
            if told.get("standby") and told.get("ready"):
                return
            await self._hear("the bot to stand by")

    async def start_held(self) -> None:
        """Starts a life that must not identify, and waits until it says why."""
        await self._spawn()
        await self.line("preflight.held")

    async def run_to_its_end(self) -> int:
        """Starts a life that ends by itself; its exit code."""
        await self._spawn()
        return await self.wait()

    async def wait(self) -> int:
        """Waits until the newest life has ended by itself; its exit code."""
        assert self._process is not None, "started before"
        assert self._reader is not None, "started before"
        code = await self._process.wait()
        await asyncio.wait([self._reader])
        return code

    async def _spawn(self) -> None:
        self._seen.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._module, "run", "--chaos"),
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
        )
        self._reader = spawn(self._read(self._process), "demo/reader")

    async def line(self, event: str) -> Line:
        """The first line of this life with this event."""
        await self.until(lambda: any(line.get("event") == event for line in self._seen), event)
        return next(line for line in self._seen if line.get("event") == event)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits until something that the bot's lines tell holds.

        Raises:
            DemoFailed: after ``patience_s``, or when the process ended.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                while not holds():
                    await self._hear(what)
        except TimeoutError:
            raise DemoFailed(f"{self._transcript}: no sign of {what} within {self._patience_s:g} s") from None

    async def kill_actor(self, name: str) -> None:
        """Ends an actor (``guild/ID``, ``journal`` …) in the middle of what it does."""
        url = f"http://127.0.0.1:{self._port}/chaos/kill/{name}"
        async with aiohttp.ClientSession() as session, session.post(url) as answer:
            if answer.status != 200:  # noqa: PLR2004 -- HTTP's word for yes
                raise DemoFailed(f"{self._transcript}: {name} could not be killed: {answer.status}")

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM and an orderly drain; the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self.wait()

    async def _is_ready(self, guilds: int) -> bool:
        told = await self._readyz()
        return told.get("ready") is True and told.get("guilds_live") == guilds

    async def _readyz(self) -> Mapping[str, object]:
        url = f"http://127.0.0.1:{self._port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return msgspec.json.decode(await answer.read(), type=dict[str, object])

    async def _hear(self, what: str) -> None:
        """Waits for the next line, or a moment where nothing is said."""
        if self._reader is not None and self._reader.done():
            raise DemoFailed(f"{self._transcript}: the bot ended while the demo waited for {what}")
        self._news.clear()
        try:
            async with asyncio.timeout(0.1):
                await self._news.wait()
        except TimeoutError:
            return

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was asked for"
        with self._transcript.open("ab") as transcript:
            while raw := await process.stdout.readline():
                transcript.write(raw)
                transcript.flush()
                self._take(raw)
        self._news.set()

    def _take(self, raw: bytes) -> None:
        try:
            line = msgspec.json.decode(raw, type=dict[str, object])
        except msgspec.MsgspecError:
            return  # a traceback of a crash; it is in the transcript
        self._seen.append(line)
        if line.get("event") == "http.started":
            self._port = int(str(line["port"]))
        if line.get("event") == "join.acknowledged":
            guild, user = GuildId(str(line["guild"])), UserId(str(line["user"]))
            self.acknowledged.add((guild, user, int(str(line["joined_at_ms"]))))
        self._news.set()
