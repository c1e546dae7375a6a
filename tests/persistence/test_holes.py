"""A hole that nobody could fill for a while: what was acknowledged stands once, whoever is away, whatever rots."""

import sqlite3
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.errors import Corrupt, DiskFull, LayerRefused, StorageError
from ledger.ids import GuildId
from persistence.disk import RealDisk
from persistence.layer import LayerSummary
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.proofs import Walk
from persistence.salvage import FileSalvage
from persistence.sqlite import SqliteLayer
from persistence.store import Store
from tests.memory.layer import MemoryLayer
from tests.memory.objects import MemoryBucket
from tests.memory.store import store_of
from tests.persistence.forks import DATA, handed_out, nothing_fails
from tests.persistence.holes import BEFORE, GOING_ON, RECORDS, Hole, Joining, come_back, cut_through, rot, through
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness
from tests.persistence.simdisk import SimDisk
from tests.persistence.test_store import FailsOnce
from tests.persistence.test_store_cloud import Machine


@pytest.mark.parametrize("in_the_same_life", [True, False])
@pytest.mark.parametrize("guilds", GOING_ON, ids=len)
@pytest.mark.parametrize("gsn", range(1, RECORDS + 1))
async def test_what_rots_in_the_log_while_the_database_is_away_comes_back_with_it(
    gsn: int, guilds: tuple[GuildId, ...], *, in_the_same_life: bool
):
    await through([gsn], guilds, in_the_same_life=in_the_same_life)


@given(
    gsns=st.sets(st.integers(1, RECORDS), min_size=1),
    guilds=st.lists(st.sampled_from([RED, BLUE]), max_size=6),
    in_the_same_life=st.booleans(),
)
async def test_whatever_rots_in_the_log_and_whoever_goes_on(
    gsns: set[int], guilds: list[GuildId], *, in_the_same_life: bool
):
    await through(sorted(gsns), guilds, in_the_same_life=in_the_same_life)


@given(
    rotten=st.sampled_from([0, 1]),
    gsns=st.sets(st.integers(1, RECORDS), min_size=1),
    lives=st.lists(st.lists(st.sampled_from([RED, BLUE]), max_size=3), min_size=1, max_size=3),
    in_the_same_life=st.booleans(),
)
@example(rotten=0, gsns={RECORDS}, lives=[[RED]], in_the_same_life=False)  # half of the newest append
async def test_either_layer_may_rot_while_the_other_is_away_for_several_lives(
    rotten: int, gsns: set[int], lives: list[list[GuildId]], *, in_the_same_life: bool
):
    layers, joining = (MemoryLayer("log"), MemoryLayer("database")), Joining()
    store = store_of(layers, TestClock(), TestRandomness())
    await store.start()
    for guild, size in BEFORE:
        await joining.join(store, guild, size)
    for gsn in gsns:
        layers[rotten].lose(gsn, gsn)
    salvage = store.salvage
    layers[1 - rotten].go_away(StorageError("away"))
    for life in lives:
        store = store_of(layers, TestClock(), TestRandomness(), salvage=salvage)
        await store.start()
        for guild in life:
            await joining.join(store, guild)
    layers[1 - rotten].come_back()
    if not in_the_same_life:
        store = store_of(layers, TestClock(), TestRandomness(), salvage=salvage)
        await store.start()
    await come_back(store)
    await handed_out(store)
    await joining.judge(store)
    again = store_of(layers, TestClock(), TestRandomness(), salvage=salvage)
    await again.start()
    await joining.judge(again)


@pytest.mark.parametrize("in_the_same_life", [True, False])
async def test_what_the_log_alone_has_behind_the_hole_is_recorded_anew_too(*, in_the_same_life: bool):
    hole = Hole()
    await hole.begin()
    hole.database.go_away(StorageError("away"))
    alone = hole.process()
    await alone.start()
    for guild in (RED, BLUE, RED):
        await hole.joining.join(alone, guild)
    await alone.close()
    hole.rot(2)
    store = await hole.go_on([RED])
    await hole.judge(await hole.heal(store, in_the_same_life=in_the_same_life))


