"""What a gateway suffers, on real sockets, while people keep joining: nothing is lost, and no name is wrong."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from actors import mailbox
from ledger.records import Status
from sandbox import Sandbox
from tests.system.fleet import PATIENCE_S, Fleet
from tests.system.startup import start_up
from tests.system.turnstile import Mode, Turnstile

MODEST = {Status.LIKELY, Status.CANDIDATES, Status.UNKNOWN}
"""What may be said of a join that was not heard live."""


@pytest.fixture(autouse=True)
def library_points_back() -> Iterator[None]:
    """What the library keeps for the whole process is put back, and it does not wait between its tries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Route, "BASE", Route.BASE)
        patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", "unset")
        patch.setattr("discord.client.ExponentialBackoff.delay", lambda _: 0.1)
        yield


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=11) as running:
        yield running


@pytest.fixture
def fleet(sandbox: Sandbox, tmp_path: Path) -> Fleet:
    return Fleet(sandbox, tmp_path / "data", guilds=4, shards=2)


@asynccontextmanager
async def storm(fleet: Fleet) -> AsyncIterator[None]:
    """A bot that is live, joins all the while; at the end everything is worked out and compared with the truth."""
    async with fleet.running():
        await fleet.live()
        async with fleet.joining():
            yield
            await heard_on(fleet)
        await fleet.worked_out()
    fleet.assert_clean()


@asynccontextmanager
async def wire(fleet: Fleet) -> AsyncIterator[Turnstile]:
    """The gateway's sockets go through a turnstile; REST does not."""
    port = int(fleet.sandbox.gateway.url.rsplit(":", 1)[1].split("/")[0])
    async with Turnstile(port) as turnstile:
        fleet.sandbox.gateway.url = f"ws://127.0.0.1:{turnstile.port}/gateway"
        yield turnstile


async def has_lived(fleet: Fleet) -> None:
    """The bot has counted these guilds before: from then on it owes an answer for every join."""
    async with fleet.running():
        await fleet.live()


async def heard_on(fleet: Fleet, joins: int = 10) -> None:
    """Joins are heard (again): so many more are acknowledged."""
    known = len(fleet.acknowledged)
    await fleet.until(lambda: len(fleet.acknowledged) >= known + joins)


async def resumed(fleet: Fleet) -> None:
    """Every shard goes on with the session it had."""
    await fleet.until(lambda: len(fleet.named("gateway.resumed")) >= 2)


async def test_a_cut_wire_is_resumed_and_what_was_missed_is_replayed(fleet: Fleet):
    async with storm(fleet):
        await heard_on(fleet)
        fleet.sandbox.gateway.drop_all()
        await resumed(fleet)
    # What is replayed only after its use was waited for in vain supersedes a verdict that was likely meanwhile.
    await fleet.until(lambda: statuses(fleet) <= {Status.CERTAIN, Status.CANDIDATES})
    assert len(fleet.named("gateway.session_began")) == 2


def statuses(fleet: Fleet) -> set[Status]:
    return {line.status for line in fleet.lines_of_joins().values()}


async def test_a_reconnect_that_fails_for_a_while_still_resumes(fleet: Fleet):
    async with wire(fleet) as turnstile, storm(fleet):
        await heard_on(fleet)
        for mode in (Mode.REFUSING, Mode.BUSY):
            turnstile.set(mode)
            turnstile.cut()
            before = turnstile.turned_away
            await fleet.until(lambda k=before: turnstile.turned_away >= k + 4)
        turnstile.set(Mode.OPEN)
        await resumed(fleet)
    assert len(fleet.named("gateway.session_began")) == 2


