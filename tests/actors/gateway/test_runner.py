"""The gateway's life: what is tried again, what only the operator can mend, and how it ends."""

import asyncio
from collections.abc import Callable

import discord
import pytest
from discord import app_commands

from actors.gateway import names, registration
from actors.gateway.commands import Tree
from actors.gateway.names import LibraryMismatch, check_library
from actors.gateway.runner import read_json_fast
from ledger import messages as m
from sandbox import Sandbox
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Town, running


class Bench:
    """A sleep that writes long pauses down and does what is to be done at the n-th of them, instead of waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.acts: dict[int, Callable[[], object]] = {}

    async def __call__(self, seconds: float) -> None:
        if seconds >= 1.0:
            self.pauses.append(seconds)
            self.acts.get(len(self.pauses), lambda: None)()
        await asyncio.sleep(0)


def switch_off(sandbox: Sandbox) -> Callable[[], object]:
    """Takes the members intent away; what gives it back."""
    flags = sandbox.application.flags
    sandbox.application.flags = type(flags)(0)
    return lambda: setattr(sandbox.application, "flags", flags)


async def test_a_refused_token_holds_without_a_login_and_is_asked_for_slowly(
    make_gateway: MakeGateway, sandbox: Sandbox, lines: Lines
):
    bench = Bench()
    gateway = make_gateway(token="not.the.one", sleep=bench)
    bench.acts[6] = gateway._entry.close
    await gateway.run()
    assert [
        0.75 * most <= pause <= most for pause, most in zip(bench.pauses, (30, 60, 120, 240, 300, 300), strict=True)
    ]
    assert (sandbox.count("me"), len(sandbox.requests), sandbox.sessions) == (6, 6, [])
    (line,) = lines.named("preflight.held")
    assert "DISCORD_TOKEN" in str(line["findings"])
    assert "not.the.one" not in f"{lines}{gateway.status()}"
    await gateway.close()


async def test_a_bot_that_was_held_goes_on_by_itself_when_the_intent_is_switched_on(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild, held = sandbox.world.add_guild(), list[tuple[str, ...]]()
    bench = Bench()
    gateway = make_gateway(sleep=bench)
    bench.acts = {1: lambda: held.append(gateway.status().held), 3: switch_off(sandbox)}
    async with running(gateway):
        await town.until_heard(guild.id, m.GuildCameUp)
        assert gateway.status().held == ()
    assert "Server Members Intent" in held[0][0]
    assert len(lines.named("preflight.held")) == 1
    assert sandbox.identifies.remaining == sandbox.identifies.total - 1


async def test_an_intent_that_is_taken_away_ends_the_session_and_the_next_one_waits_until_it_is_back(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild, bench = sandbox.world.add_guild(), Bench()
    async with running(make_gateway(sleep=bench)):
        await town.until_heard(guild.id, m.GuildCameUp)
        bench.acts[len(bench.pauses) + 2] = switch_off(sandbox)
        sandbox.gateway.close_all(4014)
        await town.until_heard(guild.id, m.GuildCameUp, 2)
    (line,) = lines.named("preflight.held")
    assert "Server Members Intent" in str(line["findings"])


async def test_a_final_close_that_no_check_explains_is_held_and_tried_again(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild = sandbox.world.add_guild()
    async with running(make_gateway(sleep=Bench())):
        await town.until_heard(guild.id, m.GuildCameUp)
        sandbox.gateway.close_all(4011)
        await town.until_heard(guild.id, m.GuildCameUp, 2)
    (line,) = lines.named("preflight.held")
    assert "Discord demands more shards" in str(line["findings"])
    assert len(lines.named("preflight.passed")) == 2


@pytest.mark.parametrize("kind", ["me", "gateway", "application"])
async def test_a_503_before_login_is_tried_again_after_a_pause_that_grows(
    kind: str, make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild, bench = sandbox.world.add_guild(), Bench()
    sandbox.faults.fail(kind, 503, times=2)
    async with running(make_gateway(sleep=bench)):
        await town.until_heard(guild.id, m.GuildCameUp)
    assert 1.5 <= bench.pauses[0] <= 2.0 < bench.pauses[1] <= 4.0
    assert "503" in str(lines.named("preflight.held")[0]["findings"])


async def test_a_first_connect_that_is_refused_is_tried_again(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("discord.client.ExponentialBackoff.delay", lambda _: 0.0)
    monkeypatch.setattr("actors.gateway.identify.IDENTIFY_EVERY_S", 0.0)
    guild, there = sandbox.world.add_guild(), sandbox.gateway.url
    sandbox.gateway.url = "ws://127.0.0.1:9/"

    async def comes_back(_: float) -> None:
        if lines.named("gateway.lost"):
            sandbox.gateway.url = there

    async with running(make_gateway(sleep=comes_back)):
        await town.until_heard(guild.id, m.GuildCameUp)
    assert [line["error"] for line in lines.named("gateway.lost")] == ["the first connect was refused"]


async def test_a_rest_api_that_is_not_there_is_tried_again(make_gateway: MakeGateway, lines: Lines):
    bench = Bench()
    gateway = make_gateway(api_url="http://127.0.0.1:9/api/v10", sleep=bench)
    bench.acts[3] = gateway._entry.close
    await gateway.run()
    assert len(bench.pauses) == 3
    assert "could not be reached" in str(lines.named("preflight.held")[0]["findings"])
    await gateway.close()


async def test_commands_that_could_not_be_registered_are_tried_again_and_counting_goes_on(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registration, "SYNC_AGAIN_S", 0.01)
    guild = sandbox.world.add_guild()
    sandbox.faults.fail("commands", 503)
    async with running(make_gateway()):
        await town.until_heard(guild.id, m.GuildCameUp)
        line = await lines.until("commands.synced")
    assert line["commands"] == len(sandbox.commands.of(None)) > 0
    assert len(lines.named("commands.sync_failed")) == 1


async def test_a_registration_that_crashes_is_logged_and_tried_again(
    make_gateway: MakeGateway, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    tried: list[discord.Client] = []
    sync = Tree.sync

    async def crash_once(tree: Tree) -> list[app_commands.AppCommand]:
        tried.append(tree.client)
        if len(tried) == 1:
            raise ZeroDivisionError
        return await sync(tree)

    monkeypatch.setattr(Tree, "sync", crash_once)
    monkeypatch.setattr(registration, "SYNC_AGAIN_S", 0.01)
    async with running(make_gateway()):
        assert (await lines.until("job.failed"))["job"] == "gateway/commands"
        await lines.until("commands.synced")
    assert len(tried) == 2


async def test_close_ends_the_run_and_the_socket(make_gateway: MakeGateway, sandbox: Sandbox, town: Town):
    guild = sandbox.world.add_guild()
    async with running(make_gateway()) as task:
        await town.until_heard(guild.id, m.GuildCameUp)
    assert task.done()
    await sandbox.until(lambda: not any(session.connected for session in sandbox.sessions))


async def test_a_gateway_that_never_connected_says_so(make_gateway: MakeGateway):
    status = make_gateway().status()
    assert (status.shards, status.connected, status.awaited, status.requests.waiting) == ((), False, 0, 0)


def test_the_installed_library_has_all_the_names_we_rely_on():
    check_library()


def test_a_missing_name_and_another_release_are_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "REQUESTS", ("request", "no_such_request"))
    with pytest.raises(LibraryMismatch, match=r"HTTPClient\.no_such_request"):
        check_library()
    monkeypatch.setattr("discord.__version__", "2.8.0")
    with pytest.raises(LibraryMismatch, match=r"2\.8\.0 is installed, this release needs 2\.7\.1"):
        check_library()


def test_json_that_the_fast_reader_refuses_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("discord.utils._from_json", None)  # put back afterwards
    read_json_fast()
    read = discord.utils._from_json
    assert read('{"t":"READY","s":1}') == {"t": "READY", "s": 1}
    assert read('["half a pair: \\ud800"]') == ["half a pair: \ud800"]
    with pytest.raises(ValueError, match="Expecting value"):
        read("")


async def test_a_hold_lasts_as_long_as_discord_asks_to_wait(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild, bench = sandbox.world.add_guild(), Bench()
    sandbox.faults.fail("me", 429, retry_after_s=900.0)
    async with running(make_gateway(sleep=bench)):
        await town.until_heard(guild.id, m.GuildCameUp)
    assert bench.pauses[0] == 900.0
    assert lines.named("preflight.held")[0]["again_s"] == 900
    sandbox.violations.take("rest.did_not_wait")  # on the bench 900 s take none, which the sandbox may notice
