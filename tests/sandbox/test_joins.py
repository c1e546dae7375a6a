import json

import pytest

from sandbox import NI, VANITY, Guild, Sandbox
from sandbox.models import InviteFlag
from tests.sandbox.client import Bot


async def test_a_join_arrives_and_its_counter_has_risen(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner, uses=4)
    join = sandbox.world.join(guild, via=invite.code)
    (event,) = await bot.until_heard("GUILD_MEMBER_ADD")
    (row,) = await bot.http.invites_from(guild.id)
    assert (event["user"]["id"], event["joined_at"]) == (str(join.user_id), join.joined_at)
    assert (row["code"], row["uses"], row["inviter"]["id"]) == (invite.code, 5, str(guild.owner.id))
    assert (join.via, join.inviter_id, join.connected) == (invite.code, guild.owner.id, True)


@pytest.mark.parametrize(
    ("delete_first", "order"),
    [(False, ["GUILD_MEMBER_ADD", "INVITE_DELETE"]), (True, ["INVITE_DELETE", "GUILD_MEMBER_ADD"])],
)
async def test_a_used_up_invite_vanishes_and_says_so_in_the_chosen_order(
    bot: Bot, guild: Guild, sandbox: Sandbox, *, delete_first: bool, order: list[str]
):
    invite = sandbox.world.add_invite(guild, guild.owner, max_uses=1)
    sandbox.world.join(guild, via=invite.code, delete_first=delete_first)
    await bot.until_heard(order[-1])
    assert bot.named(*order) == order
    assert await bot.http.invites_from(guild.id) == []
    assert [entry.code for entry in guild.audit if entry.action == 42] == []


async def test_a_deletion_by_somebody_is_in_the_audit_log(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    sandbox.world.delete_invite(guild, invite.code)
    await bot.until_heard("INVITE_DELETE")
    entries = [entry async for entry in bot.get_guild(guild.id).audit_logs(limit=5)]
    assert [entry.action.name for entry in entries] == ["invite_delete", "invite_create"]
    assert len(await bot.until_heard("GUILD_AUDIT_LOG_ENTRY_CREATE", 2)) == 2


async def test_a_held_join_comes_after_what_happened_later(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    sandbox.world.join(guild, via=invite.code, hold=True)
    sandbox.world.delete_invite(guild, invite.code)
    sandbox.world.feed.release()
    await bot.until_heard("GUILD_MEMBER_ADD")
    assert bot.named("INVITE_DELETE", "GUILD_MEMBER_ADD") == ["INVITE_DELETE", "GUILD_MEMBER_ADD"]


async def test_held_events_can_be_reordered(bot: Bot, guild: Guild, sandbox: Sandbox):
    with sandbox.world.feed.holding() as held:
        users = [sandbox.world.join(guild).user_id for _ in range(3)]
        held.reverse()
    heard = await bot.until_heard("GUILD_MEMBER_ADD", 3)
    assert [int(data["user"]["id"]) for data in heard] == users[::-1]


async def test_an_expired_invite_is_silent(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner, max_age_s=3_600)
    sandbox.world.expire_invite(guild, invite.code)
    assert await bot.http.invites_from(guild.id) == []
    assert bot.data("INVITE_DELETE") == []
    with pytest.raises(ValueError, match="no live invite"):
        sandbox.world.join(guild, via=invite.code)


async def test_the_vanity_counter_rises(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.set_vanity(guild, "harbour", uses=41)
    sandbox.world.join(guild, via=VANITY)
    assert await bot.http.get_vanity_code(guild.id) == {"code": "harbour", "uses": 42}
    assert sandbox.world.truth[-1].via == VANITY


async def test_leaves_kicks_and_rejoins(bot: Bot, guild: Guild, sandbox: Sandbox):
    user = sandbox.world.add_user()
    sandbox.world.join(guild, user)
    sandbox.world.leave(guild, user)
    assert sandbox.world.join(guild, user).rejoin
    sandbox.world.kick(guild, user)
    await bot.until_heard("GUILD_MEMBER_REMOVE", 2)
    assert [data["flags"] for data in bot.data("GUILD_MEMBER_ADD")] == [0, 1]
    assert [leave.kicked for leave in sandbox.world.leaves] == [False, True]


async def test_a_guest_invite_marks_its_member(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner, flags=InviteFlag.GUEST)
    sandbox.world.join(guild, via=invite.code)
    (event,) = await bot.until_heard("GUILD_MEMBER_ADD")
    assert event["flags"] == 16


async def test_bots_are_marked_and_in_the_audit_log(bot: Bot, guild: Guild, sandbox: Sandbox):
    join = sandbox.world.join(guild, sandbox.world.add_user(bot=True))
    (event,) = await bot.until_heard("GUILD_MEMBER_ADD")
    assert join.bot
    assert join.via == NI
    assert event["user"]["bot"] is True
    assert guild.audit[-1].action == 28


async def test_a_widget_invite_has_no_inviter(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.add_invite(guild, None)
    (row,) = await bot.http.invites_from(guild.id)
    assert "inviter" not in row
    assert "inviter" not in (await bot.until_heard("INVITE_CREATE"))[0]


async def test_a_repeated_join_moves_no_counter(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    join = sandbox.world.join(guild, via=invite.code)
    member = guild.members[join.user_id].user
    sandbox.world.repeat_join(guild, member, joined_at_us=join.joined_at_us + 400_000)
    events = await bot.until_heard("GUILD_MEMBER_ADD", 2)
    assert events[0]["joined_at"] != events[1]["joined_at"]
    assert (invite.uses, len(sandbox.world.truth)) == (1, 1)


async def test_a_pending_member_is_approved_later(bot: Bot, guild: Guild, sandbox: Sandbox):
    join = sandbox.world.join(guild, pending=True)
    sandbox.world.approve(guild, guild.members[join.user_id].user)
    (update,) = await bot.until_heard("GUILD_MEMBER_UPDATE")
    assert (bot.data("GUILD_MEMBER_ADD")[0]["pending"], update["pending"]) == (True, False)


async def test_members_are_listed_by_id_page_by_page(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.settle(guild, 1_500)
    first = await bot.http.get_members(guild.id, 1_000, None)
    second = await bot.http.get_members(guild.id, 1_000, first[-1]["user"]["id"])
    ids = [int(row["user"]["id"]) for row in first + second]
    assert ids == sorted(guild.members)
    assert len(first) == 1_000


def test_payloads_are_json_with_string_ids(guild: Guild, sandbox: Sandbox):
    with sandbox.world.feed.holding() as held:
        sandbox.world.join(guild)
        (event,) = held
    assert json.loads(json.dumps(event.data))["user"]["id"] == str(sandbox.world.truth[0].user_id)
