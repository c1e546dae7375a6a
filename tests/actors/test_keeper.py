"""The keeper: what a layer does not give back is found, said and mended; and nobody waits for it.

On real files and SQLite, and objects in memory for the cloud.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from actors import proving
from actors.care import REST_S
from actors.clock import SystemClock
from actors.drain import SHARES_S, Drain, Step
from actors.keeper import PASS_S, SCRUB_S, Keeper
from ledger import messages as m
from ledger.ids import GuildId, InviteCode
from persistence import cloud_packs, cloud_reading
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import SegmentHeader, read_header, segment_key
from persistence.disk import RealDisk
from persistence.frames import Frame, seal
from persistence.layer import Layer, all_checkpoints
from persistence.local import LocalLayer
from persistence.objects import Refused, Unreachable
from persistence.offload import inline
from persistence.sqlite import SqliteLayer
from tests.actors.harness import GUILD, Bot, running
from tests.actors.test_journal import draft
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.making import TestClock, TestRandomness
from tests.test_rounds import later

LAYERS = ("log", "database", "cloud")


class CountingLog(LocalLayer):
    """Counts the pieces that were read again."""

    pieces = 0

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        async for piece in super().reread(gsn):
            self.pieces += 1
            yield piece


class World:
    """A data folder and a bucket; bots live in it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bucket = MemoryBucket()
        self.counters = {InviteCode("A"): 3}
        self.lives = 0

    def bot(self) -> "Kept":
        self.lives += 1
        objects = MemoryObjects(self.bucket)
        disk = RealDisk()
        cloud = CloudLayer(objects, inline, TestRandomness(1_000 * self.lives), TestClock(), "writer")
        log = CountingLog(disk, self.folder, inline)
        database = SqliteLayer(disk, self.folder / "ledger.db", self.folder / "quarantine")
        bot = Kept(log, database, cloud, objects, self.lives)
        bot.outside.counters = self.counters
        return bot

    def flip(self, layer: str, mark: bytes, *, first: bool = False) -> None:
        """Flips a bit of a record wherever a layer nearby has it; of the last (or first) segment of the cloud."""
        if layer == "cloud":
            held = sorted(key for key, data in self.bucket.objects.items() if b'"kind":"records"' in data[:200])
            key = held[0 if first else -1]
            self.bucket.objects[key] = _flipped(self.bucket.objects[key], len(self.bucket.objects[key]) - 20)
            return
        files = sorted((self.folder / "log").glob("*.jsonl")) if layer == "log" else self.folder.glob("ledger.db*")
        for path in files:
            data = path.read_bytes()
            at = data.find(mark)
            while at >= 0:
                data = _flipped(data, at + len(mark) // 2)
                at = data.find(mark)
            with path.open("r+b") as file:
                file.write(data)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Kept(Bot):
    """A bot with a cloud and a keeper."""

    def __init__(
        self, log: CountingLog, database: SqliteLayer, cloud: CloudLayer, objects: MemoryObjects, life: int
    ) -> None:
        super().__init__((log, database), cloud=cloud)
        self._dispatches = 1_000 * life  # the session's numbers go on, and so does time
        self.clock.now_s += 100_000.0 * life
        self.layers: dict[str, Layer] = {"log": log, "database": database, "cloud": cloud}
        self.counting, self.sqlite, self.objects = log, database, objects
        self.keeper = Keeper(
            self.store, self.journal, self.supervisor, clock=self.clock, sleep=self._nap, log=self.logger
        )

    async def uploaded(self) -> None:
        following = self.store.following
        assert following is not None
        await self.until(lambda: not following.behind())

    async def joined(self, *users: int, guild: GuildId = GUILD) -> None:
        """These have joined, with everything that follows from it, in all three layers."""
        self.come_up(guild)
        for user in users:
            self.supervisor.roster.tell(guild, self.join(user))
        await self.until(lambda: {*map(str, users)} <= self._acknowledged(guild))
        await self.until(self.supervisor._is_quiet)
        await self.uploaded()

    def _acknowledged(self, guild: GuildId) -> set[object]:
        return {line["user"] for line in self.events("join.acknowledged") if line["guild"] == guild}

    async def healed(self) -> None:
        """The journal has seen to its layers, and all three hold the same."""
        self.clock.now_s += 10
        await self.journal.open(GuildId("1"), 1)
        assert all(health.healthy for health in self.store.health())
        held = {name: await everything(layer) for name, layer in self.layers.items()}
        assert held["log"] == held["database"] == held["cloud"]
        assert len(held["log"]) == self.store.newest_gsn()


async def everything(layer: Layer) -> list[bytes]:
    return [frame.data async for frame in layer.frames_after(0)]


@asynccontextmanager
async def kept(world: World) -> AsyncIterator[Kept]:
    bot = world.bot()
    async with running(bot):
        yield bot


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def mark_of(frame: bytes) -> bytes:
    """What tells a record from all others: its digest."""
    return frame.partition(b'"digest":"')[2][:64]


async def test_a_pass_reads_everything_back_from_every_layer_and_keeps_checkpoints_everywhere(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 31))
        await bot.joined(1, 2, guild=GuildId("88"))
        await bot.keeper.verify()
        (line,) = bot.events("backup.verified")
        assert (line["records"], line["guilds"], line["layers"]) == (bot.store.newest_gsn(), 2, list(LAYERS))
        for layer in bot.layers.values():
            (newest, *_) = await all_checkpoints(layer, GUILD)
            assert newest.header.seq == bot.store.head_of(GUILD).seq
        await bot.keeper.verify()
        assert [(line["records"], line["guilds"]) for line in bot.events("backup.verified")[1:]] == [(0, 0)]
        assert not bot.events("backup.differs")


