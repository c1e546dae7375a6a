"""The index of heads: all that a reader knows once it has read every segment up to one, in an object of its own.

    index/{k}      a sealed header, then zstd of JSON: the layout of the segments, and the head of every guild

So a start reads the newest index and the segments behind it. An index is derived: it is believed only while the
segment ``k`` is the one that it was made behind; a damaged one is passed over for the one before.
"""

from functools import partial
from typing import Final

import msgspec

from ledger.errors import Corrupt
from persistence.chains import Verified
from persistence.cloud_bytes import CLOUD_FORMAT, body_of, compress, decompress, numbers, read_header, wrap
from persistence.cloud_layout import Layout
from persistence.formats import RELEASE
from persistence.objects import Objects
from persistence.offload import Offload

INDEXES: Final = "index/"
KEPT_INDEXES: Final = 2
"""So many stay."""


class CloudIndex(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the segments up to ``layout.k``, and of their records."""

    layout: Layout
    verified: Verified


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    k: int
    put_id: str
    sha256: str = ""
    format: int = CLOUD_FORMAT
    release: str = ""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(CloudIndex)


def index_key(k: int) -> str:
    """Where the index of the segments up to ``k`` lies."""
    return f"{INDEXES}{k:010d}"


def index_bytes(index: CloudIndex, put_id: str) -> bytes:
    """The object."""
    return wrap(_Header(k=index.layout.k, put_id=put_id, release=RELEASE), compress(_encoder.encode(index)))


async def newest_index(objects: Objects, offload: Offload, notes: list[str]) -> CloudIndex | None:
    """The newest index that can be read; what is wrong with others is added to ``notes``.

    Raises:
        NewerFormat: when a later release wrote it.
    """
    for k in reversed([k async for k in numbers(objects, INDEXES)]):
        key = index_key(k)
        data = await objects.get(key)
        if data is None:
            continue  # a newer one has come meanwhile
        try:
            return await offload(partial(_read, data, key))
        except Corrupt as error:
            notes.append(f"{error}; it is left as it is")
    return None


def _read(data: bytes, key: str) -> CloudIndex:
    header = read_header(data, _Header, key)
    try:
        index = _decoder.decode(decompress(body_of(data, header.sha256, key), key))
    except msgspec.MsgspecError as error:
        raise Corrupt(key, f"unreadable: {error}") from error
    if not index.layout.k == header.k or index_key(header.k) != key:
        raise Corrupt(key, f"it is a copy of the index of segment {header.k}")
    return index
