"""Frames: a record as bytes, sealed with its place in the guild's chain and a checksum.

    {…the record…,"digest":"64 hex digits","crc":"8 hex digits"}

``digest`` = SHA-256 of the guild's previous digest (32 bytes; zeros before the first) and the record's JSON up to
but without ``,"digest"``; ``crc`` = CRC32C of everything before ``,"crc"``. A frame holds no newline. Every layer
keeps these bytes unchanged, so that one layer can rebuild another and any two can be compared.
"""

import hashlib
from typing import Final, cast

import google_crc32c
import msgspec

from ledger.errors import Corrupt, NewerFormat
from ledger.records import Record

GENESIS: Final = bytes(32)
"""The digest before a guild's first record."""

_DIGEST_MARK: Final = b',"digest":"'
_CRC_TAIL: Final = b',"crc":"'
_TAIL_LENGTH: Final = len(_DIGEST_MARK) + 64 + len(b'"') + len(_CRC_TAIL) + 8 + len(b'"}')
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Record)


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record with the bytes that every layer keeps, and its digest (32 bytes)."""

    record: Record
    data: bytes
    digest: bytes


def crc32c(data: bytes) -> bytes:
    """CRC32C as 8 lower-case hex digits."""
    # The package does not say of which type its argument is.
    checksum = cast("int", google_crc32c.value(data))  # pyright: ignore[reportUnknownMemberType]
    return b"%08x" % checksum


def seal(record: Record, previous: bytes) -> Frame:
    """The frame of ``record`` behind the digest ``previous`` (32 bytes) of the same guild."""
    body = _encoder.encode(record)[:-1]
    digest = hashlib.sha256(previous + body).digest()
    checked = body + _DIGEST_MARK + digest.hex().encode() + b'"'
    return Frame(record=record, data=checked + _CRC_TAIL + crc32c(checked) + b'"}', digest=digest)


def unseal(data: bytes, where: str) -> Frame:
    """Reads a frame and verifies its checksum; the chain is the caller's to verify (``follows``).

    Raises:
        Corrupt: when checksum, digits or shape are not those of a frame. ``where`` names the place.
        NewerFormat: when the checksum holds and the record is of no kind that this release knows: it was written
            whole, so a later release wrote it, and taking it for damage would cut it off.
    """
    if len(data) <= _TAIL_LENGTH or data[-len(_CRC_TAIL) - 10 : -10] != _CRC_TAIL or data[-2:] != b'"}':
        raise Corrupt(where, "no frame")
    checked, crc = data[: -len(_CRC_TAIL) - 10], data[-10:-2]
    if crc32c(checked) != crc:
        raise Corrupt(where, "checksum differs")
    try:
        digest = bytes.fromhex(checked[-65:-1].decode("ascii"))
        record = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise NewerFormat(where, f"a record of a kind unknown here ({error})") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise Corrupt(where, f"unreadable: {error}") from error
    return Frame(record=record, data=data, digest=digest)


def follows(frame: Frame, previous: bytes) -> bool:
    """Whether the frame stands behind the digest ``previous`` in its guild's chain."""
    body = frame.data[:-_TAIL_LENGTH]
    return hashlib.sha256(previous + body).digest() == frame.digest