@pytest.mark.parametrize("in_the_same_life", [True, False])
async def test_records_that_a_checkpoint_stood_for_are_a_hole_for_the_other_guilds(*, in_the_same_life: bool):
    log, database, joining = MemoryLayer("log"), MemoryLayer("database"), Joining()
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    for guild in (RED, BLUE, BLUE, RED):
        await joining.join(store, guild)
    await store.save_checkpoint(RED, store.head_of(RED), (b"{}",))
    log.lose(3, 4)
    database.go_away(StorageError("away"))
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    assert (await store.open_guild(RED)).head == store.head_of(RED)
    await joining.join(store, BLUE)
    database.come_back()
    if not in_the_same_life:
        store = store_of([log, database], TestClock(), TestRandomness())
        await store.start()
    await come_back(store)
    await handed_out(store)
    log._checkpoints.clear()  # so that all is read record by record
    database._checkpoints.clear()
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await joining.judge(store)


async def test_a_hole_whose_branch_cannot_be_kept_stays_a_hole_until_it_can():
    hole = Hole()
    await hole.begin()
    hole.rot(2)
    store = await hole.go_on([RED])
    await store.close()
    hole.database.come_back()

    def full(number: int, what: str) -> None:
        del number
        if what == "make_folder":
            raise DiskFull("full")

    hole.disk.before = full
    store = hole.process()
    with pytest.raises(StorageError, match="failed just now"):
        await store.start()
    hole.disk.before = nothing_fails
    await hole.judge(await hole.heal(store, in_the_same_life=False))


@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
async def test_the_power_is_cut_at_every_disk_operation_of_the_way_back_twice_in_a_row(luck: float):
    operation = 1
    while await cut_through(2, (RED, BLUE), operation, luck):
        operation += 1
    assert operation > 20


async def beginning(log: MemoryLayer, database: MemoryLayer) -> tuple[Joining, Store]:
    """The log has a hole, the database is away, and a guild goes on."""
    joining = Joining()
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    for guild, size in BEFORE:
        await joining.join(store, guild, size)
    log.lose(2, 2)
    database.go_away(StorageError("away"))
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await joining.join(store, RED)
    database.come_back()
    return joining, store


@pytest.mark.parametrize("failing", ["log", "database"])
async def test_a_layer_may_fail_at_every_call_of_the_way_back(failing: str):
    for fails_at in count(1):
        log, database = FailsOnce("log"), FailsOnce("database")
        joining, store = await beginning(log, database)
        layer = log if failing == "log" else database
        layer.rehearse(fails_at)
        while not await store.catch_up() or store.salvage.pending():
            with suppress(StorageError):
                await (store.restart_epoch() if store.is_in_doubt() else handed_out(store))
        calls = layer.calls
        await store.restart_epoch()
        await joining.judge(store)
        if calls < fails_at:
            break
    assert fails_at > 5


class ReadOnly(MemoryLayer):
    """Cannot be written while it is ``full``."""

    is_full = False

    async def begin(self, epoch: int, lineage: str) -> None:
        if self.is_full:
            self._open = False
            raise DiskFull("full")
        await super().begin(epoch, lineage)


async def test_a_hole_that_cannot_be_filled_in_a_full_layer_costs_the_others_nothing():
    log, database = ReadOnly("log"), MemoryLayer("database")
    joining, store = await beginning(log, database)
    log.is_full = True
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await handed_out(store)
    assert [each.healthy for each in store.health()] == [False, True]
    await joining.judge(store)
    log.is_full = False
    await come_back(store)
    await handed_out(store)
    await joining.judge(store)


# Real files and SQLite


class MayBeAway(SqliteLayer):
    """A database that cannot be opened while it is away."""

    is_away = False

    async def open(self) -> LayerSummary:
        if self.is_away:
            raise LayerRefused("away")
        return await super().open()


