"""Rot, cuts and accidents of a database's files: what is believed is what was written, and another layer mends it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from ledger.errors import StorageError
from persistence.layer import all_checkpoints
from tests.persistence.making import BLUE, RED, Chain, bytes_of
from tests.persistence.rotten import Original, everything, flipped, judge, layer_in, reopened

FLIPS = 10
CUTS = 4
PAGE_BYTES = 4096


@pytest.fixture
async def original(tmp_path: Path) -> Original:
    made = Original(tmp_path)
    await made.make()
    return made


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
    assert list(await all_checkpoints(layer, RED)) == []
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
