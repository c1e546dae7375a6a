"""Packs: the records of many segments in one object, so that reading a long history takes few requests.

Rules: a pack is derived and can be done without: its segments stay, and readers fall back on them. It is read back
before anybody relies on it. A small pack is merged into the next one as soon as that is as large, so that there are
few however slowly records come, and each is copied a few times at most. Behind new packs a new index is written.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final

from ledger.errors import StorageError
from ledger.ports import Randomness
from persistence.cloud_bytes import PackHeader, Packing, content_of, numbers, pack_key, wrap
from persistence.cloud_index import INDEXES, KEPT_INDEXES, CloudIndex, index_bytes, index_key
from persistence.cloud_layout import Layout, Stretch
from persistence.cloud_reading import CloudReader
from persistence.formats import RELEASE
from persistence.objects import Objects
from persistence.offload import Offload

PACK_SEGMENTS: Final = 256
PACK_BYTES: Final = 4 * 1024 * 1024
"""So many segments without an index, or so many bytes of segments without a pack, are worth packing; a pack of so
many bytes is not merged any more."""


class Packer:
    """Makes packs and indexes of what a reader knows."""

    def __init__(self, objects: Objects, offload: Offload, randomness: Randomness, reader: CloudReader) -> None:
        self._objects = objects
        self._offload = offload
        self._randomness = randomness
        self._reader = reader

    def is_due(self) -> bool:
        """Whether there is enough to pack, or an index to be renewed."""
        layout = self._reader.layout
        if self._reader.must_index:
            return True
        loose = sum(stretch.size for stretch in _tail(layout) if not stretch.packed)
        return layout.k - self._reader.indexed >= PACK_SEGMENTS or loose >= PACK_BYTES

    async def pack(self) -> None:
        """Makes one pack, of the oldest that is due, and an index.

        Raises:
            StorageError: when one was not written as it should; nobody relies on it then.
        """
        group = _first_group(_tail(self._reader.layout))
        if group:
            await self._pack(group)
        await self._write_index()
        for stretch in group:
            if stretch.packed:
                await self._objects.delete(pack_key(stretch.k, stretch.last_k, stretch.packed))

    async def _pack(self, group: Sequence[Stretch]) -> None:
        first, last = group[0], group[-1]
        packing = await self._records(first.first, last.last)
        self._mind(group)
        header = PackHeader(
            first_k=first.k,
            last_k=last.last_k,
            first_gsn=first.first,
            last_gsn=last.last,
            content=packing.content(),
            put_id=self._randomness.token(),
            release=RELEASE,
        )
        data = await self._offload(lambda: wrap(header, packing.finish()))
        key = pack_key(header.first_k, header.last_k, header.put_id)
        await self._objects.create(key, data)
        await self._read_back(key, data)
        if await self._offload(lambda: content_of(data, key)) != header.content:
            raise StorageError(f"{key} does not hold what was packed")
        self._mind(group)
        whole = Stretch(
            first=header.first_gsn,
            last=header.last_gsn,
            k=header.first_k,
            last_k=header.last_k,
            size=len(data),
            packed=header.put_id,
        )
        self._reader.layout.replace(group, [whole])

    def _mind(self, group: Sequence[Stretch]) -> None:
        """What came behind them meanwhile is none of their business.

        Raises:
            StorageError: when they are not what they were: some cannot be read, or do not count any more.
        """
        first, last = group[0].first, group[-1].last
        if list(islice(self._reader.layout.pieces(first - 1), len(group))) != group:
            raise StorageError(f"of gsn {first} to {last} not all can be read; they are not packed")

    async def _records(self, first: int, last: int) -> Packing:
        packing = Packing()
        async for chunk in self._reader.chunks(first - 1):
            await self._offload(partial(packing.add, chunk, last))
            if chunk[-1].record.gsn >= last:
                break
        return packing

    async def _write_index(self) -> None:
        """Writes the index of all segments that were read; of the older ones one stays.

        Raises:
            StorageError: when they are gone: an index that came into an emptied store would be believed there.
        """
        layout, verified = self._reader.layout.copy(), self._reader.chains.verified.copy()
        index = CloudIndex(layout=layout, verified=verified)
        put_id = self._randomness.token()
        data = await self._offload(lambda: index_bytes(index, put_id))
        key = index_key(layout.k)
        if await self._reader.newest_there() is None:
            raise StorageError("the cloud has no longer what was written into it: no index is made of that")
        await self._objects.put(key, data)  # there may be one: damaged, or of before the newest pack
        await self._read_back(key, data)
        self._reader.indexed, self._reader.must_index = layout.k, False
        for k in [k async for k in numbers(self._objects, INDEXES)][:-KEPT_INDEXES]:
            await self._objects.delete(index_key(k))

    async def _read_back(self, key: str, data: bytes) -> None:
        if await self._objects.get(key) != data:
            raise StorageError(f"{key} does not read back as it was written")


def _tail(layout: Layout) -> list[Stretch]:
    """The stretches at the end that are worth packing: the loose ones, and packs no larger than what follows them."""
    tail: list[Stretch] = []
    size = 0
    for stretch in reversed(layout.stretches):
        if tail and stretch.last + 1 != tail[-1].first:
            break  # a pack has no hole
        if stretch.size > min(size, PACK_BYTES) if stretch.packed else stretch.k in layout.damaged:
            break
        tail.append(stretch)
        size += stretch.size
    return tail[::-1]


def _first_group(tail: Sequence[Stretch]) -> list[Stretch]:
    """As many stretches as make a pack."""
    group: list[Stretch] = []
    for stretch in tail:
        group.append(stretch)
        if sum(each.size for each in group) >= PACK_BYTES:
            break
    return group if len(group) > 1 or (group and not group[0].packed) else []
