"""The layers as one: acknowledging, failing, catching up, recovering. Log on a simulated disk, database in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import pytest

from ledger.errors import Corrupt, DiskFull, Fenced, NewerFormat, NotConfirmed, StorageError, WrongHistory
from ledger.ids import GuildId
from persistence.branches import Fork, fork_of, part
from persistence.formats import RELEASE
from persistence.frames import Frame
from persistence.holes import fill_seat
from persistence.layer import Layer, LayerSummary, Place, guild_frames
from persistence.leading import leader_of
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.recovery import rejoin
from persistence.sealed import seal_line
from persistence.seats import Seat
from persistence.store import Appended, Store
from persistence.terms import Unread
from tests.memory.layer import MemoryLayer
from tests.memory.salvage import MemorySalvage
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, joins
from tests.persistence.simdisk import SimDisk

DATA = Path("data")


class World:
    """A store over a log on a simulated disk and a database in memory, and what it has acknowledged."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.log: Layer = MemoryLayer("log")
        self.database = MemoryLayer("database")
        self.seqs: dict[GuildId, int] = {}
        self.number = 0
        self.store = self.process()

    def process(self) -> Store:
        """A fresh process over the same data."""
        self.log = LocalLayer(self.disk, DATA, inline)
        self.store = store_of([self.log, self.database], TestClock(), TestRandomness())
        return self.store

    async def join(self, guild: GuildId, count: int = 1) -> Appended:
        base = self.seqs.get(guild, 0)
        append = joins(guild, base, *range(self.number + 1, self.number + count + 1))
        self.number += count
        (result,) = await self.store.append([append])
        assert isinstance(result, Appended)
        self.seqs[guild] = base + count
        return result

    async def everything_is_there(self) -> None:
        for guild, seq in self.seqs.items():
            opened = await self.store.open_guild(guild)
            assert [record.seq for record in opened.tail()] == list(range(1, seq + 1))

    def damage_log(self, damage: bytes) -> None:
        """Overwrites the middle of the log's largest file."""
        folder = DATA / "log"
        path = max((folder / name for name in self.disk.names(folder)), key=lambda path: len(self.disk.read(path)))
        data = self.disk.read(path)
        middle = len(data) // 2
        self.disk.overwrite(path, data[:middle] + damage + data[middle + len(damage) :])

    def wipe_log(self) -> None:
        for name in self.disk.names(DATA / "log"):
            self.disk.remove(DATA / "log" / name)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.store.start()
    return world


async def test_an_append_is_durable_in_every_layer(world: World):
    result = await world.join(RED, 3)
    assert result.durable_in == {"log", "database"}
    assert [(record.gsn, record.seq, record.last) for record in result.records] == [(1, 1, 3), (2, 2, 3), (3, 3, 3)]
    assert result.head.seq == 3


class SlowLog(MemoryLayer):
    """Its appends wait until they may go on."""

    def __init__(self) -> None:
        super().__init__("log")
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def append(self, frames: Sequence[Frame]) -> None:
        self.asked.set()
        await self.may.wait()
        await super().append(frames)


async def test_the_database_gets_a_batch_when_the_log_has_it():
    log, database = SlowLog(), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    appending = asyncio.ensure_future(store.append([joins(RED, 0, 1)]))
    await log.asked.wait()
    assert not await guild_frames(database, RED, 0)
    log.may.set()
    (result,) = await appending
    assert isinstance(result, Appended)
    assert result.durable_in == {"log", "database"}


async def test_two_appends_of_a_guild_in_one_batch_stand_on_each_other(world: World):
    first, second, stale = await world.store.append([joins(RED, 0, 1), joins(RED, 1, 2, 3), joins(RED, 1, 4)])
    assert isinstance(first, Appended)
    assert isinstance(second, Appended)
    assert isinstance(stale, Fenced)
    assert second.head.seq == 3


async def test_a_fenced_append_leaves_no_trace(world: World):
    (refused,) = await world.store.append([joins(RED, 7, 1)])
    assert isinstance(refused, Fenced)
    assert (await world.store.open_guild(RED)).head is None
    assert (await world.join(RED)).records[0].gsn == 1


async def test_each_start_takes_a_higher_epoch_and_keeps_the_lineage(world: World):
    first = await world.process().start()
    second = await world.process().start()
    assert second.epoch == first.epoch + 1
    assert second.lineage == first.lineage


async def test_a_database_that_fails_is_caught_up_with_the_identical_bytes(world: World):
    await world.join(RED)
    world.database.go_away(StorageError("locked"))
    assert (await world.join(RED)).durable_in == {"log"}
    assert [health.healthy for health in world.store.health()] == [True, False]
    assert not await world.store.catch_up()
    world.database.come_back()
    assert await world.store.catch_up()
    assert (await world.join(RED)).durable_in == {"log", "database"}
    here = [frame.data async for frame in world.log.frames_after(0)]
    assert [frame.data async for frame in world.database.frames_after(0)] == here


async def test_a_log_that_fails_is_refilled_from_the_database(world: World):
    await world.join(RED)
    world.disk.before = _failing(DiskFull)
    assert (await world.join(RED)).durable_in == {"database"}
    assert not await world.store.catch_up()
    world.disk.before = _nothing
    assert await world.store.catch_up()
    assert (await world.join(RED)).durable_in == {"log", "database"}
    world.database.lose(1, 9)
    await world.process().start()
    await world.everything_is_there()


