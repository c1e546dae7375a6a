"""Tallies are shared by all who wait, kept for a moment, and bounded; a failure is kept for nobody."""

import asyncio

import pytest

from actors.gateway.tallies import KEPT_S, MAX_KEPT, Key, Tallies
from actors.gateway.tally import By, Tally
from ledger.ids import GuildId
from tests.actors.harness import VirtualClock

KEY: Key = (GuildId("77"), By.STAFF, "all")


class Adder:
    """Adds up when a test lets it, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        self.may_go = asyncio.Event()
        self.trouble = ""
        self.clock = VirtualClock()
        self.tallies = Tallies(self.add_up, self.clock)

    async def add_up(self, key: Key) -> Tally | str:
        self.asked.append(key)
        await self.may_go.wait()
        return self.trouble or Tally((), key[1])


@pytest.fixture
def adder() -> Adder:
    return Adder()


async def test_all_who_ask_meanwhile_wait_for_the_same_tally(adder: Adder):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(adder.tallies.of(KEY)) for _ in range(50)]
        await asyncio.sleep(0)
        adder.may_go.set()
    assert len({id(task.result()) for task in tasks}) == 1
    assert adder.asked == [KEY]


async def test_a_tally_is_kept_for_a_moment_and_then_made_anew(adder: Adder):
    adder.may_go.set()
    first = await adder.tallies.of(KEY)
    adder.clock.now_s += KEPT_S - 1
    assert await adder.tallies.of(KEY) is first
    adder.clock.now_s += 1
    assert await adder.tallies.of(KEY) is not first


async def test_each_guild_window_and_kind_has_a_tally_of_its_own(adder: Adder):
    adder.may_go.set()
    keys: list[Key] = [KEY, (GuildId("78"), By.STAFF, "all"), (KEY[0], By.INVITER, "all"), (*KEY[:2], "7 days")]
    assert len({id(await adder.tallies.of(key)) for key in keys}) == 4


async def test_a_failure_is_told_to_all_who_wait_and_kept_for_nobody(adder: Adder):
    adder.trouble = "no disk"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(adder.tallies.of(KEY)) for _ in range(3)]
        await asyncio.sleep(0)
        adder.may_go.set()
    assert [task.result() for task in tasks] == ["no disk"] * 3
    assert len(adder.asked) == 1
    adder.trouble = ""
    assert isinstance(await adder.tallies.of(KEY), Tally)


async def test_where_whoever_added_up_goes_away_the_next_one_goes_on(adder: Adder):
    loop = asyncio.get_running_loop()
    first, second = (loop.create_task(adder.tallies.of(KEY)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    adder.may_go.set()
    assert isinstance(await second, Tally)
    assert len(adder.asked) == 2


async def test_only_so_many_are_kept_the_oldest_goes_first(adder: Adder):
    adder.may_go.set()
    keys: list[Key] = [(GuildId(str(number)), By.STAFF, "all") for number in range(MAX_KEPT + 1)]
    for key in keys:
        await adder.tallies.of(key)
    await adder.tallies.of(keys[-1])
    await adder.tallies.of(keys[0])
    assert adder.asked == [*keys, keys[0]]
