"""Backups are whole or no backups, and what is restored from them is what they held, or nothing."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from stamina.instrumentation import set_on_retry_hooks

from actors.cli.app import make_app, perform
from actors.cli.backup import back_up
from actors.cli.errors import exit_code_of
from actors.cli.forget import Terminal, forget_for_good
from actors.cli.restore import Wish, restore_backup
from actors.cli.verify import verify_layers
from actors.forgetting import ForgetReport, ForgetRequest
from actors.settings import Settings
from actors.sources import read_settings
from ledger.errors import DiskFull, FolderInUse, NewerFormat, WrongHistory
from ledger.ids import GuildId, UserId
from ledger.records import ContinuityBroken, Forgetting, Record
from persistence import copying
from persistence.backups import (
    FolderNotEmpty,
    InsideHistory,
    NoBackup,
    NoRoom,
    SourceDamaged,
    StaysAsItIs,
    becoming_whole,
    read_note,
)
from persistence.checkpoints import unpack
from persistence.copying import CopyDiffers, NothingThen, copy_history
from persistence.disk import RealDisk, RealHandle
from persistence.frames import Frame
from persistence.histories import FolderHistory, NameUnknown
from persistence.layer import Head
from persistence.local import LocalLayer, hold_folder
from persistence.marker import folder_id
from persistence.offload import inline
from persistence.reading import read_log
from persistence.scan import survey
from persistence.sealed import seal_line
from persistence.sqlite import SqliteLayer
from persistence.store import StartReport
from tests.actors.written import Around, Sealer, in_time, keep_checkpoint, make_log, write_history
from tests.ledger.worlds import START_US, World
from tests.memory.store import store_of
from tests.persistence.making import Chain, TestClock, TestRandomness

ROOT = Path(__file__).parents[2]
START_MS = START_US // 1000


def played(seed: int, forgotten: list[tuple[int, str | None]] | None = None) -> list[Record]:
    world = World(seed)
    for second, user in forgotten or ():
        world.forget_at(START_US + second * 1_000_000, UserId(user) if user else None)
    world.run()
    return world.records


def back(data: Path, to: Path) -> str:
    around = Around()
    assert back_up(around.all, data, data / "ledger.db", to) == 0
    assert around.err.getvalue() == ""
    return around.out.getvalue()


def restore(backup: Path, to: Path, until_ms: int | None = None, disk: RealDisk | None = None) -> tuple[int, str]:
    around = Around(disk)
    code = asyncio.run(restore_backup(around.all, backup, Wish(to=to, until_ms=until_ms)))
    return code, around.out.getvalue()


def records_in(data: Path) -> list[Record]:
    return [frame.record for frame in read_log(RealDisk(), data / "log")]


def heads_in(data: Path) -> dict[GuildId, Head]:
    reading = read_log(RealDisk(), data / "log")
    for _ in reading:
        pass
    return reading.chains.heads


def terms_in(data: Path) -> set[tuple[int, str]]:
    headers = [file.header for file in survey(RealDisk(), data / "log").files]
    return {(header.epoch, header.lineage) for header in headers if header is not None}


def tree(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def started(data: Path) -> tuple[StartReport, dict[GuildId, Head]]:
    """What a bot that starts on the folder finds."""
    disk = RealDisk()
    layers = LocalLayer(disk, data, inline), SqliteLayer(disk, data / "ledger.db", data / "quarantine")
    store = store_of(layers, TestClock(), TestRandomness(first=99))
    try:
        report = await store.start()
        for guild in store.guilds():
            opened = await store.open_guild(guild)
            assert opened.notes == ()
        return report, {guild: store.head_of(guild) for guild in store.guilds()}
    finally:
        await store.close()


# What a backup is


def test_a_backup_holds_the_same_bytes_and_says_what_they_are(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(1), played(2), segment_bytes=2_000)
    said = back(tmp_path / "data", tmp_path / "kept")
    note = read_note(RealDisk(), tmp_path / "kept")
    assert (note.contents.records, note.contents.guilds, note.contents.gsn) == (len(frames), 2, len(frames))
    assert (note.contents.newest_ms, note.contents.missing) == (frames[-1].record.at_ms, ())
    assert (note.lineage, note.epoch) == ("lineage", 1)
    kept = read_log(RealDisk(), tmp_path / "kept" / "log")
    assert [frame.data for frame in kept] == [frame.data for frame in frames]
    assert f"{len(frames)} records of 2 guilds, up to 2023-11-14" in said
    assert note.contents.digest in said
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["backup.json", "log"]


def test_a_backup_is_restored_to_the_same_heads_and_a_bot_starts_on_it(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(3))
    for seq in (len(frames) // 2, len(frames) - 2):
        keep_checkpoint(tmp_path / "data", frames, seq)
    back(tmp_path / "data", tmp_path / "kept")
    code, said = restore(tmp_path / "kept", tmp_path / "new")
    assert code == 0
    assert "2 checkpoints" in said
    assert tree(tmp_path / "new" / "checkpoints") == tree(tmp_path / "data" / "checkpoints")
    assert heads_in(tmp_path / "new") == heads_in(tmp_path / "data")
    report, heads = asyncio.run(started(tmp_path / "new"))
    assert (report.lineage, report.epoch, report.missing) == ("lineage", 2, ())
    assert heads == heads_in(tmp_path / "data")


def test_a_backup_beside_a_writer_is_what_was_durable_then(tmp_path: Path):
    """A process appends all the time; the backup is a prefix of what it has written in the end."""
    writer = subprocess.Popen(
        (sys.executable, "-c", WRITER, str(tmp_path / "data")), cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        for number in range(3):
            back(tmp_path / "data", tmp_path / f"kept{number}")
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        if writer.stdout is not None:
            writer.stdout.close()
    written = [frame.data for frame in read_log(RealDisk(), tmp_path / "data" / "log")]
    sizes = []
    for number in range(3):
        held = [frame.data for frame in read_log(RealDisk(), tmp_path / f"kept{number}" / "log")]
        assert held == written[: len(held)]
        sizes.append(len(held))
    assert 0 < sizes[0] < sizes[-1]


WRITER = """
import sys
from pathlib import Path
from ledger.ids import GuildId
from tests.actors.written import make_log
from tests.persistence.making import Chain
log, chain = make_log(Path(sys.argv[1]), segment_bytes=20_000), Chain()
log.append(chain.append(GuildId("1"), size=5))
print("going", flush=True)
while True:
    log.append([*chain.append(GuildId("1"), size=3), *chain.append(GuildId("2"))])
