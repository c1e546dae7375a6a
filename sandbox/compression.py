"""Transport compression of the gateway: one stream for a connection, flushed after each message.

discord.py asks for `zlib-stream`, and for `zstd-stream` as soon as `zstandard` is installed beside it.
"""

import zlib
from typing import Final, Protocol

import zstandard


class Packer(Protocol):
    def pack(self, frame: bytes) -> bytes: ...


class ZlibPacker:
    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def pack(self, frame: bytes) -> bytes:
        return self._stream.compress(frame) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class ZstdPacker:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor().compressobj()

    def pack(self, frame: bytes) -> bytes:
        return self._stream.compress(frame) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


PACKERS: Final[dict[str, type[Packer]]] = {"zlib-stream": ZlibPacker, "zstd-stream": ZstdPacker}


def packer_for(compress: str | None) -> Packer | None:
    """The packer a client's query asks for; None where it wants plain text."""
    packer = PACKERS.get(compress or "")
    return packer() if packer else None
