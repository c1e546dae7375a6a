"""The cloud alone brings a history back, a drill proves it, verify reads every object; none of them writes there."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO

import msgspec
import pytest

from actors.cli.cloud_layer import compared_with_log, inspect_cloud
from actors.cli.drill import NoScratch, drill
from actors.cli.errors import exit_code_of
from actors.cli.inspection import Inspected
from actors.cli.restore import Wish, restore_history
from actors.drills import NAME, Drill, last_drill
from ledger.errors import StorageError
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, pages_of
from persistence.backups import SourceDamaged
from persistence.chains import head_of
from persistence.checkpoints import make_checkpoint
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import Kind, SegmentHeader, digest_of, read_header, segment, segment_key
from persistence.copying import CopyDiffers, NothingThere
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.frames import Frame
from persistence.histories import CloudHistory
from persistence.layer import Checkpoint, Head
from persistence.objects import Objects, Unreachable
from persistence.offload import inline
from persistence.read_only import ReadOnly
from persistence.reading import Reading
from tests.actors.test_cli_backup import FullDisk, heads_in, played, records_in, tree, typed
from tests.actors.written import Around, make_log, write_history
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.making import TestClock, TestRandomness

__all__ = ["typed"]


def a_layer(objects: Objects) -> CloudLayer:
    return CloudLayer(objects, inline, TestRandomness(), TestClock(), "writer")


def a_history(objects: Objects) -> CloudHistory:
    return CloudHistory(objects, inline, a_layer)


async def upload(
    objects: MemoryObjects | FolderObjects, frames: Sequence[Frame], *, size: int = 20, checkpoint: bool = True
) -> None:
    """What a bot leaves in the cloud: segments of about so many records, and a checkpoint of guild 1."""
    layer = a_layer(objects)
    await layer.open()
    await layer.begin(1, "lineage")
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) >= size and ends(frame):
            await layer.append(batch)
            batch = []
    await layer.append(batch)
    if checkpoint:
        await layer.save_checkpoint(checkpoint_of([frame for frame in frames if frame.record.guild == "1"]))


def checkpoint_of(frames: Sequence[Frame], part: float = 0.5) -> Checkpoint:
    state = GuildState(guild=frames[0].record.guild)
    half = next(frame.record.last for frame in frames[round((len(frames) - 1) * part) :])
    for frame in frames[:half]:
        state = evolve(state, frame.record)
    return make_checkpoint(state.guild, head_of(frames[half - 1]), "lineage", tuple(pages_of(state)))


def ends(frame: Frame) -> bool:
    return frame.record.seq == frame.record.last


class Cloud:
    """A bucket in memory with what a bot uploaded, and the log that it has."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.bucket = MemoryBucket()
        self.frames: list[Frame] = []

    async def fill(self, *guilds: Sequence[Record], lag: int = 0) -> "Cloud":
        self.frames = write_history(self.data, *guilds)
        held = self.frames[: len(self.frames) - lag]
        while held[-1].record.seq != held[-1].record.last:
            held.pop()
        await upload(MemoryObjects(self.bucket), held)
        return self

    def objects(self) -> ReadOnly:
        return ReadOnly(MemoryObjects(self.bucket))

    async def restore(self, to: Path, until_ms: int | None = None) -> tuple[int, str]:
        around = Around()
        history = a_history(self.objects())
        code = await restore_history(around.all, history, "memory", Wish(to=to, until_ms=until_ms))
        return code, around.out.getvalue()

    async def drill(self) -> tuple[int, list[str], Drill | None]:
        around = Around()
        code = await drill(around.all, self.data, self.data / "ledger.db", a_history(self.objects()), "memory")
        return code, around.out.getvalue().splitlines(), last_drill(RealDisk(), self.data)

    async def verify(self) -> Inspected:
        around, steps = Around(), list[tuple[int, int]]()
        there = await inspect_cloud(
            around.all, self.objects(), inline, lambda _: nullcontext(lambda done, of: steps.append((done, of)))
        )
        assert bool(steps) == bool(self.bucket.objects)
        assert all(done <= of for done, of in steps)
        reading = Reading(RealDisk(), self.data / "log")
        for _ in reading:
            pass
        return await compared_with_log(there, reading)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    before = dict(cloud.bucket.objects)
    yield cloud
    assert cloud.bucket.objects.keys() == before.keys(), "somebody who may only read has written"


# Restoring