async def test_nothing_is_read_from_memory(world: World):
    """A disk that gives back what was not written is found, whatever SQLite and the cloud's reader still know."""
    for layer in LAYERS:
        here = World(world.folder / layer)
        async with kept(here) as bot:
            await bot.joined(*range(1, 20))
            frames = await everything(bot.counting)
            here.flip(layer, mark_of(frames[-3]))
            await bot.keeper.verify()
            assert {line["layer"] for line in bot.events("backup.differs")} == {layer}
            mended = layer == "cloud"
            assert bool(bot.events("backup.verified")) is mended, "the others are mended by the journal, soon after"
            await bot.healed()
            await bot.keeper.verify()
            assert bot.events("backup.verified")[-1]["layers"] == list(LAYERS)
            assert bot.keeper.statistics().faults == 1


async def test_a_write_that_was_lost_behind_the_disks_promise_is_found(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 20))
        path = max((world.folder / "log").glob("*.jsonl"))
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-4]))
        await bot.keeper.verify()
        assert "cannot be read any more" in str(bot.events("backup.differs"))
        assert bot.events("backup.incomplete")[0]["layers"] == ["database", "cloud"]
        await bot.healed()


async def replace_a_row(bot: Kept) -> None:
    """Another record, sound in itself, stands where one was written."""
    frames = [frame async for frame in bot.sqlite.frames_after(0)]
    at = frames[-2].record
    other = seal(msgspec.structs.replace(at, at_ms=at.at_ms + 1), frames[-3].digest)

    def replace() -> None:
        db = bot.sqlite._database.connection
        db.execute("UPDATE frames SET frame = ? WHERE gsn = ?", (other.data, at.gsn))
        db.commit()

    await bot.sqlite._used()(replace)


async def test_a_sound_record_that_is_not_the_one_that_was_written_is_found(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 20))
        await replace_a_row(bot)
        await bot.keeper.verify()
        (line,) = bot.events("backup.differs")
        assert "it is not the record that was written" in str(line["what"])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("place", [0, 40, -1])
