"""What can be said of each layer by reading it: how much there is, and what is wrong with it, and where.

Nothing here changes a layer or prints. A batch that was never whole at the log's end is no fault: the bot may be
writing it, or was killed while it did.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from actors.cli.contents import sum_of
from actors.cli.times import shown
from actors.gateway.wording import count
from ledger.errors import Corrupt, LedgerError
from ledger.ids import GuildId
from persistence.backups import NOTE, Backup, read_note
from persistence.chains import appends
from persistence.checkpoints import CHECKPOINT_SUFFIX, unpack
from persistence.copying import Contents, Tally
from persistence.disk import Disk
from persistence.layer import CheckpointHeader
from persistence.log_files import all_lines
from persistence.reading import Reading
from persistence.scan import SegmentFile, Survey, frame_of
from persistence.segments import Bad

BACKUP: Final = "backup"
"""What is said to be held by a folder that is one, beside its layers."""


class Inspected(msgspec.Struct, frozen=True):
    """A layer after a look at it. ``held``: what there is; ``wrong``: each fault with its place, empty = whole.

    ``harmless``: what is damaged and costs nothing; ``advised``: a fault says already what is to be done.
    """

    name: str
    held: str
    wrong: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    advised: bool = False


def inspect_log(
    disk: Disk, found: Survey, reading: Reading, tally: Tally, advance: Callable[[int], None]
) -> Inspected:
    """Reads the log to its end; ``tally`` takes all its records, ``advance`` is told how many there are so far.

    Raises:
        NewerFormat: when a later release wrote it.
        StorageError: when it cannot be read.
    """
    for append in appends(reading.scan, frame_of):
        reading.take(append)
        frames = [spotted.frame for spotted in append]
        tally.take(frames)
        advance(tally.records)
    records = tally.records - sum(reading.chains.aside().values())
    heads = reading.chains.heads
    held = f"{count(records, 'record')} of {count(len(heads), 'guild')} in {count(len(found.files), 'file')}"
    return Inspected("log", f"{held}, up to gsn {reading.scan.last}", tuple(_log_faults(disk, found, reading)))


def find_checkpoints(disk: Disk, folder: Path) -> tuple[Path, ...]:
    """The files of all guilds' checkpoints. To be listed before the log is read, which then holds their records."""
    return tuple(
        folder / guild / name
        for guild in disk.names(folder)
        for name in disk.names(folder / guild)
        if name.endswith(CHECKPOINT_SUFFIX)
    )


def inspect_checkpoints(disk: Disk, paths: tuple[Path, ...], reading: Reading) -> Inspected:
    """Reads checkpoints and compares each with the log's chain, which was read to its end.

    Raises:
        NewerFormat: when a later release wrote one.
    """
    wrong = [
        f"{path.parent.name}/{path.name}: {why}" for path in paths for why in _checkpoint_faults(disk, path, reading)
    ]
    guilds = {path.parent.name for path in paths}
    return Inspected("checkpoints", f"{len(paths)} of {count(len(guilds), 'guild')}", tuple(wrong))


def inspect_backup(disk: Disk, folder: Path, there: Contents, checkpoints: int) -> Inspected:
    """Compares what can be read of a backup with what was written.

    Args:
        disk: where it lies.
        folder: the backup.
        there: the records that can be read of it.
        checkpoints: how many there are.

    Raises:
        NewerFormat: when a later release wrote it.
        StorageError: when its note cannot be read.
    """
    try:
        note = read_note(disk, folder)
    except Corrupt as error:
        return Inspected(BACKUP, "nobody knows what it held", (f"{NOTE} is damaged: {error.why}",))
    held = f"made {shown(note.made_ms)} of {sum_of(note.contents)}; {count(note.checkpoints, 'checkpoint')}"
    return Inspected(BACKUP, held, tuple(_missing_of(note, there, checkpoints)))


def _missing_of(note: Backup, there: Contents, checkpoints: int) -> Iterator[str]:
    if there.gsn < note.contents.gsn:
        yield f"gsn {there.gsn + 1} to {note.contents.gsn} is not there"
    if there != note.contents:
        held = sum_of(note.contents)
        told = "other records" if sum_of(there) == held else sum_of(there)
        yield f"{told} can be read of {held}: take another backup"
    if checkpoints < note.checkpoints:
        yield f"{checkpoints} of {count(note.checkpoints, 'checkpoint')} are there: a bot makes them anew"


def _log_faults(disk: Disk, found: Survey, reading: Reading) -> Iterator[str]:
    scan = reading.scan
    for path in found.unreadable:
        yield f"{path.name}: no line can be read"
    for file in scan.damaged:
        yield from _bad_lines(disk, file, scan.torn)
    for first, last in scan.missing:
        yield f"gsn {first} to {last} cannot be read"
    for guild, number in reading.chains.aside().items():
        yield f"guild {guild}: {count(number, 'record')} on no chain"


def _bad_lines(disk: Disk, file: SegmentFile, torn: int) -> Iterator[str]:
    """Each bad line of a file, but for the torn end of the newest one."""
    found = list(all_lines(disk, file.path))
    left = sum(line.size for line in found) - (torn if file.limit is None else 0)
    for line in found:
        left -= line.size
        if isinstance(line.content, Bad) and left >= 0:
            yield f"{file.path.name}@{line.offset}: {line.content.why}"


def _checkpoint_faults(disk: Disk, path: Path, reading: Reading) -> Iterator[str]:
    if disk.identity(path) is None:  # a newer one has taken its place since
        return
    try:
        header = unpack(disk.read(path), path.name).header
        fault = _compared(header, GuildId(path.parent.name), reading)
    except Corrupt as error:
        fault = error.why
    if fault:
        yield fault


def _compared(header: CheckpointHeader, guild: GuildId, reading: Reading) -> str:
    """What is wrong with a checkpoint that could be read; empty = it stands on the log's chain.

    One of an earlier epoch with another digest is of a branch that lost: it is never used, and no fault.
    """
    head = reading.chains.heads.get(guild)
    if header.guild != guild:
        return f"is of guild {header.guild}"
    if head is None or header.seq > head.seq:
        return f"is of seq {header.seq}, the log ends at {head.seq if head else 0}"
    try:
        digest = reading.digest_at(guild, header.seq)
    except LedgerError as error:
        return f"cannot be compared with the log: {error}"
    if digest is not None and digest.hex() != header.digest and header.epoch >= head.epoch:
        return f"does not stand on the log's chain at seq {header.seq}"
    return ""
