"""Merged files of a log: who reads sees no difference, whatever is there of the old ones; nothing goes too early."""

from pathlib import Path

import pytest

from ledger.errors import Corrupt, DiskFull, NotConfirmed, StorageError
from persistence import merging, packed
from persistence.frames import Frame
from persistence.log import Log
from persistence.log_files import is_packed
from persistence.quarantine import Quarantine
from persistence.reading import Reading, read_log
from tests.persistence.making import BLUE, RED, Chain, bytes_of
from tests.persistence.simdisk import SimDisk
from tests.persistence.test_log import FOLDER, failing_at, read

QUARANTINE = Path("data/quarantine")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch):
    """So that these short files have several."""
    monkeypatch.setattr(packed, "BLOCK_BYTES", 700)


class Lives:
    """A log that is opened again and again; its files are merged by threes. ``written``: all frames."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.chain = Chain()
        self.written: list[Frame] = []
        self.notes: tuple[str, ...] = ()

    def opened(self) -> Log:
        log = Log(self.disk, FOLDER, Quarantine(self.disk, QUARANTINE), segment_bytes=100_000, merge_files=3)
        self.notes = log.open().notes
        log.begin(1, "lineage")
        return log

    def live(self, batches: int = 1) -> None:
        log = self.opened()
        for _ in range(batches):
            log.append(batch := self.chain.batch(RED, BLUE))
            self.written += batch
        log.close()

    def names(self) -> list[str]:
        return [name.lstrip("0") for name in self.disk.names(FOLDER)]

    def path(self, number: int, suffix: str = ".jsonl.zst") -> Path:
        return FOLDER / f"{number:010d}{suffix}"


@pytest.fixture
def merged() -> Lives:
    """Four lives, a fifth that merges the first three files, and a sixth that takes them away."""
    lives = Lives()
    for _ in range(6):
        lives.live()
    return lives


def test_old_files_go_only_when_another_opening_has_read_the_merged_one():
    lives = Lives()
    seen: list[list[str]] = []
    for _ in range(6):
        lives.live()
        seen.append(lives.names())
    assert seen[3] == ["1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl"]
    assert seen[4] == ["1.jsonl", "2.jsonl", "3.jsonl", "3.jsonl.zst", "4.jsonl", "5.jsonl"]
    assert seen[5] == ["3.jsonl.zst", "4.jsonl", "5.jsonl", "6.jsonl"]


def test_who_reads_sees_no_difference():
    lives = Lives()
    for _ in range(40):
        lives.live()
        log = lives.opened()
        assert lives.notes == ()
        for guild in (RED, BLUE):
            of_guild = bytes_of([frame for frame in lives.written if frame.record.guild == guild])
            assert log.guild_lines(guild, 0) == of_guild
            assert log.guild_lines(guild, 3) == of_guild[3:]
        for gsn in (0, 5):
            assert bytes_of(list(log.frames_after(gsn))) == bytes_of(lives.written[gsn:])
            assert bytes_of([frame for piece in log.reread(gsn) for frame in piece]) == bytes_of(lives.written[gsn:])
        log.close()
    assert read(lives.disk) == bytes_of(lives.written)


def test_no_merged_file_takes_the_place_of_another(monkeypatch: pytest.MonkeyPatch):
    """What this opening has read of it lies elsewhere in the new one; and one that cannot be kept goes again."""
    monkeypatch.setattr(merging, "MERGE_RECORDS", 20)
    lives = Lives()
    for batches in (8, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0):
        before = [(path, lives.disk.identity(path)) for path in merged_paths(lives)]
        log = lives.opened()
        assert all(lives.disk.identity(path) in {identity, None} for path, identity in before)
        assert log.guild_lines(RED, 0) == bytes_of([frame for frame in lives.written if frame.record.guild == RED])
        for _ in range(batches):
            log.append(batch := lives.chain.batch(RED, BLUE))
            lives.written += batch
        log.close()


@pytest.mark.parametrize("merge_records", range(2, 8))
def test_nor_that_of_what_is_left_of_a_damaged_one(merge_records: int, monkeypatch: pytest.MonkeyPatch):
    """All but its last block has rotted while the file of the same number is still there, and holds some of that."""
    lives = Lives()
    for _ in range(5):
        lives.live(2)
    (merged,) = merged_paths(lives)
    data = bytearray(lives.disk.read(merged))
    for block in list(packed.blocks(bytes(data)))[:-1]:
        data[block.end - 1] ^= 1
    lives.disk.overwrite(merged, bytes(data))
    monkeypatch.setattr(merging, "MERGE_RECORDS", merge_records)
    for _ in range(5):
        lives.live()
        assert read(lives.disk) == bytes_of(lives.written)


def merged_paths(lives: Lives) -> list[Path]:
    return [FOLDER / name for name in lives.disk.names(FOLDER) if is_packed(FOLDER / name)]


def test_however_often_a_bot_is_started_there_are_few_files_and_records_are_copied_seldom():
    lives, copied, most = Lives(), 0, 0
    for _ in range(200):
        before = set(lives.names())
        lives.live()
        copied += sum(read_records(lives, name) for name in set(lives.names()) - before if name.endswith(".zst"))
        most = max(most, len(lives.names()))
    assert most < 20
    assert copied < 8 * len(lives.written)


def read_records(lives: Lives, name: str) -> int:
    reading = Reading(lives.disk, FOLDER)
    held = [file for file in reading.survey.files if file.path.name.endswith(name)]
    return sum((file.limit or 0) - file.first_gsn + 1 for file in held)


def test_files_of_many_records_are_each_merged_alone_and_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(merging, "MERGE_RECORDS", 10)
    lives = Lives()
    for _ in range(8):
        lives.live(batches=5)
    assert lives.names() == [
        *(f"{number}.jsonl.zst" for number in range(1, 6)),
        "6.jsonl",
        "6.jsonl.zst",
        "7.jsonl",
        "8.jsonl",
    ]
    assert read(lives.disk) == bytes_of(lives.written)


def test_starts_without_a_record_leave_no_files_behind():
    lives = Lives()
    lives.live()
    for _ in range(50):
        lives.opened().close()
    lives.live()
    for _ in range(3):
        lives.opened().close()
    assert lives.names() == ["52.jsonl.zst", "53.jsonl", "54.jsonl", "55.jsonl"]
    assert read(lives.disk) == bytes_of(lives.written)


def test_the_highest_term_of_the_files_is_the_merged_ones():
    lives = Lives()
    lives.live()
    log = Log(lives.disk, FOLDER, Quarantine(lives.disk, QUARANTINE), merge_files=3)
    log.open()
    log.begin(7, "lineage")  # and nothing was recorded in it
    log.close()
    for _ in range(5):
        lives.live()
    assert lives.names()[0] == "3.jsonl.zst"
    assert Reading(lives.disk, FOLDER).summary().epoch == 7


# What may go wrong


@pytest.mark.parametrize("kept", [("1",), ("2",), ("3",), ("1", "3"), ("1", "2", "3")])
def test_whichever_of_the_old_files_are_still_there_they_hold_nothing(kept: tuple[str, ...]):
    """Whoever took them away was killed, or their names came back with the power."""
    lives = Lives()
    for _ in range(5):
        lives.live()
    for number in {"1", "2", "3"}.difference(kept):
        lives.disk.remove(lives.path(int(number), ".jsonl"))
    assert read(lives.disk) == bytes_of(lives.written)
    log = lives.opened()
    assert lives.notes == ()
    assert lives.names() == ["3.jsonl.zst", "4.jsonl", "5.jsonl", "6.jsonl"]
    assert log.guild_lines(RED, 0) == bytes_of(lives.written[::2])


def test_what_a_merged_file_was_made_of_stays_while_that_is_damaged():
    lives = Lives()
    for _ in range(5):
        lives.live()
    hurt(lives)
    log = lives.opened()
    assert {"1.jsonl", "2.jsonl", "3.jsonl", "3.jsonl.zst"} <= set(lives.names())
    log.fill(lives.written)
    assert lives.disk.identity(lives.path(1, ".jsonl")) is None, "it was read whole"
    assert read(lives.disk) == bytes_of(lives.written)


def test_and_while_it_is_cut_short_between_two_blocks_where_no_line_is_damaged():
    lives = Lives()
    for _ in range(5):
        lives.live()
    data = lives.disk.read(lives.path(3))
    lives.disk.overwrite(lives.path(3), data[: [block.end for block in packed.blocks(data)][1]])
    lives.opened().close()
    assert "cannot be read" in lives.notes[0]
    assert {"1.jsonl", "2.jsonl", "3.jsonl", "3.jsonl.zst"} <= set(lives.names())


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("gone", [(), ("1",), ("2",), ("3",)])
def test_what_a_damaged_merged_file_misses_comes_from_those_that_it_was_made_of_if_they_are_all_there(
    gone: tuple[str, ...], *, is_cut: bool
):
    lives = Lives()
    for _ in range(5):
        lives.live()
    data = lives.disk.read(lives.path(3))
    end = [block.end for block in packed.blocks(data)][1]
    lives.disk.overwrite(lives.path(3), data[:end] if is_cut else data[:end] + b"?" + data[end + 1 :])
    for number in gone:
        lives.disk.remove(lives.path(int(number), ".jsonl"))
    lives.live()
    assert "cannot be read" in " ".join(lives.notes), "it is said all the same"
    assert (read(lives.disk) == bytes_of(lives.written)) == (not gone)
    if not gone:
        assert {"1.jsonl", "2.jsonl", "3.jsonl", "3.jsonl.zst"} <= set(lives.names()), "it was not read again yet"
        lives.live()
        assert lives.notes == ()
        assert "1.jsonl" not in lives.names()
        assert read(lives.disk) == bytes_of(lives.written)


def hurt(lives: Lives) -> None:
    data = lives.disk.read(lives.path(3))
    lives.disk.overwrite(lives.path(3), data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])


def test_a_damaged_merged_file_is_mended_as_any_other(merged: Lives):
    hurt(merged)
    log = merged.opened()
    assert merged.notes[:2] == (
        "0000000003.jsonl.zst: lines are damaged where all was durable",
        "gsn 6 to 6 cannot be read",
    )
    log.fill(merged.written)
    assert read(merged.disk) == bytes_of(merged.written)
    assert log.guild_lines(RED, 0) == bytes_of(merged.written[::2])
    assert merged.names()[0] == "3.jsonl.zst", "it is packed again"
    assert len(merged.disk.names(QUARANTINE)) == 2, "the bytes and why"


def test_a_merged_file_that_is_lost_comes_back_from_whoever_has_its_records(merged: Lives):
    merged.disk.remove(merged.path(3))
    log = merged.opened()
    assert merged.notes[0] == "gsn 1 to 6 cannot be read"
    log.fill(merged.written)
    assert read(merged.disk) == bytes_of(merged.written)


def test_a_lost_one_in_between_too(merged: Lives):
    for _ in range(6):
        merged.live()
    _, second = [name for name in merged.disk.names(FOLDER) if name.endswith(".zst")]
    merged.disk.remove(FOLDER / second)
    log = merged.opened()
    log.fill(merged.written)
    assert read(merged.disk) == bytes_of(merged.written)
    assert log.guild_lines(RED, 0) == bytes_of(merged.written[::2])


def test_a_merged_file_of_garbage_is_moved_aside(merged: Lives):
    merged.disk.overwrite(merged.path(3), b"garbage")
    log = merged.opened()
    assert "0000000003.jsonl.zst: no line can be read" in merged.notes
    log.fill(merged.written)
    assert read(merged.disk) == bytes_of(merged.written)


def test_a_branch_that_lost_within_a_merged_file_is_hidden(merged: Lives):
    winner = Chain(epoch=2)
    winner.batch(RED, BLUE, RED)
    winner.gsn, winner.heads = 3, dict(winner.heads)
    log = merged.opened()
    log.set_aside(2)
    lost = merged.written[2:]
    kept = Chain()
    kept.batch(RED, BLUE)
    kept.epoch = 2
    log.append(won := kept.batch(BLUE, RED))
    log.close()
    for _ in range(5):
        merged.opened().close()
        assert read(merged.disk) == bytes_of([*merged.written[:2], *won])
    (aside,) = [name for name in merged.disk.names(QUARANTINE) if not name.endswith(".why")]
    assert merged.disk.read(QUARANTINE / aside).splitlines() == bytes_of(lost)


def test_a_log_without_its_beginning_is_merged_and_reread(merged: Lives):
    merged.disk.remove(merged.path(3))
    for _ in range(8):
        log = merged.opened()
        log.append(batch := merged.chain.batch(RED))
        merged.written += batch
        assert bytes_of([frame for piece in log.reread(0) for frame in piece]) == bytes_of(merged.written[6:])
        log.close()
    assert any(is_packed(FOLDER / name) for name in merged.disk.names(FOLDER))


def test_a_block_that_rots_under_an_open_log_is_named(merged: Lives):
    log = merged.opened()
    hurt(merged)
    with pytest.raises(Corrupt, match=r"0000000003\.jsonl\.zst@\d+: the block is damaged"):
        log.guild_lines(BLUE, 0)
    with pytest.raises(Corrupt, match="block is damaged"):
        list(log.reread(0))


@pytest.mark.parametrize("error", [DiskFull, NotConfirmed, StorageError])
@pytest.mark.parametrize("operation", ["open", "write", "sync", "rename", "sync_folder"])
def test_what_cannot_be_merged_is_said_and_tried_again(operation: str, error: type[StorageError]):
    lives = Lives()
    for _ in range(4):
        lives.live()
    failing_at(lives.disk, {operation: error})
    log = Log(lives.disk, FOLDER, Quarantine(lives.disk, QUARANTINE), merge_files=3)
    notes = log.open().notes
    assert notes == (f"the log's files were not merged: {operation}",)
    assert [name for name in lives.names() if "zst" in name] == []
    lives.disk.before = lambda *_: None
    lives.live()
    assert "3.jsonl.zst" in lives.names()
    assert read(lives.disk) == bytes_of(lives.written)


def test_a_draft_of_one_who_was_killed_goes():
    lives = Lives()
    lives.live()
    path = FOLDER / "0000000001.jsonl.zst.new"
    lives.disk.append_to(path)
    lives.live()
    assert lives.disk.identity(path) is None


def test_a_file_that_rots_between_reading_and_merging_is_not_merged():
    lives = Lives()
    for _ in range(4):
        lives.live()
    reading = read_log(lives.disk, FOLDER)
    assert len(list(reading)) == 8
    data = lives.disk.read(lives.path(2, ".jsonl"))
    lives.disk.overwrite(lives.path(2, ".jsonl"), data.replace(b'"seq":2', b'"seq":3'))
    (told,) = merging.tidy(lives.disk, FOLDER, reading.scan, 3)
    assert "not all of 0000000001.jsonl to 0000000003.jsonl can be read any more" in told
    assert not any(is_packed(FOLDER / name) for name in lives.disk.names(FOLDER))
