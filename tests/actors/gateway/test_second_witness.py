"""members-search as the bot asks it, over real sockets: rows as reported, and everything that is no report."""

import json
from collections.abc import Awaitable, Iterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.evidence import Searched, searched
from actors.gateway.failures import (
    LONGEST_WAIT_S,
    Failure,
    Forbidden,
    Malformed,
    NotReady,
    Unavailable,
    explain,
    reason,
)
from actors.gateway.payloads import SearchAnswer, decode
from actors.gateway.rest import NOBODY, Rest
from actors.traffic import RequestOutcome
from ledger.ids import GuildId, UserId
from ledger.state import is_same_moment
from sandbox import VANITY, Bend, Join, Sandbox
from sandbox.models import Guild


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(vanity="harbour")


@pytest.fixture
def guild_id(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


def user_of(join: Join) -> UserId:
    return UserId(str(join.user_id))


async def answered(asked: Awaitable[tuple[Searched, ...] | Failure]) -> tuple[Searched, ...]:
    rows = await asked
    assert isinstance(rows, tuple)
    return rows


def behind(rows: Sequence[Searched]) -> tuple[int, UserId]:
    """Where the next page begins."""
    return (rows[-1].joined_at_us, rows[-1].user) if rows else (0, NOBODY)


async def test_members_are_reported_with_invite_inviter_and_way(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    invite = sandbox.world.add_invite(guild, guild.owner)
    joins = [sandbox.world.join(guild, via=via) for via in (invite.code, VANITY, None)]
    sandbox.world.join(guild)
    rows = await answered(rest.search_members(guild_id, [user_of(join) for join in joins]))
    by_user = {row.user: row for row in rows}
    told_us = {user_of(join): join.joined_at_us for join in joins}
    assert {row.user for row in rows} == told_us.keys()
    assert all(is_same_moment(row.joined_at_us, told_us[row.user]) for row in rows)
    told = [(row.code, row.inviter, row.way) for row in (by_user[user_of(join)] for join in joins)]
    assert told == [(invite.code, str(guild.owner.id), 5), ("harbour", None, 6), (None, None, 3)]


async def test_who_is_not_in_the_index_yet_is_missing(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    join = sandbox.world.join(guild)
    sandbox.faults.search_lag_us = 20_000_000
    assert await rest.search_members(guild_id, [user_of(join)]) == ()


async def test_an_index_that_is_built_is_a_value_of_its_own_and_counted(
    rest: Rest, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.faults.index_not_ready(retry_after_s=15.0)
    failure = await rest.search_members(guild_id, [UserId("1")])
    assert failure == NotReady(retry_after_s=15.0)
    assert (reason(failure), rest.traffic().requests[RequestOutcome.NOT_READY]) == ("not_ready", 1)
    assert "in 15 s" in explain(failure)


@pytest.mark.parametrize(
    ("said", "wait_s"), [("0", 0.0), ("-1", 5.0), ("1e999", LONGEST_WAIT_S), ("NaN", 5.0), ('"soon"', 5.0)]
)
async def test_how_long_the_index_takes_is_believed_within_reason(
    said: str, wait_s: float, rest: Rest, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.faults.garble("search", b'{"code": 110000, "retry_after": %s}' % said.encode())
    assert await rest.search_members(guild_id, [UserId("1")]) == NotReady(retry_after_s=wait_s)


@pytest.mark.parametrize(("status", "failure"), [(403, Forbidden()), (404, Unavailable(status=404))])
async def test_a_refusal_is_a_value(status: int, failure: Failure, rest: Rest, guild_id: GuildId, sandbox: Sandbox):
    sandbox.faults.fail("search", status, times=None)
    assert await rest.search_members(guild_id, [UserId("1")]) == failure
    assert await rest.sweep_members(guild_id) == failure


async def test_without_manage_server_it_is_forbidden(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    sandbox.world.set_permissions(guild, manage_guild=False)
    assert await rest.search_members(guild_id, [UserId("1")]) == Forbidden(code=50013)


ROW = {"member": {"user": {"id": "1"}, "joined_at": "2026-01-02T03:04:05+00:00"}, "join_source_type": 5}
NO_ROWS = (
    ROW,  # no code: a field may have got another name
    ROW | {"source_invite_code": 5},
    ROW | {"source_invite_code": ""},
    ROW | {"source_invite_code": "abc", "join_source_type": "5"},
    ROW | {"source_invite_code": "abc", "join_source_type": None},
    ROW | {"source_invite_code": "abc", "join_source_type": -1},
    ROW | {"source_invite_code": "abc", "inviter_id": 7},
    ROW | {"source_invite_code": "abc", "member": {"joined_at": "2026-01-02T03:04:05+00:00"}},
    ROW | {"source_invite_code": "abc", "member": {"user": {"id": "1"}, "joined_at": "yesterday"}},
    ROW | {"source_invite_code": "abc", "member": {"user": {"id": "1"}, "joined_at": "2026-01-02T03:04:05"}},
)


@pytest.mark.parametrize("row", NO_ROWS)
async def test_a_row_that_does_not_decode_spoils_the_answer(
    row: object, rest: Rest, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.faults.garble("search", json.dumps({"guild_id": guild_id, "members": [row]}).encode())
    assert isinstance(await rest.search_members(guild_id, [UserId("1")]), Malformed)


@pytest.mark.parametrize("body", [b"", b"{no json", b"[]", b"{}", b"null", b'{"members": {}}', b'{"code": 50001}'])
async def test_garbage_is_malformed(body: bytes, rest: Rest, guild_id: GuildId, sandbox: Sandbox):
    sandbox.faults.garble("search", body, times=None)
    assert isinstance(await rest.search_members(guild_id, [UserId("1")]), Malformed)
    assert isinstance(await rest.sweep_members(guild_id), Malformed)
    assert rest.traffic().requests[RequestOutcome.MALFORMED] == 2


async def test_rows_of_others_are_dropped_and_those_of_another_guild_are_no_answer(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    join = sandbox.world.join(guild)
    sandbox.world.add_guild()
    sandbox.faults.bend_search(Bend.OTHERS)
    assert await rest.search_members(guild_id, [user_of(join)]) == ()
    sandbox.faults.bend_search(Bend.ELSEWHERE, times=2)
    other = Malformed(why="the search of another guild")
    assert await rest.search_members(guild_id, [user_of(join)]) == other
    assert await rest.sweep_members(guild_id) == other


async def test_a_stale_row_keeps_its_own_time(rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox):
    user = sandbox.world.add_user()
    first = sandbox.world.join(guild, user)
    sandbox.world.leave(guild, user)
    sandbox.world.join(guild, user)
    sandbox.faults.bend_search(Bend.STALE)
    [row] = await answered(rest.search_members(guild_id, [UserId(str(user.id))]))
    assert is_same_moment(row.joined_at_us, first.joined_at_us)


async def test_a_sweep_leads_through_all_members_from_the_first(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.world.settle(guild, 1_200)
    invite = sandbox.world.add_invite(guild)
    last = sandbox.world.join(guild, via=invite.code)
    rows: list[Searched] = []
    while page := await answered(rest.sweep_members(guild_id, *behind(rows))):
        rows += page
    assert sandbox.count("search") == 4  # thrice 500 at most, then nobody
    assert {int(row.user) for row in rows} == set(guild.members)
    assert len(rows) == len(guild.members)
    assert (rows[-1].user, rows[-1].code) == (user_of(last), invite.code)


async def test_a_sweep_that_does_not_go_on_is_malformed(
    rest: Rest, guild: Guild, guild_id: GuildId, sandbox: Sandbox
):
    sandbox.world.join(guild)
    first = await answered(rest.sweep_members(guild_id))
    rows = [{"member": {"user": {"id": each.user}, "joined_at": "2020-01-01T00:00:00+00:00"}} for each in first]
    told = [row | {"source_invite_code": None, "join_source_type": 0} for row in rows]
    sandbox.faults.garble("search", json.dumps({"guild_id": guild_id, "members": told}).encode())
    assert await rest.sweep_members(guild_id, *behind(first)) == Malformed(why="the search does not go on")


def test_guests_who_have_no_time_of_joining_are_no_rows(guild_id: GuildId):
    row = {"member": {"user": {"id": "1"}}, "source_invite_code": None, "join_source_type": 0}
    answer = msgspec.convert({"guild_id": guild_id, "members": [row]}, SearchAnswer)
    assert searched(answer, guild_id) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=30),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)
FAIR: dict[str, object] = {"guild_id": "1", "members": [ROW | {"source_invite_code": "abc", "inviter_id": "5"}]}


def places(value: object, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*way, key))


def put(value: object, way: tuple[str | int, ...], odd: object) -> object:
    """The value with something odd in one place."""
    if not way:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = put(copy[way[0]], way[1:], odd)
    return copy


@given(way=st.sampled_from(list(places(FAIR))), odd=JSON)
def test_whatever_stands_in_one_place_is_rows_or_a_failure(way: tuple[str | int, ...], odd: object):
    try:
        answer = decode(put(FAIR, way, odd), SearchAnswer)
    except msgspec.ValidationError:
        return
    told = searched(answer, GuildId("1"))
    assert isinstance(told, tuple | Malformed | NotReady)
    assert reason(told) if isinstance(told, Failure) else all(isinstance(row, Searched) for row in told)
