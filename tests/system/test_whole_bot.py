"""The whole program over real sockets and real files: what an operator sees, and what comes back after the worst."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from actors.cli.scoreboard import exported
from ledger.records import Status
from tests.system.conftest import Stage


async def test_a_join_is_worked_out_acknowledged_and_exported(stage: Stage):
    await stage.bot.start(guilds=1)
    join = stage.world.join(stage.guild, via=stage.invite.code)
    (line,) = await stage.worked_out(join)
    assert (line.status, line.code, line.credited) == (Status.CERTAIN, stage.invite.code, str(stage.staff.id))
    assert readable_for_others(stage.data) == []
    assert await stage.bot.stop() == 0


def readable_for_others(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.stat().st_mode & 0o077]


async def test_staff_assign_a_code_refresh_and_look_who_brought_how_many(stage: Stage):
    await stage.bot.start(guilds=1)
    slash, asker, other = stage.sandbox.slash, stage.staff, stage.world.add_staff(stage.guild)
    assigned = await slash(
        stage.guild, asker, "setup_staff_invite", {"staff": other, "code": stage.invite.code}, timeout_s=20
    )
    assert f"are credited to <@{other.id}>" in assigned.text
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(3)]
    await stage.worked_out(*joins)
    refreshed = await slash(stage.guild, asker, "refresh_invite_cache", timeout_s=20)
    assert "0 still open." in refreshed.text
    assert "written and read back: log, database." in refreshed.text
    named = await slash(stage.guild, asker, "fix_staff_usernames", timeout_s=20)
    assert "1 new" in named.text
    board = await slash(stage.guild, asker, "leaderboard", {"window": "7 days"}, timeout_s=20)
    assert f"**1.** <@{other.id}> (\u2068" in board.text
    assert "**3** net, 3 joined, 0 left" in board.text
    assert "3 joined, 0 left, 3 net." in (await slash(stage.guild, asker, "invites", {"member": other})).text
    assert "<@" in (await slash(stage.guild, asker, "who_invited", {"member": joins[0].user_id})).text
    assert "log at record" in (await slash(stage.guild, asker, "debug_invites")).text


async def test_after_sigkill_everything_acknowledged_is_in_the_export_and_the_rest_comes_back(stage: Stage):
    joins = []
    await stage.bot.start(guilds=1)
    for kill_after in (2, 5):
        known = len(stage.bot.acknowledged)
        for _ in range(8):
            joins.append(stage.world.join(stage.guild, via=stage.invite.code))
            await asyncio.sleep(0)
        await stage.bot.until(lambda k=known, n=kill_after: len(stage.bot.acknowledged) >= k + n, "joins")
        await stage.bot.kill()
        assert stage.bot.acknowledged <= exported(stage.data).keys()
        joins.append(stage.world.join(stage.guild, via=stage.invite.code))
        await stage.bot.start(guilds=1)
    lines = await stage.worked_out(*joins)
    assert {line.status for line in lines} <= {Status.CERTAIN, Status.LIKELY}
    assert {line.code for line in lines} == {stage.invite.code}


async def test_a_guild_without_manage_server_is_blind_and_sees_again_when_it_may(stage: Stage):
    stage.world.set_permissions(stage.guild, manage_guild=False)
    await stage.bot.start_blind()
    join = stage.world.join(stage.guild, via=stage.invite.code)
    await stage.bot.until(lambda: stage.told(join) is not None, "the join")
    line = stage.told(join)
    assert line is not None
    assert line.status is Status.PENDING
    stage.world.set_permissions(stage.guild, manage_guild=True)
    (line,) = await stage.worked_out(join)
    assert line.status is Status.UNKNOWN  # there was no sample before it


async def test_an_event_that_cannot_be_read_is_kept_told_and_breaks_continuity_only(stage: Stage):
    await stage.bot.start(guilds=1)
    stage.world.inject("GUILD_MEMBER_ADD", {"guild_id": str(stage.guild.id), "user": {"id": "not a number"}})
    await stage.bot.line("dispatch.unreadable")
    join = stage.world.join(stage.guild, via=stage.invite.code)
    (line,) = await stage.worked_out(join)
    assert line.status is Status.LIKELY
    await stage.bot.stop()
    assert len(list((stage.data / "quarantine").iterdir())) >= 1


async def test_a_damaged_log_comes_back_from_the_database(stage: Stage):
    await stage.bot.start(guilds=1)
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(5)]
    await stage.worked_out(*joins)
    await stage.bot.stop()
    before = exported(stage.data)
    for path in (stage.data / "log").iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    await stage.bot.start(guilds=1)
    assert exported(stage.data) == before
    later = stage.world.join(stage.guild, via=stage.invite.code)
    await stage.worked_out(later)
    await stage.bot.stop()
    assert verify(stage) == 0


async def test_a_damaged_database_comes_back_from_the_log(stage: Stage):
    await stage.bot.start(guilds=1)
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(5)]
    await stage.worked_out(*joins)
    await stage.bot.stop()
    path = stage.data / "ledger.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    await stage.bot.start(guilds=1)
    await stage.worked_out(*joins, stage.world.join(stage.guild, via=stage.invite.code))
    await stage.bot.stop()
    assert verify(stage) == 0


async def test_a_damaged_checkpoint_is_set_aside_said_and_not_needed(stage: Stage):
    await stage.bot.start(guilds=1)
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(3)]
    await stage.worked_out(*joins)
    await stage.bot.stop()
    (path, *_) = (stage.data / "checkpoints" / str(stage.guild.id)).iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    await stage.bot.start(guilds=1)
    restored = await stage.bot.line("guild.restored")
    assert path.name in str(restored["notes"])
    await stage.worked_out(*joins, stage.world.join(stage.guild, via=stage.invite.code))


async def test_a_second_process_on_the_folder_waits_and_then_names_the_first(stage: Stage):
    await stage.bot.start(guilds=1)
    second = stage.make_bot("second.log")
    assert await second.run_to_its_end() == 69
    assert f"process {stage.bot.pid}" in stage.said("second.log")


async def test_a_refused_token_holds_the_bot_with_its_fix_and_is_in_no_output(stage: Stage):
    bot = stage.make_bot("refused.log", DISCORD_TOKEN="MTIzNDU2Nzg5MDEyMzQ1Njc4.wrong.secret-part")
    await bot.start_held()
    assert "DISCORD_TOKEN" in str((await bot.line("preflight.held"))["findings"])
    assert await bot.stop() == 0
    assert "secret-part" not in stage.said("refused.log")


async def test_an_ephemeral_disk_is_warned_of(stage: Stage):
    stage.bot = stage.make_bot("bot.log", LEDGER_DISK="ephemeral")
    await stage.bot.start(guilds=1)
    assert (await stage.bot.line("disk.ephemeral_found"))["level"] == "warning"


async def test_a_folder_that_forgot_what_the_database_elsewhere_remembers_is_a_sign_of_an_ephemeral_disk(
    stage: Stage,
):
    stage.bot = stage.make_bot("bot.log", LEDGER_DISK="", DATABASE_URL=f"sqlite:///{stage.folder}/elsewhere.db")
    await stage.bot.start(guilds=1)
    join = stage.world.join(stage.guild, via=stage.invite.code)
    await stage.worked_out(join)
    await stage.bot.stop()
    known_already = "disk.ephemeral_found" in stage.said()  # where the tests' own folder lies on such a disk
    assert "a layer elsewhere" not in stage.said()
    shutil.rmtree(stage.data)
    await stage.bot.start(guilds=1)
    await stage.worked_out(join)
    await stage.bot.stop()
    assert known_already or stage.said().count("a layer elsewhere remembers") == 1
    await stage.bot.start(guilds=1)
    assert known_already or stage.said().count("a layer elsewhere remembers") == 1


def test_a_setting_that_cannot_be_used_ends_with_78_and_one_sentence(stage: Stage):
    environ = {**os.environ, "DISCORD_TOKEN": stage.sandbox.token, "LEDGER_SECOND_WITNESS": "maybe"}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "run"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "LEDGER_SECOND_WITNESS" in done.stderr


def verify(stage: Stage) -> int:
    """``inviteledger verify``; its exit code."""
    environ = {**os.environ, "LEDGER_DATA": str(stage.data)}
    return subprocess.run(
        [sys.executable, "-m", "supervisor", "verify"], env=environ, capture_output=True, check=False
    ).returncode


async def test_a_damaged_log_without_its_database_loses_what_was_damaged_and_nothing_that_came_later(stage: Stage):
    await stage.bot.start(guilds=1)
    joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(5)]
    await stage.worked_out(*joins)
    await stage.bot.stop()
    first = min((stage.data / "log").iterdir())
    lines = first.read_bytes().splitlines(keepends=True)
    broken = next(n for n, line in enumerate(lines) if b"verdict_reached" in line)
    lines[broken] = lines[broken].replace(b"verdict", b"verdikt", 1)
    first.write_bytes(b"".join(lines))
    for path in stage.data.glob("ledger.db*"):
        path.unlink()
    for _ in range(3):
        await stage.bot.start(guilds=1)
        joins.append(stage.world.join(stage.guild, via=stage.invite.code))
        await stage.worked_out(joins[-1])
        await stage.bot.stop()
        assert stage.bot.acknowledged <= exported(stage.data).keys()
    restored = await stage.bot.line("guild.restored")
    assert restored["seq"] == restored["checkpoint_seq"]


async def test_two_one_person_invites_used_in_one_burst_are_each_credited_to_who_asked_for_them(stage: Stage):
    await stage.bot.start(guilds=1)
    askers = [stage.staff, stage.world.add_staff(stage.guild)]
    friends = [stage.world.add_user() for _ in askers]
    for asker, friend in zip(askers, friends, strict=True):
        reply = await stage.sandbox.slash(stage.guild, asker, "invite for", {"user": friend}, timeout_s=20)
        assert "https://discord.gg/" in reply.text
    codes = [each.code for each in stage.guild.invites if each.targets]
    joins = [stage.world.join(stage.guild, friend, via=code) for friend, code in zip(friends, codes, strict=True)]
    lines = await stage.worked_out(*joins)
    for line, asker, code in zip(lines, askers, codes, strict=True):
        assert line.code in (code, None)
        assert line.credited in (str(asker.id), None)
        assert line.status is not Status.CERTAIN or line.code == code
    await stage.bot.until(
        lambda: all((line := stage.told(join)) and line.status is Status.CERTAIN for join in joins), "the audit log"
    )
    assert [line.credited for join in joins if (line := stage.told(join))] == [str(each.id) for each in askers]
