"""What lies in the objects of the cloud: a sealed header line, then a body of zstd. Pure.

    {"format":1,"k":7,"kind":"records","epoch":3,…,"sha256":"…","crc":"8 hex digits"}
    …zstd of the frames, a newline behind each, byte for byte as every layer keeps them…

``sha256`` is that of the body as it is stored, so that nothing damaged is ever decompressed. Keys:

    seg/{k}                a segment: its records, a fence, a cut, or a mend (``Kind``); created once, never changed
    pack/{k1}-{k2}-{id}    the records that count of many segments, in one object
    index/{k}              all that a reader knows once it has read the segments up to ``k`` (``cloud_packs.py``)
    epoch/{e}              who has an epoch (``cloud_epochs.py``)
    checkpoint/…, boundary/…   (``cloud_checkpoints.py``)
"""

import hashlib
import io
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar

import msgspec
import zstandard

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.formats import Format
from persistence.frames import Frame, unseal
from persistence.objects import Objects
from persistence.sealed import seal_line, unseal_line

CLOUD_FORMAT: Final = 1
SEGMENTS: Final = "seg/"
PACKS: Final = "pack/"
CHUNK_RECORDS: Final = 500
"""How many frames are read at once: about 3 ms."""
_READ_BYTES: Final = 256 * 1024
_GUILD: Final = re.compile(rb'"guild":"(\d+)"')
_encoder: Final = msgspec.json.Encoder()


class Kind(StrEnum):
    """What a segment is for; each member's comment says."""

    RECORDS = "records"  # the records from first_gsn to last_gsn; what earlier ones hold from first_gsn on lost
    FENCE = "fence"  # of no record: every segment behind it with a lower epoch does not count
    CUT = "cut"  # of no record: what earlier ones hold from first_gsn on is a branch that lost
    MEND = "mend"  # records once more, for who cannot read the segment that held them


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's first line. A segment without records has ``last_gsn`` = ``first_gsn`` − 1.

    ``put_id``: a random id of this very try to write it; ``previous``: SHA-256 (hex) of the whole segment before,
    "" where there is none to be read; ``guessed``: whether these records are new, and may have taken the place of
    others that the writer could not read.
    """

    k: int
    kind: Kind
    epoch: int
    lineage: str
    writer: str
    put_id: str
    first_gsn: int
    last_gsn: int
    previous: str
    guessed: bool = False
    sha256: str = ""
    format: int = CLOUD_FORMAT
    release: str = ""


class PackHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A pack's first line: the gsns of its first and last record (none is missing), and its segments.

    ``content``: SHA-256 (hex) of the lines in its body.
    """

    first_k: int
    last_k: int
    first_gsn: int
    last_gsn: int
    content: str
    put_id: str
    sha256: str = ""
    format: int = CLOUD_FORMAT
    release: str = ""


_NUMBER: Final = re.compile(r"[0-9]{10}")
_SPAN: Final = re.compile(r"[0-9]{10}-[0-9]{10}-.+")

H = TypeVar("H", bound=msgspec.Struct)

_formats: Final = msgspec.json.Decoder(Format)


def segment_key(k: int) -> str:
    """Where the segment ``k`` (from 1) lies."""
    return f"{SEGMENTS}{k:010d}"


async def numbers(objects: Objects, folder: str, after: int = 0) -> AsyncIterator[int]:
    """The numbers above ``after`` that keys of a folder consist of, ascending.

    What else lies there is nobody's: whoever copies files about leaves others beside them.
    """
    async for key in objects.keys(folder, after=f"{folder}{after:010d}"):
        if _NUMBER.fullmatch(key, len(folder)):
            yield int(key[len(folder) :])


def pack_key(first_k: int, last_k: int, put_id: str) -> str:
    """Where a pack of these segments lies. With an id: a damaged one is in nobody's way."""
    return f"{PACKS}{first_k:010d}-{last_k:010d}-{put_id}"


async def pack_keys(objects: Objects) -> AsyncIterator[str]:
    """Where packs lie; what else does is nobody's."""
    async for key in objects.keys(PACKS):
        if _SPAN.fullmatch(key, len(PACKS)):
            yield key


