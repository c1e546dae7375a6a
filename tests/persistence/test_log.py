"""The log's own rules: batches, files, what a failed write leaves behind, reading beside the writer."""

from pathlib import Path

import pytest

from ledger.errors import Corrupt, DiskFull, NotConfirmed, StorageError
from persistence.log import Log
from persistence.quarantine import Quarantine
from persistence.reading import read_log
from tests.persistence.making import BLUE, RED, Chain, bytes_of
from tests.persistence.simdisk import SimDisk

FOLDER = Path("data/log")


def opened(disk: SimDisk, segment_bytes: int = 1 << 20) -> Log:
    log = Log(disk, FOLDER, Quarantine(disk, Path("data/quarantine")), segment_bytes=segment_bytes)
    log.open()
    log.begin(1, "lineage")
    return log


def counted(disk: SimDisk) -> list[str]:
    """The operations from now on."""
    seen: list[str] = []
    disk.before = lambda _, what: seen.append(what)
    return seen


def failing_at(disk: SimDisk, failures: dict[str, type[StorageError]]) -> None:
    """Each named operation fails once."""

    def before(_: int, what: str) -> None:
        if what in failures:
            raise failures.pop(what)(what)

    disk.before = before


def read(disk: SimDisk) -> list[bytes]:
    return bytes_of(list(read_log(disk, FOLDER)))


def test_a_batch_is_one_write_and_one_fsync():
    disk = SimDisk()
    log = opened(disk)
    seen = counted(disk)
    log.append(Chain().batch(RED, BLUE, RED))
    assert seen == ["write", "sync"]


def test_files_roll_at_a_batch_and_stay():
    disk, chain = SimDisk(), Chain()
    log = opened(disk, segment_bytes=1_000)
    batches = [chain.batch(RED, BLUE) for _ in range(10)]
    for batch in batches:
        log.append(batch)
    assert len(disk.names(FOLDER)) == 5
    assert read(disk) == bytes_of([frame for batch in batches for frame in batch])
    assert log.guild_lines(BLUE, 0) == bytes_of([batch[1] for batch in batches])


def test_a_record_that_rots_under_an_open_log_is_named_by_file_and_byte():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    frames = chain.batch(RED, BLUE)
    log.append(frames)
    (name,) = disk.names(FOLDER)
    data = disk.read(FOLDER / name)
    at = data.index(frames[1].data)
    reading = read_log(disk, FOLDER)
    assert list(reading) == frames
    disk.overwrite(FOLDER / name, data[: at + 5] + b"?" + data[at + 6 :])
    assert log.guild_lines(RED, 0) == bytes_of(frames[:1])
    with pytest.raises(Corrupt, match=f"{Path(name).stem}, byte {at}: checksum differs"):
        reading.digest_at(BLUE, 1)


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_failed_batch_goes_into_a_new_file_byte_for_byte(operation: str):
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    batches = [chain.batch(RED), chain.batch(BLUE, RED), chain.batch(BLUE)]
    log.append(batches[0])
    failing_at(disk, {operation: NotConfirmed})
    log.append(batches[1])
    log.append(batches[2])
    assert len(disk.names(FOLDER)) == 2
    assert read(disk) == bytes_of([frame for batch in batches for frame in batch])
    assert read_log(disk, FOLDER).notes() == ()


def test_a_batch_whose_file_cannot_be_looked_at_goes_into_a_new_file():
    """It is durable, but nobody can tell whether under that name: the outcome is unknown, not "nothing happened"."""
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    failures = {"identity": StorageError}

    def look(_: int, what: str) -> None:
        if what in failures:
            raise failures.pop(what)(what)

    disk.look = look
    log.append(batch := chain.batch(RED))
    assert len(disk.names(FOLDER)) == 2
    assert read(disk) == bytes_of(batch)


@pytest.mark.parametrize("second", ["open", "rename", "sync_folder"])
def test_only_when_the_new_file_fails_too_the_outcome_is_unknown(second: str):
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    first = chain.batch(RED)
    log.append(first)
    failing_at(disk, {"write": NotConfirmed, second: NotConfirmed})
    with pytest.raises(NotConfirmed):
        log.append(chain.batch(RED))
    assert read(disk) == bytes_of(first), "what could be taken back is not read again"


def test_on_a_full_disk_nothing_of_the_batch_is_left():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    first = chain.batch(RED)
    log.append(first)
    failing_at(disk, {"write": DiskFull, "rename": DiskFull})
    with pytest.raises(DiskFull):
        log.append(chain.batch(RED, RED))
    log.close()
    assert read(disk) == bytes_of(first)
    assert opened(disk).guild_lines(RED, 0) == bytes_of(first)


