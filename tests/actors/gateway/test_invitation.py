"""Invites with terms over real sockets: made as asked for, for named people alone, withdrawn."""

import pytest

from actors.gateway.counters import counters_of
from actors.gateway.failures import Failure, Forbidden, Malformed, Unavailable
from actors.gateway.invitation import JobState, TargetJob, Terms
from actors.gateway.payloads import InviteRow
from actors.gateway.rest import UNKNOWN_INVITE, Rest
from ledger.ids import ChannelId, GuildId, InviteCode, RoleId, UserId
from sandbox import Permission, Sandbox
from sandbox.models import Guild, Invite, Role, User
from sandbox.models import JobState as Played

WISH = Permission.MANAGE_GUILD | Permission.MANAGE_CHANNELS | Permission.VIEW_AUDIT_LOG | Permission.MANAGE_ROLES


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(permissions=WISH)


@pytest.fixture
def role(guild: Guild, sandbox: Sandbox) -> Role:
    return sandbox.world.add_role(guild, "Crew")


@pytest.fixture
def ada(sandbox: Sandbox) -> User:
    return sandbox.world.add_user("ada")


def for_one(user: User) -> Terms:
    return Terms(max_uses=1, max_age_s=3_600, targets=(UserId(str(user.id)),))


async def make(rest: Rest, guild: Guild, terms: Terms) -> InviteRow | Failure:
    return await rest.create_invite(ChannelId(str(guild.channel.id)), "für Ada", terms)


async def made(rest: Rest, guild: Guild, terms: Terms) -> tuple[InviteCode, Invite]:
    row = await make(rest, guild, terms)
    assert isinstance(row, InviteRow)
    return row.code, guild.by_code[row.code]


async def test_an_invite_is_made_on_the_terms_asked_for(rest: Rest, guild: Guild, role: Role):
    terms = Terms(max_uses=5, max_age_s=60, roles=(RoleId(str(role.id)),))
    _, invite = await made(rest, guild, terms)
    assert (invite.max_uses, invite.max_age_s, invite.role_ids, invite.targets) == (5, 60, (role.id,), None)
    assert guild.audit[-1].reason == "für Ada"


async def test_two_invites_on_the_same_terms_are_two(rest: Rest, guild: Guild):
    codes = {(await made(rest, guild, Terms(max_uses=1)))[0] for _ in range(2)}
    assert len(codes) == 2


async def test_the_roles_of_an_invite_stand_in_the_list_as_in_the_answer(rest: Rest, guild: Guild, role: Role):
    row = await make(rest, guild, Terms(roles=(RoleId(str(role.id)),)))
    listed = await rest.invites(GuildId(str(guild.id)))
    assert isinstance(row, InviteRow)
    assert isinstance(listed, tuple)
    counters = counters_of([row, *listed])
    assert counters is not None
    assert [counter.roles for counter in counters] == [(str(role.id),)] * 2


async def test_an_invite_for_one_person_names_them_alone(rest: Rest, guild: Guild, ada: User):
    code, invite = await made(rest, guild, for_one(ada))
    assert (invite.max_uses, invite.max_age_s, invite.targets) == (1, 3_600, frozenset([ada.id]))
    assert await rest.target_job(code) == TargetJob(status=JobState.COMPLETED, total_users=1, processed_users=1)
    assert guild.audit[-1].reason == "für Ada"


async def test_a_thousand_targets_arrive_whole(rest: Rest, guild: Guild, sandbox: Sandbox):
    users = tuple(UserId(str(sandbox.world.add_user().id)) for _ in range(1_000))
    _, invite = await made(rest, guild, Terms(targets=users))
    assert invite.targets == frozenset(int(user) for user in users)


@pytest.mark.parametrize("state", [JobState.PROCESSING, JobState.FAILED])
async def test_a_list_that_does_not_hold_yet_says_so(
    state: JobState, rest: Rest, guild: Guild, ada: User, sandbox: Sandbox
):
    sandbox.faults.stall_targets(Played(state))
    code, _ = await made(rest, guild, for_one(ada))
    job = await rest.target_job(code)
    assert isinstance(job, TargetJob)
    assert (job.status, job.error_message is None) == (state, state is JobState.PROCESSING)


async def test_an_invite_is_withdrawn_with_a_reason(rest: Rest, guild: Guild):
    code, invite = await made(rest, guild, Terms())
    gone = await rest.delete_invite(code, "nobody needs it / <@1>")
    assert isinstance(gone, InviteRow)
    assert (gone.code, invite.gone_at_us is None, guild.audit[-1].code) == (code, False, code)
    assert guild.audit[-1].reason == "nobody needs it / <@1>"
    assert await rest.delete_invite(code, "again") == Unavailable(status=404, code=UNKNOWN_INVITE)


async def test_what_takes_a_permission_is_forbidden_without_it(
    rest: Rest, guild: Guild, role: Role, ada: User, sandbox: Sandbox
):
    others = InviteCode(sandbox.world.add_invite(guild, guild.owner, targets=[ada]).code)
    sandbox.world.change_role(guild, guild.bot_role, permissions=Permission.NONE)
    for failure in (
        await make(rest, guild, for_one(ada)),
        await make(rest, guild, Terms(roles=(RoleId(str(role.id)),))),
        await rest.target_job(others),
        await rest.delete_invite(others, ""),
    ):
        assert failure == Forbidden(code=50013)
    assert [invite.code for invite in guild.invites] == [others]


async def test_an_invite_whose_answer_is_lost_may_stand_all_the_same(
    rest: Rest, guild: Guild, ada: User, sandbox: Sandbox
):
    sandbox.faults.fail("create_invite", 503, done=True)
    assert await make(rest, guild, for_one(ada)) == Unavailable(status=503)
    [invite] = guild.invites
    assert invite.targets == frozenset([ada.id])


async def test_a_job_that_is_garbage_is_malformed(rest: Rest, guild: Guild, ada: User, sandbox: Sandbox):
    code, _ = await made(rest, guild, for_one(ada))
    sandbox.faults.garble("target_job", b'{"status": 9}')
    assert isinstance(await rest.target_job(code), Malformed)
