"""What a WAL holds behind the place where SQLite stops believing it.

SQLite drops the first damaged frame of a WAL and all behind it without a word: with them go commits that were
acknowledged. Here is looked, by the frames' headers alone, whether something of the same generation follows; it may
also be a commit that was never whole. The layout is https://sqlite.org/fileformat2.html, section 4. Pure.
"""

import struct
from typing import Final

PAGE_BYTES: Final = 4096
"""SQLite's default, which is kept."""
_HEADER_BYTES: Final = 32
_FRAME_BYTES: Final = 24 + PAGE_BYTES
_WORD: Final = 2**32


def disbelieved(wal: bytes, believed: int) -> int:
    """How many pages of the WAL's newest generation lie behind the first ``believed`` ones.

    Frames of older generations, which were moved into the database before, have other salts.
    """
    salts = wal[16:24] if _header_holds(wal) else wal[_HEADER_BYTES + 8 : _HEADER_BYTES + 16]
    places = range(_HEADER_BYTES + believed * _FRAME_BYTES, len(wal), _FRAME_BYTES)
    return sum(bool(salts) and wal[at + 8 : at + 16] == salts for at in places)


def _header_holds(wal: bytes) -> bool:
    """Whether the header's checksum is that of its first 24 bytes."""
    big_endian = wal[3:4] == b"\x83"
    words = struct.unpack(">6I" if big_endian else "<6I", wal[:24].ljust(24, b"\0"))
    first = second = 0
    for a, b in zip(words[::2], words[1::2], strict=True):
        first = (first + a + second) % _WORD
        second = (second + b + first) % _WORD
    return wal[24:32] == first.to_bytes(4, "big") + second.to_bytes(4, "big")
