"""/log_channel's work: where joins are announced, and in which words; each is a change of the guild's settings."""

from typing import Final

import discord
import msgspec

from actors.asks import Answered, Outcome
from actors.gateway.asking import PATIENT_S
from actors.gateway.join_words import DEFAULTS, Kind, wrong_in
from actors.gateway.render import NOT_DURABLE, render
from actors.gateway.wording import channel as shown
from actors.gateway.wording import visible
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import Answer, SettingsReport
from ledger.ids import ChannelId, GuildId, InteractionId, UserId
from ledger.records import Settings

WRITING: Final = {"view_channel": "View Channel", "send_messages": "Send Messages"}
"""What a log channel needs, by the library's name and by the one people see."""


class LogChange(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a change, where."""

    interaction: InteractionId
    guild: GuildId
    by: UserId


def lacking(held: discord.Permissions) -> tuple[str, ...]:
    """What is missing among the permissions in a channel, in people's words."""
    return tuple(words for name, words in WRITING.items() if not getattr(held, name))


def writable_channels(guild: discord.Guild) -> frozenset[ChannelId]:
    """Channels that could be the log channel."""
    return frozenset(
        ChannelId(str(each.id)) for each in guild.text_channels if not lacking(each.permissions_for(guild.me))
    )


def closed(where: ChannelId, lacks: tuple[str, ...]) -> str:
    """Why a channel was not taken."""
    return (
        f"I lack {' and '.join(lacks)} in {shown(where)}, so no join would be shown there, and nothing was changed. "
        "Please give me that in the channel's permissions and try again, or name another channel."
    )


class LogChannel:
    """Changes where and how joins are announced.

    Args:
        roster: where guild actors are asked.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def set(self, change: LogChange, where: ChannelId) -> str:
        """Joins from now on are announced there; what may be written there was checked before."""
        told = f"From now on I say in {shown(where)} who joined. Earlier joins are not announced."
        return await self._announce(change, where, told)

    async def off(self, change: LogChange) -> str:
        """No further join is announced."""
        told = "Joins are no longer announced. Messages already posted are still corrected."
        return await self._announce(change, None, told)

    async def template(self, change: LogChange, kind: Kind, text: str) -> str:
        """The words for that kind of join; none: those of the house again. Messages that stand keep theirs."""
        refusal = wrong_in(text)
        if refusal:
            return f"{refusal} Nothing was changed."
        words = visible(text).strip() or DEFAULTS[kind]
        told = f"A join of the kind **{kind}** is from now on announced as: {words}"
        message = m.ChangeSettings(interaction=change.interaction, by=change.by, templates={kind: text.strip()})
        return _answer(await self._roster.ask(change.guild, message, PATIENT_S), told)

    async def _announce(self, change: LogChange, where: ChannelId | None, told: str) -> str:
        message = m.ChangeSettings(
            interaction=change.interaction,
            by=change.by,
            settings=Settings(log_channel=where),
            fields=("log_channel",),
        )
        return _answer(await self._roster.ask(change.guild, message, PATIENT_S), told)


def _answer(outcome: Outcome[Answer], told: str) -> str:
    if not isinstance(outcome.answer, SettingsReport):
        return render(outcome)
    if outcome.answer.settings == outcome.answer.before:
        return "It is so already. Nothing was changed."
    return f"{told}\n{NOT_DURABLE}" if outcome.kind is Answered.DEGRADED else told
