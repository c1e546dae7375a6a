"""Actors of the whole bot are killed, and its disk is full for a while: nothing is lost, nobody else is disturbed."""

import asyncio
import resource

import pytest

from ledger.records import Status
from tests.system.conftest import Stage

FULL_BYTES = 1
"""No file may grow beyond: every write of log and database fails as on a full disk."""


def events(stage: Stage, name: str) -> int:
    """How many lines with this event the bot has written."""
    return stage.said().count(f'"event":"{name}"') + stage.said().count(f'"event": "{name}"')


async def all_acknowledged(stage: Stage, joins: int) -> None:
    """Waits: a verdict can be read in the folder before the line that acknowledges the join has come by the pipe."""
    await stage.bot.until(lambda: len(stage.bot.acknowledged) >= joins, "acknowledgements")
    assert len(stage.bot.acknowledged) == joins


@pytest.mark.parametrize("victim", ["journal", "gateway", "http", "caretaker", "guild"])
async def test_an_actor_killed_amid_joins_comes_back_and_every_join_is_worked_out_once(stage: Stage, victim: str):
    await stage.bot.start(guilds=1)
    name = f"guild/{stage.guild.id}" if victim == "guild" else victim
    joins = []
    for round_ in range(3):
        for _ in range(4):
            joins.append(stage.world.join(stage.guild, via=stage.invite.code))
            await asyncio.sleep(0)
        await stage.bot.kill_actor(name)
        await stage.bot.until(lambda n=round_ + 1: events(stage, "actor.restarted") >= n, "a restart")
        if victim == "http":
            await stage.bot.until(lambda n=round_ + 2: events(stage, "http.started") >= n, "a new port")
    lines = await stage.worked_out(*joins)
    assert {line.status for line in lines} <= {Status.CERTAIN, Status.LIKELY}
    await all_acknowledged(stage, len(joins))
    sessions = events(stage, "gateway.session_began")
    assert sessions > 1 if victim == "gateway" else sessions == 1
    assert await stage.bot.stop() == 0


async def test_on_a_full_disk_nothing_is_acknowledged_and_with_room_it_goes_on_by_itself(stage: Stage):
    await stage.bot.start(guilds=1)
    first = stage.world.join(stage.guild, via=stage.invite.code)
    await stage.worked_out(first)
    room = resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, room[1]))
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(3)]
    await stage.bot.until(lambda: events(stage, "storage.stalled") >= 2, "the stall")
    assert len(stage.bot.acknowledged) == 1
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, room)
    lines = await stage.worked_out(*joins)
    assert {line.code for line in lines} == {stage.invite.code}
    await all_acknowledged(stage, 4)
    assert events(stage, "gateway.session_began") == 1
    assert await stage.bot.stop() == 0
