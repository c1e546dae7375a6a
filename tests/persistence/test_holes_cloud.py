"""A hole in the log and a cloud far behind it, a cloud that breaks while it feeds others: nobody else gets a hole."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from itertools import count, product
from pathlib import Path

import pytest

from ledger.errors import StorageError
from ledger.ids import GuildId
from ledger.records import JoinRecorded, Record
from ledger.state import pages_of
from persistence import cloud_packs, holes, recovery
from persistence.checkpoints import make_checkpoint
from persistence.cloud import CloudLayer
from persistence.copying import Cut, copy_history
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.histories import CloudHistory
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.objects import Objects
from persistence.offload import inline
from persistence.store import StartReport, Store
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.memory.store import store_of
from tests.persistence.forks import DATA, handed_out, joined, state_of
from tests.persistence.holes import come_back, rot
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, unseen
from tests.persistence.simdisk import SimDisk
from tests.persistence.test_put_back import Tending
from tests.persistence.test_store_cloud import Machine


class LogMachine(Machine):
    """Its log is a real one."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.disk = SimDisk()
        super().__init__(bucket, writer)

    def near(self) -> Sequence[Layer]:
        return LocalLayer(self.disk, DATA, inline), self.database


async def bytes_in(layer: Layer) -> list[bytes]:
    return [frame.data async for frame in layer.frames_after(0)]


async def keep_checkpoint(store: Store, guild: GuildId) -> None:
    await store.save_checkpoint(guild, store.head_of(guild), tuple(pages_of(await state_of(store, guild))))


def reader_of(objects: Objects) -> CloudLayer:
    return CloudLayer(objects, inline, TestRandomness(), TestClock(), "reader")


async def recorded(layer: Layer) -> AsyncIterator[Record]:
    async for frame in layer.frames_after(0):
        yield frame.record


def cloud_of(machine: Machine) -> Layer:
    assert machine.store.following is not None
    return machine.store.following.layer


async def test_where_a_hole_hides_what_a_cloud_far_behind_holds_the_log_leads_and_all_get_what_it_has():
    machine = await LogMachine(MemoryBucket(), "a").started()
    await machine.join(RED)
    await machine.join(BLUE)
    await machine.upload()
    machine.database.go_away(StorageError("away"))
    machine.cut_off()
    for _ in range(4):
        await machine.join(RED)
    head = machine.store.head_of(RED)
    await machine.store.save_checkpoint(RED, head, (b"{}",))
    await machine.store.close()

    lines = await bytes_in(LocalLayer(machine.disk, DATA, inline))
    rot(machine.disk, DATA / "log", lines[3])
    machine.database.come_back()
    machine.connect()
    report = await machine.process().start()
    assert (report.leader, report.missing) == ("log", ((4, 4),))
    assert machine.store.head_of(RED) == head
    await machine.join(RED)
    await machine.upload()
    held = await bytes_in(LocalLayer(machine.disk, DATA, inline))
    assert held[:5] == [*lines[:3], *lines[4:]]
    assert await bytes_in(machine.database) == held
    assert await bytes_in(cloud_of(machine)) == held


async def forked(*, newer: str) -> tuple[LogMachine, Machine]:
    """Two machines that share a record and went on apart, the other one in the cloud.

    ``newer``: whose branch has the higher epoch; it is the longer one, too.
    """
    bucket = MemoryBucket()
    mine = await LogMachine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    mine.process()
    mine.cut_off()
    await mine.started()
    await mine.join(RED)
    other = await Machine(bucket, "b").started()
    for _ in range(2):
        if newer == "mine":
            mine.process()
            await mine.started()
        else:
            other.process()
            await other.started()
        await mine.join(RED)
        await mine.join(BLUE if newer == "mine" else RED)
        await other.join(RED, 1 if newer == "mine" else 4)
    await other.upload()
    await mine.store.close()
    return mine, other


