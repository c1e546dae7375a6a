"""A text in pages, with buttons that need no memory: which page of what is in the custom_id.

So a page can be turned after a restart, by whoever may use the command.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import discord
import msgspec

T = TypeVar("T")
FormT = TypeVar("FormT", bound=msgspec.Struct)

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
    return arrow_view(page.turn.number, page.pages, lambda at: turn_id(msgspec.structs.replace(page.turn, number=at)))


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


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """A button that turns pages; ``custom_id`` says to which."""

    label: str
    custom_id: str
    disabled: bool


def arrows(at: int, pages: int, id_of: Callable[[int], str]) -> Sequence[Arrow]:
    """The two beside page ``at`` (from 0); none where it is alone. ``id_of``: a page, as a button carries it."""
    if pages <= 1:
        return ()
    return (
        Arrow(label="◀ Previous", custom_id=id_of(max(0, at - 1)), disabled=at == 0),
        Arrow(label="Next ▶", custom_id=id_of(at + 1), disabled=at == pages - 1),
    )


def arrow_view(at: int, pages: int, id_of: Callable[[int], str]) -> discord.ui.View:
    """The same as Discord shows them below a text."""
    view = discord.ui.View(timeout=None)
    for each in arrows(at, pages, id_of):
        view.add_item(discord.ui.Button(label=each.label, custom_id=each.custom_id, disabled=each.disabled))
    view.stop()  # nobody waits for its buttons: their ids are read when they are clicked
    return view


def wish_in(custom_id: str, prefix: str, form: type[FormT]) -> FormT | None:
    """What a button asks for that carries the fields of a ``form`` behind a prefix; None for one that does not."""
    named, *parts = custom_id.split("/")
    fields = [field.name for field in msgspec.structs.fields(form)]
    if named != prefix or len(parts) != len(fields):
        return None
    try:
        return msgspec.convert(dict(zip(fields, parts, strict=True)), form, strict=False)
    except msgspec.ValidationError:
        return None
