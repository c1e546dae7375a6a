"""Which channel an invite leads to: CHANNEL_DELETE names a channel, not the invites that die with it.

Known from samples and INVITE_CREATE, in memory only: what was not heard of in this process is not known.
"""

from collections.abc import Sequence

from ledger import messages as m
from ledger.ids import ChannelId, GuildId, InviteCode
from ledger.records import Counter


class InviteChannels:
    """Codes and their channels, by guild."""

    def __init__(self) -> None:
        self._guilds: dict[GuildId, dict[InviteCode, ChannelId]] = {}

    def codes_in(self, guild: GuildId, channel: ChannelId) -> tuple[InviteCode, ...]:
        """The codes of the invites that lead to the channel."""
        return tuple(code for code, where in self._guilds.get(guild, {}).items() if where == channel)

    def learn(self, guild: GuildId, counters: Sequence[Counter]) -> None:
        """All invites of a guild, from a sample."""
        self._guilds[guild] = {each.code: each.channel for each in counters if each.channel is not None}

    def follow(self, guild: GuildId, message: m.Message) -> None:
        """What one message says about invites and their channels."""
        match message:
            case m.NoteInviteBorn(invite=invite) if invite.channel is not None:
                self._guilds.setdefault(guild, {})[invite.code] = invite.channel
            case m.NoteInviteDied(code=code):
                self._guilds.get(guild, {}).pop(code, None)
            case m.RemoveGuild():
                self._guilds.pop(guild, None)
            case _:
                pass
