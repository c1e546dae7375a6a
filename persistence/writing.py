"""Writing a log's files: a file appears whole and durable under its name, and is appended to a batch at a time.

Rules: one write and one fsync a batch; a name is given (rename, fsync of the folder) only to a file whose content is
durable, so that a later file never supersedes an earlier one with less than it holds; after an error the file is
never written again.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ledger.errors import NotConfirmed, StorageError
from persistence.disk import Disk, Handle
from persistence.frames import Frame
from persistence.segments import LogFileHeader, batch_line, batch_lines, header_line


def whole_segment(header: LogFileHeader, frames: Sequence[Frame]) -> bytes:
    """A file's content with all its frames named as confirmed: true as soon as the file has its name."""
    data = header_line(header) + batch_lines(header.first_gsn - 1, frames)
    return data + batch_line(frames[-1].record.gsn) if frames else data


def publish(disk: Disk, path: Path, data: bytes) -> Handle:
    """Writes a new file, gives it its name, syncs the folder; the handle appends to it.

    Raises:
        DiskFull: when it did not get its name for want of space.
        NotConfirmed: when the disk failed; the file is taken away again, as nobody is to believe it.
    """
    handle = _draft(disk, path, data)
    try:
        disk.sync_folder(path.parent)
    except StorageError:
        handle.close()
        with suppress(StorageError):  # nothing that was acknowledged is only in it
            disk.remove(path)
        raise
    return handle


def replace(disk: Disk, path: Path, data: bytes) -> None:
    """Puts a whole, durable file in the place of another, or of none, at once.

    Raises:
        DiskFull: when there is no room; the old file stands.
        NotConfirmed: when the disk failed; one of the two stands, whole.
    """
    _draft(disk, path, data).close()
    disk.sync_folder(path.parent)


def _draft(disk: Disk, path: Path, data: bytes) -> Handle:
    """A file under its name, its content durable, its name not yet."""
    draft = path.with_name(f"{path.name}.new")
    disk.make_folder(path.parent)
    disk.remove(draft)
    handle = disk.append_to(draft)
    try:
        handle.write(data)
        handle.sync()
        disk.rename(draft, path)
    except StorageError:
        handle.close()
        with suppress(StorageError):  # the next draft of this name removes it
            disk.remove(draft)
        raise
    return handle


class SegmentWriter:
    """The newest file of a log. ``confirmed``: the last gsn that is durable; ``size``: its bytes."""

    def __init__(self, disk: Disk, path: Path, number: int, header: LogFileHeader, frames: Sequence[Frame]) -> None:
        """Publishes the file with ``frames`` in it (see ``publish`` for what it raises)."""
        data = whole_segment(header, frames)
        self._disk = disk
        self._handle = publish(disk, path, data)
        self._identity = self._handle.identity()
        self.path = path
        self.number = number
        self.size = len(data)
        self.confirmed = frames[-1].record.gsn if frames else header.first_gsn - 1
        self.first_offset = len(header_line(header)) + len(batch_line(header.first_gsn - 1))

    def append(self, frames: Sequence[Frame]) -> int:
        """Appends a batch of contiguous gsns durably and gives the offset of its first frame.

        Where its gsn is not the next one, what lies between is named as confirmed: it is missing, not torn.

        Raises:
            DiskFull, NotConfirmed: when write or fsync failed, or it cannot be told whether the file still has its
                name; some of it may be there (``take_back``).
            StorageError: when the name stands for another file by now: nothing of this can be read again.
        """
        before = frames[0].record.gsn - 1
        data = batch_lines(before, frames)
        self._handle.write(data)
        self._handle.sync()
        if not self._has_its_name():
            raise StorageError(f"{self.path} was removed or replaced by someone else")
        offset = self.size + len(batch_line(before))
        self.size += len(data)
        self.confirmed = frames[-1].record.gsn
        return offset

    def _has_its_name(self) -> bool:
        try:
            return self._disk.identity(self.path) == self._identity
        except StorageError as error:
            raise NotConfirmed(str(error)) from error

    def take_back(self) -> None:
        """Cuts what a failed append left, so that this process never reads it again.

        Raises:
            StorageError: when it cannot be cut; then the outcome is unknown.
        """
        self._handle.cut(self.size)

    def seal(self) -> None:
        """Names the last batch as confirmed, so that a flipped bit in it is told from a torn tail; then closes."""
        with suppress(StorageError):  # nothing depends on it
            self._handle.write(batch_line(self.confirmed))
            self._handle.sync()
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._handle.close()