@pytest.mark.parametrize("took_effect", [True, False])
async def test_an_unknown_outcome_stops_everything_until_a_new_epoch(world: World, *, took_effect: bool):
    await world.join(RED)
    world.disk.before = _failing(NotConfirmed)
    world.database.fail_next(NotConfirmed("commit"), took_effect=took_effect)
    with pytest.raises(NotConfirmed):
        await world.join(RED)
    world.disk.before = _nothing
    with pytest.raises(NotConfirmed, match="read back"):
        await world.join(RED)
    with pytest.raises(NotConfirmed):
        await world.store.open_guild(RED)
    assert not await world.store.catch_up()
    report = await world.store.restart_epoch()
    assert report.epoch == 2
    opened = await world.store.open_guild(RED)
    assert len(opened.lines) == (2 if took_effect else 1)
    world.seqs[RED] = len(opened.lines)
    assert (await world.join(RED)).durable_in == {"log", "database"}


async def test_a_known_refusal_of_all_layers_is_forgotten(world: World):
    await world.join(RED)
    world.disk.before = _failing(DiskFull)
    world.database.go_away(DiskFull("full"))
    with pytest.raises(DiskFull):
        await world.join(RED)
    with pytest.raises(StorageError, match="no layer"):
        await world.join(RED)
    world.disk.before = _nothing
    world.database.come_back()
    assert await world.store.catch_up()
    assert (await world.join(RED)).records[0].gsn == 2
    await world.everything_is_there()


