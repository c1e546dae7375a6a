"""Rot, cuts and accidents of a database's files: what is believed is what was written, and another layer mends it."""

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from random import Random

import pytest

from ledger.errors import StorageError
from persistence.checkpoints import make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.layer import LayerSummary
from persistence.sqlite import SqliteLayer
from tests.persistence.making import BLUE, RED, Chain, bytes_of

LINEAGE = "lineage"
FLIPS = 10
CUTS = 4
PAGE_BYTES = 4096


def layer_in(folder: Path) -> SqliteLayer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")


class Original:
    """A database of five batches: closed in ``closed/``; in ``killed/`` with the last two of them in its WAL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = Chain()
        self.frames: list[Frame] = []
        self.batches: list[int] = []

    async def make(self) -> None:
        work = self.folder / "work"
        layer = layer_in(work)
        for number in range(5):
            if number in (0, 3):
                await layer.close()
                await layer.open()
                await layer.begin(number + 1, LINEAGE)
            self.frames += (batch := [*self.chain.append(RED, 7), *self.chain.batch(*[BLUE] * 14)])
            await layer.append(batch)
            self.batches.append(self.chain.gsn)
        await layer.save_checkpoint(make_checkpoint(RED, self.chain.heads[RED], LINEAGE, (b"{}" * 3000,)))
        shutil.copytree(work, self.folder / "killed")
        await layer.close()
        work.rename(self.folder / "closed")

    def damaged(self, state: str, name: str, at: int, data: bytes) -> Path:
        """A copy of ``closed`` or ``killed`` in which one file holds ``data``."""
        folder = self.folder / f"{state}-{name}-{at}"
        shutil.copytree(self.folder / state, folder)
        (folder / name).write_bytes(data)
        return folder


@pytest.fixture
async def original(tmp_path: Path) -> Original:
    made = Original(tmp_path)
    await made.make()
    return made


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


async def everything(layer: SqliteLayer) -> list[bytes]:
    async with aclosing(layer.frames_after(0)) as stream:
        return [frame.data async for frame in stream]


async def mend(layer: SqliteLayer, frames: Sequence[Frame]) -> None:
    """What the store does with a database and a healthy log."""
    summary = await layer.open()
    if summary.missing:
        summary = await layer.fill(frames)
    assert (summary.missing, summary.lineage) in (((), LINEAGE), ((), ""))
    await layer.begin(9, LINEAGE)
    rest = [frame for frame in frames if frame.record.gsn > summary.gsn]
    if rest:
        await layer.append(rest)


async def judge(folder: Path, original: Original, *, may_be_shorter: bool = False) -> bool:
    """Nothing false is believed, what is not believed is kept and said, and the log makes it whole.

    Whether something was said. ``may_be_shorter``: a file that was cut between two commits is whole as it is.
    """
    layer = layer_in(folder)
    summary = await layer.open()
    held, whole = await everything(layer), bytes_of(original.frames)
    assert set(held) <= set(whole), "what is believed is what was written"
    if held != whole and not (may_be_shorter and summary.gsn in (0, *original.batches)):
        assert summary.notes, "what is lost is said"
    if summary.notes:
        assert list((folder / "quarantine").glob("*ledger.db*")), "what is not believed is kept"
    await layer.close()
    await mend(layer, original.frames)
    assert await everything(layer) == whole
    assert len(await layer.lists.joins_page(BLUE, 0, 100)) == len(original.frames) - 5 * 7
    healed = await reopened(layer)
    assert (healed.heads, healed.notes) == (original.chain.heads, ())
    await layer.close()
    return bool(summary.notes)


async def reopened(layer: SqliteLayer) -> LayerSummary:
    await layer.close()
    return await layer.open()


@pytest.mark.parametrize(
    ("state", "name"), [("closed", "ledger.db"), ("killed", "ledger.db"), ("killed", "ledger.db-wal")]
)
async def test_a_flipped_bit_is_no_loss(original: Original, state: str, name: str):
    random = Random(f"{state} {name}")
    data = (original.folder / state / name).read_bytes()
    for at in random.sample(range(len(data)), FLIPS):
        folder = original.damaged(state, name, at, flipped(data, at, random.randrange(8)))
        await judge(folder, original)


async def test_a_flipped_bit_in_the_schema_is_no_loss(original: Original):
    """SQLite's messages quote it, decodable or not."""
    random = Random(1)
    data = (original.folder / "closed" / "ledger.db").read_bytes()
    start = data.index(b"CREATE TABLE frames")
    for at in random.sample(range(start, start + 150), FLIPS):
        assert await judge(original.damaged("closed", "ledger.db", at, flipped(data, at, 7)), original)


