"""Segments: the lines of the log's files, written and read. Pure; nothing here touches a disk.

    {"segment":{"format":1,"first_gsn":1,"epoch":1,"lineage":"…","release":"…"},"crc":"8 hex digits"}
    {"batch":{"confirmed":0},"crc":"…"}         the last gsn that was durable before this batch was written
    {…a frame…}                                 the batch's records (``persistence/frames.py``)
    {"batch":{"confirmed":2},"crc":"…"}
    …

Every line ends with a newline and carries a CRC32C of what stands before ``,"crc"``. What a reader may conclude from
these lines is the business of ``persistence/scan.py``.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from ledger.errors import Corrupt
from persistence.formats import Format, written_by
from persistence.frames import Frame, unseal
from persistence.sealed import seal_line, unseal_line

SEGMENT_FORMAT: Final = 1
_OURS: Final = (b'{"segment":', b'{"batch":')


class LogFileHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A file's first line: its first record's gsn (also of an empty one), the term of its writer, and its release."""

    format: int
    first_gsn: int
    epoch: int
    lineage: str
    release: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Opens a batch: everything up to ``confirmed`` (a gsn, 0 = none) was durable when it was written."""

    confirmed: int


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is not what was written."""

    why: str


Content: TypeAlias = LogFileHeader | Batch | Frame | Bad


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line, where it starts in bytes from the file's start, and how many it takes."""

    offset: int
    size: int
    content: Content


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    segment: LogFileHeader | None = None
    batch: Batch | None = None


class _AnyFormat(msgspec.Struct, frozen=True):
    segment: Format


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Sealed)
_formats: Final = msgspec.json.Decoder(_AnyFormat)


def header_line(header: LogFileHeader) -> bytes:
    """The first line of a file, newline included."""
    return _sealed(_Sealed(segment=header))


def batch_lines(confirmed: int, frames: Sequence[Frame]) -> bytes:
    """A batch behind what is ``confirmed``: its opening line and its frames, newlines included."""
    return b"".join([batch_line(confirmed), *(frame.data + b"\n" for frame in frames)])


def batch_line(confirmed: int) -> bytes:
    """The line that opens a batch, newline included."""
    return _sealed(_Sealed(batch=Batch(confirmed=confirmed)))


def lines(data: bytes, name: str) -> Iterator[Line]:
    """The lines of a segment's bytes. Whatever is not a whole, sealed line comes as ``Bad``.

    Raises:
        NewerFormat: when a later release wrote the file, by its header or by a record of an unknown kind.
    """
    offset = 0
    pieces = data.split(b"\n")
    rest = pieces.pop()
    with written_by(_release(pieces, name)):
        for piece in pieces:
            yield Line(offset=offset, size=len(piece) + 1, content=_read(piece, name))
            offset += len(piece) + 1
    if rest:
        yield Line(offset=offset, size=len(rest), content=Bad(why="the line has no end"))


def _release(pieces: Sequence[bytes], name: str) -> str:
    header = _read(pieces[0], name) if pieces else None
    return header.release if isinstance(header, LogFileHeader) else ""


def _read(piece: bytes, name: str) -> Content:
    try:
        return _unsealed(piece, name) if piece.startswith(_OURS) else unseal(piece, name)
    except Corrupt as error:
        return Bad(why=error.why)


def _sealed(line: _Sealed) -> bytes:
    return seal_line(_encoder.encode(line))


def _unsealed(piece: bytes, where: str) -> LogFileHeader | Batch:
    body = unseal_line(piece, where)
    try:
        _refuse_newer(body, where)
        line = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(where, f"unreadable: {error}") from error
    content = line.segment or line.batch
    assert content is not None, "a sealed line has a content"
    return content


def _refuse_newer(body: bytes, where: str) -> None:
    if body.startswith(_OURS[0]):
        _formats.decode(body).segment.refuse_above(SEGMENT_FORMAT, where)
