"""The bot's own permissions: which are needed, which are there, and when that changed.

Read from the library's cache, which keeps roles and the bot's own member whatever the member cache is set to.
"""

from collections.abc import Mapping
from typing import Final

import discord
from structlog.typing import FilteringBoundLogger

from actors.roster import Roster
from ledger import messages as m
from ledger.ids import ChannelId, GuildId
from ledger.ports import Clock

NEEDED: Final = {
    "manage_guild": "Manage Server",
    "manage_channels": "Manage Channels",
}
"""What counting needs, by the library's name and by the one people see."""
PROVING: Final = {"view_audit_log": "View Audit Log"}
"""What tells an invite that was used up from one that was deleted: without it both are mere possibilities."""
OPTIONAL: Final = {"create_instant_invite": "Create Invite"}
"""What /setup_staff_invite and /invite need to make invites."""
ASKED: Final = (*NEEDED, *OPTIONAL, *PROVING)
"""What the install link asks for."""
WITHOUT_AUDIT_LOG: Final = (
    "the last uses of limited invites stay likely instead of certain, and nobody is told who added a bot"
)
"""What is lost without ``PROVING``."""
LINK_NOTE: Final = f"Leave View Audit Log ticked there: without it {WITHOUT_AUDIT_LOG}.\n"
"""Beside the install link."""
_MASK: Final = discord.Permissions(**dict.fromkeys((*NEEDED, *PROVING), True)).value


def install_link(application: str) -> str:
    """Adds the bot to a server with the permissions in ``ASKED``."""
    bits = discord.Permissions(**dict.fromkeys(ASKED, True)).value
    query = f"client_id={application}&scope=bot+applications.commands&permissions={bits}"
    return f"https://discord.com/oauth2/authorize?{query}"


def missing(held: discord.Permissions) -> tuple[str, ...]:
    """The needed permissions that are not among those held, in people's words."""
    return _not_among(held, NEEDED)


def optional(held: discord.Permissions) -> tuple[str, ...]:
    """Likewise those without which counting is as sure."""
    return _not_among(held, OPTIONAL)


def unproving(held: discord.Permissions) -> tuple[str, ...]:
    """Likewise those without which less can be proved."""
    return _not_among(held, PROVING)


def _not_among(held: discord.Permissions, wanted: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(words for name, words in wanted.items() if not getattr(held, name))


def unheard_channels(guild: discord.Guild) -> tuple[ChannelId, ...]:
    """Channels that invites may lead to, of which Discord does not tell us: Manage Channels is missing there."""
    return tuple(
        ChannelId(str(channel.id))
        for channel in guild.channels
        if not isinstance(channel, discord.CategoryChannel) and not channel.permissions_for(guild.me).manage_channels
    )


class PermissionWatch:
    """Tells a guild when the bot's permissions that count have changed there, and only then; the operator as well.

    Args:
        roster: whom to tell.
        clock: stamps the message.
        log: where what is missing is said, once until it changes.
    """

    def __init__(self, roster: Roster, clock: Clock, log: FilteringBoundLogger) -> None:
        self._roster = roster
        self._clock = clock
        self._log = log
        self._bits: dict[int, int] = {}

    def look(self, guild: discord.Guild, *, arriving: bool) -> None:
        """Compares with what was seen last; ``arriving``: the guild has just come, so nothing is told."""
        bits = guild.me.guild_permissions.value & _MASK
        before = self._bits.get(guild.id)
        self._bits[guild.id] = bits
        self._say(guild, before, bits)
        if not arriving and before is not None and before != bits:
            self._roster.tell(GuildId(str(guild.id)), m.NotePermissions(at_us=self._clock.stamp_us()))

    def _say(self, guild: discord.Guild, before: int | None, bits: int) -> None:
        held = discord.Permissions(bits)
        lacking = (*missing(held), *unproving(held))
        if lacking and before != bits:
            self._log.warning("permission.missing", guild=str(guild.id), permissions=list(lacking))
        elif before is not None and not lacking and before != bits:
            self._log.info("permission.restored", guild=str(guild.id))
