"""What has rotted hides where two folders went on apart: nothing of either is taken for what was there, or lost."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest

from ledger.errors import NotConfirmed, StorageError
from ledger.ids import GuildId
from ledger.state import pages_of
from persistence import cloud_packs, recovery
from persistence.checkpoints import make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.holes import fill
from persistence.layer import Layer, LayerSummary, guild_frames
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.recovery import heal
from persistence.seats import Seat
from persistence.sqlite import SqliteLayer
from tests.memory.layer import MemoryLayer
from tests.memory.objects import MemoryBucket
from tests.memory.salvage import MemorySalvage
from tests.memory.store import store_of
from tests.persistence.forks import DATA, handed_out, on, state_of
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, joins
from tests.persistence.simdisk import SimDisk
from tests.persistence.test_holes_cloud import LogMachine, cloud_of, keep_checkpoint, started_at_last
from tests.persistence.test_store_cloud import Machine

MachineT = TypeVar("MachineT", bound=Machine)


def newest_segment(bucket: MemoryBucket) -> str:
    return max(key for key in bucket.objects if key.startswith("seg/"))


def rot(bucket: MemoryBucket, *keys: str) -> None:
    for key in keys:
        data = bucket.objects[key]
        bucket.objects[key] = data[:-1] + bytes([data[-1] ^ 1])


async def pack(machine: Machine) -> None:
    """As each minute, where enough is loose: a pack of all segments, and an index."""
    assert machine.store.following is not None
    assert await machine.store.following.layer.pack()


async def save_in_cloud(machine: Machine, guild: GuildId) -> None:
    await keep_checkpoint(machine.store, guild)
    head, pages = machine.store.head_of(guild), tuple(pages_of(await state_of(machine.store, guild)))
    await cloud_of(machine).save_checkpoint(make_checkpoint(guild, head, machine.store._terms.lineage, pages))


async def back(machine: Machine) -> list[str]:
    """A new process, which hands out what a branch had and gives the cloud what it lacks: everybody it knows of."""
    await machine.store.close()
    machine.process()
    await machine.started()
    await handed_out(machine.store)
    await machine.upload()
    return await everybody(machine)


async def everybody(machine: Machine) -> list[str]:
    return sorted(
        [user for guild in machine.store.guilds() for user in (await state_of(machine.store, guild)).members]
    )


async def gsns_in(layer: Layer) -> list[int]:
    return [frame.record.gsn async for frame in layer.frames_after(0)]


@pytest.fixture(autouse=True)
def packs_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 2)


async def acknowledged_nearby(mine: MachineT, *guilds: GuildId) -> MachineT:
    """A host that recorded some more in these guilds without the cloud, before it died."""
    await mine.started()
    await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    for guild in guilds:
        await mine.join(guild)
    return mine


async def gone_on(bucket: MemoryBucket) -> tuple[Machine, str]:
    """Another folder's process, which took over from a host that had died; and the segment of its first record."""
    other = await Machine(bucket, "b").started()
    await other.join(BLUE)
    await other.upload()
    first = newest_segment(bucket)
    await other.join(RED)
    await other.upload()
    return other, first


class RealMachine(LogMachine):
    """A real database beside a real log: what was recorded twice is refused by neither, once it is there."""

    def __init__(self, bucket: MemoryBucket, writer: str, folder: Path) -> None:
        self.folder = folder
        super().__init__(bucket, writer)

    def near(self) -> Sequence[Layer]:
        database = SqliteLayer(RealDisk(), self.folder / "ledger.db", self.folder / "quarantine")
        return LocalLayer(self.disk, DATA, inline), database


@pytest.mark.parametrize("more", [1, 2])
async def test_a_folders_own_records_are_not_put_into_a_hole_behind_which_another_branch_goes_on(
    more: int, tmp_path: Path
):
    """A checkpoint bridges the hole, which is as long as what the folder has, or longer."""
    bucket = MemoryBucket()
    mine = await acknowledged_nearby(RealMachine(bucket, "a", tmp_path), RED)
    other = await Machine(bucket, "b").started()
    await other.join(RED, more)
    await other.upload()
    rotten = newest_segment(bucket)
    await other.join(RED)
    await other.upload()
    await save_in_cloud(other, RED)
    rot(bucket, rotten)
    mine.connect()
    users = ["10001", "10002", *(str(11001 + number) for number in range(more + 1))]
    for _ in range(2):
        assert await back(mine) == users
        assert more == 2 or 2 not in await gsns_in(cloud_of(mine))
    await mine.store.close()
    rot_row(tmp_path / "ledger.db", 1)  # the database is made anew then
    assert await back(mine) == users
    assert [layer.error for layer in mine.store.health()] == [""] * 3
    await mine.store.close()
    assert await back(Machine(bucket, "z")) == users


