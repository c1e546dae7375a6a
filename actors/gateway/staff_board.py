"""How a page of /staff_report looks in Discord: text, buttons that need no memory, the whole of it as files."""

import io
from typing import Final

import discord
import msgspec

from actors.gateway.staff_report import ReportWish, StaffPage

PREFIX: Final = "staff"
STATE: Final = ("window", "page")


def buttons_of(page: StaffPage) -> discord.ui.View:
    """The buttons where there is more than a page; else none."""
    view = discord.ui.View(timeout=None)
    if page.pages > 1:
        last, at = page.pages - 1, page.wish.page
        view.add_item(_button("◀ Previous", page.wish, max(0, at - 1), disabled=at == 0))
        view.add_item(_button("Next ▶", page.wish, at + 1, disabled=at == last))
    view.stop()  # nobody waits for its buttons: `report_wish_of` reads them
    return view


def files_of(page: StaffPage) -> list[discord.File]:
    """The whole report; made anew for each message, since what is sent is used up."""
    return [discord.File(io.BytesIO(data), name) for name, data in page.files.items()]


def report_wish_of(custom_id: str) -> ReportWish | None:
    """What a button asks for; None for one that is none of these."""
    prefix, *parts = custom_id.split("/")
    if prefix != PREFIX or len(parts) != len(STATE):
        return None
    try:
        return msgspec.convert(dict(zip(STATE, parts, strict=True)), ReportWish, strict=False)
    except msgspec.ValidationError:
        return None


def report_id(wish: ReportWish) -> str:
    """The wish as a button carries it."""
    return f"{PREFIX}/{wish.window}/{wish.page}"


def _button(label: str, wish: ReportWish, page: int, *, disabled: bool) -> discord.ui.Button[discord.ui.View]:
    asked = msgspec.structs.replace(wish, page=page)
    return discord.ui.Button(label=label, custom_id=report_id(asked), disabled=disabled)