"""


def test_records_that_were_missing_before_are_missing_in_it_and_said(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(5), played(6), segment_bytes=100)
    hurt = sorted((tmp_path / "data" / "log").iterdir())[3]
    hurt.write_bytes(hurt.read_bytes().replace(b'"gsn"', b'"gsm"'))
    around = Around()
    assert back_up(around.all, tmp_path / "data", tmp_path / "data" / "ledger.db", tmp_path / "kept") == 1
    assert "the log itself is not whole: gsn " in around.out.getvalue()
    note = read_note(RealDisk(), tmp_path / "kept")
    assert note.contents.missing
    assert note.contents.records < len(frames)
    code, said = restore(tmp_path / "kept", tmp_path / "new")
    assert code == 1
    assert "the history was not whole: gsn " in said
    scan = read_log(RealDisk(), tmp_path / "new" / "log")
    for _ in scan:
        pass
    assert tuple(scan.scan.missing) == note.contents.missing


def test_a_backup_of_nothing_is_none(tmp_path: Path):
    around = Around()
    assert back_up(around.all, tmp_path / "data", tmp_path / "data" / "ledger.db", tmp_path / "kept") == 1
    assert "is LEDGER_DATA the bot's?" in around.err.getvalue()
    assert not (tmp_path / "kept").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.db").touch()
    assert back_up(around.all, tmp_path / "data", tmp_path / "data" / "ledger.db", tmp_path / "kept") == 1
    assert "ledger.db is there: start the bot, which rebuilds its log from it" in around.err.getvalue()
    make_log(tmp_path / "data").close()
    with pytest.raises(NothingThen):
        back_up(around.all, tmp_path / "data", tmp_path / "data" / "ledger.db", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


# Where it goes


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_folder_that_holds_anything_is_refused_and_left_as_it_is(tmp_path: Path, what: str):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    before = tree(tmp_path)
    again, to = (back, "kept") if what == "backup" else (restore, "data")
    source = tmp_path / ("data" if what == "backup" else "kept")
    with pytest.raises(FolderNotEmpty, match=r"is not empty \(") as caught:
        again(source, tmp_path / to)
    assert exit_code_of(caught.value) == 2
    assert tree(tmp_path) == before


def test_the_folder_of_a_running_bot_is_refused_by_its_name(tmp_path: Path):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    held = hold_folder(RealDisk(), tmp_path / "data", "today")
    with pytest.raises(FolderNotEmpty, match=f"is in use by process {os.getpid()} on "):
        restore(tmp_path / "kept", tmp_path / "data")
    held.release()
    empty = hold_folder(RealDisk(), tmp_path / "fresh", "today")
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
        restore(tmp_path / "kept", tmp_path / "fresh")
    empty.release()


@pytest.mark.parametrize("where", ["sub", "log/sub", "checkpoints/9", "a/new/folder"])
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_what_lies_in_a_data_folder_is_refused_and_nothing_is_made(tmp_path: Path, what: str, where: str):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    before = tree(tmp_path)
    again, source = (back, "data") if what == "backup" else (restore, "kept")
    for home in ("data", "kept", "link"):
        with pytest.raises(InsideHistory, match=r"lies in .*, which holds a history: nothing was written") as caught:
            again(tmp_path / source, tmp_path / home / where)
        assert exit_code_of(caught.value) == 2
    assert tree(tmp_path) == before
    assert not (tmp_path / "data" / where).exists()


def test_who_runs_on_the_folder_that_a_backup_would_lie_in_is_named(tmp_path: Path):
    write_history(tmp_path / "data", played(7))
    held = hold_folder(RealDisk(), tmp_path / "data", "today")
    with pytest.raises(InsideHistory, match=f"holds a history, and is in use by process {os.getpid()} on "):
        back(tmp_path / "data", tmp_path / "data" / "kept")
    held.release()


def test_a_folder_with_a_log_and_a_lock_of_others_is_no_data_folder(tmp_path: Path):
    write_history(tmp_path / "data", played(7))
    for name in ("log", "lock"):
        (tmp_path / "var" / name).mkdir(parents=True)
    back(tmp_path / "data", tmp_path / "var" / "backups" / "kept")
    assert restore(tmp_path / "var" / "backups" / "kept", tmp_path / "var" / "lib" / "new")[0] == 0


def test_an_empty_folder_serves(tmp_path: Path):
    write_history(tmp_path / "data", played(8))
    back(tmp_path / "data", tmp_path / "kept")
    (tmp_path / "new").mkdir()
    assert restore(tmp_path / "kept", tmp_path / "new")[0] == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["log", "marker"]


KILLED = """
import os, signal, sys
from pathlib import Path
from persistence.backups import becoming_whole
from persistence.disk import RealDisk
with becoming_whole(RealDisk(), Path(sys.argv[1]), "inviteledger restore") as place:
    for name in ("log/0000000001.jsonl", "log/0000000002.jsonl.new", "checkpoints/7/x.ckpt", "marker", "backup.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_unfinished(folder: Path) -> None:
    """What a restore leaves that is killed."""
    assert subprocess.run((sys.executable, "-c", KILLED, str(folder)), cwd=ROOT, check=False).returncode < 0
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "unfinished"]


