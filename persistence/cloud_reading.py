"""Reading the cloud: its segments in their order, then the records that count. Writes nothing.

Rules: what was read is not read again, unless the store has lost or exchanged it (a copy of yesterday's was put in
its place): then all is read anew. Damaged objects are said, and left where they are; what a pack does not give comes
from its segments, and what a segment does not give from a mend. All that is decoded is decoded off the event loop, a
piece at a time, so that memory stays flat however long the history is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice, takewhile
from math import ceil
from typing import Final

from ledger.errors import Corrupt
from ledger.ids import GuildId
from ledger.records import Record
from persistence.chains import NO_HEAD, Chains, Verified, appends, itself
from persistence.cloud_bytes import (
    SEGMENTS,
    Kind,
    SegmentHeader,
    digest_of,
    numbers,
    segment_key,
)
from persistence.cloud_checkpoints import CloudCheckpoints
from persistence.cloud_index import newest_index
from persistence.cloud_layout import Layout, Stretch, up_to
from persistence.cloud_pieces import Gone, chunks_of_piece, key_of, look_at, search, standing
from persistence.frames import Frame
from persistence.objects import Objects
from persistence.offload import Offload

AHEAD_OBJECTS: Final = 16
AHEAD_BYTES: Final = 16 * 1024 * 1024
"""So many objects, and about so many bytes, are asked for at once."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Objects that were read or written just now stay in memory."""


