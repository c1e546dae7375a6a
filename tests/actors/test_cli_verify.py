"""Verify names every fault with its place, and takes what a killed bot leaves for no fault."""

import asyncio
import io
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from actors.cli.verify import verify_layers
from ledger.errors import NewerFormat
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, pages_of
from persistence import merging
from persistence.chains import head_of
from persistence.checkpoints import Checkpoints, make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.layer import Head
from persistence.local import hold_folder
from persistence.marker import folder_id
from persistence.migrations import MIGRATIONS, Migration, migrate
from persistence.quarantine import Quarantine
from persistence.sqlite import SqliteLayer
from persistence.sqlite_connection import connect
from tests.actors.written import Sealer, appends_of, make_log
from tests.ledger.worlds import World
from tests.persistence import earlier
from tests.persistence.making import TestRandomness


def records() -> list[Record]:
    world = World(3, joins=8)
    world.run()
    return world.records


def write(data: Path, segment_bytes: int = 16_000_000) -> list[Frame]:
    """A log of one guild, eight appends a batch, sealed."""
    log, seal, frames = make_log(data, segment_bytes=segment_bytes), Sealer(), []
    appends = appends_of(records())
    for start in range(0, len(appends), 8):
        batch = seal(appends[start : start + 8])
        log.append(batch)
        frames += batch
    log.close()
    return frames


def keep_checkpoint(data: Path, head: Head) -> Path:
    disk = RealDisk()
    kept = Checkpoints(disk, data / "checkpoints", Quarantine(disk, data / "quarantine"))
    pages = tuple(pages_of(GuildState(guild=GuildId("1"))))
    kept.save(make_checkpoint(GuildId("1"), head, "lineage", pages))
    return max((data / "checkpoints" / "1").iterdir())


def verify(data: Path) -> tuple[int, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    code = verify_layers(data, data / "ledger.db", out, err)
    assert err.getvalue() == ""
    return code, out.getvalue().splitlines()


def segments(data: Path) -> list[Path]:
    return sorted((data / "log").iterdir())


def test_a_folder_that_is_not_there_is_a_fault_and_is_not_made(tmp_path: Path):
    out, err = io.StringIO(), io.StringIO()
    assert verify_layers(tmp_path / "data", tmp_path / "data" / "ledger.db", out, err) == 1
    assert "nothing is recorded" in err.getvalue()
    assert not (tmp_path / "data").exists()


def test_a_log_without_a_record_is_whole(tmp_path: Path):
    (tmp_path / "log").mkdir()
    assert verify(tmp_path) == (
        0,
        ["log: 0 records of 0 guilds in 0 files, up to gsn 0", "checkpoints: 0 of 0 guilds", "database: none"],
    )


def test_a_layer_is_a_line_with_its_counts(tmp_path: Path):
    frames = write(tmp_path, segment_bytes=100)
    keep_checkpoint(tmp_path, head_of(frames[-1]))
    code, lines = verify(tmp_path)
    number, files = len(frames), len(segments(tmp_path))
    assert files > 2
    assert lines[0] == f"log: {number} records of 1 guild in {files} files, up to gsn {number}"
    assert lines[1] == "checkpoints: 1 of 1 guild"
    assert lines[2] == "database: none yet: the bot makes it anew from the log when it starts"
    assert code == 0


def test_a_database_that_is_gone_where_a_bot_has_run_is_a_fault(tmp_path: Path):
    folder_id(RealDisk(), tmp_path, TestRandomness())
    write(tmp_path)
    code, lines = verify(tmp_path)
    assert code == 1
    assert lines[2] == "database: none; 1 fault:"
    assert "ledger.db is not there, and a bot has run on this folder: is DATABASE_URL the bot's?" in lines[3]


def is_alone(frame: Frame, frames: Sequence[Frame]) -> bool:
    """Whether an append is this one record."""
    return [each.record.last for each in frames].count(frame.record.last) == 1


def test_a_flipped_bit_is_named_by_file_and_offset(tmp_path: Path):
    frames = write(tmp_path)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    alone = next(each.record.gsn for each in frames[4:] if is_alone(each, frames))
    place = data.index(f'"gsn":{alone},'.encode())
    data[place + 2] ^= 1
    path.write_bytes(data)
    start = data.rindex(b"\n", 0, place) + 1
    code, lines = verify(tmp_path)
    assert code == 1
    assert f"  log: {path.name}@{start}: checksum differs" in lines
    assert f"  log: gsn {alone} to {alone} cannot be read" in lines
    assert f"  log: guild 1: {len(frames) - alone} records on no chain" in lines


def test_merged_files_of_a_log_are_files_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(merging, "MERGE_RECORDS", 30)
    frames = write(tmp_path, segment_bytes=100)
    for _ in range(3):
        make_log(tmp_path).close()
    packed = [path for path in segments(tmp_path) if path.suffix == ".zst"]
    assert packed
    number, files = len(frames), len(segments(tmp_path))
    assert verify(tmp_path)[1][0] == f"log: {number} records of 1 guild in {files} files, up to gsn {number}"
    data = bytearray(packed[0].read_bytes())
    data[-9] ^= 1
    packed[0].write_bytes(data)
    code, lines = verify(tmp_path)
    assert code == 1
    assert f"  log: {packed[0].name}: no line can be read" in lines
    assert any(line.startswith("  log: gsn 1 to ") and line.endswith(" cannot be read") for line in lines)


def test_a_torn_end_is_what_a_kill_leaves_and_no_fault(tmp_path: Path):
    log, seal = make_log(tmp_path), Sealer()
    for append in appends_of(records()):
        log.append(seal([append]))
    path = segments(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-9])
    _, lines = verify(tmp_path)
    assert lines[0].startswith("log: ")
    assert "faults" not in lines[0]


