"""The files of a log, plain or packed: whoever reads a log reads through here, and sees lines.

0000000007.jsonl        lines, appended to while it is the newest
0000000007.jsonl.zst    the lines of files up to this number (``persistence/merging.py``), packed (``packed.py``): it
                        comes behind the plain one of its number
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt
from persistence import packed
from persistence.disk import Disk
from persistence.segments import Bad, Line, lines

SUFFIX: Final = ".jsonl"
PACKED_SUFFIX: Final = ".jsonl.zst"
PIECE_BYTES: Final = 128 * 1024
"""Of a plain file so much is read at once: about 250 records, 2 ms."""
_DIGITS: Final = 10
_BLOCK_GUESS: Final = packed.BLOCK_BYTES // 2
"""Most blocks are shorter than this, packed."""


class LogFile(msgspec.Struct, frozen=True, order=True):
    """A file of a log. Their order is that in which they came to hold what they hold."""

    number: int
    packed: bool
    name: str


def plain_path(folder: Path, number: int) -> Path:
    """Where the file ``number`` lies while it is appended to."""
    return folder / f"{number:0{_DIGITS}d}{SUFFIX}"


def packed_path(folder: Path, number: int) -> Path:
    """Where the packed file ``number`` lies."""
    return folder / f"{number:0{_DIGITS}d}{PACKED_SUFFIX}"


def log_files(disk: Disk, folder: Path) -> list[LogFile]:
    """The files of the log in a folder, in order; what has another name is nobody's."""
    found: list[LogFile] = []
    for name in disk.names(folder):
        digits, suffix = name[:_DIGITS], name[_DIGITS:]
        if digits.isdigit() and suffix in (SUFFIX, PACKED_SUFFIX):
            found.append(LogFile(int(digits), suffix == PACKED_SUFFIX, name))
    return sorted(found)


def is_packed(path: Path) -> bool:
    """Whether a file's lines are packed."""
    return path.name.endswith(PACKED_SUFFIX)


def content_for(path: Path, data: bytes) -> bytes:
    """What a file of this name holds, if these are its lines."""
    return packed.pack(data) if is_packed(path) else data


def all_lines(disk: Disk, path: Path) -> Iterator[Line]:
    """The lines of a file; where a block of a packed one is damaged, one that is ``Bad`` stands for it.

    Raises:
        NewerFormat: when a later release wrote it.
        StorageError: when it cannot be read.
    """
    data = disk.read(path)
    if not is_packed(path):
        return lines(data, path.name)
    return (line for block in packed.blocks(data) for line in _lines_of(block, path))


def first_lines(disk: Disk, path: Path, size: int) -> Iterator[Line]:
    """The lines at the beginning of a file, of which about ``size`` bytes are read; the errors of ``all_lines``."""
    if is_packed(path):
        return iter(piece_at(disk, path, 0)[0])
    return lines(disk.read_parts(path, [(0, size)])[0], path.name)


def piece_at(disk: Disk, path: Path, start: int) -> tuple[Sequence[Line], int]:
    """Some lines of a file from a byte on, and the byte behind them, where the next piece begins; none at its end.

    A damaged block ends the file: what is behind it is not looked for. The errors are those of ``all_lines``.
    """
    if is_packed(path):
        block = _block_at(disk, path, start)
        return ((), start) if block is None else (list(_lines_of(block, path)), block.end)
    data = _whole_lines(disk, path, start)
    return [_moved(line, start) for line in lines(data, path.name)], start + len(data)


def parts_of(disk: Disk, path: Path, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of lines, by the offset that their ``Line`` has, and their length; not verified.

    Raises:
        Corrupt: when the block of one is damaged.
        StorageError: when the file cannot be read.
    """
    if not is_packed(path):
        return disk.read_parts(path, parts)
    block_at = cache(partial(_block_at, disk, path))  # lines that are asked for lie near one another
    found: list[bytes] = []
    for offset, length in parts:
        begin, within = packed.split(offset)
        block = block_at(begin)
        if block is None or block.lines is None:
            raise Corrupt(f"{path.name}@{begin}", "the block is damaged")
        found.append(block.lines[within : within + length])
    return found


def _lines_of(block: packed.Block, path: Path) -> Iterator[Line]:
    start = packed.address(block.offset, 0)
    if block.lines is None:
        yield Line(offset=start, size=block.end - block.offset, content=Bad(why="the block is damaged"))
    else:
        yield from (_moved(line, start) for line in lines(block.lines, path.name))


def _moved(line: Line, by: int) -> Line:
    return Line(offset=by + line.offset, size=line.size, content=line.content)


def _block_at(disk: Disk, path: Path, offset: int) -> packed.Block | None:
    """The block that begins at an offset; None = the file ends there."""
    data = disk.read_parts(path, [(offset, _BLOCK_GUESS)])[0]
    if (length := packed.length_of(data)) > len(data):
        data = disk.read_parts(path, [(offset, length)])[0]
    if not data:
        return None
    block = packed.block_at(data[:length] if length else data, 0)
    return packed.Block(offset, block.lines, offset + block.end)


def _whole_lines(disk: Disk, path: Path, offset: int) -> bytes:
    """The lines that begin at an offset, as many as make a piece; one of them however long it is."""
    size = PIECE_BYTES
    while True:
        data = disk.read_parts(path, [(offset, size)])[0]
        end = data.rfind(b"\n") + 1
        if end or len(data) < size:
            return data[:end]
        size *= 2
