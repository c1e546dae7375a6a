"""Branches that lost: kept before they are set aside, handed out by guild, done when all of it is recorded anew."""

from collections.abc import AsyncIterator, Callable, Iterable
from copy import deepcopy
from itertools import count
from pathlib import Path
from random import Random

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.decide import decide
from ledger.errors import DiskFull
from ledger.evolve import evolve
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.state import GuildState
from persistence import salvage
from persistence.frames import GENESIS, Frame, seal
from persistence.local import LocalLayer
from persistence.memory import MemoryLayer
from persistence.numbering import Append
from persistence.offload import inline
from persistence.salvage import FileSalvage, MemorySalvage, Salvage
from persistence.store import Appended, Store
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, joins
from tests.persistence.simdisk import PowerCut, SimDisk

DATA = Path("data")
FOLDER = DATA / "salvage"


async def stream(frames: Iterable[Frame]) -> AsyncIterator[Frame]:
    for frame in frames:
        yield frame


def on(disk: SimDisk) -> FileSalvage:
    return FileSalvage(disk, DATA, inline)


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


async def test_a_long_file_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(salvage, "READ_BYTES", 100)
    monkeypatch.setattr(salvage, "PIECE_RECORDS", 2)
    disk = SimDisk()
    await on(disk).keep(stream(Chain().batch(RED, BLUE, RED, RED, RED, RED)))
    reader = on(disk)
    await reader.open()
    assert await held(reader) == {RED: [1, 3, 4, 5, 6], BLUE: [2]}


# Forks: two layers went on separately


class Fork:
    """A log on a simulated disk and a database in memory that share three joins, and have one or two of their own."""

    def __init__(self, disk: SimDisk, database: MemoryLayer) -> None:
        self.disk = disk
        self.database = database
        self.acknowledged: set[tuple[GuildId, UserId]] = set()

    def process(self) -> Store:
        layers = [LocalLayer(self.disk, DATA, inline), self.database]
        return Store(layers, TestClock(), TestRandomness(), salvage=on(self.disk))

    async def join(self, store: Store, guild: GuildId, base: int, *numbers: int) -> None:
        (result,) = await store.append([joins(guild, base, *numbers)])
        assert isinstance(result, Appended)
        self.acknowledged |= {(guild, UserId(str(number))) for number in numbers}

    def copied(self) -> "Fork":
        copy = Fork(self.disk.crashed(Random(1), luck=1.0), deepcopy(self.database))
        copy.acknowledged = set(self.acknowledged)
        return copy


async def forked(*, newer: str) -> Fork:
    """``newer``: the layer whose own branch has the higher epoch."""
    fork = Fork(SimDisk(), MemoryLayer("database"))
    both = fork.process()
    await both.start()
    await fork.join(both, RED, 0, 1, 2)
    await fork.join(both, BLUE, 0, 3)
    await both.close()
    own = {"log": LocalLayer(fork.disk, DATA, inline), "database": fork.database}
    for number, (name, layer) in enumerate(own.items()):
        for life in range(2 if name == newer else 1):
            alone = Store([layer], TestClock(), TestRandomness())
            await alone.start()
            if life == 0:
                await fork.join(alone, RED, 2, 10 + number, 20 + number)
            else:
                await fork.join(alone, RED, 4, 30)
        await fork.join(alone, BLUE, 1, 40 + number)
        await alone.close()
    return fork


async def salvaging(store: Store) -> None:
    """What the guilds' actors do, one after the other and without tasks."""
    await store.start()
    for lot in store.salvage.pending():
        async for piece in store.salvage.pieces(lot):
            opened = await store.open_guild(lot[1])
            state = GuildState(guild=lot[1])
            for record in opened.tail:
                state = evolve(state, record)
            message = m.Salvage(branch=lot[0], records=piece.records, forgotten=piece.forgotten, at_us=1)
            drafts = decide(state, m.Presence(phase=Phase.REHYDRATING), message).drafts
            if drafts:
                await store.append([Append(guild=lot[1], base_seq=state.seq, drafts=drafts)])
        await store.salvage.finish(lot)


async def joined(store: Store) -> list[tuple[GuildId, UserId]]:
    found: list[tuple[GuildId, UserId]] = []
    for guild in store.guilds():
        opened = await store.open_guild(guild)
        found += [(guild, each.event.user) for each in opened.tail if isinstance(each.event, r.JoinRecorded)]
    return found


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
    fork.disk.before = _nothing
    assert await store.catch_up()
    again = fork.process()
    await store.close()
    await salvaging(again)
    assert sorted(await joined(again)) == sorted(fork.acknowledged)


def _no_room_for_salvage(number: int, what: str) -> None:
    del number
    if what == "make_folder":
        raise DiskFull("full")


def _nothing(number: int, what: str) -> None:
    del number, what


def cut_at(operation: int) -> Callable[[int, str], None]:
    def cut(number: int, what: str) -> None:
        if number == operation:
            raise PowerCut(what)

    return cut


@pytest.mark.parametrize("newer", ["log", "database"])
@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
async def test_the_power_is_cut_at_every_disk_operation_of_a_salvage_twice_in_a_row(newer: str, luck: float):
    whole = await forked(newer=newer)
    for operation in count(1):
        fork = whole.copied()
        fork.disk.before = cut_at(operation)
        try:
            await salvaging(fork.process())
        except PowerCut:
            fork.disk = fork.disk.crashed(Random(operation), luck)
        else:
            break
        fork.disk.before = cut_at(operation // 2)
        try:
            await salvaging(fork.process())
        except PowerCut:
            fork.disk = fork.disk.crashed(Random(-operation), luck)
        fork.disk.before = _nothing
        last = fork.process()
        await salvaging(last)
        assert sorted(await joined(last)) == sorted(fork.acknowledged), f"cut before operation {operation}"
        assert not [name for name in fork.disk.names(FOLDER) if name.endswith(".jsonl")]
    assert operation > 20
