"""Which frames of a stream stand: whole appends, each behind the digest of the one before, also over holes."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ids import GuildId
from persistence.chains import Chains, appends, head_of
from persistence.frames import Frame, seal
from tests.persistence.making import BLUE, RED, Chain


class Stream:
    """What was written, and a reader of it that may miss some of it. Checkpoints are at ``anchors``."""

    def __init__(self) -> None:
        self.written = Chain()
        self.digests: dict[tuple[GuildId, int], bytes] = {}
        self.anchors: dict[GuildId, dict[int, bytes]] = {RED: {}, BLUE: {}}
        self.chains = Chains(lambda guild, seq: self.digests.get((guild, seq)), lambda guild: self.anchors[guild])

    def read(self, append: Sequence[Frame]) -> bool:
        stands = self.chains.take(append)
        if stands:
            self.digests |= {(frame.record.guild, frame.record.seq): frame.digest for frame in append}
        return stands

    def lose(self, guild: GuildId, size: int = 1) -> list[Frame]:
        """Written, and never read: a hole of this many gsns."""
        return self.written.append(guild, size)

    def forget(self, guild: GuildId, size: int = 1) -> list[Frame]:
        """Lost without a trace: no gsn is missing."""
        frames = self.written.append(guild, size)
        self.written.gsn -= size
        return frames

    def checkpoint(self, frame: Frame) -> None:
        self.anchors[frame.record.guild][frame.record.seq] = frame.digest


@pytest.fixture
def stream() -> Stream:
    return Stream()


def test_a_whole_stream_stands_guild_by_guild(stream: Stream):
    last = {}
    for guild, size in ((RED, 1), (BLUE, 3), (RED, 2), (BLUE, 1)):
        append = stream.written.append(guild, size)
        assert stream.read(append)
        last[guild] = head_of(append[-1])
    assert stream.chains.heads == last


def test_behind_a_lost_record_nothing_of_its_guild_stands_and_others_go_on(stream: Stream):
    assert stream.read(stream.written.append(RED))
    head = stream.chains.heads[RED]
    stream.lose(RED)
    assert not stream.read(stream.written.append(RED))
    assert stream.read(stream.written.append(BLUE))
    assert not stream.read(stream.written.append(RED))
    assert stream.chains.heads[RED] == head


@pytest.mark.parametrize("farther", [0, 1])
def test_a_hole_that_explains_the_jump_is_crossed_where_a_checkpoint_stands_there_or_farther_on(
    stream: Stream, farther: int
):
    stream.read(stream.written.append(RED))
    stream.lose(RED, 2)
    behind = stream.written.append(RED)
    ahead = stream.written.append(RED)
    stream.checkpoint((behind, ahead)[farther][-1])
    assert stream.read(behind)
    assert stream.read(ahead)
    assert stream.chains.heads[RED].seq == 5


def test_a_checkpoint_before_the_hole_crosses_nothing(stream: Stream):
    first = stream.written.append(RED)
    stream.read(first)
    stream.checkpoint(first[-1])
    stream.lose(RED)
    assert not stream.read(stream.written.append(RED))


def test_a_checkpoint_right_before_the_next_record_tells_its_digest(stream: Stream):
    stream.read(stream.written.append(RED))
    lost = stream.lose(RED)
    stream.checkpoint(lost[-1])
    assert stream.read(stream.written.append(RED))


def test_no_hole_explains_a_longer_jump(stream: Stream):
    stream.read(stream.written.append(RED))
    stream.lose(RED)
    stream.forget(RED)
    behind = stream.written.append(RED)
    stream.checkpoint(behind[-1])
    assert not stream.read(behind)


def test_a_jump_without_any_hole_is_not_crossed(stream: Stream):
    stream.read(stream.written.append(RED))
    stream.forget(RED)
    behind = stream.written.append(RED)
    stream.checkpoint(behind[-1])
    assert not stream.read(behind)


def test_a_hole_explains_one_jump_of_a_guild_only(stream: Stream):
    stream.read(stream.written.append(RED))
    stream.lose(RED)
    first = stream.written.append(RED)
    stream.forget(RED)
    second = stream.written.append(RED)
    stream.checkpoint(second[-1])
    assert stream.read(first)
    assert not stream.read(second)


def test_no_hole_leads_back_to_an_earlier_epoch(stream: Stream):
    stream.written = Chain(epoch=2)
    stream.read(stream.written.append(RED))
    stream.lose(RED)
    (behind,) = stream.written.append(RED)
    old = seal(msgspec.structs.replace(behind.record, epoch=1), bytes(32))
    stream.checkpoint(old)
    assert not stream.read([old])


def test_a_hole_before_a_guild_was_last_seen_explains_nothing_of_it(stream: Stream):
    """Its end may lie in the hole, but the record behind it does: so it is known what it lacked by then."""
    stream.read(stream.written.append(RED))
    stream.lose(BLUE, 2)
    assert stream.read(stream.written.append(RED))
    stream.forget(RED)
    behind = stream.written.append(RED)
    stream.checkpoint(behind[-1])
    assert not stream.read(behind)


def test_an_append_whose_end_is_missing_does_not_stand(stream: Stream):
    stream.read(stream.written.append(RED))
    head = stream.chains.heads[RED]
    append = stream.written.append(RED, 3)
    assert not stream.read(append[:2])
    assert stream.chains.heads[RED] == head


def test_a_frame_inside_an_append_has_to_follow_the_one_before(stream: Stream):
    append = stream.written.append(RED, 3)
    strange = seal(append[1].record, bytes(32))
    assert not stream.read([append[0], strange, append[2]])
    assert RED not in stream.chains.heads


def test_a_guilds_first_record_follows_nothing(stream: Stream):
    frame = stream.written.append(RED)[0]
    assert not stream.read([seal(frame.record, bytes(range(32)))])
    assert stream.read([frame])


@pytest.mark.parametrize("epoch", [1, 2])
def test_of_two_branches_only_one_of_a_higher_epoch_replaces_what_stands(stream: Stream, epoch: int):
    for _ in range(3):
        stream.read(stream.written.append(RED))
    branch = Chain(epoch)
    branch.gsn = stream.written.gsn
    first = stream.digests[RED, 1]
    record = msgspec.structs.replace(stream.written.append(RED)[0].record, seq=2, last=2, epoch=epoch)
    assert stream.read([seal(record, first)]) == (epoch == 2)
    assert stream.chains.heads[RED].seq == (2 if epoch == 2 else 3)


def test_a_hole_at_the_end_of_what_was_read_explains_a_jump_as_well(stream: Stream):
    assert stream.read(stream.written.append(RED))
    lost = stream.lose(RED)
    stream.checkpoint(lost[-1])
    stream.chains.skip_to(2)
    assert stream.chains.verified.missing == 1
    assert stream.read(stream.written.append(RED))


def test_a_branch_behind_a_record_that_nobody_knows_does_not_stand(stream: Stream):
    stream.read(stream.written.append(RED))
    record = msgspec.structs.replace(stream.written.append(RED)[0].record, seq=5, last=5, epoch=9)
    assert not stream.read([seal(record, bytes(32))])


def test_a_branch_that_begins_in_a_hole_takes_the_place_of_what_came_behind_the_hole(stream: Stream):
    stream.read(stream.written.append(RED))
    lost = stream.lose(RED, 2)
    old = stream.written.append(RED)
    branch = Chain(epoch=2)
    branch.gsn, branch.heads[RED] = stream.written.gsn, head_of(lost[0])
    frames = branch.batch(RED, RED)
    stream.checkpoint(frames[-1])
    assert all(stream.read([frame]) for frame in (*old, *frames))
    assert stream.chains.heads == branch.heads


def test_a_branch_has_to_follow_the_record_it_branches_off(stream: Stream):
    for _ in range(3):
        stream.read(stream.written.append(RED))
    record = msgspec.structs.replace(stream.written.append(RED)[0].record, seq=2, last=2, epoch=2)
    assert not stream.read([seal(record, bytes(32))])


def test_the_end_of_an_append_that_came_in_two_parts_stands_where_a_checkpoint_vouches_for_it(stream: Stream):
    append = stream.written.append(RED, 3)
    assert not stream.read(append[:2])
    assert not stream.read(append[2:])
    other = Stream()
    other.checkpoint(append[2])
    assert not other.read(append[:2])
    assert other.read(append[2:])


def test_a_record_that_comes_again_behind_a_hole_does_not_stand_again(stream: Stream):
    first = stream.written.append(RED)
    stream.read(first)
    stream.lose(RED, 3)
    behind = stream.written.append(RED)
    stream.checkpoint(behind[-1])
    assert stream.read(behind)
    assert not stream.read(first)
    assert stream.chains.heads[RED].seq == 5


# Appends


sizes = st.lists(st.tuples(st.sampled_from([RED, BLUE]), st.integers(1, 4)), min_size=1, max_size=8)


def one(frame: Frame) -> Frame:
    return frame


@given(sizes)
def test_a_stream_is_cut_into_the_appends_it_was_made_of(made: list[tuple[GuildId, int]]):
    chain = Chain()
    written = [chain.append(guild, size) for guild, size in made]
    assert list(appends([frame for append in written for frame in append], one)) == written


@given(sizes, st.integers(0, 10**6))
def test_of_a_stream_with_losses_every_append_comes_whole_or_as_what_is_there_of_it(
    made: list[tuple[GuildId, int]], seed: int
):
    chain = Chain()
    written = [chain.append(guild, size) for guild, size in made]
    frames = [frame for append in written for frame in append]
    kept = [frame for frame in frames if Random(f"{seed}/{frame.record.gsn}").random() < 0.7]
    found = list(appends(kept, one))
    assert [frame for group in found for frame in group] == kept
    for group in found:
        assert len({(frame.record.guild, frame.record.last) for frame in group}) == 1
        assert [frame.record.gsn - group[0].record.gsn for frame in group] == list(range(len(group)))
    whole = [append for append in written if all(frame in kept for frame in append)]
    assert [append for append in whole if append not in found] == []
