import discord
import pytest
from discord import app_commands

from sandbox import Guild, Message, NotAllowedError, Sandbox
from sandbox.slash import Options
from sandbox.wire import JsonObject, as_object
from tests.sandbox.client import Bot, client_session


@pytest.fixture
async def commands(bot: Bot):
    """A few commands, registered as a bot does it."""

    @bot.tree.command()
    async def who_invited(interaction: discord.Interaction, member: discord.Member, depth: int = 1) -> None:
        """Who invited a member."""
        await interaction.response.send_message(
            f"{member.mention} {depth}", ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
        )

    @bot.tree.command()
    @app_commands.default_permissions(manage_guild=True)
    async def slow(interaction: discord.Interaction) -> None:
        """Thinks first."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(embed=discord.Embed(title="Done", description="at last"))
        await interaction.followup.send("one more")

    @bot.tree.command()
    async def edited(interaction: discord.Interaction) -> None:
        """Says one thing, then another."""
        await interaction.response.defer()
        await interaction.edit_original_response(content="first")
        message = await interaction.original_response()
        assert message.content == "first"

    @bot.tree.command()
    async def buttons(interaction: discord.Interaction) -> None:
        """A page with a button."""
        view = discord.ui.View()
        button = discord.ui.Button(label="Next", custom_id="next")

        async def turn(pressed: discord.Interaction) -> None:
            await pressed.response.edit_message(content="page 2", view=None)

        button.callback = turn
        view.add_item(button)
        await interaction.response.send_message("page 1", view=view)

    @bot.tree.command()
    async def lazy(interaction: discord.Interaction) -> None:
        """A button that is answered later."""
        view = discord.ui.View()
        button = discord.ui.Button(label="Go", custom_id="go")

        async def go(pressed: discord.Interaction) -> None:
            await pressed.response.defer()
            await pressed.edit_original_response(content="gone", view=None)

        button.callback = go
        view.add_item(button)
        await interaction.response.send_message(view=view)

    group = app_commands.Group(name="staff", description="Staff")

    @group.command()
    async def add(interaction: discord.Interaction, user: discord.User, channel: discord.TextChannel) -> None:
        """Adds one."""
        await interaction.response.send_message(f"{user.id} {channel.name} {interaction.permissions.value}")

    bot.tree.add_command(group)
    synced = await bot.tree.sync()
    assert {command.name for command in synced} == {"who_invited", "slow", "edited", "buttons", "lazy", "staff"}


@pytest.mark.usefixtures("commands")
async def test_a_command_is_answered_with_its_typed_options(guild: Guild, sandbox: Sandbox):
    join = sandbox.world.join(guild)
    member = guild.members[join.user_id].user
    reply = await sandbox.slash(guild, guild.owner, "who_invited", {"member": member, "depth": 3})
    assert reply.text == f"<@{member.id}> 3"
    assert reply.ephemeral
    assert not reply.deferred


@pytest.mark.usefixtures("commands")
async def test_a_deferred_command_is_filled_by_its_first_followup(guild: Guild, sandbox: Sandbox):
    reply = await sandbox.slash(guild, guild.owner, "slow")
    await sandbox.until(lambda: len(reply.followups) == 1)
    assert reply.deferred
    assert reply.original.ephemeral
    assert reply.text == "Done\nat last\none more"


@pytest.mark.usefixtures("commands")
async def test_a_deferred_command_is_filled_by_an_edit(guild: Guild, sandbox: Sandbox):
    reply = await sandbox.slash(guild, guild.owner, "edited")
    assert (reply.original.content, reply.followups, reply.ephemeral) == ("first", [], False)
    await sandbox.until(lambda: sandbox.count("webhook_message", 200) == 2)


@pytest.mark.usefixtures("commands")
async def test_a_button_edits_its_message(guild: Guild, sandbox: Sandbox):
    reply = await sandbox.slash(guild, guild.owner, "buttons")
    assert reply.text == "page 1\nNext"
    await sandbox.click(guild, guild.owner, reply.original, "next")
    assert reply.text == "page 2"


@pytest.mark.usefixtures("commands")
async def test_a_deferred_click_is_answered_by_its_edit(guild: Guild, sandbox: Sandbox):
    reply = await sandbox.slash(guild, guild.owner, "lazy")
    click = await sandbox.click(guild, guild.owner, reply.original, "go")
    assert (click.deferred, click.edits, reply.text) == (True, 1, "gone")


@pytest.mark.usefixtures("commands")
async def test_subcommands_channels_and_permissions(guild: Guild, sandbox: Sandbox):
    options = {"user": guild.owner, "channel": guild.channel.id}
    reply = await sandbox.slash(guild, guild.owner, "staff add", options)
    assert reply.text == f"{guild.owner.id} general {int(guild.permissions(guild.owner))}"


@pytest.mark.usefixtures("commands")
async def test_the_same_interaction_twice_is_answered_once(guild: Guild, sandbox: Sandbox):
    payload = sandbox.interaction_payload(guild, guild.owner, "who_invited", {"member": guild.owner})
    first, second = sandbox.send_interaction(payload), sandbox.send_interaction(payload)
    assert first is second
    await sandbox.until(lambda: sandbox.count("callback") == 2)
    assert (len(first.callbacks), first.refused) == (1, 1)
    assert sandbox.count("callback", 400) == 1
    assert len(sandbox.violations.take("interaction.answered_twice")) == 1


@pytest.mark.usefixtures("commands")
async def test_the_users_permissions_are_checked_when_asked_to(guild: Guild, sandbox: Sandbox):
    anybody = sandbox.world.settle(guild, 1)[0]
    with pytest.raises(NotAllowedError):
        await sandbox.slash(guild, anybody, "slow", enforce=True)
    staff = sandbox.world.add_staff(guild)
    assert (await sandbox.slash(guild, staff, "slow", enforce=True)).done


@pytest.mark.parametrize(
    "options", [{}, {"member": 1}, {"member": True}, {"member": 2, "depth": "deep"}, {"who": "x"}]
)
@pytest.mark.usefixtures("commands")
async def test_what_discord_would_not_send_is_refused(guild: Guild, sandbox: Sandbox, options: Options):
    with pytest.raises(ValueError, match=r"needs|no user|does not fit|no option"):
        await sandbox.slash(guild, guild.owner, "who_invited", options)


@pytest.mark.usefixtures("bot")
async def test_an_unregistered_command_is_a_lookup_error(guild: Guild, sandbox: Sandbox):
    with pytest.raises(LookupError):
        await sandbox.slash(guild, guild.owner, "nothing")


@pytest.mark.usefixtures("commands")
async def test_guild_commands_go_before_global_ones(bot: Bot, guild: Guild, sandbox: Sandbox):
    bot.tree.copy_global_to(guild=discord.Object(guild.id))
    await bot.tree.sync(guild=discord.Object(guild.id))
    command = sandbox.commands.find(guild.id, "slow")
    assert command["guild_id"] == str(guild.id)
    fetched = await bot.tree.fetch_commands(guild=discord.Object(guild.id))
    await fetched[0].delete()
    assert len(await bot.tree.fetch_commands(guild=discord.Object(guild.id))) == 5


async def test_an_unknown_interaction_is_404(sandbox: Sandbox):
    url = sandbox.api_url + "/interactions/1/none/callback"
    async with client_session() as session, session.post(url, json={"type": 4}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, 10062)
    assert len(sandbox.violations.take("interaction.unknown")) == 1


async def test_a_channel_message_is_kept(bot: Bot, guild: Guild, sandbox: Sandbox):
    sent = await bot.get_channel(guild.channel.id).send("hello")
    assert [message["id"] for message in sandbox.world.messages] == [str(sent.id)]


def picker(kind: int, **fields: object) -> Message:
    component = {"type": kind, "custom_id": "pick"} | fields
    return Message({"id": "99", "components": [{"type": 1, "components": [component]}]})


def clicked(sandbox: Sandbox, guild: Guild, message: Message, *values: object) -> JsonObject:
    wanted = [str(value) for value in values]
    return as_object(sandbox.interactions.click_payload(guild, guild.owner, message, "pick", wanted)["data"])


def test_what_is_picked_in_a_select_is_resolved(guild: Guild, sandbox: Sandbox):
    role, channel, owner = guild.staff_role, guild.channel, guild.owner
    resolved = [
        clicked(sandbox, guild, picker(kind), value.id)["resolved"]
        for kind, value in ((5, owner), (6, role), (7, role), (8, channel))
    ]
    assert [sorted(each) for each in resolved] == [["members", "users"], ["roles"], ["roles"], ["channels"]]
    assert resolved[0]["users"][str(owner.id)]["username"] == owner.name


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (picker(2, disabled=True), []),
        (picker(3, options=[{"value": "a"}]), ["b"]),
        (picker(3, options=[{"value": "a"}]), []),
        (picker(5), ["1"]),
        (picker(6), ["1"]),
        (picker(8), ["1"]),
    ],
)
def test_what_discord_would_not_let_a_user_click_is_refused(
    guild: Guild, sandbox: Sandbox, message: Message, values: list[str]
):
    with pytest.raises(ValueError, match=r"disabled|picked|no user|no role|no channel"):
        clicked(sandbox, guild, message, *values)
