"""Journal, uploader and a cloud in memory: what waits for it, what does not, and how it catches up."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from random import Random
from typing import NoReturn

import pytest

from actors.clock import Sleep, SystemRandomness
from actors.cloud_side import Cloud, CloudSide
from actors.drain import Drain
from actors.journal import WAIT_FOR_LAYER_S
from ledger.errors import Stale, StorageError, WrongHistory
from ledger.records import JoinRecorded
from persistence import recovery
from persistence.cloud import CloudLayer
from persistence.frames import Frame
from persistence.objects import Unreachable
from persistence.offload import inline
from persistence.store import Append, Store
from tests.actors.harness import GUILD, Bot, VirtualClock, running
from tests.actors.test_journal import draft
from tests.memory.layer import MemoryLayer
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.memory.store import store_of
from tests.simulation.loop import SimLoop


class Sky:
    """A bucket, and this process's way to it."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket()
        self.objects = MemoryObjects(self.bucket)
        self._there = self.objects.before

    def layer(self, writer: str = "a") -> CloudLayer:
        objects = self.objects if writer == "a" else MemoryObjects(self.bucket)
        return CloudLayer(objects, inline, SystemRandomness(), VirtualClock(), writer)

    def go_away(self) -> None:
        async def away(call: Call) -> None:
            raise Unreachable(f"no answer to {call.verb}")

        self.objects.before = away

    def come_back(self) -> None:
        self.objects.before = self._there

    async def users(self) -> list[str]:
        """Whose joins are in the cloud, in order."""
        layer = self.layer("reader")
        await layer.open()
        frames = [frame async for frame in layer.frames_after(0)]
        return [frame.record.event.user for frame in frames if isinstance(frame.record.event, JoinRecorded)]

    async def overtake(self) -> Store:
        """Another process with a folder of its own takes over."""
        store = store_of([MemoryLayer("log")], VirtualClock(), SystemRandomness(), self.layer("b"))
        await store.start()
        return store


def segments(sky: Sky) -> int:
    return sum(key.startswith("seg/") for key in sky.bucket.objects)


async def test_what_is_acknowledged_nearby_goes_up_beside_the_work():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        await bot.journal.open(GUILD, 1)
        for user in range(1, 6):
            committed = await bot.journal.append(GUILD, 1, user - 1, (draft(user),))
            assert not committed.degraded
        await bot.until(lambda: bot.store.following is not None and not bot.store.following.behind())
        assert await sky.users() == ["1", "2", "3", "4", "5"]
        assert [health.behind for health in bot.journal.statistics().layers] == [0, 0, 0]


async def test_a_cloud_that_is_not_named_and_away_holds_nobody_up():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        await bot.journal.open(GUILD, 1)
        sky.go_away()
        assert not (await bot.journal.append(GUILD, 1, 0, (draft(1),))).degraded
        assert bot.events("join.acknowledged")
        await bot.until(lambda: bool(bot.events("cloud.failed")))
        sky.come_back()
        await bot.until(lambda: bool(bot.events("cloud.recovered")))
        assert await sky.users() == ["1"]
        assert not bot.events("layer.failed")


async def test_a_cloud_that_is_named_has_the_records_before_anybody_is_answered():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        await bot.journal.open(GUILD, 1)
        for user in range(1, 4):
            assert not (await bot.journal.append(GUILD, 1, user - 1, (draft(user),))).degraded
            assert await sky.users() == [str(each) for each in range(1, user + 1)]
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1", "2", "3"]


async def test_a_named_cloud_that_is_away_is_waited_for_then_answers_are_degraded_then_all_is_acknowledged():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        await bot.journal.open(GUILD, 1)
        sky.go_away()
        began_s = bot.clock.now_s
        assert (await bot.journal.append(GUILD, 1, 0, (draft(1),))).degraded
        assert bot.clock.now_s - began_s >= WAIT_FOR_LAYER_S
        assert bot.journal.is_degraded()
        assert (await bot.journal.append(GUILD, 1, 1, (draft(2),))).degraded
        assert [line["user"] for line in bot.events("join.recorded_unacknowledged")] == ["1", "2"]
        assert not bot.events("join.acknowledged")
        sky.come_back()
        await bot.until(lambda: len(bot.events("join.acknowledged")) == 2)
        assert await sky.users() == ["1", "2"]
        assert not bot.journal.is_degraded()
        assert not (await bot.journal.append(GUILD, 1, 2, (draft(3),))).degraded
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1", "2", "3"]


