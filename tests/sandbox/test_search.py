"""members-search: what it truthfully tells, how it is asked, and how it can lag, lie and fail."""

import pytest

from sandbox import VANITY, Bend, Guild, Join, JoinSource, Sandbox
from sandbox.wire import as_rest_tells
from tests.sandbox.client import Payload, client_session


async def search(sandbox: Sandbox, guild: Guild, **body: object) -> tuple[int, Payload]:
    url = f"{sandbox.api_url}/guilds/{guild.id}/members-search"
    async with client_session(f"Bot {sandbox.token}") as session, session.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def found(sandbox: Sandbox, guild: Guild, *joins: Join, **body: object) -> list[Payload]:
    ids = {"or_query": {"user_id": {"or_query": [str(join.user_id) for join in joins]}}} if joins else {}
    status, answer = await search(sandbox, guild, **ids, **body)
    assert (status, answer["page_result_count"]) == (200, len(answer["members"]))
    return answer["members"]


async def test_each_way_in_is_known(guild: Guild, sandbox: Sandbox):
    world = sandbox.world
    world.set_vanity(guild, "harbour")
    invite = world.add_invite(guild, guild.owner)
    ways = (JoinSource.UNSPECIFIED, JoinSource.INTEGRATION, JoinSource.HUB, JoinSource.LOBBY, JoinSource.BOT)
    joins = [world.join(guild, via=invite.code), world.join(guild, via=VANITY), world.join(guild)]
    joins += [world.add_bot(guild), *(world.join(guild, way=way) for way in ways)]
    rows = {row["member"]["user"]["id"]: row for row in await found(sandbox, guild, *joins[:9])}
    told = [rows[str(join.user_id)] for join in joins]
    assert [row["join_source_type"] for row in told] == [5, 6, 3, 1, 0, 2, 4, 8, 1]
    assert [row["source_invite_code"] for row in told] == [invite.code, "harbour", *[None] * 7]
    assert [row["inviter_id"] for row in told] == [str(guild.owner.id), *[None] * 8]
    assert [join.way for join in joins] == [row["join_source_type"] for row in told]


def test_who_comes_by_an_invite_comes_by_no_other_way(guild: Guild, sandbox: Sandbox):
    invite = sandbox.world.add_invite(guild)
    with pytest.raises(ValueError, match="so not by HUB"):
        sandbox.world.join(guild, via=invite.code, way=JoinSource.HUB)


@pytest.mark.parametrize("sort", [1, 2, 3, 4])
async def test_cursors_lead_through_all_members_in_each_order(guild: Guild, sandbox: Sandbox, sort: int):
    for _ in range(7):
        sandbox.world.join(guild)
    everybody = await found(sandbox, guild, sort=sort, limit=1_000)
    pages: list[Payload] = []
    cursor: Payload = {}
    while page := await found(sandbox, guild, sort=sort, limit=4, **cursor):
        pages += page
        last = guild.members[int(page[-1]["member"]["user"]["id"])]
        cursor = {"after": {"guild_joined_at": last.joined_at_us // 1_000, "user_id": str(last.user.id)}}
    assert pages == everybody
    assert len(everybody) == len(guild.members)
    back = {"before": cursor["after"]}
    assert await found(sandbox, guild, sort=sort, limit=1_000, **back) == everybody[:-1]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 1_001},
        {"sort": 5},
        {"or_query": {"user_id": {"or_query": [str(number) for number in range(11)]}}},
        {"or_query": {"user_id": {"or_query": []}}},
        {"after": {"user_id": "1"}},
        {"after": {"guild_joined_at": 1}},
        {"and_query": {}},
    ],
)
async def test_what_discord_would_refuse_is_refused(guild: Guild, sandbox: Sandbox, body: Payload):
    status, told = await search(sandbox, guild, **body)
    assert (status, told["code"]) == (400, 50035)
    assert len(sandbox.violations.take("rest.invalid_form")) == 1


async def test_it_needs_manage_server(guild: Guild, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, manage_guild=False)
    status, told = await search(sandbox, guild)
    assert (status, told["code"]) == (403, 50013)


async def test_who_came_just_now_is_missing(guild: Guild, sandbox: Sandbox):
    join = sandbox.world.join(guild)
    sandbox.faults.search_lag_us = 20_000_000
    assert await found(sandbox, guild, join) == []
    assert len(await found(sandbox, guild)) == len(guild.members) - 1  # the settlers


async def test_an_index_may_be_built_for_a_while_or_for_ever(guild: Guild, sandbox: Sandbox):
    sandbox.faults.index_not_ready(retry_after_s=2.0)
    status, told = await search(sandbox, guild)
    assert (status, told["code"], told["retry_after"], "members" in told) == (202, 110000, 2.0, False)
    assert (await search(sandbox, guild))[0] == 200
    sandbox.faults.index_not_ready(times=None)
    assert [(await search(sandbox, guild))[0] for _ in range(3)] == [202] * 3
    sandbox.faults.stop("search")
    assert (await search(sandbox, guild))[0] == 200


async def test_it_can_be_off_and_what_is_scripted_comes_first(guild: Guild, sandbox: Sandbox):
    sandbox.faults.search_off()
    sandbox.faults.fail("search", 403)
    assert [(await search(sandbox, guild))[0] for _ in range(3)] == [403, 404, 404]
    sandbox.faults.clear()
    assert (await search(sandbox, guild))[0] == 200


async def test_an_answer_may_be_any_bytes(guild: Guild, sandbox: Sandbox):
    sandbox.faults.garble("search", b'{"members": 5}')
    assert await search(sandbox, guild) == (200, {"members": 5})


async def test_rows_may_be_those_of_others_or_of_another_guild(guild: Guild, sandbox: Sandbox):
    join, elsewhere = sandbox.world.join(guild), sandbox.world.add_guild()
    sandbox.faults.bend_search(Bend.OTHERS)
    others = await found(sandbox, guild, join)
    assert {row["member"]["user"]["id"] for row in others} == {str(guild.owner.id), str(sandbox.world.bot.id)}
    sandbox.faults.bend_search(Bend.ELSEWHERE)
    ids = {"or_query": {"user_id": {"or_query": [str(join.user_id)]}}}
    _, answer = await search(sandbox, guild, **ids)
    assert (answer["guild_id"], len(answer["members"])) == (str(elsewhere.id), 2)


async def test_of_who_came_again_the_row_may_be_the_old_one(guild: Guild, sandbox: Sandbox):
    world, user = sandbox.world, sandbox.world.add_user()
    invite = world.add_invite(guild, guild.owner)
    first = world.join(guild, user, invite.code)
    world.leave(guild, user)
    again = world.join(guild, user)
    sandbox.faults.bend_search(Bend.STALE)
    (stale,) = await found(sandbox, guild, again)
    (fresh,) = await found(sandbox, guild, again)
    old, new = (as_rest_tells({"joined_at": each.joined_at})["joined_at"] for each in (first, again))
    assert (stale["member"]["joined_at"], stale["source_invite_code"]) == (old, invite.code)
    assert (fresh["member"]["joined_at"], fresh["source_invite_code"]) == (new, None)
