"""What lies in an object of the cloud, verified on the way: for whoever knows which part of it counts. Pure.

Raised where an object is not what was written: ``Corrupt``; where a later release wrote it: ``NewerFormat``.
"""

from collections.abc import Iterable, Iterator

from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.cloud_bytes import (
    PackHeader,
    SegmentHeader,
    body_of,
    chunks_of,
    digest_of,
    frames_of,
    guilds_in,
    pack_key,
    read_header,
    segment_key,
)
from persistence.cloud_layout import Stretch
from persistence.formats import written_by
from persistence.frames import Frame


class Gone(Corrupt):
    """The object is not there."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "it is gone")


def look_at(data: bytes | None, k: int) -> tuple[SegmentHeader, str, str]:
    """A segment's header, the digest of all of it, and what is wrong with its body ("" = nothing).

    Of one that is damaged there is no digest: whoever writes behind it shall not say that it was so.
    """
    key = segment_key(k)
    if data is None:
        raise Gone(key)
    header = read_header(data, SegmentHeader, key)
    if header.k != k:
        raise Corrupt(key, f"it is a copy of segment {header.k}")
    try:
        body_of(data, header.sha256, key)
    except Corrupt as error:
        return header, "", str(error)
    return header, digest_of(data), ""


def opened(piece: Stretch, data: bytes | None) -> tuple[SegmentHeader | PackHeader, bytes]:
    """An object's header and body."""
    key = key_of(piece)
    if data is None:
        raise Gone(key)
    header = read_header(data, PackHeader, key) if piece.packed else read_header(data, SegmentHeader, key)
    if _key(header) != key:
        raise Corrupt(key, f"it is a copy of {_key(header)}")
    return header, body_of(data, header.sha256, key)


def _key(header: SegmentHeader | PackHeader) -> str:
    if isinstance(header, SegmentHeader):
        return segment_key(header.k)
    return pack_key(header.first_k, header.last_k, header.put_id)


def chunks_of_piece(piece: Stretch, data: bytes | None) -> Iterator[list[Frame]]:
    """The records of a piece, chunk by chunk."""
    header, body = opened(piece, data)
    gsn = header.first_gsn
    with written_by(header.release):
        for chunk in chunks_of(body, key_of(piece)):
            wanted: list[Frame] = []
            for frame in chunk:
                if frame.record.gsn != gsn:
                    raise Corrupt(key_of(piece), f"gsn {frame.record.gsn} stands where {gsn} belongs")
                if piece.first <= gsn <= piece.last:
                    wanted.append(frame)
                gsn += 1
            if wanted:
                yield wanted
    if gsn <= piece.last:
        raise Corrupt(key_of(piece), f"it ends before gsn {gsn}")


def search(piece: Stretch, data: bytes | None, guild: GuildId) -> tuple[frozenset[bytes], list[Frame]]:
    """The guilds in an object, and the frames of one of them."""
    header, body = opened(piece, data)
    with written_by(header.release):
        return guilds_in(body, key_of(piece)), frames_of(guild, body, key_of(piece))


def standing(frames: Iterable[Frame]) -> list[Frame]:
    """A guild's frames without those that lost to a branch with a higher epoch."""
    kept: list[Frame] = []
    for frame in frames:
        while kept and kept[-1].record.seq >= frame.record.seq and kept[-1].record.epoch < frame.record.epoch:
            kept.pop()
        if not kept or frame.record.seq > kept[-1].record.seq:
            kept.append(frame)
    return kept


def key_of(piece: Stretch) -> str:
    return pack_key(piece.k, piece.last_k, piece.packed) if piece.packed else segment_key(piece.k)
