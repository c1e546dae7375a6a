"""What an interaction says of itself, as our ids: which it is, in which server, where, and by whom."""

from typing import TypeAlias

import discord

from actors.gateway.answering import Interaction
from ledger.ids import ChannelId, GuildId, InteractionId, UserId

Person: TypeAlias = discord.User | discord.Member


def interaction_of(interaction: Interaction) -> InteractionId:
    """Its own id, by which a redelivery is known."""
    return InteractionId(str(interaction.id))


def guild_of(interaction: Interaction) -> GuildId:
    """The server; every command is for servers only."""
    return GuildId(str(interaction.guild_id))


def place_of(interaction: Interaction) -> ChannelId:
    """Where a new invite leads: here, or what the thread belongs to."""
    here = interaction.channel
    parent = here.parent_id if isinstance(here, discord.Thread) else None
    return ChannelId(str(parent or interaction.channel_id))


def asker_of(interaction: Interaction) -> UserId:
    """Who gave the command."""
    return id_of(interaction.user)


def id_of(user: Person | discord.ClientUser) -> UserId:
    """Somebody's id."""
    return UserId(str(user.id))