async def test_a_bit_that_flips_in_an_old_record_is_found_by_the_scrub_and_mended_from_another_layer(
    world: World, layer: str, place: int
):
    async with kept(world) as bot:
        await bot.joined(*range(1, 40))
    async with kept(world) as bot:
        await bot.joined(100)
        frames = await everything(bot.counting)
        world.flip(layer, mark_of(frames[place]), first=place == 0)
        await scrubbed(bot)
        assert {line["layer"] for line in bot.events("backup.differs")} == {layer}
        await bot.healed()
        assert await everything(bot.counting) == frames
        faults = bot.keeper.statistics().faults
        await scrubbed(bot)
        assert bot.keeper.statistics().faults == faults
        assert not bot.events("bot.stopped")


async def test_what_is_in_no_layer_any_more_is_a_fault_of_no_scrub(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 20))
        frames = await everything(bot.counting)
    for layer in LAYERS:
        world.flip(layer, mark_of(frames[0]), first=True)
    async with kept(world) as bot:
        await bot.joined(100)
        assert {bytes(frame) for frame in frames} - {*await everything(bot.counting)} == {frames[0]}
        await scrubbed(bot)
        await scrubbed(bot)
        assert not bot.events("backup.differs")
        assert not bot.events("layer.failed")


async def test_a_line_of_the_log_that_holds_no_record_is_looked_at_as_well(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 10))
    async with kept(world) as bot:
        world.flip("log", b'{"batch":{"confirmed":2}')
        await scrubbed(bot)
        assert "checksum differs" in str(bot.events("backup.differs"))
        await bot.healed()
        await scrubbed(bot)
        assert bot.keeper.statistics().faults == 1, "the file was written anew"


async def test_all_of_a_large_damaged_segment_is_written_once_more(world: World, monkeypatch: pytest.MonkeyPatch):
    """As an outage of the cloud leaves them: whatever waited goes up as one."""
    monkeypatch.setattr(proving, "MEND_RECORDS", 3)
    async with kept(world) as bot:
        guilds = [GuildId(str(each)) for each in range(1_001, 1_025)]
        for guild in guilds:
            await bot.journal.open(guild, 1)
        await asyncio.gather(*(bot.journal.append(guild, 1, 0, (draft(1),)) for guild in guilds))
        await bot.uploaded()
        assert max(world.bucket.objects) == "seg/0000000002", "all in one"
        world.flip("cloud", b"")
        await scrubbed(bot)
        await bot.healed()


async def test_a_segment_that_rots_beneath_a_pack_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 3)
    async with kept(world) as bot:
        for user in range(1, 9):
            await bot.joined(user)
        await bot.keeper.verify()
        assert any(key.startswith("pack/") for key in world.bucket.objects)
        world.flip("cloud", b"", first=True)
        await scrubbed(bot)
        (line,) = bot.events("backup.differs")
        assert (line["layer"], "seg/0000000002" in str(line["what"])) == ("cloud", True)


def rot(world: World, *numbers: int) -> None:
    """A bit flips in each of these segments."""
    for key in map(segment_key, numbers):
        world.bucket.objects[key] = _flipped(world.bucket.objects[key], len(world.bucket.objects[key]) - 20)


async def test_all_damage_that_a_mend_comes_upon_is_told_and_mended(world: World, monkeypatch: pytest.MonkeyPatch):
    """Where the history is larger than what is kept in memory."""
    monkeypatch.setattr(cloud_reading, "KEPT_BYTES", 0)
    async with kept(world) as bot:
        for user in range(1, 41):
            await bot.joined(user)
        await bot.keeper.verify()
        rot(world, 10, 20)
        for _ in range(len(world.bucket.objects)):
            await bot.keeper.scrub()
        assert len(bot.events("backup.differs")) == 2
        await bot.healed()


async def test_a_segment_that_the_store_gives_to_nobody_does_not_keep_the_scrub_from_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def refuse(call: Call) -> None:
        if call.verb == "get" and call.key == segment_key(4):
            raise Refused("403: archived")

    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 3)
    async with kept(world) as bot:
        for user in range(1, 13):
            await bot.joined(user)
        await bot.keeper.verify()
        bot.objects.before = refuse
        rot(world, 6)
        await scrubbed(bot)
        told = sorted(str(line["what"]) for line in bot.events("backup.differs"))
        assert [("archived" in what, segment_key(6) in what) for what in told] == [(True, False), (False, True)]