async def test_a_layer_that_only_lags_is_not_compared_record_by_record():
    log, database = Asked("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await store.append([joins(RED, 0, 1), joins(BLUE, 0, 2)])
    database.go_away(StorageError("away"))
    await store.append([joins(RED, 1, 3), joins(BLUE, 1, 4)])
    database.come_back()
    log.asked.clear()
    assert await store.catch_up()
    assert log.asked == [2]


class Asked(MemoryLayer):
    """Knows behind which gsns it was asked for frames."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: list[int] = []

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        self.asked.append(gsn)
        async for frame in super().frames_after(gsn):
            yield frame


async def test_a_log_that_was_removed_under_our_feet_does_not_succeed(world: World):
    await world.join(RED)
    world.wipe_log()
    assert (await world.join(RED)).durable_in == {"database"}
    assert await world.store.catch_up()
    world.database.lose(1, 9)
    await world.process().start()
    await world.everything_is_there()


async def test_a_lost_log_is_refilled_from_the_database(world: World):
    await world.join(RED, 5)
    await world.join(BLUE, 2)
    world.wipe_log()
    report = await world.process().start()
    assert report.leader == "database"
    await world.everything_is_there()
    world.database.lose(1, 9)
    await world.process().start()
    await world.everything_is_there()


async def test_an_emptied_database_is_refilled_from_the_log(world: World):
    await world.join(RED, 5)
    world.database = MemoryLayer("database")
    report = await world.process().start()
    assert (report.leader, report.layers[1].fed) == ("log", 5)
    await world.everything_is_there()


async def test_a_hole_in_each_layer_is_filled_from_the_other(world: World):
    for _ in range(20):
        await world.join(RED)
        await world.join(BLUE)
    await world.store.close()
    world.damage_log(b"rotten")
    world.database.lose(3, 5)
    world.database.flip(30, 40)
    report = await world.process().start()
    assert any("put back" in note for note in report.notes)
    await world.everything_is_there()
    assert (await world.process().start()).notes == ()
    await world.everything_is_there()
    assert any("-0" in name for name in world.disk.names(DATA / "quarantine"))


async def test_what_every_layer_has_lost_is_asked_of_none(monkeypatch: pytest.MonkeyPatch):
    """A history with a hole is not read whole at each start to come."""
    layers = MemoryLayer("log"), MemoryLayer("database")
    store = store_of(layers, TestClock(), TestRandomness())
    await store.start()
    for each in (joins(RED, 0, 1), joins(BLUE, 0, 2), joins(RED, 1, 3)):
        await store.append([each])
    await store.close()
    for layer in layers:
        layer.lose(2, 2)

    def read(layer: MemoryLayer, gsn: int) -> AsyncIterator[Frame]:
        raise AssertionError(f"{layer.name} is read from {gsn} on")

    monkeypatch.setattr(MemoryLayer, "frames_after", read)
    assert (await store_of(layers, TestClock(), TestRandomness()).start()).missing == ((2, 2),)


async def test_a_hole_that_no_layer_can_fill_is_said_and_the_service_goes_on(world: World):
    for _ in range(20):
        await world.join(RED)
    await world.join(BLUE)
    await world.store.close()
    world.damage_log(b"rotten")
    (gsn,) = [gsn for gsn in range(1, 22) if await _lacks(world, gsn)]
    world.database.lose(gsn, gsn)
    report = await world.process().start()
    assert any("is in no layer" in note for note in report.notes)
    assert not any("put back" in note for note in report.notes)
    assert dict(report.aside) == {RED: 20 - gsn}, "what lies behind the hole stands on no chain"
    opened = await world.store.open_guild(RED)
    assert [record.seq for record in opened.tail()] == list(range(1, gsn))
    assert (await world.store.open_guild(BLUE)).head is not None
    world.seqs[RED] = gsn - 1
    await world.join(RED)
    await world.process().start()
    await world.everything_is_there()


async def test_a_checkpoint_bridges_a_hole(world: World):
    for _ in range(20):
        result = await world.join(RED)
    await world.store.save_checkpoint(RED, result.head, (b"{}",))
    await world.join(RED)
    await world.store.close()
    world.damage_log(b"rotten")
    (gsn,) = [gsn for gsn in range(1, 22) if await _lacks(world, gsn)]
    world.database.lose(gsn, gsn)
    await world.process().start()
    opened = await world.store.open_guild(RED)
    assert opened.checkpoint is not None
    assert [record.seq for record in opened.tail()] == [21]


async def test_a_hole_that_a_checkpoint_bridged_is_filled_and_no_branch_was_lost(world: World):
    for _ in range(20):
        result = await world.join(RED)
    await world.store.save_checkpoint(RED, result.head, (b"{}",))
    await world.store.close()
    world.damage_log(b"rotten")
    world.database.go_away(StorageError("away"))
    await world.process().start()
    await world.store.open_guild(RED)
    await world.join(RED)
    world.database.come_back()
    report = await world.process().start()
    assert any("put back" in note for note in report.notes)
    assert not [note for note in report.notes if "LOST BRANCH" in note]
    assert world.store.salvage.pending() == ()
    assert [frame.record.seq for frame in await guild_frames(world.log, RED, 0)] == list(range(1, 22))


async def test_a_checkpoint_stands_for_records_that_are_gone(world: World):
    result = await world.join(RED, 4)
    await world.store.save_checkpoint(RED, result.head, (b"{}",))
    await world.store.close()
    world.wipe_log()
    world.database = MemoryLayer("database")
    await world.process().start()
    opened = await world.store.open_guild(RED)
    assert opened.head == result.head
    assert "HOLE" in opened.notes[0]
    assert (await world.join(RED)).records[0].gsn == result.head.gsn + 1
    await world.process().start()
    opened = await world.store.open_guild(RED)
    assert [record.seq for record in opened.tail()] == [5]


async def test_of_two_branches_the_higher_epoch_wins_and_the_other_is_kept(world: World):
    await world.join(RED)
    stale_disk = world.disk.crashed(Random(1))
    await world.join(RED)  # both layers have it; the log is about to be replaced by an old copy of itself
    world.disk = stale_disk
    alone = store_of([LocalLayer(world.disk, DATA, inline)], TestClock(), TestRandomness())
    await alone.start()
    (kept,) = await alone.append([joins(RED, 1, 99)])
    assert isinstance(kept, Appended)
    await alone.close()
    report = await world.process().start()
    assert any("LOST BRANCH" in note for note in report.notes)
    opened = await world.store.open_guild(RED)
    assert [record.key for record in opened.tail()] == ["join/1/1", "join/99/99"]
    assert len(world.database.quarantine) == 1


async def test_a_frame_of_which_only_the_checksum_rots_is_mended_before_anything_stands_behind_it(world: World):
    """Its guild is back at once, by the chain; who reads the log anew goes by checksums, and would leave it out."""
    await world.store.start()
    for _ in range(3):
        await world.join(RED)
    folder = DATA / "log"
    (path,) = [folder / name for name in world.disk.names(folder) if b'"seq":2,' in world.disk.read(folder / name)]
    data = bytearray(world.disk.read(path))
    data[data.index(b'"}\n', data.index(b'"seq":2,')) - 1] ^= 1
    world.disk.overwrite(path, bytes(data))
    opened = await world.store.open_guild(RED)
    assert [record.seq for record in opened.tail()] == [1, 2, 3]
    await world.store.vet(RED, opened)
    (log, _) = world.store.health()
    assert (log.name, log.healthy, log.error) == ("log", False, "log, guild 1001: checksum differs")
    assert await world.store.catch_up()
    await world.join(RED)
    await world.process().start()
    await world.everything_is_there()


async def parted() -> tuple[MemoryLayer, MemoryLayer]:
    """Two layers that share three records; behind them each has two of its own."""
    layers, shared = (MemoryLayer("one"), MemoryLayer("other")), Chain()
    frames = [shared.batch(RED) for _ in range(3)]
    for epoch, layer in enumerate(layers, start=1):
        chain = Chain(epoch)
        chain.gsn, chain.heads = shared.gsn, dict(shared.heads)
        await layer.open()
        await layer.begin(epoch, "lineage")
        for batch in (*frames, chain.batch(RED), chain.batch(RED)):
            await layer.append(batch)
    return layers


@pytest.mark.parametrize("holed", [0, 1])
async def test_where_two_layers_part_is_found_behind_a_hole_in_either(holed: int):
    layers = await parted()
    layers[holed].lose(2, 2)
    fork = await fork_of(*map(Seat, layers))
    assert fork is not None
    assert (fork.whole, fork.same) == (3, 3)


async def test_nothing_is_set_aside_for_a_leader_that_fails():
    seats = [Seat(layer) for layer in await parted()]
    seats[1].trouble = StorageError("gone")
    assert await part(*seats, Fork(3, 3), MemorySalvage()) == []
    assert [frame.record.gsn async for frame in seats[0].layer.frames_after(0)] == [1, 2, 3, 4, 5]


async def test_a_hole_is_filled_from_another_layer_up_to_where_they_part():
    layers = await parted()
    for gsn in (2, 4):
        layers[0].lose(gsn, gsn)
    seats = [Seat(layer) for layer in layers]
    for seat in seats:
        await seat.open()
    await fill_seat(seats[0], seats[1:], MemorySalvage())
    assert sorted(layers[0]._frames) == [1, 2, 3, 5]


async def test_a_guild_opens_from_its_newest_checkpoint_and_the_tail(world: World):
    result = await world.join(RED, 3)
    await world.store.save_checkpoint(RED, result.head, (b"one", b"two"))
    await world.join(RED, 2)
    opened = await world.store.open_guild(RED)
    assert opened.checkpoint is not None
    assert opened.checkpoint.pages == (b"one", b"two")
    assert ([record.seq for record in opened.tail()], opened.layer, opened.notes) == ([4, 5], "log", ())


async def test_a_layer_that_was_away_at_start_joins_later(world: World):
    await world.join(RED)
    world.database.go_away(StorageError("away"))
    report = await world.process().start()
    assert report.layers[1].error == "away"
    await world.join(RED)
    world.database.come_back()
    assert await world.store.catch_up()
    await world.everything_is_there()


async def test_the_leader_is_the_layer_that_won_when_the_process_started():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    log.go_away(StorageError("away"))
    await store.append([joins(RED, 0, 1)])
    log.come_back()
    assert (await store.restart_epoch()).leader == "database"
    assert store.leader == "log"


async def test_without_any_layer_there_is_no_start(world: World):
    world.database.go_away(StorageError("away"))
    world.disk.before = _failing(StorageError)
    store = store_of([world.database], TestClock(), TestRandomness())
    with pytest.raises(StorageError, match="no layer can be used: database: away"):
        await store.start()


async def test_a_newer_release_is_refused_before_anything_is_touched(world: World):
    await world.join(RED)
    path = DATA / "log" / "0000000001.jsonl"
    world.disk.overwrite(path, _newer(world.disk.read(path)))
    before = world.disk.operations
    with pytest.raises(NewerFormat, match=r"a later release, inviteledger 9\.1\.0: format 2"):
        await world.process().start()
    assert world.disk.operations == before


async def test_a_guild_without_a_whole_chain_is_named(world: World):
    await world.join(RED, 3)
    store = world.store
    for seat in store._seats:
        seat.summary.heads.get(RED)
    world.database.lose(2, 2)
    world.wipe_log()
    with pytest.raises((Corrupt, StorageError), match=RED):
        await store.open_guild(RED)


async def _lacks(world: World, gsn: int) -> bool:
    log = LocalLayer(world.disk, DATA, inline)
    summary = await log.open()
    await log.close()
    return any(first <= gsn <= last for first, last in summary.missing)


def _newer(data: bytes) -> bytes:
    line, _, rest = data.partition(b"\n")
    header = line[: line.index(b',"crc"')].replace(b'"format":1', b'"format":2')
    return seal_line(header.replace(RELEASE.encode(), b"9.1.0") + b"}") + rest


def _failing(error: type[StorageError]):
    def before(number: int, what: str) -> None:
        if what not in {"cut", "remove"}:  # these free space
            raise error(f"{what} {number}")

    return before


def _nothing(number: int, what: str) -> None:
    del number, what


async def test_nothing_is_read_written_or_opened_before_the_layers_were_read(world: World):
    store = world.process()
    for attempt in (
        lambda: store.append([joins(RED, 0, 1)]),
        lambda: store.open_guild(RED),
        lambda: store.read(lambda lists: lists.names(RED, ())),
        lambda: store.look_into("log", lambda seat: seat.layer.checkpoint(RED, (1, 1))),
    ):
        with pytest.raises(NotConfirmed):
            await attempt()
    assert store.is_in_doubt()
    await store.start()
    assert not store.is_in_doubt()
    await store.close()
    assert store.is_in_doubt()


async def test_a_layers_health_says_how_far_it_is_behind_and_since_when(world: World):
    await world.join(RED)
    world.database.go_away(DiskFull("full"))
    await world.join(RED, 2)
    log, database = world.store.health()
    assert (log.name, log.healthy, log.behind, log.error) == ("log", True, 0, "")
    assert (database.healthy, database.gsn, database.behind, database.error) == (False, 1, 2, "full")


async def test_a_checkpoint_that_no_layer_takes_is_an_error_and_one_that_one_takes_is_told_layer_by_layer(
    world: World,
):
    result = await world.join(RED)
    world.database.go_away(DiskFull("full"))
    told = await world.store.save_checkpoint(RED, result.head, (b"{}",), read_back=True)
    assert told == {"log": "", "database": "full"}
    world.store = store_of([world.database], TestClock(), TestRandomness())
    world.database.come_back()
    await world.store.start()
    world.database.go_away(DiskFull("full"))
    with pytest.raises(StorageError, match="no layer can be used: database: full"):
        await world.store.save_checkpoint(RED, result.head, (b"{}",))


async def test_a_start_says_what_each_layer_had_and_was_given(world: World):
    await world.join(RED, 3)
    await world.join(BLUE)
    world.database = MemoryLayer("database")
    report = await world.process().start()
    assert [(layer.name, layer.gsn, layer.guilds, layer.fed, layer.error) for layer in report.layers] == [
        ("log", 4, 2, 0, ""),
        ("database", 4, 2, 4, ""),
    ]
    assert report.notes == ("database ended at gsn 0 and got 4 records from log",)
    assert report.leader == "log"
    assert set(world.store.guilds()) == {RED, BLUE}


async def test_a_layer_that_came_back_with_more_than_this_process_wrote_puts_everything_in_doubt(world: World):
    await world.join(RED)
    world.database.go_away(DiskFull("full"))
    await world.join(RED)
    other = store_of([world.database], TestClock(), TestRandomness())
    world.database.come_back()
    await other.start()
    assert not await world.store.catch_up()
    assert world.store.is_in_doubt(), "its epoch is above ours"


async def test_what_was_acknowledged_beside_a_layer_that_could_not_be_read_is_newer_than_what_lies_there():
    """The life before went on in that layer alone, in terms that this one cannot know of."""
    log, database = MemoryLayer("log"), MemoryLayer("database")

    def life() -> Store:
        return store_of([log, database], TestClock(), TestRandomness())

    first = life()
    await first.start()
    await first.append([joins(RED, 0, 1)])
    log.go_away(DiskFull("full"))
    for _ in range(3):
        await first.restart_epoch()
    await first.append([joins(RED, 1, 2, 3, 4)])
    log.come_back()
    database.go_away(StorageError("away"))
    second = life()
    await second.start()
    (acknowledged,) = await second.append([joins(RED, 1, 9)])
    assert isinstance(acknowledged, Appended)
    database.come_back()
    third = life()
    assert (await third.start()).leader == "log"
    assert tuple((await third.open_guild(RED)).tail())[1:] == acknowledged.records


async def strange_database() -> MemoryLayer:
    """Another bot's, or this one's before `restore --at`."""
    strangers = World()
    strangers.store = store_of([strangers.database], TestClock(), TestRandomness(100))
    await strangers.store.start()
    await strangers.join(BLUE)
    return strangers.database


async def test_a_layer_of_another_history_is_refused_and_nothing_is_touched(world: World):
    await world.join(RED, 2)
    world.database = await strange_database()
    before = [[frame.data async for frame in layer.frames_after(0)] for layer in (world.log, world.database)]
    with pytest.raises(WrongHistory, match=r"log holds .* and the database holds"):
        await world.process().start()
    assert [[frame.data async for frame in layer.frames_after(0)] for layer in (world.log, world.database)] == before
    assert world.database.quarantine == []


async def test_one_that_is_put_in_a_layers_place_meanwhile_is_broken_and_left_as_it_is(world: World):
    await world.join(RED, 2)
    vars(world.database).update(vars(await strange_database()))
    before = [frame.data async for frame in world.database.frames_after(0)]
    await world.store.restart_epoch()
    assert not await world.store.catch_up()
    (health,) = (each for each in world.store.health() if each.name == "database")
    assert "the database holds the history" in health.error
    await world.database.open()
    assert [frame.data async for frame in world.database.frames_after(0)] == before
    assert world.store.guilds() == (RED,)


class Shy(MemoryLayer):
    """Has no room for its first term."""

    tries = 0

    async def begin(self, epoch: int, lineage: str) -> None:
        self.tries += 1
        if self.tries == 1:
            raise StorageError("no room")
        await super().begin(epoch, lineage)


async def test_a_start_that_is_tried_again_goes_on_with_the_history_that_it_had_begun():
    """The log failed as it was begun, the database was away when it was tried again, and came back."""
    log, database = Shy("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    database.go_away(StorageError("away"))
    await store.restart_epoch()
    database.come_back()
    await store_of([log, database], TestClock(), TestRandomness(100)).start()


async def test_an_epoch_that_was_taken_in_vain_is_not_gone_on_in_where_another_process_has_recorded_in_it():
    log = Shy("log")
    with pytest.raises(StorageError, match="no room"):
        await store_of([log], TestClock(), TestRandomness()).start()
    await store_of([log], TestClock(), TestRandomness()).start()
    log.tries = 0
    store = store_of([log], TestClock(), TestRandomness())
    with pytest.raises(StorageError, match="no room"):
        await store.start()
    other = store_of([log], TestClock(), TestRandomness())
    await other.start()
    await other.append([joins(RED, 0, 1)])
    assert (await store.start()).epoch == other.epoch + 1


@pytest.mark.parametrize("unread", ["log", "database"])
async def test_no_history_begins_beside_a_layer_that_cannot_be_read(unread: str):
    layers = {name: MemoryLayer(name) for name in ("log", "database")}
    store = store_of([*layers.values()], TestClock(), TestRandomness())
    layers[unread].go_away(StorageError("no permission"))
    with pytest.raises(Unread, match=f"{unread}: no permission"):
        await store.start()
    layers[unread].come_back()
    assert (await store.start()).epoch == 1, "nothing was begun"


async def test_a_layer_that_cannot_be_read_holds_up_no_history_that_another_remembers(world: World):
    await world.join(RED, 2)
    log = MemoryLayer("log")
    log.go_away(StorageError("no permission"))
    assert (await store_of([log, world.database], TestClock(), TestRandomness()).start()).leader == "database"


async def test_no_history_begins_beside_a_layer_that_an_earlier_try_could_read_and_this_one_cannot():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    await store_of([log, database], TestClock(), TestRandomness()).start()
    empty = MemoryLayer("log")
    empty.go_away(StorageError("busy"))
    store = store_of([empty, database], TestClock(), TestRandomness(100), named=frozenset({"log"}))
    with pytest.raises(StorageError, match="busy"):
        await store.start()
    empty.come_back()
    database.go_away(StorageError("no permission"))
    with pytest.raises(Unread, match="database: no permission"):
        await store.start()


async def test_no_history_begins_beside_one_that_cannot_be_read_where_the_log_has_lost_its_own(world: World):
    """Its file's head has rotted: it has records, and nobody knows of which history."""
    await world.join(RED, 2)
    path = next(DATA / "log" / name for name in world.disk.names(DATA / "log"))
    data = world.disk.read(path)
    world.disk.overwrite(path, data[:20] + b"#" + data[21:])
    world.database.go_away(StorageError("no permission"))
    with pytest.raises(Unread, match="database: no permission"):
        await world.process().start()
    world.database.come_back()
    assert (await world.process().start()).epoch > 1
    await world.everything_is_there()


async def test_a_layer_that_was_brought_back_knows_the_epoch_though_nothing_was_written_in_it(world: World):
    world.database.go_away(DiskFull("full"))
    epoch = (await world.process().start()).epoch
    world.database.come_back()
    assert await world.store.catch_up()
    alone = store_of([world.database], TestClock(), TestRandomness())
    assert (await alone.start()).epoch == epoch + 1


async def test_a_layer_that_comes_back_when_no_other_works_is_compared_with_what_was_believed():
    """It knows a guild that the one which was read before had lost: nothing is given that guild's numbers again."""
    log, database = MemoryLayer("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await store.append([joins(RED, 0, 1)])
    await store.append([joins(BLUE, 0, 2)])
    database.lose(1, 1)
    log.go_away(StorageError("away"))
    store = store_of([log, database], TestClock(), TestRandomness())
    assert (await store.start()).missing == ((1, 1),)
    database.go_away(StorageError("away"))
    with pytest.raises(StorageError):
        await store.append([joins(BLUE, 1, 3)])
    log.come_back()
    await store.catch_up()
    assert store.is_in_doubt()
    await store.restart_epoch()
    assert store.head_of(RED).seq == 1


@pytest.mark.parametrize("salvageable", [True, False])
async def test_a_process_goes_on_from_a_layer_that_comes_back_with_less_than_it_acknowledged(*, salvageable: bool):
    """Its epoch is higher, and what the others have in place of that is kept for its facts."""
    log, database, salvage = MemoryLayer("log"), MemoryLayer("database"), MemorySalvage()
    await store_of([log, database], TestClock(), TestRandomness()).start()
    log.go_away(StorageError("away"))
    for _ in range(2):
        store = store_of([log, database], TestClock(), TestRandomness(), salvage=salvage)
        await store.start()
    await store.append([joins(RED, 0, 1)])
    log.come_back()
    database.go_away(StorageError("away"))
    store = store_of([log, database], TestClock(), TestRandomness(), salvage=salvage)
    await store.start()
    await store.append([joins(RED, 0, 2, 3)])
    database.come_back()
    assert not await store.catch_up()
    if not salvageable:
        log.go_away(StorageError("away"))
        with pytest.raises(StorageError, match="ends at gsn 1"):
            await store.restart_epoch()
        return
    await store.restart_epoch()
    assert store.head_of(RED).seq == 1
    (lot,) = salvage.pending()
    kept = [record.key async for piece in salvage.pieces(lot) for record in piece.records]
    assert kept == ["join/2/2", "join/3/3"]


class Forgetful(MemoryLayer):
    """Takes checkpoints and has none when it is asked."""

    async def checkpoint(self, guild: GuildId, place: Place) -> None:  # noqa: ARG002 -- the layer's
        return None


async def test_a_checkpoint_that_does_not_read_back_breaks_its_layer():
    world = World()
    world.database = Forgetful("database")
    await world.process().start()
    result = await world.join(RED)
    assert set((await world.store.save_checkpoint(RED, result.head, (b"{}",))).values()) == {""}
    told = await world.store.save_checkpoint(RED, result.head, (b"{}",), read_back=True)
    assert told["log"] == ""
    assert "does not read back" in told["database"]


async def test_a_layer_whose_outcome_is_unknown_stops_nothing_while_another_took_the_batch(world: World):
    world.database.fail_next(NotConfirmed("commit"), took_effect=False)
    result = await world.join(RED)
    assert result.durable_in == {"log"}
    assert not world.store.is_in_doubt()
    assert (await world.join(RED)).durable_in == {"log"}


async def test_what_every_layer_refused_for_sure_is_refused_and_the_next_batch_goes_on():
    layers = [MemoryLayer("one"), MemoryLayer("two")]
    store = store_of(layers, TestClock(), TestRandomness())
    await store.start()
    for layer in layers:
        layer.fail_next(DiskFull("full"), took_effect=False)
    with pytest.raises(DiskFull):
        await store.append([joins(RED, 0, 1)])
    assert not store.is_in_doubt()


async def test_of_two_branches_that_differ_from_the_first_record_on_the_whole_lower_one_is_set_aside():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    await store_of([log, database], TestClock(), TestRandomness()).start()
    for layer, number in ((database, 1), (log, 2)):
        alone = store_of([layer], TestClock(), TestRandomness())
        for _ in range(number):
            await alone.restart_epoch()
        await alone.append([joins(RED, 0, number), joins(RED, 1, 10 + number)])
    store = store_of([log, database], TestClock(), TestRandomness())
    report = await store.start()
    assert len([note for note in report.notes if "LOST BRANCH" in note]) == 1
    opened = await store.open_guild(RED)
    assert [record.key for record in opened.tail()] == ["join/2/2", "join/12/12"]
    assert [frame.data async for frame in database.frames_after(0)] == [
        frame.data async for frame in log.frames_after(0)
    ]


class FailsOnce(MemoryLayer):
    """Fails at one call, counted from ``rehearse`` on; ``calls``: so many came."""

    calls = 0
    fails_at = 0

    def rehearse(self, fails_at: int) -> None:
        self.calls, self.fails_at = 0, fails_at

    def _answer(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            self._open = False
            raise StorageError("busy")
        super()._answer()


async def _with_a_hole() -> tuple[FailsOnce, FailsOnce]:
    """A log with checkpoints behind a hole, and a database that has nothing."""
    log, database = FailsOnce("log"), FailsOnce("database")
    store = store_of([log], TestClock(), TestRandomness())
    await store.start()
    for guild in (RED, BLUE):
        (result,) = await store.append([joins(guild, 0, int(guild), int(guild) + 5)])
        assert isinstance(result, Appended)
        await store.save_checkpoint(guild, result.head, (b"{}",))
    log.lose(1, 1)
    return log, database


async def _with_two_branches() -> tuple[FailsOnce, FailsOnce]:
    """Two layers that differ in every guild from the first record on."""
    log, database = FailsOnce("log"), FailsOnce("database")
    await store_of([log, database], TestClock(), TestRandomness()).start()
    for layer, number in ((database, 1), (log, 2)):
        alone = store_of([layer], TestClock(), TestRandomness())
        for _ in range(number):
            await alone.restart_epoch()
        for guild in (RED, BLUE):
            await alone.append([joins(guild, 0, int(guild) + number), joins(guild, 1, int(guild) + 10 + number)])
    return log, database


@pytest.mark.parametrize("world_of", [_with_a_hole, _with_two_branches])
@pytest.mark.parametrize("failing", ["log", "database"])
async def test_a_layer_that_fails_anywhere_in_a_recovery_is_asked_nothing_more(
    world_of: Callable[[], Awaitable[tuple[FailsOnce, FailsOnce]]], failing: str
):
    for fails_at in count(1):
        log, database = await world_of()
        layer = log if failing == "log" else database
        layer.rehearse(fails_at)
        store = store_of([log, database], TestClock(), TestRandomness())
        with suppress(StorageError):
            await store.start()
        if layer.calls < fails_at:
            break
        while not await store.catch_up():
            with suppress(StorageError):
                await store.restart_epoch()
        assert log._frames == database._frames
    assert fails_at >= 5


class Watched(MemoryLayer):
    """Knows that it was closed since it was opened."""

    closed = False

    async def open(self) -> LayerSummary:
        self.closed = False
        return await super().open()

    async def close(self) -> None:
        await super().close()
        self.closed = True


async def test_closing_the_store_closes_every_layer():
    layers = [Watched("one"), Watched("two")]
    store = store_of(layers, TestClock(), TestRandomness())
    await store.start()
    await store.close()
    await store.close()
    assert [layer.closed for layer in layers] == [True, True]


class Skipping(MemoryLayer):
    """Leaves a record out, and does not notice."""

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return [line for line in await super().guild_lines(guild, after_seq) if b'"seq":2,' not in line]


async def test_a_chain_with_a_hole_is_not_given_out_as_a_guild():
    store = store_of([Skipping("one")], TestClock(), TestRandomness())
    await store.start()
    for number in range(3):
        await store.append([joins(RED, number, number + 1)])
    with pytest.raises(Corrupt):
        await store.open_guild(RED)


async def test_two_holes_of_a_layer_are_both_filled(world: World):
    for _ in range(6):
        await world.join(RED)
    there = [frame.data async for frame in world.database.frames_after(0)]
    for gsn in (2, 5):
        world.database.lose(gsn, gsn)
    await world.process().start()
    assert [frame.data async for frame in world.database.frames_after(0)] == there


@pytest.mark.parametrize(
    ("failing", "leads"), [("log", "database"), ("database", "log"), ("cloud", "log"), ("", "log")]
)
async def test_a_layer_that_fails_while_branches_are_compared_does_not_decide_who_leads(failing: str, leads: str):
    near = [FailsOnce("log"), FailsOnce("database")]
    cloud = FailsOnce("cloud")
    store = store_of(near, TestClock(), TestRandomness())
    await store.start()
    for number in range(3):
        await store.append([joins(RED, number, number + 1)])
        if number == 1:
            cloud._frames = dict(near[0]._frames)
    seats = [*(Seat(layer) for layer in near), Seat(cloud, trails=True)]
    for seat in seats:
        await seat.open()
    for layer in (*near, cloud):
        if layer.name == failing:
            layer.rehearse(fails_at=1)
    leader = await leader_of(seats)
    assert leader is not None
    assert leader.name == leads


async def test_a_start_waits_for_a_layer_that_had_to_hold_what_was_acknowledged():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness(), named=frozenset({"log"}))
    await store.start()
    database.go_away(StorageError("busy"))
    await store.append([joins(RED, 0, 1, 2)])
    database.come_back()
    log.go_away(StorageError("the disk is full"))
    later = store_of([log, database], TestClock(), TestRandomness(), named=frozenset({"log"}))
    with pytest.raises(StorageError, match="the disk is full"):
        await later.start()
    log.come_back()
    await later.start()
    assert later.head_of(RED).seq == 2


async def test_a_layer_that_fails_once_as_it_is_opened_leads_all_the_same_where_it_has_most():
    log, database = MemoryLayer("log"), FailsOnce("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    log.go_away(StorageError("busy"))
    await store.append([joins(RED, 0, 1)])
    log.come_back()
    database.rehearse(fails_at=1)
    later = store_of([log, database], TestClock(), TestRandomness())
    assert (await later.start()).leader == "database"
    assert later.head_of(RED).seq == 1


async def test_a_layer_that_breaks_while_it_is_fed_is_known_to_hold_what_it_took():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    alone = store_of([log], TestClock(), TestRandomness())
    await alone.start()
    await alone.append([joins(RED, 0, 1, 2)])
    database.fail_next(DiskFull("full"), took_effect=False)
    store = store_of([log, database], TestClock(), TestRandomness())
    report = await store.start()
    assert [(each.name, each.gsn, each.fed, each.error) for each in report.layers] == [
        ("log", 2, 0, ""),
        ("database", 0, 0, "full"),
    ]
    assert [(each.name, each.behind) for each in store.health()] == [("log", 0), ("database", 2)]


async def test_records_behind_a_hole_count_where_a_checkpoint_of_another_layer_than_the_leader_bridges_it():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    for number in range(3):
        await store.append([joins(RED, number, number + 1)])
    await store.append([joins(BLUE, 0, 9)])
    await store.save_checkpoint(RED, store.head_of(RED), (b"{}",))
    log._checkpoints.clear()
    for layer in (log, database):
        layer.lose(2, 2)
    report = await store_of([log, database], TestClock(), TestRandomness()).start()
    assert (report.leader, report.missing) == ("log", ((2, 2),))
    assert report.aside == {}


async def test_a_hole_that_no_layer_can_fill_does_not_end_the_epoch_when_a_layer_comes_back():
    log, database = MemoryLayer("log"), MemoryLayer("database")
    store = store_of([log, database], TestClock(), TestRandomness())
    await store.start()
    await store.append([joins(RED, 0, 1), joins(BLUE, 0, 2)])
    for layer in (log, database):
        layer.lose(1, 1)
    assert (await store.restart_epoch()).missing == ((1, 1),)
    database.go_away(StorageError("busy"))
    await store.append([joins(BLUE, 1, 3)])
    database.come_back()
    assert await store.catch_up()


async def _apart(*numbers: Sequence[int]) -> list[Seat]:
    """Layers of one epoch, each with joins of its own."""
    seats = [Seat(MemoryLayer(name)) for name in ("log", "database")]
    for seat, mine in zip(seats, numbers, strict=True):
        store = store_of([seat.layer], TestClock(), TestRandomness())
        await store.start()
        for seq, number in enumerate(mine):
            await store.append([joins(RED, seq, number)])
        await seat.open()
    return seats


async def test_of_two_branches_nearby_with_one_epoch_the_longer_one_leads():
    log, database = await _apart((1,), (2, 3))
    assert await leader_of((log, database)) is database


async def test_a_layer_that_refuses_its_term_keeps_its_branch_until_it_takes_one():
    log, database = await _apart((1, 2), (3,))

    async def refuse(*_: object) -> None:
        raise StorageError("read-only")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database.layer, "begin", refuse)
        await database.begin(2, "lineage")
    salvage = MemorySalvage()
    assert (database.healthy, database.readable) == (False, True)
    assert await rejoin(database, (log,), salvage) == []
    assert (database.gsn, salvage.pending()) == (1, ())


async def test_a_broken_layer_is_not_looked_into(world: World):
    async def query(seat: Seat) -> str:
        return seat.name

    assert await world.store.look_into("database", query) == "database"
    world.database.go_away(StorageError("busy"))
    await world.join(RED)
    with pytest.raises(StorageError, match="cannot be read now: busy"):
        await world.store.look_into("database", query)
    assert await world.store.look_into("log", query) == "log"
