"""The real disk behind the seam: whole writes, errors by kind, identity, the lock of a folder."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from ledger.errors import Denied, DiskFull, FolderInUse, NotConfirmed, StorageError
from persistence.disk import RealDisk
from persistence.local import hold_folder

DEVICE_FULL = Path("/dev/full")


@pytest.fixture
def disk() -> RealDisk:
    return RealDisk()


def test_what_is_appended_is_read_back(disk: RealDisk, tmp_path: Path):
    path = tmp_path / "file"
    for piece in (b"one", b"two"):
        handle = disk.append_to(path)
        handle.write(piece)
        handle.sync()
        handle.close()
        handle.close()
    assert disk.read(path) == b"onetwo"
    assert disk.read_parts(path, [(3, 3), (0, 2), (5, 9)]) == [b"two", b"on", b"o"]


def test_short_writes_are_finished(disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    disk.append_to(tmp_path / "file").write(b"a longer text")
    assert disk.read(tmp_path / "file") == b"a longer text"


@pytest.mark.skipif(not DEVICE_FULL.exists(), reason="needs /dev/full")
def test_a_full_device_is_told_as_such(disk: RealDisk):
    handle = disk.append_to(DEVICE_FULL)
    with pytest.raises(DiskFull, match="No space left"):
        handle.write(b"x")
    handle.close()


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, NotConfirmed), (errno.EDQUOT, DiskFull)])
def test_a_failed_fsync_is_not_confirmed_unless_there_is_no_room(
    disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
):
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), descriptor)

    handle = disk.append_to(tmp_path / "file")
    for call in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(kind):
        handle.sync()
    with pytest.raises(NotConfirmed):
        disk.sync_folder(tmp_path)


def test_what_is_not_there_cannot_be_read(disk: RealDisk, tmp_path: Path):
    with pytest.raises(StorageError) as caught:
        disk.read(tmp_path / "nothing")
    assert type(caught.value) is StorageError, "a failed read leaves nothing unknown"
    assert disk.names(tmp_path / "nothing") == []
    assert disk.identity(tmp_path / "nothing") is None
    disk.remove(tmp_path / "nothing")


def test_a_replaced_file_is_another_one(disk: RealDisk, tmp_path: Path):
    path = tmp_path / "file"
    handle = disk.append_to(path)
    assert disk.identity(path) == handle.identity()
    disk.append_to(tmp_path / "other")
    disk.rename(tmp_path / "other", path)
    assert disk.identity(path) not in (None, handle.identity())


def test_folders_are_made_with_their_parents(disk: RealDisk, tmp_path: Path):
    disk.make_folder(tmp_path / "a" / "b")
    disk.make_folder(tmp_path / "a" / "b")
    assert disk.names(tmp_path) == ["a"]


def test_a_folder_whose_sync_failed_or_never_came_is_synced_once_more(
    disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever made it failed, or was killed before: what is synced within it goes with it when the power fails."""
    fsync, synced = os.fsync, list[int]()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), descriptor)

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(NotConfirmed):
        disk.make_folder(tmp_path / "a")
    monkeypatch.setattr(os, "fsync", note)
    for process in (disk, disk, RealDisk()):
        process.make_folder(tmp_path / "a")
    assert synced.count(tmp_path.stat().st_ino) == 2


def test_a_second_holder_of_a_folder_is_told_who_has_it(disk: RealDisk, tmp_path: Path):
    held = hold_folder(disk, tmp_path / "data", "today")
    with pytest.raises(FolderInUse, match=f"process {os.getpid()} on .*, started today"):
        hold_folder(disk, tmp_path / "data", "later")
    held.release()
    held.release()
    hold_folder(disk, tmp_path / "data", "later").release()


@pytest.mark.parametrize(("what", "number"), [("flock", errno.ENOLCK), ("pwrite", errno.ENOSPC)])
def test_a_lock_that_cannot_be_had_for_another_reason_is_said_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int
):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl if what == "flock" else os, what, refuse)
        with pytest.raises(StorageError, match=os.strerror(number)):
            RealDisk().lock(tmp_path / "lock", "me")
    RealDisk().lock(tmp_path / "lock", "me").release()


def test_what_is_another_users_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Root, who runs the tests in a container, may read everything."""

    def refuse(_path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Denied, match=r"read .*: Permission denied") as caught:
        RealDisk().read(tmp_path / "file")
    assert "run it as the user that owns it" in caught.value.hint
