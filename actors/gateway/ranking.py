"""/invites and /leaderboard: the lists read page by page and added up (``tally``), then put into words.

Other work of the process runs between two pages. How a leaderboard looks in Discord is ``board``'s business.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from actors.gateway.asking import ask_codes, read_names
from actors.gateway.tallies import Key, PageNumber, Tallies, Window
from actors.gateway.tally import By, Tally, Total
from actors.gateway.wording import brief, count, person
from actors.roster import Roster
from actors.standing import Inside
from ledger.errors import LedgerError
from ledger.ids import GuildId, UserId
from ledger.ports import Clock
from persistence.lists import MAX_PAGE, JoinRow

WINDOW_US: Final[Mapping[Window, int]] = {
    "24 hours": 86_400_000_000,
    "7 days": 7 * 86_400_000_000,
    "30 days": 30 * 86_400_000_000,
}
ROWS_A_PAGE: Final = 10
READ_S: Final = 120.0
"""For all pages of joins; 100,000 joins take a second or two."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which leaderboard, and which page of it (from 0; beyond the end it is the last)."""

    window: Window
    by: By
    page: PageNumber = 0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A row: rank from 1, person, the name that is known ("" = none)."""

    rank: int
    user: UserId
    name: str
    total: Total


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a leaderboard. ``wish.page`` is the page that is shown; ``joins``, ``open``: of the whole window."""

    wish: Wish
    pages: int
    places: tuple[Place, ...]
    joins: int
    open: int


class Rankings:
    """Who brought how many.

    Args:
        roster: guild actors, who know the codes.
        inside: the lists.
        clock: where the window ends.
    """

    def __init__(self, roster: Roster, inside: Inside, clock: Clock) -> None:
        self._roster = roster
        self._inside = inside
        self._clock = clock
        self._tallies: Tallies[Tally] = Tallies(self._add_up, clock)

    async def of_person(self, guild: GuildId, user: UserId, name: str) -> str:
        """What a person brought, as far as it is proven, and as a range where it is not."""
        tally = await self._tallies.of((guild, By.STAFF, "all"))
        return tally if isinstance(tally, str) else brought(user, name, tally.total(user))

    async def board(self, guild: GuildId, wish: Wish) -> Board | str:
        """A page of the leaderboard, or why there is none."""
        tally = await self._tallies.of((guild, wish.by, wish.window))
        if isinstance(tally, str):
            return tally
        ranking = tally.ranking()
        pages = max(1, -(-len(ranking) // ROWS_A_PAGE))
        page = min(wish.page, pages - 1)
        return Board(
            wish=msgspec.structs.replace(wish, page=page),
            pages=pages,
            places=await self._places(guild, ranking, page * ROWS_A_PAGE),
            joins=tally.joins,
            open=tally.open,
        )

    async def _places(self, guild: GuildId, ranking: Sequence[tuple[UserId, Total]], first: int) -> tuple[Place, ...]:
        shown_here = ranking[first : first + ROWS_A_PAGE]
        names = await read_names(self._inside, guild, [user for user, _ in shown_here])
        return tuple(
            Place(rank=first + at, user=user, name=names.get(user, ""), total=total)
            for at, (user, total) in enumerate(shown_here, start=1)
        )

    async def _add_up(self, key: Key) -> Tally | str:
        guild, by, window = key
        codes = await ask_codes(self._roster, guild)
        if isinstance(codes, str):
            return codes
        span_us = WINDOW_US.get(window)
        tally = Tally(codes, by, self._clock.stamp_us() - span_us if span_us else 0)
        try:
            async with asyncio.timeout(READ_S):
                await self._add_all(guild, tally)
        except LedgerError as error:
            return f"The list of joins cannot be read now ({brief(str(error))}). Please try again in a moment."
        except TimeoutError:
            return f"The list of joins could not be read within {READ_S:g} s. Please try again in a moment."
        return tally

    async def _add_all(self, guild: GuildId, tally: Tally) -> None:
        after, rows = 0, await self._page(guild, 0)
        while rows:
            tally.add(rows)
            after = rows[-1].seq
            rows = await self._page(guild, after) if len(rows) == MAX_PAGE else ()

    async def _page(self, guild: GuildId, after_seq: int) -> Sequence[JoinRow]:
        return await self._inside.read(lambda lists: lists.joins_page(guild, after_seq, MAX_PAGE))


def brought(user: UserId, name: str, total: Total) -> str:
    """/invites in words."""
    text = f"**{person(user, name)}**: {figures(total)}"
    if total.possible:
        most = total.joined + total.possible
        verb = "is" if total.possible == 1 else "are"
        text += f"; {total.possible:,} more {verb} possible: {total.joined:,}–{most:,}"
    return f"{text}.\n-# Counted is what is proven. A returning member is a join again, after the leave."


def figures(total: Total) -> str:
    return f"{total.joined:,} joined, {total.left:,} left, {total.net:,} net"


def heading(board: Board) -> str:
    """The title of a leaderboard."""
    window = "of all time" if board.wish.window == "all" else f"of the last {board.wish.window}"
    by = "the staff they count for" if board.wish.by is By.STAFF else "who made the invite"
    return f"### Joins {window}, by {by}"


def rows(board: Board) -> str:
    """The places, a line each; what there is to say where there are none."""
    if not board.places:
        return "Nobody has a proven join yet." if board.joins else "No joins yet."
    return "\n".join(_row(place) for place in board.places)


def footing(board: Board) -> str:
    """What the places leave out, and where in the list one is."""
    still_open = f", {board.open:,} of them open and counted for nobody" if board.open else ""
    return f"-# Page {board.wish.page + 1:,} of {board.pages:,} · {count(board.joins, 'join')}{still_open}"


def _row(place: Place) -> str:
    who, total = person(place.user, place.name), place.total
    possible = f" ({total.possible:,} more possible)" if total.possible else ""
    return f"**{place.rank:,}.** {who}: **{total.net:,}** net, {total.joined:,} joined, {total.left:,} left{possible}"
