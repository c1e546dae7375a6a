"""Requests over real sockets: complete samples, failures as values, deadlines, and who goes first."""

import asyncio
from contextlib import suppress

import discord
import pytest
from discord.http import HTTPClient
from structlog.typing import FilteringBoundLogger

from actors.gateway.failures import (
    Forbidden,
    Limited,
    Malformed,
    NotReady,
    TimedOut,
    Unavailable,
    explain,
    outcome,
    reason,
)
from actors.gateway.pacing import Pacer, Urgency
from actors.gateway.rest import Rest
from actors.gateway.restraint import Restraint
from actors.gateway.runner import point_at
from actors.traffic import RequestOutcome
from ledger.ids import ChannelId, GuildId, SessionId, UserId
from ledger.records import Vanity
from ledger.samples import Sample
from ledger.state import is_same_moment
from sandbox import Sandbox
from sandbox.models import Guild, InviteFlag
from tests.actors.gateway.town import Town

SESSION = SessionId("s")


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(vanity="harbour", vanity_uses=5)


def make_rest(http: HTTPClient, town: Town, deadline_s: float = 5.0) -> Rest:
    return Rest(lambda: http, Pacer(town.clock, asyncio.sleep, per_s=10_000), town.clock, deadline_s)


async def sample_of(rest: Rest, guild: Guild, *, vanity: bool = True) -> object:
    return await rest.sample(GuildId(str(guild.id)), SESSION, vanity=vanity, urgency=Urgency.LIVE)


async def test_a_sample_holds_all_counters_and_its_times_enclose_the_requests(
    rest: Rest, guild: Guild, sandbox: Sandbox, town: Town
):
    invite = sandbox.world.add_invite(guild, guild.owner, uses=3, max_uses=9, max_age_s=60)
    widget = sandbox.world.add_invite(guild)
    sandbox.world.add_invite(guild, flags=InviteFlag.GUEST)
    before_us = town.clock.stamp_us()
    sample = await sample_of(rest, guild)
    assert isinstance(sample, Sample)
    assert before_us < sample.requested_us < sample.answered_us < town.clock.stamp_us()
    assert sample.session == SESSION
    assert sample.vanity == Vanity(code="harbour", uses=5)
    first, second = sample.counters
    assert (first.code, first.uses, first.max_uses, first.inviter) == (invite.code, 3, 9, str(guild.owner.id))
    assert is_same_moment(first.created_at_us, invite.created_at_us)
    assert first.expires_at_us == invite.expires_at_us
    assert (second.code, second.inviter, second.channel) == (widget.code, None, str(guild.channel.id))


async def test_without_a_vanity_url_its_counter_is_not_asked_for(rest: Rest, guild: Guild, sandbox: Sandbox):
    sample = await sample_of(rest, guild, vanity=False)
    assert isinstance(sample, Sample)
    assert sample.vanity is None
    assert sandbox.count("vanity") == 0


