"""The hand-over: two processes over one bucket, in time that passes only in naps."""

import asyncio
import itertools
import logging
from io import StringIO

import msgspec
import pytest
import structlog

from actors import handover
from actors.drain import SHARES_S, Step
from actors.handover import BEAT_S, IDLE_S, POLL_S, SILENT_S, Handover, HeldElsewhere
from persistence.objects import Unreachable
from persistence.presence import Presence
from tests.actors.harness import VirtualClock
from tests.memory.objects import Call, MemoryBucket, MemoryObjects

EPOCH = 4


NEWCOMER_S = SHARES_S[Step.NEWCOMER]


class Side:
    """One process: its marks, its hand-over, what it wrote into its log."""

    def __init__(self, bucket: MemoryBucket, clock: VirtualClock, writer: str, epoch: int = 0) -> None:
        self.objects = MemoryObjects(bucket)
        self.presence = Presence(self.objects, writer)
        self.lines = StringIO()
        self.epoch, self.hears, self.fenced, self.noticed = epoch, False, True, 0
        self.records = True
        self.clock = clock
        self.beats = 0
        self.before_nap = lambda: None
        log = structlog.wrap_logger(
            structlog.PrintLogger(self.lines),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        self.handover = Handover(
            self.presence,
            epoch=lambda: self.epoch,
            records=lambda: self.records,
            hears=lambda: self.hears,
            fenced=lambda: self.fenced,
            overtaken=self._notice,
            beaten=self._count,
            clock=clock,
            sleep=self.nap,
            log=log,
        )

    def _notice(self) -> None:
        self.noticed += 1

    def _count(self) -> None:
        self.beats += 1

    async def nap(self, seconds: float) -> None:
        self.before_nap()
        self.clock.now_s += seconds
        await asyncio.sleep(0)

    def told(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(line) for line in self.lines.getvalue().splitlines()]

    def events(self) -> list[object]:
        return [line["event"] for line in self.told()]


def claimed(writer: str) -> MemoryBucket:
    return MemoryBucket({f"epoch/{EPOCH:010d}": msgspec.json.encode({"epoch": EPOCH, "writer": writer})})


async def test_nobody_is_waited_for_in_an_empty_cloud():
    clock = VirtualClock()
    await Side(MemoryBucket(), clock, "new").handover.await_turn()
    assert clock.now_s == VirtualClock().now_s


async def test_an_earlier_life_on_the_same_folder_is_not_waited_for():
    clock = VirtualClock()
    await Side(claimed("same"), clock, "same").handover.await_turn()
    assert clock.now_s == VirtualClock().now_s


async def test_a_goodbye_ends_the_wait_at_once():
    bucket, clock = claimed("old"), VirtualClock()
    await Side(bucket, clock, "old", EPOCH).handover.say_goodbye()
    await Side(bucket, clock, "new").handover.await_turn()
    assert clock.now_s == VirtualClock().now_s


async def test_a_goodbye_of_an_older_epoch_says_nothing():
    bucket, clock = claimed("old"), VirtualClock()
    await Side(bucket, clock, "older", EPOCH - 1).handover.say_goodbye()
    new = Side(bucket, clock, "new")
    await new.handover.await_turn()
    assert new.events() == ["standby.began", "holder.silent"]


async def test_a_holder_that_shows_no_sign_is_waited_for_so_long_and_no_longer():
    clock = VirtualClock()
    new = Side(claimed("old"), clock, "new")
    await new.handover.await_turn()
    assert SILENT_S <= clock.now_s - VirtualClock().now_s < SILENT_S + 1
    assert new.events() == ["standby.began", "holder.silent"]


async def test_whoever_stood_still_itself_does_not_take_the_holder_for_silent():
    """SIGSTOP, `docker pause`, a machine that is moved."""
    bucket, clock = claimed("old"), VirtualClock()
    new, beats = Side(bucket, clock, "new"), iter(range(5))

    def pause() -> None:
        bucket.objects[f"pulse/{EPOCH:010d}"] = str(next(beats)).encode()
        clock.now_s += SILENT_S

    new.before_nap = pause
    with pytest.raises(RuntimeError, match="StopIteration"):  # it waited as long as the holder beat
        await new.handover.await_turn()
    assert new.events() == ["standby.began"]


async def test_whoever_acknowledges_without_the_cloud_is_warned_beside_another_folder():
    for fenced in (True, False):
        new = Side(claimed("old"), VirtualClock(), "new")
        new.fenced = fenced
        await new.handover.await_turn()
        assert [line["level"] for line in new.told()] == ["info" if fenced else "warning", "warning"]
        assert ("LEDGER_ACK=cloud" in str(new.told()[0])) != fenced
    same = Side(claimed("same"), VirtualClock(), "same")
    same.fenced = False
    await same.handover.await_turn()
    assert same.events() == [], "one folder, one writer: its lock sees to that"


async def test_each_beat_makes_it_wait_again():
    bucket, clock = claimed("old"), VirtualClock()
    old, new = Side(bucket, clock, "old", EPOCH), Side(bucket, clock, "new")
    beats = [f"{number}".encode() for number in range(40)]

    def beat() -> None:
        if beats:
            bucket.objects[f"pulse/{EPOCH:010d}"] = beats.pop()

    new.before_nap = beat
    await new.handover.await_turn()
    assert not beats
    assert clock.now_s - VirtualClock().now_s >= 40 * 0.5 + SILENT_S
    del old


@pytest.mark.parametrize("lives", [1, 100])
async def test_a_holder_that_never_takes_records_is_not_waited_for_for_ever(lives: int):
    """Its disk is full, or hangs; or it is killed on the way each time, and the next life has an epoch of its own."""
    bucket, clock = claimed("old"), VirtualClock()
    old, new = Side(bucket, clock, "old", EPOCH), Side(bucket, clock, "new")
    await old.presence.beat(EPOCH, 0, records=False)
    numbers = itertools.count(1)

    def beat() -> None:
        epoch, number = EPOCH + next(numbers) % lives, next(numbers)
        bucket.objects[f"epoch/{epoch:010d}"] = bucket.objects[f"epoch/{EPOCH:010d}"]
        bucket.objects[f"pulse/{epoch:010d}"] = b"%d idle" % number

    new.before_nap = beat
    await new.handover.await_turn()
    assert IDLE_S <= clock.now_s - VirtualClock().now_s < IDLE_S + 1
    assert new.events()[-1] == "holder.idle"


async def test_a_holder_that_took_records_in_between_is_waited_for_anew():
    bucket, clock = claimed("old"), VirtualClock()
    old, new = Side(bucket, clock, "old", EPOCH), Side(bucket, clock, "new")
    numbers = itertools.count(1)

    def beat() -> None:
        number = next(numbers)
        bucket.objects[f"pulse/{EPOCH:010d}"] = b"%d" % number if number == 3_000 else b"%d idle" % number

    new.before_nap = beat
    await new.handover.await_turn()
    assert clock.now_s - VirtualClock().now_s >= 3_000 * POLL_S + IDLE_S
    holder = await new.presence.holder()
    assert holder is not None
    assert not holder.records
    await old.presence.beat(EPOCH, 1, records=True)
    holder = await new.presence.holder()
    assert holder is not None
    assert holder.records


async def test_a_newcomer_says_once_that_it_hears_discord_and_the_holder_lets_it_pass():
    bucket, clock = claimed("old"), VirtualClock()
    old, new = Side(bucket, clock, "old", EPOCH), Side(bucket, clock, "new")
    waiting = asyncio.ensure_future(new.handover.await_turn())
    await asyncio.sleep(0)
    assert not await old.presence.is_awaited(EPOCH)
    assert new.handover.is_waiting
    new.hears = True
    began_s = clock.now_s
    await old.handover.await_newcomer(NEWCOMER_S)
    assert clock.now_s - began_s < NEWCOMER_S
    await old.handover.say_goodbye()
    await waiting
    assert not new.handover.is_waiting
    assert new.events() == ["standby.began"]


async def test_a_holder_waits_for_a_newcomer_only_for_a_moment():
    clock = VirtualClock()
    await Side(claimed("old"), clock, "old", EPOCH).handover.await_newcomer(NEWCOMER_S)
    assert NEWCOMER_S <= clock.now_s - VirtualClock().now_s < NEWCOMER_S + 1


async def test_a_cloud_that_hangs_holds_nobody_up_on_the_way_out():
    side = Side(claimed("old"), VirtualClock(), "old", EPOCH)

    async def hang(call: Call) -> None:
        del call
        await asyncio.get_running_loop().create_future()

    side.objects.before = hang
    async with asyncio.timeout(5):
        await side.handover.await_newcomer(0.01)


async def test_a_holder_whose_claim_was_damaged_is_waited_for_like_any_other():
    bucket, clock = claimed("old"), VirtualClock()
    bucket.objects[f"epoch/{EPOCH:010d}"] = b"\xff{"
    new = Side(bucket, clock, "new")
    await new.handover.await_turn()
    assert clock.now_s - VirtualClock().now_s >= SILENT_S
    with pytest.raises(HeldElsewhere, match="by a bot whose claim is damaged"):
        await beside_a_pulse(bucket, clock).handover.expect_nobody()


def beside_a_pulse(bucket: MemoryBucket, clock: VirtualClock) -> Side:
    """A tool; whoever has the epoch shows that it lives, once a nap."""
    tool, beats = Side(bucket, clock, "tool"), itertools.count()

    def beat() -> None:
        bucket.objects[f"pulse/{EPOCH:010d}"] = b"%d" % next(beats)

    tool.before_nap = beat
    return tool


async def test_a_tool_that_writes_is_refused_while_somebody_else_holds_the_history():
    bucket, clock = claimed("old"), VirtualClock()
    with pytest.raises(HeldElsewhere, match="by the bot with the folder old"):
        await beside_a_pulse(bucket, clock).handover.expect_nobody()
    before_s = clock.now_s
    await Side(bucket, clock, "old").handover.expect_nobody()
    await Side(bucket, clock, "old", EPOCH).handover.say_goodbye()
    await Side(bucket, clock, "tool").handover.expect_nobody()
    assert clock.now_s == before_s


async def test_a_tool_that_writes_goes_on_where_the_holder_was_killed_and_shows_no_sign():
    tool = Side(claimed("killed"), VirtualClock(), "tool")
    before_s = tool.clock.now_s
    await tool.handover.expect_nobody()
    assert tool.clock.now_s - before_s == SILENT_S
    assert tool.events() == ["holder.watched"]


async def test_a_process_without_an_epoch_waits_for_nobody_on_its_way_out():
    clock = VirtualClock()
    await Side(MemoryBucket(), clock, "old").handover.await_newcomer(NEWCOMER_S)
    assert clock.now_s == VirtualClock().now_s


async def test_a_cloud_that_does_not_answer_is_a_silent_holder():
    clock = VirtualClock()
    new = Side(claimed("old"), clock, "new")

    async def away(call: Call) -> None:
        raise Unreachable(f"no answer to {call.verb}")

    new.objects.before = away
    new.before_nap = lambda: ready.append(new.handover.is_waiting)
    ready: list[bool] = []
    await new.handover.await_turn()
    assert not any(ready), "nobody is told that it stands by for a holder that nobody has seen"
    assert clock.now_s - VirtualClock().now_s >= SILENT_S
    assert set(new.events()) == {"holder.unknown"}


async def test_another_newcomer_that_was_quicker_is_the_holder_now():
    bucket, clock = claimed("old"), VirtualClock()
    new = Side(bucket, clock, "new")

    def overtake() -> None:
        if clock.now_s - VirtualClock().now_s >= SILENT_S - 1:
            body = msgspec.json.encode({"epoch": EPOCH + 1, "writer": "quick"})
            bucket.objects.setdefault(f"epoch/{EPOCH + 1:010d}", body)

    new.before_nap = overtake
    await new.handover.await_turn()
    assert clock.now_s - VirtualClock().now_s >= 2 * SILENT_S - 2
    assert [line["holder"] for line in new.told() if line["event"] == "standby.began"] == ["old", "quick"]


async def test_a_mark_that_hangs_while_it_is_written_holds_no_newcomer_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handover, "SILENT_S", 0.02)
    new = Side(claimed("old"), VirtualClock(), "new")
    new.hears = True

    async def hang(call: Call) -> None:
        if call.verb == "put":
            await asyncio.get_running_loop().create_future()

    new.objects.before = hang
    async with asyncio.timeout(5):
        await new.handover.await_turn()
    assert new.events() == ["standby.began", "holder.unknown", "holder.silent"]