async def test_the_cloud_alone_brings_back_the_same_heads_and_bytes(cloud: Cloud, tmp_path: Path):
    code, said = await cloud.restore(tmp_path / "new")
    assert code == 0
    assert "1 checkpoint" in said
    assert heads_in(tmp_path / "new") == heads_in(cloud.data)
    assert records_in(tmp_path / "new") == [frame.record for frame in cloud.frames]


async def test_the_cloud_is_cut_at_a_time_like_a_backup(cloud: Cloud, tmp_path: Path):
    until_ms = cloud.frames[len(cloud.frames) // 2].record.at_ms
    code, _ = await cloud.restore(tmp_path / "new", until_ms)
    kept = [frame.record for frame in cloud.frames if frame.record.at_ms <= until_ms]
    assert code == 0
    assert records_in(tmp_path / "new")[: len(kept)] == kept


@pytest.mark.parametrize("form", ["segments", "packs"])
async def test_every_object_is_asked_for_once(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
):
    """Segments that stand in no index are looked at before they are read, and the cloud does not give them twice."""
    monkeypatch.setattr("persistence.cloud_reading.KEPT_BYTES", 0)  # as where there are more than fit into memory
    if form == "packs":
        await pack_all(cloud)
    asked: list[str] = []

    async def count(call: Call) -> None:
        if call.verb == "get":
            asked.append(call.key)

    objects = MemoryObjects(cloud.bucket)
    objects.before = count
    for run in (restoring(objects, tmp_path / "new"), drilling(objects, cloud.data)):
        asked.clear()
        assert await run == 0
        assert sorted(asked) == sorted(set(asked))
        segments = {key for key in cloud.bucket.objects if key.startswith("seg/")}
        assert (segments <= set(asked)) == (form == "segments")
    for key in [key for key in cloud.bucket.objects if key.startswith(("pack/", "index/"))]:
        del cloud.bucket.objects[key]  # not of those that the fixture knows


@pytest.mark.parametrize("lost", [1, 3])
async def test_what_has_rotted_beneath_an_index_is_left_out_and_said(tmp_path: Path, lost: int):
    """In its pack and in its segment: the index tells where the chains led."""
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    await pack_all(cloud)
    objects = cloud.bucket.objects
    held = [key for key in sorted(objects) if b'"kind":"records"' in objects[key][:200]]
    for key in (held[lost], *(key for key in objects if key.startswith("pack/"))):
        objects[key] = objects[key][:-1] + b"?"
    code, said = await cloud.restore(tmp_path / "new")
    assert code == 1
    assert "the history was not whole" in said
    gone = read_header(objects[held[lost]], SegmentHeader, "")
    left = [frame.record for frame in cloud.frames if not gone.first_gsn <= frame.record.gsn <= gone.last_gsn]
    assert all_in(tmp_path / "new") == left
    wrong = " ".join((await cloud.verify()).wrong)
    assert f"gsn {gone.first_gsn} to {gone.last_gsn} cannot be read" in wrong
    code, told, report = await cloud.drill()
    assert code == 1
    assert report is not None
    assert report.differences
    assert "differs" in " ".join(told) or "missing" in " ".join(told), told


@pytest.mark.parametrize("place", [0, -1], ids=["header", "records"])
async def test_a_checkpoint_that_is_all_that_is_left_of_the_newest_records_is_restored(tmp_path: Path, place: int):
    """Records in the middle have rotted as well: only that checkpoint tells where the chain goes on."""
    bucket, frames = MemoryBucket(), write_history(tmp_path / "data", played(1))
    await upload(MemoryObjects(bucket), frames, size=10, checkpoint=False)
    newest = checkpoint_of(frames, part=1.0)
    await a_layer(MemoryObjects(bucket)).save_checkpoint(newest)
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    for key in (held[1], held[-1]):
        rotten = bytearray(bucket.objects[key])
        rotten[place] ^= 1
        bucket.objects[key] = bytes(rotten)
    assert await restoring(MemoryObjects(bucket), tmp_path / "new") == 1  # the history was not whole
    there = [path for path in (tmp_path / "new" / "checkpoints").rglob("*") if path.is_file()]
    assert [newest.pages[0] in path.read_bytes() for path in there] == [True]


def all_in(folder: Path) -> list[Record]:
    reading = Reading(RealDisk(), folder / "log")
    return [spotted.frame.record for spotted in reading.scan]


async def restoring(objects: Objects, to: Path) -> int:
    return await restore_history(Around().all, a_history(ReadOnly(objects)), "memory", Wish(to=to, until_ms=None))


async def drilling(objects: Objects, data: Path) -> int:
    return await drill(Around().all, data, data / "ledger.db", a_history(ReadOnly(objects)), "memory")


async def test_a_scratch_file_that_cannot_be_written_leaves_nothing(cloud: Cloud, tmp_path: Path):
    history = a_history(cloud.objects())
    with pytest.raises(StorageError, match="scratch file"):
        await history.open(tmp_path / "nowhere")
    history.close()


async def test_an_empty_cloud_restores_nothing(tmp_path: Path):
    with pytest.raises(NothingThere, match=r"^memory: no record is there") as caught:
        await Cloud(tmp_path / "data").restore(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert exit_code_of(caught.value) == 2
    assert "LEDGER_CLOUD with its prefix" in caught.value.hint


async def test_a_cloud_in_which_nothing_can_be_read_says_why(cloud: Cloud, tmp_path: Path):
    for key in [key for key in cloud.bucket.objects if key.startswith("seg/")]:
        cloud.bucket.objects[key] = b"?" + cloud.bucket.objects[key][1:]
    with pytest.raises(NothingThere, match=r"no record is there; .*seg/0000000001"):
        await cloud.restore(tmp_path / "new")


async def test_a_cloud_that_goes_away_leaves_nothing_that_looks_whole(cloud: Cloud, tmp_path: Path):
    asked, failed = 0, 0
    while True:
        left = asked

        async def away(call: Call) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Unreachable(f"{call.key}: no answer")

        objects = MemoryObjects(cloud.bucket)
        objects.before = away
        history = a_history(ReadOnly(objects))
        try:
            await restore_history(Around().all, history, "memory", Wish(to=tmp_path / "new", until_ms=None))
        except Unreachable:
            assert not (tmp_path / "new").exists()
            asked, failed = asked + 1, failed + 1
        else:
            break
    assert failed > 5
    assert heads_in(tmp_path / "new") == heads_in(cloud.data)


async def test_a_segment_that_is_damaged_or_gone_is_never_passed_over_in_silence(cloud: Cloud, tmp_path: Path):
    """What cannot be read is missing, and said; or nothing is restored at all."""
    segments = [key for key in cloud.bucket.objects if key.startswith("seg/")]
    assert len(segments) > 4
    for key in segments[1:]:
        whole = cloud.bucket.objects[key]
        for place in range(0, len(whole), max(1, len(whole) // 7)):
            cloud.bucket.objects[key] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            try:
                code, said = await cloud.restore(tmp_path / "new")
            except (SourceDamaged, CopyDiffers):
                assert not (tmp_path / "new").exists()
            else:
                assert code == 1
                assert "the history was not whole: " in said
                assert len(set(said.splitlines())) == len(said.splitlines()), "each is said once"
                shutil.rmtree(tmp_path / "new")
        cloud.bucket.objects[key] = whole


class Mistaken(CloudHistory):
    """Says of a guild that it ends elsewhere than its records lead to."""

    @property
    def heads(self) -> Mapping[GuildId, Head]:
        return {
            guild: msgspec.structs.replace(head, digest=bytes(32)) for guild, head in (super().heads or {}).items()
        }


async def test_a_drill_of_records_that_do_not_lead_to_the_heads_names_what_is_damaged_as_well(cloud: Cloud):
    key = [key for key in cloud.bucket.objects if key.startswith("seg/")][2]
    whole = cloud.bucket.objects[key]
    cloud.bucket.objects[key] = whole[:-1] + bytes([whole[-1] ^ 1])
    code = await drill(
        Around().all, cloud.data, cloud.data / "ledger.db", Mistaken(cloud.objects(), inline, a_layer), "memory"
    )
    cloud.bucket.objects[key] = whole
    report = last_drill(RealDisk(), cloud.data)
    assert (code, report is None) == (1, False)
    assert report is not None
    assert "do not lead to where they should" in report.differences[0]
    assert any(key in each for each in report.differences[1:])


async def test_records_that_do_not_lead_to_the_heads_are_not_restored(cloud: Cloud, tmp_path: Path):
    history = Mistaken(cloud.objects(), inline, a_layer)
    with pytest.raises(CopyDiffers, match="do not lead to where they should"):
        await restore_history(Around().all, history, "memory", Wish(to=tmp_path / "new", until_ms=None))
    assert not (tmp_path / "new").exists()


# The drill


async def test_the_same_states_on_other_chains_are_a_difference(cloud: Cloud):
    """Every record was recorded a moment later: what is known is the same, the history is another one."""
    shutil.rmtree(cloud.data)
    later = [[msgspec.structs.replace(each, at_ms=each.at_ms + 1) for each in played(seed)] for seed in (1, 2)]
    write_history(cloud.data, *later)
    code, _, report = await cloud.drill()
    assert code == 1
    assert report is not None
    assert len(report.differences) == 2
    assert all("stands on another chain than the log" in each for each in report.differences)


async def test_a_drill_of_a_whole_cloud_ends_with_equal_digests(cloud: Cloud):
    code, lines, report = await cloud.drill()
    assert code == 0
    assert lines[-1] == f"drill: {len(cloud.frames)} records, digests equal"
    assert report is not None
    assert (report.records, report.guilds, report.differences) == (len(cloud.frames), 2, ())
    assert report.at_ms > 0
    assert json.loads((cloud.data / NAME).read_text())["source"] == "memory"


def without_room(dir: Path) -> IO[bytes]:  # noqa: A002 -- tempfile's word
    del dir
    return Path("/dev/full").open("r+b")


@pytest.mark.parametrize("what", ["what comes back", "what is read", "the folder"])
async def test_a_drill_without_room_names_where_there_is_none(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    scratch, full = tmp_path / "scratch", "No space left on device"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    if what == "what is read":
        monkeypatch.setattr(tempfile, "TemporaryFile", without_room)
    elif what == "the folder":
        monkeypatch.setattr(tempfile, "tempdir", str(scratch / "nowhere"))
        full = "there can be no scratch folder"
    disk = FullDisk(0) if what == "what comes back" else RealDisk()
    with pytest.raises(NoScratch, match=full) as caught:
        await drill(Around(disk).all, cloud.data, cloud.data / "ledger.db", a_history(cloud.objects()), "memory")
    assert "TMPDIR" in caught.value.hint
    assert "LEDGER_DATA" not in caught.value.hint
    assert list(scratch.iterdir()) == []
    assert last_drill(RealDisk(), cloud.data) is None


async def test_what_the_cloud_lags_is_said_and_no_difference(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2), lag=7)
    code, lines, report = await cloud.drill()
    assert code == 0
    assert report is not None
    assert report.lag_records >= 7
    assert f"drill: the cloud lags by {report.lag_records} records, which is no difference" in lines
    assert lines[-1] == f"drill: {len(cloud.frames) - report.lag_records} records, digests equal"


async def test_a_cloud_that_was_set_back_behind_its_own_checkpoint_is_no_lag(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1))
    await a_layer(MemoryObjects(cloud.bucket)).save_checkpoint(checkpoint_of(cloud.frames, 1))
    for key in sorted(key for key in cloud.bucket.objects if key.startswith("seg/"))[-2:]:
        del cloud.bucket.objects[key]
    code, _, report = await cloud.drill()
    assert code == 1
    assert report is not None
    (difference,) = report.differences
    assert difference.startswith("the records of guild 1 end at seq ")
    assert difference.endswith(f"; its checkpoint has all up to {len(cloud.frames)}")
    assert (await cloud.restore(tmp_path / "new"))[0] == 1


def lose(cloud: Cloud, first: int, last: int) -> int:
    """Takes segments away, counted from the one that a writer begins with; how many records they held."""
    keys = sorted(key for key in cloud.bucket.objects if key.startswith("seg/"))[first : last + 1]
    headers = [read_header(cloud.bucket.objects.pop(key), SegmentHeader, key) for key in keys]
    return sum(header.last_gsn - header.first_gsn + 1 for header in headers)


@pytest.mark.parametrize(("first", "last"), [(0, 2), (1, 1), (2, 3)])
async def test_what_is_missing_in_the_cloud_is_no_lag(tmp_path: Path, first: int, last: int):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2), lag=7)
    _, lines, report = await cloud.drill()
    assert report is not None
    lag, lost = report.lag_records, lose(cloud, first, last)
    code, lines, report = await cloud.drill()
    assert code == 1
    assert report is not None
    assert report.lag_records == lag
    assert f"drill: {lost} records that the log has are missing there" in lines
    found = await cloud.verify()
    assert found.wrong
    assert f"; lags the log by {lag} records" in found.held


async def test_a_live_history_of_another_chain_is_a_difference(cloud: Cloud):
    shutil.rmtree(cloud.data)
    write_history(cloud.data, played(1), played(3))
    code, lines, report = await cloud.drill()
    assert code == 1
    assert lines[-1].endswith("1 difference") or lines[-1].endswith("differences")
    assert report is not None
    assert any("guild 2: " in each for each in report.differences)


async def test_a_checkpoint_that_says_something_else_is_a_difference(tmp_path: Path):
    """Its head is right and its pages are not: only replaying shows it."""
    frames = write_history(tmp_path / "data", played(1))
    bucket = MemoryBucket()
    await upload(MemoryObjects(bucket), frames, checkpoint=False)
    wrong = make_checkpoint(
        GuildId("1"), head_of(frames[-1]), "lineage", tuple(pages_of(GuildState(guild=GuildId("1"), seq=len(frames))))
    )
    layer = a_layer(MemoryObjects(bucket))
    await layer.open()
    await layer.save_checkpoint(wrong)
    cloud = Cloud(tmp_path / "data")
    cloud.bucket = bucket
    code, _, report = await cloud.drill()
    assert code == 1
    assert report is not None
    assert report.differences == (f"guild 1: the state at seq {len(frames)} is not that of the live history",)


async def test_a_cloud_that_is_ahead_of_the_log_is_a_difference(cloud: Cloud):
    shutil.rmtree(cloud.data)
    write_history(cloud.data, played(1))
    assert (await cloud.drill())[0] == 1


async def test_a_damaged_cloud_is_a_difference_and_in_the_report(cloud: Cloud):
    for key in [key for key in cloud.bucket.objects if key.startswith("seg/")][-2:]:
        whole = cloud.bucket.objects[key]
        cloud.bucket.objects[key] = whole[:-9]
        code, _, report = await cloud.drill()
        cloud.bucket.objects[key] = whole
        assert code == 1
        assert report is not None
        assert report.differences
        assert len(set(report.differences)) == len(report.differences), "each is told once"


async def test_without_a_live_history_there_is_nothing_to_compare_with(cloud: Cloud):
    shutil.rmtree(cloud.data)
    code, lines, report = await cloud.drill()
    assert (code, lines, report) == (1, [], None)
    assert not cloud.data.exists()


# Verify


async def test_a_whole_cloud_is_a_line(cloud: Cloud):
    found = await cloud.verify()
    assert found.wrong == ()
    assert found.held.startswith(f"{len(cloud.frames)} records of 2 guilds in ")
    assert found.held.endswith("1 checkpoint; level with the log")


async def test_an_empty_cloud_beside_a_log_with_records_is_a_fault(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(1))
    found = await Cloud(tmp_path / "data").verify()
    (fault,) = found.wrong
    assert fault.startswith(f"no record is there, and the log has {len(frames)} records: is LEDGER_CLOUD")
    assert "lags" not in found.held
    assert (await Cloud(tmp_path / "new").verify()).wrong == ()


async def test_a_lag_is_told_by_how_much_and_no_fault(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2), lag=7)
    found = await cloud.verify()
    assert found.wrong == ()
    assert "; lags the log by " in found.held
    shutil.rmtree(cloud.data)
    log = make_log(cloud.data)
    log.append(cloud.frames[: next(n for n in range(20, 99) if ends(cloud.frames[n - 1]))])
    log.close()
    found = await cloud.verify()
    assert found.wrong == ()
    assert "; the log lags by " in found.held


