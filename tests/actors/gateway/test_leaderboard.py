"""/leaderboard and /invites as real interactions: figures, pages, buttons that outlive the bot, hostile names."""

import time
from collections.abc import Sequence

import pytest

from actors.gateway.board import custom_id, wish_of
from actors.gateway.ranking import Rankings, Wish
from actors.gateway.tallies import KEPT_S
from actors.gateway.tally import By
from ledger import messages as m
from ledger.answers import CodeReport, CodesReport
from ledger.errors import StorageError
from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import Status
from ledger.state import Assignment
from sandbox import Sandbox
from sandbox.answers import Message, Reply, components_in
from sandbox.faults import Fault
from sandbox.models import Guild, User
from sandbox.wire import JsonObject
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Town, row, running

HOSTILE = (
    "安娜的朋友",
    "👩‍👩‍👧 🧭",
    "\u202eevil\u202c",
    "**bold** ||spoiler|| `code`",
    "@everyone <@1> <@&2>",
    "x" * 500,
    "אבגדה",
    "[click](https://example.com)",
    "# heading\n> quote\n- list",
    "a\u0300" * 40,
)
DAY_US = 86_400_000_000


class Unthought(Exception):
    """An error of no kind that is known."""


def unthought(*_: object) -> None:
    raise Unthought


@pytest.fixture
async def ready(town: Town, guild: Guild, gateway: object) -> Town:
    """The gateway is connected, the guild has come, and no code is known."""
    del gateway
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = lambda _: CodesReport(codes=())
    return town


def ranked(people: int) -> Sequence[UserId]:
    return [UserId(str(5_000 + number)) for number in range(people)]


def fill(town: Town, people: int) -> None:
    """Person n of ``people`` has ``people - n`` joins, so that they rank in order."""
    owners = [user for place, user in enumerate(ranked(people)) for _ in range(people - place)]
    town.inside.books.rows = [row(seq, staff=user) for seq, user in enumerate(owners, start=1)]


def buttons(message: Message) -> dict[str, JsonObject]:
    parts = [part for each in message.components for part in components_in(each)]
    return {str(part["label"]): part for part in parts if part["type"] == 2}


def original(reply: Reply) -> Message:
    assert reply.original is not None
    return reply.original


