"""Stores with folders of their own over one bucket: what the cloud brings back, and who may write."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ledger.errors import DiskFull, NotConfirmed, Stale, StorageError, WrongHistory
from ledger.ids import GuildId
from persistence import following, recovery
from persistence.cloud import CloudLayer
from persistence.frames import Frame
from persistence.layer import Layer
from persistence.objects import Unreachable
from persistence.offload import inline
from persistence.store import Appended, Store
from tests.memory.layer import MemoryLayer
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.memory.salvage import MemorySalvage
from tests.memory.store import store_of
from tests.persistence.forks import handed_out, joined
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, joins


class Machine:
    """A data folder with its process, over a bucket that others share."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.log, self.database = MemoryLayer("log"), MemoryLayer("database")
        self.objects = MemoryObjects(bucket)
        self.writer = writer
        self.users = int(writer, 36) * 1_000
        self.seqs: dict[GuildId, int] = {}
        self.store = self.process()

    named: frozenset[str] = frozenset()
    """The layers of LEDGER_ACK."""

    def process(self) -> Store:
        """A fresh process on the same folder."""
        clock, randomness = TestClock(), TestRandomness(int(self.writer, 36) * 1_000)
        cloud = CloudLayer(self.objects, inline, randomness, clock, self.writer)
        self.store = store_of(self.near(), clock, randomness, cloud, named=self.named)
        return self.store

    def near(self) -> Sequence[Layer]:
        """The folder's layers, the log first."""
        return self.log, self.database

    async def started(self) -> "Machine":
        await self.store.start()
        self.seqs = {guild: self.store.head_of(guild).seq for guild in self.store.guilds()}
        return self

    async def join(self, guild: GuildId = RED, count: int = 1) -> Appended:
        base = self.seqs.get(guild, 0)
        (result,) = await self.store.append([joins(guild, base, *range(self.users + 1, self.users + count + 1))])
        assert isinstance(result, Appended)
        self.users += count
        self.seqs[guild] = base + count
        return result

    async def upload(self) -> None:
        assert self.store.following is not None
        while self.store.following.behind():
            await self.store.following.give(self.store.frames_after)

    async def users_of(self, guild: GuildId = RED) -> list[str]:
        opened = await self.store.open_guild(guild)
        return [record.event.user for record in opened.tail()]

    def cut_off(self) -> None:
        """The cloud does not answer this machine."""

        async def away(call: Call) -> None:
            raise Unreachable(f"no answer to {call.verb}")

        self.objects.before = away

    def connect(self) -> None:
        fresh = MemoryObjects(MemoryBucket())
        self.objects.before, self.objects.after = fresh.before, fresh.after


async def test_a_wiped_folder_comes_back_from_the_cloud():
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    await old.join(RED, 3)
    await old.join(BLUE, 2)
    await old.upload()
    new = await Machine(bucket, "b").started()
    assert new.store.leader == "cloud"
    assert await new.users_of(RED) == await old.users_of(RED)
    assert await new.users_of(BLUE) == await old.users_of(BLUE)
    assert (await new.log.open()).gsn == (await new.database.open()).gsn == 5


async def test_an_empty_folder_that_got_nothing_from_the_cloud_does_not_go_on_without_it():
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    await old.join(RED, 3)
    await old.upload()
    new = Machine(bucket, "b")

    async def nothing_more(call: Call) -> None:
        if call.verb == "create" and call.key.startswith("seg/"):
            new.cut_off()

    new.objects.after = nothing_more
    for attempt in range(3):
        with pytest.raises(StorageError):
            await new.started()
        assert not (await new.log.open()).gsn
        if attempt:
            new.process()
    new.connect()
    await new.started()
    assert await new.users_of(RED) == await old.users_of(RED)


async def test_a_claim_of_a_life_that_was_killed_behind_it_is_no_other_process():
    """The next life of the folder finds the cloud away, takes the same epoch without it, and records."""
    bucket = MemoryBucket()
    mine = await Machine(bucket, "a").started()
    await mine.join()
    await mine.upload()

    class Killed(BaseException):
        pass

    async def kill(call: Call) -> None:
        if call.verb == "create" and call.key.startswith("seg/"):
            raise Killed

    mine.process()
    mine.objects.before = kill
    with pytest.raises(Killed):
        await mine.started()
    mine.cut_off()
    mine.process()
    await mine.started()
    await mine.join()
    mine.connect()
    await mine.store.restart_epoch()
    await mine.upload()
    other = await Machine(bucket, "b").started()
    assert await other.users_of() == await mine.users_of() == ["10001", "10002"]
    with pytest.raises(Stale):
        await mine.store.restart_epoch()