async def test_an_empty_vanity_answer_is_no_sample(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.blank_vanity()
    assert await sample_of(rest, guild) == Malformed(why="vanity_empty")


async def test_a_list_without_its_counters_is_forbidden_not_zero(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.world.add_invite(guild)
    sandbox.world.set_permissions(guild, manage_guild=False, view_audit_log=True)
    failure = await sample_of(rest, guild)
    assert failure == Forbidden(reason="no_invite_metadata")


async def test_without_permissions_it_is_forbidden(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, manage_guild=False, view_audit_log=False)
    failure = await sample_of(rest, guild)
    assert isinstance(failure, Forbidden)
    assert reason(failure) == "forbidden"
    assert "Manage Server" in explain(failure)


@pytest.mark.parametrize(("status", "failure"), [(401, Forbidden()), (404, Unavailable(status=404))])
async def test_other_refusals_come_back_by_their_status(
    status: int, failure: object, rest: Rest, guild: Guild, sandbox: Sandbox
):
    sandbox.faults.fail("invites", status)
    assert await sample_of(rest, guild) == failure


async def test_a_503_is_a_value_and_the_next_try_works(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("invites", 503)
    assert await sample_of(rest, guild) == Unavailable(status=503)
    assert isinstance(await sample_of(rest, guild), Sample)


async def test_half_a_sample_is_none(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("vanity", 503)
    assert await sample_of(rest, guild) == Unavailable(status=503)


async def test_a_500_is_retried_by_the_library(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("invites", 500)
    assert isinstance(await sample_of(rest, guild), Sample)
    assert sandbox.count("invites") == 2


async def test_a_request_that_hangs_is_given_up_at_its_deadline(
    http: HTTPClient, town: Town, guild: Guild, sandbox: Sandbox
):
    sandbox.faults.hang("invites")
    rest = make_rest(http, town, deadline_s=0.05)
    assert await sample_of(rest, guild) == TimedOut(after_s=0.05)
    assert isinstance(await sample_of(make_rest(http, town), guild), Sample)


async def test_a_cut_connection_is_a_value(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.drop("invites", times=2)  # aiohttp tries once more by itself
    assert await sample_of(rest, guild) == Unavailable(status=0)


async def test_a_429_is_waited_for(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.faults.fail("invites", 429, retry_after_s=0.05)
    assert isinstance(await sample_of(rest, guild), Sample)
    assert sandbox.count("invites", 429) == 1


@pytest.mark.parametrize("deadline_s", [0.2, 15.0])
async def test_giving_up_within_a_global_429_leaves_it_to_the_next_request_to_wait(
    deadline_s: float, town: Town, guild: Guild, sandbox: Sandbox, log: FilteringBoundLogger
):
    """The library forgets the wait with the request that was given up, the restraint does not (the sandbox looks)."""
    pacer = Pacer(town.clock, asyncio.sleep, per_s=10_000)
    trace = Restraint(pacer, town.clock, asyncio.sleep, log).trace()
    sandbox.faults.fail("invites", 429, retry_after_s=0.8, is_global=True)
    point_at(sandbox.api_url)
    async with discord.Client(intents=discord.Intents(guilds=True), http_trace=trace) as client:
        await client.login(sandbox.token)
        hasty = Rest(lambda: client.http, pacer, town.clock, deadline_s)
        with suppress(TimeoutError):  # its own deadline, or that of whoever asked
            async with asyncio.timeout(0.4):
                await sample_of(hasty, guild)
        async with asyncio.timeout(3):  # the library's own gate is open again, or it would wait for ever
            assert isinstance(await sample_of(Rest(lambda: client.http, pacer, town.clock), guild), Sample)


async def test_who_is_not_connected_gets_a_value(town: Town, guild: Guild):
    rest = Rest(lambda: None, Pacer(town.clock, asyncio.sleep), town.clock)
    assert await sample_of(rest, guild) == Unavailable(status=0)


async def test_members_come_by_rising_ids_behind_the_one_asked_for(rest: Rest, guild: Guild, sandbox: Sandbox):
    sandbox.world.settle(guild, 5)
    ids = sorted(guild.members)
    page = await rest.members(GuildId(str(guild.id)), UserId(str(ids[1])))
    assert isinstance(page, tuple)
    assert [row.user.id for row in page] == [str(user) for user in ids[2:]]
    assert all(row.joined_at for row in page)


async def test_a_made_invite_never_ends_and_names_its_reason(rest: Rest, guild: Guild):
    made = await rest.create_invite(ChannelId(str(guild.channel.id)), "für Ada / <@1>")
    [invite] = guild.invites
    assert not isinstance(made, Malformed | Unavailable)
    assert (invite.max_age_s, invite.max_uses) == (0, 0)
    assert guild.audit[-1].reason == "für Ada / <@1>"


async def test_an_empty_guild_and_one_with_a_thousand_invites(rest: Rest, sandbox: Sandbox):
    guild = sandbox.world.add_guild()
    sample = await sample_of(rest, guild, vanity=False)
    assert isinstance(sample, Sample)
    assert sample.counters == ()
    for _ in range(1_000):
        sandbox.world.add_invite(guild)
    sample = await sample_of(rest, guild, vanity=False)
    assert isinstance(sample, Sample)
    assert len(sample.counters) == 1_000


async def test_requests_are_counted_by_how_they_ended(rest: Rest, sandbox: Sandbox, guild: Guild):
    assert isinstance(await sample_of(rest, guild), Sample)
    sandbox.faults.fail("invites", 403)
    assert isinstance(await sample_of(rest, guild), Forbidden)
    told = rest.traffic()
    assert {how: count for how, count in told.requests.items() if count} == {
        RequestOutcome.OK: 2,  # the invites and the vanity URL
        RequestOutcome.FORBIDDEN: 1,
    }
    assert (sum(told.waited_s.counts), told.waiting) == (2, 0)


def test_every_failure_has_its_outcome():
    failures = (
        Forbidden(),
        Unavailable(status=500),
        Limited(retry_after_s=1),
        TimedOut(after_s=1),
        Malformed(why=""),
        NotReady(retry_after_s=1),
    )
    assert {outcome(failure) for failure in failures} | {RequestOutcome.OK} == set(RequestOutcome)
