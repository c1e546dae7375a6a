"""Events lost, told twice and told late; the numbers on the wire stay without a gap."""

from sandbox import Guild, Sandbox
from tests.sandbox.client import Bot


async def joined(bot: Bot, count: int) -> list[int]:
    return [int(data["user"]["id"]) for data in await bot.until_heard("GUILD_MEMBER_ADD", count)]


async def test_a_dropped_event_is_never_told_and_leaves_no_gap(bot: Bot, guild: Guild, sandbox: Sandbox):
    session, feed = sandbox.sessions[0], sandbox.world.feed
    feed.drop_next("GUILD_MEMBER_ADD")
    before = session.seq
    sandbox.world.join(guild)
    assert session.seq == before
    second = sandbox.world.join(guild)
    assert await joined(bot, 1) == [second.user_id]
    assert feed.mischief.pending == 0


async def test_a_duplicated_event_has_two_numbers(bot: Bot, guild: Guild, sandbox: Sandbox):
    session = sandbox.sessions[0]
    sandbox.world.feed.duplicate_next("GUILD_MEMBER_ADD")
    before = session.seq
    join = sandbox.world.join(guild)
    assert await joined(bot, 2) == [join.user_id] * 2
    assert session.seq == before + 2


async def test_a_delayed_event_changes_places_with_the_ones_behind_it(bot: Bot, guild: Guild, sandbox: Sandbox):
    feed = sandbox.world.feed
    feed.delay_next("GUILD_MEMBER_ADD", behind=2)
    first, second, third = (sandbox.world.join(guild).user_id for _ in range(3))
    assert await joined(bot, 3) == [second, third, first]
    feed.delay_next("INVITE_CREATE")
    invite = sandbox.world.add_invite(guild)
    sandbox.world.delete_invite(guild, invite.code)
    await bot.until_heard("INVITE_DELETE")
    assert feed.mischief.pending == 0


async def test_a_held_event_meets_its_misfortune_when_it_is_released(bot: Bot, guild: Guild, sandbox: Sandbox):
    sandbox.world.feed.duplicate_next("GUILD_MEMBER_ADD")
    with sandbox.world.feed.holding() as held:
        users = [sandbox.world.join(guild).user_id for _ in range(2)]
        held.reverse()
    assert await joined(bot, 3) == [users[1], users[1], users[0]]