def rot_row(path: Path, gsn: int) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE frames SET frame = CAST('rotten' AS BLOB) WHERE gsn = ?", (gsn,))


async def test_a_folders_own_records_do_not_win_over_what_began_anew_behind_the_hole_they_fit_into():
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    second = await Machine(bucket, "b").started()
    await second.join(BLUE)
    await second.upload()
    rot(bucket, newest_segment(bucket))
    third = await Machine(bucket, "c").started()
    await third.join(RED, 2)
    await third.upload()
    mine.cut_off()
    for _ in range(4):
        mine.process()
        await mine.started()
    await mine.join(RED)
    mine.connect()
    for _ in range(2):
        assert await back(mine) == ["10001", "10002", "12001", "12002"]
        assert (await cloud_of(mine).open()).aside == {}


async def test_a_record_that_only_the_loser_has_is_not_taken_for_one_that_both_share():
    bucket = MemoryBucket()
    mine = await acknowledged_nearby(Machine(bucket, "a"), RED, BLUE)
    other, rotten = await gone_on(bucket)
    await pack(other)
    rot(bucket, rotten, *(key for key in bucket.objects if key.startswith("pack/")))
    mine.connect()
    await back(mine)
    for each in (other, mine, other):
        users = await back(each)
    assert users == ["10001", "10002", "10003", "11001", "11002"]


async def test_what_is_left_of_a_branch_before_the_first_difference_goes_as_well_where_it_contradicts_the_rest():
    bucket = MemoryBucket()
    mine = await acknowledged_nearby(Machine(bucket, "a"), BLUE, RED)
    other = await Machine(bucket, "b").started()
    await other.join(BLUE)
    await other.upload()
    rotten = newest_segment(bucket)
    for guild in (RED, BLUE):
        await other.join(guild)
        await other.upload()
    await save_in_cloud(other, BLUE)
    rot(bucket, rotten)
    mine.connect()
    assert await back(mine) == ["10001", "10002", "10003", "11001", "11002", "11003"]
    assert await gsns_in(mine.log) == await gsns_in(cloud_of(mine))
    assert (await cloud_of(mine).open()).heads[BLUE] == mine.store.head_of(BLUE)


async def test_two_holes_that_are_filled_from_both_sides_leave_nothing_on_no_chain_and_all_layers_alike():
    """What stood behind one of them stands on no chain then; an index knows of that as well."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    first = newest_segment(bucket)
    await mine.join(BLUE)
    await mine.upload()
    rot(bucket, first)
    other = await Machine(bucket, "b").started()  # where the guild begins anew
    await other.join(RED, 3)
    await other.upload()
    second = newest_segment(bucket)
    await other.join(RED)
    await other.upload()
    rot(bucket, second)
    assert await back(mine) == ["10001", "10002"]  # it fills the first hole, and goes on where it was
    for _ in range(2):
        await mine.join(RED)
        await mine.upload()
    await pack(mine)
    for each in (other, other, mine, other, Machine(bucket, "z")):
        users = await back(each)
        heads = each.store.head_of(RED)
        assert all(layer.healthy for layer in each.store.health())
        assert (await cloud_of(each).open()).heads[RED] == heads
        assert await guild_frames(cloud_of(each), RED, 0) == await guild_frames(each.log, RED, 0)
    assert users == ["10001", "10002", "10003", "10004", "11001", "11002", "11003", "11004"]


async def test_what_cannot_be_read_beneath_an_index_keeps_no_start_without_the_cloud():
    """It would take an epoch of its own, and find at its first upload that it was overtaken: each time."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    for _ in range(3):
        await mine.join(RED)
        await mine.upload()
    await pack(mine)
    rot(bucket, newest_segment(bucket), *(key for key in bucket.objects if key.startswith("pack/")))
    other = Machine(bucket, "b")
    for _ in range(3):  # lives on an empty disk: the guild goes on where it can be read up to
        other.process()
        await started_at_last(other)
        other.seqs = {RED: other.store.head_of(RED).seq}
        await other.join(RED)
        await other.upload()
    mine.process()
    await mine.started()
    assert [layer.error for layer in mine.store.health()] == [""] * 3
    assert mine.store.following is not None
    assert mine.store.following.fenced


