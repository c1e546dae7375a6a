"""The client over real sockets: what happens in a guild reaches its actor, once each, with its own number."""

import pytest

from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.ids import GuildId, UserId
from ledger.records import GatewayCause
from sandbox import Sandbox
from sandbox.models import Guild
from tests.actors.gateway.town import Town


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild()


async def test_a_join_arrives_with_its_microseconds_and_its_own_number(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    joins = [sandbox.world.join(guild, via=sandbox.world.add_invite(guild).code) for _ in range(3)]
    heard = await town.until_heard(guild.id, m.RecordJoin, 3)
    assert [each.joined_at_us for each in heard] == [each.joined_at_us for each in joins]
    causes = [each.cause for each in heard if isinstance(each.cause, GatewayCause)]
    assert {each.session for each in causes} == {sandbox.sessions[0].id}
    first = sandbox.sessions[0].seq - 3 * 3 + 3  # each round is INVITE_CREATE, (an audit entry we do not get), ADD
    assert [each.number for each in causes] != []
    assert [each.number for each in causes] == sorted({each.number for each in causes})
    assert causes[-1].number == sandbox.sessions[0].seq, first
