"""Transport compression of the gateway: one stream for a connection, flushed after each message.

discord.py asks for `zlib-stream`, and for `zstd-stream` as soon as `zstandard` is installed beside it.
"""

import importlib
import zlib
from typing import Final, Protocol, cast


class Packer(Protocol):
    def pack(self, frame: bytes) -> bytes: ...


class ZlibPacker:
    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def pack(self, frame: bytes) -> bytes:
        return self._stream.compress(frame) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class _ZstdStream(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self, flush_mode: int) -> bytes: ...


class _ZstdCompressor(Protocol):
    def compressobj(self) -> _ZstdStream: ...


class _Zstandard(Protocol):
    COMPRESSOBJ_FLUSH_BLOCK: int

    def ZstdCompressor(self) -> _ZstdCompressor: ...  # noqa: N802  # the library's own name


class ZstdPacker:
    def __init__(self) -> None:
        # an optional library without stubs here, hence the import by name
        self._library = cast("_Zstandard", importlib.import_module("zstandard"))
        self._stream = self._library.ZstdCompressor().compressobj()

    def pack(self, frame: bytes) -> bytes:
        return self._stream.compress(frame) + self._stream.flush(self._library.COMPRESSOBJ_FLUSH_BLOCK)


PACKERS: Final[dict[str, type[Packer]]] = {"zlib-stream": ZlibPacker, "zstd-stream": ZstdPacker}


def packer_for(compress: str | None) -> Packer | None:
    """The packer a client's query asks for; None where it wants plain text."""
    packer = PACKERS.get(compress or "")
    return packer() if packer else None
