"""Names, roles and channels change; accounts and guilds go away."""

import discord
import pytest

from sandbox import Guild, Permission, Sandbox
from tests.sandbox.client import Bot, client_session


async def test_a_channel_where_manage_channels_is_denied_tells_nothing_of_its_invites(
    bot: Bot, guild: Guild, sandbox: Sandbox
):
    world, side = sandbox.world, sandbox.world.add_channel(guild, "side")
    world.set_overwrite(guild, side, guild.bot_role, deny=Permission.MANAGE_CHANNELS)
    hidden = world.add_invite(guild, channel=side)
    world.delete_invite(guild, hidden.code)
    shown = world.add_invite(guild)
    (event,) = await bot.until_heard("INVITE_CREATE")
    assert (event["code"], bot.data("INVITE_DELETE")) == (shown.code, [])
    known = bot.get_guild(guild.id)
    assert not known.get_channel(side.id).permissions_for(known.me).manage_channels
    world.set_overwrite(guild, side, guild.bot_role)
    world.add_invite(guild, channel=side)
    assert len(await bot.until_heard("INVITE_CREATE", 2)) == 2


async def test_a_members_own_overwrite_goes_before_those_of_roles(guild: Guild, sandbox: Sandbox):
    world, wish = sandbox.world, Permission.MANAGE_CHANNELS
    world.set_overwrite(guild, guild.channel, guild.bot_role, deny=wish)
    world.set_overwrite(guild, guild.channel, world.bot, allow=wish)
    assert world.bot_may(guild, wish, guild.channel)
    world.set_overwrite(guild, guild.channel, guild.everyone, deny=Permission.VIEW_CHANNEL)
    assert guild.permissions_in(world.bot, guild.channel) == Permission.NONE


@pytest.mark.parametrize(
    ("denied", "code"), [(Permission.CREATE_INSTANT_INVITE, 50013), (Permission.VIEW_CHANNEL, 50001)]
)
async def test_no_invite_can_be_made_where_that_is_denied(
    bot: Bot, guild: Guild, sandbox: Sandbox, denied: Permission, code: int
):
    sandbox.world.set_overwrite(guild, guild.channel, guild.everyone, deny=denied)
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.create_invite(guild.channel.id)
    assert refused.value.code == code


async def test_invites_live_a_week_at_most(bot: Bot, guild: Guild, sandbox: Sandbox):
    with pytest.raises(discord.HTTPException) as refused:
        await bot.http.create_invite(guild.channel.id, max_age=7 * 86_400 + 1)
    assert refused.value.code == 50035
    assert len(sandbox.violations.take("rest.invalid_form")) == 1


async def test_roles_come_change_and_go_from_their_members(bot: Bot, guild: Guild, sandbox: Sandbox):
    world, user = sandbox.world, sandbox.world.settle(guild, 1)[0]
    role = world.add_role(guild, "Crew")
    world.set_roles(guild, user, [role])
    world.change_role(guild, role, name="Officers", permissions=Permission.MANAGE_GUILD)
    assert Permission.MANAGE_GUILD in guild.permissions(user)
    world.delete_role(guild, role)
    await bot.until_heard("GUILD_ROLE_DELETE")
    names = ("GUILD_ROLE_CREATE", "GUILD_MEMBER_UPDATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE")
    assert tuple(bot.named(*names)) == names
    assert guild.members[user.id].roles == []


async def test_names_change_and_each_change_is_told_where_it_is_seen(bot: Bot, guild: Guild, sandbox: Sandbox):
    world, user = sandbox.world, sandbox.world.settle(guild, 1)[0]
    world.rename_user(user, "ada")
    world.set_nick(guild, user, "Countess")
    world.rename_guild(guild, "The Quay")
    world.rename_channel(guild, guild.channel, "lobby")
    world.rename_user(world.bot, "ledger")
    await bot.until_heard("USER_UPDATE")
    first, second, own = bot.data("GUILD_MEMBER_UPDATE")
    assert (first["user"]["username"], first["nick"], second["nick"]) == ("ada", None, "Countess")
    assert own["user"]["username"] == bot.data("USER_UPDATE")[0]["username"] == "ledger"
    assert (bot.get_guild(guild.id).name, bot.get_channel(guild.channel.id).name) == ("The Quay", "lobby")


async def test_unknown_people_and_deleted_accounts(bot: Bot, guild: Guild, sandbox: Sandbox):
    user = sandbox.world.settle(guild, 1)[0]
    assert (await bot.fetch_user(user.id)).name == user.name
    sandbox.world.delete_account(user)
    assert (await bot.fetch_user(user.id)).name.startswith("deleted_user_")
    await bot.until_heard("GUILD_MEMBER_REMOVE")
    with pytest.raises(discord.NotFound) as no_user:
        await bot.fetch_user(1)
    with pytest.raises(discord.NotFound) as no_member:
        await bot.http.get_member(guild.id, user.id)
    assert (no_user.value.code, no_member.value.code) == (10013, 10007)


async def test_a_guild_in_an_outage_answers_503(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.make_unavailable(guild)
    for request in (bot.http.invites_from(guild.id), bot.http.get_channel(guild.channel.id)):
        with pytest.raises(discord.DiscordServerError) as refused:
            await request
        assert refused.value.status == 503
    sandbox.world.make_available(guild)
    assert await bot.http.invites_from(guild.id) == []


async def post(sandbox: Sandbox, guild: Guild, **body: object) -> tuple[int, dict[str, object]]:
    url = f"{sandbox.api_url}/channels/{guild.channel.id}/messages"
    async with client_session(f"Bot {sandbox.token}") as session, session.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_message_with_an_enforced_nonce_is_sent_once(guild: Guild, sandbox: Sandbox):
    (_, first), (_, again), (_, other) = [
        await post(sandbox, guild, content="hello", nonce=nonce, enforce_nonce=True) for nonce in ("1", "1", "2")
    ]
    assert (first["id"] == again["id"], first["nonce"]) == (True, "1")
    assert other["id"] != first["id"]
    assert len(sandbox.world.messages) == 2


@pytest.mark.parametrize("body", [{"content": "x" * 2_001}, {"content": "x", "nonce": "9" * 26}])
async def test_a_message_beyond_the_limits_is_refused(guild: Guild, sandbox: Sandbox, body: dict[str, object]):
    status, told = await post(sandbox, guild, **body)
    assert (status, told["code"], sandbox.world.messages) == (400, 50035, [])
    assert len(sandbox.violations.take("rest.invalid_form")) == 1


async def test_a_channel_where_the_bot_may_not_write_refuses_it(guild: Guild, sandbox: Sandbox):
    sandbox.world.set_overwrite(guild, guild.channel, guild.everyone, deny=Permission.SEND_MESSAGES)
    status, told = await post(sandbox, guild, content="hello")
    assert (status, told["code"]) == (403, 50013)


async def test_the_system_channel_can_be_switched_off(bot: Bot, sandbox: Sandbox):
    guild = sandbox.world.add_guild()
    (first, second) = bot.data("GUILD_CREATE")[0], (await bot.until_heard("GUILD_CREATE", 2))[1]
    assert second["system_channel_id"] == str(guild.channel.id) != first["system_channel_id"]
    guild.has_system_channel = False
    sandbox.world.rename_guild(guild, "Without")
    (update,) = await bot.until_heard("GUILD_UPDATE")
    assert update["system_channel_id"] is None
