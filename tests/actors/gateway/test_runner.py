"""The gateway's life: what is tried again, what only the operator can mend, and how it ends."""

import asyncio

import pytest

from actors.gateway import names, registration
from actors.gateway.names import LibraryMismatch, check_library
from actors.gateway.trouble import GatewayRefused, IntentsMissing, TokenRefused
from ledger import messages as m
from sandbox import Sandbox
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Pauses, Town, running


async def test_a_refused_token_ends_it_with_the_fix_and_without_the_token(make_gateway: MakeGateway, lines: Lines):
    gateway = make_gateway(token="not.the.one")
    with pytest.raises(TokenRefused) as refused:
        await gateway.run()
    assert "DISCORD_TOKEN" in refused.value.hint
    assert refused.value.__cause__ is None
    assert "not.the.one" not in f"{refused.value!r}{refused.value.hint}{lines}"
    await gateway.close()


async def test_a_missing_intent_ends_it_with_the_fix(make_gateway: MakeGateway, sandbox: Sandbox):
    sandbox.application.flags = type(sandbox.application.flags)(0)
    gateway = make_gateway()
    with pytest.raises(IntentsMissing) as refused:
        await gateway.run()
    assert "Server Members Intent" in refused.value.hint
    await gateway.close()


async def test_a_final_close_code_ends_it(make_gateway: MakeGateway, sandbox: Sandbox):
    gateway = make_gateway()
    task = asyncio.get_running_loop().create_task(gateway.run())
    await sandbox.wait_ready()
    sandbox.gateway.close_all(4011)
    with pytest.raises(GatewayRefused, match="shards"):
        await task
    await gateway.close()


@pytest.mark.parametrize("kind", ["me", "gateway", "application"])
async def test_a_503_at_login_is_tried_again_after_a_pause_that_grows(
    kind: str, make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines
):
    guild = sandbox.world.add_guild()
    sandbox.faults.fail(kind, 503, times=2)
    async with running(make_gateway(sleep=Pauses())):
        await town.until_heard(guild.id, m.GuildCameUp)
    first, second = lines.named("gateway.lost")
    assert (first["failures"], second["failures"]) == (1, 2)
    assert 0.5 <= float(str(first["again_s"])) <= 1.0 <= float(str(second["again_s"])) <= 2.0


async def test_a_first_connect_that_is_refused_is_tried_again(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("discord.client.ExponentialBackoff.delay", lambda _: 0.0)
    guild, there = sandbox.world.add_guild(), sandbox.gateway.url
    sandbox.gateway.url = "ws://127.0.0.1:9/"

    async def comes_back(_: float) -> None:
        if lines.named("gateway.lost"):
            sandbox.gateway.url = there

    async with running(make_gateway(sleep=comes_back)):
        await town.until_heard(guild.id, m.GuildCameUp)
    assert [line["error"] for line in lines.named("gateway.lost")] == ["the first connect was refused"]


async def test_a_rest_api_that_is_not_there_is_tried_again(make_gateway: MakeGateway, lines: Lines):
    gateway, pauses = make_gateway(api_url="http://127.0.0.1:9/api/v10"), Pauses()

    async def enough(seconds: float) -> None:
        await pauses(seconds)
        if len(pauses.seconds) == 3:
            await gateway.close()

    gateway._sleep = enough
    await gateway.run()
    assert len(lines.named("gateway.lost")) == 3


async def test_commands_that_could_not_be_registered_are_tried_again_and_counting_goes_on(
    make_gateway: MakeGateway, sandbox: Sandbox, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registration, "SYNC_AGAIN_S", 0.01)
    guild = sandbox.world.add_guild()
    sandbox.faults.fail("commands", 503)
    async with running(make_gateway()):
        await town.until_heard(guild.id, m.GuildCameUp)
        line = await lines.until("commands.synced")
    assert line["commands"] == 4
    assert len(lines.named("commands.sync_failed")) == 1


async def test_close_ends_the_run_and_the_socket(make_gateway: MakeGateway, sandbox: Sandbox, town: Town):
    guild = sandbox.world.add_guild()
    async with running(make_gateway()) as task:
        await town.until_heard(guild.id, m.GuildCameUp)
    assert task.done()
    await sandbox.until(lambda: not any(session.connected for session in sandbox.sessions))


async def test_a_gateway_that_never_connected_says_so(make_gateway: MakeGateway):
    status = make_gateway().status()
    assert (status.shards, status.connected, status.awaited, status.queued) == ((), False, 0, 0)


def test_the_installed_library_has_all_the_names_we_rely_on():
    check_library()


def test_a_missing_name_and_another_release_are_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "REQUESTS", ("request", "no_such_request"))
    with pytest.raises(LibraryMismatch, match=r"HTTPClient\.no_such_request"):
        check_library()
    monkeypatch.setattr("discord.__version__", "2.8.0")
    with pytest.raises(LibraryMismatch, match=r"2\.8\.0 is installed, this release needs 2\.7\.1"):
        check_library()
