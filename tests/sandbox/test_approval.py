"""Guilds that let in whom somebody approves: the use is counted long before the member comes."""

import pytest

from sandbox import VANITY, Guild, JoinSource, Sandbox
from sandbox.world import APPROVAL
from tests.sandbox.client import Bot


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(features=(APPROVAL,), vanity="harbour")


async def test_the_counter_rises_hours_before_the_member_comes(bot: Bot, guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner, max_uses=1)
    user = sandbox.world.apply(guild, via=invite.code).user
    await bot.until_heard("INVITE_DELETE")
    assert (invite.uses, bot.data("GUILD_MEMBER_ADD"), user.id in guild.members) == (1, [], False)
    join = sandbox.world.admit(guild, user)
    (event,) = await bot.until_heard("GUILD_MEMBER_ADD")
    assert (event["pending"], event["joined_at"], invite.uses) == (False, join.joined_at, 1)
    assert (join.via, join.inviter_id, join.way) == (invite.code, guild.owner.id, JoinSource.MANUAL_APPROVAL)
    assert join.applied_at_us is not None
    assert join.applied_at_us < join.joined_at_us


async def test_the_search_knows_them_as_let_in_by_hand_with_or_without_the_code(guild: Guild, sandbox: Sandbox):
    world = sandbox.world
    first, second = (world.apply(guild, via=VANITY).user for _ in range(2))
    world.set_vanity(guild, "quay")
    for user, keeps_code in ((first, True), (second, False)):
        world.admit(guild, user, keeps_code=keeps_code)
    told = [(guild.members[user.id].source, guild.members[user.id].code) for user in (first, second)]
    assert told == [(JoinSource.MANUAL_APPROVAL, "harbour"), (JoinSource.MANUAL_APPROVAL, None)]


async def test_who_is_turned_away_leaves_a_use_that_no_join_explains(guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild, guild.owner)
    user = sandbox.world.apply(guild, via=invite.code).user
    with pytest.raises(ValueError, match="waits there"):
        sandbox.world.apply(guild, user, invite.code)
    sandbox.world.turn_away(guild, user)
    assert (invite.uses, sandbox.world.truth, guild.applicants) == (1, [], {})


def test_nobody_applies_where_everybody_is_let_in(sandbox: Sandbox):
    with pytest.raises(ValueError, match="lets everybody in"):
        sandbox.world.apply(sandbox.world.add_guild())


async def test_one_more_role_is_told(bot: Bot, guild: Guild, sandbox: Sandbox):
    (user,) = sandbox.world.settle(guild, 1)
    crew, vip = (sandbox.world.add_role(guild, name) for name in ("Crew", "VIP"))
    sandbox.world.give_role(guild, user, crew)
    sandbox.world.give_role(guild, user, vip)
    told = [event["roles"] for event in await bot.until_heard("GUILD_MEMBER_UPDATE", 2)]
    assert told == [[str(crew.id)], [str(crew.id), str(vip.id)]]
