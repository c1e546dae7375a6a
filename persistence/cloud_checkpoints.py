"""Checkpoints in the cloud: written once, cleaned behind a boundary.

    checkpoint/{guild}/{epoch}-{seq}      as in ``persistence/checkpoints.py``, in zstd
    boundary/{guild}/{epoch}-{seq}        what is older than this is not to come back

Rules: whoever removes old checkpoints marks the boundary first; whoever has written one looks for a boundary, and
takes its own away again, should it lie below: so one that was on its way for long brings nothing back, least of all
what was forgotten meanwhile. Readers heed the boundary as well.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.ports import Randomness
from persistence.checkpoints import KEPT, pack, refuse_stray, unpack
from persistence.cloud_bytes import compress, decompress
from persistence.layer import Checkpoint, CheckpointHeader, Place
from persistence.objects import Objects
from persistence.offload import Offload

CHECKPOINTS: Final = "checkpoint/"
BOUNDARIES: Final = "boundary/"

_KEY: Final = re.compile(r"[a-z]+/([0-9]+)/([0-9]{10})-([0-9]{20})")

NO_BOUNDARY: Final[Place] = (0, 0)


class CloudCheckpoints:
    """The checkpoints of all guilds."""

    def __init__(self, objects: Objects, offload: Offload, randomness: Randomness) -> None:
        self._objects = objects
        self._offload = offload
        self._randomness = randomness
        self._places: dict[GuildId, list[Place]] = {}
        self._boundaries: dict[GuildId, Place] = {}
        self._anchors: dict[GuildId, Mapping[int, bytes]] = {}
        self._notes: list[str] = []

    async def look(self) -> None:
        """Lists what there is, of all guilds."""
        self._anchors = {}
        boundaries = {guild: place async for guild, place in self._list(BOUNDARIES)}
        places: dict[GuildId, list[Place]] = {}
        async for guild, place in self._list(CHECKPOINTS):
            places.setdefault(guild, []).append(place)
        self._places, self._boundaries = places, boundaries

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keeps it durably; those that are older than the two newest, or than its forgetting, go.

        Raises:
            StorageError: when what was written does not read back; the older ones stay.
        """
        header = checkpoint.header
        guild, place = header.guild, (header.epoch, header.seq)
        await self._write(checkpoint)
        self._anchors.pop(guild, None)
        if await self._boundary(guild) > place:
            await self._objects.delete(_key(CHECKPOINTS, guild, place))
        await self._clean(guild, header.forgot_seq)

    def guilds(self) -> Collection[GuildId]:
        """Those that there are any of, as of the last ``look`` or ``save``."""
        return self._places

    def places(self, guild: GuildId) -> Sequence[Place]:
        """Where a guild's checkpoints stand, newest first, as of the last ``look`` or ``save``."""
        return [each for each in reversed(self._places.get(guild, ())) if each >= self._boundaries.get(guild, each)]

    async def load(self, guild: GuildId, place: Place) -> Checkpoint | None:
        """One of them; None = it cannot be read, or was cleaned away meanwhile."""
        try:
            return await self._load(guild, place)
        except Corrupt as error:
            self._notes.append(f"{error}; it is left as it is")
            return None

    async def load_all(self, guild: GuildId) -> Sequence[Checkpoint]:
        """A guild's checkpoints that can be read, newest first, asked for at the same time."""
        reads = (self.load(guild, each) for each in self.places(guild))
        found = await asyncio.gather(*reads, return_exceptions=True)
        failed = [each for each in found if isinstance(each, BaseException)]
        if failed:
            raise failed[0]
        return [each for each in found if isinstance(each, Checkpoint)]

    async def drop(self, guild: GuildId, place: Place) -> None:
        """Takes one away: it is of a branch that lost."""
        await self._objects.delete(_key(CHECKPOINTS, guild, place))
        self._places[guild] = [each for each in self._places.get(guild, ()) if each != place]
        self._anchors.pop(guild, None)

    async def set_aside(self, after_gsn: int, epoch: int) -> None:
        """Takes those of behind a gsn away: they are of a branch that lost, whose records stay.

        ``epoch``: the writer's own; what one after it has written meanwhile is none of its business.
        """
        for guild in tuple(self._places):
            for header in [checkpoint.header for checkpoint in await self.load_all(guild)]:
                if header.gsn > after_gsn and header.epoch <= epoch:
                    await self._objects.delete(_key(CHECKPOINTS, guild, (header.epoch, header.seq)))
        await self.look()

    def newest_seq(self, guild: GuildId) -> int:
        """The seq of a guild's newest checkpoint as of the last ``look`` or ``save``; 0 = none."""
        return max((seq for _, seq in self._places.get(guild, ())), default=0)

    async def load_anchors(self, guild: GuildId) -> None:
        """Reads what ``anchors`` gives of a guild, once after each ``look``."""
        if guild not in self._anchors:
            headers = [checkpoint.header for checkpoint in reversed(await self.load_all(guild))]
            self._anchors[guild] = {header.seq: bytes.fromhex(header.digest) for header in headers}

    def anchors(self, guild: GuildId) -> Mapping[int, bytes]:
        """The digests that a guild's checkpoints tell, by seq (``chains.Anchors``), of two of one seq that of the
        higher epoch; empty before ``load_anchors``.
        """
        return self._anchors.get(guild, {})

    def take_notes(self) -> tuple[str, ...]:
        """What could not be read since this was last asked, a sentence each."""
        told, self._notes = tuple(self._notes), []
        return told

    async def _write(self, checkpoint: Checkpoint) -> None:
        header = checkpoint.header
        key = _key(CHECKPOINTS, header.guild, (header.epoch, header.seq))
        data = await self._offload(lambda: compress(pack(checkpoint)))
        if await self._objects.create(key, data) or await self._holds(key, header):
            return
        await self._objects.delete(key)
        if not await self._objects.create(key, data) and not await self._holds(key, header):
            raise StorageError(f"{key}: it does not read back as it was written")

    async def _holds(self, key: str, header: CheckpointHeader) -> bool:
        """Whether a checkpoint of the same state lies there: two processes may write it, each with its own pages."""
        data = await self._objects.get(key)
        try:
            found = None if data is None else await self._offload(lambda: _unpacked(data, key))
        except Corrupt:
            return False
        return found is not None and (found.header.guild, found.header.digest) == (header.guild, header.digest)

    async def _clean(self, guild: GuildId, forgot_seq: int) -> None:
        there = [place async for _, place in self._list(f"{CHECKPOINTS}{guild}/")]
        kept = [place for place in there if place[1] >= forgot_seq][-KEPT:]
        self._places[guild] = kept
        if not kept or (kept == there and not forgot_seq):
            return
        await self._mark(guild, kept[0])
        async for _, place in self._list(f"{CHECKPOINTS}{guild}/"):
            if place < kept[0] or (place in there and place not in kept):
                await self._objects.delete(_key(CHECKPOINTS, guild, place))

    async def _mark(self, guild: GuildId, boundary: Place) -> None:
        marks = [place async for _, place in self._list(f"{BOUNDARIES}{guild}/")]
        if boundary not in marks:
            await self._objects.create(_key(BOUNDARIES, guild, boundary), self._randomness.token().encode())
        self._boundaries[guild] = max([boundary, *marks])
        for place in marks:
            if place < boundary:
                await self._objects.delete(_key(BOUNDARIES, guild, place))

    async def _boundary(self, guild: GuildId) -> Place:
        return max([place async for _, place in self._list(f"{BOUNDARIES}{guild}/")], default=NO_BOUNDARY)

    async def _load(self, guild: GuildId, place: Place) -> Checkpoint | None:
        key = _key(CHECKPOINTS, guild, place)
        data = await self._objects.get(key)
        if data is None:
            return None  # cleaned away meanwhile
        checkpoint = await self._offload(lambda: _unpacked(data, key))
        refuse_stray(checkpoint.header, guild, place, key)
        return checkpoint

    async def _list(self, prefix: str) -> AsyncIterator[tuple[GuildId, Place]]:
        async for key in self._objects.keys(prefix):
            if (found := _KEY.fullmatch(key)) is not None:  # else it is nobody's, as in ``cloud_bytes.numbers``
                guild, epoch, seq = found.groups()
                yield GuildId(guild), (int(epoch), int(seq))


def _unpacked(data: bytes, key: str) -> Checkpoint:
    return unpack(decompress(data, key), key)


def _key(what: str, guild: GuildId, place: Place) -> str:
    return f"{what}{guild}/{place[0]:010d}-{place[1]:020d}"