async def test_a_socket_that_falls_silent_is_given_up_and_resumed(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.gateway.client.SILENCE_S", 0.4)
    fleet.sandbox.gateway.heartbeat_ms = 200
    async with wire(fleet) as turnstile, storm(fleet):
        await heard_on(fleet)
        turnstile.set(Mode.FROZEN)
        await fleet.until(lambda: len(fleet.named("gateway.disconnected")) >= 2)
        turnstile.cut()
        turnstile.set(Mode.OPEN)
        await resumed(fleet)
        fleet.sandbox.violations.take("gateway.heartbeat_missed")  # swallowed by the frozen wire, not left out
    assert len(fleet.named("gateway.session_began")) == 2


async def test_a_resume_that_is_refused_is_a_new_session_and_its_gap_comes_from_the_member_list(fleet: Fleet):
    async with storm(fleet):
        await heard_on(fleet)
        fleet.sandbox.gateway.drop_all()
        fleet.sandbox.gateway.forget_sessions()
        unheard = [fleet.join(guild) for guild in fleet.guilds]
        await fleet.until(lambda: len(fleet.named("gateway.session_began")) == 4)
    assert {fleet.line_of(join).status for join in unheard} <= MODEST


async def test_an_invalid_session_that_may_be_resumed_is(fleet: Fleet):
    async with storm(fleet):
        await heard_on(fleet)
        fleet.sandbox.gateway.invalidate(resumable=True)
        await resumed(fleet)
    assert len(fleet.named("gateway.session_began")) == 2


async def test_an_invalid_session_is_a_new_one(fleet: Fleet):
    async with storm(fleet):
        await heard_on(fleet)
        fleet.sandbox.gateway.invalidate()
        unheard = [fleet.join(guild) for guild in fleet.guilds]
        await fleet.until(lambda: len(fleet.named("gateway.session_began")) == 4)
    assert {fleet.line_of(join).status for join in unheard} <= MODEST


async def test_a_request_to_reconnect_in_the_middle_of_a_burst_costs_nothing(fleet: Fleet):
    async with storm(fleet):
        for at in range(60):
            fleet.join(fleet.guilds[at % 2])
            if at == 30:
                fleet.sandbox.gateway.ask_reconnect()
        await resumed(fleet)
    assert len(fleet.named("gateway.session_began")) == 2


async def test_every_close_code_that_may_be_resumed_is(fleet: Fleet):
    async with storm(fleet):
        for times, code in enumerate((1000, 1001, 4000, 4001, 4002, 4003, 4005, 4008), 1):
            fleet.sandbox.gateway.close_all(code)
            await fleet.until(lambda k=times: len(fleet.named("gateway.resumed")) >= 2 * k)
    assert len(fleet.named("gateway.session_began")) == 2


async def test_a_close_code_that_ends_the_session_begins_a_new_one(fleet: Fleet):
    async with storm(fleet):
        await heard_on(fleet)
        fleet.sandbox.gateway.close_all(4009)
        fleet.sandbox.gateway.forget_sessions()
        unheard = [fleet.join(guild) for guild in fleet.guilds]
        await fleet.until(lambda: len(fleet.named("gateway.session_began")) == 4)
    assert {fleet.line_of(join).status for join in unheard} <= MODEST


async def test_a_first_connect_that_nobody_takes_is_tried_until_somebody_does(fleet: Fleet):
    await has_lived(fleet)
    async with wire(fleet) as turnstile:
        turnstile.set(Mode.REFUSING)
        async with fleet.running(), fleet.joining():
            await fleet.until(lambda: len(fleet.named("gateway.lost")) >= 2)
            turnstile.set(Mode.BUSY)
            await fleet.until(lambda: len(fleet.named("gateway.lost")) >= 4)
            turnstile.set(Mode.OPEN)
            await heard_on(fleet)
            await fleet.worked_out_after_a_pause()
    fleet.assert_clean()


@pytest.mark.parametrize("status", [503, 500])
async def test_whatever_fails_at_login_is_tried_again(fleet: Fleet, status: int):
    await has_lived(fleet)
    for kind in ("gateway", "me", "application", "commands", "invites", "members"):
        fleet.sandbox.faults.fail(kind, status, retry_after_s=0.1)
    async with fleet.running(), fleet.joining():
        await fleet.live()
        await heard_on(fleet)
        await fleet.until(lambda: bool(fleet.named("commands.synced")) or status == 503)
        await fleet.worked_out_after_a_pause()
    assert fleet.sandbox.faults.pending("application") == 0
    fleet.assert_clean()


@pytest.mark.parametrize(
    ("wait_s", "everywhere"), [(0.6, True), (1.5, False)], ids=["short, everywhere", "long, by route"]
)
async def test_a_storm_of_limits_at_the_start_and_in_a_burst(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, wait_s: float, *, everywhere: bool
):
    patience = property(lambda _: 0.5, lambda *_: None)
    monkeypatch.setattr("discord.http.HTTPClient.max_ratelimit_timeout", patience, raising=False)
    await has_lived(fleet)
    faults = fleet.sandbox.faults
    faults.fail("invites", 429, times=3, retry_after_s=wait_s, is_global=everywhere)
    faults.fail("members", 429, times=3, retry_after_s=wait_s, is_global=everywhere)
    async with fleet.running(), fleet.joining():
        await fleet.live()
        faults.fail("invites", 429, times=3, retry_after_s=wait_s, is_global=everywhere)
        for guild in fleet.guilds * 10:
            fleet.join(guild)
        await fleet.until(lambda: faults.pending("invites") == faults.pending("members") == 0)
        await heard_on(fleet)
        await fleet.worked_out_after_a_pause()
    assert fleet.sandbox.count("invites", 429) == 6
    fleet.assert_clean()


async def test_manage_server_lost_and_given_back_costs_one_guild_its_certainty_and_no_join(fleet: Fleet):
    blind, *others = fleet.guilds
    async with storm(fleet):
        await heard_on(fleet)
        fleet.world.set_permissions(blind, manage_guild=False)
        await fleet.until(lambda: fleet.phase_of(blind) == "blind")
        waiting = [fleet.join(blind) for _ in range(5)]
        clear = [fleet.join(guild) for guild in others]
        await fleet.until(lambda: not fleet.unsettled(clear))
        assert fleet.unsettled(waiting) == waiting
        fleet.world.set_permissions(blind, manage_guild=True)
        await fleet.until(lambda: fleet.phase_of(blind) == "live")
    assert {fleet.line_of(join).status for join in waiting} <= MODEST
    assert fleet.sandbox.count("invites", 403) <= 3


async def test_invites_that_come_and_go_unheard_without_manage_channels_name_nobody_wrongly(fleet: Fleet):
    guild = fleet.guilds[0]
    async with storm(fleet):
        fleet.world.set_permissions(guild, manage_channels=False)
        for _ in range(5):
            gone = fleet.world.add_invite(guild, guild.owner)
            fleet.unseen.add(gone.code)
            fleet.world.join(guild, via=gone.code)
            fleet.world.delete_invite(guild, gone.code)
            kept = fleet.world.add_invite(guild, guild.owner)
            fleet.world.join(guild, via=kept.code)
            await heard_on(fleet)
        fleet.world.set_permissions(guild, manage_channels=True)


async def test_events_late_twice_out_of_order_and_lost_with_actors_killed_in_between(fleet: Fleet):
    random = Random(3)
    async with storm(fleet):
        for _ in range(12):
            with fleet.world.feed.holding() as held:
                for guild in fleet.guilds:
                    fleet.join(guild)
                    fleet.join(guild)
                told = [*held, *random.sample([*held], k=3)]
                random.shuffle(told)
                held.clear()
                held.extend(told[1:] if told.count(told[0]) == 1 else told)  # one is never heard of
                fleet.kill(random.choice(fleet.guilds))
            fleet.kill(random.choice(fleet.guilds))
            await heard_on(fleet)
        fleet.sandbox.gateway.invalidate()  # what was never told, the member list of the next session tells
        await fleet.until(lambda: len(fleet.named("gateway.session_began")) == 4)


async def test_more_joins_at_once_than_a_mailbox_holds_are_made_good_from_the_member_list(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
):
    """The mailbox is a tenth of the real one; ``make stress`` floods that."""
    control, members, rest = mailbox.CAPACITY
    monkeypatch.setattr(mailbox, "CAPACITY", (control, members // 10, rest))
    flooded = fleet.guilds[0]
    async with storm(fleet):
        await heard_on(fleet)
        for _ in range(500):
            fleet.join(flooded)
        await fleet.until(lambda: bool(fleet.named("dispatch.dropped")))
    assert {line["guild"] for line in fleet.named("dispatch.dropped")} == {str(flooded.id)}


async def test_many_guilds_on_four_shards_become_live_within_discords_limits_and_joins_go_first(
    sandbox: Sandbox, tmp_path: Path
):
    """``make stress`` does it with 5,000, and looks at how long it takes."""
    fleet = Fleet(sandbox, tmp_path / "data", guilds=80, shards=4)
    figures = await start_up(fleet, PATIENCE_S)
    assert figures.most_in_a_second <= 50, figures
    assert figures.limited == 0
    assert figures.join_s < figures.live_s / 2, "a live guild goes before those that start"
    assert len(fleet.named("gateway.session_began")) == 4
    fleet.assert_clean()
