"""Answers to interactions: who may have one, and how it is shown: once, ephemeral, pinging nobody.

Where a fetch or a long list is needed the answer is deferred first; a redelivered interaction fails at that step,
before anything is done. What Discord says of an interaction that was answered before, or is too old, is a log line,
no error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final, TypeAlias, assert_never

import aiohttp
import discord
from structlog.typing import FilteringBoundLogger

from actors.gateway.board import view_of
from actors.gateway.failures import GARBLED, in_short
from actors.gateway.paged import TextPage, turning
from actors.gateway.ranking import Board
from actors.gateway.staff_board import buttons_of, files_of
from actors.gateway.staff_report import StaffPage

Interaction: TypeAlias = discord.Interaction[discord.Client]
Shown: TypeAlias = str | Board | StaffPage | TextPage
Work: TypeAlias = Callable[[], Awaitable[Shown]]

SEND_S: Final = 10.0
PATIENT_S: Final = 60.0
"""For the text that was promised: the library waits out a limit, and tries again by itself, for so long."""
TRIES: Final = 3
"""Of sending what was promised: whoever gave the command looks at "is thinking" for 15 minutes otherwise."""
PROMISED: Final = discord.InteractionResponseType.deferred_channel_message
LATE_CODES: Final = {
    40060: "answered before",
    10062: "unknown or older than 3 s",
    10015: "older than 15 minutes",
    50027: "older than 15 minutes",
}
"""What Discord says of an interaction that can no longer be answered."""
NOT_ALLOWED: Final = (
    "You need the permission Manage Server for this: it shows or decides what others are credited with. "
    "Nothing was done; please ask somebody who has it."
)
BROKE_OFF: Final = "My connection to Discord broke before I began, so nothing was done. Please try it again."
UNSURE: Final = "My connection to Discord broke while I answered. Where no answer stands here, please ask again."
NOBODY: Final = discord.AllowedMentions.none()


class Delivery(Enum):
    """What became of something that was sent. ``LOST``: nobody knows; Discord may have it."""

    SHOWN = auto()
    REFUSED = auto()
    LOST = auto()


def may_use(interaction: Interaction) -> bool:
    """Whether whoever gave the command may manage the server, whatever the server's settings let through."""
    return interaction.guild_id is not None and interaction.permissions.manage_guild


async def at_once(interaction: Interaction, work: Work, log: FilteringBoundLogger) -> None:
    """Does the work and shows what came of it, for work that is done in time for a first answer."""
    await answer(interaction, await work() if may_use(interaction) else NOT_ALLOWED, log)


async def deferred(interaction: Interaction, work: Work, log: FilteringBoundLogger) -> None:
    """Promises an answer, then does the work; nothing is done where the promise is not taken."""

    async def promise() -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)

    if not may_use(interaction):
        await answer(interaction, NOT_ALLOWED, log)
    elif await _promised(interaction, promise, log):
        await answer(interaction, await work(), log)


async def turned(interaction: Interaction, work: Work, log: FilteringBoundLogger) -> None:
    """The answer to a click: the message it was made under is changed; a text comes beside it."""

    async def promise() -> None:
        await interaction.response.defer()

    if not may_use(interaction):
        await answer(interaction, NOT_ALLOWED, log)
    elif await _promised(interaction, promise, log):
        await _change(interaction, await work(), log)


async def excuse(interaction: Interaction, text: str, log: FilteringBoundLogger) -> None:
    """Says that something went wrong.

    Discord may have taken a promise though we heard nothing of it; then the text comes in its place.
    """
    delivery = await answer(interaction, text, log)
    if delivery is not Delivery.SHOWN and not interaction.response.is_done():
        await _follow_up(interaction, text, log)


async def answer(interaction: Interaction, what: Shown, log: FilteringBoundLogger) -> Delivery:
    """Shows it to whoever gave the command."""

    async def keep() -> None:
        await interaction.edit_original_response(content=str(what), allowed_mentions=NOBODY)

    async def send() -> None:
        if isinstance(what, Board):  # always after a promise: it is not read within the 3 s of a first answer
            await interaction.followup.send(view=view_of(what), ephemeral=True, allowed_mentions=NOBODY)
        elif isinstance(what, StaffPage):  # always after a promise, too
            view, files = buttons_of(what), files_of(what)
            await interaction.followup.send(
                what.text, view=view, files=files, ephemeral=True, allowed_mentions=NOBODY
            )
        elif isinstance(what, TextPage):  # always after a promise, too
            await interaction.followup.send(what.text, view=turning(what), ephemeral=True, allowed_mentions=NOBODY)
        elif interaction.response.is_done():
            await interaction.followup.send(what, ephemeral=True, allowed_mentions=NOBODY)
        else:
            await interaction.response.send_message(what, ephemeral=True, allowed_mentions=NOBODY)

    if isinstance(what, str) and interaction.response.type is PROMISED:
        return await _delivered(interaction, keep, log, TRIES, PATIENT_S)  # an edit: twice is once
    delivery = await _delivered(interaction, send, log)
    if delivery is Delivery.LOST and interaction.response.is_done():
        await _follow_up(interaction, UNSURE, log)
    return delivery


async def _follow_up(interaction: Interaction, text: str, log: FilteringBoundLogger) -> None:
    """A text in the place of what was promised, or beside what stands there."""

    async def send() -> None:
        await interaction.followup.send(text, ephemeral=True, allowed_mentions=NOBODY)

    await _delivered(interaction, send, log)


async def _change(interaction: Interaction, what: Shown, log: FilteringBoundLogger) -> None:
    if isinstance(what, str):
        await answer(interaction, what, log)
        return

    async def edit() -> None:
        match what:
            case Board():
                await interaction.edit_original_response(view=view_of(what), allowed_mentions=NOBODY)
            case TextPage():
                await interaction.edit_original_response(
                    content=what.text, view=turning(what), allowed_mentions=NOBODY
                )
            case StaffPage():  # the files stay
                await interaction.edit_original_response(
                    content=what.text, view=buttons_of(what), allowed_mentions=NOBODY
                )
            case _:
                assert_never(what)

    await _delivered(interaction, edit, log)


async def _promised(
    interaction: Interaction, promise: Callable[[], Awaitable[None]], log: FilteringBoundLogger
) -> bool:
    """Whether the work may begin; where that is not known it does not, and whoever waits is told."""
    delivery = await _delivered(interaction, promise, log)
    if delivery is Delivery.LOST:
        await excuse(interaction, BROKE_OFF, log)
    return delivery is Delivery.SHOWN


async def _delivered(
    interaction: Interaction,
    send: Callable[[], Awaitable[None]],
    log: FilteringBoundLogger,
    tries: int = 1,
    within_s: float = SEND_S,
) -> Delivery:
    delivery = Delivery.REFUSED
    try:
        async with asyncio.timeout(within_s):
            await send()
    except discord.HTTPException as error:
        why = LATE_CODES.get(error.code) or in_short(error)
    except (aiohttp.ClientError, OSError, discord.RateLimited, *GARBLED) as error:
        if tries > 1:
            return await _delivered(interaction, send, log, tries - 1, within_s)
        why, delivery = in_short(error), Delivery.LOST
    except RuntimeError as error:  # the library's session was closed meanwhile: the bot is stopping
        why = in_short(error)
    else:
        return Delivery.SHOWN
    log.warning("interaction.unanswered", guild=interaction.guild_id, interaction=interaction.id, why=why)
    return delivery