async def test_the_pulse_is_shown_while_an_epoch_is_held_and_only_then():
    bucket, clock = MemoryBucket(), VirtualClock()
    side = Side(bucket, clock, "old")
    shown: list[dict[str, bytes]] = []
    side.before_nap = lambda: shown.append(dict(bucket.objects))
    life = asyncio.ensure_future(side.handover.run())
    await turns(4)
    assert shown
    assert not any(shown)
    assert side.beats == 0
    side.epoch, before = EPOCH, len(shown)
    await turns(8)
    life.cancel()
    assert set(shown[-1]) == {f"pulse/{EPOCH:010d}"}
    assert shown[-2] != shown[-1]
    assert side.beats == int(shown[-1][f"pulse/{EPOCH:010d}"]) + 1 - before
    assert clock.now_s - VirtualClock().now_s == len(shown) * BEAT_S
    assert len(shown) > before + 1


async def test_a_beat_that_hangs_is_a_missed_one_and_the_next_one_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handover, "BEAT_S", 0.02)
    bucket = MemoryBucket()
    side = Side(bucket, VirtualClock(), "old", EPOCH)

    async def hang_once(call: Call) -> None:
        del call
        side.objects.before = nothing
        await asyncio.get_running_loop().create_future()

    side.objects.before = hang_once
    life = asyncio.ensure_future(side.handover.run())
    async with asyncio.timeout(5):
        while not bucket.objects:  # noqa: ASYNC110 -- the bucket tells nobody
            await asyncio.sleep(0)
    life.cancel()
    assert side.told()[0] == {"event": "pulse.missed", "error": "no answer within 0.02 s", "level": "warning"}


async def nothing(call: Call) -> None:
    del call


async def test_whoever_shows_a_pulse_notices_that_it_was_overtaken():
    bucket, clock = claimed("old"), VirtualClock()
    side = Side(bucket, clock, "old", EPOCH)
    life = asyncio.ensure_future(side.handover.run())
    await turns(8)
    assert side.noticed == 0
    bucket.objects[f"epoch/{EPOCH + 1:010d}"] = msgspec.json.encode({"epoch": EPOCH + 1, "writer": "new"})
    await turns(8)
    life.cancel()
    assert side.noticed > 0


async def test_what_others_left_beside_the_epochs_is_no_newer_one():
    bucket, clock = claimed("old"), VirtualClock()
    bucket.objects |= {f"epoch/{EPOCH:010d} (1)": b"?", "epoch/README": b"?"}
    side = Side(bucket, clock, "old", EPOCH)
    life = asyncio.ensure_future(side.handover.run())
    await turns(8)
    life.cancel()
    assert (side.noticed, side.beats > 0) == (0, True)
    with pytest.raises(HeldElsewhere, match="by the bot with the folder old"):
        await beside_a_pulse(bucket, clock).handover.expect_nobody()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