@pytest.mark.parametrize("newer", ["mine", "other"])
@pytest.mark.parametrize("gsn", [2, 3, 4, 5])
@pytest.mark.parametrize("is_away", [True, False])
async def test_a_hole_is_not_filled_with_what_another_branch_has_in_its_place(newer: str, gsn: int, *, is_away: bool):
    mine, other = await forked(newer=newer)
    head = mine.store.head_of(RED)
    rot(mine.disk, DATA / "log", (await bytes_in(LocalLayer(mine.disk, DATA, inline)))[gsn - 1])
    if is_away:
        mine.database.go_away(StorageError("away"))
    mine.connect()
    mine.process()
    await mine.started()
    await mine.upload()
    if newer == "mine" and not is_away:
        assert mine.store.head_of(RED) == head
    log, cloud = LocalLayer(mine.disk, DATA, inline), cloud_of(mine)
    if newer == "mine":
        assert {*await bytes_in(log)} <= {*await bytes_in(cloud)}, "in a hole the cloud may have what it had"
    else:
        assert await bytes_in(log) == await bytes_in(cloud)
    await handed_out(mine.store)
    mine.database.come_back()
    await come_back(mine.store)
    await handed_out(mine.store)
    await mine.upload()
    users = [*range(10_001, mine.users + 1), *range(11_001, other.users + 1)]
    assert sorted(user for _, user in await joined(mine.store)) == sorted(map(str, users))
    assert await bytes_in(mine.database) == await bytes_in(log)
    assert await bytes_in(cloud) == await bytes_in(log)


class Breaking(CloudLayer):
    """Gives so many frames, and then no more."""

    left = 0

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        async for frame in super().frames_after(gsn):
            if self.left == 0:
                raise StorageError("no connection")
            self.left -= 1
            yield frame


@pytest.mark.parametrize("given", range(7))
async def test_a_cloud_that_breaks_while_it_feeds_a_wiped_folder_leaves_no_hole_there(
    given: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recovery, "FEED_RECORDS", 1)
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    for _ in range(3):
        await old.join(RED)
    await old.upload()
    monkeypatch.setattr(Breaking, "left", given)
    monkeypatch.setattr("tests.persistence.test_store_cloud.CloudLayer", Breaking)
    new = Machine(bucket, "b")
    with suppress(StorageError):
        await new.started()
    if given < 3:
        assert not new.store.guilds(), "neither of the two has it all"
        return
    await new.join(RED)
    assert len(await bytes_in(new.log)) == 4
    assert await bytes_in(new.database) == await bytes_in(new.log)


@pytest.mark.parametrize("fences", [0, 1, 2])
@pytest.mark.parametrize("rotten", [1, 2])
async def test_a_wiped_folder_starts_also_where_the_newest_records_in_the_cloud_have_rotted(rotten: int, fences: int):
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    for _ in range(4):
        await old.join(RED)
        await old.upload()
    segments = sorted(key for key in bucket.objects if key.startswith("seg/"))
    for life in range(fences):
        await Machine(bucket, f"b{life}").started()
    for key in segments[-rotten:]:
        bucket.objects[key] = bucket.objects[key][:-1] + b"?"
    new = Machine(bucket, "c")
    for _ in range(2):
        new.process()
        report = await new.store.start()
        assert report.missing == ((5 - rotten, 4),)
    assert new.store.head_of(RED).seq == 4 - rotten
    new.seqs = {RED: 4 - rotten}
    assert (await new.join(RED)).head.gsn == 5, "no number is given twice"
    await new.upload()
    users = await new.users_of()
    assert len(users) == 5 - rotten
    assert await (await Machine(bucket, "d").started()).users_of() == users
    assert await bytes_in(new.database) == await bytes_in(new.log) == await bytes_in(cloud_of(new))
    await come_back(new.store)


