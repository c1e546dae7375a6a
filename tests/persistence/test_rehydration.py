"""A guild read back: which checkpoint is read, whose records are believed, and what becomes of a layer that rots."""

from collections.abc import Sequence

import pytest

from ledger.errors import Corrupt, NewerFormat, StorageError
from ledger.ids import GuildId
from persistence.checkpoints import make_checkpoint
from persistence.frames import Frame
from persistence.layer import Checkpoint, Place
from persistence.rehydration import Opened, open_guild
from persistence.seats import Seat
from tests.memory.layer import MemoryLayer
from tests.persistence.making import RED, Chain, bytes_of, of_a_later_release

LINEAGE = "lineage"


class Shelf(MemoryLayer):
    """Notes which checkpoints were read, cannot read some of them, and may have other lines than it was given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.read: list[int] = []
        self.unreadable: set[int] = set()
        self.lines: Sequence[bytes] | None = None

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        self.read.append(place[1])
        return None if place[1] in self.unreadable else await super().checkpoint(guild, place)

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        return await super().guild_lines(guild, after_seq) if self.lines is None else self.lines


class Shelves:
    """Two layers with the same records, and a checkpoint at seq 1 and one at seq 2."""

    def __init__(self) -> None:
        self.log, self.database = Shelf("log"), Shelf("database")
        self.seats = [Seat(self.log), Seat(self.database)]
        self.chain = Chain()
        self.frames: list[Frame] = []

    async def fill(self, records: int = 4) -> None:
        for layer in (self.log, self.database):
            await layer.open()
            await layer.begin(1, LINEAGE)
        for number in range(1, records + 1):
            frames = self.chain.batch(RED)
            self.frames += frames
            for layer in (self.log, self.database):
                await layer.append(frames)
                if number <= 2:
                    await layer.save_checkpoint(self.checkpoint())
        for seat in self.seats:
            await seat.open()

    def checkpoint(self, lineage: str = LINEAGE) -> Checkpoint:
        return make_checkpoint(RED, self.chain.heads[RED], lineage, (b"{}",))

    async def open(self) -> Opened:
        return await open_guild(self.seats, RED, self.chain.heads[RED], LINEAGE)


@pytest.fixture
async def shelves() -> Shelves:
    shelves = Shelves()
    await shelves.fill()
    return shelves


def seqs(opened: Opened) -> list[int]:
    return [record.seq for record in opened.tail()]


def seq_of(opened: Opened) -> int:
    return 0 if opened.checkpoint is None else opened.checkpoint.header.seq


async def test_where_the_newest_checkpoint_leads_to_the_head_no_other_one_is_read(shelves: Shelves):
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened), opened.layer, opened.notes) == (2, [3, 4], "log", ())
    assert (shelves.log.read, shelves.database.read) == ([2], [])


async def test_one_that_cannot_be_read_is_read_in_the_next_layer(shelves: Shelves):
    shelves.log.unreadable = {2}
    assert seq_of(await shelves.open()) == 2
    assert (shelves.log.read, shelves.database.read) == ([2], [2])


async def test_one_that_is_written_while_an_older_one_is_read_is_read_as_well(shelves: Shelves):
    """As by a save whose caller was cut off: what it replaces is gone by then."""
    newest = shelves.checkpoint()

    class Replaced(Shelf):
        async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
            if not self.read:
                await self.save_checkpoint(newest)
            return await super().checkpoint(guild, place)

    shelves.log.__class__ = Replaced
    shelves.log.unreadable = shelves.database.unreadable = {1, 2}
    assert seq_of(await shelves.open()) == 4
    assert (shelves.log.read, shelves.database.read) == ([2, 4], [])


async def test_where_none_can_be_read_an_older_one_serves_and_then_the_beginning(shelves: Shelves):
    shelves.log.unreadable = shelves.database.unreadable = {2}
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened)) == (1, [2, 3, 4])
    shelves.log.unreadable = shelves.database.unreadable = {1, 2}
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened)) == (0, [1, 2, 3, 4])


async def test_a_layer_that_failed_is_not_asked_for_an_older_one(shelves: Shelves):
    shelves.log.go_away(StorageError("away"))
    shelves.database.unreadable = {2}
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened), opened.layer) == (1, [2, 3, 4], "database")
    assert (shelves.log.read, shelves.database.read) == ([2], [2, 1])


async def test_a_newer_checkpoint_of_the_second_layer_comes_before_an_older_one_of_the_first(shelves: Shelves):
    await shelves.database.save_checkpoint(shelves.checkpoint())
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened)) == (4, [])
    assert (shelves.log.read, shelves.database.read) == ([], [4])


async def test_one_of_another_history_is_passed_over(shelves: Shelves):
    await shelves.log.save_checkpoint(shelves.checkpoint("another"))
    assert seq_of(await shelves.open()) == 2


async def test_one_that_does_not_stand_on_the_chain_is_tried_once_and_passed_over(shelves: Shelves):
    stray = Chain()
    stray.gsn = 7
    stray.batch(RED, RED, RED)
    for layer in (shelves.log, shelves.database):
        await layer.save_checkpoint(make_checkpoint(RED, stray.heads[RED], LINEAGE, (b"{}",)))
    opened = await shelves.open()
    assert (seq_of(opened), seqs(opened)) == (2, [3, 4])
    assert opened.notes == tuple(
        f"{name} has no whole chain from the checkpoint at 3 to seq 4" for name in ("log", "database")
    )


def rotten(frames: Sequence[Frame], place: int) -> list[bytes]:
    """Their bytes; in the last frame one bit is another one."""
    *before, last = bytes_of(frames)
    data = bytearray(last)
    data[place] ^= 2
    return [*before, bytes(data)]


@pytest.mark.parametrize("place", [-95, -96, 3, 0], ids=str)
async def test_a_record_that_rots_anywhere_breaks_its_layer_and_the_next_one_serves(shelves: Shelves, place: int):
    shelves.log.lines = rotten(shelves.frames[2:], place)
    opened = await shelves.open()
    assert (seqs(opened), opened.layer) == ([3, 4], "database")
    log, database = shelves.seats
    assert isinstance(log.trouble, Corrupt)
    assert "log, guild 1001: checksum differs" in str(log.trouble)
    assert database.healthy


@pytest.mark.parametrize("place", [-1, -10, -18, -19, -50, -84, -94], ids=str)
async def test_where_only_a_frames_own_digest_or_checksum_rots_the_record_is_what_the_chain_says(
    shelves: Shelves, place: int
):
    shelves.log.lines = rotten(shelves.frames[2:], place)
    opened = await shelves.open()
    assert list(opened.tail()) == [frame.record for frame in shelves.frames[2:]]
    assert (opened.layer, all(seat.healthy for seat in shelves.seats)) == ("log", True)


@pytest.mark.parametrize("held", [[2], [3], [3, 2], [2, 2, 3], []], ids=str)
async def test_whole_frames_that_do_not_lead_to_the_head_are_passed_over_and_nothing_is_broken(
    shelves: Shelves, held: list[int]
):
    shelves.log.lines = bytes_of([shelves.frames[at] for at in held])
    opened = await shelves.open()
    assert (seqs(opened), opened.layer) == ([3, 4], "database")
    assert opened.notes == ("log has no whole chain from the checkpoint at 2 to seq 4",)
    assert all(seat.healthy for seat in shelves.seats)


async def test_a_record_of_a_later_release_is_refused_when_it_is_taken():
    shelves = Shelves()
    await shelves.fill(records=0)
    later = of_a_later_release(shelves.chain.batch(RED)[0])
    head = shelves.chain.heads[RED]
    shelves.log.lines = [later.data]
    shelves.chain.heads[RED] = type(head)(seq=1, epoch=1, gsn=1, digest=later.digest)
    opened = await shelves.open()
    with pytest.raises(NewerFormat, match="a kind unknown here"):
        list(opened.tail())
