"""One bot over many lives, as chaos treats it: begun without waiting, frozen, squeezed, asked whether it is whole.

Everything is known from outside: lines, exit codes, /readyz. What is done to it, and when, is ``adversities.py``.
"""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from actors.cli.bot_process import BotProcess, DemoFailed

ROOT: Final = Path(__file__).parents[2]
LOOK_EVERY_S: Final = 0.05
ANSWERS_WITHIN_S: Final = 5.0
RAISED: Final = frozenset(
    {
        "breaker.opened",
        "command.failed",
        "dispatch.failed",
        "dispatch.unreadable",
        "guild.parked",
        "guild.restore_failed",
        "job.failed",
        "letter.buried",
        "records.missing",
        "shard.crashed",
    }
)
"""Events that no adversity excuses: a bug of ours, or a loss."""


class Readiness(msgspec.Struct, frozen=True):
    """What is looked at of the answer of /readyz."""

    ready: bool
    guilds_live: int
    layers: Mapping[str, str]


class Bot(BotProcess):
    """Lives on one data folder. ``starts_s``: from spawn to whole; ``drains_s``: from SIGTERM to the exit."""

    def __init__(self, environ: Mapping[str, str], transcript: Path, *, module: str, patience_s: float) -> None:
        where = {"PYTHONPATH": str(ROOT)}
        super().__init__({**environ, **where}, transcript, module=module, patience_s=patience_s)
        self.lives = 0
        self.starts_s: list[float] = []
        self.drains_s: list[float] = []

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def begin(self) -> None:
        """Starts a life and waits for nothing."""
        assert not self.alive, "one life at a time"
        self.lives += 1
        self._port = 0
        await self._spawn()

    async def come_live(self, guilds: int) -> None:
        """Starts a life and waits until it is whole."""
        began_s = time.monotonic()
        await self.begin()
        await self.whole(guilds)
        self.starts_s.append(time.monotonic() - began_s)

    async def whole(self, guilds: int) -> None:
        """Returns when it is ready, so many guilds are live, and every layer takes records.

        Raises:
            DemoFailed: when that does not come, or the process ends.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                while not await self._is_whole(guilds):
                    if not self.alive:
                        raise DemoFailed(f"the bot ended by itself with {self._code()}")
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise DemoFailed(f"not live again within {self._patience_s:g} s: {await self._readiness()}") from None

    async def drain(self) -> int:
        """SIGTERM; its exit code."""
        began_s = time.monotonic()
        async with asyncio.timeout(self._patience_s):
            code = await self.stop()
        self.drains_s.append(time.monotonic() - began_s)
        return code

    async def ended_within(self, seconds: float) -> int | None:
        """The exit code of a life that ends by itself; None where it has not by then."""
        assert self._process is not None, "begun before"
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            return None

    def twin(self, transcript: Path) -> BotProcess:
        """Another process on the same folder."""
        return BotProcess(self._environ, transcript, module=self._module, patience_s=self._patience_s)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP, then SIGCONT."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def squeezed(self, most_bytes: int) -> Iterator[None]:
        """RLIMIT_FSIZE: no file of this life grows beyond."""
        pid = self.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
        try:
            yield
        finally:
            if self.alive and self.pid == pid:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    def raised(self) -> list[str]:
        """Lines of all lives that no adversity excuses, and what is no line at all: a traceback."""
        lines = self._transcript.read_bytes().splitlines() if self._transcript.exists() else []
        return [raw.decode(errors="replace") for raw in lines if _is_bad(raw)]

    async def _is_whole(self, guilds: int) -> bool:
        told = await self._readiness()
        if told is None:
            return False
        return told.ready and told.guilds_live == guilds and all(state == "ok" for state in told.layers.values())

    async def _readiness(self) -> Readiness | None:
        if not self._port:
            return None
        limit = aiohttp.ClientTimeout(total=ANSWERS_WITHIN_S)
        url = f"http://127.0.0.1:{self._port}/readyz"
        try:
            async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
                return msgspec.json.decode(await answer.read(), type=Readiness)
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _code(self) -> int | None:
        return None if self._process is None else self._process.returncode


def _is_bad(raw: bytes) -> bool:
    try:
        line = msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.MsgspecError:
        return not raw.startswith(b"{")  # SIGKILL may tear a line
    return line.get("event") in RAISED
