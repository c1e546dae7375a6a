"""The whole bot over sockets: as it is run, in a process of its own, with a sandbox in another one.

Sandbox, bot, and the peer with its own sandbox start once; the rounds then take turns. A burst is over when the last
join is acknowledged (the bot's own log says when), or handled by the peer.
"""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.figures import Row, Theme
from tests.bench.ground import Ground, of_process

GUILDS: Final = 100
EVENTS: Final = 5_000
PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.05
MICROSECONDS: Final = 1_000_000


def theme(ground: Ground) -> Theme:
    ours, peer = OurBot(ground.fresh()), EmptyClient()
    cpu = Row(
        name="whole/cpu",
        what="the same, by processor time",
        unit="µs each",
        ours=ours.cpu_us,
        peer=peer.cpu_us,
        beside="the client's",
        at_most=True,
    )
    rate = Row(
        name="whole/joins",
        what=f"GUILD_MEMBER_ADD over a socket, {GUILDS} guilds, until durable and acknowledged",
        unit="/s",
        ours=ours.per_s,
        peer=peer.per_s,
        beside="a discord.py client with an empty handler, same stream",
        wanted=0.4,
    )

    async def close() -> None:
        await ours.close()
        await peer.close()

    return Theme(title="The whole bot", rows=(rate, cpu), close=close)


class Address(msgspec.Struct, frozen=True):
    """Where a sandbox is."""

    api_url: str
    token: str


class Burst(msgspec.Struct, frozen=True):
    """A round: how long it took, and what the process used of the processor meanwhile."""

    took_s: float
    cpu_s: float


class Side:
    """A client in a process, and its sandbox in another one."""

    def __init__(self) -> None:
        self._sandbox: asyncio.subprocess.Process | None = None
        self._client: asyncio.subprocess.Process | None = None

    async def per_s(self) -> float:
        return EVENTS / (await self._burst()).took_s

    async def cpu_us(self) -> float:
        return (await self._burst()).cpu_s * MICROSECONDS / EVENTS

    async def close(self) -> None:
        for process in (self._client, self._sandbox):
            if process is not None:
                process.kill()
                await process.wait()

    async def start(self, address: Address) -> asyncio.subprocess.Process:
        """The client, ready for a burst."""
        raise NotImplementedError

    async def last(self) -> float:
        """When the client was through with the burst; seconds since 1970."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Returns when the client is at rest again."""

    async def _burst(self) -> Burst:
        sandbox, client = await self._up()
        before_s = _cpu_s(client.pid)
        began = float(await _told(sandbox, "go"))
        async with asyncio.timeout(PATIENCE_S):
            took_s = await self.last() - began
            cpu_s = _cpu_s(client.pid) - before_s
            await self.settle()
        return Burst(took_s, cpu_s)

    async def _up(self) -> tuple[asyncio.subprocess.Process, asyncio.subprocess.Process]:
        if self._sandbox is None or self._client is None:
            self._sandbox = await _python("tests.bench.stream", str(GUILDS), str(EVENTS))
            address = msgspec.json.decode(await _line(self._sandbox), type=Address)
            async with asyncio.timeout(PATIENCE_S):
                self._client = await self.start(address)
        return self._sandbox, self._client


class EmptyClient(Side):
    """The peer."""

    async def start(self, address: Address) -> asyncio.subprocess.Process:
        client = await _python("tests.bench.listener", address.api_url, address.token, str(EVENTS))
        await _line(client)
        return client

    async def last(self) -> float:
        assert self._client is not None
        return float(await _line(self._client))


class OurBot(Side):
    """The program as it is run, its log in a file."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._data = data
        self._log = Log(data / "bench.log")
        self._sent = 0

    async def start(self, address: Address) -> asyncio.subprocess.Process:
        environ = {
            "DISCORD_API_URL": address.api_url,
            "DISCORD_TOKEN": address.token,
            "LEDGER_DATA": str(self._data),
            "LEDGER_HTTP": "127.0.0.1:0",
            "LEDGER_LOG": "json",
        }
        with self._log.path.open("wb") as stream:
            bot = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "supervisor", "run"), env={**os.environ, **environ}, stdout=stream
            )
        await self._log.until("members.listed", GUILDS)
        return bot

    async def last(self) -> float:
        self._sent += EVENTS
        return _seconds(await self._log.until("join.acknowledged", self._sent))

    async def settle(self) -> None:
        await self._log.until("verdict.reached", self._sent)


class Log:
    """A log that grows: how often each event was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[bytes, list[bytes]] = {}
        self._read = 0

    async def until(self, event: str, count: int) -> bytes:
        """The line with which an event was told so often."""
        while len(lines := self._seen.get(event.encode(), [])) < count:
            await asyncio.sleep(LOOK_S)
            self._take()
        return lines[count - 1]

    def _take(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._read)
            *lines, rest = file.read().split(b"\n")
            self._read = file.tell() - len(rest)
        for line in lines:
            name = line.partition(b'"event":"')[2].partition(b'"')[0]
            self._seen.setdefault(name, []).append(line)


async def _python(module: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe)


async def _told(process: asyncio.subprocess.Process, word: str) -> bytes:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n".encode())
    return await _line(process)


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


def _seconds(line: bytes) -> float:
    stamp = msgspec.json.decode(line, type=dict[str, object])["timestamp"]
    return datetime.fromisoformat(str(stamp)).timestamp()


def _cpu_s(pid: int) -> float:
    """Processor time that a process has used (Linux)."""
    fields = of_process("stat", pid).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