def test_what_lies_behind_a_later_files_first_record_does_not_count():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    log.append(chain.batch(RED, BLUE))
    branch = Chain(epoch=2)
    branch.gsn, branch.heads = chain.gsn, dict(chain.heads)
    log.append(chain.batch(RED))
    log.set_aside(2)
    winner = branch.batch(RED)
    log.append(winner)
    assert read(disk)[2:] == bytes_of(winner)
    assert len(disk.names(Path("data/quarantine"))) == 2, "the bytes and why"


def test_a_clean_close_leaves_nothing_unconfirmed():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    log.append(chain.batch(RED))
    reading = read_log(disk, FOLDER)
    assert (len(list(reading)), reading.scan.confirmed) == (1, 0)
    log.close()
    reading = read_log(disk, FOLDER)
    assert (len(list(reading)), reading.scan.confirmed) == (1, 1)


def test_a_reader_beside_the_writer_changes_nothing_and_sees_a_prefix():
    disk, chain = SimDisk(), Chain()
    log = opened(disk, segment_bytes=900)
    written: list[bytes] = []
    for _ in range(8):
        batch = chain.batch(RED, BLUE)
        reading = read_log(disk, FOLDER)  # has looked at the files; reads them later
        log.append(batch)
        operations = disk.operations
        seen = bytes_of(list(reading))
        assert disk.operations == operations
        written += bytes_of(batch)
        assert seen == written[: len(seen)]
        assert len(seen) >= len(written) - 2
        assert reading.notes() == ()


def test_a_torn_batch_is_said_and_the_prefix_is_read():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    log.append(chain.batch(RED, BLUE))
    log.append(whole := chain.append(RED))
    log.append(chain.append(RED, 3))
    path = FOLDER / disk.names(FOLDER)[-1]
    disk.overwrite(path, disk.read(path)[:-400])
    reading = read_log(disk, FOLDER)
    assert list(reading)[-1] == whole[0], "an append without its end is cut whole"
    assert "never whole" in reading.notes()[0]


def test_a_damaged_line_without_a_record_is_mended_and_said_once():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    for _ in range(3):
        log.append(chain.batch(RED, BLUE))
    log.close()
    opened(disk).close()
    path = FOLDER / disk.names(FOLDER)[0]
    data = disk.read(path)
    disk.overwrite(path, data.replace(b'"confirmed":2', b'"confirmed":3'))
    log = opened(disk)
    assert log.guild_lines(BLUE, 2) == bytes_of(list(log.frames_after(5)))
    assert read_log(disk, FOLDER).notes() == ()
    assert len(read(disk)) == 6
    assert disk.read(Path("data/quarantine") / disk.names(Path("data/quarantine"))[0]) != data


def test_a_file_of_garbage_is_moved_aside():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    log.append(chain.batch(RED, BLUE))
    log.close()
    disk.overwrite(FOLDER / disk.names(FOLDER)[0], b"garbage")
    log = Log(disk, FOLDER, Quarantine(disk, Path("data/quarantine")))
    assert "no line can be read" in log.open().notes[0]
    assert disk.names(FOLDER) == []
    assert len(disk.names(Path("data/quarantine"))) == 2


def test_a_superseded_file_that_began_later_makes_no_hole():
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    log.append(chain.batch(RED, BLUE))
    kept = Chain(epoch=2)
    kept.gsn, kept.heads = chain.gsn, dict(chain.heads)
    log.append(chain.batch(RED, RED))
    log.close()
    log = opened(disk)  # begins a file at gsn 5, of which nothing will count
    log.set_aside(2)
    log.append(kept.batch(BLUE))
    reading = read_log(disk, FOLDER)
    assert [frame.record.epoch for frame in reading] == [1, 1, 2]
    assert reading.notes() == ()


def test_the_beginning_of_a_log_may_be_lost_again_and_again():
    """What was lost first lies in a file before the first one; of that the beginning may rot as well."""
    disk, chain = SimDisk(), Chain()
    log = opened(disk)
    written = [frame for _ in range(6) for frame in chain.batch(RED)]
    log.append(written)
    log.close()
    for number, lost in ((1, 3), (0, 2), (0, 1)):
        path = FOLDER / f"{number:010d}.jsonl"
        data = disk.read(path)
        at = data.find(written[lost].data) - 1
        disk.overwrite(path, b"?" * at + data[at:])
        log = opened(disk)
        log.fill(written)
        log.close()
        assert read(disk) == bytes_of(written)
