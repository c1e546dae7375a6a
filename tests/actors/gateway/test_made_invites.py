"""/invite as real interactions: the link is shown when it lets in whom it is for and is assigned, or not at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.answers import Answer, Assigned, CodeReport, CodesReport, Done
from ledger.ids import ChannelId, GuildId, InviteCode, UserId
from ledger.records import Counter
from ledger.state import Assignment
from sandbox import Sandbox
from sandbox.faults import Fault
from sandbox.models import Guild, JobState, Permission, User
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Pauses, Town, running

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
async def gateway(make_gateway: MakeGateway, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """A connected one that does not wait between two looks at a list."""
    made = make_gateway(sleep=Pauses())
    async with running(made):
        await sandbox.wait_ready()
        yield made


@pytest.fixture
async def ready(town: Town, guild: Guild) -> Town:
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = answer
    return town


def answer(message: m.Message) -> Answer:
    """As a guild does that knows of no codes yet."""
    match message:
        case m.AssignInvite():
            assignment = Assignment(1, message.staff, message.at_us)
            return Assigned(code=message.code, label=message.label, assignment=assignment)
        case m.DescribeCodes():
            return CodesReport(codes=())
        case _:
            return Done()


async def test_an_invite_for_one_person_is_theirs_alone_and_assigned_to_who_asked(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    friend = sandbox.world.add_user()
    reply = await sandbox.slash(guild, staff, "invite for", {"user": friend})
    [invite] = guild.invites
    assert (invite.max_uses, invite.max_age_s, invite.targets) == (1, 604_800, {friend.id})
    assert f"https://discord.gg/{invite.code}" in reply.text
    assert f"Only <@{friend.id}> can use it" in reply.text
    [asked] = ready.heard(guild.id, m.AssignInvite)
    assert (asked.code, asked.staff, asked.targets) == (invite.code, str(staff.id), (str(friend.id),))
    assert asked.made == Counter(
        code=asked.code,
        created_at_us=invite.created_at_us,
        uses=0,
        max_uses=1,
        expires_at_us=invite.created_at_us + 604_800_000_000,
        inviter=UserId(str(sandbox.world.bot.id)),
        inviter_is_bot=True,
        channel=ChannelId(str(invite.channel.id)),
    )


async def test_without_view_audit_log_it_is_said_that_the_join_is_likely_at_first(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    friends = sandbox.world.add_user(), sandbox.world.add_user()
    first = await sandbox.slash(guild, staff, "invite for", {"user": friends[0]})
    sandbox.world.set_permissions(guild, view_audit_log=False)
    second = await sandbox.slash(guild, staff, "invite for", {"user": friends[1]})
    assert ["I lack View Audit Log" in reply.text for reply in (first, second)] == [False, True]
    assert len(ready.heard(guild.id, m.AssignInvite)) == 2


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.PROCESSING])
async def test_a_list_that_discord_does_not_take_withdraws_the_invite(
    state: JobState, ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    sandbox.faults.stall_targets(state)
    reply = await sandbox.slash(guild, staff, "invite for", {"user": sandbox.world.add_user()}, timeout_s=20)
    [invite] = guild.invites
    assert invite.gone_at_us
    assert "was withdrawn" in reply.text
    assert "discord.gg" not in reply.text
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_an_invite_that_cannot_be_assigned_is_withdrawn(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    ready.roster.addresses()[GuildId(str(guild.id))].close("the guild is parked")
    reply = await sandbox.slash(guild, staff, "invite create")
    [invite] = guild.invites
    assert invite.gone_at_us
    assert "was withdrawn" in reply.text


async def test_what_could_not_be_withdrawn_is_told_with_its_code(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    ready.roster.addresses()[GuildId(str(guild.id))].close("the guild is parked")
    sandbox.faults.fail("delete_invite", 403, times=10)
    reply = await sandbox.slash(guild, staff, "invite create")
    [invite] = guild.invites
    assert f"please delete `{invite.code}`" in reply.text


def lose_an_answer(sandbox: Sandbox) -> None:
    """The next invite is made, and the connection is cut before that is told."""
    sandbox.faults.add("create_invite", Fault(drop=True, late=True))


async def test_an_invite_for_one_person_whose_making_was_not_told_is_found_and_withdrawn(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    lose_an_answer(sandbox)
    reply = await sandbox.slash(guild, staff, "invite for", {"user": sandbox.world.add_user()})
    [invite] = guild.invites
    assert invite.gone_at_us
    assert "was withdrawn: nobody can use it. Discord's answer was lost on the way" in reply.text
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_an_invite_for_everybody_that_was_not_told_may_be_another_ones_and_stays(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    del ready
    lose_an_answer(sandbox)
    reply = await sandbox.slash(guild, staff, "invite create")
    assert "It may have been made all the same" in reply.text
    assert [each.gone_at_us for each in guild.invites] == [None]


async def test_no_other_invite_is_taken_for_the_one_that_was_not_told(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    world = sandbox.world
    terms = {"max_uses": 1, "max_age_s": 604_800}
    theirs, given = world.add_invite(guild, staff, **terms), world.add_invite(guild, world.bot, **terms)
    used = world.add_invite(guild, world.bot, max_uses=2, max_age_s=604_800)
    held = CodeReport(
        code=InviteCode(given.code), listed=True, uses=0, inviter=None, assignments=(Assignment(1, UserId("5"), 1),)
    )
    ready.answer = lambda message: (
        CodesReport(codes=(held,)) if isinstance(message, m.DescribeCodes) else answer(message)
    )
    sandbox.faults.garble("create_invite", b"nothing was made", times=1)
    reply = await sandbox.slash(guild, staff, "invite for", {"user": world.add_user()})
    assert "No invite could be made" in reply.text
    assert "It may have been made all the same" in reply.text
    assert [each.gone_at_us for each in (theirs, given, used)] == [None] * 3


async def test_while_another_one_is_in_the_making_none_is_withdrawn_by_mistake(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    del ready
    gate = sandbox.faults.hang("target_job")
    other = asyncio.create_task(
        sandbox.slash(guild, staff, "invite for", {"user": sandbox.world.add_user()}, timeout_s=20)
    )
    await gate.arrived()
    lose_an_answer(sandbox)
    reply = await sandbox.slash(guild, staff, "invite for", {"user": sandbox.world.add_user()})
    assert "It may have been made all the same" in reply.text
    assert [each.gone_at_us for each in guild.invites] == [None, None]
    gate.open()
    assert "Only <@" in (await other).text


async def test_who_needs_no_invite_gets_none(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    for who, words in ((sandbox.world.bot, "A bot cannot use"), (staff, "a member here already")):
        assert words in (await sandbox.slash(guild, staff, "invite for", {"user": who})).text
    stranger = sandbox.world.add_user()
    assert "not to a bot" in (await sandbox.slash(guild, staff, "invite create", {"staff": stranger})).text
    assert guild.invites == []
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_a_labelled_invite_has_the_terms_and_the_label_that_were_asked_for(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    other = sandbox.world.add_staff(guild)
    options = {"label": " 出差 אבג ", "staff": other, "max_uses": 7, "expires": "1 day"}
    reply = await sandbox.slash(guild, staff, "invite create", options)
    [invite] = guild.invites
    assert f"joins by `{invite.code}` (\u2068出差 אבג\u2069) are credited to" in reply.text
    assert (invite.max_uses, invite.max_age_s, invite.targets) == (7, 86_400, None)
    [asked] = ready.heard(guild.id, m.AssignInvite)
    assert (asked.label, asked.staff, asked.by) == ("出差 אבג", str(other.id), str(staff.id))


@pytest.mark.parametrize(
    "refusal",
    [(400, 30016, "as many as Discord allows"), (403, 50013, "Create Invite in this channel and Manage Server")],
)
async def test_an_invite_that_discord_refuses_is_said_with_why(
    refusal: tuple[int, int, str], ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    status, code, words = refusal
    sandbox.faults.fail("create_invite", status, code=code)
    reply = await sandbox.slash(guild, staff, "invite for", {"user": sandbox.world.add_user()})
    assert words in reply.text
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_who_may_not_manage_the_server_makes_none(ready: Town, guild: Guild, sandbox: Sandbox):
    [nobody] = sandbox.world.settle(guild, 1)
    for name, options in (("invite for", {"user": sandbox.world.add_user()}), ("invite create", {})):
        assert "Manage Server" in (await sandbox.slash(guild, nobody, name, options)).text
    assert guild.invites == []
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_a_role_is_given_only_by_who_could_give_it_and_only_below_the_bots_own(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    friend, high = sandbox.world.add_user(), guild.everyone
    reply = await sandbox.slash(guild, staff, "invite for", {"user": friend, "role": high.id})
    assert "Discord lets nobody give this role by hand" in reply.text
    above = sandbox.world.add_role(guild, "above")
    reply = await sandbox.slash(guild, staff, "invite for", {"user": friend, "role": above.id})
    assert "I cannot give this role" in reply.text
    assert guild.invites == []
    assert ready.heard(guild.id, m.AssignInvite) == []


async def test_a_role_below_the_bots_own_is_given_for_the_owner_and_not_for_staff_without_manage_roles(
    guild: Guild, staff: User, sandbox: Sandbox, ready: Town
):
    del ready
    guild.bot_role.position = 5
    sandbox.world.change_role(guild, guild.bot_role, permissions=guild.bot_role.permissions | Permission.MANAGE_ROLES)
    role, friend = sandbox.world.add_role(guild, "guest of honour"), sandbox.world.add_user()
    options = {"user": friend, "role": role.id}
    reply = await sandbox.slash(guild, staff, "invite for", options)  # events come in order: the roles are known
    assert "You may not hand out this role" in reply.text
    assert guild.invites == []
    await sandbox.slash(guild, guild.owner, "invite for", options)
    [invite] = guild.invites
    assert invite.role_ids == (role.id,)
