"""How a page of /staff_report looks in Discord: text, buttons that need no memory, the whole of it as files."""

import io
from typing import Final

import discord
import msgspec

from actors.gateway.paged import arrow_view, wish_in
from actors.gateway.staff_report import ReportWish, StaffPage

PREFIX: Final = "staff"


def buttons_of(page: StaffPage) -> discord.ui.View:
    """The buttons where there is more than a page; else none."""
    return arrow_view(page.wish.page, page.pages, lambda at: report_id(msgspec.structs.replace(page.wish, page=at)))


def files_of(page: StaffPage) -> list[discord.File]:
    """The whole report; made anew for each message, since what is sent is used up."""
    return [discord.File(io.BytesIO(data), name) for name, data in page.files.items()]


def report_wish_of(custom_id: str) -> ReportWish | None:
    """What a button asks for; None for one that is none of these."""
    return wish_in(custom_id, PREFIX, ReportWish)


def report_id(wish: ReportWish) -> str:
    """The wish as a button carries it."""
    return f"{PREFIX}/{wish.window}/{wish.page}"