def test_a_file_that_cannot_be_read_at_all_is_named(tmp_path: Path):
    write(tmp_path)
    stray = tmp_path / "log" / "0000000099.jsonl"
    stray.write_bytes(b"\x00" * 100)
    code, lines = verify(tmp_path)
    assert code == 1
    assert f"  log: {stray.name}: no line can be read" in lines


@pytest.mark.parametrize("part", ["header", "page"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, part: str):
    path = keep_checkpoint(tmp_path, head_of(write(tmp_path)[-1]))
    data = bytearray(path.read_bytes())
    data[5 if part == "header" else -5] ^= 1
    path.write_bytes(data)
    code, lines = verify(tmp_path)
    assert code == 1
    assert lines[1] == "checkpoints: 1 of 1 guild; 1 fault:"
    assert lines[2].startswith(f"  checkpoints: 1/{path.name}: ")


def test_a_checkpoint_beyond_the_log_is_a_fault(tmp_path: Path):
    frames = write(tmp_path)
    keep_checkpoint(tmp_path, head_of(frames[-1]))
    for path in segments(tmp_path):
        path.unlink()
    assert f"is of seq {frames[-1].record.seq}, the log ends at 0" in verify(tmp_path)[1][2]


@pytest.mark.parametrize(("epoch", "faults"), [(1, 1), (0, 0)])
def test_a_checkpoint_off_the_chain_is_a_fault_unless_its_branch_has_lost(tmp_path: Path, epoch: int, faults: int):
    head = head_of(write(tmp_path)[-1])
    keep_checkpoint(tmp_path, msgspec.structs.replace(head, digest=bytes(32), epoch=epoch))
    _, lines = verify(tmp_path)
    assert sum(f"does not stand on the log's chain at seq {head.seq}" in line for line in lines) == faults


async def fill_database(data: Path, frames: Sequence[Frame], image: Path | None = None) -> None:
    """A database with these frames and a checkpoint; ``image``: gets what a kill before the end would leave."""
    layer = SqliteLayer(RealDisk(), data / "ledger.db", data / "quarantine")
    try:
        await layer.open()
        await layer.begin(1, "lineage")
        await layer.append(frames)
        pages = tuple(pages_of(GuildState(guild=GuildId("1"))))
        await layer.save_checkpoint(make_checkpoint(GuildId("1"), head_of(frames[-1]), "lineage", pages))
        if image is not None:
            shutil.copytree(data, image)
    finally:
        await layer.close()  # its thread would keep a failed test's process from ending


def test_a_whole_database_is_a_line(tmp_path: Path):
    frames = write(tmp_path)
    asyncio.run(fill_database(tmp_path, frames))
    code, lines = verify(tmp_path)
    assert code == 0
    assert lines[2] == f"database: {len(frames)} records of 1 guild, up to gsn {len(frames)}, 1 checkpoint"


def test_a_database_behind_the_log_is_what_a_kill_leaves(tmp_path: Path):
    frames = write(tmp_path)
    last = frames[-1].record
    asyncio.run(fill_database(tmp_path, [frame for frame in frames if frame.record.last != last.last]))
    assert verify(tmp_path)[0] == 0


def test_a_log_behind_the_database_is_a_fault(tmp_path: Path):
    frames = write(tmp_path)
    asyncio.run(fill_database(tmp_path, frames))
    for path in segments(tmp_path):
        path.unlink()
    code, lines = verify(tmp_path)
    assert code == 1
    assert lines[-2] == f"  database: ledger.db, guild 1: ends at seq {len(frames)}, the log at 0"
    assert lines[-1].startswith("to do: keep a copy of LEDGER_DATA, then start the bot")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            "UPDATE frames SET frame = CAST(substr(CAST(frame AS TEXT), 2) AS BLOB) WHERE gsn = 5",
            "ledger.db, gsn 5: ",
        ),
        ("UPDATE frames SET gsn = -5 WHERE gsn = 5", "ledger.db: gsn 5 to 5 is not there"),
        (
            "UPDATE frames SET gsn = 99 WHERE gsn = (SELECT max(gsn) FROM frames)",
            "the column is not that of the frame",
        ),
        ("DELETE FROM frames WHERE gsn = 5", "ledger.db: gsn 5 to 5 is not there"),
        ("UPDATE checkpoints SET file = substr(file, 1, 100)", "checkpoint"),
        ("CREATE TABLE stray (a)", "the schema is not what its last migration left"),
    ],
)
def test_a_damaged_database_is_named_with_its_place(tmp_path: Path, statement: str, fault: str):
    asyncio.run(fill_database(tmp_path, write(tmp_path)))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db, db:
        db.execute(statement)
    code, lines = verify(tmp_path)
    assert code == 1
    assert any(line.startswith("  database: ") and fault in line for line in lines), lines


