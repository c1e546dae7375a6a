"""What is said where the bot is new: that it counts from now, what it lacks, and how to begin.

It follows from the record that a guild was adopted, so it is said once in a guild's life, and a guild that comes back
is not greeted. Best effort: where the system channel is missing or closed to the bot, the log alone says it.
"""

from collections.abc import Callable, Sequence
from typing import Final

import discord
from structlog.typing import FilteringBoundLogger

from actors.gateway.failures import Failure, reason
from actors.gateway.payloads import Place
from actors.gateway.permissions import WITHOUT_AUDIT_LOG, missing, optional, unproving
from actors.gateway.rest import Rest
from ledger.effects import Welcome
from ledger.ids import ChannelId, GuildId

TEXT: Final = (
    "Hello! I work out which invite each new member came with, and whose it was.\n"
    "I count from now, <t:{since_s}:f>: of those who joined before I know only what Discord still tells.\n"
    "{lacking}"
    "`/setup_staff_invite` gives a staff member an invite, `/who_invited` says how somebody came, "
    "`/debug_invites` what I see."
)
LACKING: Final = (
    "**I lack {permissions}** and count less surely, or not at all, without. "
    "Mend my role in Server Settings, Roles; I notice by myself.\n"
)
OPTIONAL: Final = (
    "Without {permissions} I cannot make invites for staff; those that are there can be assigned by code.\n"
)
UNPROVING: Final = f"Without {{permissions}} {WITHOUT_AUDIT_LOG}.\n"


def greeting(counting_since_us: int, lacks: Sequence[str], extras: Sequence[str], proofs: Sequence[str] = ()) -> str:
    """The message; markdown of Discord's, without a mention.

    ``extras``: what is missing and only optional; ``proofs``: without which less can be proved.
    """
    lacking = LACKING.format(permissions=" and ".join(lacks)) if lacks else ""
    without = OPTIONAL.format(permissions=" and ".join(extras)) if extras else ""
    less = UNPROVING.format(permissions=" and ".join(proofs)) if proofs else ""
    return TEXT.format(since_s=counting_since_us // 1_000_000, lacking=lacking + less + without)


class Welcomer:
    """Greets guilds.

    Args:
        find: a guild as the library's cache has it; None when it is not there (any more).
        rest: posts the message.
        log: says that the guild is new and what is missing.
    """

    def __init__(
        self, find: Callable[[GuildId], discord.Guild | None], rest: Rest, log: FilteringBoundLogger
    ) -> None:
        self._find = find
        self._rest = rest
        self._log = log

    async def greet(self, guild_id: GuildId, effect: Welcome) -> None:
        """One try; a guild that has gone meanwhile is not greeted."""
        guild = self._find(guild_id)
        if guild is None:
            return
        held, since_us = guild.me.guild_permissions, effect.counting_since_us
        lacks, extras, proofs = missing(held), optional(held), unproving(held)
        self._log.info(
            "guild.adopted",
            guild=guild_id,
            missing=[*lacks, *proofs],
            optional=list(extras),
            counting_since_ms=since_us // 1_000,
        )
        channel = _open_channel(guild)
        if channel is not None:
            posted = await self._rest.post(channel, greeting(since_us, lacks, extras, proofs), _nonce(effect))
            self._tell(guild_id, posted)

    def _tell(self, guild: GuildId, posted: Place | Failure) -> None:
        if not isinstance(posted, Place):
            self._log.warning("welcome.failed", guild=guild, reason=reason(posted))


def _open_channel(guild: discord.Guild) -> ChannelId | None:
    """The system channel, if the bot may write there."""
    channel = guild.system_channel
    if channel is None:
        return None
    may = channel.permissions_for(guild.me)
    return ChannelId(str(channel.id)) if may.view_channel and may.send_messages else None


def _nonce(effect: Welcome) -> str:
    """The same for a try that is repeated on the way, so that Discord posts it once."""
    return str(effect.counting_since_us)
