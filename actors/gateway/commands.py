"""Slash commands: parse, let the desk work, show. Each is for staff, ephemeral, and answered once.

Who may use them is said twice: to Discord (default permissions, which a server can change) and here, at run time.
Where a fetch is needed the answer is deferred first; a redelivered interaction fails at that step, before anything
is done. What Discord says of an interaction that was answered before, or is too old, is a log line, no error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import aiohttp
import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.desk import Assign, Desk
from actors.gateway.permissions import missing
from ledger.ids import ChannelId, GuildId, InteractionId, UserId

Interaction: TypeAlias = discord.Interaction[discord.Client]
Work: TypeAlias = Callable[[], Awaitable[str]]

SEND_S: Final = 10.0
LATE_CODES: Final = {
    40060: "answered before",
    10062: "unknown or older than 3 s",
    10015: "older than 15 minutes",
    50027: "older than 15 minutes",
}
"""What Discord says of an interaction that can no longer be answered."""
NOT_ALLOWED: Final = "You need the permission Manage Server for this."
NO_BOTS: Final = "A bot cannot be credited with joins. Please name a person."
FAILED: Final = "Something went wrong in here. The operator finds it in my log."


class Tree(app_commands.CommandTree[discord.Client]):
    """The commands of one client, with our word for what goes wrong in them."""

    def __init__(self, client: discord.Client, log: FilteringBoundLogger) -> None:
        super().__init__(client)
        self.log = log

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """An error in a command: told to the log and, if it can still be, to whoever gave the command."""
        self.log.error("command.failed", guild=interaction.guild_id, error=repr(error), exc_info=error)
        await answer(interaction, FAILED, self.log)


def install(tree: Tree, desk: Desk) -> None:
    """Puts the commands into the tree."""
    _install_reading(tree, desk)
    _install_changing(tree, desk)


def _install_reading(tree: Tree, desk: Desk) -> None:
    @tree.command(description="How this server's invites are being counted")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    async def debug_invites(interaction: Interaction) -> None:
        await _at_once(interaction, lambda: desk.debug(_guild(interaction), _missing(interaction)), tree.log)

    @tree.command(description="Which invite a member joined with")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(member="Whose joins to show; may have left")
    async def who_invited(interaction: Interaction, member: discord.User) -> None:
        await _at_once(interaction, lambda: desk.who(_guild(interaction), _id(member)), tree.log)


def _install_changing(tree: Tree, desk: Desk) -> None:
    @tree.command(description="Read the invite counters now and work out open joins")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    async def refresh_invite_cache(interaction: Interaction) -> None:
        await _deferred(interaction, lambda: desk.refresh(_guild(interaction)), tree.log)

    @tree.command(description="Credit an invite's joins to a staff member from now on")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(staff="Who is credited", code="An invite of this server; left out, a new one is made")
    async def setup_staff_invite(interaction: Interaction, staff: discord.User, code: str = "") -> None:
        if staff.bot:
            await answer(interaction, NO_BOTS, tree.log)
            return
        await _deferred(interaction, lambda: desk.assign(_wish(interaction, staff, code)), tree.log)


async def answer(interaction: Interaction, text: str, log: FilteringBoundLogger) -> bool:
    """Shows the text to whoever gave the command; False when the interaction can no longer be answered."""

    async def send() -> None:
        nobody = discord.AllowedMentions.none()
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True, allowed_mentions=nobody)
        else:
            await interaction.response.send_message(text, ephemeral=True, allowed_mentions=nobody)

    return await _delivered(interaction, send, log)


async def _at_once(interaction: Interaction, work: Work, log: FilteringBoundLogger) -> None:
    await answer(interaction, await work() if may_use(interaction) else NOT_ALLOWED, log)


async def _deferred(interaction: Interaction, work: Work, log: FilteringBoundLogger) -> None:
    if not may_use(interaction):
        await answer(interaction, NOT_ALLOWED, log)
        return

    async def promise() -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)

    if await _delivered(interaction, promise, log):
        await answer(interaction, await work(), log)


async def _delivered(
    interaction: Interaction, send: Callable[[], Awaitable[None]], log: FilteringBoundLogger
) -> bool:
    try:
        async with asyncio.timeout(SEND_S):
            await send()
    except discord.HTTPException as error:
        why = LATE_CODES.get(error.code, str(error))
        log.warning("interaction.unanswered", guild=interaction.guild_id, interaction=interaction.id, why=why)
        return False
    except (aiohttp.ClientError, OSError) as error:
        log.warning("interaction.unanswered", guild=interaction.guild_id, interaction=interaction.id, why=repr(error))
        return False
    return True


def may_use(interaction: Interaction) -> bool:
    """Whether whoever gave the command may manage the server, whatever the server's settings let through."""
    return interaction.guild_id is not None and interaction.permissions.manage_guild


def _wish(interaction: Interaction, staff: discord.User, code: str) -> Assign:
    return Assign(
        interaction=InteractionId(str(interaction.id)),
        guild=_guild(interaction),
        channel=_channel(interaction),
        staff=_id(staff),
        by=_id(interaction.user),
        code=code,
    )


def _channel(interaction: Interaction) -> ChannelId:
    """Where a new invite leads: here, or what the thread belongs to."""
    here = interaction.channel
    parent = here.parent_id if isinstance(here, discord.Thread) else None
    return ChannelId(str(parent or interaction.channel_id))


def _guild(interaction: Interaction) -> GuildId:
    return GuildId(str(interaction.guild_id))


def _id(user: discord.User | discord.Member) -> UserId:
    return UserId(str(user.id))


def _missing(interaction: Interaction) -> tuple[str, ...]:
    me = interaction.guild.me if interaction.guild else None
    return missing(me.guild_permissions if me else interaction.app_permissions)
