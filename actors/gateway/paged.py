"""A text in pages, with buttons that need no memory: which page of what is in the custom_id.

So a page can be turned after a restart, by whoever may use the command.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import discord
import msgspec

T = TypeVar("T")

MAX_DIGITS: Final = 6
"""Of a page's number: nobody has a million pages."""


class Turn(msgspec.Struct, frozen=True):
    """What a button asks for: page ``number`` (from 0) of ``what``, of ``about`` ("" where there is only one)."""

    what: str
    about: str
    number: int


class TextPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it is shown. ``turn``: which it is; ``pages``: how many there are."""

    turn: Turn
    pages: int
    text: str


def page_of(lines: Sequence[T], number: int, a_page: int) -> tuple[Sequence[T], int, int]:
    """What stands on a page, which page it is (beyond the end it is the last), and how many there are."""
    pages = max(1, -(-len(lines) // a_page))
    at = min(number, pages - 1)
    return lines[at * a_page : (at + 1) * a_page], at, pages


def packed(lines: Iterable[str], most: int) -> Sequence[str]:
    """The lines as pages of at most so many characters each, at least one page; a longer line is cut."""
    pages: list[str] = []
    for line in lines:
        short = line if len(line) <= most else f"{line[: most - 1]}…"
        if pages and len(pages[-1]) + 1 + len(short) <= most:
            pages[-1] = f"{pages[-1]}\n{short}"
        else:
            pages.append(short)
    return pages or [""]


def turning(page: TextPage) -> discord.ui.View:
    """The buttons where there is more than a page; else none."""
    view = discord.ui.View(timeout=None)
    if page.pages > 1:
        last, at = page.pages - 1, page.turn.number
        view.add_item(_button("◀ Previous", page.turn, max(0, at - 1), disabled=at == 0))
        view.add_item(_button("Next ▶", page.turn, at + 1, disabled=at == last))
    view.stop()  # nobody waits for its buttons: `turn_of` reads them
    return view


def turn_of(custom_id: str, what: str) -> Turn | None:
    """What a button of ``what`` asks for; None for one that is none of these."""
    prefix, *parts = custom_id.split("/")
    if prefix != what or len(parts) != len(("about", "number")):
        return None
    about, number = parts
    if not (number.isascii() and number.isdigit()) or len(number) > MAX_DIGITS:
        return None
    return Turn(what, about, int(number))


def turn_id(turn: Turn) -> str:
    """The turn as a button carries it."""
    return f"{turn.what}/{turn.about}/{turn.number}"


def _button(label: str, turn: Turn, number: int, *, disabled: bool) -> discord.ui.Button[discord.ui.View]:
    asked = msgspec.structs.replace(turn, number=number)
    return discord.ui.Button(label=label, custom_id=turn_id(asked), disabled=disabled)