def test_what_a_killed_try_left_is_removed(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(8))
    back(tmp_path / "data", tmp_path / "kept")
    leave_unfinished(tmp_path / "new")
    assert restore(tmp_path / "kept", tmp_path / "new")[0] == 0
    assert len(records_in(tmp_path / "new")) == len(frames)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["log", "marker"]


def test_the_root_of_a_volume_counts_as_empty(tmp_path: Path):
    write_history(tmp_path / "data", played(7))
    for volume in (kept := tmp_path / "kept", new := tmp_path / "new"):
        (volume / "lost+found").mkdir(parents=True)
    back(tmp_path / "data", kept)
    assert restore(kept, new)[0] == 0
    assert records_in(new) == records_in(tmp_path / "data")
    assert sorted(path.name for path in new.iterdir()) == ["log", "lost+found", "marker"]


@pytest.mark.parametrize(
    "own", ["unfinished/thesis.txt", "unfinished/log/0000000001.jsonl", "lock", "lock/file", "unfinished"]
)
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_users_own_files_of_our_names_are_refused_and_left(tmp_path: Path, what: str, own: str):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    (tmp_path / "new" / own).parent.mkdir(parents=True)
    (tmp_path / "new" / own).write_bytes(b"mine")
    again, source = (back, "data") if what == "backup" else (restore, "kept")
    with pytest.raises(FolderNotEmpty, match=r"is not empty \((lock|unfinished)\); nothing in it was touched"):
        again(tmp_path / source, tmp_path / "new")
    assert tree(tmp_path / "new") == {Path(own): b"mine"}


def test_a_pipe_that_is_named_as_our_lock_is_refused_and_not_opened(tmp_path: Path):
    write_history(tmp_path / "data", played(7))
    (tmp_path / "new").mkdir()
    os.mkfifo(tmp_path / "new" / "lock")
    with pytest.raises(FolderNotEmpty, match=r"is not empty \(lock\)"):
        back(tmp_path / "data", tmp_path / "new")


@pytest.mark.parametrize("own", ["thesis.txt", "log/thesis.txt", "checkpoints/thesis.ckpt"])
def test_a_users_file_among_what_a_killed_try_left_is_refused_and_left(tmp_path: Path, own: str):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    leave_unfinished(tmp_path / "new")
    (tmp_path / "new" / "unfinished" / own).write_bytes(b"mine")
    before = tree(tmp_path / "new")
    with pytest.raises(FolderNotEmpty, match=r"is not empty \(unfinished\)"):
        restore(tmp_path / "kept", tmp_path / "new")
    assert tree(tmp_path / "new") == before


@pytest.mark.parametrize("where", ["file", "link", "file/new", "loop/new"])
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_what_is_no_folder_is_a_usage_error(tmp_path: Path, what: str, where: str):
    write_history(tmp_path / "data", played(7))
    back(tmp_path / "data", tmp_path / "kept")
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    again, source = (back, "data") if what == "backup" else (restore, "kept")
    with pytest.raises(FolderNotEmpty, match="is no folder: a file, or a link that leads nowhere") as caught:
        again(tmp_path / source, tmp_path / where)
    assert exit_code_of(caught.value) == 2
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


# What goes wrong


