"""What every layer keeps (``persistence/layer.py``): the same sentences for the real ones and the one in memory."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from ledger.errors import NewerFormat
from persistence import cloud, log, sqlite_database
from persistence.chains import head_of
from persistence.checkpoints import make_checkpoint, pack, unpack
from persistence.frames import GENESIS, Frame, seal
from persistence.layer import Layer, LayerSummary, all_checkpoints, guild_frames
from tests.persistence.layers import FACTORIES, IN_OBJECT_ALONE
from tests.persistence.making import BLUE, RED, Chain, bytes_of, of_a_later_release


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
async def layer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Layer]:
    make: Callable[[Path], Layer] = request.param
    layer = make(tmp_path / "log")
    await layer.open()
    await layer.begin(1, "lineage")
    yield layer
    await layer.close()


@pytest.fixture
async def another(layer: Layer, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Layer]:
    """What another process makes of the same data, not opened yet."""
    make: Callable[[Path], Layer] = request.node.callspec.params["layer"]
    another = layer if make in IN_OBJECT_ALONE else make(tmp_path / "log")
    yield another
    await another.close()


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file that holds records; SQLite's own two come and go with a connection."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix[:4] != ".db-"}


async def everything(layer: Layer) -> list[Frame]:
    return [frame async for frame in layer.frames_after(0)]


async def reopen(layer: Layer, epoch: int = 2) -> None:
    await layer.close()
    await layer.open()
    await layer.begin(epoch, "lineage")


async def test_a_fresh_layer_knows_nothing(layer: Layer):
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.heads, summary.notes, summary.missing) == (0, {}, (), ())


async def test_a_term_is_durable_before_the_first_append(layer: Layer):
    await layer.begin(7, "lineage")
    await layer.close()
    summary = await layer.open()
    assert (summary.epoch, summary.lineage) == (7, "lineage")


def test_a_checkpoint_of_a_later_release_is_refused_by_its_name():
    whole = make_checkpoint(RED, head_of(Chain().append(RED)[0]), "lineage", (b"{}",))
    header = msgspec.structs.replace(whole.header, format=2, release="9.1.0")
    with pytest.raises(NewerFormat, match=r"a later release, inviteledger 9\.1\.0: format 2"):
        unpack(pack(msgspec.structs.replace(whole, header=header)), "RED")


@pytest.fixture
def of_release_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is begun from now on is of release 9.1.0."""
    for module in (log, sqlite_database, cloud):
        monkeypatch.setattr(module, "RELEASE", "9.1.0")


@pytest.mark.usefixtures("of_release_9")
async def test_a_record_of_a_later_release_is_refused_by_its_name_and_nothing_is_touched(
    layer: Layer, another: Layer, tmp_path: Path
):
    await reopen(layer)
    await layer.append([of_a_later_release(Chain().append(RED)[0])])
    await layer.close()
    before = contents(tmp_path)
    with pytest.raises(NewerFormat, match="join_imagined") as refusal:
        await another.open()
    await another.close()
    assert refusal.value.release == ("" if another is layer else "9.1.0")
    assert contents(tmp_path) == before


async def test_what_was_appended_comes_back_byte_for_byte(layer: Layer):
    chain = Chain()
    frames = chain.batch(RED, BLUE, RED) + chain.append(BLUE, 3)
    await layer.append(frames[:2])
    await layer.append(frames[2:])
    assert bytes_of(await everything(layer)) == bytes_of(frames)
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.heads, summary.missing) == (chain.gsn, chain.heads, ())
    assert bytes_of(await everything(layer)) == bytes_of(frames)


async def test_appends_go_on_after_each_reopening(layer: Layer):
    chain = Chain()
    for epoch in range(2, 6):
        await layer.append(chain.batch(RED, BLUE))
        await reopen(layer, epoch)
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.heads, summary.notes) == (chain.gsn, chain.heads, ())


async def test_a_guilds_frames_are_its_own_and_in_order(layer: Layer):
    chain = Chain()
    frames = chain.batch(RED, BLUE, RED, BLUE, RED)
    await layer.append(frames)
    found = await guild_frames(layer, RED, 1)
    assert [frame.record.seq for frame in found] == [2, 3]
    assert bytes_of(found) == bytes_of([frames[2], frames[4]])
    assert [*await guild_frames(layer, RED, 3), *await guild_frames(layer, BLUE, 9)] == []


