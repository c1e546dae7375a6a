"""/staff_report: credits added up, pages as real interactions, and a CSV that is harmless in a spreadsheet."""

import csv
import gc
import io
import sys
from collections.abc import Sequence
from itertools import chain
from typing import Self

import pytest

from actors.gateway.snowflakes import DAY_US, SNOWFLAKE_EPOCH_MS, is_young
from actors.gateway.spreadsheet import Sheet, harmless
from actors.gateway.staff_board import report_id, report_wish_of
from actors.gateway.staff_report import ReportWish, StaffLine, StaffTally
from ledger import messages as m
from ledger.answers import CodeReport, CodesReport, SettingsReport
from ledger.errors import StorageError
from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import Credit, Settings, Status
from persistence.lists import MAX_PAGE, CreditRow
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.town import Town, row

ANNA, BORIS = UserId("5"), UserId("6")
A = CodeReport(code=InviteCode("A"), listed=True, uses=2, inviter=ANNA, assignments=(), label="出差 2026")


def credit(seq: int, staff: UserId, of: int, kind: Credit = "join", amount: int = 1) -> CreditRow:
    """A credit for the user that ``row(of)`` is of."""
    user = UserId(str(1_000 + of))
    return CreditRow(seq=seq, staff=staff, amount=amount, user=user, opened_us=of, kind=kind)


def lines(credits_: Sequence[CreditRow], *joins: object, since_us: int = 0) -> Sequence[StaffLine]:
    return all_lines(made(credits_, *joins, since_us=since_us))


def all_lines(tally: StaffTally) -> Sequence[StaffLine]:
    return list(chain.from_iterable(tally.lines()))


def made(credits_: Sequence[CreditRow], *joins: object, since_us: int = 0) -> StaffTally:
    tally = StaffTally((A,), 0, since_us)
    tally.add_credits(credits_)
    tally.add(joins)
    return tally


def test_joins_vips_and_open_cases_are_figures_apart():
    found = lines(
        [credit(1, ANNA, 1), credit(2, ANNA, 2), credit(3, ANNA, 1, "vip")],
        row(1, staff=ANNA),
        row(2, staff=ANNA, left_us=9),
        row(3, Status.CANDIDATES, candidates=("A", "B")),
    )
    assert found == [StaffLine(staff=ANNA, joins=2, here=1, vips=1, open=1, young=0)]


def test_what_was_taken_back_counts_no_more_and_goes_with_whom_it_was_given_to_instead():
    found = lines([credit(1, ANNA, 1), credit(2, ANNA, 1, amount=-1), credit(3, BORIS, 1)], row(1, left_us=-1))
    assert found == [StaffLine(staff=BORIS, joins=1, here=0, vips=0, open=0, young=0)]


def test_who_holds_a_join_may_come_before_whom_it_was_taken_back_from():
    found = lines([credit(3, ANNA, 1), credit(1, BORIS, 1), credit(2, BORIS, 1, amount=-1)], row(1, left_us=-1))
    assert found == [StaffLine(staff=ANNA, joins=1, here=0, vips=0, open=0, young=0)]


def test_a_join_that_two_hold_is_in_the_figures_of_both_and_of_nobody_else():
    found = lines([credit(1, ANNA, 1), credit(2, BORIS, 1)], row(1, left_us=-1))
    assert [(line.staff, line.joins, line.here) for line in found] == [(ANNA, 1, 0), (BORIS, 1, 0)]


def test_a_proven_join_that_is_not_credited_is_none_here():
    assert lines([], row(1, staff=ANNA)) == []


def test_credits_of_joins_before_the_window_do_not_count():
    found = lines([credit(1, ANNA, 1), credit(2, ANNA, 1, "vip"), credit(3, ANNA, 5)], row(1), row(5), since_us=5)
    assert [(line.joins, line.vips) for line in found] == [(1, 0)]


def test_credited_joins_are_added_up_by_label():
    tally = made([credit(1, ANNA, 1), credit(2, ANNA, 2)], row(1, code="A"), row(2, code="B"), row(3, code="A"))
    assert tally.labels() == [("出差 2026", 1)]