class CloudReader:
    """What is known of the cloud. ``layout``: of all segments seen; ``chains``: of all records verified.

    ``indexed``: the segment up to which there is an index;
    ``was_put_back``: whether what was known was found to be gone; whoever has seen to that begins anew.
    ``must_index``: whether the index must be written anew: ignored segments lie behind it, and an index made of those
    may carry a higher number; or the segment that it ends with is gone.
    """

    def __init__(self, objects: Objects, offload: Offload, checkpoints: CloudCheckpoints) -> None:
        self._objects = objects
        self._offload = offload
        self._checkpoints = checkpoints
        self._notes: list[str] = []
        self._remarks: list[str] = []
        self._scrubbed_k: int | None = None
        self.was_put_back = self.must_index = False
        self.forget()

    # What is there

    async def look(self) -> None:
        """Reads the segments that are new, and verifies each.

        Raises:
            NewerFormat: when a later release wrote one.
        """
        if not self.layout.k or not await self._has(self.layout.k, self.layout.digest):
            self.was_put_back = self.was_put_back or bool(self.layout.k)
            self.forget()
            await self._begin_at_an_index()
        last = max([k async for k in numbers(self._objects, SEGMENTS, self.layout.k)], default=0)
        async for k, data in self._segments(self.layout.k + 1, last):
            await self._take(self.layout, k, data)
        if self.layout.k < self._cut_short_k:
            self.layout.hides_end = True
        self._looked_k = self.layout.k

    async def look_again_at_the_newest(self) -> None:
        """Before anything is written behind a segment that could not be read: perhaps only the answer was garbled."""
        k = self.layout.k
        if k and not self.layout.digest and not await self._flaw(k, await self._objects.get(segment_key(k))):
            self.forget()
            await self.look()

    async def is_as_left(self) -> bool:
        """Whether the segments are those that were read and written; what others wrote behind them is read.

        Asked by whoever writes.
        """
        if self.was_put_back:
            return False
        newest = await self.newest_there()
        self.was_put_back = newest is None
        if newest is not None and newest > self.layout.k:
            await self.look()
            await self.verify()
        self._looked_k = self.layout.k
        return not self.was_put_back

    async def newest_there(self) -> int | None:
        """The number of the newest segment, by one list; None = of those since the last look not all are there.

        The newest alone tells nothing: it may have been written since older ones went. Nor do numbers alone: an older
        copy may have been laid over what is there. So the one with which the epoch began is compared, and the first
        one: what was given to an emptied store again has another, whenever that was.
        """
        before, k = self._looked_k, self.layout.k
        there = {k async for k in numbers(self._objects, SEGMENTS, max(0, before - 1))}
        has_all = there.issuperset(range(max(1, before), k + 1)) and await self._has(*self._begun)
        has_all = has_all and not await self._has_other(1, self.layout.first)
        return max(there, default=0) if has_all else None

    def begin(self) -> None:
        """An epoch begins behind what was read: that has to stay what it is."""
        self._begun = self.layout.k, self.layout.digest

    async def verify(self) -> None:
        """Follows every guild's chain through the records that are new.

        Raises:
            NewerFormat: when a later release wrote one.
            Corrupt: when an earlier one turns out to be unreadable.
        """
        async for _ in self.followed(self.chains.verified.gsn):
            pass

    async def verify_all(self) -> None:
        """The same, and through all of them where more or fewer can be read than when they were verified: perhaps by
        whoever wrote the index, or as it turns out on the way.

        Raises:
            NewerFormat: when a later release wrote one.
        """
        self._recount()
        verified = None
        while verified is not self.chains.verified:
            verified = self.chains.verified
            try:
                await self.verify()
            except Corrupt:  # it is done without from now on
                verified = None
            self._recount()

    def _recount(self) -> None:
        verified = self.chains.verified
        if self.layout.missing_up_to(verified.gsn) != verified.missing:
            self._restart_chains(0)

    async def own(self, header: SegmentHeader, data: bytes, frames: Sequence[Frame]) -> None:
        """Takes a segment that was written just now."""
        is_verified = self.chains.verified.gsn == self.layout.gsn
        self.layout.take(header, digest_of(data), len(data))
        self._keep(segment_key(header.k), data)
        self._mind_chains(header)
        if header.kind is not Kind.RECORDS:
            return
        if is_verified:
            await self._follow(frames)
        else:
            await self.verify()

    async def scrub(self, begin: float, share: float) -> None:
        """Reads the next segments once more, whatever is known of them (``FencedLayer.scrub``)."""
        newest = self.layout.k
        before = int(begin * newest) if self._scrubbed_k is None else self._scrubbed_k
        first = before + 1 if before < newest else 1
        last = min(newest, first + ceil(newest * share) - 1)
        self._scrubbed_k = before if last else 0
        for k in range(first, last + 1):
            self._scrubbed_k = k  # whatever becomes of it: one that is never given back keeps nobody from the next
            await self._scrub_segment(k)

    def aside(self) -> Mapping[GuildId, int]:
        """How many records stand on no chain, or not yet, by guild."""
        return Counter(self.chains.aside()) + Counter(frame.record.guild for frame in self._waiting)

    def take_notes(self) -> tuple[Sequence[str], Sequence[str]]:
        """What was found since this was last asked, a sentence each: what may cost records (all of it may while some
        are missing), and what does no harm.
        """
        notes, remarks = self._notes, self._remarks
        self._notes, self._remarks = [], []
        return (notes, remarks) if self._may_lack() else ((), [*notes, *remarks])

    # The records that count

    async def chunks(self, after: int) -> AsyncIterator[list[Frame]]:
        """All records behind a gsn that can be read, in order, a piece of them at a time."""
        while window := self._window(after):
            for piece, data in zip(window, await self._get(list(map(key_of, window))), strict=True):
                try:
                    async for chunk in self._chunks_in(piece, data):
                        yield chunk
                        after = chunk[-1].record.gsn
                except Corrupt as error:
                    await self._do_without(piece, error)
                    break

    async def followed(self, after: int) -> AsyncIterator[list[Frame]]:
        """The same; every guild's chain is followed meanwhile through those of them that are new (``verify``)."""
        verified = self.chains.verified.gsn
        waiting: list[Frame] = []
        async for chunk in self.chunks(after):
            yield chunk
            waiting += [frame for frame in chunk if frame.record.gsn > verified]
            end = next((n for n in range(len(waiting), 0, -1) if _ends(waiting[n - 1])), 0)
            await self._follow(waiting[:end])
            waiting = waiting[end:]
        # An append that ends behind all there is waits for its end: a mend may have brought its beginning only.
        self._waiting = waiting
        self.chains.skip_to(waiting[0].record.gsn - 1 if waiting else self.layout.gsn)

    async def reread(self, after: int) -> AsyncIterator[list[Frame]]:
        """The same, one object after the other, each asked for anew; others are asked for what one does not give."""
        while (piece := next(self.layout.pieces(after), None)) is not None:
            data = await self._objects.get(key_of(piece))
            try:
                async for chunk in self._chunks_in(piece, data):
                    yield chunk
                    after = chunk[-1].record.gsn
            except Corrupt as error:
                await self._do_without(piece, error)

    async def guild_frames(self, guild: GuildId, after_seq: int) -> Sequence[Frame]:
        """A guild's frames behind a seq that stand, in order.

        Raises:
            Corrupt: when one of them turns out to be unreadable; it is done without from then on.
        """
        head = self.chains.heads.get(guild, NO_HEAD)
        aside = self.chains.verified.aside.get(guild, set[bytes]())
        found: list[Frame] = []
        for piece in reversed(list(self.layout.pieces(0))):
            if piece.first <= head.gsn:
                of_guild = [frame for frame in await self._of_guild(piece, guild) if frame.digest not in aside]
                found = [*of_guild, *found]
            if head.seq <= after_seq or (found and found[0].record.seq <= after_seq + 1):
                break
        known = [frame for frame in found if frame.record.gsn <= head.gsn]
        return [frame for frame in standing(known) if after_seq < frame.record.seq <= head.seq]

    # How segments come in

    def forget(self) -> None:
        """The next look reads everything anew."""
        self.layout = Layout()
        self.indexed = self._looked_k = self._cut_short_k = 0
        self._begun = 0, ""
        self._base = Verified()
        self._guilds: dict[str, frozenset[bytes]] = {}
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0
        self._restart_chains(0)

    async def _begin_at_an_index(self) -> None:
        found = await newest_index(self._objects, self._offload, self._notes)
        if found is None:
            return
        if not await self._has(found.layout.k, found.layout.digest):
            data = await self._objects.get(segment_key(found.layout.k))
            self._cut_short_k = found.layout.k if data is None else 0  # whatever ends before that lacks its end
            if data is None or not await self._is_damaged(found.layout.k, data):
                self._notes.append(f"the index of segment {found.layout.k} fits no segment, and is not believed")
                return
            found.layout.lose_newest()
        if self.was_put_back and await self._has_other(1, found.layout.first):
            return
        if (found.layout.missing() or any(found.layout.doubts())) and await self._has_come_back(found.layout.damaged):
            return
        self.layout, self._base = found.layout, found.verified
        self.indexed = found.layout.k
        self._restart_chains(self._base.gsn)

    async def _has(self, k: int, digest: str) -> bool:
        """Whether a segment is there and the one of that digest ("" = nobody knows it); none (0) is always there."""
        data = await self._objects.get(segment_key(k)) if k else b""
        return data is not None and digest in ("", digest_of(data))

    async def _has_other(self, k: int, digest: str) -> bool:
        """Whether a whole segment is there, and not the one of that digest ("" = nobody knows it)."""
        data = await self._objects.get(segment_key(k))
        if data is None or digest in ("", digest_of(data)):
            return False
        return not await self._is_damaged(k, data)

    async def _is_damaged(self, k: int, data: bytes) -> bool:
        """Whether a segment is not what anybody wrote: it tells nothing against the index behind it."""
        flaw = await self._flaw(k, data)
        if flaw:
            self._notes.append(f"{flaw}; it is left as it is")
        return bool(flaw)

    async def _flaw(self, k: int, data: bytes | None) -> str:
        """What is wrong with a segment, "" = nothing; that it is gone is."""
        try:
            _, _, why = await self._offload(partial(look_at, data, k))
        except Corrupt as error:
            return str(error)
        return why

    async def _has_come_back(self, damaged: Iterable[int]) -> bool:
        """Whether one of these segments can be read by now: somebody put it back, or only the answer was garbled."""
        for k in sorted(damaged):
            data = await self._objects.get(segment_key(k))
            if data is not None and not await self._is_damaged(k, data):
                self._notes.append(f"{segment_key(k)} can be read again; no index is believed that leaves it out")
                return True
        return False

    async def _segments(self, first: int, last: int) -> AsyncIterator[tuple[int, bytes | None]]:
        for start in range(first, last + 1, AHEAD_OBJECTS):
            numbers = range(start, min(start + AHEAD_OBJECTS, last + 1))
            for k, data in zip(numbers, await self._get([segment_key(k) for k in numbers]), strict=True):
                yield k, data

    async def _take(self, layout: Layout, k: int, data: bytes | None) -> None:
        """Lets a layout go on with the next segment."""
        key = segment_key(k)
        try:
            header, digest, why = await self._offload(partial(look_at, data, k))
        except Corrupt as error:
            layout.take_unreadable(k)
            self._notes.append(f"{error}; it is left as it is")
            return
        before, previous = layout.k, layout.digest
        if not layout.take(header, digest, len(data or b"")):
            self.must_index = True
            self._remarks.append(f"{key} does not count: {_why_not(layout, header)}")
        else:
            if previous and header.previous not in ("", previous):
                layout.take_exchanged(before)
                self._notes.append(f"{segment_key(before)} is not the one that {key} was written behind")
            if layout is self.layout:
                self._mind_chains(header)
        if why:
            layout.damaged.add(k)
            self._notes.append(f"{why}; it is left as it is")

    async def _scrub_segment(self, k: int) -> None:
        data = await self._objects.get(segment_key(k))
        self.must_index = self.must_index or (data is None and k == self.indexed)
        flaw = await self._flaw(k, data)
        if flaw and k not in self.layout.damaged:
            self._drop(segment_key(k))
            self.layout.damaged.add(k)
            self._notes.append(f"{flaw}; it is left as it is")

    async def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Objects, all asked for at once."""
        data: dict[str, bytes | None] = {key: self._kept[key] for key in keys if key in self._kept}
        wanted = [key for key in keys if key not in data]
        found = await asyncio.gather(*map(self._objects.get, wanted), return_exceptions=True)
        for key, each in zip(wanted, found, strict=True):
            if isinstance(each, BaseException):
                raise each
            data[key] = each
            self._keep(key, each or b"")
        return [data[key] for key in keys]

    def _keep(self, key: str, data: bytes) -> None:
        self._drop(key)
        if data:
            self._kept[key] = data
            self._kept_bytes += len(data)
        while self._kept_bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        self._kept_bytes -= len(self._kept.pop(key, b""))

    # What follows from the records

    def _may_lack(self) -> bool:
        """Whether there may be records that are not known here, or known in another place than theirs."""
        return bool(self.layout.missing() or self.aside()) or any(self.layout.doubts())

    def _mind_chains(self, header: SegmentHeader) -> None:
        """What a segment changes among records that were verified is verified anew."""
        if header.first_gsn <= self.chains.verified.gsn:
            self._restart_chains(header.first_gsn - 1)

    def _restart_chains(self, gsn: int) -> None:
        if self._base.gsn > gsn:
            self._base = Verified()
        self._digests: dict[tuple[GuildId, int], bytes] = {}
        self._waiting = list[Frame]()
        self.chains: Chains = Chains(self._digest_at, self._checkpoints.anchors, self._base.copy())

    def _digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        return self._digests.get((guild, seq))

    async def _follow(self, frames: Sequence[Frame]) -> None:
        for append in appends(frames, itself):
            record = append[0].record
            if record.seq != self.chains.heads.get(record.guild, NO_HEAD).seq + 1:
                await self._learn(record)
            self.chains.take(append)

    async def _learn(self, record: Record) -> None:
        """What a record may stand behind that is no guild's head: a checkpoint, or where a branch begins."""
        await self._checkpoints.load_anchors(record.guild)
        for frame in await self.guild_frames(record.guild, record.seq - 2):
            if frame.record.seq == record.seq - 1:
                self._digests[record.guild, record.seq - 1] = frame.digest
                break

    # How records are read

    def _window(self, after: int) -> list[Stretch]:
        """The next objects to read, as many as may be in memory."""
        window: list[Stretch] = []
        size = 0
        for piece in islice(self.layout.pieces(after), AHEAD_OBJECTS):
            size += piece.size
            if window and size > AHEAD_BYTES:
                break
            window.append(piece)
        return window

    async def _chunks_in(self, piece: Stretch, data: bytes | None) -> AsyncIterator[list[Frame]]:
        chunks = chunks_of_piece(piece, data)
        while chunk := await self._offload(lambda: next(chunks, None)):
            yield chunk

    async def _of_guild(self, piece: Stretch, guild: GuildId) -> list[Frame]:
        key = key_of(piece)
        if guild.encode() not in self._guilds.get(key, (guild.encode(),)):
            return []
        data = (await self._get([key]))[0]
        try:
            self._guilds[key], frames = await self._offload(lambda: search(piece, data, guild))
        except Corrupt as error:
            await self._do_without(piece, error)
            return [frame for other in self._instead_of(piece, error) for frame in await self._of_guild(other, guild)]
        return [frame for frame in frames if piece.first <= frame.record.gsn <= piece.last]

    def _instead_of(self, piece: Stretch, error: Corrupt) -> list[Stretch]:
        """Where the records of a piece are to be had, now that it cannot be read.

        Raises:
            Corrupt: when some are nowhere.
        """
        behind = self.layout.pieces(piece.first - 1)
        others = up_to(list(takewhile(lambda each: each.first <= piece.last, behind)), piece.last)
        if sum(each.last - each.first + 1 for each in others) <= piece.last - piece.first:
            raise error
        return others

    async def _do_without(self, piece: Stretch, error: Corrupt) -> None:
        """An object cannot be read: its records come from other ones, or from none."""
        pack = self._pack_of(piece)
        if piece.packed and pack is None:
            return  # its records are in a later pack, made while it was asked for
        if pack is not None and isinstance(error, Gone) and await self._adopt_newer_packs():
            return
        if pack is None or not isinstance(error, Gone):  # else it was merged, and nobody has told yet into which
            self._notes.append(f"{error}; it is left as it is")
        self._drop(key_of(piece))
        if pack is None:
            self.layout.damaged.add(piece.k)
            return
        alone = Layout(k=pack.k - 1, gsn=pack.first - 1)
        async for k, data in self._segments(pack.k, pack.last_k):
            await self._take(alone, k, data)
        pack = self._pack_of(piece)
        if pack is not None:  # as it is by now
            self.layout.replace([pack], up_to(alone.stretches, pack.last))
            self.layout.damaged |= alone.damaged
            self.layout.hides_cut = self.layout.hides_cut or alone.hides_cut

    async def _adopt_newer_packs(self) -> bool:
        """Another process packs meanwhile: goes on by its newest index, if that has other packs."""
        found = await newest_index(self._objects, self._offload, self._notes)
        if found is None or not await self._has(found.layout.k, found.layout.digest):
            return False
        layout = found.layout
        async for k, data in self._segments(layout.k + 1, self.layout.k):
            await self._take(layout, k, data)
        known = {key_of(stretch) for stretch in self.layout.stretches if stretch.packed}
        if known.issuperset(key_of(stretch) for stretch in layout.stretches if stretch.packed):
            return False
        layout.damaged |= self.layout.damaged
        self.layout, self.indexed = layout, found.layout.k
        return True

    def _pack_of(self, piece: Stretch) -> Stretch | None:
        """The whole of the pack that a piece is of; None where it is of none, or of one that is relied on no more."""
        packs = (each for each in self.layout.stretches if each.packed)
        return next((pack for pack in packs if key_of(pack) == key_of(piece)), None)


def _why_not(layout: Layout, header: SegmentHeader) -> str:
    """Why a segment does not count."""
    if header.epoch < layout.epoch:
        return f"its epoch, {header.epoch}, had been shut out before"
    return "its records are of another history"


def _ends(frame: Frame) -> bool:
    return frame.record.seq == frame.record.last
