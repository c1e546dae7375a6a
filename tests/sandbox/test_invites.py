import discord
import pytest

from sandbox import Guild, Sandbox
from tests.sandbox.client import Bot

NEVER = ("uses", "max_uses", "created_at", "expires_at")


async def test_permissions_decide_what_the_list_shows(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.add_invite(guild, guild.owner)
    (full,) = await bot.http.invites_from(guild.id)
    sandbox.world.set_permissions(guild, manage_guild=False)
    (bare,) = await bot.http.invites_from(guild.id)
    sandbox.world.set_permissions(guild, view_audit_log=False)
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.invites_from(guild.id)
    assert all(name in full and name not in bare for name in NEVER)
    assert refused.value.code == 50013


async def test_invite_events_need_manage_channels(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, manage_channels=False)
    sandbox.world.add_invite(guild, guild.owner)
    sandbox.world.set_permissions(guild, manage_channels=True)
    invite = sandbox.world.add_invite(guild, guild.owner)
    (event,) = await bot.until_heard("INVITE_CREATE")
    assert (event["code"], event["uses"]) == (invite.code, 0)


async def test_a_guild_without_the_feature_has_no_vanity(bot: Bot, guild: Guild):
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.get_vanity_code(guild.id)
    assert refused.value.code == 50020


@pytest.mark.usefixtures("sandbox")
async def test_an_invite_made_by_the_bot_is_full_and_announced(bot: Bot, guild: Guild):
    channel = bot.get_channel(guild.channel.id)
    made = await channel.create_invite(max_age=600, max_uses=3, unique=True, reason="for Ada")
    (event,) = await bot.until_heard("INVITE_CREATE")
    (listed,) = await bot.get_guild(guild.id).invites()
    assert made.code == event["code"] == listed.code
    assert (made.max_age, made.max_uses, made.uses, made.inviter.id) == (600, 3, 0, bot.user.id)
    assert listed.expires_at == made.expires_at
    assert listed.created_at == made.created_at.replace(microsecond=made.created_at.microsecond // 1_000 * 1_000)
    assert event["created_at"] == made.created_at.isoformat(timespec="microseconds")
    assert guild.audit[-1].reason == "for Ada"


async def test_unless_unique_the_same_invite_comes_again(bot: Bot, guild: Guild):
    channel = bot.get_channel(guild.channel.id)
    first = await channel.create_invite(max_age=600, unique=False)
    assert (await channel.create_invite(max_age=600, unique=False)).code == first.code
    assert (await channel.create_invite(max_age=600, unique=True)).code != first.code


async def test_an_invite_is_read_and_deleted_by_code(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    found = await bot.fetch_invite(invite.code, with_counts=False)
    await found.delete(reason="spring cleaning")
    with pytest.raises(discord.NotFound) as missing:
        await bot.fetch_invite(invite.code)
    assert missing.value.code == 10006
    assert (guild.audit[-1].by, guild.audit[-1].reason) == (sandbox.world.bot, "spring cleaning")


async def test_a_deleted_channel_takes_its_invites_along(bot: Bot, guild: Guild, sandbox: Sandbox):
    side = sandbox.world.add_channel(guild, "side")
    sandbox.world.add_invite(guild, guild.owner, channel=side)
    sandbox.world.delete_channel(guild, side)
    await bot.until_heard("CHANNEL_DELETE")
    assert await bot.http.invites_from(guild.id) == []
    assert bot.data("INVITE_DELETE") == []
