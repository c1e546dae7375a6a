"""The data folder's marker: the same id at every start, also after a power cut; a new one where the disk is new."""

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from ledger.errors import DiskFull
from persistence.disk import RealDisk
from persistence.marker import NAME, folder_id, has_run
from tests.actors.test_cli_backup import played
from tests.actors.written import write_history
from tests.persistence.making import TestRandomness
from tests.persistence.simdisk import Hook, PowerCut, SimDisk

DATA = Path("data")


def test_a_folder_keeps_its_id_and_a_new_one_gets_another(tmp_path: Path):
    tokens = TestRandomness()
    first, was_there = folder_id(RealDisk(), tmp_path / "data", tokens)
    assert not was_there
    assert folder_id(RealDisk(), tmp_path / "data", tokens) == (first, True)
    other, was_there = folder_id(RealDisk(), tmp_path / "other", tokens)
    assert other != first
    assert not was_there


def test_a_marker_that_nobody_can_read_is_of_a_folder_on_which_a_bot_has_run(tmp_path: Path):
    assert not has_run(RealDisk(), tmp_path)
    folder_id(RealDisk(), tmp_path, TestRandomness())
    assert not has_run(RealDisk(), tmp_path)
    (tmp_path / NAME).write_bytes(b"?")
    assert has_run(RealDisk(), tmp_path)


def test_a_log_whose_first_line_nobody_can_read_may_be_a_bot_s(tmp_path: Path):
    folder_id(RealDisk(), tmp_path, TestRandomness(), 9)  # as `restore` does, of a log of epoch 9
    write_history(tmp_path, played(1))
    assert not has_run(RealDisk(), tmp_path)
    (path,) = (tmp_path / "log").iterdir()
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert has_run(RealDisk(), tmp_path)


def test_a_log_without_a_marker_is_of_an_earlier_release(tmp_path: Path):
    (tmp_path / "log").mkdir()
    assert not folder_id(RealDisk(), tmp_path, TestRandomness())[1]
    (tmp_path / NAME).unlink()
    (tmp_path / "log" / "0000000001.log").touch()
    assert folder_id(RealDisk(), tmp_path, TestRandomness())[1]


def test_every_flip_and_every_truncation_is_seen_and_still_tells_of_an_earlier_start(tmp_path: Path):
    first, _ = folder_id(RealDisk(), tmp_path, TestRandomness())
    path = tmp_path / NAME
    whole = path.read_bytes()
    damaged = [whole[:size] for size in range(len(whole) - 1)]  # the newline alone may be missing
    damaged += [
        bytes((*whole[:at], whole[at] ^ 1 << bit, *whole[at + 1 :])) for at in range(len(whole)) for bit in (0, 7)
    ]
    for each in damaged:
        path.write_bytes(each)
        tokens = TestRandomness(first=2)
        second, was_there = folder_id(RealDisk(), tmp_path, tokens)
        assert was_there
        assert second != first, each
        assert folder_id(RealDisk(), tmp_path, tokens) == (second, True)


def test_an_id_that_was_given_survives_every_kill_and_every_power_cut():
    given = 0
    for seed in range(400):
        random, tokens = Random(seed), TestRandomness()
        disk, known = SimDisk(), ""
        for _ in range(5):
            disk.before = cut_after(disk.operations + random.randrange(1, 12))
            with suppress(PowerCut):
                folder, was_there = folder_id(disk, DATA, tokens)
                assert not known or (folder, was_there) == (known, True), seed
                known = folder
                given += 1
            if random.random() < 0.5:  # else the process was only killed
                disk = disk.crashed(random)
    assert given > 400


def cut_after(last: int) -> Hook:
    def cut(number: int, what: str) -> None:
        if number >= last:
            raise PowerCut(what)

    return cut


def test_a_full_disk_leaves_no_half_marker():
    tokens = TestRandomness()

    def full(_number: int, what: str) -> None:
        if what == "write":
            raise DiskFull("no room")

    disk = SimDisk(full)
    with pytest.raises(DiskFull):
        folder_id(disk, DATA, tokens)
    disk.before = SimDisk().before
    assert not folder_id(disk, DATA, tokens)[1]
