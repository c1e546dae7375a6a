"""The log: every record of this process, in the order of its gsn, in files that are only ever appended to.

Rules: one write and one fsync a batch; after a failed one nothing behind the file's last confirmed gsn is believed,
and a new file begins there with the same frames; every opening begins a new file likewise; no record is deleted. What
readers conclude from the files is in ``persistence/scan.py``. Blocking throughout: ``persistence/local.py`` takes it
off the event loop.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import DiskFull, NotConfirmed, StorageError
from ledger.ids import GuildId
from persistence.chains import Anchors
from persistence.disk import Disk
from persistence.formats import RELEASE
from persistence.frames import Frame
from persistence.layer import LayerSummary
from persistence.log_files import content_for, plain_path
from persistence.merging import MERGE_FILES, beneath_merged, tidy
from persistence.patrol import FileStart, patrol
from persistence.quarantine import Quarantine
from persistence.reading import Reading, nowhere
from persistence.scan import Scan, SegmentFile, Spotted, is_whole, next_number, pieces, runs, survey
from persistence.segments import SEGMENT_FORMAT, LogFileHeader
from persistence.writing import SegmentWriter, replace, whole_segment

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A file that is larger than this is not appended to."""


class Log:
    """Opened, begun, appended to, closed; after an error, closed and opened again."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        quarantine: Quarantine,
        *,
        anchors: Anchors = nowhere,
        segment_bytes: int = SEGMENT_BYTES,
        merge_files: int = MERGE_FILES,
    ) -> None:
        """``anchors`` tells checkpoints' digests, by which a chain goes on behind a hole."""
        self._disk = disk
        self._folder = folder
        self._quarantine = quarantine
        self._anchors = anchors
        self._segment_bytes = segment_bytes
        self._merge_files = merge_files
        self._reading: Reading | None = None
        self._writer: SegmentWriter | None = None
        self._term = (0, "")
        self._starts: list[FileStart] = []

    def open(self) -> LayerSummary:
        """Reads and verifies all files; damaged ones are copied to quarantine, and mended as far as the log can.

        Then many are merged into few (``persistence/merging.py``).

        Raises:
            NewerFormat: when a later release wrote one of them.
            StorageError: when one cannot be read, or no copy made.
        """
        self._disk.make_folder(self._folder)
        reading = self._read()
        summary = reading.summary()
        for path in reading.survey.unreadable:
            self._quarantine.move(path, "no line can be read")
        for file in reading.scan.damaged:
            self._quarantine.copy(file.path, "lines are damaged where all was durable")
        mended = self._read() if self._mend(reading.scan, summary.lineage) else reading
        self._reading = mended
        self._starts = [
            FileStart(path=file.path, first_gsn=file.first_gsn) for file in mended.survey.files if file.holds_any()
        ]
        # What was mended just now is not read whole by a later opening yet.
        notes = tidy(self._disk, self._folder, reading.scan, self._merge_files)
        return msgspec.structs.replace(mended.summary(), notes=(*summary.notes, *notes))

    def begin(self, epoch: int, lineage: str) -> None:
        """Begins a file of this term, with those frames of the newest one that are not known to be durable."""
        scan = self._opened().scan
        self._term = (epoch, lineage)
        self._writer, _ = self._start_file(scan.confirmed + 1, scan.unconfirmed)

    def append(self, frames: Sequence[Frame]) -> None:
        """Appends a batch, durably; one whose gsns jump (a hole is carried over) as several.

        Raises:
            DiskFull: when there is no room; nothing of the batch is left.
            NotConfirmed: when it may or may not be durable.
            StorageError: when the file was taken away; nothing of the batch can be read again.
        """
        for run in runs(frames):
            self._append_run(run)

    def _append_run(self, frames: Sequence[Frame]) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None, "append follows begin"
        if writer.size > self._segment_bytes:
            writer.seal()
            writer, offset = self._start_file(writer.confirmed + 1, frames)
        else:
            writer, offset = self._append_or_move_on(writer, frames)
        self._writer = writer
        self._note(writer, offset, frames)

    def guild_lines(self, guild: GuildId, after_seq: int) -> list[bytes]:
        """The bytes of a guild's frames behind a seq, in order, not verified.

        Raises:
            StorageError: when a file cannot be read.
        """
        return list(self._opened().each_guild_line(guild, after_seq))

    def frames_after(self, gsn: int) -> Iterator[Frame]:
        """All frames that can be read behind a gsn, in order, also those that stand on no chain."""
        reading = Reading(self._disk, self._folder)
        return (spotted.frame for spotted in reading.scan if spotted.frame.record.gsn > gsn)

    def reread(self, gsn: int) -> Iterator[list[Frame]]:
        """The same a piece at a time, and a line that is not what was written ends it (``persistence/patrol.py``)."""
        return patrol(self._disk, lambda: self._starts, gsn, self._opened().scan.missing)

    def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        """Puts frames back into the holes, file by file, each replaced at once; then reads all anew."""
        missing = self._opened().scan.missing
        self.close()
        files = survey(self._disk, self._folder).files
        for file, wanted in pieces(files, missing, frames):
            self._rebuild(file, wanted, self._term[1])
        return self._begin_anew()

    def set_aside(self, after_gsn: int) -> LayerSummary:
        """Begins a file right behind ``after_gsn``, which hides the rest; a copy of that goes to quarantine."""
        self.close()
        lost = b"".join(frame.data + b"\n" for frame in self.frames_after(after_gsn))
        if lost:
            self._quarantine.keep(f"behind-{after_gsn}.jsonl", lost, "a branch that lost against another layer's")
            self._start_file(after_gsn + 1, ())[0].close()
        return self._begin_anew()

    def close(self) -> None:
        """Seals the newest file. Safe to call twice and after an error."""
        if self._writer is not None:
            self._writer.seal()
        self._writer = self._reading = None

    def _begin_anew(self) -> LayerSummary:
        summary = self.open()
        self.begin(*self._term)
        return summary

    def _read(self) -> Reading:
        reading = Reading(self._disk, self._folder, self._anchors)
        for _ in reading:
            pass
        return reading

    def _mend(self, scan: Scan, lineage: str) -> bool:
        """Writes damaged files anew that miss nothing, or only what still lies beneath; whether there are any."""
        held = list(beneath_merged(self._disk, scan))
        due = pieces(scan.files, scan.missing, held)
        due += [(file, []) for file in scan.damaged if is_whole(file, scan.missing)]
        for file, wanted in due:
            self._rebuild(file, wanted, lineage)
        return bool(due)

    def _rebuild(self, file: SegmentFile, wanted: Sequence[Frame], lineage: str) -> None:
        there = self._disk.identity(file.path) is not None
        held = [spotted.frame for spotted in Scan(self._disk, (file,))] if there else []
        frames = sorted([*held, *wanted], key=_gsn_of)
        header = file.header or LogFileHeader(
            format=SEGMENT_FORMAT,
            first_gsn=file.first_gsn,
            epoch=frames[0].record.epoch,
            lineage=lineage,
            release=RELEASE,
        )
        replace(self._disk, file.path, content_for(file.path, whole_segment(header, frames)))

    def _append_or_move_on(self, writer: SegmentWriter, frames: Sequence[Frame]) -> tuple[SegmentWriter, int]:
        """The batch in the file at hand, or, where that failed, in a new one that begins with it."""
        try:
            return writer, writer.append(frames)
        except (DiskFull, NotConfirmed) as error:
            try:
                moved = self._start_file(writer.confirmed + 1, frames)
            except StorageError as second:
                raise _given_up(writer, error, second) from second
        except StorageError:
            writer.close()
            raise
        writer.close()
        return moved

    def _start_file(self, first_gsn: int, frames: Sequence[Frame]) -> tuple[SegmentWriter, int]:
        """A new file with these frames in it, and the offset of the first of them."""
        epoch, lineage = self._term
        number = next_number(self._disk, self._folder)
        header = LogFileHeader(
            format=SEGMENT_FORMAT, first_gsn=first_gsn, epoch=epoch, lineage=lineage, release=RELEASE
        )
        writer = SegmentWriter(self._disk, plain_path(self._folder, number), number, header, frames)
        self._starts.append(FileStart(path=writer.path, first_gsn=first_gsn))
        return writer, writer.first_offset

    def _note(self, writer: SegmentWriter, offset: int, frames: Sequence[Frame]) -> None:
        """Puts a durable batch into the index."""
        spotted: list[Spotted] = []
        for frame in frames:
            spotted.append(Spotted(frame, writer.number, offset))
            offset += len(frame.data) + 1
        self._opened().take(spotted)

    def _opened(self) -> Reading:
        assert self._reading is not None, "the log is used between open and close"
        return self._reading


def _gsn_of(frame: Frame) -> int:
    return frame.record.gsn


def _given_up(writer: SegmentWriter, first: StorageError, second: StorageError) -> StorageError:
    """What a batch is that no file took: undone where the disk was only full, else unknown."""
    try:
        writer.take_back()
    except StorageError as error:
        return NotConfirmed(f"{first}; then {second}; then {error}")
    finally:
        writer.close()
    both_full = isinstance(first, DiskFull) and isinstance(second, DiskFull)
    return (DiskFull if both_full else NotConfirmed)(f"{first}; then {second}")
