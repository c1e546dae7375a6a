"""Slash commands as real interactions: what a user sees, and what the guild's actor was asked."""

import pytest

from ledger import messages as m
from ledger.ids import InviteCode, UserId
from ledger.phases import Phase
from ledger.records import Status
from ledger.state import Assignment, Period
from sandbox import Sandbox
from sandbox.models import Guild, InviteFlag, Permission, User
from tests.actors.gateway.town import Lines, Town

REPORT = m.GuildReport(
    phase=Phase.LIVE,
    seq=41,
    counting_since_us=1_700_000_000_000_000,
    baseline_us=1_700_000_001_000_000,
    counters=3,
    open_joins=0,
    unclaimed={InviteCode("abc"): 2},
    tombstones=1,
    breaks=0,
    members=7,
    reconciled=True,
)

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild()


@pytest.fixture
def staff(guild: Guild, sandbox: Sandbox) -> User:
    return sandbox.world.add_staff(guild)


async def test_debug_invites_shows_the_guild_in_numbers_and_what_is_missing(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda _: REPORT
    sandbox.world.set_permissions(guild, view_audit_log=False)
    await town.until_heard(guild.id, m.NotePermissions)
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "live, record 41" in reply.text
    assert "`abc`: 2 uses no join explains" in reply.text
    assert "missing**: View Audit Log" in reply.text
    assert reply.ephemeral


async def test_who_invited_follows_the_verdict(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    someone = sandbox.world.add_user()
    period = Period(
        1_700_000_000_000_000, 1, status=Status.CERTAIN, code=InviteCode("abc"), credited=UserId(str(staff.id))
    )
    town.answer = lambda _: m.MemberReport(user=UserId(str(someone.id)), periods=(period,))
    reply = await sandbox.slash(guild, staff, "who_invited", {"member": someone})
    assert f"joined with `abc`, credited to <@{staff.id}>" in reply.text
    assert town.heard(guild.id, m.DescribeMember) == [m.DescribeMember(user=UserId(str(someone.id)))]


async def test_refresh_fetches_and_shows_what_the_sample_did(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    invite = sandbox.world.add_invite(guild, staff, uses=4)
    await town.until_heard(guild.id, m.NoteInviteBorn)
    town.answer = lambda _: m.WindowReport(worked_out=2, open=1, note="uses are missing")
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert reply.deferred
    assert reply.text.startswith("2 joins worked out, 1 still open.")
    [arrived] = town.heard(guild.id, m.SampleArrived)
    assert arrived.request is None
    assert [(each.code, each.uses) for each in arrived.sample.counters] == [(invite.code, 4)]


async def test_refresh_without_the_permission_says_which_one(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.world.set_permissions(guild, manage_guild=False, view_audit_log=False)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "Manage Server" in reply.text
    assert town.heard(guild.id, m.SampleArrived) == []


def assigned(message: m.Message) -> m.Answer:
    assert isinstance(message, m.AssignInvite)
    assignment = Assignment(1, message.staff, message.at_us)
    return m.Assigned(code=message.code, assignment=assignment)


async def test_an_existing_code_is_assigned_also_when_pasted_as_a_link(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    invite = sandbox.world.add_invite(guild, staff)
    await town.until_heard(guild.id, m.NoteInviteBorn)
    town.answer = assigned
    options = {"staff": staff, "code": f"https://discord.gg/{invite.code}"}
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", options)
    assert f"joins by `{invite.code}` are credited to <@{staff.id}>" in reply.text
    [asked] = town.heard(guild.id, m.AssignInvite)
    assert asked.by == str(staff.id)


async def test_without_a_code_an_invite_that_never_ends_is_made(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda message: assigned(message) if isinstance(message, m.AssignInvite) else m.Done()
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": staff})
    [invite] = guild.invites
    assert (invite.max_age_s, invite.max_uses, invite.temporary) == (0, 0, False)
    assert f"https://discord.gg/{invite.code}" in reply.text
    assert any(entry.code == invite.code and str(staff.id) in str(entry.reason) for entry in guild.audit)


@pytest.mark.parametrize("kind", ["unknown", "guest", "temporary", "bot"])
async def test_what_cannot_be_a_staff_invite_is_refused_in_words(
    kind: str, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    guest = sandbox.world.add_invite(guild, staff, flags=InviteFlag.GUEST)
    temporary = sandbox.world.add_invite(guild, staff, temporary=True)
    codes = {"unknown": "n`o@everyone", "guest": guest.code, "temporary": temporary.code, "bot": guest.code}
    who = sandbox.world.bot if kind == "bot" else staff
    await town.until_heard(guild.id, m.GuildCameUp)
    reply = await sandbox.slash(guild, staff, "setup_staff_invite", {"staff": who, "code": codes[kind]})
    words = {"unknown": "no invite `no@everyone`", "guest": "guest invite", "temporary": "temporary", "bot": "bot"}
    assert words[kind] in reply.text
    assert town.heard(guild.id, m.AssignInvite) == []


async def test_who_may_not_manage_the_server_is_refused_at_run_time(guild: Guild, sandbox: Sandbox, town: Town):
    [nobody] = sandbox.world.settle(guild, 1)
    for name in ("debug_invites", "refresh_invite_cache"):
        reply = await sandbox.slash(guild, nobody, name)
        assert "Manage Server" in reply.text
        assert reply.ephemeral
    assert town.heard(guild.id, m.DescribeGuild) == []


async def test_an_interaction_that_comes_twice_is_answered_and_done_once(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, lines: Lines
):
    town.answer = lambda message: assigned(message) if isinstance(message, m.AssignInvite) else m.Done()
    payload = sandbox.interaction_payload(guild, staff, "setup_staff_invite", {"staff": staff})
    reply = sandbox.send_interaction(payload)
    sandbox.send_interaction(payload)
    await sandbox.until(lambda: reply.done and reply.refused == 1)
    await lines.until("interaction.unanswered")
    assert len(sandbox.violations.take("interaction.answered_twice")) == 1
    assert len(guild.invites) == 1
    assert len(town.heard(guild.id, m.AssignInvite)) == 1


async def test_a_fetch_that_fails_is_said_in_words(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.fail("invites", 503)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "status 503" in reply.text


async def test_commands_are_registered_for_guilds_and_managers_only(guild: Guild, sandbox: Sandbox):
    commands = {name: sandbox.commands.find(guild.id, name) for name in ("debug_invites", "who_invited")}
    for command in commands.values():
        assert command is not None
        assert int(str(command["default_member_permissions"])) == Permission.MANAGE_GUILD
        assert command["contexts"] == [0]


async def test_a_command_that_crashes_says_so_and_is_logged(
    guild: Guild, staff: User, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("actors.gateway.desk.render", lambda *_: 1 // 0)
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "Something went wrong" in reply.text
    assert reply.ephemeral
    assert "ZeroDivisionError" in str((await lines.until("command.failed"))["error"])