async def test_a_process_begins_its_scrub_where_the_date_says(world: World):
    """Each lives for a tenth of the time that a scrub takes; together they come through all of it."""
    async with kept(world) as bot:
        await bot.joined(*range(1, 40))
    for tenth in range(10):
        bot = world.bot()
        bot.clock.now_s = (100 + tenth / 10) * SCRUB_S
        async with running(bot):
            await bot.uploaded()
            bot.keeper._look()
            places = [walk.gsn / bot.store.newest_gsn() for walk in bot.keeper._scrubs.values()]
            assert places == pytest.approx([tenth / 10] * 3, abs=0.05)


async def scrubbed(bot: Kept) -> None:
    """Every layer was gone through once and more."""
    await bot.keeper.go_round()
    for _ in range(60):
        await bot.keeper.scrub()


async def test_a_pass_beside_a_thousand_joins_loses_none_and_lets_no_answer_wait_for_more_than_a_piece_and_a_batch(
    world: World,
):
    guilds = [GuildId(str(each)) for each in range(1_001, 1_101)]
    async with kept(world) as bot:
        for guild in guilds:
            await bot.journal.open(guild, 1)
            await bot.journal.append(guild, 1, 0, (draft(1),))
        await bot.uploaded()
        waits: list[tuple[int, int]] = []

        async def join(guild: GuildId, user: int) -> None:
            pieces, batches = bot.counting.pieces, bot.journal.statistics().batches
            await bot.journal.append(guild, 1, user - 1, (draft(user),))
            waits.append((bot.counting.pieces - pieces, bot.journal.statistics().batches - batches))

        async def all_join() -> None:
            for user in range(2, 12):
                await asyncio.gather(*(join(guild, user) for guild in guilds))

        async with asyncio.TaskGroup() as group:
            group.create_task(all_join())
            passes = group.create_task(walks(bot))
        assert passes.result() > 10, "they were there at the same time"
        assert len(waits) == 1_000
        assert max(waits) <= (2, 2)
        await bot.uploaded()
        await bot.healed()
        assert bot.store.newest_gsn() == 1_100


async def walks(bot: Kept) -> int:
    """The scrub goes round and round, the pass as well."""
    bot.keeper._look()
    for _ in range(40):
        await bot.keeper.scrub()
        await bot.keeper._prove_records(0.0, {})
    return bot.counting.pieces


async def away(call: Call) -> None:
    del call
    raise Unreachable("the bucket does not answer")


async def test_a_cloud_that_is_away_during_a_pass_is_said_and_the_next_pass_does_it(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 10))
        before, bot.objects.before = bot.objects.before, away
        await bot.keeper.verify()
        (line,) = bot.events("backup.incomplete")
        assert (line["layers"], line["guilds_left"]) == (["log", "database"], 0)
        assert "does not answer" in str(line["why"])
        bot.objects.before = before
        await bot.keeper.verify()
        (line,) = bot.events("backup.verified")
        assert (line["records"], line["layers"]) == (bot.store.newest_gsn(), list(LAYERS))
        cloud = bot.layers["cloud"]
        assert (await all_checkpoints(cloud, GUILD))[0].header.seq == bot.store.head_of(GUILD).seq


async def test_a_keeper_that_is_killed_at_any_step_of_a_pass_begins_again_and_proves_the_rest(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 20))
        loop = asyncio.get_running_loop()
        for step in range(0, 200, 7):
            bot.supervisor.roster.tell(GUILD, bot.join(100 + step))
            await bot.until(bot.supervisor._is_quiet)
            life = loop.create_task(bot.keeper.verify())
            for _ in range(step):
                await asyncio.sleep(0)
            life.cancel()
            await asyncio.wait([life])
        await bot.uploaded()
        await bot.keeper.verify()
        assert bot.events("backup.verified")[-1]["layers"] == list(LAYERS)
        assert not bot.events("backup.differs")
        assert not bot.events("layer.failed")
        assert all(walk.gsn >= bot.store.newest_gsn() for walk in bot.keeper._passes.values())