def test_an_account_is_young_up_to_so_many_days_and_nobody_is_where_there_are_none():
    user, created_us = UserId(str(1_000 << 22)), (SNOWFLAKE_EPOCH_MS + 1_000) * 1_000
    assert is_young(user, created_us + DAY_US - 1, 1)
    assert not is_young(user, created_us + DAY_US, 1)
    assert not is_young(user, created_us, 0)
    assert not is_young(UserId("-1"), created_us, 1)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_would_be_a_formula_is_text(name: str):
    assert harmless(name) == f"'{name}"


def test_names_of_any_script_come_back_from_the_file():
    names = ["安娜", "אבג", 'a "quoted", name', "two\nlines", "👩‍👧", "\ud800"]
    sheet = Sheet(["name"])
    sheet.add([name] for name in names)
    assert sheet.data().startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(sheet.data().decode("utf-8-sig"), newline="")))
    assert read == [["name"], *([name] for name in names[:-1]), ["?"]]


def test_a_wish_survives_its_button_and_those_of_others_are_none():
    wish = ReportWish(window="24 hours", page=999_999)
    assert report_wish_of(report_id(wish)) == wish
    assert [report_wish_of(text) for text in ("", "staff", "staff/all/-1", "board/all/staff/0")] == [None] * 4


@pytest.fixture
async def ready(town: Town, guild: Guild, gateway: object) -> Town:
    """The gateway is connected, and Anna's code is known."""
    del gateway
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda message: (
        SettingsReport(settings=Settings()) if isinstance(message, m.DescribeSettings) else CodesReport(codes=(A,))
    )
    return town


async def test_a_report_has_pages_that_turn_and_files_that_stay(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    ready.inside.books.credits = [credit(n, UserId(str(5_000 + n)), n) for n in range(1, 13)]
    ready.inside.books.rows = [row(n, code="A") for n in range(1, 13)]
    await ready.inside.books.put_names(GuildId(str(guild.id)), {UserId("5001"): "**安娜**"})
    reply = await sandbox.slash(guild, staff, "staff_report")
    message = reply.original
    assert message is not None
    assert reply.ephemeral
    assert "\\*\\*安娜\\*\\*" in message.text
    assert "<@5001>" in message.text
    assert "<@5011>" not in message.text
    attached = message.payload["attachments"]
    assert "staff_report.csv" in str(attached)
    assert "labels.csv" in str(attached)
    await sandbox.click(guild, staff, message, report_id(ReportWish(window="all", page=1)))
    assert "<@5011>" in message.text
    assert "Page 2 of 2" in message.text
    assert message.payload["attachments"] == attached


async def test_an_empty_report_and_one_that_cannot_be_read_say_so(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    assert "Nobody is credited" in (await sandbox.slash(guild, staff, "staff_report")).text
    ready.inside.books.go_away(StorageError("no disk"))
    reply = await sandbox.slash(guild, staff, "staff_report", {"window": "24 hours"})
    assert "cannot be read now (no disk)" in reply.text
    ready.inside.books.come_back()


class Calls:
    """Counts what is called while it is entered: how much work a step is, on whatever machine.

    The collector waits: what others left to be collected is no work of the step.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        gc.disable()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _note(self, _frame: object, event: str, _argument: object) -> None:
        self.count += event.endswith("call")


def test_no_step_of_a_hundred_thousand_members_and_ten_thousand_inviters_does_the_work_of_many():
    tally, steps = StaffTally((A,), 7), list[int]()
    for first in range(0, 100_000, MAX_PAGE):
        numbers = range(first + 1, first + MAX_PAGE + 1)
        page = [credit(n, UserId(str(5_000 + n // 10)), n) for n in numbers]
        joins = [row(n) for n in numbers]
        with Calls() as calls:
            tally.add_credits(page)
            tally.add(joins)
        steps.append(calls.count)
    found, pieces = list[StaffLine](), tally.lines()
    while True:
        with Calls() as calls:
            some = next(pieces, None)
        steps.append(calls.count)
        if some is None:
            break
        found += some
    assert len(found) == 10_001
    assert found == sorted(found, key=lambda each: (-each.joins, int(each.staff)))
    assert max(steps) < 10 * MAX_PAGE, "no step looks at everybody"