def test_what_is_no_database_is_said(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"nothing of the kind" * 300)
    code, lines = verify(tmp_path)
    assert code == 1
    assert lines[2] == "database: unreadable; 1 fault:"


def test_beside_a_running_bot_the_database_is_left_alone(tmp_path: Path):
    asyncio.run(fill_database(tmp_path, write(tmp_path)))
    held = hold_folder(RealDisk(), tmp_path, "today")
    code, lines = verify(tmp_path)
    held.release()
    assert code == 0
    assert lines[2].startswith(f"database: not looked at, since process {os.getpid()} on ")


def test_looking_changes_nothing(tmp_path: Path):
    frames = write(tmp_path)
    asyncio.run(fill_database(tmp_path, frames))
    keep_checkpoint(tmp_path, head_of(frames[-1]))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    verify(tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after.keys() | before.keys() if after.get(path) != before.get(path)} == {
        tmp_path / "lock"
    }


def test_what_a_killed_bot_left_in_its_wal_is_seen(tmp_path: Path):
    frames, image = write(tmp_path / "data"), tmp_path / "image"
    asyncio.run(fill_database(tmp_path / "data", frames, image))
    assert (image / "ledger.db-wal").stat().st_size > 0
    code, lines = verify(image)
    assert (code, lines[2].split(",")[0]) == (0, f"database: {len(frames)} records of 1 guild")


def migrate_further(path: Path) -> None:
    later = (*MIGRATIONS, Migration(name="later", statements=("CREATE TABLE later (a)",)))
    with closing(connect(path)) as db:
        migrate(db, path, later)


def test_a_database_of_an_earlier_release_is_not_called_damaged(tmp_path: Path):
    earlier.leave(tmp_path / "ledger.db", earlier.SECOND, write(tmp_path))
    code, lines = verify(tmp_path)
    assert (code, lines[2]) == (0, "database: of an earlier release: the bot brings it up to date when it starts")


def test_a_later_format_is_refused(tmp_path: Path):
    asyncio.run(fill_database(tmp_path, write(tmp_path)))
    migrate_further(tmp_path / "ledger.db")
    with pytest.raises(NewerFormat, match=r"ledger\.db was written by a later release"):
        verify(tmp_path)