async def test_what_a_keeper_has_found_when_it_is_killed_in_a_round_is_mended_by_later_ones(world: World):
    async with kept(world) as bot:
        for step in range(0, 60, 4):
            await bot.joined(100 + step)
            world.flip("cloud", b"")
            life = asyncio.get_running_loop().create_task(bot.keeper.go_round())
            for _ in range(step):
                await asyncio.sleep(0)
            life.cancel()
            await asyncio.wait([life])
            await scrubbed(bot)
            await bot.healed()


async def test_the_keeper_goes_round_every_minute_and_passes_every_half_hour(world: World):
    async with kept(world) as bot:
        await bot.joined(1, 2)
        began_s = bot.clock.now_s
        life = asyncio.get_running_loop().create_task(bot.keeper.run())
        await bot.until(lambda: len(bot.events("backup.verified")) == 3)
        life.cancel()
        assert 3 * PASS_S <= bot.clock.now_s - began_s <= 3.2 * PASS_S
        assert bot.keeper.statistics().age_s <= PASS_S
        assert bot.keeper.statistics().scrubbed > 0


async def test_a_drain_reads_back_what_no_pass_has_seen(world: World):
    bot = world.bot()
    async with running(bot):
        await bot.joined(*range(1, 10))
        await bot.keeper.verify()
        proved = bot.store.newest_gsn()
        await bot.joined(*range(1, 14))
        await bot.supervisor.drain(bot.keeper.finish)
        (_, line) = bot.events("backup.verified")
        assert (line["records"], line["guilds"]) == (bot.store.newest_gsn() - proved, 1)


async def test_after_a_life_shorter_than_a_pass_a_damaged_segment_of_the_cloud_costs_its_own_records_alone(
    world: World, tmp_path: Path
):
    bot = world.bot()
    async with running(bot):
        for user in range(1, 6):
            await bot.joined(*range(1, user + 1))
        await bot.supervisor.drain(bot.keeper.finish)
        frames, head = await everything(bot.counting), bot.store.head_of(GUILD)
    first = min(key for key, data in world.bucket.objects.items() if b'"kind":"records"' in data[:200])
    lost = read_header(world.bucket.objects[first], SegmentHeader, first).last_gsn
    world.flip("cloud", b"", first=True)
    world.folder = tmp_path / "new"
    async with kept(world) as bot:
        opened = await bot.journal.open(GUILD, 1)
        assert (opened.head, list(opened.lines)) == (head, [])
        assert await everything(bot.counting) == frames[lost:]


async def test_a_drain_without_time_for_checkpoints_in_the_cloud_reads_back_all_the_same(world: World):
    bot = world.bot()
    async with running(bot):
        await bot.joined(*range(1, 10))

        async def hang(call: Call) -> None:
            if call.key.startswith("checkpoint/"):
                await asyncio.Event().wait()

        bot.objects.before = hang
        drain = Drain(SystemClock())
        await bot.supervisor.drain(bot.keeper.finish, drain)
        assert drain.cut == []
        assert bot.events("backup.verified")
        assert not bot.events("backup.incomplete")


async def test_a_drain_says_what_it_could_not_prove_in_time(world: World):
    bot = world.bot()
    async with running(bot):
        await bot.joined(*range(1, 10))

        async def hang(call: Call) -> None:
            if call.verb == "get":
                await asyncio.Event().wait()

        bot.objects.before = hang
        drain = Drain(SystemClock(), dict.fromkeys(SHARES_S, 0.0) | {Step.MAILBOXES: 0.3})
        await bot.supervisor.drain(bot.keeper.finish, drain)
        assert drain.cut == [Step.READING]
        (line,) = bot.events("backup.incomplete")
        assert (line["left"], line["guilds_left"]) == (bot.store.newest_gsn(), 1)
        assert "not done before" in json.dumps(line["why"])