@pytest.mark.parametrize("ack", ["cloud", ""])
@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("since", [0, 2])
async def test_a_cloud_that_an_older_copy_was_put_in_place_of_gets_all_of_it_again(
    ack: str, since: int, *, emptied: bool
):
    """``since``: so much is written into it before anybody looks."""
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack=ack)) as bot:
        following = bot.store.following
        assert following is not None
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await bot.until(lambda: not following.behind())
        before = MemoryBucket() if emptied else sky.bucket.copy()
        await bot.journal.append(GUILD, 1, 1, (draft(2),))
        await bot.until(lambda: not following.behind())
        sky.bucket.roll_back(before)
        for user in range(3, 3 + since):
            await bot.journal.append(GUILD, 1, user - 1, (draft(user),))
            await bot.until(lambda: not following.behind())
        following.doubt()
        await bot.until(lambda: bool(bot.events("cloud.recovered")) and not following.behind())
        (failure,) = bot.events("cloud.failed")
        assert "no longer" in str(failure["error"])
        assert await sky.users() == [str(user) for user in range(1, 3 + since)]
        await bot.journal.open(GUILD, 2)
        assert not (await bot.journal.append(GUILD, 2, 2 + since, (draft(9),))).degraded
        await bot.until(lambda: not following.behind())
    assert (await sky.users())[-1] == "9"


async def test_a_cloud_that_is_as_it_was_left_is_looked_at_and_goes_on():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        following = bot.store.following
        assert following is not None
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await bot.until(lambda: not following.behind())
        following.doubt()
        await bot.until(lambda: not following.arrived.is_set())
        assert not bot.events("cloud.failed")
        assert following.fenced


async def test_all_who_wait_for_the_cloud_share_its_uploads():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        guilds = [type(GUILD)(str(each)) for each in range(1, 101)]
        for guild in guilds:
            await bot.journal.open(guild, 1)
        before = segments(sky)
        await asyncio.gather(*(bot.journal.append(guild, 1, 0, (draft(1),)) for guild in guilds))
        assert segments(sky) - before == 1