@pytest.mark.parametrize(
    ("folder", "why"),
    [("nowhere", "is not there"), ("empty", "holds no whole backup"), ("data", "holds no whole backup")],
)
def test_what_is_no_backup_is_refused(tmp_path: Path, folder: str, why: str):
    write_history(tmp_path / "data", played(9))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoBackup, match=why) as caught:
        restore(tmp_path / folder, tmp_path / "new")
    assert exit_code_of(caught.value) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda kept: (shutil.rmtree(kept), kept.touch()), "kept is no folder"),
        (lambda kept: (shutil.rmtree(kept), kept.symlink_to(kept)), "kept is no folder"),
        (lambda kept: (shutil.rmtree(kept), os.mkfifo(kept)), "kept is no folder"),
        (lambda kept: ((kept / "backup.json").unlink(), (kept / "backup.json").mkdir()), "no backup.json in it"),
        (lambda kept: (shutil.rmtree(kept / "log"), (kept / "log").touch()), "its log is no folder"),
    ],
)
def test_what_stands_in_the_place_of_a_backup_is_none(tmp_path: Path, spoil: Callable[[Path], object], why: str):
    write_history(tmp_path / "data", played(9))
    back(tmp_path / "data", tmp_path / "kept")
    spoil(tmp_path / "kept")
    with pytest.raises(NoBackup, match=why) as caught:
        restore(tmp_path / "kept", tmp_path / "new")
    assert exit_code_of(caught.value) == 2


def test_a_backup_that_a_bot_was_started_on_is_told_from_a_damaged_one(tmp_path: Path):
    write_history(tmp_path / "data", played(9))
    back(tmp_path / "data", tmp_path / "kept")
    folder_id(RealDisk(), tmp_path / "kept", TestRandomness())
    with pytest.raises(NoBackup, match="a bot was started on it"):
        restore(tmp_path / "kept", tmp_path / "new")


def test_nobody_is_forgotten_in_a_backup(tmp_path: Path):
    write_history(tmp_path / "data", played(9))
    back(tmp_path / "data", tmp_path / "kept")
    before = tree(tmp_path / "kept")
    settings, terminal = (
        Settings(ledger_data=tmp_path / "kept"),
        Terminal(io.StringIO(), io.StringIO(), io.StringIO()),
    )
    with pytest.raises(StaysAsItIs, match="nothing in it is changed") as caught:
        forget_for_good(settings, ForgetRequest(user=UserId("1")), alone_on_nothing, terminal, yes=True)
    assert exit_code_of(caught.value) == 2
    assert tree(tmp_path / "kept") == before


def alone_on_nothing(*_: object) -> ForgetReport:
    raise AssertionError("asked before anything is done")


def write_little(data: Path) -> list[Frame]:
    """Two joins, each a batch."""
    log, chain = make_log(data), Chain()
    frames = [frame for _ in range(2) for frame in chain.append(GuildId("1"))]
    for frame in frames:
        log.append([frame])
    log.close()
    return frames


@pytest.mark.parametrize("checkpoint", [True, False])
def test_where_no_file_tells_its_history_a_checkpoint_does_or_no_backup_is_made(tmp_path: Path, *, checkpoint: bool):
    frames = write_little(tmp_path / "data")
    if checkpoint:
        keep_checkpoint(tmp_path / "data", frames, 1)
    (path,) = (tmp_path / "data" / "log").iterdir()
    path.write_bytes(path.read_bytes().replace(b"lineage", b"lineago", 1))
    if checkpoint:
        back(tmp_path / "data", tmp_path / "kept")
        assert terms_in(tmp_path / "kept") == {(1, "lineage")}
        assert heads_in(tmp_path / "kept")[GuildId("1")].seq == len(frames)
        return
    with pytest.raises(NameUnknown, match="no first line can be read, nor a checkpoint") as caught:
        back(tmp_path / "data", tmp_path / "kept")
    assert exit_code_of(caught.value) == 1
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("kind", ["backup.json", "*.ckpt", "*.jsonl"])
def test_a_backup_damaged_at_any_byte_is_refused_or_gives_all_that_it_held(tmp_path: Path, kind: str):
    frames = write_little(tmp_path / "data")
    keep_checkpoint(tmp_path / "data", frames, 1)
    back(tmp_path / "data", tmp_path / "kept")
    heads, refused = heads_in(tmp_path / "data"), 0
    (path,) = (tmp_path / "kept").rglob(kind)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        refused += is_refused(tmp_path, heads)
    path.write_bytes(whole)
    assert not is_refused(tmp_path, heads)
    frame_bytes = sum(len(frame.data) for frame in frames)
    assert refused >= {"backup.json": len(whole) - 1, "*.ckpt": 0, "*.jsonl": frame_bytes}[kind]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_checkpoint_that_could_not_be_restored_is_told(tmp_path: Path, *, damaged: bool):
    kept_with_checkpoint(tmp_path)
    path = min((tmp_path / "kept" / "checkpoints" / "1").iterdir())
    path.write_bytes(path.read_bytes()[:-9]) if damaged else path.unlink()
    code, said = restore(tmp_path / "kept", tmp_path / "new")
    assert code == 0
    assert "1 checkpoint could not be read there and left out" in said
    assert restore(tmp_path / "kept", tmp_path / "cut", START_MS + 10_000)[1].count("could not be read") == 0


