"""Invites that give roles, and invites for named people alone: how they are made, and whom they let in."""

import json

import aiohttp
import pytest

from sandbox import Guild, Permission, Sandbox, User
from sandbox.models import JobState
from tests.sandbox.client import Bot, Payload, client_session

WISH = Permission.MANAGE_GUILD | Permission.MANAGE_CHANNELS | Permission.VIEW_AUDIT_LOG | Permission.MANAGE_ROLES


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(permissions=WISH)


async def ask(sandbox: Sandbox, method: str, path: str, **options: object) -> tuple[int, str]:
    url = sandbox.api_url + path
    async with (
        client_session(f"Bot {sandbox.token}") as session,
        session.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.text()


def form(csv: str, **body: object) -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("payload_json", json.dumps(body))
    data.add_field("target_users_file", csv.encode(), filename="users.csv", content_type="text/csv")
    return data


async def create(sandbox: Sandbox, guild: Guild, **options: object) -> tuple[int, Payload]:
    status, text = await ask(sandbox, "POST", f"/channels/{guild.channel.id}/invites", **options)
    return status, json.loads(text)


def csv_of(*users: User) -> str:
    return "".join(f"{line}\n" for line in ["user_id", *(user.id for user in users)])


async def test_a_role_invite_gives_its_roles_at_the_door(bot: Bot, guild: Guild, sandbox: Sandbox):
    role = sandbox.world.add_role(guild, "Crew")
    _, made = await create(sandbox, guild, json={"role_ids": [str(role.id)]})
    (told,) = await bot.until_heard("INVITE_CREATE")
    join = sandbox.world.join(guild, via=made["code"])
    (event,) = await bot.until_heard("GUILD_MEMBER_ADD")
    assert ([each["id"] for each in made["roles"]], told["role_ids"]) == ([str(role.id)], [str(role.id)])
    assert (event["roles"], guild.members[join.user_id].roles) == ([str(role.id)], [role.id])
    sandbox.world.delete_role(guild, role)
    (row,) = await bot.http.invites_from(guild.id)
    assert row["roles"] == [{"id": str(role.id)}]
    assert guild.members[sandbox.world.join(guild, via=made["code"]).user_id].roles == []


async def test_a_member_who_accepts_a_role_invite_gets_its_roles_and_is_counted(
    bot: Bot, guild: Guild, sandbox: Sandbox
):
    world, (user,) = sandbox.world, sandbox.world.settle(guild, 1)
    role = world.add_role(guild, "Crew")
    invite = world.add_invite(guild, guild.owner, roles=[role], max_uses=1)
    world.accept(guild, user, invite.code)
    (event,) = await bot.until_heard("GUILD_MEMBER_UPDATE")
    await bot.until_heard("INVITE_DELETE")
    assert (event["roles"], invite.uses, bot.data("GUILD_MEMBER_ADD")) == ([str(role.id)], 1, [])
    with pytest.raises(ValueError, match="gives no roles"):
        world.accept(guild, user, world.add_invite(guild).code)


async def test_roles_take_manage_roles_and_stand_below_the_bots_own(guild: Guild, sandbox: Sandbox):
    low, high = sandbox.world.add_role(guild, "Crew"), guild.bot_role
    assert (await create(sandbox, guild, json={"role_ids": [str(high.id)]}))[0] == 403
    sandbox.world.change_role(guild, guild.bot_role, permissions=Permission.MANAGE_GUILD)
    assert (await create(sandbox, guild, json={"role_ids": [str(low.id)]}))[0] == 403
    status, told = await create(sandbox, guild, json={"role_ids": ["5"]})
    assert (status, told["code"], guild.invites) == (400, 50035, [])
    sandbox.violations.take("rest.invalid_form")


async def test_an_invite_for_one_person_lets_in_nobody_else(guild: Guild, sandbox: Sandbox):
    world, ada, bob = sandbox.world, sandbox.world.add_user("ada"), sandbox.world.add_user("bob")
    _, made = await create(sandbox, guild, data=form(csv_of(ada), max_uses=1, unique=True))
    (invite,) = guild.invites
    assert (invite.max_uses, invite.targets) == (1, frozenset([ada.id]))
    with pytest.raises(ValueError, match="bob is none of those"):
        world.join(guild, bob, made["code"])
    assert invite.uses == 0
    assert world.join(guild, ada, made["code"]).inviter_id == world.bot.id


async def test_a_plain_invite_is_not_given_in_place_of_one_with_roles_or_names(guild: Guild, sandbox: Sandbox):
    role = sandbox.world.add_role(guild, "Crew")
    _, plain = await create(sandbox, guild, json={})
    _, named = await create(sandbox, guild, data=form(csv_of(guild.owner)))
    _, given = await create(sandbox, guild, json={"role_ids": [str(role.id)]})
    assert len({plain["code"], named["code"], given["code"]}) == 3


async def test_the_list_is_read_and_replaced(guild: Guild, sandbox: Sandbox):
    ada, bob = sandbox.world.add_user(), sandbox.world.add_user()
    invite = sandbox.world.add_invite(guild, guild.owner, targets=[ada])
    path = f"/invites/{invite.code}/target-users"
    assert await ask(sandbox, "GET", path) == (200, f"user_id\r\n{ada.id}\r\n")
    assert await ask(sandbox, "PUT", path, data=form(f"{bob.id}")) == (204, "")
    assert invite.targets == frozenset([bob.id])
    status, job = await ask(sandbox, "GET", f"{path}/job-status")
    told = json.loads(job)
    assert (status, told["status"], told["total_users"], told["processed_users"]) == (200, 2, 1, 1)
    plain = sandbox.world.add_invite(guild)
    assert (await ask(sandbox, "GET", f"/invites/{plain.code}/target-users/job-status"))[0] == 404


async def test_lines_that_are_no_ids_are_refused_by_their_numbers(guild: Guild, sandbox: Sandbox):
    status, told = await create(sandbox, guild, data=form("user_id\nada\n\n5\n"))
    assert (status, guild.invites) == (400, [])
    assert "Line 2: invalid" in told["message"]
    assert "Line 4: invalid" in told["message"]
    sandbox.violations.take("rest.invalid_form")


async def test_who_made_it_may_read_and_change_the_list_others_need_a_permission(guild: Guild, sandbox: Sandbox):
    ada = sandbox.world.add_user()
    own = sandbox.world.add_invite(guild, sandbox.world.bot, targets=[ada])
    others = sandbox.world.add_invite(guild, guild.owner, targets=[ada])

    async def statuses(code: str) -> list[int]:
        path = f"/invites/{code}/target-users"
        asked = [("GET", path), ("GET", f"{path}/job-status"), ("PUT", path)]
        return [
            (await ask(sandbox, method, way, data=form(csv_of(ada)) if method == "PUT" else None))[0]
            for method, way in asked
        ]

    assert await statuses(others.code) == [200, 200, 204]
    sandbox.world.set_permissions(guild, manage_guild=False)
    assert await statuses(others.code) == [200, 200, 403]
    sandbox.world.set_permissions(guild, view_audit_log=False)
    assert await statuses(others.code) == [403, 403, 403]
    assert await statuses(own.code) == [200, 200, 204]
    assert (await create(sandbox, guild, data=form(csv_of(ada))))[0] == 403


@pytest.mark.parametrize("state", [JobState.PROCESSING, JobState.FAILED])
async def test_a_list_that_is_not_read_lets_in_anybody(guild: Guild, sandbox: Sandbox, state: JobState):
    ada = sandbox.world.add_user()
    sandbox.faults.stall_targets(state)
    _, made = await create(sandbox, guild, data=form(csv_of(ada)))
    _, job = await ask(sandbox, "GET", f"/invites/{made['code']}/target-users/job-status")
    assert (json.loads(job)["status"], json.loads(job)["completed_at"]) == (state, None)
    sandbox.world.join(guild, via=made["code"])
    (invite,) = guild.invites
    sandbox.world.finish_job(invite)
    with pytest.raises(ValueError, match="none of those"):
        sandbox.world.join(guild, via=made["code"])


async def test_an_invite_may_be_made_though_the_answer_is_an_error(guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("create_invite", 503, done=True)
    assert (await create(sandbox, guild, data=form(csv_of(sandbox.world.add_user()))))[0] == 503
    (invite,) = guild.invites
    assert invite.targets is not None
