"""The world alone: no sockets."""

import asyncio
import base64
import json
import re
import sys

from sandbox import Sandbox
from sandbox.wire import iso


def story(seed: int) -> tuple[object, ...]:
    sandbox = Sandbox(seed=seed, clock=lambda: 1_767_323_045.678)
    guild = sandbox.world.add_guild(vanity="harbour")
    invite = sandbox.world.add_invite(guild, guild.owner)
    for _ in range(3):
        sandbox.world.join(guild, via=invite.code)
    return sandbox.token, guild.id, invite.code, tuple(sandbox.world.truth)


def test_the_same_seed_and_clock_give_the_same_world():
    assert story(3) == story(3)
    assert story(3) != story(4)


def test_timestamps_are_discords():
    assert iso(1_767_323_045_678_000) == "2026-01-02T03:04:05.678000+00:00"


def test_the_token_begins_with_the_bots_id():
    sandbox = Sandbox(seed=1)
    head = sandbox.token.split(".")[0]
    assert base64.urlsafe_b64decode(head + "==").decode() == str(sandbox.world.bot.id)


def test_a_standing_clock_still_tells_before_from_after():
    sandbox = Sandbox(seed=1, clock=lambda: 1_767_323_045.0)
    guild = sandbox.world.add_guild()
    invite = sandbox.world.add_invite(guild, guild.owner)
    moments = []
    for _ in range(3):
        moments.append(sandbox.world.clock.now_us())
        sandbox.world.join(guild, via=invite.code)
    assert [invite.uses_at(moment) for moment in moments] == [0, 1, 2]


async def test_it_can_be_started_by_hand():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--every", "60", stdout=asyncio.subprocess.PIPE
    )
    line = json.loads(await process.stdout.readline())
    process.terminate()
    await process.wait()
    process._transport.close()
    assert line["api_url"].startswith("http://127.0.0.1:")
    assert line["token"].count(".") == 2


async def test_it_prints_a_line_that_a_shell_can_take():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--export", stdout=asyncio.subprocess.PIPE
    )
    line = (await process.stdout.readline()).decode()
    process.terminate()
    await process.wait()
    process._transport.close()
    assert re.fullmatch(r"export DISCORD_API_URL=http://127\.0\.0\.1:\d+/api/v10 DISCORD_TOKEN=[\w.-]+\n", line)