async def test_frames_after_a_gsn_are_all_that_follow(layer: Layer):
    frames = Chain().batch(RED, BLUE, RED, BLUE)
    await layer.append(frames)
    assert bytes_of([frame async for frame in layer.frames_after(2)]) == bytes_of(frames[2:])
    assert [frame async for frame in layer.frames_after(4)] == []


async def test_a_guilds_frames_come_back_after_a_reopening(layer: Layer):
    frames = Chain().batch(RED, BLUE, RED)
    await layer.append(frames)
    await reopen(layer)
    assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of([frames[0], frames[2]])


async def test_a_hole_that_no_layer_could_fill_is_carried_over_as_a_hole(layer: Layer):
    chain = Chain()
    frames = chain.batch(RED, BLUE, RED, BLUE)
    await layer.append([frames[0], *frames[2:]])
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.missing) == (4, ((2, 2),))
    assert summary.heads == {RED: chain.heads[RED]}, "a chain with a hole ends before it"
    assert summary.aside == {BLUE: 1}, "and what is behind it stands on none"


async def with_hole(layer: Layer, frames: list[Frame], first: int, last: int, checkpoint: int) -> LayerSummary:
    """The layer with these frames but for a range of gsn, and a checkpoint at the frame of one gsn; opened anew."""
    head = head_of(frames[checkpoint - 1])
    await layer.save_checkpoint(make_checkpoint(RED, head, "lineage", (b"{}",)))
    await layer.append([frame for frame in frames if not first <= frame.record.gsn <= last])
    await layer.close()
    return await layer.open()


async def test_behind_a_hole_a_chain_goes_on_where_a_checkpoint_lies_farther_on(layer: Layer):
    chain = Chain()
    frames = chain.batch(*[RED] * 8)
    summary = await with_hole(layer, frames, 3, 4, checkpoint=7)
    assert summary.heads == {RED: head_of(frames[7])}
    assert bytes_of(await guild_frames(layer, RED, 6)) == bytes_of(frames[6:])
    await layer.begin(2, "lineage")
    await layer.append(later := chain.append(RED))
    await layer.close()
    summary = await layer.open()
    assert summary.heads == chain.heads
    assert bytes_of(await guild_frames(layer, RED, 7)) == bytes_of([frames[7], *later])


async def test_behind_a_hole_no_chain_goes_on_where_the_only_checkpoint_lies_before_it(layer: Layer):
    frames = Chain().batch(*[RED] * 8)
    summary = await with_hole(layer, frames, 5, 5, checkpoint=3)
    assert summary.heads == {RED: head_of(frames[3])}


async def test_a_hole_that_cuts_an_append_loses_what_is_left_of_its_beginning_only(layer: Layer):
    chain = Chain()
    frames = [*chain.append(RED, 2), *chain.append(RED, 4), *chain.append(RED, 2), *chain.append(BLUE)]
    summary = await with_hole(layer, frames, 4, 4, checkpoint=8)
    assert summary.heads == chain.heads
    assert bytes_of(await guild_frames(layer, RED, 6)) == bytes_of(frames[6:8])


async def test_a_branch_that_begins_in_a_hole_stands_in_the_place_of_what_came_behind_it(layer: Layer):
    old = Chain().batch(RED, RED, RED, RED)
    branch = Chain(epoch=2)
    branch.gsn, branch.heads[RED] = 4, head_of(old[1])
    won = branch.batch(RED, RED, RED)
    await layer.save_checkpoint(make_checkpoint(RED, head_of(won[-1]), "lineage", (b"{}",)))
    await layer.append([old[0], old[3]])
    await layer.append(won)
    assert bytes_of(await guild_frames(layer, RED, 2)) == bytes_of(won)
    await layer.close()
    summary = await layer.open()
    assert summary.heads == branch.heads
    assert bytes_of(await guild_frames(layer, RED, 2)) == bytes_of(won)