def test_a_backup_that_was_cut_short_anywhere_is_refused_or_gives_all_that_it_held(tmp_path: Path):
    write_little(tmp_path / "data")
    back(tmp_path / "data", tmp_path / "kept")
    heads = heads_in(tmp_path / "data")
    for path in sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for size in range(0, len(whole), 5):
            path.write_bytes(whole[:size])
            is_refused(tmp_path, heads)
        path.unlink()
        assert is_refused(tmp_path, heads)
        path.write_bytes(whole)


class Hasty(RealDisk):
    """Syncs nothing, so that a thousand restores take no time."""

    def append_to(self, path: Path) -> RealHandle:
        handle = super().append_to(path)
        handle.sync = lambda: None  # type: ignore[method-assign]
        return handle

    def sync_folder(self, folder: Path) -> None:
        del folder


def is_refused(folder: Path, heads: dict[GuildId, Head]) -> bool:
    new = folder / "new"
    try:
        restore(folder / "kept", new, disk=Hasty())
    except (SourceDamaged, NoBackup, NothingThen):
        assert not new.exists()
        return True
    assert heads_in(new) == heads
    assert terms_in(new) == {(1, "lineage")}
    shutil.rmtree(new)
    return False


def test_a_backup_of_a_later_release_is_refused(tmp_path: Path):
    write_history(tmp_path / "data", played(9))
    back(tmp_path / "data", tmp_path / "kept")
    later = msgspec.structs.replace(read_note(RealDisk(), tmp_path / "kept"), format=2, release="9.1.0")
    (tmp_path / "kept" / "backup.json").write_bytes(seal_line(msgspec.json.encode(later)))
    with pytest.raises(
        NewerFormat, match=r"backup\.json was written by a later release, inviteledger 9\.1\.0: format 2"
    ) as caught:
        restore(tmp_path / "kept", tmp_path / "new")
    assert exit_code_of(caught.value) == 78
    assert not (tmp_path / "new").exists()


class FullDisk(Hasty):
    """Has room for so many bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append_to(self, path: Path) -> RealHandle:
        handle = super().append_to(path)
        write = handle.write

        def limited(data: bytes) -> None:
            self.room -= len(data)
            if self.room < 0:
                raise DiskFull(f"write {path}: No space left on device")
            write(data)

        handle.write = limited  # type: ignore[method-assign]
        return handle


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_where_the_disk_is_full_nothing_looks_whole(tmp_path: Path, what: str):
    frames = write_history(tmp_path / "data", played(10), segment_bytes=1_000)
    keep_checkpoint(tmp_path / "data", frames, len(frames) - 1)
    back(tmp_path / "data", tmp_path / "kept")
    done: Callable[[FullDisk], object] = (
        (lambda disk: back_up(Around(disk).all, tmp_path / "data", tmp_path / "data" / "ledger.db", tmp_path / "new"))
        if what == "backup"
        else (lambda disk: restore(tmp_path / "kept", tmp_path / "new", disk=disk))
    )
    assert "LEDGER_DATA" not in NoRoom.hint, "it is another disk"
    room, failed = 0, 0
    while True:
        try:
            done(FullDisk(room))
        except NoRoom:
            assert not (tmp_path / "new").exists()
            room, failed = room + 2_003, failed + 1
        else:
            break
    assert failed > 5
    assert heads_in(tmp_path / "new") == heads_in(tmp_path / "data")


class Killed(BaseException):
    """The process is gone."""


class Deadly(Hasty):
    """Its process is killed before it gives a file or folder its name, once it has done so ``lives`` times."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self._lives = lives

    def rename(self, old: Path, new: Path) -> None:
        if not self._lives:
            raise Killed(new.name)
        self._lives -= 1
        super().rename(old, new)


def test_what_a_backup_that_is_killed_leaves_is_no_backup_before_all_of_it_is_there(tmp_path: Path):
    """The note comes last: a folder with it, and without the log or a checkpoint, would pass for a whole backup."""
    frames = write_history(tmp_path / "data", played(10))
    keep_checkpoint(tmp_path / "data", frames, len(frames) - 1)
    data, new, left = tmp_path / "data", tmp_path / "new", list[list[str]]()
    while True:
        try:
            back_up(Around(Deadly(len(left))).all, data, data / "ledger.db", new)
        except Killed:
            left.append(RealDisk().names(new))
            with pytest.raises(NoBackup, match=r"there is no backup\.json in it|is not there"):
                restore(new, tmp_path / "restored")
            shutil.rmtree(new, ignore_errors=True)
        else:
            break
    assert [names for names in left if names] == [["log"], ["checkpoints", "log"]], "so far it came each time"
    assert restore(new, tmp_path / "restored")[0] == 0
    assert heads_in(tmp_path / "restored") == heads_in(data)


class FullForNames(RealDisk):
    """Gives so many files and folders their names, and no more."""

    def __init__(self, names: int, ends: type[BaseException] = DiskFull) -> None:
        super().__init__()
        self._names = names
        self._ends = ends

    def sync_folder(self, folder: Path) -> None:
        if folder.name == "new":
            self._names -= 1
            if not self._names:
                raise self._ends(folder.name)
        super().sync_folder(folder)


