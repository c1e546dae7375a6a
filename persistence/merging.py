"""Merging: many files of a log become one, packed; those that it was made of go a whole opening later.

Rules: only sealed files that miss nothing are merged, never the newest. A merged file takes the number of its last
and comes behind that, where no other lies, so it holds all of them by the rule of ``persistence/scan.py``, whichever
are still there: at no moment do names have to change together. It gets its name when its content is durable. What was
merged goes only after another opening has read the merged file whole. That is merged once more as soon as what came
since is as much: so there are few, however often a bot is started, and each record is copied a few times at most.
"""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import StorageError
from persistence.disk import Disk
from persistence.formats import RELEASE
from persistence.frames import Frame
from persistence.log_files import PACKED_SUFFIX, content_for, is_packed, packed_path
from persistence.scan import Gap, Scan, SegmentFile, is_whole
from persistence.segments import SEGMENT_FORMAT, LogFileHeader
from persistence.writing import publish, whole_segment

MERGE_FILES: Final = 16
MERGE_RECORDS: Final = 32_768
"""So many files, or records in them (about 16 MiB of lines), are merged; a merged one of so many records stays."""
NOT_MERGED: Final = "the log's files were not merged"
"""How what ``tidy`` gives begins."""
_DRAFT: Final = f"{PACKED_SUFFIX}.new"


def tidy(disk: Disk, folder: Path, scan: Scan, merge_files: int = MERGE_FILES) -> tuple[str, ...]:
    """Takes away what was merged before ``scan`` read all the log, then merges what is due.

    Nothing depends on it: what failed is tried again at the next opening. Gives what that was, as a sentence.
    """
    try:
        for name in disk.names(folder):
            if name.endswith(_DRAFT):  # of one who was killed
                disk.remove(folder / name)
        for path in _done_with(scan):
            disk.remove(path)
        for group in _due(scan, merge_files):
            _merge(disk, folder, scan.files, group)
    except StorageError as error:
        return (f"{NOT_MERGED}: {error}",)
    return ()


def beneath_merged(disk: Disk, scan: Scan) -> Iterator[Frame]:
    """What merged files miss, and those that they were made of have, where these are all there still."""
    for number, file in enumerate(scan.files):
        if is_packed(file.path) and _records(file) and not is_whole(file, scan.missing):
            beneath = Scan(disk, _without_later(scan.files[:number], file.limit))
            found = [spotted.frame for spotted in beneath]
            if is_whole(file, beneath.missing):
                yield from (frame for frame in found if _is_among(frame.record.gsn, scan.missing))


def _without_later(files: Sequence[SegmentFile], limit: int | None) -> tuple[SegmentFile, ...]:
    """Files as they were read before there were later ones, up to a gsn."""
    found: list[SegmentFile] = []
    for file in reversed(files):
        found.append(msgspec.structs.replace(file, limit=limit))
        limit = file.first_gsn - 1 if limit is None else min(limit, file.first_gsn - 1)
    return tuple(reversed(found))


def _is_among(gsn: int, gaps: Sequence[Gap]) -> bool:
    return any(first <= gsn <= last for first, last in gaps)


def _done_with(scan: Scan) -> list[Path]:
    """The files of which a merged one holds all, whole."""
    whole = [n for n, file in enumerate(scan.files) if is_packed(file.path) and _is_sound(file, scan)]
    return [
        file.path
        for n, file in enumerate(scan.files)
        if any(n < merged and file.first_gsn >= scan.files[merged].first_gsn for merged in whole)
    ]


def _due(scan: Scan, merge_files: int) -> Iterator[Sequence[SegmentFile]]:
    """Groups of files that follow one another, each worth to be one, which may have its last one's number."""
    taken = {file.path for file in scan.files}
    group: list[SegmentFile] = []
    records = plain = 0
    for file in _tail(scan):
        group.append(file)
        records += _records(file)
        plain += not is_packed(file.path)
        if records >= MERGE_RECORDS and _may_end(file, taken):
            yield group
            group, records, plain = [], 0, 0
    while group and not _may_end(group[-1], taken):
        group.pop()
    if group and plain >= merge_files:
        yield group


def _may_end(file: SegmentFile, taken: Container[Path]) -> bool:
    """Whether a merged file may take its number: what it holds is to come there, and no other file lies there.

    That other may be one that was merged already, or what is left of a damaged one, of which this one holds the rest.
    """
    return _records(file) > 0 and packed_path(file.path.parent, file.number) not in taken


def _tail(scan: Scan) -> Sequence[SegmentFile]:
    """The sealed files at the end: plain ones, and merged ones of no more records than what follows them.

    Those of which later files hold all are among them, since they go with the others.
    """
    tail: list[SegmentFile] = []
    behind = 0
    for file in reversed(scan.files[:-1]):
        records = _records(file)
        is_large = is_packed(file.path) and records > min(behind, MERGE_RECORDS - 1)
        if records and (is_large or not _is_sound(file, scan)):
            break
        tail.append(file)
        behind += records
    return tail[::-1]


def _is_sound(file: SegmentFile, scan: Scan) -> bool:
    """Whether all that a sealed file holds was read, and no line of it was damaged."""
    return file not in scan.damaged and is_whole(file, scan.missing)


def _records(file: SegmentFile) -> int:
    """How many a sealed file holds."""
    return 0 if file.limit is None else max(0, file.limit - file.first_gsn + 1)


def _merge(disk: Disk, folder: Path, files: Sequence[SegmentFile], group: Sequence[SegmentFile]) -> None:
    """Makes one of a group.

    Raises:
        DiskFull, NotConfirmed: when it could not be written; it is not there then.
        StorageError: when not all was read again that was there when the log was opened.
    """
    frames = [spotted.frame for spotted in Scan(disk, tuple(group))]
    if len(frames) != sum(map(_records, group)):
        raise StorageError(f"not all of {group[0].path.name} to {group[-1].path.name} can be read any more")
    headers = [file.header for file in files if file.header is not None]
    header = LogFileHeader(
        format=SEGMENT_FORMAT,
        first_gsn=frames[0].record.gsn,
        epoch=max(header.epoch for header in headers),
        lineage=headers[-1].lineage,
        release=RELEASE,
    )
    path = packed_path(folder, group[-1].number)
    publish(disk, path, content_for(path, whole_segment(header, frames))).close()
