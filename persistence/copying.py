"""Copying a history into an empty folder: read once, written as a data folder's log and checkpoints, read back.

Rules: what was copied is compared with what is read back from the disk, record by record (one digest over all) and
along every chain; a copy whose comparison fails is no copy. A *cut* keeps what was recorded up to a time, and only
whole appends; it is another history from then on, so it gets a lineage and an epoch of its own, and every forgetting
that came later: who was forgotten does not come back. Memory stays flat, whatever is copied.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from ledger.errors import LedgerError
from ledger.ids import GuildId
from ledger.records import ContinuityBroken, Draft, InternalCause
from persistence.anchors import CheckpointAnchors
from persistence.chains import NO_HEAD, appends
from persistence.checkpoints import Checkpoints
from persistence.disk import Disk
from persistence.frames import Frame
from persistence.histories import History, Opening
from persistence.layer import Checkpoint, CheckpointHeader, Head
from persistence.log import Log
from persistence.numbering import Append, Numbering
from persistence.quarantine import Quarantine
from persistence.reading import Reading
from persistence.scan import Gap, frame_of
from persistence.until import Until

BATCH_RECORDS: Final = 5_000
"""So many are written with one fsync, at least; an append is not split."""
_TOLD: Final = 3
"""So many reasons why there is nothing to copy."""

RESTORE: Final = InternalCause(what="restore")
TOLD_EVERY: Final = 1_000
"""Records read back between two looks at whoever waits, and at Ctrl-C."""

Advance: TypeAlias = Callable[[int, int], None]
"""Is told how much of how much is done."""
Showing: TypeAlias = Callable[[str], AbstractContextManager[Advance]]
"""Shows how far a part of the work is, of which this is said."""


class CopyDiffers(LedgerError):
    """What was read back is not what was copied."""

    hint = "look at the disk it was written to, and copy again to another one"


class NothingThen(LedgerError):
    """A history has no record of so early."""

    hint = "name a later time, or another source"


class NothingThere(NothingThen):
    """A history has no record at all."""

    hint = "look whether it is what was meant: LEDGER_DATA, LEDGER_CLOUD with its prefix, or --from"


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a history holds.

    ``gsn``: its last record; ``newest_ms``: when that was recorded (our clock), 0 = there is none; ``missing``:
    ranges of gsn that could not be read; ``digest``: SHA-256 (hex) over all frames in order.
    """

    records: int
    guilds: int
    gsn: int
    newest_ms: int
    missing: tuple[Gap, ...]
    digest: str


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Where a history is cut: what was recorded later than ``until_ms`` is left out. ``lineage``: the new one."""

    until_ms: int
    lineage: str
    now_ms: int


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was read back.

    ``source``: what the history held; ``contents``: what the copy holds; ``left_out``: how many records were cut off;
    ``heads``: the copy's, along every chain; ``checkpoints``: how many the copy has; ``reforgotten``: how often
    somebody was forgotten anew in a cut; ``notes``: what is wrong with the history itself, a sentence each;
    ``remarks``: what is damaged there and does no harm.
    """

    source: Contents
    contents: Contents
    heads: Mapping[GuildId, Head]
    left_out: int
    epoch: int
    lineage: str
    checkpoints: int
    reforgotten: int
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


