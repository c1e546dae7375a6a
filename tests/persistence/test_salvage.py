"""Branches that lost: kept before they are set aside, handed out by guild, done when all of it is recorded anew."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from random import Random

import msgspec
import pytest

from ledger import records as r
from ledger.errors import DiskFull, StorageError
from ledger.ids import GuildId, UserId
from persistence import salvage
from persistence.disk import RealDisk
from persistence.frames import GENESIS, Frame, seal
from persistence.offload import inline
from persistence.salvage import FileSalvage, Salvage
from tests.memory.salvage import MemorySalvage
from tests.persistence.forks import DATA, FOLDER, cut_short, forked, joined, nothing_fails, on, salvaging
from tests.persistence.making import BLUE, RED, Chain
from tests.persistence.simdisk import SimDisk


async def stream(frames: Iterable[Frame]) -> AsyncIterator[Frame]:
    for frame in frames:
        yield frame


async def held(keeper: Salvage) -> dict[GuildId, list[int]]:
    """The gsns that each guild has to take."""
    return {
        lot[1]: [record.gsn async for piece in keeper.pieces(lot) for record in piece.records]
        for lot in keeper.pending()
    }


@pytest.fixture(params=["files", "memory"])
def keeper(request: pytest.FixtureRequest) -> Salvage:
    return on(SimDisk()) if request.param == "files" else MemorySalvage()


async def test_a_branch_comes_back_guild_by_guild_and_is_kept_once(keeper: Salvage):
    frames = Chain().batch(RED, BLUE, RED)
    await keeper.open()
    await keeper.keep(stream(frames))
    await keeper.keep(stream(frames))
    assert await held(keeper) == {RED: [1, 3], BLUE: [2]}


async def test_where_one_layer_got_farther_on_a_branch_than_the_other_no_record_is_lost(keeper: Salvage):
    frames = Chain().batch(RED, BLUE, RED)
    await keeper.keep(stream(frames))
    await keeper.keep(stream(frames[:1]))
    pieces = [piece for lot in keeper.pending() async for piece in keeper.pieces(lot)]
    assert {record.gsn for piece in pieces for record in piece.records} == {1, 2, 3}


async def test_a_lot_is_done_by_itself(keeper: Salvage):
    await keeper.keep(stream(Chain().batch(RED, BLUE)))
    red, blue = sorted(keeper.pending(), key=lambda lot: lot[1])
    await keeper.finish(red)
    assert keeper.pending() == (blue,)
    await keeper.finish(blue)
    assert keeper.pending() == ()


async def test_no_branch_is_no_file(keeper: Salvage):
    await keeper.keep(stream(()))
    assert keeper.pending() == ()


def forgetting(chain: Chain, event: r.Forgetting) -> Frame:
    """A forgetting in the place of a join."""
    (frame,) = chain.append(RED)
    return seal(msgspec.structs.replace(frame.record, event=event), GENESIS)


async def test_what_the_branch_forgot_whole_is_not_handed_out_and_who_was_forgotten_is_told_with_each_piece(
    keeper: Salvage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(salvage, "PIECE_RECORDS", 1)
    chain, ben = Chain(), r.MemberForgotten(user=UserId("2"), tombstone=1)
    frames = [
        forgetting(chain, r.MemberForgotten(user=UserId("1"), tombstone=1)),
        *chain.batch(RED),
        forgetting(chain, r.GuildForgotten(until_us=1)),
        *chain.batch(RED),
        forgetting(chain, ben),
    ]
    await keeper.keep(stream(frames))
    (lot,) = keeper.pending()
    pieces = [piece async for piece in keeper.pieces(lot)]
    assert [record.gsn for piece in pieces for record in piece.records] == [3, 4, 5]
    assert {piece.forgotten for piece in pieces} == {(ben,)}


async def test_files_outlive_the_process_and_lie_in_quarantine_when_they_are_done():
    disk = SimDisk()
    await on(disk).keep(stream(Chain().batch(RED, BLUE)))
    (file,) = disk.names(FOLDER)
    again = on(disk.crashed(Random(1), luck=0.0))
    assert await again.open() == ()
    assert await held(again) == {RED: [1], BLUE: [2]}
    reader = on(disk)
    await reader.open()
    for lot in reader.pending():
        await reader.finish(lot)
    assert disk.names(FOLDER) == []
    assert [name for name in disk.names(DATA / "quarantine") if not name.endswith(".why")] == [file]


async def test_a_mend_that_was_begun_is_known_to_the_next_process_until_it_has_ended():
    disk = SimDisk()
    first = on(disk)
    await first.open()
    await first.begin_mend(7)
    await first.begin_mend(9)
    for luck in (0.0, 1.0):
        again = on(disk.crashed(Random(1), luck=luck))
        await again.open()
        assert again.mending == 7
    await first.end_mend(whole=False)
    assert first.mending == 7, "it looks again once nothing is missing"
    another = on(disk)
    await another.open()
    assert another.mending == 0
    await first.end_mend(whole=True)
    assert first.mending == 0


@pytest.mark.parametrize("damaged", [b"", b"7x", b"-7"])
async def test_a_mend_of_which_nobody_can_read_where_it_began_began_at_the_beginning(damaged: bytes):
    disk = SimDisk()
    await on(disk).begin_mend(7)
    disk.overwrite(FOLDER / "mending", damaged)
    again = on(disk)
    await again.open()
    assert again.mending == 1


async def test_a_mend_that_begins_where_an_earlier_one_could_not_be_found_does_not_take_its_place(
    monkeypatch: pytest.MonkeyPatch,
):
    disk = SimDisk()
    killed = on(disk)
    await killed.open()
    await killed.begin_mend(7)
    second = on(disk)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "names", failing)
        assert "waits for the next start" in (await second.open())[0]
    await second.begin_mend(100)
    third = on(disk)
    await third.open()
    assert 1 <= third.mending <= 7


def failing(folder: Path) -> list[str]:
    raise StorageError(f"{folder} cannot be listed")


async def test_a_line_that_cannot_be_read_is_said_and_the_rest_is_handed_out():
    disk = SimDisk()
    frames = Chain().batch(RED, RED, RED)
    await on(disk).keep(stream(frames))
    path = FOLDER / disk.names(FOLDER)[0]
    data = bytearray(disk.read(path))
    data[len(frames[0].data) + 20] ^= 1
    disk.overwrite(path, bytes(data))
    reader = on(disk)
    assert await reader.open() == (f"salvage/{path.name}: 1 records cannot be read",)
    assert await held(reader) == {RED: [1, 3]}


async def test_a_file_that_cannot_be_moved_away_keeps_no_other_branch_back():
    disk, chain = SimDisk(), Chain()
    for guild in (RED, BLUE):
        await on(disk).keep(stream(chain.batch(guild)))
    first = DATA / "salvage" / disk.names(DATA / "salvage")[0]
    disk.overwrite(first, bytes(100))

    def full(_number: int, what: str) -> None:
        if what == "open":
            raise DiskFull("quarantine/ takes nothing")

    disk.before = full
    keeper = on(disk)
    assert await keeper.open() == (f"salvage/{first.name} waits for the next start: quarantine/ takes nothing",)
    assert await held(keeper) == {BLUE: [2]}


async def test_a_folder_that_cannot_be_listed_is_said_and_holds_nobody_up(tmp_path: Path):
    place = tmp_path / "salvage"
    place.touch()
    keeper = FileSalvage(RealDisk(), tmp_path, inline)
    (said,) = await keeper.open()
    assert said == f"salvage/ waits for the next start: list {place}: Not a directory"
    assert keeper.pending() == ()
    with pytest.raises(StorageError, match="make folder"):
        await keeper.keep(stream(Chain().batch(RED)))
    place.unlink()
    await FileSalvage(RealDisk(), tmp_path, inline).keep(stream(Chain().batch(RED)))
    assert await keeper.open() == ()
    assert [guild for _, guild in keeper.pending()] == [RED]


async def test_a_long_file_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(salvage, "READ_BYTES", 100)
    monkeypatch.setattr(salvage, "PIECE_RECORDS", 2)
    disk = SimDisk()
    await on(disk).keep(stream(Chain().batch(RED, BLUE, RED, RED, RED, RED)))
    reader = on(disk)
    await reader.open()
    assert await held(reader) == {RED: [1, 3, 4, 5, 6], BLUE: [2]}


# Forks: two layers went on separately


@pytest.mark.parametrize("newer", ["log", "database"])
async def test_what_either_branch_acknowledged_is_in_the_history_once(newer: str):
    fork = await forked(newer=newer)
    store = fork.process()
    await salvaging(store)
    assert store.leader == newer
    assert sorted(await joined(store)) == sorted(fork.acknowledged)
    assert store.salvage.pending() == ()


async def test_a_branch_that_cannot_be_kept_stays_in_its_layer_which_is_broken():
    fork = await forked(newer="database")
    fork.disk.before = _no_room_for_salvage
    store = fork.process()
    await store.start()
    assert [health.healthy for health in store.health()] == [False, True]
    fork.disk.before = nothing_fails
    assert await store.catch_up()
    again = fork.process()
    await store.close()
    await salvaging(again)
    assert sorted(await joined(again)) == sorted(fork.acknowledged)


def _no_room_for_salvage(number: int, what: str) -> None:
    del number
    if what == "make_folder":
        raise DiskFull("full")


@pytest.mark.parametrize("newer", ["log", "database"])
@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
async def test_the_power_is_cut_at_every_disk_operation_of_a_salvage_twice_in_a_row(newer: str, luck: float):
    operation = 1
    while await cut_short(newer, operation, luck):
        operation += 1
    assert operation > 20
