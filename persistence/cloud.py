"""The cloud layer: the same records and checkpoints in a store that several processes can reach, one of which writes.

Rules (docs/durability.md, docs/adr/0015-cloud-log.md):
- The log is a row of segments, ``seg/1`` onwards without gaps, each created once: a slot that is taken stays taken.
- Whoever takes over claims an epoch, writes a fence into the next free slot, lists the epochs again (a higher one: it
  is ``Stale``), and reads all that was written until its fence. Nothing with a lower epoch counts behind it.
- A writer whose next slot is taken by a higher epoch is ``Stale``. No clock plays a role.
- A write whose answer was lost is looked for before anything else is written: nothing is written twice.
- No segment is ever changed or removed. What cannot be read is said, and written anew as a mend.

What lies in an object: ``cloud_bytes.py``; which segment counts for what: ``cloud_layout.py``; reading:
``cloud_pieces.py`` and ``cloud_reading.py``; epochs, checkpoints, packs and the index have modules of their own.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from ledger.errors import Stale, StorageError
from ledger.ids import GuildId
from ledger.ports import Clock, Randomness
from persistence.cloud_bytes import Kind, SegmentHeader, segment, segment_key
from persistence.cloud_checkpoints import CloudCheckpoints
from persistence.cloud_epochs import CloudEpochs
from persistence.cloud_packs import Packer
from persistence.cloud_reading import CloudReader
from persistence.formats import RELEASE
from persistence.frames import Frame
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.objects import Objects, create_once
from persistence.offload import Offload
from persistence.scan import runs

SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""A segment holds about so much, before it is compressed; an append is not split."""


