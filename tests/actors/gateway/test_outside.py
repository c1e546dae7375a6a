"""Effects: every fetch has an answer, the member list goes on to its end or to the end of its session."""

import pytest

from actors.gateway import outside
from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.effects import FetchSample, ListMembers, SampleRequest
from ledger.ids import GuildId, SessionId
from sandbox import Sandbox
from sandbox.models import Guild
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Pauses, Town, running


def name(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


async def come_up(town: Town, guild: Guild) -> SessionId:
    return (await town.until_heard(guild.id, m.GuildCameUp))[-1].session


def a_fetch(session: SessionId, after_s: float = 0.0) -> FetchSample:
    return FetchSample(request=SampleRequest(number=3), session=session, after_s=after_s)


async def test_a_fetched_sample_comes_back_with_its_request(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    invite = sandbox.world.add_invite(guild, uses=2)
    session = await come_up(town, guild)
    gateway.outside.fetch_sample(name(guild), a_fetch(session, after_s=0.01))
    [arrived] = await town.until_heard(guild.id, m.SampleArrived)
    assert arrived.request == SampleRequest(number=3)
    assert arrived.sample.session == session
    assert [(each.code, each.uses) for each in arrived.sample.counters] == [(invite.code, 2)]


async def test_a_guild_with_a_vanity_url_has_its_counter_in_the_sample(
    gateway: Gateway, sandbox: Sandbox, town: Town
):
    guild = sandbox.world.add_guild("Quay", vanity="quay", vanity_uses=9)
    gateway.outside.fetch_sample(name(guild), a_fetch(await come_up(town, guild)))
    [arrived] = await town.until_heard(guild.id, m.SampleArrived)
    assert arrived.sample.vanity is not None
    assert arrived.sample.vanity.uses == 9


@pytest.mark.parametrize(("status", "reason"), [(403, "forbidden"), (503, "status_503")])
async def test_a_failed_fetch_is_answered_too(  # noqa: PLR0917 -- fixtures
    status: int, reason: str, guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    session = await come_up(town, guild)
    sandbox.faults.fail("invites", status)
    gateway.outside.fetch_sample(name(guild), a_fetch(session))
    [failed] = await town.until_heard(guild.id, m.SampleFailed)
    assert (failed.forbidden, failed.reason, failed.request.number) == (status == 403, reason, 3)


async def test_a_fetch_for_a_session_that_is_over_is_answered_without_asking(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    await come_up(town, guild)
    gateway.outside.fetch_sample(name(guild), a_fetch(SessionId("an older one")))
    [failed] = await town.until_heard(guild.id, m.SampleFailed)
    assert (failed.reason, failed.forbidden) == ("malformed: the session is over", False)
    assert sandbox.count("invites") == 0


@pytest.mark.parametrize("people", [499, 500, 501, 1_000, 1_001, 2_100])
async def test_the_member_list_comes_in_parts_of_its_pages_that_leave_no_id_out(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, people: int
):
    sandbox.world.settle(guild, people - len(guild.members))
    session = await come_up(town, guild)
    gateway.outside.list_members(name(guild), ListMembers(session=session))
    parts = await town.until_heard(guild.id, m.ReviewMembers, -(-people // 500) + (people == 1_000))
    assert [part.after for part in parts] == ["0", *(part.upto for part in parts[:-1])]
    assert [part.upto for part in parts] == [*(part.members[-1].user for part in parts[:-1]), ""]
    assert all(len(part.members) <= 500 for part in parts)
    listed = [row.user for part in parts for row in part.members]
    assert listed == [str(user) for user in sorted(guild.members)]
    assert {part.started_us for part in parts} == {parts[0].started_us}
    assert parts[0].started_us < parts[0].at_us <= parts[-1].at_us
    assert sandbox.count("members") == people // 1_000 + 1


async def test_a_page_that_fails_is_asked_for_again_and_the_list_goes_on(
    make_gateway: MakeGateway, guild: Guild, sandbox: Sandbox, town: Town, lines: Lines
):
    pauses = Pauses()
    gateway = make_gateway(sleep=pauses)
    async with running(gateway):
        session = await come_up(town, guild)
        sandbox.faults.fail("members", 503, times=2)
        gateway.outside.list_members(name(guild), ListMembers(session=session))
        [page] = await town.until_heard(guild.id, m.ReviewMembers)
        await lines.until("members.listed")
    assert page.upto == ""
    waits = [line["again_s"] for line in lines.named("members.list_failed")]
    assert len(waits) == 2


async def test_a_list_asked_for_while_one_is_read_is_read_once_more(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    session = await come_up(town, guild)
    gate = sandbox.faults.hang("members", late=True)
    for _ in range(3):
        gateway.outside.list_members(name(guild), ListMembers(session=session))
    await gate.arrived()
    gate.open()
    first, second = await town.until_heard(guild.id, m.ReviewMembers, 2)
    assert first.started_us < second.started_us
    assert sandbox.count("members") == 2


async def test_a_list_for_a_session_that_is_over_is_not_read(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    await come_up(town, guild)
    gateway.outside.list_members(name(guild), ListMembers(session=SessionId("older")))
    gateway.outside.fetch_sample(name(guild), a_fetch(SessionId("older")))
    await town.until_heard(guild.id, m.SampleFailed)
    assert sandbox.count("members") == 0


async def test_after_the_stop_no_work_is_taken(guild: Guild, gateway: Gateway, town: Town):
    session = await come_up(town, guild)
    gateway.stop_intake()
    gateway.outside.fetch_sample(name(guild), a_fetch(session))
    gateway.outside.list_members(name(guild), ListMembers(session=session))
    assert not any(task.get_name().startswith(("gateway/sample", "gateway/members")) for task in town.tasks)


async def test_a_fetch_that_crashes_is_answered_and_logged(
    guild: Guild, gateway: Gateway, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    session = await come_up(town, guild)
    monkeypatch.setattr(gateway.rest, "_connection", lambda: 1 // 0)
    gateway.outside.fetch_sample(name(guild), a_fetch(session))
    [failed] = await town.until_heard(guild.id, m.SampleFailed)
    assert failed.reason == "malformed: the fetch crashed"
    line = await lines.until("job.failed")
    assert line["job"] == f"gateway/sample/{guild.id}"


async def test_a_list_that_crashes_is_logged_and_read_once_more(
    guild: Guild, gateway: Gateway, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outside, "CRASHED_S", 0.01)
    session = await come_up(town, guild)
    with monkeypatch.context() as patch:
        patch.setattr(gateway.rest, "_connection", lambda: 1 // 0)
        gateway.outside.list_members(name(guild), ListMembers(session=session))
        line = await lines.until("job.failed")
    assert line["job"] == f"gateway/members/{guild.id}"
    await town.until_heard(guild.id, m.ReviewMembers)


async def test_the_member_list_tells_the_roles_of_each(guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town):
    member = sandbox.world.add_staff(guild)
    session = await come_up(town, guild)
    gateway.outside.list_members(name(guild), ListMembers(session=session))
    [page] = await town.until_heard(guild.id, m.ReviewMembers)
    [row] = [row for row in page.members if row.user == str(member.id)]
    assert row.roles == (str(guild.staff_role.id),)


async def test_a_change_of_roles_is_told_with_the_member(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    join = sandbox.world.join(guild)
    await town.until_heard(guild.id, m.RecordJoin)
    sandbox.world.set_roles(guild, sandbox.world.users[join.user_id], [guild.staff_role])
    assert gateway.status().connected
    notes = await town.until_heard(guild.id, m.NoteMember)
    assert notes[-1].join.roles == (str(guild.staff_role.id),)