async def test_who_follows_a_leader_that_is_shorter_than_another_gets_what_that_has():
    """The database has a branch that loses to the cloud; the log goes on from there."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    mine.database.go_away(StorageError("full"))
    await mine.join(RED)
    await mine.upload()
    mine.cut_off()
    await mine.join(BLUE)
    mine.database.come_back()
    mine.log.go_away(StorageError("EIO"))
    mine.process()
    await mine.started()
    await mine.join(RED)
    mine.log.come_back()
    mine.connect()
    mine.process()
    await mine.started()
    assert mine.store.leader == "cloud"
    assert await gsns_in(mine.database) == await gsns_in(mine.log) == [1, 2, 3]
    await handed_out(mine.store)
    await mine.upload()
    assert await back(Machine(bucket, "z")) == ["10001", "10002", "10003", "10004"]


async def test_an_append_that_waits_for_its_end_in_the_cloud_is_compared_with_what_another_folder_has_there():
    """The cloud's newest records rot; a folder that had others puts two of its three into their place, and dies."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(BLUE)
    await mine.upload()
    theirs = await Machine(bucket, "b").started()
    theirs.cut_off()
    await theirs.join(RED, 3)
    mine.process()
    await mine.started()
    await mine.join(RED, 2)
    await mine.upload()
    rot(bucket, newest_segment(bucket))
    theirs.connect()
    theirs.process()
    await theirs.started()  # and dies before it has given the rest
    assert await gsns_in(cloud_of(theirs)) == [1, 2, 3]
    await back(mine)
    assert await gsns_in(mine.log) == await gsns_in(cloud_of(mine))
    assert (await cloud_of(mine).open()).heads == {guild: mine.store.head_of(guild) for guild in (RED, BLUE)}
    users = await back(theirs)
    assert users == ["10001", "10002", "10003", "11001", "11002", "11003"]