@pytest.mark.parametrize("names", [1, 2, 3])
@pytest.mark.parametrize(("ends", "told"), [(DiskFull, NoRoom), (KeyboardInterrupt, KeyboardInterrupt)])
def test_a_backup_of_which_a_part_cannot_get_its_name_leaves_nothing(
    tmp_path: Path, names: int, ends: type[BaseException], told: type[BaseException]
):
    frames = write_history(tmp_path / "data", played(10))
    keep_checkpoint(tmp_path / "data", frames, len(frames) - 1)
    data, new = tmp_path / "data", tmp_path / "new"
    with pytest.raises(told, match="new"):
        back_up(Around(FullForNames(names, ends)).all, data, data / "ledger.db", new)
    assert not new.exists()
    back(data, new)


class RottenDisk(RealDisk):
    """Gives back a log that it was not given."""

    def read(self, path: Path) -> bytes:
        data = super().read(path)
        return (
            data.replace(b'"user"', b'"uses"', 1) if "unfinished" in path.parts and path.suffix == ".jsonl" else data
        )


def test_what_does_not_read_back_is_no_restored_folder(tmp_path: Path):
    write_history(tmp_path / "data", played(9))
    back(tmp_path / "data", tmp_path / "kept")
    with pytest.raises(CopyDiffers) as caught:
        restore(tmp_path / "kept", tmp_path / "new", disk=RottenDisk())
    assert exit_code_of(caught.value) == 1
    assert not (tmp_path / "new").exists()


async def interrupted(data: Path, to: Path, part: str) -> None:
    """Ctrl-C in a part of the work: what it does to the task that asyncio.run runs."""
    task = asyncio.current_task()
    assert task is not None
    with becoming_whole(RealDisk(), to, "a test") as place:
        history = FolderHistory(RealDisk(), data, None)
        await copy_history(
            history, RealDisk(), place, None, lambda what: nullcontext(lambda *_: what == part and task.cancel())
        )


@pytest.mark.parametrize("part", ["copying", "reading back"])
def test_ctrl_c_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str):
    monkeypatch.setattr(copying, "TOLD_EVERY", 1)
    write_history(tmp_path / "data", played(9))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted(tmp_path / "data", tmp_path / "new", part))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("there", "left"), [("", []), ("a", ["a"]), ("a/b/new", ["a", "a/b", "a/b/new"])])
def test_of_the_folders_that_were_made_on_the_way_none_is_left(tmp_path: Path, there: str, left: list[str]):
    write_history(tmp_path / "data", played(9))
    (tmp_path / "work" / there).mkdir(parents=True)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted(tmp_path / "data", tmp_path / "work" / "a" / "b" / "new", "copying"))
    assert [str(path.relative_to(tmp_path / "work")) for path in sorted((tmp_path / "work").rglob("*"))] == left


# Looking at one


def verify(folder: Path) -> tuple[int, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    code = verify_layers(folder, folder / "ledger.db", out, err)
    assert err.getvalue() == ""
    return code, out.getvalue().splitlines()


def kept_with_checkpoint(folder: Path) -> list[Frame]:
    """A history and its backup, with two checkpoints."""
    frames = write_history(folder / "data", played(3))
    for seq in (len(frames) // 2, len(frames) - 2):
        keep_checkpoint(folder / "data", frames, seq)
    back(folder / "data", folder / "kept")
    return frames


def test_a_whole_backup_has_no_fault(tmp_path: Path):
    frames = kept_with_checkpoint(tmp_path)
    code, lines = verify(tmp_path / "kept")
    assert code == 0
    assert lines[0].startswith(f"log: {len(frames)} records of 1 guild in 1 file")
    assert lines[2].startswith("backup: made 2023-11-14 ")
    assert f"of {len(frames)} records of 1 guild, up to 2023-11-14" in lines[2]
    assert lines[3] == "database: none, as in every backup: the bot makes it anew from the log"


def test_a_folder_that_was_just_restored_has_no_fault(tmp_path: Path):
    kept_with_checkpoint(tmp_path)
    assert restore(tmp_path / "kept", tmp_path / "new")[0] == 0
    code, lines = verify(tmp_path / "new")
    assert (code, lines[2]) == (0, "database: none yet: the bot makes it anew from the log when it starts")


@pytest.mark.parametrize("until_ms", [None, START_MS + 60_000])
def test_on_a_folder_that_was_restored_a_bot_has_run_once_a_start_came_through(tmp_path: Path, until_ms: int | None):
    kept_with_checkpoint(tmp_path)
    assert restore(tmp_path / "kept", tmp_path / "new", until_ms)[0] == 0
    hold_folder(RealDisk(), tmp_path / "new", "today").release()  # as a start that was refused
    folder_id(RealDisk(), tmp_path / "new", TestRandomness())
    code, lines = verify(tmp_path / "new")
    assert (code, lines[2]) == (0, "database: none yet: the bot makes it anew from the log when it starts")
    asyncio.run(started(tmp_path / "new"))
    (tmp_path / "new" / "ledger.db").unlink()
    code, lines = verify(tmp_path / "new")
    assert (code, lines[2]) == (1, "database: none; 1 fault:")


def cut_log(kept: Path) -> None:
    (path,) = (kept / "log").iterdir()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-20]))