def digest_of(data: bytes) -> str:
    """SHA-256 (hex)."""
    return hashlib.sha256(data).hexdigest()


def wrap(header: msgspec.Struct, body: bytes) -> bytes:
    """An object's bytes. The header has a ``sha256``, which is set here."""
    whole = msgspec.structs.replace(header, sha256=digest_of(body))
    return seal_line(_encoder.encode(whole)) + body


def read_header(data: bytes, kind: type[H], where: str) -> H:
    """The header of an object; its body may be damaged (``body_of``).

    Raises:
        Corrupt: when it is not what was written. ``where`` names the object.
        NewerFormat: when a later release wrote it.
    """
    json = unseal_line(data[: data.find(b"\n")], where)
    try:
        _formats.decode(json).refuse_above(CLOUD_FORMAT, where)
        return msgspec.json.decode(json, type=kind)
    except msgspec.MsgspecError as error:
        raise Corrupt(where, f"unreadable: {error}") from error


def body_of(data: bytes, sha256: str, where: str) -> bytes:
    """The body of an object, which is as its header says.

    Raises:
        Corrupt: when it is not what was written.
    """
    body = data[data.find(b"\n") + 1 :]
    if digest_of(body) != sha256:
        raise Corrupt(where, "the body differs from its checksum")
    return body


def compress(data: bytes) -> bytes:
    """A body, of what is in memory whole."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def decompress(body: bytes, where: str) -> bytes:
    """All that a body holds.

    Raises:
        Corrupt: when it is none.
    """
    try:
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).readall()
    except zstandard.ZstdError as error:
        raise Corrupt(where, f"unreadable: {error}") from error


def segment(header: SegmentHeader, frames: Sequence[Frame]) -> bytes:
    """A segment's bytes."""
    return wrap(header, compress(b"".join(frame.data + b"\n" for frame in frames)))


class Packing:
    """A pack's body, made piece by piece: only what is compressed stays in memory. ``count``: of its records."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        self._content = hashlib.sha256()
        self._parts: list[bytes] = []
        self.count = 0

    def add(self, frames: Sequence[Frame], last_gsn: int) -> None:
        """Adds frames up to a gsn."""
        kept = [frame.data + b"\n" for frame in frames if frame.record.gsn <= last_gsn]
        lines = b"".join(kept)
        self._content.update(lines)
        self._parts.append(self._compressor.compress(lines))
        self.count += len(kept)

    def content(self) -> str:
        """As in the header."""
        return self._content.hexdigest()

    def finish(self) -> bytes:
        """The body; nothing is added after it."""
        return b"".join([*self._parts, self._compressor.flush()])


def content_of(data: bytes, where: str) -> str:
    """What a pack's ``content`` is to be, found anew.

    Raises:
        Corrupt: when it is not what was written.
    """
    header = read_header(data, PackHeader, where)
    return digest_of(decompress(body_of(data, header.sha256, where), where))


def chunks_of(body: bytes, where: str) -> Iterator[list[Frame]]:
    """The frames of a body, ``CHUNK_RECORDS`` at a time.

    Raises:
        Corrupt, NewerFormat: as ``frames.unseal``.
    """
    frames = (unseal(line, where) for line in _lines(body, where))
    while chunk := list(islice(frames, CHUNK_RECORDS)):
        yield chunk


def _lines(body: bytes, where: str) -> Iterator[bytes]:
    rest = b""
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body))
    while True:
        try:
            data = reader.read(_READ_BYTES)
        except zstandard.ZstdError as error:
            raise Corrupt(where, f"unreadable: {error}") from error
        if not data:
            break
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        raise Corrupt(where, "the last line has no end")


def guilds_in(body: bytes, where: str) -> frozenset[bytes]:
    """The guilds that a body has records of (and perhaps more: whatever looks so)."""
    return frozenset(_GUILD.findall(decompress(body, where)))


def frames_of(guild: GuildId, body: bytes, where: str) -> list[Frame]:
    """A guild's frames in a body.

    Raises:
        Corrupt, NewerFormat: as ``frames.unseal``.
    """
    mark = b'"guild":"%b"' % guild.encode()
    frames = [unseal(line, where) for line in _lines(body, where) if mark in line]
    return [frame for frame in frames if frame.record.guild == guild]
