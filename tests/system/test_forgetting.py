"""`inviteledger forget` against a whole bot: beside it, after a kill, and without it."""

import asyncio
import os
import sys

from ledger.records import Status
from tests.system.conftest import Stage


async def forget(stage: Stage, port: int, *words: str) -> tuple[int, str]:
    """The command as a process of its own; its exit code and what it printed."""
    environ = {"LEDGER_DATA": str(stage.data), "LEDGER_DISK": "lasting", "LEDGER_HTTP": f"127.0.0.1:{port}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "supervisor", "forget", "--yes", *words),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode is not None, "it has ended"
    return process.returncode, out.decode()


async def port_of(stage: Stage) -> int:
    return int(str((await stage.bot.line("http.started"))["port"]))


async def test_a_person_is_forgotten_beside_the_bot_and_stays_so_after_a_kill_right_then(stage: Stage):
    await stage.bot.start(1)
    anna, ben = (
        stage.world.join(stage.guild, via=stage.invite.code),
        stage.world.join(stage.guild, via=stage.invite.code),
    )
    await stage.worked_out(anna, ben)
    code, out = await forget(stage, await port_of(stage), "--user", str(anna.user_id))
    await stage.bot.kill()
    assert code == 0
    assert out == (
        f"Forgotten: user {anna.user_id} in all servers. "
        "Servers: 1, memberships: 1, names: 0, events in quarantine: 0.\n"
    )
    assert stage.told(anna) is None
    assert stage.told(ben) is not None
    await stage.bot.start(1)
    carl = stage.world.join(stage.guild, via=stage.invite.code)
    (line,) = await stage.worked_out(carl)
    assert line.status in (Status.CERTAIN, Status.LIKELY)
    assert stage.told(anna) is None


async def test_without_a_bot_the_command_does_it_itself(stage: Stage):
    await stage.bot.start(1)
    anna = stage.world.join(stage.guild, via=stage.invite.code)
    await stage.worked_out(anna)
    await stage.bot.stop()
    inviter = str(stage.staff.id)
    assert (await forget(stage, 1, "--user", inviter))[0] == 0
    line = stage.told(anna)
    assert line is not None
    assert (line.inviter, line.staff, line.credited) == ("forgotten-1",) * 3
    assert (await forget(stage, 1, "--guild", str(stage.guild.id)))[0] == 0
    assert stage.told(anna) is None
    assert await forget(stage, 1, "--user", inviter) == (0, f"Nothing is known of user {inviter} in all servers.\n")
    await stage.bot.start(1)
    ben = stage.world.join(stage.guild, via=stage.invite.code)
    (line,) = await stage.worked_out(ben)
    assert line.status in (Status.CERTAIN, Status.LIKELY)


async def test_a_bot_that_cannot_be_reached_is_named_with_what_to_do(stage: Stage):
    await stage.bot.start(1)
    assert await forget(stage, 1, "--user", "7") == (69, "")
