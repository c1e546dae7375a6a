"""The slash command /log_channel; what was typed is checked, `log_channel` works."""

from typing import Final

import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, answer, deferred
from actors.gateway.asked import asker_of, guild_of, interaction_of
from actors.gateway.join_words import MAX_TEMPLATE, PLACEHOLDERS, Kind
from actors.gateway.log_channel import LogChange, LogChannel, closed, lacking
from ledger.ids import ChannelId

HOLDS: Final = f"May hold {' '.join(f'{{{name}}}' for name in PLACEHOLDERS)}"


def install_log_channel(
    tree: app_commands.CommandTree[discord.Client], logs: LogChannel, log: FilteringBoundLogger
) -> None:
    """Puts it into the tree."""
    group = app_commands.Group(name="log_channel", description="Announce who joined, and by whose invite")

    @group.command(name="set", description="Announce joins in a channel from now on")
    @app_commands.describe(channel="Where; I need View Channel and Send Messages there")
    async def choose(interaction: Interaction, channel: discord.TextChannel) -> None:
        where = ChannelId(str(channel.id))
        lacks = lacking(channel.permissions_for(channel.guild.me))
        if lacks:
            await answer(interaction, closed(where, lacks), log)
        else:
            await deferred(interaction, lambda: logs.set(_change(interaction), where), log)

    @group.command(description="Stop announcing joins")
    async def off(interaction: Interaction) -> None:
        await deferred(interaction, lambda: logs.off(_change(interaction)), log)

    @group.command(description="The words for a kind of join; left out, the default ones again")
    @app_commands.describe(kind="Which joins", text=HOLDS)
    async def template(
        interaction: Interaction, kind: Kind, text: app_commands.Range[str, 0, MAX_TEMPLATE] = ""
    ) -> None:
        await deferred(interaction, lambda: logs.template(_change(interaction), kind, text), log)

    tree.add_command(group)


def _change(interaction: Interaction) -> LogChange:
    return LogChange(
        interaction=interaction_of(interaction),
        guild=guild_of(interaction),
        by=asker_of(interaction),
    )
