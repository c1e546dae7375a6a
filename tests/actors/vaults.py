"""A vault on a free port of loopback, for as long as a test asks it."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from actors.clock import SystemClock
from actors.logs import make_logger
from actors.ops.vault import Document, VaultServer
from actors.settings import Endpoint, Settings
from persistence.objects import Objects

TOKEN = "a-token-of-a-vault"
LOCAL = Endpoint("127.0.0.1", 0)


class Lines(io.StringIO):
    """A log that says when a line has come."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def flush(self) -> None:
        self._news.set()

    def all(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    async def line(self, event: str) -> dict[str, object]:
        """The first line with this event."""
        while not (found := [line for line in self.all() if line["event"] == event]):
            self._news.clear()
            await self._news.wait()
        return found[0]


class Vault:
    """A server that runs. ``stop`` ends it as a signal does."""

    def __init__(self, lines: Lines, port: int, stop: asyncio.Future[str], task: asyncio.Task[None]) -> None:
        self.lines = lines
        self.port = port
        self._stop = stop
        self._task = task

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if not self._stop.done():
            self._stop.set_result("SIGTERM")

    async def ended(self) -> None:
        await self._task


async def nothing() -> AsyncGenerator[bytes, None]:
    yield b"{}"


def server(
    objects: Objects,
    lines: Lines,
    *,
    token: str = TOKEN,
    document: Document = nothing,
    at: Endpoint = LOCAL,
) -> VaultServer:
    said = {"ledger_log": "json"} | ({"ledger_cloud_token": token} if token else {})
    settings = Settings.model_validate(said)
    return VaultServer(
        endpoint=at,
        token=settings.ledger_cloud_token,
        objects=objects,
        document=document,
        clock=SystemClock(),
        log=make_logger(settings, SystemClock(), lines),
    )


@asynccontextmanager
async def serving(objects: Objects, *, token: str = TOKEN, document: Document = nothing) -> AsyncIterator[Vault]:
    lines = Lines()
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server(objects, lines, token=token, document=document).run(stop))
    port = int(str((await lines.line("vault.started"))["port"]))
    vault = Vault(lines, port, stop, task)
    try:
        yield vault
    finally:
        vault.stop()
        await task