async def test_a_folder_that_has_what_the_winner_in_the_cloud_lost_first_starts_without_what_that_lost_last():
    """Its own branch parts right behind what only it has; the newest record of all is in no layer."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    await mine.join(RED)
    other = await Machine(bucket, "b").started()
    for guild in (RED, BLUE, RED):
        await other.join(guild)
        await other.upload()
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    for key in (held[0], held[-1]):
        bucket.objects[key] = bucket.objects[key][:-1] + b"?"
    mine.connect()
    mine.process()
    report = await mine.store.start()
    assert report.missing == ((4, 4),)
    assert mine.store.head_of(RED).seq == 2
    await handed_out(mine.store)
    assert sorted(user for _, user in await joined(mine.store)) == ["10001", "10002", "11001", "11002"]


@pytest.mark.parametrize("rotten", [(0,), (1,), (0, 1)])
async def test_what_two_branches_share_last_is_put_back_into_the_cloud_by_the_one_that_loses(rotten: Sequence[int]):
    """A wiped folder needs it there."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    for _ in range(2):
        await mine.join(RED)
        await mine.upload()
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    for key in (held[k] for k in rotten):
        bucket.objects[key] = bucket.objects[key][:-1] + b"?"
    other = await Machine(bucket, "b").started()
    await mine.join(RED)
    await other.join(BLUE)
    await other.upload()
    mine.process()
    report = await mine.store.start()
    assert (report.leader, report.missing) == ("cloud", ())
    assert not [note for note in report.notes if "in no layer" in note]
    await handed_out(mine.store)
    await mine.upload()
    new = await Machine(bucket, "c").started()
    assert sorted(user for _, user in await joined(new.store)) == ["10001", "10002", "10003", "11001"]


