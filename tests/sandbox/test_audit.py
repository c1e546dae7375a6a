"""The audit log: what is written into it and what is not, how it is read, and who hears of it."""

import discord
import pytest

from sandbox import Guild, Sandbox
from sandbox.clock import DISCORD_EPOCH_US
from tests.sandbox.client import Bot, Connect, Payload, client_session


async def read(sandbox: Sandbox, guild: Guild, query: str = "") -> list[Payload]:
    url = f"{sandbox.api_url}/guilds/{guild.id}/audit-logs?{query}"
    async with client_session(f"Bot {sandbox.token}") as session, session.get(url) as answer:
        return (await answer.json())["audit_log_entries"]


async def test_only_a_person_who_deletes_an_invite_is_in_the_log(guild: Guild, sandbox: Sandbox):
    world, mod = sandbox.world, sandbox.world.add_staff(guild)
    used, expired, deleted = (world.add_invite(guild, guild.owner, max_uses=1) for _ in range(3))
    world.join(guild, via=used.code)
    world.expire_invite(guild, expired.code)
    world.delete_invite(guild, deleted.code, mod)
    (entry,) = await read(sandbox, guild, "action_type=42")
    old = {change["key"]: change["old_value"] for change in entry["changes"]}
    assert (entry["user_id"], entry["target_id"], old["code"]) == (str(mod.id), None, deleted.code)
    assert (old["uses"], old["max_uses"], old["inviter_id"]) == (0, 1, str(guild.owner.id))
    assert len(await read(sandbox, guild, "action_type=40")) == 3


async def test_an_entrys_id_carries_its_time(guild: Guild, sandbox: Sandbox):
    before_ms = sandbox.world.clock.now_us() // 1_000
    sandbox.world.add_invite(guild)
    (entry,) = await read(sandbox, guild)
    made_ms = (int(entry["id"]) >> 22) + DISCORD_EPOCH_US // 1_000
    assert before_ms <= made_ms <= sandbox.world.clock.now_us() // 1_000


async def test_who_added_a_bot_is_in_the_log(bot: Bot, guild: Guild, sandbox: Sandbox):
    mod = sandbox.world.add_staff(guild)
    join = sandbox.world.add_bot(guild, mod)
    (entry,) = await read(sandbox, guild, "action_type=28")
    assert (entry["user_id"], entry["target_id"], "changes" in entry) == (str(mod.id), str(join.user_id), False)
    (told,) = await bot.until_heard("GUILD_AUDIT_LOG_ENTRY_CREATE")
    assert told == entry | {"guild_id": str(guild.id)}
    assert bot.named("GUILD_MEMBER_ADD") == ["GUILD_MEMBER_ADD"]


async def test_pages_go_back_from_an_entry_or_forward_to_the_newest(guild: Guild, sandbox: Sandbox):
    for _ in range(5):
        sandbox.world.add_invite(guild)
    ids = [str(entry.id) for entry in guild.audit]
    back = await read(sandbox, guild, f"limit=2&before={ids[3]}")
    on = await read(sandbox, guild, f"limit=2&after={ids[1]}")
    assert ([entry["id"] for entry in back], [entry["id"] for entry in on]) == ([ids[2], ids[1]], ids[2:4])


async def test_an_entry_can_be_read_late_though_it_is_there(guild: Guild, sandbox: Sandbox):
    sandbox.world.add_invite(guild)
    sandbox.faults.audit_lag_us = 60_000_000
    assert await read(sandbox, guild) == []
    sandbox.faults.clear()
    assert len(await read(sandbox, guild)) == 1


async def test_entries_are_kept_for_45_days(now_s: list[float]):
    async with Sandbox(seed=7, clock=lambda: now_s[0]) as sandbox:
        guild = sandbox.world.add_guild()
        sandbox.world.add_invite(guild)
        now_s[0] += 45 * 86_400 + 1
        assert await read(sandbox, guild) == []


@pytest.fixture
def now_s() -> list[float]:
    return [1_767_323_045.0]


async def test_without_view_audit_log_it_is_neither_read_nor_told(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, view_audit_log=False)
    sandbox.world.add_invite(guild)
    await bot.until_heard("INVITE_CREATE")
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.get_audit_logs(guild.id)
    assert (refused.value.code, bot.data("GUILD_AUDIT_LOG_ENTRY_CREATE")) == (50013, [])


async def test_without_the_moderation_intent_it_is_not_told(connect: Connect, guild: Guild, sandbox: Sandbox):
    async with connect(moderation=False) as bot:
        sandbox.world.add_invite(guild)
        await bot.until_heard("INVITE_CREATE")
        sandbox.world.rename_guild(guild, "The Quay")
        await bot.until_heard("GUILD_UPDATE")
        assert bot.data("GUILD_AUDIT_LOG_ENTRY_CREATE") == []
