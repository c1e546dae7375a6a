"""Starts beside others: overtaken in the middle of one; layers of one length that differ; an index that errs."""

from contextlib import suppress

import msgspec
import pytest

from ledger.errors import Stale, StorageError
from ledger.ids import GuildId
from persistence import cloud_packs, cloud_reading
from persistence.layer import LayerSummary
from persistence.leading import leader_of
from persistence.objects import Unreachable
from persistence.recovery import heal
from persistence.seats import Seat
from persistence.store import Store
from tests.memory.layer import MemoryLayer
from tests.memory.objects import Call, MemoryBucket
from tests.memory.salvage import MemorySalvage
from tests.persistence.forks import handed_out
from tests.persistence.making import BLUE, RED, Chain
from tests.persistence.test_hidden_forks import (
    acknowledged_nearby,
    back,
    everybody,
    gone_on,
    newest_segment,
    pack,
    rot,
    save_in_cloud,
)
from tests.persistence.test_store_cloud import Machine

GREEN = GuildId("1003")


class Folder(Machine):
    """Its branches that lost outlive its processes."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.salvage = MemorySalvage()
        super().__init__(bucket, writer)

    def process(self) -> Store:
        store = super().process()
        store.salvage = self.salvage
        return store


async def took_over(bucket: MemoryBucket) -> Machine:
    """Another folder's process, which records where a first one's host has died."""
    other = await Machine(bucket, "b").started()
    await other.join(RED)
    await other.upload()
    return other


@pytest.mark.parametrize("named", [{"log", "database"}, {"log", "database", "cloud"}])
async def test_who_is_overtaken_at_any_call_of_a_start_records_nothing_behind_the_other_and_starts_again(
    named: set[str], monkeypatch: pytest.MonkeyPatch
):
    """A start beats no pulse, and one that compares a long history is long: another may step in meanwhile."""
    monkeypatch.setattr(Machine, "named", frozenset(named))
    calls, _ = await overtaken_at(0)
    assert calls > 20
    for at in range(1, calls + 1):
        _, mine = await overtaken_at(at)
        assert {*await back(mine)} >= {"10001", "10002", "11001", "11002"}, at


@pytest.mark.parametrize("at", [20, 25, 30, 35])
async def test_nor_where_the_cloud_fails_behind_that_and_log_and_database_have_the_others_records_by_then(
    at: int, monkeypatch: pytest.MonkeyPatch
):
    """A longer history is not in memory: it is asked for again to be fed."""
    monkeypatch.setattr(Machine, "named", frozenset({"log", "database"}))
    monkeypatch.setattr(cloud_reading, "KEPT_BYTES", 0)
    calls, _ = await overtaken_at(at)
    for fails_at in range(at + 1, calls + 1):
        _, mine = await overtaken_at(at, fails_at)
        assert {*await back(mine)} >= {"10001", "10002", "11001", "11002"}, fails_at


async def overtaken_at(at: int, fails_at: int = 0) -> tuple[int, Machine]:
    """A start and what follows: before that call to the cloud another takes over. How many calls there were.

    ``fails_at``: from that call on there is no answer; 0 = there always is.
    """
    bucket = MemoryBucket()
    mine = await acknowledged_nearby(Folder(bucket, "a"), RED)
    other = await took_over(bucket)
    mine.process()
    calls = 0

    async def before(_call: Call) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            other.process()
            await other.started()
            await other.join(RED)
            await other.upload()
        if fails_at and calls >= fails_at:
            raise Unreachable("no answer")

    mine.objects.before = before
    with suppress(Stale, StorageError):  # a bot tries the latter again, and finds the former
        await mine.started()
        await handed_out(mine.store)
        mine.seqs[RED] = mine.store.head_of(RED).seq
        await mine.join(RED)
        await mine.upload()
    mine.connect()
    return calls, mine


async def rotten_and_bridged(bucket: MemoryBucket) -> None:
    """Three records of another guild are in no layer, for good; a checkpoint stands farther on."""
    first = await Machine(bucket, "c").started()
    await first.join(GREEN)
    await first.upload()
    await first.join(GREEN, 3)
    await first.upload()
    rotten = newest_segment(bucket)
    await first.join(GREEN)
    await first.upload()
    await save_in_cloud(first, GREEN)
    await first.store.close()
    rot(bucket, rotten)


@pytest.mark.parametrize("bridged", [False, True])
async def test_layers_of_one_length_of_which_one_lacks_a_guild_are_not_equal(
    monkeypatch: pytest.MonkeyPatch, *, bridged: bool
):
    """What took its place stands before the end of both, and no head of the shorter one tells of it.

    ``bridged``: nor does the number of its records, for a chain counts some that are missing.
    """
    monkeypatch.setattr(Machine, "named", frozenset({"log", "database", "cloud"}))
    bucket = MemoryBucket()
    if bridged:
        await rotten_and_bridged(bucket)
    mine = await acknowledged_nearby(Machine(bucket, "a"), RED)
    other, rotten = await gone_on(bucket)
    await other.store.close()
    rot(bucket, rotten)
    mine.connect()
    mine.process()
    await mine.started()  # puts its own record into the hole, and is killed before it gives the cloud anything
    users = [] if not bridged else [str(user) for user in range(12_001, 12_006)]
    assert await back(other) == ["10001", "10002", "11001", "11002", *users]
    other.seqs = {guild: other.store.head_of(guild).seq for guild in other.store.guilds()}
    for _ in range(3):
        await other.join(BLUE)
        await other.upload()
    users = ["10001", "10002", *(str(user) for user in range(11_001, 11_006)), *users]
    assert await back(Machine(bucket, "z")) == users


async def test_what_an_index_tells_of_and_nobody_can_read_is_found_by_whoever_compares(
    monkeypatch: pytest.MonkeyPatch,
):
    """The folder that comes back has a record of its own in that very place."""
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 2)
    bucket = MemoryBucket()
    mine = await acknowledged_nearby(Machine(bucket, "a"), RED)
    other, rotten = await gone_on(bucket)
    await pack(other)
    await other.store.close()
    rot(bucket, rotten, *(key for key in bucket.objects if key.startswith("pack/")))
    mine.connect()
    assert await back(mine) == ["10001", "10002", "11002"], "and each guild can be opened"
    assert all(layer.error == "" for layer in mine.store.health())
    for each in (other, mine, Machine(bucket, "z")):
        users = await back(each)
    assert users == await everybody(mine) == ["10001", "10002", "11001", "11002"]


class Indexed(MemoryLayer):
    """Its first look is at an index, which tells of a record that nobody can read any more."""

    looks = 0

    async def open(self) -> LayerSummary:
        self.looks += 1
        if self.looks == 1:
            return msgspec.structs.replace(await super().open(), aside={BLUE: 1})
        self.lose(2, 2)
        return await super().open()


async def test_what_is_found_to_be_missing_while_a_leader_is_looked_for_is_put_back():
    log, cloud, frames = MemoryLayer("log"), Indexed("cloud"), Chain().batch(RED, RED, RED)
    for layer in (log, cloud):
        await MemoryLayer.open(layer)
        await layer.begin(1, "lineage")
        await layer.append(frames)
    seats = [Seat(log), Seat(cloud, trails=True, promised=True)]
    for seat in seats:
        await seat.open()
    leader = await leader_of(seats)
    assert leader is seats[0]
    assert cloud.looks == 2
    await heal(seats, leader, MemorySalvage())
    assert cloud._frames == log._frames
