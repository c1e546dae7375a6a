"""Slash commands as real interactions: what a user sees, and what the guild's actor was asked."""

import asyncio
from typing import Final

import discord
import msgspec
import pytest

from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.answers import CodeReport, CodesReport, GuildReport, MemberReport
from ledger.ids import GuildId, InviteCode, UserId
from ledger.phases import Phase
from ledger.records import Status
from ledger.state import Period
from sandbox import Sandbox, payloads
from sandbox.faults import Fault
from sandbox.models import Guild, Permission, User
from sandbox.slash import Options
from tests.actors.gateway.town import Lines, Town

REPORT = GuildReport(
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

COMMANDS: Final = {
    "debug_invites": (),
    "refresh_invite_cache": (),
    "setup_staff_invite": ("staff",),
    "fix_staff_usernames": (),
    "who_invited": ("member",),
    "why": ("member",),
    "invites": (),
    "leaderboard": (),
    "staff_report": (),
    "invite create": (),
    "review list": (),
    "log_channel off": (),
    "settings": (),
    "vip_role list": (),
}
"""Every command, with the options it cannot do without (all of them users)."""

pytestmark = pytest.mark.usefixtures("gateway")


async def test_debug_invites_shows_the_guild_in_numbers_and_what_is_missing(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda _: REPORT
    sandbox.world.set_permissions(guild, manage_channels=False)
    await town.until_heard(guild.id, m.NotePermissions)
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "live, record 41" in reply.text
    assert "`abc`: 2 uses no join explains" in reply.text
    assert "missing**: Manage Channels\n" in reply.text


async def test_debug_invites_names_invites_that_the_bot_made_and_nobody_was_given(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    me = UserId(str(sandbox.world.bot.id))
    left = CodeReport(
        code=InviteCode("left"), listed=True, uses=0, inviter=None, bot=me, assignments=(), made_us=1_000_000
    )
    town.answer = lambda _: msgspec.structs.replace(REPORT, bots=(left,))
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "nobody is credited for**: `left` (made <t:1:R>)" in reply.text


async def test_a_standby_answers_nothing_that_it_hears(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    """It hears both; the one that it does not answer has a second to be answered by mistake."""
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda _: REPORT
    town.inside.standby = True
    with pytest.raises(TimeoutError):
        await sandbox.slash(guild, staff, "debug_invites", timeout_s=1.0)
    town.inside.standby = False
    assert (await sandbox.slash(guild, staff, "debug_invites")).text


async def test_debug_invites_names_channels_in_which_manage_channels_is_missing(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda _: REPORT
    denied = {"id": str(guild.id), "type": 0, "allow": "0", "deny": str(int(Permission.MANAGE_CHANNELS))}
    for number in range(7):
        channel = payloads.channel(guild, sandbox.world.add_channel(guild, f"channel-{number}"))
        sandbox.world.inject("CHANNEL_UPDATE", channel | {"permission_overwrites": [denied]}, guild)
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "**Without Manage Channels**: 7 channels (<#" in reply.text
    assert reply.text.count("<#") == 5
    assert "and 2 more" in reply.text


async def test_who_invited_follows_the_verdict(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    someone = sandbox.world.add_user()
    period = Period(
        1_700_000_000_000_000, 1, status=Status.CERTAIN, code=InviteCode("abc"), credited=UserId(str(staff.id))
    )
    town.answer = lambda _: MemberReport(user=UserId(str(someone.id)), periods=(period,))
    reply = await sandbox.slash(guild, staff, "who_invited", {"member": someone})
    assert f"joined with `abc`, credited to <@{staff.id}>" in reply.text
    assert town.heard(guild.id, m.DescribeMember) == [m.DescribeMember(user=UserId(str(someone.id)))]


async def test_who_may_not_manage_the_server_is_refused_at_run_time(guild: Guild, sandbox: Sandbox, town: Town):
    [nobody] = sandbox.world.settle(guild, 1)
    await town.until_heard(guild.id, m.GuildCameUp)
    heard = len(town.told[GuildId(str(guild.id))])
    for name, options in COMMANDS.items():
        given: Options = dict.fromkeys(options, nobody)
        reply = await sandbox.slash(guild, nobody, name, given)
        assert "Manage Server" in reply.text, name
    typed = await sandbox.type_in(guild, nobody, "setup_staff_invite", {"code": "a"}, "code")
    assert typed.choices == []
    assert len(town.told[GuildId(str(guild.id))]) == heard


async def test_commands_are_registered_for_guilds_and_managers_only(sandbox: Sandbox):
    commands = sandbox.commands.of(None)
    assert {str(command["name"]) for command in commands} == {name.partition(" ")[0] for name in COMMANDS}
    for command in commands:
        assert int(str(command["default_member_permissions"])) == Permission.MANAGE_GUILD
        assert command["contexts"] == [0]


async def test_a_command_that_crashes_says_so_and_is_logged(
    guild: Guild, staff: User, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("actors.gateway.desk.describe", lambda *_: 1 // 0)
    reply = await sandbox.slash(guild, staff, "debug_invites")
    assert "Something went wrong" in reply.text
    assert "ZeroDivisionError" in str((await lines.until("command.failed"))["error"])


async def test_an_interaction_that_is_older_than_15_minutes_is_a_log_line(
    guild: Guild, staff: User, sandbox: Sandbox, lines: Lines
):
    sandbox.interactions.token_s = -1.0
    sandbox.send_interaction(sandbox.interaction_payload(guild, staff, "fix_staff_usernames"))
    assert (await lines.until("interaction.unanswered"))["why"] == "older than 15 minutes"
    assert len(sandbox.violations.take("interaction.token_expired")) == 1


async def test_an_answer_that_comes_when_the_bot_has_closed_its_connection_is_a_log_line(  # noqa: PLR0917 -- fixtures
    gateway: Gateway, guild: Guild, staff: User, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    closed = asyncio.Event()

    async def late(*_: object) -> str:
        await closed.wait()
        return "done"

    monkeypatch.setattr("actors.gateway.desk.Desk.fix_names", late)
    reply = sandbox.send_interaction(sandbox.interaction_payload(guild, staff, "fix_staff_usernames"))
    await sandbox.until(lambda: reply.thinking)
    await gateway.close()
    closed.set()
    assert "Session is closed" in str((await lines.until("interaction.unanswered"))["why"])
    assert lines.named("command.failed") == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
async def test_a_guild_whose_actor_was_given_up_is_answered_for_in_words(
    name: str, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.roster.addresses()[GuildId(str(guild.id))].close("guild 1 is parked: it died too often")
    options: Options = dict.fromkeys(COMMANDS[name], staff)
    reply = await sandbox.slash(guild, staff, name, options)
    assert "I could not handle this (guild 1 is parked: it died too often)" in reply.text


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_actor_whose_trouble_fills_pages_is_answered_for_all_the_same(
    name: str, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    town.roster.addresses()[GuildId(str(guild.id))].close("**trouble** " * 1_000)
    options: Options = dict.fromkeys(COMMANDS[name], staff)
    assert "I could not handle this" in (await sandbox.slash(guild, staff, name, options)).text


async def test_an_answer_that_meets_a_limit_comes_later_and_its_token_stands_in_no_line_of_the_log(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, lines: Lines
):
    await town.until_heard(guild.id, m.GuildCameUp)
    for kind in ("callback", "webhook_message"):
        sandbox.faults.fail(kind, 429, retry_after_s=0.05)
    town.answer = lambda _: CodesReport(codes=())
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "No invite is assigned" in reply.text
    assert len(lines.named("rest.limited")) == 2
    assert reply.token not in str(lines)


@pytest.mark.parametrize("late", [False, True])
async def test_a_promise_whose_connection_breaks_is_not_left_standing_and_nothing_is_done(
    *, late: bool, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.add("callback", Fault(drop=True, late=late))
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "nothing was done" in reply.text
    assert not reply.thinking
    assert town.heard(guild.id, m.DescribeCodes) == []
    sandbox.violations.take("interaction.answered_twice")  # it cannot be known that the first one has come


async def test_a_promise_that_crashes_when_discord_has_taken_it_is_not_left_standing(
    guild: Guild, staff: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    defer = discord.InteractionResponse[discord.Client].defer

    async def crash(
        response: discord.InteractionResponse[discord.Client], *, ephemeral: bool, thinking: bool
    ) -> None:
        await defer(response, ephemeral=ephemeral, thinking=thinking)
        response._response_type = None  # as it is until Discord's answer is here
        raise ZeroDivisionError

    monkeypatch.setattr(discord.InteractionResponse, "defer", crash)
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "Something went wrong" in reply.text
    assert not reply.thinking
    sandbox.violations.take("interaction.answered_twice")  # as above


@pytest.mark.parametrize("late", [False, True])
async def test_a_promised_answer_whose_connection_breaks_is_sent_again_and_shown_once(
    *, late: bool, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.add("webhook_message", Fault(drop=True, late=late), times=2)
    town.answer = lambda _: CodesReport(codes=())
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    await sandbox.until(lambda: sandbox.count("webhook_message") == 3)
    assert "No invite is assigned" in reply.text
    assert len(reply.messages) == 1
