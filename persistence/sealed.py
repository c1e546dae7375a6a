"""Sealed lines: a JSON object that ends with the CRC32C of what stands before it.

    {…,"crc":"8 hex digits"}

The same ending as a frame's, for the headers of segments and checkpoints and for batch lines. Pure.
"""

from typing import Final

from ledger.errors import Corrupt
from persistence.frames import crc32c

_MARK: Final = b',"crc":"'
_LENGTH: Final = len(_MARK) + 8 + len(b'"}')


def seal_line(json: bytes) -> bytes:
    """A JSON object (not an empty one) with its checksum inside, and a newline."""
    checked = json[:-1]
    return checked + _MARK + crc32c(checked) + b'"}\n'


def unseal_line(line: bytes, where: str) -> bytes:
    """The JSON object of a line without newline.

    Raises:
        Corrupt: when the checksum is not that of the line. ``where`` names the place.
    """
    checked, tail = line[:-_LENGTH], line[-_LENGTH:]
    if tail != _MARK + crc32c(checked) + b'"}':
        raise Corrupt(where, "checksum differs")
    return checked + b"}"
