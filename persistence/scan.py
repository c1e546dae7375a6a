"""What may be believed of a log's files. Reads, changes nothing, works beside a running bot.

Rules (docs/durability.md):
- The newest file that begins at or before a gsn holds it: from a file only what lies before every later file's first
  gsn counts. A bad line behind that is no corruption.
- What a batch line, or a later file's first gsn, names as confirmed was durable: where it is unreadable, it is
  *missing*. In the newest file, a bad line behind what was so named is the torn tail: cut, with all behind it.
- An append is atomic: one without its end is torn too.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from persistence.disk import Disk
from persistence.frames import Frame
from persistence.log_files import all_lines, first_lines, log_files, plain_path
from persistence.segments import Bad, Batch, Line, LogFileHeader

_HEAD_BYTES: Final = 4096
"""Enough for a file's header and its first batch line."""

Gap: TypeAlias = tuple[int, int]
"""First and last gsn of a range."""


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the log. ``limit``: the last gsn that counts in it, None = no later file says."""

    number: int
    path: Path
    first_gsn: int
    limit: int | None
    header: LogFileHeader | None

    def holds_any(self) -> bool:
        """Whether later files do not hold all of it."""
        return self.limit is None or self.limit >= self.first_gsn


class Spotted(msgspec.Struct, frozen=True, gc=False):
    """A frame and where it lies: file number and offset in bytes."""

    frame: Frame
    number: int
    offset: int


def frame_of(spotted: Spotted) -> Frame:
    """For ``chains.appends`` over spotted frames."""
    return spotted.frame


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A log's files in the order in which they were begun. ``unreadable``: those in which no line can be read."""

    files: tuple[SegmentFile, ...]
    unreadable: tuple[Path, ...]

    def headers(self) -> list[LogFileHeader]:
        """The first lines that can be read, in that order."""
        return [file.header for file in self.files if file.header is not None]


def survey(disk: Disk, folder: Path) -> Survey:
    """Looks at the openings of a log's files, which tell what counts in each.

    Raises:
        NewerFormat: when a later release wrote one of them.
        StorageError: when one cannot be read.
    """
    limit: int | None = None
    files: list[SegmentFile] = []
    unreadable: list[Path] = []
    for each in reversed(log_files(disk, folder)):
        path = folder / each.name
        header, first = _opening(disk, path)
        if first is None:  # it neither holds nor ends anything
            unreadable.append(path)
            continue
        files.append(SegmentFile(number=each.number, path=path, first_gsn=first, limit=limit, header=header))
        limit = first - 1 if limit is None else min(limit, first - 1)
    return Survey(files=tuple(reversed(files)), unreadable=tuple(unreadable))


def next_number(disk: Disk, folder: Path) -> int:
    """The number of the next file: behind every file that is there, readable or not."""
    return max((each.number for each in log_files(disk, folder)), default=0) + 1


def last_gsn(disk: Disk, found: Survey) -> int:
    """The last gsn that the newest file names, for whoever shows progress: nothing is verified; 0 = none.

    Raises:
        StorageError: when it cannot be read.
    """
    if not found.files:
        return 0
    newest = found.files[-1]
    contents = (line.content for line in all_lines(disk, newest.path))
    return max((each.record.gsn for each in contents if isinstance(each, Frame)), default=newest.first_gsn - 1)


