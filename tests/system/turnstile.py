"""A wire between client and sandbox that a test can hold: a TCP relay which passes on, freezes, or turns away."""

import asyncio
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self


class Mode(Enum):
    OPEN = auto()  # bytes go through
    FROZEN = auto()  # connections live, nothing arrives: a zombie
    BUSY = auto()  # whoever comes is answered 503
    REFUSING = auto()  # whoever comes is cut off at once


class Turnstile:
    """A port of its own in front of another one.

    Args:
        port: where to.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._mode = Mode.OPEN
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.turned_away = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.set(Mode.OPEN)
        self.cut()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def set(self, mode: Mode) -> None:
        """From now on."""
        self._mode = mode
        if mode is Mode.FROZEN:
            self._open.clear()
        else:
            self._open.set()

    def cut(self) -> None:
        """Ends every connection that there is."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode in (Mode.BUSY, Mode.REFUSING):
            self.turned_away += 1
            if self._mode is Mode.BUSY:
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, onward}
        try:
            await asyncio.gather(self._pipe(reader, onward), self._pipe(there, writer))
        finally:
            self._writers -= {writer, onward}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