class Timely(Bot):
    """Its naps take as long as they say, on a loop with virtual time: others work meanwhile."""

    async def _nap(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def burst(sky: Sky) -> list[str]:
    """A thousand joins within two seconds, each a batch of its own; what was asked of the cloud meanwhile."""
    calls: list[str] = []

    async def count(call: Call) -> None:
        calls.append(call.verb)

    async with running(Timely(cloud=sky.layer())) as bot:
        following = bot.store.following
        assert following is not None
        guilds = [type(GUILD)(str(each)) for each in range(1, 101)]
        for guild in guilds:
            await bot.journal.open(guild, 1)
        before = bot.journal.statistics().batches
        sky.objects.before = count
        for number in range(1_000):
            seq, place = divmod(number, len(guilds))
            await bot.journal.append(guilds[place], 1, seq, (draft(seq + 1),))
            await asyncio.sleep(0.002)
        assert bot.journal.statistics().batches - before == 1_000
        async with asyncio.timeout(60.0):  # of virtual time
            while following.behind():  # noqa: ASYNC110 -- as ``Bot.until``, which lets no time pass
                await asyncio.sleep(0.1)
        return calls.copy()


def test_a_burst_of_a_thousand_joins_costs_few_requests():
    """An uploader that let nothing gather would ask a thousand times."""
    sky = Sky()
    with closing(SimLoop(Random(1))) as loop:
        assert len(loop.run(burst(sky))) <= 20
        assert len(loop.run(sky.users())) == 1_000


async def test_a_process_that_was_overtaken_ends_and_acknowledges_nothing_more():
    sky = Sky()
    bot = Bot(cloud=sky.layer(), ack="cloud")
    await bot.store.start()
    tree = asyncio.ensure_future(bot.supervisor.run(bot.specs()))
    await bot.journal.open(GUILD, 1)
    await bot.journal.append(GUILD, 1, 0, (draft(1),))
    await sky.overtake()
    late = asyncio.ensure_future(bot.journal.append(GUILD, 1, 1, (draft(2),)))
    with pytest.raises(Stale):
        await tree
    late.cancel()
    assert [line["user"] for line in bot.events("join.acknowledged")] == ["1"]
    assert await sky.users() == ["1"]
    await bot.supervisor.drain()


async def test_a_cloud_that_was_away_at_the_start_is_fenced_when_it_answers():
    sky = Sky()
    bot = Bot(cloud=sky.layer())
    async with running(bot):
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
    second = Bot((bot.log, bot.database), cloud=sky.layer())
    sky.go_away()
    async with running(second):
        assert second.store.following is not None
        assert not second.store.following.fenced
        await second.journal.open(GUILD, 1)
        assert not (await second.journal.append(GUILD, 1, 1, (draft(2),))).degraded
        await second.until(lambda: bool(second.events("cloud.failed")))
        sky.come_back()
        await second.until(lambda: second.store.following is not None and not second.store.following.behind())
        assert second.store.following.fenced
        assert await sky.users() == ["1", "2"]
        assert len(second.events("epoch.taken")) == 1


async def test_a_cloud_that_answers_again_is_well_again_also_while_nobody_joins():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        assert bot.store.following is not None
        sky.go_away()
        bot.store.following.doubt()  # as behind a beat
        await bot.until(lambda: bool(bot.events("cloud.failed")))
        assert bot.store.health()[-1].error
        sky.come_back()
        await bot.until(lambda: bool(bot.events("cloud.recovered")))
        assert [health.error for health in bot.store.health()] == ["", "", ""]


async def test_an_uploader_that_dies_with_an_upload_in_flight_gives_nothing_twice():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        await bot.journal.open(GUILD, 1)
        held = asyncio.Event()

        async def hold(call: Call) -> None:
            if call.verb == "create":
                held.set()
                await asyncio.get_running_loop().create_future()

        nothing, sky.objects.after = sky.objects.after, hold
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await held.wait()
        sky.objects.after = nothing
        bot.supervisor.kill("uploader")
        await bot.journal.append(GUILD, 1, 1, (draft(2),))
        await bot.until(lambda: bot.store.following is not None and not bot.store.following.behind())
        assert await sky.users() == ["1", "2"]


def side_of(bot: Bot, sky: Sky, *, sleep: Sleep = asyncio.sleep) -> CloudSide:
    side = CloudSide(
        Cloud(MemoryObjects(sky.bucket), "a"),
        bot.store,
        hears=lambda: True,
        randomness=SystemRandomness(),
        clock=bot.clock,
        sleep=sleep,
        log=bot.logger,
    )
    side.attach(bot.journal, bot.named)
    return side


async def test_a_start_that_takes_long_shows_that_it_lives():
    """Whoever stands by takes over from one that is silent, and would never let it come to an end."""
    sky = Sky()
    other = await sky.overtake()
    await other.append([Append(guild=GUILD, base_seq=0, drafts=(draft(1),))])
    bot = Bot(cloud=sky.layer())
    side = side_of(bot, sky, sleep=lambda _: asyncio.sleep(0))
    beaten: list[bytes] = []

    async def wait(_call: Call) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        beaten.append(sky.bucket.objects.get("pulse/0000000002", b""))

    pulse = asyncio.create_task(side.handover.run())
    sky.objects.before = wait
    await bot.store.start()
    assert bot.store.epoch == 2
    assert beaten[-1].endswith(b" idle"), "while it still reads the cloud"
    for _ in range(200):
        await asyncio.sleep(0)
    pulse.cancel()
    assert sky.bucket.objects["pulse/0000000002"].isdigit()


async def test_a_holder_that_writes_at_each_beat_takes_records_and_one_whose_disk_hangs_does_not(
    monkeypatch: pytest.MonkeyPatch,
):
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        await bot.journal.open(GUILD, 1)
        writing, turns, said = asyncio.Event(), asyncio.Semaphore(0), list[bool]()
        plain = bot.log.append

        async def slow(frames: Sequence[Frame]) -> None:
            writing.set()
            await turns.acquire()
            await plain(frames)

        async def nap(_seconds: float) -> None:
            said.append(sky.bucket.objects["pulse/0000000001"].endswith(b" idle"))
            if len(said) <= 3:
                writing.clear()
                turns.release()
                await writing.wait()
            await asyncio.sleep(0)

        async def join() -> None:
            for user in range(1, 5):
                await bot.journal.append(GUILD, 1, user - 1, (draft(user),))

        monkeypatch.setattr(bot.log, "append", slow)
        joins = asyncio.create_task(join())
        await writing.wait()
        pulse = asyncio.create_task(side_of(bot, sky, sleep=nap).handover.run())
        await bot.until(lambda: len(said) >= 6)
        pulse.cancel()
        turns.release()
        await joins
    assert said[:6] == [True, False, False, False, True, True]


async def test_a_start_that_failed_shows_no_life_any_more(monkeypatch: pytest.MonkeyPatch):
    """Whoever stands by may be able to do what it could not."""
    bot = Bot(cloud=Sky().layer())

    async def fail(*_: object) -> NoReturn:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(recovery, "heal", fail)
    with pytest.raises(StorageError, match="the disk is gone"):
        await bot.store.start()
    assert bot.store.held == 0


@pytest.mark.parametrize("seen", [False, True])
async def test_nobody_says_goodbye_to_a_cloud_that_lacks_what_it_had_confirmed(*, seen: bool):
    """``seen``: the uploader has found it out, and no new epoch was taken yet."""
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        following = bot.store.following
        assert following is not None
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await bot.until(lambda: not following.behind())
        side = side_of(bot, sky)
        sky.bucket.objects.clear()
        following.fenced = not seen
        await side.leave(Drain(bot.clock))
        assert not any(key.startswith("goodbye/") for key in sky.bucket.objects)
        assert len(bot.events("cloud.left_behind")) == 1


async def test_nobody_says_goodbye_before_what_came_behind_an_upload_in_flight_is_up_too():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        side = side_of(bot, sky)
        await bot.journal.open(GUILD, 1)
        held, go_on = asyncio.Event(), asyncio.Event()

        async def hold(call: Call) -> None:
            if call.verb == "create" and not held.is_set():
                held.set()
                await go_on.wait()

        sky.objects.after = hold
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await held.wait()
        await bot.journal.append(GUILD, 1, 1, (draft(2),))
        leaving = asyncio.ensure_future(side.leave(Drain(bot.clock)))
        go_on.set()
        await leaving
        assert await sky.users() == ["1", "2"]
        assert any(key.startswith("goodbye/") for key in sky.bucket.objects)


async def test_an_epoch_that_is_taken_while_an_upload_is_under_way_waits_for_it_and_nothing_is_twice():
    sky = Sky()
    async with running(Bot(cloud=sky.layer())) as bot:
        await bot.journal.open(GUILD, 1)
        held, go_on = asyncio.Event(), asyncio.Event()

        async def hold(call: Call) -> None:
            if call.verb == "create" and not held.is_set():
                held.set()
                await go_on.wait()

        sky.objects.after = hold
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await held.wait()
        bot.journal.require_epoch()
        opening = asyncio.ensure_future(bot.journal.open(GUILD, 2))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not opening.done()
        go_on.set()
        assert (await opening).head is not None
        await bot.journal.append(GUILD, 2, 1, (draft(2),))
        await bot.until(lambda: bot.store.following is not None and not bot.store.following.behind())
        assert await sky.users() == ["1", "2"]


async def test_what_a_dead_journal_left_in_doubt_is_acknowledged_once_the_cloud_has_it_too():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        await bot.journal.open(GUILD, 1)
        append, reached = bot.database.append, asyncio.Event()

        async def hang(frames: Sequence[Frame]) -> None:
            del frames
            reached.set()
            await asyncio.get_running_loop().create_future()

        bot.database.append = hang  # type: ignore[method-assign]
        lost = asyncio.ensure_future(bot.journal.append(GUILD, 1, 0, (draft(1),)))
        await reached.wait()
        bot.database.append = append  # type: ignore[method-assign]
        bot.supervisor.kill("journal")
        with pytest.raises(StorageError):
            await lost
        await bot.until(lambda: bool(bot.events("epoch.taken")))
        sky.go_away()
        opened = asyncio.ensure_future(bot.journal.open(GUILD, 2))
        await bot.until(lambda: bool(bot.events("cloud.failed")))
        assert not bot.events("join.acknowledged")
        sky.come_back()
        assert len((await opened).lines) == 1
        await bot.until(lambda: bool(bot.events("join.acknowledged")))
        assert await sky.users() == ["1"]


async def test_nobody_waits_for_the_cloud_once_it_is_known_that_another_process_has_it():
    sky = Sky()
    bot = Bot(cloud=sky.layer(), ack="cloud")
    await bot.store.start()
    tree = asyncio.ensure_future(bot.supervisor.run(bot.specs()))
    await bot.journal.open(GUILD, 1)
    sky.go_away()
    late = asyncio.ensure_future(bot.journal.append(GUILD, 1, 0, (draft(1),)))
    await bot.until(lambda: bool(bot.events("cloud.failed")))
    await sky.overtake()
    sky.come_back()
    bot.journal.require_epoch()  # as the pulse does
    with pytest.raises(Stale):
        await tree
    assert (await late).degraded
    assert not bot.events("join.acknowledged")
    await bot.supervisor.drain()


async def test_joins_whose_branch_lost_are_not_said_to_be_acknowledged():
    sky = Sky()
    async with running(Bot(cloud=sky.layer(), ack="cloud")) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        sky.go_away()
        await take_epoch(bot)
        await bot.journal.open(GUILD, 2)
        assert (await bot.journal.append(GUILD, 2, 1, (draft(2),))).degraded
        other = await sky.overtake()
        await other.append([Append(guild=GUILD, base_seq=1, drafts=(draft(3),))])
        assert other.following is not None
        await other.following.give(other.frames_after)
        await take_epoch(bot)
        sky.come_back()
        await bot.until(lambda: bot.store.following is not None and bot.store.following.fenced)
        opened = await bot.journal.open(GUILD, 3)
        assert [record.event.user for record in opened.tail()] == ["1", "3"]
        assert (await bot.journal.append(GUILD, 3, 2, (draft(4),))).head.seq == 3
        assert [line["user"] for line in bot.events("join.acknowledged")] == ["1", "4"]
        assert len(bot.store.salvage.pending()) == 1, "its facts are recorded anew, and acknowledged then"


async def take_epoch(bot: Bot) -> None:
    """It takes a new one, wherever the cloud is."""
    count = len(bot.events("epoch.taken"))
    bot.journal.require_epoch()
    await bot.until(lambda: len(bot.events("epoch.taken")) > count)


async def test_whoever_holds_another_history_in_the_cloud_is_nobody_to_wait_for():
    """Two bots were given one prefix: the second would stand by, and be called healthy, for ever."""
    sky = Sky()
    await (await sky.overtake()).close()
    bot = Bot(cloud=sky.layer())

    async def mine() -> str:
        return "mine"

    side = side_of(bot, sky)
    side._lineage = mine
    with pytest.raises(WrongHistory, match=r"the cloud holds the history .* and the folder holds the history mine"):
        await side.await_turn()