async def test_of_two_checkpoints_of_one_seq_a_chain_goes_on_behind_that_of_the_higher_epoch(layer: Layer):
    old = Chain()
    lost = old.batch(RED, RED, RED)
    branch = Chain(epoch=2)
    branch.gsn, branch.heads[RED] = 3, head_of(lost[0])
    won = branch.batch(RED, RED, RED)
    for head in (head_of(lost[2]), head_of(won[1])):
        await layer.save_checkpoint(make_checkpoint(RED, head, "lineage", (b"{}",)))
    await layer.append([lost[0], won[2]])
    await layer.close()
    assert (await layer.open()).heads == branch.heads
    assert bytes_of(await guild_frames(layer, RED, 3)) == bytes_of(won[2:])


async def test_a_jump_that_no_hole_explains_is_no_chain_whatever_checkpoint_there_is(layer: Layer):
    other = Chain()
    other.append(RED, 3)
    strange = other.append(RED)
    mine = Chain()
    frames = mine.append(RED)
    moved = msgspec.structs.replace(strange[0].record, gsn=2)
    await layer.save_checkpoint(make_checkpoint(RED, other.heads[RED], "lineage", (b"{}",)))
    await layer.append([*frames, seal(moved, frames[0].digest)])
    await layer.close()
    assert (await layer.open()).heads == {RED: head_of(frames[0])}


async def test_a_hole_is_filled(layer: Layer):
    chain = Chain()
    frames = chain.batch(RED, BLUE, RED, BLUE)
    await layer.append([frames[0], *frames[2:]])
    await reopen(layer)
    summary = await layer.fill(frames)
    assert (summary.gsn, summary.heads, summary.missing, summary.aside) == (4, chain.heads, (), {})
    await layer.append(chain.batch(BLUE))
    await reopen(layer, 3)
    assert [frame.record.gsn for frame in await everything(layer)] == [1, 2, 3, 4, 5]


async def test_a_branch_that_lost_is_set_aside_and_another_takes_its_place(layer: Layer):
    chain = Chain()
    common = chain.batch(RED, BLUE)
    winner = Chain(epoch=2)
    winner.gsn, winner.heads = chain.gsn, dict(chain.heads)
    await layer.append(common + chain.batch(RED, RED))
    summary = await layer.set_aside(2)
    assert (summary.gsn, summary.heads) == (2, winner.heads)
    branch = winner.batch(RED)
    await layer.append(branch)
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.heads) == (3, winner.heads)
    assert bytes_of(await everything(layer)) == bytes_of(common + branch)


async def test_a_checkpoint_of_a_branch_that_lost_goes_with_it(layer: Layer):
    """Without its records it would be taken for what is left behind a hole."""
    chain = Chain()
    heads = []
    for _ in range(2):
        await layer.append(chain.batch(RED))
        heads.append(chain.heads[RED])
        await layer.save_checkpoint(make_checkpoint(RED, heads[-1], "lineage", (b"{}",)))
    await layer.set_aside(1)
    assert [checkpoint.header.seq for checkpoint in await all_checkpoints(layer, RED)] == [1]
    await layer.close()
    await layer.open()
    assert [checkpoint.header.seq for checkpoint in await all_checkpoints(layer, RED)] == [1]


async def test_a_branch_of_a_higher_epoch_takes_the_place_of_records_and_may_tell_the_same(layer: Layer):
    frames = Chain().append(RED, 2)
    await layer.append(frames)
    again = [msgspec.structs.replace(frame.record, gsn=frame.record.gsn + 2, epoch=2) for frame in frames]
    first = seal(again[0], GENESIS)
    branch = [first, seal(again[1], first.digest)]
    await layer.append(branch)
    assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of(branch)
    await layer.close()
    summary = await layer.open()
    assert (summary.gsn, summary.heads) == (4, {RED: head_of(branch[-1])})


async def test_a_branch_of_a_higher_epoch_may_tell_the_same_farther_on_than_what_it_takes_the_place_of(layer: Layer):
    old = Chain().batch(RED, RED)
    await layer.append(old)
    keys = ["another", old[0].record.key, old[1].record.key]
    branch, digest = list[Frame](), GENESIS
    for seq, key in enumerate(keys, 1):
        record = msgspec.structs.replace(old[0].record, gsn=2 + seq, seq=seq, last=seq, epoch=2, key=key)
        branch.append(seal(record, digest))
        digest = branch[-1].digest
    await layer.append(branch)
    assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of(branch)


