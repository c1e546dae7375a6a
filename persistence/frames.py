"""Frames: a record as bytes, sealed with its place in the guild's chain and a checksum.

    {…the record…,"digest":"64 hex digits","crc":"8 hex digits"}

``digest`` = SHA-256 of the guild's previous digest (32 bytes; zeros before the first) and the record's JSON up to
but without ``,"digest"``; ``crc`` = CRC32C of everything before ``,"crc"``. A frame holds no newline. Every layer
keeps these bytes unchanged, so that one layer can rebuild another and any two can be compared.
"""

import hashlib
from binascii import hexlify, unhexlify
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

import google_crc32c
import msgspec

from ledger.errors import Corrupt, NewerFormat
from ledger.records import Record

GENESIS: Final = bytes(32)
"""The digest before a guild's first record."""

_DIGEST_MARK: Final = b',"digest":"'
_CRC_TAIL: Final = b',"crc":"%08x"}'
_CRC_LENGTH: Final = len(_CRC_TAIL % 0)
_TAIL_LENGTH: Final = len(_DIGEST_MARK) + 64 + len(b'"') + _CRC_LENGTH
_DIGEST: Final = slice(-_CRC_LENGTH - 65, -_CRC_LENGTH - 1)
"""Where the digits of the digest stand in a frame."""
_CHECKED: Final = slice(-_CRC_LENGTH)
_BODY: Final = slice(-_TAIL_LENGTH)
# The package does not say of which type its argument is. Gives the CRC32C of some bytes.
checksum: Final = cast(
    "Callable[[bytes], int]",
    google_crc32c.value,  # pyright: ignore[reportUnknownMemberType]
)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Record)


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record with the bytes that every layer keeps, and its digest (32 bytes)."""

    record: Record
    data: bytes
    digest: bytes


def crc32c(data: bytes) -> bytes:
    """CRC32C as 8 lower-case hex digits."""
    return b"%08x" % checksum(data)


def seal(record: Record, previous: bytes) -> Frame:
    """The frame of ``record`` behind the digest ``previous`` (32 bytes) of the same guild."""
    body = _encoder.encode(record)[:-1]
    digest = hashlib.sha256(previous + body).digest()
    checked = body + _DIGEST_MARK + hexlify(digest) + b'"'
    return Frame(record=record, data=checked + _CRC_TAIL % checksum(checked), digest=digest)


def is_whole(data: bytes) -> bool:
    """Whether a frame's checksum is that of its bytes."""
    return data.endswith(_CRC_TAIL % checksum(data[_CHECKED])) and len(data) > _TAIL_LENGTH


def unseal(data: bytes, where: object) -> Frame:
    """Reads a frame and verifies its checksum; the chain is the caller's to verify (``follows``).

    ``where`` names the place; it becomes a text only where something is wrong there.

    Raises:
        Corrupt: when checksum, digits or shape are not those of a frame.
        NewerFormat: when the checksum holds and the record is of no kind that this release knows: it was written
            whole, so a later release wrote it, and taking it for damage would cut it off.
    """
    if not is_whole(data):
        raise Corrupt(str(where), "checksum differs")
    try:
        digest = unhexlify(data[_DIGEST])
        record = _decoder.decode(data)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _unreadable(error, where) from error
    return Frame(record=record, data=data, digest=digest)


def follows(frame: Frame, previous: bytes) -> bool:
    """Whether the frame stands behind the digest ``previous`` in its guild's chain."""
    return hashlib.sha256(previous + frame.data[_BODY]).digest() == frame.digest


def digest_behind(previous: bytes, lines: Iterable[bytes]) -> bytes:
    """The digest that a guild's chain has behind these frames, if ``previous`` is the one before them.

    Where it is the one that is known to stand there, their records are what was written: ``records_in`` decodes them.
    Their own digests and checksums are not looked at: ``is_whole`` tells which frame is damaged.
    """
    digest, sha256 = previous, hashlib.sha256
    for line in lines:
        digest = sha256(digest + line[_BODY]).digest()
    return digest


def records_in(lines: Iterable[bytes], where: object) -> Iterator[Record]:
    """The records of frames that ``digest_behind`` has vouched for, one after the other: whoever takes each at once
    finds it in the processor's cache, and never has them all in memory.

    Raises:
        Corrupt, NewerFormat: when one is no record that this release can read (``unseal``).
    """
    decode = _decoder.decode
    try:
        for line in lines:
            yield decode(line[_BODY] + b"}")
    except msgspec.MsgspecError as error:
        raise _unreadable(error, where) from error


def _unreadable(error: Exception, where: object) -> Corrupt | NewerFormat:
    if isinstance(error, msgspec.ValidationError):
        return NewerFormat(str(where), f"a record of a kind unknown here ({error})")
    return Corrupt(str(where), f"unreadable: {error}")
