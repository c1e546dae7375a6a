"""A leaderboard as Discord's components (V2), with buttons that need no memory: their state is in the custom_id.

So a page can be turned after a restart of the bot, by whoever may use the command. The library's store of views is
not used: it forgets with the process.
"""

from collections.abc import Sequence
from typing import Final

import discord
import msgspec

from actors.gateway.paged import arrows, wish_in
from actors.gateway.ranking import Board, Wish, footing, heading, rows

PREFIX: Final = "board"


def view_of(board: Board) -> discord.ui.LayoutView:
    """At most eight components: one container, its texts, and the buttons where there is more than a page."""
    view = discord.ui.LayoutView(timeout=None)
    texts = (discord.ui.TextDisplay[discord.ui.LayoutView](text(board)) for text in (heading, rows, footing))
    container = discord.ui.Container[discord.ui.LayoutView](*texts)
    if buttons := _buttons(board):
        container.add_item(discord.ui.ActionRow(*buttons))
    view.add_item(container)
    view.stop()  # nobody waits for its buttons: `wish_of` reads them
    return view


def wish_of(custom_id: str) -> Wish | None:
    """What a button asks for; None for one that is none of ours."""
    return wish_in(custom_id, PREFIX, Wish)


def custom_id(wish: Wish) -> str:
    """The wish as a button carries it: at most 28 characters of Discord's 100."""
    return f"{PREFIX}/{wish.window}/{wish.by}/{wish.page}"


def _buttons(board: Board) -> Sequence[discord.ui.Button[discord.ui.LayoutView]]:
    found = arrows(board.wish.page, board.pages, lambda at: custom_id(msgspec.structs.replace(board.wish, page=at)))
    return [discord.ui.Button(label=each.label, custom_id=each.custom_id, disabled=each.disabled) for each in found]