async def test_checkpoints_come_back_newest_first_and_two_stay(layer: Layer):
    chain = Chain()
    for number in range(4):
        await layer.append(chain.batch(RED))
        pages = (b'{"page":%d}' % number, b"\n\x00other\n")
        await layer.save_checkpoint(make_checkpoint(RED, chain.heads[RED], "lineage", pages))
    await reopen(layer)
    found = await all_checkpoints(layer, RED)
    assert [checkpoint.header.seq for checkpoint in found] == [4, 3]
    assert found[0].pages == (b'{"page":3}', b"\n\x00other\n")
    assert list(layer.checkpoint_guilds()) == [RED]
    assert list(await all_checkpoints(layer, BLUE)) == []


async def test_a_checkpoint_that_is_dropped_is_gone_and_another_one_stays(layer: Layer):
    chain = Chain()
    for _ in range(2):
        await layer.append(chain.batch(RED))
        await layer.save_checkpoint(make_checkpoint(RED, chain.heads[RED], "lineage", (b"{}",)))
    newest, older = layer.checkpoint_places(RED)
    for _ in range(2):  # again, it does nothing
        await layer.drop_checkpoint(RED, newest)
        assert list(layer.checkpoint_places(RED)) == [older]
    await reopen(layer)
    assert list(layer.checkpoint_places(RED)) == [older]


async def test_a_checkpoint_of_after_a_forgetting_stays_alone_with_those_behind_it(layer: Layer):
    chain = Chain()
    for forgot_seq, left in ((0, [1]), (0, [2, 1]), (3, [3]), (3, [4, 3])):
        await layer.append(chain.batch(RED))
        await layer.append(chain.batch(BLUE))
        await layer.save_checkpoint(make_checkpoint(BLUE, chain.heads[BLUE], "lineage", ()))
        await layer.save_checkpoint(make_checkpoint(RED, chain.heads[RED], "lineage", (), forgot_seq))
        assert [each.header.seq for each in await all_checkpoints(layer, RED)] == left
    await reopen(layer)
    assert [each.header.seq for each in await all_checkpoints(layer, RED)] == [4, 3]
    assert [each.header.seq for each in await all_checkpoints(layer, BLUE)] == [4, 3]


async def test_a_higher_epoch_makes_a_checkpoint_newer_than_a_higher_seq(layer: Layer):
    chain = Chain()
    await layer.append(chain.batch(RED, RED))
    head = chain.heads[RED]
    await layer.save_checkpoint(make_checkpoint(RED, msgspec.structs.replace(head, epoch=2, seq=1), "lineage", ()))
    await layer.save_checkpoint(make_checkpoint(RED, head, "lineage", ()))
    assert [checkpoint.header.epoch for checkpoint in await all_checkpoints(layer, RED)] == [2, 1]


async def test_a_layer_can_be_closed_twice(layer: Layer):
    await layer.close()
    await layer.close()


async def reread(layer: Layer, gsn: int) -> list[bytes]:
    return [frame.data async for piece in layer.reread(gsn) for frame in piece]


async def test_what_was_written_is_read_again_from_any_place_also_behind_a_reopening(layer: Layer):
    chain = Chain()
    frames: list[Frame] = []
    for number in range(3):
        if number:
            await reopen(layer, number + 1)
        for batch in (chain.append(RED, 300), chain.batch(*[BLUE] * 300)):
            await layer.append(batch)
            frames += batch
    for gsn in (0, 1, 299, 300, 301, 600, 900, len(frames) - 1, len(frames)):
        assert await reread(layer, gsn) == bytes_of(frames[gsn:])


async def test_whoever_reads_again_meets_what_is_appended_meanwhile(layer: Layer):
    chain = Chain()
    await layer.append(first := chain.append(RED, 1_000))
    stream = layer.reread(0)
    seen = [frame.data for frame in await anext(stream)]
    await layer.append(second := chain.append(BLUE, 3))
    seen += [frame.data async for piece in stream for frame in piece]
    seen += await reread(layer, len(seen))
    assert seen == bytes_of([*first, *second])
