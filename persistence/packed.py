"""Packed lines: blocks that are compressed one by one, so that each can be read, and may rot, by itself. Pure.

    16 bytes    a frame that zstd skips: its magic number, 8, then length and CRC32C of what follows (4 bytes each)
    a frame of zstd: whole lines, about ``BLOCK_BYTES``
    …

`zstdcat` prints the lines. A byte among them is addressed by a number (``address``) that tells where its block begins
and where it lies in that block's lines.
"""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec
import zstandard

from persistence.frames import checksum

BLOCK_BYTES: Final = 64 * 1024
"""So many bytes of lines make a block: more would cost whoever reads one line, less would compress worse."""
HEAD_BYTES: Final = 16
_MAGIC: Final = struct.pack("<II", 0x184D2A50, 8)  # RFC 8878, 3.1.2: a skippable frame of 8 bytes
_SEAL: Final = struct.Struct("<II")
_WITHIN_BITS: Final = 32
_WITHIN: Final = (1 << _WITHIN_BITS) - 1


class Block(msgspec.Struct, frozen=True):
    """A block: where it begins, its lines (None = they are not what was written), and where the next one begins."""

    offset: int
    lines: bytes | None
    end: int


def address(block: int, within: int) -> int:
    """The number of a byte: that of its block's first byte in the file, and its own in the block's lines."""
    return block << _WITHIN_BITS | within


def split(number: int) -> tuple[int, int]:
    """What ``address`` was given."""
    return number >> _WITHIN_BITS, number & _WITHIN


def pack(data: bytes) -> bytes:
    """Whole lines, packed."""
    compressor = zstandard.ZstdCompressor()
    return b"".join(_block(compressor.compress(lines)) for lines in _cut(data))


def blocks(data: bytes) -> Iterator[Block]:
    """The blocks of packed lines, also those behind one that is damaged."""
    offset = 0
    while offset < len(data):
        block = block_at(data, offset)
        yield block
        offset = block.end


def length_of(head: bytes) -> int:
    """How many bytes a block takes, by its first ``HEAD_BYTES``; 0 = these are no block's.

    One of nothing is never written; where a disk left zeros, their checksum would be that of nothing.
    """
    if len(head) < HEAD_BYTES or not head.startswith(_MAGIC):
        return 0
    length: int = _SEAL.unpack_from(head, len(_MAGIC))[0]
    return HEAD_BYTES + length if length else 0


def block_at(data: bytes, offset: int) -> Block:
    """The block that begins at an offset; one that is damaged ends where the next one can be seen to begin."""
    end = offset + length_of(data[offset : offset + HEAD_BYTES])
    lines = _unpacked(data[offset:end]) if offset < end <= len(data) else None
    if lines is None:
        end = data.find(_MAGIC, offset + 1)
    return Block(offset, lines, end if end > 0 else len(data))


def _unpacked(block: bytes) -> bytes | None:
    """The lines of a block. Its checksum holds before anything is made of it, so what it says of itself is so."""
    body = block[HEAD_BYTES:]
    if _SEAL.unpack_from(block, len(_MAGIC))[1] != checksum(body):
        return None
    return zstandard.ZstdDecompressor().decompress(body)


def _block(body: bytes) -> bytes:
    return _MAGIC + _SEAL.pack(len(body), checksum(body)) + body


def _cut(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + BLOCK_BYTES) + 1 or len(data)
        yield data[start:end]
        start = end