async def test_a_flipped_bit_in_a_frame_is_always_said(original: Original):
    random = Random(2)
    data = (original.folder / "closed" / "ledger.db").read_bytes()
    for frame in random.sample(original.frames, FLIPS):
        at = data.index(frame.data[:300]) + random.randrange(300)
        assert await judge(
            original.damaged("closed", "ledger.db", at, flipped(data, at, random.randrange(8))), original
        )


async def test_a_flipped_bit_in_a_wal_is_always_said(original: Original):
    random = Random(3)
    data = (original.folder / "killed" / "ledger.db-wal").read_bytes()
    for at in random.sample(range(len(data)), FLIPS):
        folder = original.damaged("killed", "ledger.db-wal", at, flipped(data, at, random.randrange(8)))
        assert await judge(folder, original)


@pytest.mark.parametrize(
    ("state", "name"), [("closed", "ledger.db"), ("killed", "ledger.db"), ("killed", "ledger.db-wal")]
)
async def test_a_file_that_was_cut_short_is_no_loss(original: Original, state: str, name: str):
    data = (original.folder / state / name).read_bytes()
    for at in (0, 1, PAGE_BYTES, *Random(name).sample(range(len(data)), CUTS)):
        await judge(original.damaged(state, name, at, data[:at]), original, may_be_shorter=True)


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal"])
async def test_a_file_of_garbage_is_no_loss(original: Original, name: str):
    size = (original.folder / "killed" / name).stat().st_size
    folder = original.damaged("killed", name, 0, Random(4).randbytes(size))
    await judge(folder, original, may_be_shorter=True)


async def test_a_page_of_zeros_anywhere_is_no_loss(original: Original):
    data = (original.folder / "closed" / "ledger.db").read_bytes()
    for at in Random(5).sample(range(0, len(data), PAGE_BYTES), CUTS):
        hole = data[:at] + bytes(PAGE_BYTES) + data[at + PAGE_BYTES :]
        await judge(original.damaged("closed", "ledger.db", at, hole), original, may_be_shorter=True)


async def test_a_checkpoint_that_rotted_goes_to_quarantine(original: Original):
    data = (original.folder / "closed" / "ledger.db").read_bytes()
    folder = original.damaged("closed", "ledger.db", 0, data.replace(b"{}" * 300, b"[]" * 300, 1))
    layer = layer_in(folder)
    assert (await layer.open()).notes == ()
    assert list(await layer.checkpoints(RED)) == []
    assert list((folder / "quarantine").glob("*.ckpt"))
    await layer.close()


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond this size meanwhile: its writes fail, in the middle of a commit."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("spare_bytes", [1, 5_000, 9_000, 40_000])
async def test_a_commit_that_fails_on_the_way_is_there_whole_or_not_at_all(tmp_path: Path, spare_bytes: int):
    layer, chain = layer_in(tmp_path), Chain()
    await layer.open()
    await layer.append(first := chain.batch(RED, BLUE))
    second = chain.append(RED, 100)
    with files_end_at((tmp_path / "ledger.db-wal").stat().st_size + spare_bytes), pytest.raises(StorageError):
        await layer.append(second)
    await reopened(layer)
    assert await everything(layer) in (bytes_of(first), bytes_of(first + second))
    await layer.close()
