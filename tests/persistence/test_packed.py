"""Packed lines: what comes out is what went in, a damaged block is noticed and costs itself alone."""

import io
from random import Random

import pytest
import zstandard

from persistence import packed
from persistence.packed import Block, address, blocks, pack, split

LINES = [Random(number).randbytes(number * 37 % 300).hex().encode() + b"\n" for number in range(60)]
DATA = b"".join(LINES)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "BLOCK_BYTES", 2_000)


def unpacked(data: bytes) -> list[bytes | None]:
    return [block.lines for block in blocks(data)]


def test_blocks_hold_whole_lines_and_end_where_the_next_one_begins():
    data = pack(DATA)
    found = list(blocks(data))
    assert len(found) > 5
    assert b"".join(block.lines or b"" for block in found) == DATA
    assert all((block.lines or b"").endswith(b"\n") for block in found)
    assert [0, *(block.end for block in found)] == [*(block.offset for block in found), len(data)]


def test_any_tool_that_reads_zstd_reads_them():
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(pack(DATA)), read_across_frames=True)
    assert reader.read() == DATA


def test_nothing_is_no_block_and_a_line_is_longer_than_a_block_may_be():
    assert pack(b"") == b""
    assert unpacked(pack(b"a" * 9_000 + b"\n" + b"b\n")) == [b"a" * 9_000 + b"\n", b"b\n"]


def test_every_flipped_bit_is_noticed_and_costs_its_block_alone():
    data = pack(DATA)
    whole = unpacked(data)
    for at in range(len(data)):
        flipped = unpacked(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        assert flipped.count(None) == 1, f"byte {at}"
        hurt = flipped.index(None)
        assert flipped == [*whole[:hurt], None, *whole[hurt + 1 :]]


def test_every_truncation_leaves_the_blocks_before_it():
    data = pack(DATA)
    ends = [block.end for block in blocks(data)]
    for size in range(len(data)):
        left = unpacked(data[:size])
        cut = size not in (0, *ends)
        assert left == unpacked(data)[: len(left) - cut] + [None] * cut


def test_garbage_is_one_damaged_block():
    assert list(blocks(b"garbage")) == [Block(0, None, 7)]


@pytest.mark.parametrize(("block", "within"), [(0, 0), (16 << 20, 65_535), (3 << 30, 70_000_000)])
def test_an_address_tells_block_and_byte(block: int, within: int):
    assert split(address(block, within)) == (block, within)
    assert address(block, within) < 1 << 64, "the index keeps it in so many bits"


def test_zeros_that_a_disk_left_from_anywhere_on_are_damage():
    data = pack(DATA)
    for size in range(len(data.rstrip(b"\0"))):
        ends = [block.end for block in blocks(data) if block.end <= size]
        left = unpacked(data[:size] + bytes(len(data) - size))
        assert left == [*unpacked(data)[: len(ends)], None]