async def test_a_drain_proves_nothing_of_a_cloud_that_was_left_behind(world: World, monkeypatch: pytest.MonkeyPatch):
    bot = world.bot()
    async with running(bot):
        await bot.joined(*range(1, 10))
        assert bot.store.following is not None
        monkeypatch.setattr(bot.store.following, "behind", lambda: 3)
        await bot.supervisor.drain(bot.keeper.finish)
        assert not bot.events("backup.verified")
        (line,) = bot.events("backup.incomplete")
        assert line["why"] == {"cloud": "it lacks 3 records"}


async def test_a_drain_ends_a_pass_that_is_under_way_and_mends_nothing_in_a_cloud_that_is_anothers_by_now(
    world: World,
):
    bot = world.bot()
    async with running(bot):
        await bot.joined(*range(1, 10))
        world.flip("cloud", b"")
        life = asyncio.get_running_loop().create_task(bot.keeper.run())
        await asyncio.sleep(0)
        before = set(world.bucket.objects)
        await bot.supervisor.drain(bot.keeper.finish)
        assert life.done()
        assert {key.partition("/")[0] for key in set(world.bucket.objects) - before} == {"checkpoint"}
        assert bot.events("backup.differs")
        assert "cloud" in str(bot.events("backup.incomplete")[0]["why"])


async def test_a_guild_at_rest_has_its_checkpoint_read_back(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 5))
        bot.supervisor.roster.tell(GUILD, m.RemoveGuild(at_us=bot.clock.stamp_us()))
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "away")
        later(bot, REST_S)
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "left")
        await bot.uploaded()
        await bot.keeper.verify()
        (line,) = bot.events("backup.verified")
        assert line["guilds"] == 1
        assert bot.layers["cloud"].checkpoint_seq(GUILD) == bot.store.head_of(GUILD).seq


async def test_a_guild_whose_records_nobody_has_a_state_of_stays_to_be_done(world: World):
    async with kept(world) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (draft(1),))
        await bot.uploaded()
        await bot.keeper.verify()
        (line,) = bot.events("backup.incomplete")
        assert (line["guilds_left"], line["why"], line["layers"]) == (1, {}, list(LAYERS))


async def test_a_pass_packs_the_cloud_and_goes_on_reading_it(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 3)
    async with kept(world) as bot:
        for user in range(1, 6):
            await bot.joined(*range(1, user + 1))
        await bot.keeper.verify()
        assert any(key.startswith("pack/") for key in world.bucket.objects)
        await scrubbed(bot)
        await bot.joined(*range(1, 8))
        await bot.keeper.verify()
        assert len(bot.events("backup.verified")) == 2
        assert not bot.events("backup.differs")


async def test_between_two_passes_each_round_packs_what_is_loose_so_that_a_start_reads_few_small_segments(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    due = 6
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", due)
    async with kept(world) as bot:
        for minute in range(6):
            for user in range(4):
                await bot.joined(100 * minute + user)
            await bot.keeper.go_round()
        assert not bot.events("backup.verified"), "no pass was due"
    asked: list[str] = []

    async def note(call: Call) -> None:
        asked.append(call.key)

    newcomer = world.bot()
    newcomer.objects.before = note
    await newcomer.layers["cloud"].open()
    assert len([key for key in asked if key.startswith("seg/0")]) <= due


async def test_a_checkpoint_that_the_cloud_lacks_from_before_is_sent_by_the_first_pass(world: World):
    async with kept(world) as bot:
        await bot.joined(*range(1, 10))
    for key in [key for key in world.bucket.objects if key.startswith("checkpoint/")]:
        del world.bucket.objects[key]
    async with kept(world) as bot:
        bot.come_up()
        await bot.until(lambda: bot.supervisor.phase_of(GUILD) == "live")
        await bot.keeper.verify()
        cloud = bot.layers["cloud"]
        assert (await all_checkpoints(cloud, GUILD))[0].header.seq == bot.store.head_of(GUILD).seq
