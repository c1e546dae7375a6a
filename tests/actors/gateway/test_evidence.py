"""What Discord knows besides its counters, over real sockets: who did it, and who came how."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

import msgspec
import pytest

from actors.gateway.evidence import Action, Audited, audited
from actors.gateway.failures import Failure, Forbidden, TooLong, Unavailable, reason
from actors.gateway.payloads import AuditChange, AuditRow
from actors.gateway.rest import Rest
from actors.gateway.snowflakes import moment_of
from ledger.ids import GuildId, InviteCode, UserId
from sandbox import Sandbox
from sandbox.models import Guild

T = TypeVar("T")


async def answered(asked: Awaitable[T | Failure]) -> T:
    """What was answered, where it is no failure."""
    answer = await asked
    assert not isinstance(answer, Failure)
    return answer


@pytest.fixture
def guild_id(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


async def test_deletions_are_read_with_their_code_author_and_time(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    mod = sandbox.world.add_staff(guild)
    first, second = (sandbox.world.add_invite(guild, guild.owner) for _ in range(2))
    before_us = sandbox.world.clock.now_us()
    for invite in (first, second):
        sandbox.world.delete_invite(guild, invite.code, mod)
    read = await rest.audit(guild_id, Action.INVITE_DELETED, 0)
    assert isinstance(read, tuple)
    assert [entry.code for entry in read] == [first.code, second.code]
    assert {(entry.by, entry.target) for entry in read} == {(UserId(str(mod.id)), None)}
    assert all(before_us - 1_000 < entry.at_us <= sandbox.world.clock.now_us() for entry in read)


async def test_an_entry_without_an_author_is_taken_as_it_is(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    invite = sandbox.world.add_invite(guild)  # a widget's
    [entry] = await answered(rest.audit(guild_id, Action.INVITE_CREATED, 0))
    assert (entry.code, entry.by) == (invite.code, None)


async def test_a_creation_is_read_with_its_limits_and_whether_a_bot_made_it(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.world.add_invite(guild, guild.owner, max_uses=3, max_age_s=60)
    bot = guild.members[sandbox.world.add_bot(guild, guild.owner).user_id].user
    sandbox.world.add_invite(guild, bot)
    by_owner, by_bot = await answered(rest.audit(guild_id, Action.INVITE_CREATED, 0))
    assert (by_owner.max_uses, by_owner.max_age_s, by_owner.by_bot) == (3, 60, False)
    assert (by_bot.max_uses, by_bot.max_age_s, by_bot.by_bot) == (0, 0, True)


async def test_who_added_a_bot_is_read(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    mod = sandbox.world.add_staff(guild)
    join = sandbox.world.add_bot(guild, mod)
    [entry] = await answered(rest.audit(guild_id, Action.BOT_ADDED, 0))
    assert (entry.target, entry.by, entry.code) == (str(join.user_id), str(mod.id), None)


async def test_pages_are_read_back_until_one_is_older(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    codes = [sandbox.world.add_invite(guild).code for _ in range(350)]
    an_hour = 3_600_000 << 22
    guild.audit[:250] = [replace(entry, id=entry.id - an_hour) for entry in guild.audit[:250]]
    since_us = sandbox.world.clock.now_us() - 60_000_000
    newest = await answered(rest.audit(guild_id, Action.INVITE_CREATED, since_us))
    assert ([entry.code for entry in newest], sandbox.count("audit")) == (codes[250:], 2)
    everything = await answered(rest.audit(guild_id, Action.INVITE_CREATED, 0))
    assert ([entry.code for entry in everything], sandbox.count("audit")) == (codes, 2 + 4)


async def test_a_log_that_goes_on_and_on_is_no_proof(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    for _ in range(1_000):
        sandbox.world.add_invite(guild)
    failure = await rest.audit(guild_id, Action.INVITE_CREATED, 0)
    assert failure == TooLong(pages=10)
    assert sandbox.count("audit") == 10
    assert reason(TooLong(pages=10)) == "longer_than_10_pages"


async def test_without_view_audit_log_it_is_forbidden(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, view_audit_log=False)
    assert await rest.audit(guild_id, Action.INVITE_DELETED, 0) == Forbidden(code=50013)


async def test_a_second_page_that_fails_leaves_nothing(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    for _ in range(101):
        sandbox.world.add_invite(guild)
    gate = sandbox.faults.hang("audit")
    gate.open()
    sandbox.faults.fail("audit", 503)
    assert await rest.audit(guild_id, Action.INVITE_CREATED, 0) == Unavailable(status=503)


def row(number: int, *, action: Action = Action.INVITE_DELETED, **changed: object) -> AuditRow:
    changes = tuple(AuditChange(key=key, old_value=value) for key, value in changed.items())
    return AuditRow(id=UserId(str(number)), action_type=int(action), changes=changes)


@pytest.mark.parametrize("code", [None, 5, "", "two words", {"a": 1}])
def test_an_invites_entry_without_a_code_is_not_passed_over(code: object):
    """Else an invite that somebody deleted would count as used up."""
    with pytest.raises(msgspec.ValidationError):
        audited([row(1, code=code)], Action.INVITE_DELETED, 0)


def test_entries_of_another_action_are_not_taken():
    rows = [row(1, action=Action.BOT_ADDED), row(2, code="abc")]
    taken = audited(rows, Action.INVITE_DELETED, 0)
    assert taken == (
        Audited(action=Action.INVITE_DELETED, code=InviteCode("abc"), target=None, by=None, at_us=moment_of("2")),
    )


def test_an_entry_of_the_same_millisecond_is_not_older():
    at_us = moment_of(str(5 << 22))
    old = row(5 << 22, code="abc")
    assert len(audited([old], Action.INVITE_DELETED, at_us + 999)) == 1
    assert audited([old], Action.INVITE_DELETED, at_us + 1_000) == ()