async def test_a_folder_comes_back_where_only_the_cloud_has_the_checkpoint_that_bridges_a_hole():
    """The old process keeps it on its way out, when the new one has read the cloud already."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED, 2)
    await mine.upload()
    rotten = newest_segment(bucket)
    await mine.join(RED, 3)
    await mine.upload()
    rot(bucket, rotten)
    new = Machine(bucket, "b")
    await new.store.start()
    await save_in_cloud(mine, RED)
    assert await back(new) == ["10001", "10002", "10003", "10004", "10005"]


async def test_an_append_of_which_a_mend_brings_the_beginning_only_stands_once_its_end_is_there():
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join(RED)
    await mine.upload()
    other = await Machine(bucket, "b").started()
    await other.join(RED, 2)
    await other.upload()
    rot(bucket, newest_segment(bucket))
    mine.cut_off()
    await mine.join(RED, 3)
    mine.connect()
    assert await back(mine) == ["10001", "10002", "10003", "10004"]
    summary = await cloud_of(mine).open()
    assert (summary.aside, summary.heads[RED]) == ({}, mine.store.head_of(RED))
    await mine.join(RED)
    await mine.upload()
    await pack(mine)
    assert await back(Machine(bucket, "z")) == ["10001", "10002", "10003", "10004", "10005"]


class Killed(BaseException):
    """A process is gone, whatever it was at."""


async def killed(_seat: Seat, _after_gsn: int) -> Sequence[Frame]:
    raise Killed


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize(("elsewhere", "holed"), [((), False), ((GuildId("1003"),), False), ((), True)])
async def test_what_a_mend_takes_the_place_of_before_itself_is_kept_and_keeps_no_start(
    elsewhere: Sequence[GuildId], monkeypatch: pytest.MonkeyPatch, *, holed: bool, dies: bool
):
    """A copy of the log is put back, with what it had lost; that has a higher epoch than what the database had.

    ``holed``: a record of another server is in no layer any more; what may stand again once it is there is let be.
    ``dies``: the process that mends it is killed before it has kept anything.
    """
    layers, salvage, number = (MemoryLayer("log"), MemoryLayer("database")), MemorySalvage(), count(1)
    log, database = layers

    async def life(*guilds: GuildId) -> list[str]:
        store = store_of(layers, TestClock(), TestRandomness(), salvage=salvage)
        await store.start()
        await handed_out(store)
        for guild in guilds:
            await store.append([joins(guild, store.head_of(guild).seq, next(number))])
        users = [user for guild in store.guilds() for user in (await state_of(store, guild)).members]
        await store.close()
        return sorted(users)

    await life(RED, RED, BLUE)
    log.lose(2, 2)
    database.go_away(StorageError("away"))
    await life(RED, RED, BLUE)  # it begins anew behind the hole
    lost = {gsn: log._frames[gsn] for gsn in (4, 5)}
    log.lose(4, 5)
    database.come_back()
    await life(RED, *elsewhere)  # and goes on behind what the database had
    log._frames = dict(sorted((log._frames | lost).items()))
    if holed:
        for layer in layers:
            layer.lose(6, 6)
    if dies:
        with monkeypatch.context() as patched:
            patched.setattr(recovery, "stranded", killed)
            with pytest.raises(Killed):
                await life()
    if holed:
        assert await life() == ["1", "2", "3", "4", "5"]
    else:
        assert await life() == [str(user) for user in range(1, 8 + len(elsewhere))]


async def test_two_that_differ_only_where_no_head_tells_of_it_are_compared_once_a_hole_is_filled():
    one, mine, theirs, later = Chain(1), Chain(1), Chain(2), Chain(3)
    shared = one.batch(RED)
    for chain, gsn in ((mine, 1), (theirs, 1), (later, 3)):
        chain.gsn, chain.heads = gsn, dict(one.heads)
    branch, others = mine.batch(RED), [theirs.batch(RED), theirs.batch(BLUE)]
    newest = later.batch(RED)
    left, right = MemoryLayer("log"), MemoryLayer("database")
    for layer, batches in ((left, [shared, branch, newest]), (right, [shared, *others, newest])):
        await layer.open()
        await layer.begin(3, "lineage")
        for batch in batches:
            await layer.append(batch)
    seats = [Seat(left), Seat(right)]
    for seat in seats:
        await seat.open()
    await fill(seats, MemorySalvage())
    await heal(seats, seats[1], MemorySalvage())
    assert left._frames == right._frames


async def test_what_a_layer_turns_out_to_miss_while_it_feeds_others_is_asked_of_them():
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    for _ in range(3):
        await mine.join(RED)
        await mine.upload()
    await pack(mine)
    other = await Machine(bucket, "b").started()
    await other.join(BLUE)
    await other.upload()
    segments = sorted(key for key in bucket.objects if b'"kind":"records"' in bucket.objects[key][:200])
    rot(bucket, segments[1], *(key for key in bucket.objects if key.startswith("pack/")))
    mine.database = type(mine.database)("database")
    mine.process()
    report = await mine.store.start()
    assert (report.missing, [note for note in report.notes if "in no layer" in note]) == ((), [])
    for layer in (mine.log, mine.database, cloud_of(mine)):
        assert await gsns_in(layer) == [1, 2, 3, 4]


class BreaksWhenFilled(MemoryLayer):
    """What it is filled with is there, and it raises once."""

    error: BaseException | None = None

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        summary = await super().fill(frames)
        if frames and self.error is not None:
            error, self.error = self.error, None
            await self.close()
            raise error
        return summary


@pytest.mark.parametrize("error", [NotConfirmed("EIO"), Killed()], ids=["broken", "killed, and away then"])
async def test_while_a_mended_layer_is_broken_the_mend_has_not_ended(error: BaseException):
    """It alone holds the record that the mend left on no chain: joins 1 to 5, of which others took 2 to 4."""
    log, database, number, disk = BreaksWhenFilled("log"), MemoryLayer("database"), count(1), SimDisk()

    async def life(*guilds: GuildId, again: bool = False) -> list[str]:
        store = store_of((log, database), TestClock(), TestRandomness(), salvage=on(disk))
        await store.start()
        log.come_back()
        if again and not await store.catch_up():
            await store.restart_epoch()
        await handed_out(store)
        for guild in guilds:
            await store.append([joins(guild, store.head_of(guild).seq, next(number))])
        users = [user for guild in store.guilds() for user in (await state_of(store, guild)).members]
        await store.close()
        return sorted(users)

    await life(RED)
    database.go_away(StorageError("away"))
    await life(RED, RED, RED, RED)
    database.come_back()
    store = store_of((database,), TestClock(), TestRandomness(), salvage=on(disk))
    await store.start()
    for guild in (RED, RED, BLUE):
        await store.append([joins(guild, store.head_of(guild).seq, next(number))])
    await store.close()
    log.lose(2, 4)
    log.error = error
    if isinstance(error, Killed):
        with pytest.raises(Killed):
            await life()
        log.go_away(StorageError("EIO"))
    assert "5" in await life(again=True)
