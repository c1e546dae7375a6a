"""/staff_report: who was credited with what, page by page and as CSV.

What counts here are the credits themselves, as the ledger granted and took them back; the leaderboard counts proven
joins. Open cases are a figure apart. A window is that of the joins: a VIP counts in the window of the member's join.
Other work of the process runs between two pages of rows.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final

import msgspec

from actors.gateway.asking import ask_codes, ask_settings, read_names
from actors.gateway.ranking import READ_S, ROWS_A_PAGE, WINDOW_US
from actors.gateway.snowflakes import is_young
from actors.gateway.spreadsheet import Sheet
from actors.gateway.tallies import Key, PageNumber, Tallies, Window
from actors.gateway.tally import By, Tally
from actors.gateway.wording import brief, fit, person
from actors.roster import Roster
from actors.standing import Inside
from ledger.answers import CodeReport
from ledger.errors import LedgerError
from ledger.ids import GuildId, InviteCode, UserId, is_tombstone
from ledger.ports import Clock
from persistence.lists import FIRST_CREDIT, MAX_PAGE, CreditPlace, CreditRow, JoinRow

HEADER: Final = ("staff", "staff_id", "joins_credited", "still_here", "vips_credited", "open_cases", "young_accounts")
LABELS_HEADER: Final = ("label", "joins_credited")
YOUNG: Final = "⚠"


class ReportWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which report, and which page of it (from 0; beyond the end it is the last)."""

    window: Window
    page: PageNumber = 0


class StaffLine(msgspec.Struct, frozen=True, kw_only=True):
    """A staff member. ``open``: cases in which they are one of the candidates, in none of the other figures."""

    staff: UserId
    joins: int
    here: int
    vips: int
    open: int
    young: int


class StaffPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the report as text, and the whole of it as files by name."""

    wish: ReportWish
    pages: int
    text: str
    files: Mapping[str, bytes]


class StaffTally:
    """Adds up credits, then joins, page by page. Pure.

    Args:
        codes: whom codes stood for, and their labels.
        young_days: accounts younger than this at their join are young; 0 = none is.
        since_us: what belongs to an earlier join does not count.
    """

    def __init__(self, codes: Sequence[CodeReport], young_days: int, since_us: int = 0) -> None:
        self._possible = Tally(codes, By.STAFF, since_us)
        self._labels = {each.code: each.label for each in codes if each.label}
        self._young_days = young_days
        self._since_us = since_us
        self._holders: defaultdict[tuple[UserId, int], tuple[UserId, ...]] = defaultdict(tuple)
        self._joins: Counter[UserId] = Counter()
        self._vips: Counter[UserId] = Counter()
        self._left: Counter[UserId] = Counter()
        self._young: Counter[UserId] = Counter()
        self._by_label: Counter[str] = Counter()

    def add_credits(self, rows: Iterable[CreditRow]) -> None:
        """Counts credits; all of them come before the joins."""
        for row in rows:
            if row.opened_us < self._since_us:
                continue
            if row.kind == "vip":
                self._vips[row.staff] += row.amount
            else:
                self._joins[row.staff] += row.amount
                self._hold(row)

    def add(self, rows: Sequence[JoinRow]) -> None:
        """Counts who of the credited has left, who is young, and what is open."""
        self._possible.add(rows)
        for row in rows:
            holders = self._holders.get((row.user, row.opened_us))
            if holders:
                self._count(row, holders)

    def lines(self) -> Iterator[Sequence[StaffLine]]:
        """Everybody with any figure, best first (``_rank``), a few hundred at a time. No step sorts all of them."""
        everybody = iter(self._joins.keys() | self._vips.keys() | self._possible.users())
        runs: list[Sequence[StaffLine]] = []
        while some := list(islice(everybody, MAX_PAGE)):
            runs.append(sorted(filter(_counts, map(self._line, some)), key=_rank))
            yield ()
        merged = merge(*runs, key=_rank)
        while piece := list(islice(merged, MAX_PAGE)):
            yield piece

    def labels(self) -> Sequence[tuple[str, int]]:
        """Credited joins by the label of their invite, most first."""
        return sorted(self._by_label.items(), key=lambda each: (-each[1], each[0]))

    def _hold(self, row: CreditRow) -> None:
        """Credits come by staff member: whoever holds a join may come before those it was taken back from."""
        join = row.user, row.opened_us
        if row.amount > 0:
            self._holders[join] += (row.staff,)
        else:
            self._holders[join] = tuple(staff for staff in self._holders[join] if staff != row.staff)

    def _count(self, row: JoinRow, holders: Sequence[UserId]) -> None:
        """One holds a join at a time, as the ledger grants; if ever two did, it is in every figure of both."""
        for staff in holders:
            self._left[staff] += row.left_us != 0
            self._young[staff] += is_young(row.user, row.opened_us, self._young_days)
        label = self._labels.get(InviteCode(row.code or ""))
        if label:
            self._by_label[label] += 1

    def _line(self, staff: UserId) -> StaffLine:
        joins = self._joins[staff]
        return StaffLine(
            staff=staff,
            joins=joins,
            here=joins - self._left[staff],
            vips=self._vips[staff],
            open=self._possible.total(staff).possible,
            young=self._young[staff],
        )


def _counts(line: StaffLine) -> bool:
    """Whether there is anything to say of them: what was taken back leaves nothing."""
    return line.joins > 0 or line.vips > 0 or line.open > 0


def _rank(line: StaffLine) -> tuple[int, int, int, int]:
    """By joins, by VIPs, by open cases, then by id."""
    return -line.joins, -line.vips, -line.open, int(line.staff)


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """A report that is whole."""

    lines: Sequence[StaffLine]
    files: Mapping[str, bytes]


class StaffReports:
    """Makes reports.

    Args:
        roster: guild actors, who know the codes and the settings.
        inside: the lists.
        clock: where the window ends.
    """

    def __init__(self, roster: Roster, inside: Inside, clock: Clock) -> None:
        self._roster = roster
        self._inside = inside
        self._clock = clock
        self._made: Tallies[_Made] = Tallies(self._make, clock)

    async def page(self, guild: GuildId, wish: ReportWish) -> StaffPage | str:
        """A page of the report, or why there is none."""
        made = await self._made.of((guild, By.STAFF, wish.window))
        if isinstance(made, str):
            return made
        pages = max(1, -(-len(made.lines) // ROWS_A_PAGE))
        page = min(wish.page, pages - 1)
        here = made.lines[page * ROWS_A_PAGE : (page + 1) * ROWS_A_PAGE]
        names = await read_names(self._inside, guild, [line.staff for line in here])
        wish = msgspec.structs.replace(wish, page=page)
        return StaffPage(wish=wish, pages=pages, text=_text(wish, pages, here, names), files=made.files)

    async def _make(self, key: Key) -> _Made | str:
        guild, _, window = key
        tally = await self._begun(guild, window)
        if isinstance(tally, str):
            return tally
        try:
            async with asyncio.timeout(READ_S):
                await self._add_credits(guild, tally)
                await self._add_joins(guild, tally)
                lines = await _all(tally)
                return _Made(lines=lines, files=await self._files(guild, lines, tally.labels()))
        except LedgerError as error:
            why = f"cannot be read now ({brief(str(error))})"
        except TimeoutError:
            why = f"could not be read within {READ_S:g} s"
        return (
            f"The list of credits {why}, so there are no figures that I could stand by. Please try again in a moment."
        )

    async def _begun(self, guild: GuildId, window: Window) -> StaffTally | str:
        codes = await ask_codes(self._roster, guild)
        if isinstance(codes, str):
            return codes
        settings = await ask_settings(self._roster, guild)
        if isinstance(settings, str):
            return settings
        span_us = WINDOW_US.get(window)
        since_us = self._clock.stamp_us() - span_us if span_us else 0
        return StaffTally(codes, settings.young_days, since_us)

    async def _add_credits(self, guild: GuildId, tally: StaffTally) -> None:
        after = FIRST_CREDIT
        while rows := await self._credits(guild, after):
            tally.add_credits(rows)
            after = int(rows[-1].staff), rows[-1].seq

    async def _add_joins(self, guild: GuildId, tally: StaffTally) -> None:
        after = 0
        while rows := await self._page(guild, after):
            tally.add(rows)
            after = rows[-1].seq

    async def _credits(self, guild: GuildId, after: CreditPlace) -> Sequence[CreditRow]:
        return await self._inside.read(lambda lists: lists.credits_page(guild, after, MAX_PAGE))

    async def _page(self, guild: GuildId, after_seq: int) -> Sequence[JoinRow]:
        return await self._inside.read(lambda lists: lists.joins_page(guild, after_seq, MAX_PAGE))

    async def _files(
        self, guild: GuildId, lines: Sequence[StaffLine], labels: Sequence[tuple[str, int]]
    ) -> Mapping[str, bytes]:
        staff = Sheet(HEADER)
        for first in range(0, len(lines), MAX_PAGE):
            some = lines[first : first + MAX_PAGE]
            names = await read_names(self._inside, guild, [line.staff for line in some])
            staff.add(_cells(line, names) for line in some)
        files = {"staff_report.csv": staff.data()}
        if labels:
            by_label = Sheet(LABELS_HEADER)
            by_label.add((label, str(joins)) for label, joins in labels)
            files["labels.csv"] = by_label.data()
        return files


async def _all(tally: StaffTally) -> Sequence[StaffLine]:
    lines: list[StaffLine] = []
    for some in tally.lines():
        lines += some
        await asyncio.sleep(0)
    return lines


def _cells(line: StaffLine, names: Mapping[UserId, str]) -> Sequence[str]:
    gone = is_tombstone(line.staff)
    who = ("a forgotten member", "") if gone else (names.get(line.staff, ""), line.staff)
    return (*who, *map(str, (line.joins, line.here, line.vips, line.open, line.young)))


def _text(wish: ReportWish, pages: int, lines: Sequence[StaffLine], names: Mapping[UserId, str]) -> str:
    window = "all time" if wish.window == "all" else f"the last {wish.window}"
    shown = [_line(line, names.get(line.staff, "")) for line in lines] or ["Nobody is credited with anything yet."]
    foot = f"-# Page {wish.page + 1:,} of {pages:,}. Open cases are in no other figure. {YOUNG} = young accounts."
    return fit([f"### Staff, joins of {window}", foot, *shown])


def _line(line: StaffLine, name: str) -> str:
    text = f"{person(line.staff, name)}: **{line.joins:,}** joins, {line.here:,} here, {line.vips:,} VIP"
    text += f"; {line.open:,} open" if line.open else ""
    return f"{text}; {YOUNG} {line.young:,}" if line.young else text