class CloudLayer:
    """A ``FencedLayer`` on objects."""

    def __init__(self, objects: Objects, offload: Offload, randomness: Randomness, clock: Clock, writer: str) -> None:
        """``writer``: the id of the data folder, for people. ``objects`` and ``offload`` belong to the caller."""
        self._objects = objects
        self._offload = offload
        self._randomness = randomness
        self._writer = writer
        self._epochs = CloudEpochs(objects, randomness, clock, writer)
        self._checkpoints = CloudCheckpoints(objects, offload, randomness)
        self._reader = CloudReader(objects, offload, self._checkpoints)
        self._packer = Packer(objects, offload, randomness, self._reader)
        self._epoch = 0
        self._lineage = self._found = ""

    @property
    def name(self) -> str:
        return "cloud"

    @property
    def lists(self) -> None:
        return None

    async def open(self) -> LayerSummary:
        """Reads what is new since the last time, or all where it was put back; changes nothing."""
        if self._reader.was_put_back:
            self._reader.forget()
        await self._look()
        await self._reader.verify_all()
        summary = await self.summary()
        self._reader.was_put_back = False
        self._found = summary.lineage
        return summary

    async def look(self) -> LayerSummary:
        """What is there, before its records are read: without heads, notes and what is missing."""
        await self._look()
        layout = self._reader.layout
        epoch = max(await self._epochs.highest(), layout.epoch)
        return LayerSummary(epoch=epoch, lineage=layout.lineage, gsn=layout.gsn, heads={}, notes=(), missing=())

    async def read_through(self) -> AsyncIterator[Sequence[Frame]]:
        """Behind ``look``: all records, a piece at a time, each once; then ``summary`` is what ``open`` says."""
        async for chunk in self._reader.followed(0):
            yield chunk
        await self._reader.verify_all()

    async def begin(self, epoch: int, lineage: str) -> None:
        """``claim`` and ``fence``, for whoever takes it for a layer like any other.

        Raises:
            Stale: also when another process has this epoch.
        """
        self._epoch = epoch
        if not await self.claim(epoch):
            raise self._stale()
        await self.fence(epoch, lineage)

    async def claim(self, epoch: int) -> bool:
        return await self._epochs.claim(epoch)

    async def fence(self, epoch: int, lineage: str) -> LayerSummary:
        self._epoch, self._lineage = epoch, lineage
        await self._reader.look()
        await self._reader.look_again_at_the_newest()
        while self._reader.layout.epoch < epoch and not await self._write(Kind.FENCE):
            await self._reader.look()
        self._reader.begin()
        summary = await self._read()
        await self._refuse_if_overtaken()
        if summary.lineage not in (self._found, lineage):
            raise StorageError(f"another history, {summary.lineage}, was begun in the cloud meanwhile")
        return summary

    async def append(self, frames: Sequence[Frame]) -> None:
        """Appends a batch, as one segment if it is not too large and has no jump.

        Called again with the same frames after an error, it writes only what is not there yet.
        """
        self._refuse_behind_higher()
        for part in _parts(frames):
            while left := await self._beyond(part):
                if await self._write(Kind.RECORDS, left):
                    break
                await self._meet_others()

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        while parts := _parts(self._missing_of(frames)):
            missing = self._reader.layout.missing()
            if not await self._write(Kind.MEND, parts[0]):
                await self._reader.look()
            elif self._reader.layout.missing() == missing:
                raise StorageError("what the cloud cannot read was written once more, and does not count there")
        return await self._read()

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        """Lets nothing behind ``after_gsn`` count any more; it is kept where it is."""
        await self._checkpoints.set_aside(after_gsn, self._epoch)
        while after_gsn < self._reader.layout.gsn or self._reader.layout.lineage != self._lineage:
            if not await self._write(Kind.CUT, first_gsn=min(after_gsn, self._reader.layout.gsn) + 1):
                await self._reader.look()
        return await self._read()

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        async for chunk in self._reader.chunks(gsn):
            for frame in chunk:
                yield frame

    def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        return self._reader.reread(gsn)

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return [frame.data for frame in await self._reader.guild_frames(guild, after_seq)]

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._checkpoints.save(checkpoint)

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._checkpoints.guilds()

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        return self._checkpoints.places(guild)

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        return await self._checkpoints.load(guild, place)

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        await self._checkpoints.drop(guild, place)

    async def all_checkpoints(self, guild: GuildId) -> Sequence[Checkpoint]:
        """Those that can be read, newest first, asked for at the same time."""
        return await self._checkpoints.load_all(guild)

    def checkpoint_seq(self, guild: GuildId) -> int:
        return self._checkpoints.newest_seq(guild)

    async def pack(self) -> bool:
        """Makes long histories cheap to read, beside whoever appends. False when there is nothing to do.

        Raises:
            Stale: when another process has a higher epoch.
            StorageError: when something did not read back; nobody relies on it.
        """
        if not self._packer.is_due():
            return False
        await self._refuse_if_overtaken()
        await self._packer.pack()
        return True

    async def is_as_left(self) -> bool:
        return await self._reader.is_as_left()

    async def has_claimed(self, epoch: int) -> bool:
        return await self._epochs.has_claimed(epoch)

    async def scrub(self, begin: float, share: float) -> None:
        await self._reader.scrub(begin, share)

    def take_notes(self) -> tuple[str, ...]:
        notes, remarks = self._reader.take_notes()
        return (*notes, *remarks, *self._checkpoints.take_notes())

    async def close(self) -> None:
        """Nothing is held; what was read is known still, and not read again."""

    async def summary(self) -> LayerSummary:
        """What is known now."""
        layout, aside = self._reader.layout, self._reader.aside()
        missing = layout.missing()
        notes, remarks = self._reader.take_notes()
        notes = [*notes, *self._checkpoints.take_notes()]
        notes += layout.doubts()
        notes += [f"gsn {first} to {last} cannot be read" for first, last in missing]
        notes += [f"{count} records of guild {guild} stand on no chain" for guild, count in aside.items()]
        return LayerSummary(
            epoch=max(await self._epochs.highest(), layout.epoch),
            lineage=layout.lineage,
            gsn=layout.gsn,
            heads=dict(self._reader.chains.heads),
            notes=tuple(notes),
            remarks=tuple(remarks),
            missing=missing,
            aside=aside,
        )

    async def _read(self) -> LayerSummary:
        await self._look()
        await self._reader.verify()
        return await self.summary()

    async def _look(self) -> None:
        await self._checkpoints.look()
        await self._reader.look()

    async def _write(self, kind: Kind, frames: Sequence[Frame] = (), first_gsn: int = 0) -> bool:
        """Tries to write the next segment; False when the slot is taken."""
        self._refuse_behind_higher()
        layout = self._reader.layout
        first = frames[0].record.gsn if frames else first_gsn or layout.gsn + 1
        header = SegmentHeader(
            k=layout.k + 1,
            kind=kind,
            epoch=self._epoch,
            lineage=self._lineage,
            writer=self._writer,
            put_id=self._randomness.token(),
            first_gsn=first,
            last_gsn=first + len(frames) - 1,
            previous=layout.digest,
            guessed=layout.hides_end and any(frame.record.epoch == self._epoch for frame in frames),
            release=RELEASE,
        )
        if layout.k and not layout.digest:
            await self._refuse_if_overtaken()  # it may be a fence
        data = await self._offload(lambda: segment(header, frames))
        if not await create_once(self._objects, segment_key(header.k), data):
            return False
        await self._reader.own(header, data, frames)
        return True

    async def _refuse_if_overtaken(self) -> None:
        """Lists the epochs: another process may have claimed a higher one since, and fenced before or behind us.

        Raises:
            Stale: when there is a higher one.
        """
        if await self._epochs.highest() > self._epoch:
            raise self._stale()

    def _refuse_behind_higher(self) -> None:
        """Behind a segment with a higher epoch nothing of ours would count.

        Raises:
            Stale: when there is one.
        """
        if self._reader.layout.epoch > self._epoch:
            raise self._stale()

    async def _meet_others(self) -> None:
        """Reads what took the slot: an earlier try of this process, or another process.

        Raises:
            StorageError: when it is not what this process wrote behind (``is_as_left`` says so from now on); or when
                it left less than there was: a cut of this process, given up and done all the same.
        """
        gsn = self._reader.layout.gsn
        await self._reader.look()
        if self._reader.was_put_back:
            raise StorageError("the cloud has no longer what this process wrote into it")
        if self._reader.layout.gsn < gsn:
            raise StorageError(f"what lay behind gsn {self._reader.layout.gsn} was set aside meanwhile")
        await self._reader.verify()

    async def _beyond(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Those of the frames that are not there yet.

        Raises:
            StorageError: when there are others in their place; or they cannot be read, nor mended.
        """
        there = [frame for frame in frames if frame.record.gsn <= self._reader.layout.gsn]
        if there and await self._lacks(there):
            await self.fill(there)  # a segment whose answer was lost, and that was damaged before it was read
            if gsn := await self._lacks(there):
                raise StorageError(f"the cloud cannot give gsn {gsn}")
        return frames[len(there) :]

    def _missing_of(self, frames: Sequence[Frame]) -> list[Frame]:
        missing = self._reader.layout.missing()
        return [frame for frame in frames if any(a <= frame.record.gsn <= b for a, b in missing)]

    async def _lacks(self, frames: Sequence[Frame]) -> int:
        """The first gsn of these frames that cannot be read; 0 = all can.

        Raises:
            StorageError: when there are others in their place.
        """
        wanted = {frame.record.gsn: frame.data for frame in frames}
        async for frame in self.frames_after(frames[0].record.gsn - 1):
            if wanted.pop(frame.record.gsn, frame.data) != frame.data:
                raise StorageError(f"the cloud holds another record at gsn {frame.record.gsn}")
            if frame.record.gsn >= frames[-1].record.gsn:
                break
        return min(wanted, default=0)

    def _stale(self) -> Stale:
        return Stale(f"another process has epoch {self._epoch} in the cloud, or a higher one")


def _parts(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Frames cut where their gsn jumps, and where a segment would grow too large."""
    return [part for run in runs(frames) for part in _by_size(run)] if frames else []


def _by_size(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    parts: list[Sequence[Frame]] = []
    start = size = 0
    for end, frame in enumerate(frames, 1):
        size += len(frame.data)
        if size >= SEGMENT_BYTES and frame.record.seq == frame.record.last:
            parts.append(frames[start:end])
            start, size = end, 0
    return parts if start == len(frames) else [*parts, frames[start:]]