async def test_another_chain_than_the_log_s_is_a_fault(cloud: Cloud):
    shutil.rmtree(cloud.data)
    write_history(cloud.data, played(1), played(3))
    assert any(
        why.startswith("guild 2: stands on another chain than the log") for why in (await cloud.verify()).wrong
    )


async def test_damage_in_any_object_is_told_and_a_fault_unless_others_hold_it_too(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    await pack_all(cloud)
    kinds = set()
    for key, whole in list(cloud.bucket.objects.items()):
        kind = key.split("/")[0]
        if kind in ("seg", "pack", "index", "checkpoint"):
            kinds.add(kind)
            for place in (3, len(whole) // 2, len(whole) - 2):
                cloud.bucket.objects[key] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
                found = await cloud.verify()
                assert any(key in told for told in found.wrong or found.harmless), f"{key}@{place}"
                assert bool(found.wrong) == (kind == "checkpoint"), f"{key}@{place}"
            cloud.bucket.objects[key] = whole
    assert kinds == {"seg", "pack", "index", "checkpoint"}
    whole_again = await cloud.verify()
    assert (whole_again.wrong, whole_again.harmless) == ((), ())


async def test_what_others_left_there_is_not_counted(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    await pack_all(cloud)
    whole = await cloud.verify()
    for foreign in ("seg/README", "seg/0000000001.bak", "pack/notes", "index/.DS_Store", "checkpoint/README"):
        cloud.bucket.objects[foreign] = b"?"
    assert await cloud.verify() == whole


@pytest.mark.parametrize("at", [3, -1], ids=["header", "body"])
async def test_once_a_damaged_object_is_mended_nobody_calls_the_cloud_less_than_whole(tmp_path: Path, at: int):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    key = sorted(key for key in cloud.bucket.objects if key.startswith("seg/"))[2]
    rotten = bytearray(cloud.bucket.objects[key])
    rotten[at] ^= 1
    cloud.bucket.objects[key] = bytes(rotten)
    assert (await cloud.verify()).wrong
    code, lines, _ = await cloud.drill()
    assert (code, lines[-2].startswith("drill: to do: start the bot anew")) == (1, True)
    layer = a_layer(MemoryObjects(cloud.bucket))
    await layer.open()
    await layer.begin(2, "lineage")
    await layer.fill(cloud.frames)
    found = await cloud.verify()
    assert found.wrong == ()
    (told,) = found.harmless
    assert key in told
    code, lines, report = await cloud.drill()
    assert (code, report is not None and report.differences) == (0, ())
    assert f"drill: does no harm: {told}" in lines
    assert lines[-1] == f"drill: {len(cloud.frames)} records, digests equal"
    code, said = await cloud.restore(tmp_path / "new")
    assert code == 0
    assert f"restore: does no harm: {told}" in said.splitlines()
    assert records_in(tmp_path / "new") == [frame.record for frame in cloud.frames]


async def test_where_segments_and_their_packs_end_before_a_checkpoint_nobody_says_that_it_does_no_harm(
    tmp_path: Path,
):
    cloud = await Cloud(tmp_path / "data").fill(played(1))
    await a_layer(MemoryObjects(cloud.bucket)).save_checkpoint(checkpoint_of(cloud.frames, 1))
    first, *_, one, another = sorted(key for key in cloud.bucket.objects if key.startswith("seg/"))
    del cloud.bucket.objects[one], cloud.bucket.objects[another]
    await pack_all(cloud)
    cloud.bucket.objects[first] = cloud.bucket.objects[first][:-1]
    found = await cloud.verify()
    assert any("the records end at" in why for why in found.wrong)


async def test_what_only_packs_hold_is_found_by_a_start_and_by_a_restore(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    await pack_all(cloud)
    lost = lose(cloud, 1, 2)
    found = await cloud.verify()
    assert found.wrong == ()
    assert len(found.harmless) > 2
    assert all(told.endswith("; the packs hold all of it") for told in found.harmless)
    assert found.held.startswith(f"{len(cloud.frames)} records of 2 guilds in ")
    assert lost
    assert (await cloud.restore(tmp_path / "new"))[0] == 0
    (pack,) = (key for key in cloud.bucket.objects if key.startswith("pack/"))
    cloud.bucket.objects[pack] = cloud.bucket.objects[pack][:-1]
    assert (await cloud.verify()).wrong
    assert (await cloud.restore(tmp_path / "newer"))[0] == 1


async def test_a_guild_of_which_the_cloud_has_less_than_the_log_is_a_difference(tmp_path: Path):
    """No gsn is missing there: others are in its place."""
    cloud = await Cloud(tmp_path / "other").fill(played(1))
    cloud.data = tmp_path / "data"
    write_history(cloud.data, played(1), played(2))
    code, _, report = await cloud.drill()
    assert code == 1
    assert report is not None
    assert any(
        difference.startswith("guild 2: seq 0 came back, where the log has ") for difference in report.differences
    )


async def test_a_checkpoint_off_the_chain_is_a_fault(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    head = msgspec.structs.replace(
        head_of([each for each in cloud.frames if each.record.guild == "2"][-1]), digest=bytes(32)
    )
    pages = tuple(pages_of(GuildState(guild=GuildId("2"))))
    layer = a_layer(MemoryObjects(cloud.bucket))
    await layer.save_checkpoint(make_checkpoint(GuildId("2"), head, "lineage", pages))
    assert (await cloud.verify()).wrong == (
        f"checkpoint of guild 2 at seq {head.seq}: it does not stand on the chain",
    )


async def test_a_pack_of_another_history_is_a_fault(tmp_path: Path):
    """Whole in itself, under the right key, and not what its segments hold."""
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    later = [[msgspec.structs.replace(each, at_ms=each.at_ms + 1) for each in played(seed)] for seed in (1, 2)]
    other = await Cloud(tmp_path / "other").fill(*later)
    for each in (cloud, other):
        await pack_all(each)
    (ours,), (theirs,) = ([key for key in each.bucket.objects if key.startswith("pack/")] for each in (cloud, other))
    assert (await cloud.verify()).wrong == ()
    cloud.bucket.objects[ours] = other.bucket.objects[theirs]
    assert (await cloud.verify()).wrong


async def test_what_an_index_doubts_is_told_by_whoever_goes_by_it_and_by_verify(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    layer = a_layer(MemoryObjects(cloud.bucket))
    await layer.open()
    layer._reader.layout.hides_cut = True
    await layer._packer.pack()
    (fault,) = (await cloud.verify()).wrong
    _, said = await cloud.restore(tmp_path / "new")
    assert f"restore: the history was not whole: {fault}" in said.splitlines()
    assert fault in (await cloud.drill())[1][-3]


async def test_an_index_of_another_history_is_not_believed_and_told(tmp_path: Path):
    cloud = await Cloud(tmp_path / "data").fill(played(1), played(2))
    later = [[msgspec.structs.replace(each, at_ms=each.at_ms + 1) for each in played(seed)] for seed in (1, 2)]
    other = await Cloud(tmp_path / "other").fill(*later)
    for each in (cloud, other):
        await pack_all(each)
    (key,) = (key for key in cloud.bucket.objects if key.startswith("index/"))
    cloud.bucket.objects[key] = other.bucket.objects[key]
    found = await cloud.verify()
    assert found.wrong == ()
    assert [told for told in found.harmless if "fits no segment" in told]


async def test_a_missing_slot_is_a_fault(cloud: Cloud):
    key = [key for key in cloud.bucket.objects if key.startswith("seg/")][2]
    whole = cloud.bucket.objects.pop(key)
    found = await cloud.verify()
    cloud.bucket.objects[key] = whole
    assert any(key in why for why in found.wrong)


async def test_a_writer_that_came_too_late_is_no_fault(cloud: Cloud):
    """Its segment stays where it is and does not count."""
    keys = sorted(key for key in cloud.bucket.objects if key.startswith("seg/"))
    newer = a_layer(MemoryObjects(cloud.bucket))
    await newer.open()
    await newer.begin(2, "lineage")
    last = max(key for key in cloud.bucket.objects if key.startswith("seg/"))
    late = SegmentHeader(
        k=len(keys) + 2, kind=Kind.RECORDS, epoch=1, lineage="lineage", writer="late", put_id="x",
        first_gsn=len(cloud.frames) + 1, last_gsn=len(cloud.frames),
        previous=digest_of(cloud.bucket.objects[last]),
    )  # fmt: skip
    cloud.bucket.objects[segment_key(late.k)] = segment(late, ())
    assert (await cloud.verify()).wrong == ()
    for key in [key for key in cloud.bucket.objects if key > keys[-1] and key.startswith("seg/")]:
        del cloud.bucket.objects[key]
    cloud.bucket.objects.pop("epoch/0000000002")


async def pack_all(cloud: Cloud) -> None:
    layer = a_layer(MemoryObjects(cloud.bucket))
    await layer.open()
    await layer._packer.pack()


# As a user runs it


@pytest.fixture
def in_folder(tmp_path: Path) -> Callable[[Sequence[Frame]], str]:
    def put(frames: Sequence[Frame]) -> str:
        asyncio.run(upload(FolderObjects(RealDisk(), tmp_path / "cloud", inline, TestRandomness()), frames))
        return (tmp_path / "cloud").as_uri()

    return put


def test_a_user_restores_drills_and_verifies_with_the_cloud_of_the_settings(
    tmp_path: Path,
    typed: Callable[..., int],
    in_folder: Callable[[Sequence[Frame]], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    frames = write_history(tmp_path / "data", played(1))
    monkeypatch.setenv("LEDGER_CLOUD", in_folder(frames))
    before = tree(tmp_path / "cloud")
    assert typed("data", "restore", "--to", "new") == 0
    assert typed("data", "restore", "--to", "then", "--at", "1h ago") == 0
    assert typed("data", "restore", "--drill") == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"drill: {len(frames)} records, digests equal"
    assert typed("data", "verify", "--all-layers") == 0
    said = capfd.readouterr().out
    assert "database: none yet: " in said
    assert f"cloud: {len(frames)} records of 1 guild" in said
    assert tree(tmp_path / "cloud") == before
    assert heads_in(tmp_path / "new") == heads_in(tmp_path / "data")


def test_nothing_is_written_into_the_folder_of_a_cloud(
    tmp_path: Path,
    typed: Callable[..., int],
    in_folder: Callable[[Sequence[Frame]], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("LEDGER_CLOUD", in_folder(write_history(tmp_path / "data", played(1))))
    before = tree(tmp_path / "cloud")
    for words in (("restore", "--to", "cloud/new"), ("backup", "--to", "cloud/seg/new")):
        assert typed("data", *words) == 2
        assert "cloud, which holds a history: nothing was written" in capfd.readouterr().err
    assert tree(tmp_path / "cloud") == before


def test_a_clouds_folder_in_the_place_of_a_backup_is_told_by_what_names_it(
    tmp_path: Path,
    typed: Callable[..., int],
    in_folder: Callable[[Sequence[Frame]], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    frames = write_history(tmp_path / "data", played(1))
    address = in_folder(frames)
    assert typed("data", "restore", "--to", "new", "--from", "./cloud") == 2
    assert capfd.readouterr().err == (
        f"inviteledger: cloud is no backup, but a cloud's or vault's folder, which LEDGER_CLOUD={address} names: "
        "set that for this command, and leave --from out.\n"
    )
    monkeypatch.setenv("LEDGER_CLOUD", address)
    assert typed("data", "restore", "--to", "new") == 0
    assert len(records_in(tmp_path / "new")) == len(frames)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("restore --to new", 78, "what is asked for; or name a backup: --from BACKUP."),
        ("restore --drill", 78, "LEDGER_CLOUD must be set, as it is for the bot: the cloud is what is asked for."),
        ("restore --drill --to new", 2, "a drill restores the cloud into scratch"),
        ("restore", 2, "it is not said where to restore to"),
    ],
)
def test_without_a_cloud_it_is_asked_for(
    typed: Callable[..., int], capfd: pytest.CaptureFixture[str], words: str, code: int, said: str
):
    assert typed("data", *words.split()) == code
    assert said in capfd.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_cloud_that_cannot_be_reached_ends_with_69_and_leaves_nothing(
    tmp_path: Path, typed: Callable[..., int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LEDGER_CLOUD", "http://127.0.0.1:1")
    monkeypatch.setenv("LEDGER_CLOUD_TOKEN", "word")
    write_history(tmp_path / "data", played(1))
    for words in (("restore", "--to", "new"), ("restore", "--drill")):
        assert typed("data", *words) == 69
        said = capfd.readouterr()
        assert said.out == ""
        assert "the bot goes on by itself" not in said.err, "no bot runs here"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert not (tmp_path / "data" / NAME).exists()


def come_later(cloud: Path) -> None:
    header = SegmentHeader(
        k=1, kind=Kind.RECORDS, epoch=1, lineage="lineage", writer="w", put_id="x", first_gsn=1, last_gsn=0,
        previous="", format=2,
    )  # fmt: skip
    (cloud / segment_key(1)).parent.mkdir(parents=True)
    (cloud / segment_key(1)).write_bytes(segment(header, ()))


@pytest.mark.parametrize(
    ("cloud", "code", "why"),
    [
        ("", 78, "  cloud: LEDGER_CLOUD must be set, as it is for the bot: the cloud is what is asked for."),
        ("http://127.0.0.1:1", 69, "Cannot connect to host 127.0.0.1:1"),
        (Path.touch, 78, "Not a directory"),
        (come_later, 78, "was written by a later release"),
    ],
    ids=["not set", "away", "refused", "later"],
)
def test_where_the_cloud_cannot_be_verified_the_other_layers_are_and_its_reason_comes_last(
    tmp_path: Path,
    typed: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    cloud: str | Callable[[Path], None],
    code: int,
    why: str,
):
    monkeypatch.setenv("LEDGER_CLOUD_TOKEN", "word")
    monkeypatch.setenv("LEDGER_CLOUD", cloud if isinstance(cloud, str) else (tmp_path / "cloud").as_uri())
    if not isinstance(cloud, str):
        cloud(tmp_path / "cloud")
    frames = write_history(tmp_path / "data", played(1))
    assert typed("data", "verify", "--all-layers") == code
    said = capfd.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith(" ")] == [
        f"log: {len(frames)} records of 1 guild in 1 file, up to gsn {len(frames)}",
        "checkpoints: 0 of 0 guilds",
        "database: none yet: the bot makes it anew from the log when it starts",
        "cloud: cannot be verified; 1 fault:",
    ]
    assert why in said[-1]
