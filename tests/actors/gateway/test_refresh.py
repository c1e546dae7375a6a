"""/refresh_invite_cache as real interactions: fetch, solve, wait for what is settling, keep a checkpoint."""

from collections.abc import AsyncIterator

import pytest

from actors.standing import Kept
from ledger import messages as m
from ledger.answers import Answer, Done, OpenWindow, WindowReport
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Pauses, Town, running

CLOSED = OpenWindow(joins=frozenset(), fetching=False, trouble="")


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture(autouse=True)
async def ready(make_gateway: MakeGateway, town: Town, guild: Guild, pauses: Pauses) -> AsyncIterator[Town]:
    """A gateway whose pauses are over at once; the guild has come."""
    async with running(make_gateway(sleep=pauses)):
        await town.until_heard(guild.id, m.GuildCameUp)
        yield town


def open_window(*joins: str, fetching: bool = True, trouble: str = "") -> OpenWindow:
    return OpenWindow(joins=frozenset(joins), fetching=fetching, trouble=trouble)


def script(town: Town, sample: Answer, *windows: OpenWindow) -> None:
    """The guild's answers: to the sample, and to each look at its window (the last one for ever)."""
    left = list(windows)

    def answer(message: m.Message) -> Answer:
        if isinstance(message, m.SampleArrived):
            return sample
        return left.pop(0) if len(left) > 1 else left[0]

    town.answer = answer


async def test_the_counters_go_to_the_guild_and_what_they_did_is_shown_with_the_checkpoint(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    invite = sandbox.world.add_invite(guild, staff, uses=4)
    await town.until_heard(guild.id, m.NoteInviteBorn)
    script(town, WindowReport(worked_out=2, open=0, note=""), open_window("a", "b"), CLOSED)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert reply.deferred
    assert reply.text.splitlines() == [
        "2 joins worked out, 0 still open.",
        "Checkpoint at record 41, written and read back: log, database.",
    ]
    [arrived] = town.heard(guild.id, m.SampleArrived)
    assert arrived.request is None
    assert [(each.code, each.uses) for each in arrived.sample.counters] == [(invite.code, 4)]
    assert town.inside.checkpoints == [str(guild.id)]


async def test_what_the_guild_settles_by_itself_is_waited_for(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, pauses: Pauses
):
    missing = WindowReport(worked_out=0, open=2, note="uses are missing")
    script(town, missing, open_window("a", "b"), open_window("a", "b"), open_window("a", "b"), CLOSED)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "2 joins worked out, 0 still open." in reply.text
    assert pauses.seconds.count(0.5) == 2


async def test_it_is_not_waited_for_ever_and_what_is_open_is_said_with_its_reason(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, pauses: Pauses
):
    script(town, WindowReport(worked_out=0, open=1, note="uses are missing"), open_window("a"))
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert (
        "0 joins worked out, 1 still open. Discord's counters do not show all joins yet; I ask again." in reply.text
    )
    assert pauses.seconds.count(0.5) == 24


async def test_joins_that_came_meanwhile_are_not_waited_for(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, pauses: Pauses
):
    script(town, WindowReport(worked_out=1, open=1, note=""), open_window("a"), open_window("b"))
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "1 join worked out, 1 still open. I go on asking by myself." in reply.text
    assert 0.5 not in pauses.seconds


async def test_a_layer_that_did_not_take_the_checkpoint_is_named(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    town.inside.kept = Kept(seq=7, layers={"log": "", "database": "disk *full*"})
    script(town, WindowReport(worked_out=0, open=0, note=""), CLOSED)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "written and read back: log. Not in database: disk \\*full\\*." in reply.text


async def test_without_the_permission_it_says_which_one(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    script(town, Done(), CLOSED)
    sandbox.world.set_permissions(guild, manage_guild=False, view_audit_log=False)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "Manage Server" in reply.text
    assert town.heard(guild.id, m.SampleArrived) == []
    assert town.inside.checkpoints == []


@pytest.mark.parametrize("status", [404, 503])
async def test_a_fetch_that_fails_is_said_in_words(
    status: int, guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    script(town, Done(), CLOSED)
    sandbox.faults.fail("invites", status)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert f"status {status}" in reply.text


async def test_a_guild_that_is_away_is_told_as_such(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    script(town, Done(), CLOSED)
    reply = await sandbox.slash(guild, staff, "refresh_invite_cache")
    assert "reports this server as unavailable" in reply.text


async def test_two_at_once_are_both_answered(guild: Guild, staff: User, sandbox: Sandbox, town: Town):
    script(town, WindowReport(worked_out=0, open=0, note=""), CLOSED)
    payloads = [sandbox.interaction_payload(guild, staff, "refresh_invite_cache") for _ in range(2)]
    replies = [sandbox.send_interaction(payload) for payload in payloads]
    await sandbox.until(lambda: all(reply.done for reply in replies))
    assert all("0 joins worked out" in reply.text for reply in replies)