async def test_an_empty_guild_says_so(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    reply = await sandbox.slash(guild, staff, "leaderboard")
    assert "No joins yet." in reply.text
    assert buttons(original(reply)) == {}
    ready.clock.ahead_s += KEPT_S
    ready.inside.books.rows = [row(1, Status.UNKNOWN)]
    assert "Nobody has a proven join yet." in (await sandbox.slash(guild, staff, "leaderboard")).text


async def test_pages_of_ten_are_turned_by_buttons_to_the_end_and_back(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    fill(ready, 25)
    people = ranked(25)
    message = original(await sandbox.slash(guild, staff, "leaderboard"))
    assert f"**1.** <@{people[0]}>: **25** net, 25 joined, 0 left" in message.text
    assert f"<@{people[10]}>" not in message.text
    assert buttons(message)["◀ Previous"]["disabled"]
    for first in (10, 20):
        await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
        assert f"**{first + 1}.** <@{people[first]}>" in message.text
    assert "Page 3 of 3" in message.text
    assert buttons(message)["Next ▶"]["disabled"]
    await sandbox.click(guild, staff, message, str(buttons(message)["◀ Previous"]["custom_id"]))
    assert "Page 2 of 3" in message.text


async def test_a_button_works_after_the_bot_has_started_anew(
    make_gateway: MakeGateway, town: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    town.answer = lambda _: CodesReport(codes=())
    fill(town, 15)
    async with running(make_gateway()):
        await town.until_heard(guild.id, m.GuildCameUp)
        message = original(await sandbox.slash(guild, staff, "leaderboard", {"window": "all", "by": "staff"}))
    async with running(make_gateway()):
        await town.until_heard(guild.id, m.GuildCameUp, 2)
        await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
        assert "Page 2 of 2" in message.text


async def test_a_page_that_is_no_more_there_shows_the_last_one(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    fill(ready, 25)
    message = original(await sandbox.slash(guild, staff, "leaderboard"))
    await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
    fill(ready, 5)
    ready.clock.ahead_s += KEPT_S
    await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
    assert "Page 1 of 1" in message.text
    assert buttons(message) == {}


@pytest.mark.usefixtures("ready")
async def test_who_may_not_manage_the_server_turns_no_page(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    fill(town, 25)
    message = original(await sandbox.slash(guild, staff, "leaderboard"))
    [nobody] = sandbox.world.settle(guild, 1)
    reply = await sandbox.click(guild, nobody, message, str(buttons(message)["Next ▶"]["custom_id"]))
    assert "Manage Server" in reply.text
    assert "Page 1 of 3" in message.text


async def test_a_list_that_cannot_be_read_when_a_page_is_turned_is_said_beside_it(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    fill(ready, 25)
    message = original(await sandbox.slash(guild, staff, "leaderboard"))
    ready.clock.ahead_s += KEPT_S
    ready.inside.books.go_away(StorageError("no **disk**"))
    reply = await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
    assert "cannot be read now (no \\*\\*disk\\*\\*)" in reply.text
    ready.inside.books.come_back()


async def test_an_error_that_nobody_expects_behind_a_click_is_answered_and_logged(  # noqa: PLR0917 -- fixtures
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    fill(ready, 25)
    message = original(await sandbox.slash(guild, staff, "leaderboard"))
    monkeypatch.setattr(Rankings, "board", unthought)
    reply = await sandbox.click(guild, staff, message, str(buttons(message)["Next ▶"]["custom_id"]))
    assert "Something went wrong" in reply.text
    assert "Unthought" in str((await lines.until("command.failed"))["error"])


@pytest.mark.parametrize("late", [False, True])
async def test_a_page_whose_connection_breaks_leaves_nobody_waiting(
    *, late: bool, ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    fill(ready, 25)
    sandbox.faults.add("followup", Fault(drop=True, late=late))
    reply = await sandbox.slash(guild, staff, "leaderboard")
    await sandbox.until(lambda: "Where no answer stands here" in reply.text)
    assert not reply.thinking


async def test_only_joins_of_the_window_count_and_only_for_whom_is_asked(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    now_us = time.time_ns() // 1_000
    ready.inside.books.rows = [
        row(1, staff=UserId("5"), inviter=UserId("6"), opened_us=now_us - 40 * DAY_US),
        row(2, staff=UserId("5"), inviter=UserId("6"), opened_us=now_us - 10 * DAY_US),
        row(3, staff=UserId("5"), inviter=UserId("6"), opened_us=now_us - 1 * DAY_US),
    ]
    for window, joined in (("7 days", 1), ("30 days", 2), ("all", 3)):
        options = {"window": window, "by": "inviter"}
        reply = await sandbox.slash(guild, staff, "leaderboard", options)
        assert f"**1.** <@6>: **{joined}** net" in reply.text
        assert "<@5>" not in reply.text


async def test_open_cases_are_a_figure_of_their_own(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    code = CodeReport(
        code=InviteCode("A"), listed=True, uses=2, inviter=UserId("5"), assignments=(Assignment(1, UserId("6"), 50),)
    )
    ready.answer = lambda _: CodesReport(codes=(code,))
    ready.inside.books.rows = [
        row(1, staff=UserId("5")),
        row(2, Status.CANDIDATES, candidates=("A", "NI")),
        row(60, Status.LIKELY, staff=UserId("6"), candidates=("A",)),
    ]
    reply = await sandbox.slash(guild, staff, "leaderboard")
    assert "**1.** <@5>: **1** net, 1 joined, 0 left (1 more possible)" in reply.text
    assert "<@6>" not in reply.text
    assert "3 joins, 2 of them open and counted for nobody" in reply.text


async def test_hostile_names_stay_names_and_the_page_within_the_limits(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    fill(ready, len(HOSTILE))
    names = dict(zip(ranked(len(HOSTILE)), HOSTILE, strict=True))
    await ready.inside.books.put_names(GuildId(str(guild.id)), names)
    text = (await sandbox.slash(guild, staff, "leaderboard")).text
    assert "安娜的朋友" in text
    assert "\u202e" not in text
    assert "\\*\\*bold\\*\\*" in text
    assert "\\@everyone \\<\\@1\\> \\<\\@&2\\>" in text
    assert "x" * 33 not in text
    assert "https:/" not in text
    assert text.count("\n") == len(HOSTILE) + 1


async def test_a_hundred_thousand_joins_are_read_in_pages_with_other_work_in_between(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    ready.inside.books.rows = [row(seq, staff=UserId(str(5_000 + seq % 2_000))) for seq in range(1, 100_001)]
    reply = await sandbox.slash(guild, staff, "leaderboard", timeout_s=30)
    assert "100,000 joins" in reply.text
    assert "Page 1 of 200" in reply.text
    assert ready.inside.reads == 400 + 1 + 1  # the last page was full; then the names
    await sandbox.click(guild, staff, original(reply), custom_id(Wish(window="all", by=By.STAFF, page=1)))
    assert ready.inside.reads == 400 + 1 + 1 + 1  # a page turned reads its names alone


async def test_invites_are_shown_for_the_asker_or_for_a_member_as_a_range(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    me = UserId(str(staff.id))
    code = CodeReport(code=InviteCode("A"), listed=True, uses=2, inviter=me, assignments=())
    ready.answer = lambda _: CodesReport(codes=(code,))
    open_cases = [row(seq, Status.CANDIDATES, candidates=("A", "NI")) for seq in (20, 21)]
    facts = [row(seq, staff=me, left_us=int(seq < 4)) for seq in range(1, 13)]
    ready.inside.books.rows = [*facts, *open_cases]
    reply = await sandbox.slash(guild, staff, "invites")
    assert "12 joined, 3 left, 9 net; 2 more are possible: 12–14." in reply.text
    other = sandbox.world.add_user()
    reply = await sandbox.slash(guild, staff, "invites", {"member": other})
    assert f"<@{other.id}>" in reply.text
    assert "0 joined, 0 left, 0 net." in reply.text


@pytest.mark.parametrize(
    "wish", [Wish(window="30 days", by=By.INVITER, page=999_999), Wish(window="all", by=By.STAFF)]
)
def test_a_wish_survives_its_button(wish: Wish):
    assert len(custom_id(wish)) <= 100
    assert wish_of(custom_id(wish)) == wish


@pytest.mark.parametrize(
    "text", ["", "board", "board/all/staff", "board/all/staff/x", "board/all/staff/-1", "board/1 day/staff/0", "x/y"]
)
def test_a_custom_id_of_somebody_else_is_no_wish(text: str):
    assert wish_of(text) is None