def lose_log(kept: Path) -> None:
    shutil.rmtree(kept / "log")


def lose_checkpoint(kept: Path) -> None:
    min((kept / "checkpoints" / "1").iterdir()).unlink()


def spoil_note(kept: Path) -> None:
    (kept / "backup.json").write_bytes((kept / "backup.json").read_bytes().replace(b"lineage", b"lineagf"))


def exchange_log(kept: Path) -> None:
    lose_log(kept)
    write_history(kept, [msgspec.structs.replace(each, at_ms=each.at_ms + 1) for each in played(3)])


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (cut_log, r"gsn \d+ to {gsn} is not there"),
        (cut_log, r"\d+ records of 1 guild, up to .* can be read of {gsn} records"),
        (lose_log, r"gsn 1 to {gsn} is not there"),
        (lose_checkpoint, "1 of 2 checkpoints are there"),
        (spoil_note, r"backup\.json is damaged"),
        (exchange_log, "other records can be read of {gsn} records"),
    ],
)
def test_a_backup_that_lacks_anything_is_at_fault_and_what_is_missing_is_named(
    tmp_path: Path, harm: Callable[[Path], None], fault: str
):
    frames = kept_with_checkpoint(tmp_path)
    harm(tmp_path / "kept")
    code, lines = verify(tmp_path / "kept")
    assert code == 1
    assert re.search(f"  backup: .*{fault.format(gsn=len(frames))}", "\n".join(lines))
    assert lines[-1].startswith("to do: take another backup; ")