class Tally:
    """Counts frames as they pass; ``guilds``: how many of each."""

    def __init__(self) -> None:
        self.records = self.gsn = self._newest_ms = 0
        self.guilds = Counter[GuildId]()
        self._missing: list[Gap] = []
        self._digest = hashlib.sha256()

    def take(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            record = frame.record
            self.skip_to(record.gsn)
            self.gsn = record.gsn
            self._newest_ms = record.at_ms
            self.guilds[record.guild] += 1
            self._digest.update(frame.data)
        self.records += len(frames)

    def skip_to(self, gsn: int) -> None:
        """What lies before ``gsn`` and has not come is missing."""
        if gsn > self.gsn + 1:
            self._missing.append((self.gsn + 1, gsn - 1))
            self.gsn = gsn - 1

    def contents(self) -> Contents:
        return Contents(
            records=self.records,
            guilds=len(self.guilds),
            gsn=self.gsn,
            newest_ms=self._newest_ms,
            missing=tuple(self._missing),
            digest=self._digest.hexdigest(),
        )


async def copy_history(history: History, disk: Disk, folder: Path, cut: Cut | None, showing: Showing) -> Copied:
    """Copies a history into ``folder``, which holds nothing yet, and closes it.

    Raises:
        Corrupt: when the history, or what was just written, cannot be read.
        CopyDiffers: when what was read back is not what was copied.
        NothingThere, NothingThen: when there is nothing to copy, or everything was recorded later than the cut.
        NewerFormat: when a later release wrote the history.
        StorageError: when the history cannot be read, or nothing be written.
    """
    try:
        with showing("copying") as advance:
            copy = _Copy(disk, folder, await history.open(folder), cut)
            await _copy_all(history, copy, advance)
        return await _copied(history, copy, showing)
    finally:
        history.close()


async def _copy_all(history: History, copy: "_Copy", advance: Advance) -> None:
    copy.begin()
    try:
        async for batch in _batches(history.frames()):
            copy.take(batch)
            advance(copy.seen.records, max(copy.opening.records, copy.seen.records))
            await asyncio.sleep(0)  # a folder is read without waiting for anything: here Ctrl-C is heard
    finally:
        copy.end()


async def _copied(history: History, copy: "_Copy", showing: Showing) -> Copied:
    if not copy.kept.records:
        if copy.seen.records:
            raise NothingThen("nothing was recorded by then")
        raise NothingThere("; ".join(("no record is there", *history.notes()[:_TOLD])))
    for guild in sorted({*copy.kept.guilds, *history.checkpoint_guilds()}):  # of some, it may be all that is left
        for checkpoint in reversed(await history.checkpoints(guild)):
            copy.keep(checkpoint)
    if copy.cut is not None:
        with showing("going on from there"):
            copy.set_out(copy.cut)
            await asyncio.sleep(0)
    with showing("reading back") as advance:
        copied = await copy.read_back(advance)
    if copy.cut is None and history.heads not in (None, copied.heads):
        raise CopyDiffers(f"{copied.contents.records} records were read, and do not lead to where they should")
    # What is missing there shows in the copy, too.
    notes = dict.fromkeys((*copied.notes, *history.notes(), *copy.ahead(copied.heads)))
    return msgspec.structs.replace(copied, notes=tuple(notes), remarks=history.remarks())


async def _batches(frames: AsyncIterator[Frame]) -> AsyncIterator[Sequence[Frame]]:
    """Frames in whole appends, about ``BATCH_RECORDS`` at once."""
    batch: list[Frame] = []
    async for frame in frames:
        batch.append(frame)
        if len(batch) >= BATCH_RECORDS and frame.record.seq == frame.record.last:
            yield batch
            batch = []
    if batch:
        yield batch


class _Copy:
    """A copy while it is made. ``seen``: what the history holds, ``kept``: what of it the copy holds."""

    def __init__(self, disk: Disk, folder: Path, opening: Opening, cut: Cut | None) -> None:
        self._disk = disk
        self._folder = folder
        self.cut = cut
        self.opening = opening
        self._term = (opening.epoch, opening.lineage) if cut is None else (opening.epoch + 1, cut.lineage)
        quarantine = Quarantine(disk, folder / "quarantine")
        self._anchors = CheckpointAnchors(disk, folder / "checkpoints")
        self._log = Log(disk, folder / "log", quarantine, anchors=self._anchors)
        self._checkpoints = Checkpoints(disk, folder / "checkpoints", quarantine)
        self._until = Until(None if cut is None else cut.until_ms)
        self._numbers = {"left_out": 0, "reforgotten": 0}
        self.seen, self.kept = Tally(), Tally()
        self._reached: list[CheckpointHeader] = []

    def begin(self) -> None:
        self._log.open()
        self._log.begin(*self._term)

    def take(self, batch: Sequence[Frame]) -> None:
        """The next frames of the history, whole appends."""
        kept = [frame for frame in batch if self._until.keeps(frame.record)]
        if kept:
            self._log.append(kept)
            self.kept.take(kept)
        self.seen.take(batch)
        self._numbers["left_out"] += len(batch) - len(kept)

    def end(self) -> None:
        self._log.close()

    def keep(self, checkpoint: Checkpoint) -> None:
        """A checkpoint of what was kept, unless it knows what is to be forgotten, or is of another history."""
        header = checkpoint.header
        is_cut_off = self.cut is not None and header.gsn > self.kept.gsn
        if is_cut_off or self._until.later.get(header.guild) or header.lineage != self.opening.lineage:
            return
        header = msgspec.structs.replace(header, lineage=self._term[1])
        self._checkpoints.save(Checkpoint(header=header, pages=checkpoint.pages))
        self._reached.append(header)

    def ahead(self, heads: Mapping[GuildId, Head]) -> Iterator[str]:
        """Where a checkpoint of what was copied tells of records that were not there, a sentence each."""
        ends = {header.guild: header.seq for header in self._reached}  # the newest last
        for guild, seq in ends.items():
            last = heads.get(guild, NO_HEAD).seq
            if seq > last:
                yield f"the records of guild {guild} end at seq {last}; its checkpoint has all up to {seq}"

    def set_out(self, cut: Cut) -> None:
        """Behind a cut, says in each guild that its history goes on from there, and whom it has to forget again.

        By the epoch of these records it wins over layers that hold what was cut off.
        """
        heads = dict(self._log.open().heads)
        for header in self._reached:  # one may be all that is left of a guild's newest records
            known = heads.get(header.guild, NO_HEAD)
            if (header.epoch, header.seq) > (known.epoch, known.seq):
                heads[header.guild] = header.head()
        numbering = Numbering(heads, self.kept.gsn, self._term[0], cut.now_ms)
        for guild, head in heads.items():
            drafts = [
                Draft(event=each.event, cause=each.cause, key=each.key) for each in self._until.later.get(guild, ())
            ]
            self._numbers["reforgotten"] += len(drafts)
            broken = ContinuityBroken(reason="restored", at_us=cut.now_ms * 1_000)
            drafts.append(Draft(event=broken, cause=RESTORE, key=f"restored/{cut.lineage}"))
            numbering.take(Append(guild=guild, base_seq=head.seq, drafts=tuple(drafts)))
        if numbering.frames:  # else all that was kept stands on no chain
            self._log.begin(*self._term)
            self._log.append(numbering.frames)
            self.kept.take(numbering.frames)
        self._log.close()

    async def read_back(self, advance: Advance) -> Copied:
        """Reads what was written, and compares."""
        reading = Reading(self._disk, self._folder / "log", self._anchors)
        back = Tally()
        for append in appends(reading.scan, frame_of):
            reading.take(append)
            back.take([spotted.frame for spotted in append])
            if back.records % TOLD_EVERY < len(append):
                advance(back.records, self.kept.records)
                await asyncio.sleep(0)
        if back.contents() != self.kept.contents():
            raise CopyDiffers(f"{self._folder}: {back.records} of {self.kept.records} records read back as they were")
        return Copied(
            source=self.seen.contents(),
            contents=back.contents(),
            heads=reading.chains.heads,
            left_out=self._numbers["left_out"],
            epoch=self._term[0],
            lineage=self._term[1],
            checkpoints=sum(len(self._checkpoints.places(guild)) for guild in self._checkpoints.guilds()),
            reforgotten=self._numbers["reforgotten"],
            notes=reading.notes(),
        )
