"""What a rewrite keeps of a damaged database: all that was verified, holes where rows were bad, no half append."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from persistence.chains import head_of
from persistence.checkpoints import make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.sqlite import SqliteLayer
from tests.persistence.making import BLUE, RED, Chain, bytes_of


class Damaged:
    """A closed database of two guilds, which ends with an append of five records."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.quarantine = folder / "quarantine"
        self.chain = Chain()
        self.frames: list[Frame] = [*self.chain.batch(RED, BLUE, RED, BLUE), *self.chain.append(RED, 5)]
        self.layer = SqliteLayer(RealDisk(), self.path, self.quarantine)

    def flip(self, frame: Frame) -> None:
        data = self.path.read_bytes()
        at = data.index(frame.data) + 30
        self.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute(sql)

    def kept(self) -> list[str]:
        return sorted(file.name for file in self.quarantine.iterdir())


@pytest.fixture
async def damaged(tmp_path: Path) -> AsyncIterator[Damaged]:
    made = Damaged(tmp_path)
    await made.layer.open()
    await made.layer.begin(1, "lineage")
    await made.layer.append(made.frames)
    await made.layer.close()
    yield made
    await made.layer.close()


async def everything(layer: SqliteLayer) -> list[bytes]:
    return [frame.data async for frame in layer.frames_after(0)]


async def test_a_bad_row_costs_one_hole_and_all_others_are_still_served(damaged: Damaged):
    damaged.flip(damaged.frames[1])
    summary = await damaged.layer.open()
    assert (summary.gsn, summary.missing, summary.lineage) == (9, ((2, 2),), "lineage")
    assert await everything(damaged.layer) == bytes_of([damaged.frames[0], *damaged.frames[2:]])
    assert summary.heads == {RED: damaged.chain.heads[RED]}, "the chain of the other guild has no beginning"
    assert damaged.kept() == ["1-ledger.db", "1-ledger.db.why"]
    summary = await damaged.layer.fill([damaged.frames[1]])
    assert (summary.heads, summary.missing) == (damaged.chain.heads, ())
    assert len(await damaged.layer.lists.joins_page(BLUE, 0, 10)) == 2


async def test_an_index_that_names_a_checkpoint_which_is_not_there_costs_no_record(damaged: Damaged):
    await damaged.layer.open()
    heads = (head_of(damaged.frames[0]), damaged.chain.heads[RED], damaged.chain.heads[BLUE])
    for guild, head in zip((RED, RED, BLUE), heads, strict=True):
        await damaged.layer.save_checkpoint(make_checkpoint(guild, head, "lineage", (b"{}",)))
    await damaged.layer.close()
    with closing(sqlite3.connect(damaged.path)) as other:
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'checkpoints'"
        ((root,),) = other.execute(query).fetchall()
    data = bytearray(damaged.path.read_bytes())
    begin = (root - 1) * 4096
    at = data.rindex(int(RED).to_bytes(2, "big"), begin, begin + 4096)  # the first one stands last
    data[at] ^= 0x40  # by its key it comes last now, and it stands first
    damaged.path.write_bytes(data)
    assert (await damaged.layer.open()).gsn == 9
    assert await everything(damaged.layer) == bytes_of(damaged.frames)
    assert damaged.layer.checkpoint_places(BLUE) == ((1, heads[-1].seq),)


async def test_of_the_last_append_nothing_is_kept_when_its_end_is_bad(damaged: Damaged):
    """Else the log would give only the record that is missing, which is no append."""
    damaged.flip(damaged.frames[-1])
    summary = await damaged.layer.open()
    assert (summary.gsn, summary.missing) == (4, ())
    assert await everything(damaged.layer) == bytes_of(damaged.frames[:4])
    await damaged.layer.append(damaged.frames[4:])
    await damaged.layer.close()
    summary = await damaged.layer.open()
    assert (summary.heads, summary.notes) == (damaged.chain.heads, ())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE migrations SET number = 66 WHERE number = 3",
        "UPDATE migrations SET name = 'flesh' WHERE name = 'fresh'",
        "DELETE FROM migrations WHERE number = 1",
        "DROP VIEW attributions",
        "DROP TABLE joins",
        "DROP TABLE names",
    ],
)
async def test_a_damaged_schema_is_not_taken_for_a_later_release(damaged: Damaged, damage: str):
    damaged.change(damage)
    summary = await damaged.layer.open()
    assert (summary.heads, summary.epoch, summary.lineage) == (damaged.chain.heads, 1, "lineage")
    assert summary.notes
    assert len(await damaged.layer.lists.joins_page(RED, 0, 100)) == 7
    assert damaged.kept() == ["1-ledger.db", "1-ledger.db.why"]