class Folder:
    """A data folder as it is in production."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.joining = Joining()

    async def started(self, *, is_away: bool = False) -> Store:
        disk = RealDisk()
        self.database = MayBeAway(disk, self.data / "ledger.db", self.data / "quarantine")
        self.database.is_away = is_away
        layers = [LocalLayer(disk, self.data, inline), self.database]
        salvage = FileSalvage(disk, self.data, inline)
        self.store = store_of(layers, TestClock(), TestRandomness(), salvage=salvage)
        await self.store.start()
        return self.store

    def rot(self, gsn: int) -> None:
        for path in (self.data / "log").iterdir():
            lines = path.read_bytes().splitlines(keepends=True)
            marked = [b"~" + line[1:] if b'"gsn":%d,' % gsn in line else line for line in lines]
            path.write_bytes(b"".join(marked))

    def listed(self) -> int:
        with sqlite3.connect(self.data / "ledger.db") as db:
            (count,) = db.execute(
                "SELECT (SELECT count(*) FROM joins) + (SELECT count(*) FROM fresh_joins)"
            ).fetchone()
        return count


@pytest.mark.parametrize("in_the_same_life", [True, False])
@pytest.mark.parametrize("gsn", [1, 2, 4, 9])
async def test_on_real_files_the_lists_of_the_database_tell_of_everybody_once(
    tmp_path: Path, gsn: int, *, in_the_same_life: bool
):
    folder = Folder(tmp_path)
    store = await folder.started()
    for guild, size in BEFORE:
        await folder.joining.join(store, guild, size)
    await store.close()
    folder.rot(gsn)
    store = await folder.started(is_away=True)
    for guild in (RED, BLUE, RED):
        await folder.joining.join(store, guild)
    folder.database.is_away = False
    if not in_the_same_life:
        await store.close()
        store = await folder.started()
    await come_back(store)
    await handed_out(store)
    await folder.joining.judge(store)
    await store.close()
    store = await folder.started()
    await folder.joining.judge(store)
    await store.close()
    assert folder.listed() == len(folder.joining.acknowledged)


# The cloud is the one that is away


@pytest.mark.parametrize("same_life", [True, False])
@pytest.mark.parametrize("gsn", [1, 2, 3, 5])
async def test_what_only_a_cloud_that_was_away_has_comes_back_with_it(gsn: int, *, same_life: bool):
    bucket = MemoryBucket()
    machine = await Machine(bucket, "a").started()
    joining = Joining()
    for guild, size in BEFORE:
        await joining.join(machine.store, guild, size)
    await machine.upload()
    machine.cut_off()
    machine.database = MemoryLayer("database")
    machine.log.lose(gsn, gsn)
    await machine.process().start()
    for guild in (RED, BLUE):
        await joining.join(machine.store, guild)
    machine.connect()
    if same_life:  # as the uploader does
        assert machine.store.following is not None
        await machine.store.following.ask()
        await machine.store.restart_epoch()
    else:
        await machine.process().start()
    await handed_out(machine.store)
    await joining.judge(machine.store)
    await machine.upload()
    other = await Machine(bucket, "b").started()
    await joining.judge(other.store)


@pytest.mark.parametrize("before", [1, 2])
async def test_who_has_what_the_winner_lost_right_before_their_branches_part_goes_on_from_there(before: int):
    """It cannot be told whose the winner's lost record was; but the chain through it leads to the winner's newest."""
    log, database, joining = MemoryLayer("log"), MemoryLayer("database"), Joining()
    both = store_of((log, database), TestClock(), TestRandomness())
    await both.start()
    await joining.join(both, RED, before)
    for layer, lives in ((database, 1), (log, 2)):
        for _ in range(lives):
            alone = store_of((layer,), TestClock(), TestRandomness())
            await alone.start()
        await joining.join(alone, RED)
        await joining.join(alone, BLUE)
    log.lose(before, before)
    store = store_of((log, database), TestClock(), TestRandomness())
    await store.start()
    assert store.head_of(RED).seq == before + 1
    await handed_out(store)
    await joining.judge(store)


@pytest.mark.parametrize("rotten", [(1,), (2,), (3, 4), (1, 2, 3), (4, 5), (6,), (2, 5)])
async def test_a_walk_through_the_log_passes_what_is_known_to_be_missing_and_nothing_else(rotten: tuple[int, ...]):
    """Two files of three records each; the last one of a file may have rotted, and the first one of the next."""
    disk, joining = SimDisk(), Joining()
    for _ in range(2):
        store = store_of((LocalLayer(disk, DATA, inline),), TestClock(), TestRandomness())
        await store.start()
        for _ in range(3):
            await joining.join(store, RED)
        await store.close()
    lines = [frame.data async for frame in LocalLayer(disk, DATA, inline).frames_after(0)]
    rot(disk, DATA / "log", *(lines[gsn - 1] for gsn in rotten))
    store = store_of((LocalLayer(disk, DATA, inline),), TestClock(), TestRandomness())
    await store.start()
    await walked(store)
    rot(disk, DATA / "log", *(line for line in lines if lines.index(line) + 1 not in rotten))
    with pytest.raises(Corrupt):
        await walked(store)


async def walked(store: Store) -> None:
    """Once through the log."""
    walk = Walk(store.witness, 0)
    while walk.gsn < store.newest_gsn():
        await store.look_into("log", lambda seat: walk.step(seat, store.newest_gsn()))