class Full(MemoryLayer):
    """A disk that can be read, and at times not written."""

    is_full = False

    async def begin(self, epoch: int, lineage: str) -> None:
        self._refuse()
        await super().begin(epoch, lineage)

    async def append(self, frames: Sequence[Frame]) -> None:
        self._refuse()
        await super().append(frames)

    def _refuse(self) -> None:
        if self.is_full:
            raise DiskFull("No space left on device")


class FullMachine(Machine):
    """A folder whose disk is full at times."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.disk = Full("log"), Full("database")
        super().__init__(bucket, writer)

    def near(self) -> Sequence[Layer]:
        return self.disk

    def fill(self, *, full: bool) -> None:
        for layer in self.disk:
            layer.is_full = full

    async def try_in_vain(self) -> None:
        with pytest.raises(StorageError, match="No space left"):
            await self.store.restart_epoch()


async def test_a_full_disk_costs_the_cloud_one_epoch_however_often_it_is_tried():
    bucket = MemoryBucket()
    full = await FullMachine(bucket, "a").started()
    await full.join(RED, 2)
    await full.upload()
    full.fill(full=True)
    for _ in range(5):
        await full.try_in_vain()
    full.fill(full=False)
    assert (await full.store.restart_epoch()).epoch == 2
    kept = [key async for key in full.objects.keys("")]
    assert [key for key in kept if key.startswith("epoch/")] == [f"epoch/{epoch:010d}" for epoch in (1, 2)]
    assert len([key for key in kept if key.startswith("seg/")]) == 3, "two fences, and the records"
    await full.join(RED)
    await full.upload()
    assert (await full.store.restart_epoch()).epoch == 3, "a record has the one before"
    assert await (await Machine(bucket, "b").started()).users_of(RED) == await full.users_of(RED)


async def test_who_was_overtaken_while_its_disk_was_full_is_stale():
    bucket = MemoryBucket()
    full = await FullMachine(bucket, "a").started()
    full.fill(full=True)
    await full.try_in_vain()
    await Machine(bucket, "b").started()
    for is_full in (True, False):
        full.fill(full=is_full)
        with pytest.raises(Stale):
            await full.store.restart_epoch()


@pytest.mark.parametrize("records", [0, 2])
async def test_an_epoch_that_was_taken_in_vain_without_the_cloud_is_whose_it_is_there(records: int):
    bucket = MemoryBucket()
    full = await FullMachine(bucket, "a").started()
    await full.join(BLUE)
    await full.upload()
    full.process()
    full.cut_off()
    full.fill(full=True)
    await full.try_in_vain()
    other = await Machine(bucket, "b").started()
    assert other.store.epoch == full.store.epoch == 2
    if records:
        await other.join(RED, records)
        await other.upload()
    full.connect()
    full.fill(full=False)
    await full.started()
    assert full.store.epoch == 3
    assert len(await full.users_of(RED)) == records


async def test_a_start_that_was_killed_is_owed_what_it_had_found():
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    new = await Machine(bucket, "b").started()
    await new.join(RED, 3)
    await new.upload()
    old.process()
    met = asyncio.Event()

    async def hang(call: Call) -> None:
        if call.verb == "create":
            met.set()
            await asyncio.get_running_loop().create_future()

    old.objects.before = hang
    starting = asyncio.ensure_future(old.started())
    await met.wait()
    starting.cancel()
    old.cut_off()
    await old.log.append(Chain().append(BLUE, 1))
    with pytest.raises(StorageError, match="failed just now"):
        await old.started()


async def test_a_folder_that_got_a_part_from_the_cloud_does_not_go_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(recovery, "FEED_RECORDS", 1)
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    for _ in range(3):
        await old.join(RED)
    await old.upload()
    new, append = Machine(bucket, "b"), MemoryLayer.append

    async def the_first(layer: MemoryLayer, frames: Sequence[Frame]) -> None:
        if frames[0].record.gsn > 1:
            new.cut_off()
            raise StorageError("no room")
        await append(layer, frames)

    monkeypatch.setattr(MemoryLayer, "append", the_first)
    with pytest.raises(StorageError):
        await new.started()
    monkeypatch.setattr(MemoryLayer, "append", append)
    with pytest.raises(StorageError, match="failed just now"):
        await new.started()
    new.connect()
    await new.started()
    assert await new.users_of(RED) == await old.users_of(RED)


async def test_a_history_does_not_begin_where_the_cloud_did_not_take_its_beginning():
    bucket = MemoryBucket()
    first = Machine(bucket, "a")

    async def nothing_is_written(call: Call) -> None:
        if call.verb == "create" and call.key.startswith("seg/"):
            raise Unreachable(f"no answer to {call.verb}")

    first.objects.before = nothing_is_written
    with pytest.raises(StorageError, match="did not take the beginning"):
        await first.started()
    second = await Machine(bucket, "b").started()
    await second.join(RED, 2)
    await second.upload()
    first.connect()
    first.process()
    await first.started()
    assert await first.users_of(RED) == await second.users_of(RED)


async def test_what_is_durable_here_is_given_to_the_cloud_in_order_and_once():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    for _ in range(5):
        await machine.join()
        await machine.upload()
    await machine.upload()
    new = await Machine(bucket, "b").started()
    assert len(await new.users_of()) == 5


async def test_a_cloud_that_has_everything_by_now_is_given_nothing_and_that_is_no_failure():
    """An uploader that wakes behind a drain, which has given it the rest."""
    machine = await Machine(MemoryBucket(), "a").started()
    await machine.join(RED, 3)
    await machine.upload()
    following = machine.store.following
    assert following is not None
    assert await following.give(machine.store.frames_after) == 0


async def test_a_piece_that_was_taken_before_a_new_epoch_is_not_given_in_it():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join()
    await machine.upload()
    await machine.join(RED, 2)
    given = machine.store.following
    assert given is not None
    async with given.alone:
        late = asyncio.ensure_future(given.give(machine.store.frames_after))
        await asyncio.sleep(0)
        given.seat.gsn = 0  # the cloud was put back
        given.begin(3, 3, "")
    assert await late == 0
    assert given.behind() == 3


async def test_an_outage_of_any_length_needs_no_memory_beyond_a_limit_and_nothing_of_it_is_lost(
    monkeypatch: pytest.MonkeyPatch,
):
    """What does not fit is read from the layers again, also what is smaller than the room that is left."""
    limit, read = 2_000, list[int]()
    monkeypatch.setattr(following, "QUEUED_BYTES", limit)
    monkeypatch.setattr(following, "PIECE_RECORDS", 7)
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    given = machine.store.following
    assert given is not None

    async def source(gsn: int, number: int) -> Sequence[Frame]:
        frames = await machine.store.frames_after(gsn, number)
        read.extend(frame.record.gsn for frame in frames)
        return frames

    machine.cut_off()
    counts = [1, 2, 3] * 10
    for count in counts:
        await machine.join(count=count)
        assert sum(len(frame.data) for frame in given._waiting) <= limit
        with pytest.raises(StorageError):
            await given.give(source)
    machine.connect()
    while given.behind():
        await given.give(source)
    sizes = [len(frame.data) for frame in await machine.store.frames_after(0, sum(counts))]
    assert sum(sizes[:3]) < sum(sizes[:4]) < limit < sum(sizes[:6]), "1 and 2 fit, 3 more do not, 1 alone would"
    assert read == list(range(4, sum(counts) + 1)), "what nobody reads is in memory"
    await machine.join(count=3)
    await given.give(source)
    assert read[-1] == sum(counts), "there is room again"
    new = await Machine(bucket, "b").started()
    assert await new.users_of() == await machine.users_of()
    assert len(await new.users_of()) == sum(counts) + 3


async def test_a_lost_answer_writes_nothing_twice():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join(count=2)
    nothing = machine.objects.after

    async def lose(call: Call) -> None:
        if call.verb == "create":
            machine.objects.after = nothing
            raise Unreachable("the answer was lost")

    machine.objects.after = lose
    assert machine.store.following is not None
    with pytest.raises(NotConfirmed):
        await machine.store.following.give(machine.store.frames_after)
    await machine.join()  # what comes meanwhile belongs to another piece
    await machine.upload()
    new = await Machine(bucket, "b").started()
    assert await new.users_of() == await machine.users_of()


async def test_the_same_folder_goes_on_behind_what_the_cloud_has():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join()
    await machine.upload()
    await machine.join(count=2)  # never went up
    machine.process()
    await machine.started()
    assert machine.store.leader in {"log", "database"}
    await machine.upload()
    new = await Machine(bucket, "b").started()
    assert await new.users_of() == await machine.users_of()
    assert len(await new.users_of()) == 3


async def test_a_writer_that_was_overtaken_is_stale_at_its_next_upload():
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    await old.join()
    await old.upload()
    new = await Machine(bucket, "b").started()
    await old.join()
    with pytest.raises(Stale):
        await old.upload()
    await new.join()
    await new.upload()
    assert len(await new.users_of()) == 2


async def test_a_stale_process_does_not_take_an_epoch_again():
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    await Machine(bucket, "b").started()
    with pytest.raises(Stale):
        await old.store.restart_epoch()


async def test_a_new_epoch_of_the_holder_goes_on_in_the_cloud():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join()
    await machine.store.restart_epoch()
    await machine.join()
    await machine.upload()
    assert len(await (await Machine(bucket, "b").started()).users_of()) == 2


async def test_an_empty_folder_waits_for_a_cloud_that_is_away_and_writes_nothing():
    bucket = MemoryBucket()
    machine = Machine(bucket, "a")
    machine.cut_off()
    with pytest.raises(StorageError, match="all is empty here"):
        await machine.store.start()
    assert (await machine.log.open()).epoch == 0
    machine.connect()
    await machine.started()
    await machine.join()


async def test_a_folder_with_a_history_goes_on_without_the_cloud_and_brings_it_up_to_date_later():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join()
    await machine.upload()
    machine.process()
    machine.cut_off()
    await machine.started()
    await machine.join()
    following = machine.store.following
    assert following is not None
    assert not following.fenced
    assert await following.give(machine.store.frames_after) == 0
    machine.connect()
    await following.ask()
    await machine.store.restart_epoch()
    assert following.fenced
    await machine.upload()
    assert len(await (await Machine(bucket, "b").started()).users_of()) == 2


async def test_a_provisional_writer_that_finds_another_with_its_epoch_is_stale():
    bucket = MemoryBucket()
    first = await Machine(bucket, "a").started()
    await first.join()
    await first.upload()
    first.process()
    first.cut_off()
    await first.started()  # epoch 2, which nobody has confirmed
    await first.join()
    other = await Machine(bucket, "b").started()  # epoch 2 in the cloud
    await other.join()
    await other.upload()
    first.connect()
    with pytest.raises(Stale):
        await first.store.restart_epoch()


async def test_of_two_branches_of_one_epoch_that_in_the_cloud_wins():
    bucket = MemoryBucket()
    first = await Machine(bucket, "a").started()
    await first.join()
    await first.upload()
    first.process()
    first.cut_off()
    await first.started()
    await first.join(count=4)
    other = await Machine(bucket, "b").started()
    await other.join(BLUE)
    await other.upload()
    first.process()
    first.connect()
    await first.started()
    assert first.store.leader == "cloud"
    assert len(await first.users_of(RED)) == 1
    assert await first.users_of(BLUE) == await other.users_of(BLUE)
    await first.join()
    await first.upload()


async def gone_on_apart(bucket: MemoryBucket) -> tuple[Machine, Machine]:
    """One that goes on with two records without the cloud, in an epoch of its own, and one that has four in there."""
    first = await Machine(bucket, "a").started()
    await first.join()
    await first.upload()
    first.cut_off()
    other = await Machine(bucket, "b").started()
    await other.join(RED, 4)
    await other.upload()
    for _ in range(2):
        await first.store.restart_epoch()
    await first.join(RED, 2)
    first.connect()
    return first, other


async def test_a_cloud_whose_branch_could_not_be_kept_holds_nothing_of_what_was_recorded_apart(
    monkeypatch: pytest.MonkeyPatch,
):
    bucket = MemoryBucket()
    first, other = await gone_on_apart(bucket)
    theirs = await other.users_of()
    following, keep = first.store.following, MemorySalvage.keep
    assert following is not None

    async def no_room(salvage: MemorySalvage, frames: AsyncIterator[Frame]) -> None:
        del salvage, frames
        raise DiskFull("salvage")

    monkeypatch.setattr(MemorySalvage, "keep", no_room)
    report = await first.store.restart_epoch()
    assert "LOST BRANCH" in report.notes[0]
    assert report.notes[0].endswith("they cannot be kept now, and stay there: salvage")
    assert (report.leader, following.fenced, following.behind()) == ("log", False, 2)
    monkeypatch.setattr(MemorySalvage, "keep", keep)
    await first.store.restart_epoch()
    assert (following.fenced, following.behind()) == (True, 2)
    await first.upload()
    new = await Machine(bucket, "c").started()
    assert await new.users_of() == await first.users_of()
    await handed_out(first.store)
    assert {user for _, user in await joined(first.store)} >= set(theirs)


async def test_a_cloud_that_was_not_compared_when_the_leader_broke_is_compared_with_who_is_left(
    monkeypatch: pytest.MonkeyPatch,
):
    bucket = MemoryBucket()
    first, _ = await gone_on_apart(bucket)
    following, log = first.store.following, first.log
    assert following is not None
    frames_after = log.frames_after

    def fails(gsn: int) -> AsyncIterator[Frame]:
        log.go_away(StorageError("the disk is gone"))
        return frames_after(gsn)

    monkeypatch.setattr(log, "frames_after", fails)
    report = await first.store.restart_epoch()
    assert [bool(layer.error) for layer in report.layers] == [True, False, False]
    assert (following.fenced, following.behind()) == (True, 2)
    await first.upload()
    new = await Machine(bucket, "c").started()
    assert await new.users_of() == await first.users_of()


async def test_what_a_folder_acknowledged_while_others_had_the_cloud_is_salvaged_once():
    bucket = MemoryBucket()
    first = await Machine(bucket, "a").started()
    await first.join()
    await first.upload()
    first.process()
    first.cut_off()
    await first.started()
    await first.join(count=4)
    mine = await first.users_of()
    other = await Machine(bucket, "b").started()
    await other.join(RED)
    await other.upload()
    first.process()
    first.connect()
    await first.started()
    assert len(first.store.salvage.pending()) == 1, "log and database had the same branch"
    await handed_out(first.store)
    assert sorted(user for _, user in await joined(first.store)) == sorted({*mine, *await other.users_of()})
    await first.upload()
    new = await Machine(bucket, "b").started()
    assert await joined(new.store) == await joined(first.store)


async def test_another_bots_cloud_is_refused_and_not_touched():
    bucket = MemoryBucket()
    first = await Machine(bucket, "a").started()
    await first.join()
    await first.upload()
    second = await Machine(MemoryBucket(), "b").started()
    await second.join()
    second.objects = MemoryObjects(bucket)
    second.process()
    before = dict(bucket.objects)
    with pytest.raises(WrongHistory):
        await second.store.start()
    assert bucket.objects == before


async def test_another_bots_cloud_in_the_place_of_ones_own_ends_no_process_that_is_at_work():
    theirs, bucket = MemoryBucket(), MemoryBucket()
    other = await Machine(theirs, "a").started()
    await other.join()
    await other.upload()
    mine = await Machine(bucket, "b").started()
    await mine.join()
    await mine.upload()
    bucket.roll_back(theirs)
    await mine.store.restart_epoch()
    (cloud,) = (each for each in mine.store.health() if each.name == "cloud")
    assert "the cloud holds" in cloud.error
    await mine.join()
    assert len(await mine.users_of()) == 2
    assert bucket.objects == theirs.objects


async def test_a_cloud_that_was_rolled_back_is_brought_up_to_date():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join()
    await machine.upload()
    yesterday = bucket.copy()
    await machine.join(count=2)
    await machine.upload()
    bucket.roll_back(yesterday)
    machine.process()
    await machine.started()
    await machine.upload()
    new = await Machine(bucket, "b").started()
    assert await new.users_of() == await machine.users_of()
    assert len(await new.users_of()) == 3


async def test_a_guild_that_no_near_layer_can_give_whole_is_read_from_the_cloud():
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    await machine.join(count=5)
    await machine.upload()
    for layer in (machine.log, machine.database):
        layer.flip(3, 10)
    assert len(await machine.users_of()) == 5
