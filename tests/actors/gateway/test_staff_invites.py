"""/setup_staff_invite as real interactions: which invites are taken, which are refused, and what is said."""

import pytest

from ledger import messages as m
from ledger.answers import Answer, Assigned, CodeReport, CodesReport, Done
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import Assignment
from sandbox import Sandbox
from sandbox.models import Guild, InviteFlag, User
from tests.actors.gateway.town import Lines, Town

pytestmark = pytest.mark.usefixtures("gateway")


def assigned(message: m.Message) -> Answer:
    if not isinstance(message, m.AssignInvite):
        return Done()
    return Assigned(code=message.code, assignment=Assignment(1, message.staff, message.at_us))


@pytest.mark.parametrize("link", ["https://discord.gg/{}", " discord.gg/{}/ ", "https://discord.gg/{}?event=1"])
async def test_an_existing_code_is_assigned_also_when_pasted_as_a_link(
    link: str, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    invite = sandbox.world.add_invite(guild, staff)
    await town.until_heard(guild.id, m.NoteInviteBorn)
    town.answer = assigned
    options = {"staff": staff, "code": link.format(invite.code)}
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", options)
    assert f"joins by `{invite.code}` are credited to <@{staff.id}>" in reply.text
    [asked] = town.heard(guild.id, m.AssignInvite)
    assert (asked.by, asked.made) == (str(staff.id), None)


async def test_an_invite_that_may_have_been_made_all_the_same_is_said(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.fail("create_invite", 503)
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    assert "It may have been made all the same" in reply.text


async def test_who_held_the_code_before_is_shown(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    invite = sandbox.world.add_invite(guild, staff)
    await town.until_heard(guild.id, m.NoteInviteBorn)
    now = Assignment(2, UserId(str(staff.id)), 2_000_000)
    before = Assignment(1, UserId("5"), 1_000_000)
    town.answer = lambda _: Assigned(code=InviteCode(invite.code), assignment=now, before=before)
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff, "code": invite.code})
    assert "Before: <@5> since <t:1:f>." in reply.text


async def test_without_a_code_an_invite_that_never_ends_is_made(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = assigned
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    [invite] = guild.invites
    assert (invite.max_age_s, invite.max_uses, invite.temporary) == (0, 0, False)
    assert f"https://discord.gg/{invite.code}" in reply.text
    assert any(entry.code == invite.code and str(staff.id) in str(entry.reason) for entry in guild.audit)


async def test_an_invite_that_was_made_but_not_assigned_is_told_with_its_code(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.roster.addresses()[GuildId(str(guild.id))].close("the guild is parked")
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    [invite] = guild.invites
    assert f"The invite https://discord.gg/{invite.code} was made, but I cannot say that it stands" in reply.text


@pytest.mark.parametrize("kind", ["unknown", "endless", "foreign", "ended", "guest", "temporary", "bot", "stranger"])
async def test_what_cannot_be_a_staff_invite_is_refused_in_words(
    kind: str, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    world = sandbox.world
    guest = world.add_invite(guild, staff, flags=InviteFlag.GUEST)
    foreign = world.add_invite(world.add_guild("Elsewhere"), staff)
    ended = world.expire_invite(guild, world.add_invite(guild, staff).code)
    temporary = world.add_invite(guild, staff, temporary=True)
    codes = {
        "unknown": "n`o@everyone",
        "endless": "x" * 6_000,
        "foreign": foreign.code,
        "ended": ended.code,
        "temporary": temporary.code,
    }
    who = {"bot": world.bot, "stranger": world.add_user()}.get(kind, staff)
    await town.until_heard(guild.id, m.GuildCameUp)
    options = {"staff": who, "code": codes.get(kind, guest.code)}
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", options)
    words = {
        "unknown": "no invite `no@everyone`",
        "endless": f"no invite `{'x' * 99}…`",
        "foreign": "may have ended, or lead to another server",
        "ended": "may have ended",
        "guest": "guest invite",
        "temporary": "temporary",
        "bot": "bot",
        "stranger": "not a member here",
    }
    assert words[kind] in reply.text
    assert town.heard(guild.id, m.AssignInvite) == []


@pytest.mark.parametrize("answer", [(403, "Create Invite in this channel"), (404, "status 404"), (503, "status 503")])
async def test_an_invite_that_could_not_be_made_is_said_in_words(
    answer: tuple[int, str], guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    status, words = answer
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.fail("create_invite", status, times=10)
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    assert words in reply.text
    assert guild.invites == []


@pytest.mark.parametrize("refusal", [(30016, "as many as Discord allows"), (50035, "ask in a text channel")])
async def test_an_invite_that_discord_refuses_is_said_with_what_to_do_instead_of_trying_again(
    refusal: tuple[int, str], guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    code, words = refusal
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.fail("create_invite", 400, code=code)
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    assert words in reply.text
    assert "again" not in reply.text


async def test_an_interaction_that_comes_twice_is_answered_and_done_once(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, lines: Lines
):
    town.answer = assigned
    payload = sandbox.interaction_payload(guild, staff, "setup_staff_invite", {"staff": staff})
    reply = sandbox.send_interaction(payload)
    sandbox.send_interaction(payload)
    await sandbox.until(lambda: reply.done and reply.refused == 1)
    await lines.until("interaction.unanswered")
    assert len(sandbox.violations.take("interaction.answered_twice")) == 1
    assert len(guild.invites) == 1
    assert len(town.heard(guild.id, m.AssignInvite)) == 1


def known(code: str, *, uses: int = 0, listed: bool = True, holder: str = "") -> CodeReport:
    assignments = (Assignment(1, UserId(holder), 1),) if holder else ()
    return CodeReport(code=InviteCode(code), listed=listed, uses=uses, inviter=UserId("5"), assignments=assignments)


async def test_codes_are_offered_while_typing_those_of_nobody_first(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    codes = (known("abcA", holder="7"), known("abcB", uses=3), known("xyz"), known("abcC", listed=False))
    town.answer = lambda _: CodesReport(codes=codes)
    reply = await sandbox.type_in(guild, staff, "setup_staff_invite", {"staff": staff, "code": "ABC"}, "code")
    assert [each["value"] for each in reply.choices] == ["abcB", "abcA"]
    assert [each["name"] for each in reply.choices] == ["abcB · 3 uses · not assigned", "abcA · 0 uses · assigned"]
    assert sandbox.count("invites") == 0


async def test_a_thousand_codes_and_long_ones_are_offered_within_the_limits(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    codes = tuple(known(f"{number:0100}") for number in range(1_000))
    town.answer = lambda _: CodesReport(codes=codes)
    reply = await sandbox.type_in(guild, staff, "setup_staff_invite", {"code": ""}, "code")
    assert len(reply.choices) == 25


async def test_nothing_is_offered_where_the_guild_does_not_answer(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.roster.addresses()[GuildId(str(guild.id))].close("the guild is parked")
    reply = await sandbox.type_in(guild, staff, "setup_staff_invite", {"code": "a"}, "code")
    assert reply.choices == []
