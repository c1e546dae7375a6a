"""A leaderboard as Discord's components (V2), with buttons that need no memory: their state is in the custom_id.

So a page can be turned after a restart of the bot, by whoever may use the command. The library's store of views is
not used: it forgets with the process.
"""

from typing import Final

import discord
import msgspec

from actors.gateway.ranking import Board, Wish, footing, heading, rows

PREFIX: Final = "board"
STATE: Final = ("window", "by", "page")


def view_of(board: Board) -> discord.ui.LayoutView:
    """At most eight components: one container, its texts, and the buttons where there is more than a page."""
    view = discord.ui.LayoutView(timeout=None)
    texts = (discord.ui.TextDisplay[discord.ui.LayoutView](text(board)) for text in (heading, rows, footing))
    container = discord.ui.Container[discord.ui.LayoutView](*texts)
    if board.pages > 1:
        container.add_item(_buttons(board))
    view.add_item(container)
    view.stop()  # nobody waits for its buttons: `wish_of` reads them
    return view


def wish_of(custom_id: str) -> Wish | None:
    """What a button asks for; None for one that is none of ours."""
    prefix, *parts = custom_id.split("/")
    if prefix != PREFIX or len(parts) != len(STATE):
        return None
    try:
        return msgspec.convert(dict(zip(STATE, parts, strict=True)), Wish, strict=False)
    except msgspec.ValidationError:
        return None


def custom_id(wish: Wish) -> str:
    """The wish as a button carries it: at most 28 characters of Discord's 100."""
    return f"{PREFIX}/{wish.window}/{wish.by}/{wish.page}"


def _buttons(board: Board) -> discord.ui.ActionRow[discord.ui.LayoutView]:
    last = board.pages - 1
    return discord.ui.ActionRow(
        _button("◀ Previous", board.wish, max(0, board.wish.page - 1), disabled=board.wish.page == 0),
        _button("Next ▶", board.wish, board.wish.page + 1, disabled=board.wish.page == last),
    )


def _button(label: str, wish: Wish, page: int, *, disabled: bool) -> discord.ui.Button[discord.ui.LayoutView]:
    asked = msgspec.structs.replace(wish, page=page)
    return discord.ui.Button(label=label, custom_id=custom_id(asked), disabled=disabled)