def runs(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Frames cut where their gsn jumps."""
    jumps = [n for n in range(1, len(frames)) if frames[n].record.gsn != frames[n - 1].record.gsn + 1]
    return [frames[start:end] for start, end in pairwise([0, *jumps, len(frames)])]


def united(gaps: Sequence[Gap]) -> list[Gap]:
    """The same ranges, in order; those that touch as one."""
    whole: list[Gap] = []
    for first, last in gaps:
        begin = whole.pop()[0] if whole and whole[-1][1] + 1 == first else first
        whole.append((begin, last))
    return whole


def is_known(gap: Gap, holes: Sequence[Gap]) -> bool:
    """Whether all of a range lies in one of these, or in some that touch."""
    return any(first <= gap[0] and gap[1] <= last for first, last in united(holes))


def pieces(
    files: Sequence[SegmentFile], missing: Sequence[Gap], frames: Sequence[Frame]
) -> list[tuple[SegmentFile, list[Frame]]]:
    """The sealed files that have holes, each with those of the frames that belong into them.

    For what lies before the first file, a file that has to be made stands in the list.
    """
    found: list[tuple[SegmentFile, list[Frame]]] = []
    for file in _from_the_first_on(files):
        last = -1 if file.limit is None else file.limit
        gaps = [gap for gap in missing if file.first_gsn <= gap[0] <= last]
        wanted = [frame for frame in frames if any(a <= frame.record.gsn <= b for a, b in gaps)]
        if wanted:
            found.append((file, wanted))
    return found


def is_whole(file: SegmentFile, missing: Sequence[Gap]) -> bool:
    """Whether a sealed file that holds records misses none of them."""
    if file.limit is None or file.limit < file.first_gsn:
        return False
    return not any(first <= file.limit and last >= file.first_gsn for first, last in missing)


def _from_the_first_on(files: Sequence[SegmentFile]) -> Sequence[SegmentFile]:
    """The files, and before them one that has to be made; where no number is left for it, the first holds it all."""
    if not files or files[0].first_gsn == 1:
        return files
    first = files[0]
    if first.number == 0:
        return [msgspec.structs.replace(first, first_gsn=1, header=None), *files[1:]]
    number, limit = first.number - 1, first.first_gsn - 1
    path = plain_path(first.path.parent, number)
    return [SegmentFile(number=number, path=path, first_gsn=1, limit=limit, header=None), *files]


def _opening(disk: Disk, path: Path) -> tuple[LogFileHeader | None, int | None]:
    """A file's header and first gsn; without a header, the first line that can be read tells the gsn."""
    for some in (first_lines(disk, path, _HEAD_BYTES), all_lines(disk, path)):
        for line in some:
            if isinstance(line.content, LogFileHeader):
                return line.content, line.content.first_gsn
            if isinstance(line.content, Batch):
                return None, line.content.confirmed + 1
            if isinstance(line.content, Frame):
                return None, line.content.record.gsn
    return None, None


class Scan:
    """One pass over a log's files. Iterate it; then its attributes say what could not be believed.

    ``missing``: ranges that were durable and are unreadable; ``damaged``: files with a bad line where all was
    durable; ``confirmed``: the last gsn that is known to be durable; ``last``: that of the last frame that counts, at
    least ``confirmed``; ``unconfirmed``: the frames between the two; ``torn``: bytes cut from the newest file's end.
    """

    def __init__(self, disk: Disk, files: tuple[SegmentFile, ...]) -> None:
        self._disk = disk
        self.files = files
        self._expected = 1
        self.missing: list[Gap] = []
        self.damaged: list[SegmentFile] = []
        self.unconfirmed: list[Frame] = []
        self.confirmed = 0
        self.last = 0
        self.torn = 0

    def __iter__(self) -> Iterator[Spotted]:
        for file in self.files:
            if not file.holds_any():
                continue
            self._skip_to(file.first_gsn)
            self._expected = file.first_gsn
            if file.limit is None:
                yield from self._newest(file)
            else:
                yield from self._durable(file, all_lines(self._disk, file.path), file.limit)

    def _skip_to(self, gsn: int) -> None:
        """What lies before ``gsn`` and has not come is missing."""
        if gsn > self._expected:
            self.missing.append((self._expected, gsn - 1))
            self._expected = gsn

    def _durable(self, file: SegmentFile, content: Iterable[Line], limit: int) -> Iterator[Spotted]:
        """The part of a file in which all was durable: up to the gsn ``limit``."""
        bad = file.header is None
        for line in content:
            if self._expected > limit:
                break
            if isinstance(line.content, Bad):
                bad = True
            elif isinstance(line.content, Frame) and self._expected <= line.content.record.gsn <= limit:
                self._skip_to(line.content.record.gsn)
                self._expected += 1
                yield Spotted(line.content, file.number, line.offset)
        self._skip_to(limit + 1)
        self.confirmed = self.last = limit
        if bad:
            self.damaged.append(file)

    def _newest(self, file: SegmentFile) -> Iterator[Spotted]:
        """All before the batch line that confirms most was durable; behind it lies the last batch."""
        content = list(all_lines(self._disk, file.path))
        named, opening = _last_confirmed(content, file.first_gsn - 1)
        yield from self._durable(file, content[:opening], named)
        yield from self._last_batch(file, content[opening:])

    def _last_batch(self, file: SegmentFile, content: Sequence[Line]) -> Iterator[Spotted]:
        """Whole appends, up to the first line that is not the next frame; what is behind them is torn."""
        group: list[Spotted] = []
        whole = 0
        for number, line in enumerate(content):
            frame = line.content
            if not isinstance(frame, Frame) or frame.record.gsn != self._expected:
                break
            self._expected += 1
            group.append(Spotted(frame, file.number, line.offset))
            if frame.record.seq == frame.record.last:
                yield from group
                self.unconfirmed.extend(spotted.frame for spotted in group)
                self.last = frame.record.gsn
                whole = number + 1
                group = []
        self.torn = sum(line.size for line in content[whole:])


def _last_confirmed(content: Sequence[Line], default: int) -> tuple[int, int]:
    """The highest gsn that a batch line names, and the number of the first line behind that one."""
    named, opening = default, 1
    for number, line in enumerate(content):
        if isinstance(line.content, Batch) and line.content.confirmed >= named:
            named, opening = line.content.confirmed, number + 1
    return named, opening
