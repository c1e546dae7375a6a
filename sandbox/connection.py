"""One client's websocket: frames in, frames out, nothing about what they mean.

Sending never waits: frames are queued and one task writes them, so the world can be driven by plain calls.
"""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.compression import Packer
from sandbox.conduct import Conduct
from sandbox.wire import JsonObject, as_object, decode, encode

OUTBOX_FRAMES: Final = 100_000
"""A client this far behind is cut off, as Discord does; its session then cannot be resumed."""
DECODE_ERROR: Final = 4002


class Connection:
    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        packer: Packer | None,
        conduct: Conduct,
    ) -> None:
        self.conduct = conduct
        self.silent = False
        self._socket = socket
        self._transport = transport
        self._packer = packer
        self._outbox: asyncio.Queue[bytes | int] = asyncio.Queue()
        self._closing = False

    def send(self, frame: bytes) -> None:
        if self._outbox.qsize() >= OUTBOX_FRAMES:
            self.abort()
        elif not self._closing:
            self._outbox.put_nowait(frame)

    def send_op(self, op: int, data: object = None) -> None:
        self.send(encode({"op": op, "d": data, "s": None, "t": None}))

    def close(self, code: int) -> None:
        """Close after what is queued has been written."""
        if not self._closing:
            self._closing = True
            self._outbox.put_nowait(code)

    def abort(self) -> None:
        """Cut the wire without a closing handshake."""
        if self._transport is not None:
            self._transport.abort()

    async def receive(self, timeout_s: float) -> JsonObject | None:
        """The next message; None when the socket is gone, or silent for `timeout_s` (`silent` then says so)."""
        try:
            message = await self._socket.receive(timeout_s)
        except TimeoutError:
            self.silent = True
            return None
        return self._read(message.data) if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def write_all(self) -> None:
        """Write what is queued until the connection closes."""
        with suppress(ConnectionError):
            while isinstance(item := await self._outbox.get(), bytes):
                await self._write(item)
            await self._socket.close(code=item)

    @property
    def closing(self) -> bool:
        """Whether it is we who close."""
        return self._closing

    @property
    def ended_by_client(self) -> bool:
        """Whether the client said goodbye with a code that ends its session."""
        return not self._closing and self._socket.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY)

    def _read(self, raw: str | bytes) -> JsonObject | None:
        refusal = self.conduct.size(len(raw.encode() if isinstance(raw, str) else raw))
        if refusal is not None:
            self.close(refusal)
            return None
        try:
            return as_object(decode(raw))
        except msgspec.DecodeError:
            self.close(DECODE_ERROR)
            return None

    async def _write(self, frame: bytes) -> None:
        if self._packer is None:
            await self._socket.send_str(frame.decode())
        else:
            await self._socket.send_bytes(self._packer.pack(frame))
