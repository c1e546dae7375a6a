"""Going through a log's files once more while it is written: piece by piece, each read from the disk anew.

Where ``persistence/scan.py`` works out what may be believed of files that an earlier process left, here all of a log
is known to be durable: a line that is not what was written is damage, but where a hole is known, which nobody could
fill: damage is left there as it is. Only what a later file does not hold counts. Blocking.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ledger.errors import Corrupt
from persistence.disk import Disk
from persistence.frames import Frame
from persistence.log_files import piece_at
from persistence.scan import Gap
from persistence.segments import Bad


class FileStart(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the log, and the gsn at which it begins."""

    path: Path
    first_gsn: int


def patrol(
    disk: Disk, starts: Callable[[], Sequence[FileStart]], gsn: int, holes: Sequence[Gap]
) -> Iterator[list[Frame]]:
    """The frames behind a gsn that count, in order; a list for each piece of a file, empty where none was wanted.

    ``starts``: all files in the order in which they were begun, as they are now: files may be begun meanwhile.
    ``holes``: what was found to be missing when the log was opened.

    Raises:
        Corrupt: at a line that is not what was written.
        StorageError: when a file cannot be read.
    """
    while (number := _holder(starts(), gsn + 1)) is not None:
        for piece in _pieces(disk, starts, number, holes):
            wanted = [frame for frame in piece if frame.record.gsn > gsn]
            gsn = wanted[-1].record.gsn if wanted else gsn
            yield wanted
        limit = _limit(starts(), number)
        if limit is None:
            return
        gsn = max(gsn, limit)


def _pieces(
    disk: Disk, starts: Callable[[], Sequence[FileStart]], number: int, holes: Sequence[Gap]
) -> Iterator[list[Frame]]:
    """The frames of a file that count, from its beginning on."""
    file = starts()[number]
    at = file.first_gsn - 1
    found, start = piece_at(disk, file.path, 0)
    while found:
        limit = _limit(starts(), number)
        piece: list[Frame] = []
        for line in found:
            if limit is not None and at >= limit:
                break
            if isinstance(line.content, Bad) and not any(first - 1 <= at <= last for first, last in holes):
                raise Corrupt(f"{file.path.name}@{line.offset}", line.content.why)
            if isinstance(line.content, Frame):
                at = line.content.record.gsn
                if limit is None or at <= limit:
                    piece.append(line.content)
        yield piece
        found, start = piece_at(disk, file.path, start)


def _holder(starts: Sequence[FileStart], gsn: int) -> int | None:
    """The number (from 0) of the file that holds a gsn, or what comes next: the newest that begins by then."""
    numbers = range(len(starts))
    earliest = min(numbers, key=lambda number: starts[number].first_gsn, default=None)
    return max((number for number in numbers if starts[number].first_gsn <= gsn), default=earliest)


def _limit(starts: Sequence[FileStart], number: int) -> int | None:
    """The last gsn that counts in a file; None = no later one says."""
    return min((each.first_gsn - 1 for each in starts[number + 1 :]), default=None)