async def test_what_two_branches_share_last_comes_back_into_every_layer_of_the_one_that_wins():
    """It got a hole out of the cloud, which was mended when it did not look."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    for _ in range(2):
        await mine.join(RED)
        await mine.upload()
    last = max(key for key in bucket.objects if b'"kind":"records"' in bucket.objects[key][:200])
    bucket.objects[last] = bucket.objects[last][:-1] + b"?"
    other = await LogMachine(bucket, "b").started()
    await other.join(BLUE)  # which is never uploaded
    mine.cut_off()
    await mine.join(RED)
    mine.connect()
    mine.process()
    await mine.started()
    await mine.upload()
    other.process()
    report = await other.store.start()
    assert (report.leader, report.missing) == ("log", ())
    assert [each for each in report.notes if "LOST BRANCH" in each and "of cloud behind gsn 2" in each]
    assert not [note for note in report.notes if "in no layer" in note]
    await handed_out(other.store)
    await other.upload()
    assert sorted(user for _, user in await joined(other.store)) == ["10001", "10002", "10003", "11001"]
    held = await bytes_in(other.near()[0])
    assert await bytes_in(other.database) == await bytes_in(cloud_of(other)) == held


class Promising(LogMachine):
    """What it acknowledges is in the cloud."""

    named = frozenset({"log", "database", "cloud"})


@pytest.mark.parametrize("rotten", ["", "log", "database"])
@pytest.mark.parametrize("machine", [Promising, LogMachine])
async def test_a_hole_gets_what_this_folder_has_and_not_what_another_has_in_its_place(
    machine: type[LogMachine], rotten: str
):
    """Whichever branch goes on: no checkpoint of the other is left, and each guild goes on behind its own records."""
    bucket = MemoryBucket()
    mine = await machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    for _ in range(2):
        mine.process()
        await mine.started()
    await mine.join(BLUE)
    await mine.store.save_checkpoint(
        BLUE, mine.store.head_of(BLUE), tuple(pages_of(await state_of(mine.store, BLUE)))
    )
    await mine.join(RED)
    lines = await bytes_in(mine.database)
    await mine.store.close()
    other = await machine(bucket, "b").started()
    await other.join(BLUE)
    await other.upload()
    if rotten == "log":
        rot(mine.disk, DATA / "log", lines[1])
    elif rotten:
        mine.database.lose(2, 2)
    mine.connect()
    mine.process()
    report = await mine.store.start()
    assert (report.leader, report.missing) == ("cloud" if machine is Promising else "log", ())
    await handed_out(mine.store)
    salvage, opened = mine.store.salvage, await mine.store.open_guild(BLUE)
    assert opened.head is not None
    mine.seqs[BLUE] = opened.head.seq
    await mine.join(BLUE)
    await mine.upload()
    mine.process().salvage = salvage
    assert (await mine.store.start()).aside == {}
    users = {record.event.user async for record in recorded(mine.near()[0]) if isinstance(record.event, JoinRecorded)}
    assert users == {"10001", "10002", "10003", "10004", "11001"}


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("gone", "killed_at"),
    [*product([True, False], ["", "part", "fill"]), (True, "part_with_checkpoints")],
)
async def test_a_checkpoint_of_a_branch_that_loses_goes_also_where_its_records_were_gone_before(
    monkeypatch: pytest.MonkeyPatch, killed_at: str, *, gone: bool
):
    """It would stand for them, and what is recorded anew out of the branch would be no news."""
    bucket = MemoryBucket()
    mine = await LogMachine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    await mine.join(BLUE)
    await mine.store.save_checkpoint(
        BLUE, mine.store.head_of(BLUE), tuple(pages_of(await state_of(mine.store, BLUE)))
    )
    await mine.store.close()
    other = await Machine(bucket, "b").started()
    await other.join(RED)
    await other.upload()
    if gone:
        for name in mine.disk.names(DATA / "log"):
            mine.disk.remove(DATA / "log" / name)
    mine.connect()
    mine.process()
    if killed_at:
        calls = count()

        async def killed(*_: object, **__: object) -> list[str]:
            if killed_at != "fill" or next(calls):  # the first one stands before any branch is looked for
                raise Killed
            return []

        with monkeypatch.context() as patch:
            patch.setattr(holes if killed_at == "fill" else recovery, killed_at, killed)
            with pytest.raises(Killed):
                await mine.store.start()
        salvage = mine.store.salvage
        mine.process().salvage = salvage
    await mine.started()
    await handed_out(mine.store)
    await mine.upload()
    opened = await mine.store.open_guild(BLUE)
    assert [record.event.user for record in opened.tail() if isinstance(record.event, JoinRecorded)] == ["10002"]
    assert opened.checkpoint is None


@pytest.mark.parametrize("lives", [1, 2])
@pytest.mark.parametrize("lost", [1, 2, 4])
async def test_a_wiped_folder_starts_from_a_cloud_in_which_records_beneath_an_index_have_rotted(
    lost: int, lives: int, monkeypatch: pytest.MonkeyPatch
):
    """Nobody reads them before they are given to the folder, and the index tells where their chains lead."""
    bucket = MemoryBucket()
    old = Tending(bucket, "a")
    for _ in range(lives):
        old.process()
        await old.lives(4)
    with monkeypatch.context() as patch:
        patch.setattr(cloud_packs, "PACK_SEGMENTS", 1)
        assert await old.packs()
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    for key in (held[lost - 1], *(key for key in bucket.objects if key.startswith("pack/"))):
        bucket.objects[key] = bucket.objects[key][:-1] + b"?"
    new, users = LogMachine(bucket, "b"), (await old.users_of())[: lost - 1]
    for _ in range(3):
        new.process()
        report = await started_at_last(new)
        assert report.missing == ((lost, lost),)
        assert await new.users_of() == users
        new.seqs = {RED: new.store.head_of(RED).seq}
        assert (await new.join(RED)).head.gsn > 4 * lives
        users = await new.users_of()
        await come_back(new.store)


@pytest.mark.parametrize("older", [True, False])
async def test_of_a_guild_whose_records_have_all_rotted_in_the_cloud_its_checkpoint_there_is_left(
    tmp_path: Path, *, older: bool
):
    """For a folder that was wiped, and for a copy."""
    bucket = MemoryBucket()
    mine = Machine(bucket, "a")
    lineage = (await mine.store.start()).lineage
    for guild in (RED,) * older + (RED, BLUE):
        await mine.join(guild)
        await mine.upload()
    head = mine.store.head_of(RED)
    await cloud_of(mine).save_checkpoint(make_checkpoint(RED, head, lineage, (b"{}",)))
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    bucket.objects[held[-2]] = bucket.objects[held[-2]][:-1] + b"?"
    cuts = (None, Cut(until_ms=2**60, lineage="cut", now_ms=TestClock().now_ms()))
    for folder, cut in zip((tmp_path / "whole", tmp_path / "cut"), cuts, strict=True):
        folder.mkdir()
        history = CloudHistory(MemoryObjects(bucket), inline, reader_of)
        copied = await copy_history(history, RealDisk(), folder, cut, unseen)
        assert copied.checkpoints == 1
        store = store_of([LocalLayer(RealDisk(), folder, inline)], TestClock(), TestRandomness())
        await store.start()
        opened = await store.open_guild(RED)
        assert opened.checkpoint is not None
        assert (opened.checkpoint.header.seq, len(opened.lines)) == (head.seq, 0 if cut is None else 1)
        await store.close()
    new = await LogMachine(bucket, "b").started()
    opened = await new.store.open_guild(RED)
    assert (opened.head, opened.checkpoint is not None) == (head, True)
    new.seqs[RED] = head.seq
    assert (await new.join(RED)).head.seq == head.seq + 1
    await new.store.close()
    for layer in new.near():
        assert (await layer.open()).heads[RED].seq == head.seq + 1


async def test_what_stands_on_no_chain_is_copied_also_into_a_cut(tmp_path: Path):
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    for _ in range(3):
        await mine.join(RED)
        await mine.upload()
    first = min(key for key in bucket.objects if b'"kind":"records"' in bucket.objects[key][:200])
    bucket.objects[first] = bucket.objects[first][:-1] + b"?"
    cut = Cut(until_ms=2**60, lineage="cut", now_ms=TestClock().now_ms())
    history = CloudHistory(MemoryObjects(bucket), inline, reader_of)
    copied = await copy_history(history, RealDisk(), tmp_path, cut, unseen)
    assert (copied.contents.records, copied.lineage) == (2, "cut")
    assert any("on no chain" in note for note in copied.notes)


async def test_what_a_start_finds_missing_in_a_cloud_while_it_mends_that_is_mended_as_well(
    monkeypatch: pytest.MonkeyPatch,
):
    """A pack that only the index vouched for is gone, and what it was made of has rotted: known when it is read."""
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(3)
    with monkeypatch.context() as patch:
        patch.setattr(cloud_packs, "PACK_SEGMENTS", 1)
        assert await mine.packs()
    await mine.goes_on(2)
    (pack,) = (key for key in bucket.objects if key.startswith("pack/"))
    del bucket.objects[pack]
    held = [key for key in sorted(bucket.objects) if b'"kind":"records"' in bucket.objects[key][:200]]
    for key in (held[0], held[-1]):
        bucket.objects[key] = bucket.objects[key][:-1] + b"?"
    users = await mine.users_of()
    mine.process()
    report = await mine.store.start()
    assert report.missing == ()
    new = await Machine(bucket, "z").started()
    assert await new.users_of() == users


async def started_at_last(machine: Machine) -> StartReport:
    """As the journal does: what a try has found out is known to the next one."""
    for _ in range(2):
        with suppress(StorageError):
            return await machine.store.restart_epoch()
    return await machine.store.restart_epoch()


@pytest.mark.parametrize("unsent", [0, 2])
async def test_a_cloud_that_ends_before_what_nobody_nearby_can_read_any_more_waits_for_nothing(unsent: int):
    mine = await LogMachine(MemoryBucket(), "a").started()
    for _ in range(3):
        await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    for _ in range(unsent + 1):
        await mine.join(RED)
    await mine.store.close()
    rot(mine.disk, DATA / "log", (await bytes_in(LocalLayer(mine.disk, DATA, inline)))[-1])
    mine.database.lose(4 + unsent, 4 + unsent)
    mine.connect()
    mine.process()
    await mine.started()
    following = mine.store.following
    assert following is not None
    if unsent:
        assert await following.give(mine.store.frames_after) == unsent
    assert following.behind() == 0
    assert (await mine.join(RED)).head.gsn == 5 + unsent
    await mine.upload()
    assert following.behind() == 0
    assert await bytes_in(cloud_of(mine)) == await bytes_in(mine.database)