def test_a_backup_without_its_log_is_damaged_and_not_the_wrong_folder(tmp_path: Path):
    frames = kept_with_checkpoint(tmp_path)
    lose_log(tmp_path / "kept")
    with pytest.raises(SourceDamaged, match=f"kept is damaged: none of {len(frames)} records .* can be read"):
        restore(tmp_path / "kept", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_bot_that_went_on_from_a_backup_has_a_data_folder_again(tmp_path: Path):
    kept_with_checkpoint(tmp_path)
    folder_id(RealDisk(), tmp_path / "kept", TestRandomness())
    asyncio.run(started(tmp_path / "kept"))
    code, lines = verify(tmp_path / "kept")
    assert (code, len(lines)) == (0, 3)


# A time


@pytest.mark.parametrize("seed", range(4))
def test_a_history_is_cut_at_a_time_and_is_another_one_from_then_on(tmp_path: Path, seed: int):
    write_history(tmp_path / "data", played(seed), played(seed + 50), segment_bytes=3_000)
    all_records = records_in(tmp_path / "data")
    until_ms = all_records[len(all_records) // 2].at_ms
    kept = [record for record in all_records if record.at_ms <= until_ms]
    back(tmp_path / "data", tmp_path / "kept")
    code, said = restore(tmp_path / "kept", tmp_path / "new", until_ms)
    assert code == 0
    assert f"{len(all_records) - len(kept)} later records left out" in said
    assert said.count(" UTC") == 1, "when it was cut, and not when that was recorded"
    restored = records_in(tmp_path / "new")
    assert restored[: len(kept)] == kept
    assert all(isinstance(record.event, ContinuityBroken) and record.epoch == 2 for record in restored[len(kept) :])
    report, _ = asyncio.run(started(tmp_path / "new"))
    assert report.lineage not in ("", "lineage")
    assert report.epoch == 3


def test_a_cut_that_leaves_nothing_out_says_so(tmp_path: Path):
    write_history(tmp_path / "data", played(3))
    back(tmp_path / "data", tmp_path / "kept")
    code, said = restore(tmp_path / "kept", tmp_path / "new", records_in(tmp_path / "data")[-1].at_ms)
    assert code == 0
    assert "0 later records left out" in said
    taken = len(records_in(tmp_path / "data"))
    assert f"read back: {taken} records as they are there" in said
    assert f"{taken + 1} records of 1 guild" in said
    assert "1 record added: that each guild goes on from there" in said
    assert "nothing was recorded later, but this is a separate history from now on" in said
    assert "holds what was cut off" not in said


def test_a_cut_history_does_not_start_with_the_layer_that_holds_what_was_cut(tmp_path: Path):
    """The database of before: beside the restored log, or where DATABASE_URL says. It would bring it all back."""
    frames = write_history(tmp_path / "data", played(3))
    asyncio.run(started(tmp_path / "data"))
    back(tmp_path / "data", tmp_path / "kept")
    until_ms = frames[len(frames) // 2].record.at_ms
    restore(tmp_path / "kept", tmp_path / "new", until_ms)
    cut = heads_in(tmp_path / "new")
    shutil.copy(tmp_path / "data" / "ledger.db", tmp_path / "new")
    with pytest.raises(WrongHistory):
        asyncio.run(started(tmp_path / "new"))
    (tmp_path / "new" / "ledger.db").unlink()
    report, heads = asyncio.run(started(tmp_path / "new"))
    assert report.leader == "log"
    assert heads == cut


def test_checkpoints_of_before_the_cut_are_kept_in_the_new_lineage(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(3))
    early = frames[len(frames) // 3].record.last
    for seq in (early, len(frames)):
        keep_checkpoint(tmp_path / "data", frames, seq)
    back(tmp_path / "data", tmp_path / "kept")
    restore(tmp_path / "kept", tmp_path / "new", frames[-1].record.at_ms - 1)
    (path,) = (tmp_path / "new" / "checkpoints" / "1").iterdir()
    assert path.name == f"0000000001-{early:020d}.ckpt"
    report, _ = asyncio.run(started(tmp_path / "new"))
    assert unpack(path.read_bytes(), path.name).header.lineage == report.lineage


def test_who_was_forgotten_later_does_not_come_back_with_an_earlier_time(tmp_path: Path):
    records = played(3, [(60, "1000"), (70, "1001")])
    forgettings = [record for record in records if isinstance(record.event, Forgetting)]
    assert len(forgettings) == 2
    frames = write_history(tmp_path / "data", records)
    keep_checkpoint(tmp_path / "data", frames, frames[len(frames) // 4].record.last)
    back(tmp_path / "data", tmp_path / "kept")
    code, said = restore(tmp_path / "kept", tmp_path / "new", forgettings[0].at_ms - 1)
    assert code == 0
    assert "2 times somebody was forgotten later" in said
    added = [record.event for record in records_in(tmp_path / "new") if record.epoch == 2]
    assert added[:2] == [record.event for record in forgettings]
    assert not (tmp_path / "new" / "checkpoints").exists()
    asyncio.run(started(tmp_path / "new"))


def test_before_the_beginning_there_is_nothing_to_restore(tmp_path: Path):
    write_history(tmp_path / "data", played(3))
    back(tmp_path / "data", tmp_path / "kept")
    with pytest.raises(NothingThen) as caught:
        restore(tmp_path / "kept", tmp_path / "new", START_MS - 1)
    assert exit_code_of(caught.value) == 2
    assert not (tmp_path / "new").exists()


def test_an_append_is_kept_whole_or_not_at_all(tmp_path: Path):
    records = played(4)
    appends = in_time(records)
    wide = next(append for append in appends[3:] if len(append) > 1)
    later = [msgspec.structs.replace(record, at_ms=wide[0].at_ms + place) for place, record in enumerate(wide)]
    stretched = [later if append is wide else append for append in appends]
    log, seal = make_log(tmp_path / "data"), Sealer()
    log.append(seal(stretched))
    log.close()
    back(tmp_path / "data", tmp_path / "kept")
    restore(tmp_path / "kept", tmp_path / "new", wide[0].at_ms)
    assert [record.seq for record in records_in(tmp_path / "new") if record.epoch == 1][-1] >= wide[-1].seq


# As a user runs it


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The program with these words, in this folder; what it prints goes where ``capfd`` sees it."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    set_on_retry_hooks([])  # as main does
    app = make_app(settings=read_settings, run=never, demo=never, forget=never)

    def run(data: str, *words: str) -> int:
        monkeypatch.setenv("LEDGER_DATA", data)
        return perform(app, words)

    return run


def never(*_: object) -> NoReturn:
    pytest.fail("nobody asked for this")


def test_a_user_backs_up_restores_looks_and_reads(
    tmp_path: Path, typed: Callable[..., int], capfd: pytest.CaptureFixture[str]
):
    write_history(tmp_path / "data", played(1))
    assert typed("data", "backup") == 0
    (kept,) = tmp_path.glob("inviteledger-backup-*Z")
    assert typed("data", "restore", "--from", str(kept), "--to", "new") == 0
    capfd.readouterr()
    shown = []
    for folder in ("data", kept.name, "new"):
        assert typed(folder, "replay", "--json", "--guild", "1") == typed(folder, "export") == 0
        shown.append(capfd.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    assert json.loads(shown[0].splitlines()[0])["place"]["guild"] == "1"
    assert typed("data", "restore", "--from", str(kept), "--to", "new") == 2
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "is not empty" in said.err


def test_the_program_s_own_entry_backs_up(tmp_path: Path):
    write_history(tmp_path / "data", played(1))
    ended = subprocess.run(
        (sys.executable, "-m", "supervisor", "backup", "--to", "kept"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "LEDGER_DATA": "data"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert read_note(RealDisk(), tmp_path / "kept").contents.guilds == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("restore", "--from", "b"), "--to"),
        (("restore", "--from", "b", "--to", "new"), "b is not there"),
        (("restore", "--from", "b", "--to", "new", "--at", "noon"), "is no time"),
        (
            ("restore", "--from", "b", "--to", "new", "--at", "2999-01-01"),
            "would become a separate history: name a time that has passed, or leave it out.",
        ),
        (("replay", "--until", "noon"), "is no time"),
        (("replay", "--until", "2999-01-01"), "lies in the future: name a time that has passed, or leave it out."),
        (("replay", "--guild", "x"), "is no id"),
    ],
)
def test_bad_words_end_with_2_and_touch_nothing(
    tmp_path: Path, typed: Callable[..., int], capfd: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
):
    assert typed("data", *words) == 2
    assert said in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
