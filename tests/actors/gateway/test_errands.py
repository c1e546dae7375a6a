"""Errands over real sockets: the audit log, the second witness; each is answered, in its time, whatever happens."""

import pytest

from actors.gateway.rest import Rest
from actors.gateway.runner import Gateway
from actors.traffic import ErrandOutcome
from ledger import messages as m
from ledger.effects import AskWitness, ReadAudit, SweepMembers
from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import Report
from sandbox import VANITY, Bend, Sandbox
from sandbox.models import Guild
from tests.actors.gateway.conftest import MakeGateway
from tests.actors.gateway.town import Lines, Town, running


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    return sandbox.world.add_guild(vanity="harbour")


@pytest.fixture
async def here(gateway: Gateway, guild: Guild, town: Town) -> Gateway:
    """The gateway, once the guild is there."""
    await town.until_heard(guild.id, m.GuildCameUp)
    return gateway


def name(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


def user(some_id: int) -> UserId:
    return UserId(str(some_id))


def an_audit(since_us: int = 0, due_us: int = 0) -> ReadAudit:
    return ReadAudit(number=7, since_us=since_us, invites_since_us=since_us, due_us=due_us)


def an_ask(*users: int) -> AskWitness:
    return AskWitness(number=8, users=tuple(user(each) for each in users), due_us=0)


A_SWEEP = SweepMembers(number=9, after_us=0, after=UserId("0"), due_us=0)


async def test_deleted_invites_and_added_bots_are_read_from_the_audit_log(
    here: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    mod = sandbox.world.add_staff(guild)
    invite = sandbox.world.add_invite(guild, guild.owner)
    sandbox.world.delete_invite(guild, invite.code, mod)
    bot = sandbox.world.add_bot(guild, mod)
    before_us = town.clock.stamp_us()
    here.outside.run_errand(name(guild), an_audit())
    [arrived] = await town.until_heard(guild.id, m.AuditArrived)
    [deletion] = arrived.deletions
    assert (arrived.number, deletion.code, deletion.by) == (7, invite.code, user(mod.id))
    [creation] = arrived.creations
    assert (creation.code, creation.by, creation.by_bot) == (invite.code, user(guild.owner.id), False)
    assert arrived.bots == (m.AddedBot(bot=user(bot.user_id), by=user(mod.id)),)
    assert before_us < arrived.requested_us < town.clock.stamp_us()
    assert here.status().errands[ErrandOutcome.AUDIT_READ] == 1


async def test_the_stamp_of_the_log_is_of_before_its_first_request(
    here: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    gate = sandbox.faults.hang("audit", late=True)
    here.outside.run_errand(name(guild), an_audit())
    await gate.arrived()
    at_us = town.clock.stamp_us()
    gate.open()
    [arrived] = await town.until_heard(guild.id, m.AuditArrived)
    assert arrived.requested_us < at_us


@pytest.mark.parametrize("healthy", [0, 1])
async def test_a_log_that_cannot_be_read_whole_is_a_failure(
    healthy: int, here: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    sandbox.faults.delay("audit", 0.0, times=healthy)
    sandbox.faults.fail("audit", 503, times=5)
    here.outside.run_errand(name(guild), an_audit())
    [failed] = await town.until_heard(guild.id, m.AuditFailed)
    assert (failed.number, failed.reason, failed.forbidden) == (7, "status_503", False)


async def test_a_log_that_is_too_long_is_told_as_such(here: Gateway, guild: Guild, sandbox: Sandbox, town: Town):
    for _ in range(1_000):
        sandbox.world.add_invite(guild)
    here.outside.run_errand(name(guild), an_audit())
    [failed] = await town.until_heard(guild.id, m.AuditFailed)
    assert (failed.too_long, failed.forbidden, failed.reason) == (True, False, "longer_than_10_pages")


async def test_without_view_audit_log_the_log_is_forbidden(
    here: Gateway, guild: Guild, sandbox: Sandbox, town: Town, lines: Lines
):
    sandbox.world.set_permissions(guild, view_audit_log=False)
    here.outside.run_errand(name(guild), an_audit())
    [failed] = await town.until_heard(guild.id, m.AuditFailed)
    assert failed.forbidden
    assert (await lines.until("audit.failed"))["reason"] == "forbidden"
    assert here.status().errands[ErrandOutcome.AUDIT_FAILED] == 1


async def test_nothing_is_asked_before_it_is_due(here: Gateway, guild: Guild, sandbox: Sandbox, town: Town):
    due_us = town.clock.stamp_us() + 300_000
    here.outside.run_errand(name(guild), an_audit(due_us=due_us))
    [arrived] = await town.until_heard(guild.id, m.AuditArrived)
    assert arrived.requested_us >= due_us - 50_000  # two clocks
    assert sandbox.count("audit") == 3


async def test_members_are_told_with_code_inviter_and_way(here: Gateway, guild: Guild, sandbox: Sandbox, town: Town):
    invite = sandbox.world.add_invite(guild, guild.owner)
    joins = [sandbox.world.join(guild, via=via) for via in (invite.code, VANITY)]
    sandbox.world.join(guild)  # not asked for
    here.outside.run_errand(name(guild), an_ask(*(join.user_id for join in joins)))
    [answered] = await town.until_heard(guild.id, m.WitnessAnswered)
    assert (answered.number, answered.swept, answered.done) == (8, False, False)
    assert {row.user: row.report for row in answered.rows} == {
        user(joins[0].user_id): Report(5, InviteCode(invite.code), user(guild.owner.id)),
        user(joins[1].user_id): Report(6, InviteCode("harbour")),
    }
    assert {row.joined_at_us // 1_000 for row in answered.rows} == {join.joined_at_us // 1_000 for join in joins}


async def test_rows_of_members_that_were_not_asked_for_are_not_told(
    here: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    join = sandbox.world.join(guild)
    sandbox.world.join(guild)
    sandbox.faults.bend_search(Bend.OTHERS)
    here.outside.run_errand(name(guild), an_ask(join.user_id))
    [answered] = await town.until_heard(guild.id, m.WitnessAnswered)
    assert answered.rows == ()


@pytest.mark.parametrize(
    ("trouble", "reason", "again_s"),
    [
        ("elsewhere", "malformed: the search of another guild", 0.0),
        ("nonsense", "malformed", 0.0),
        ("not_ready", "not_ready", 17.0),
        ("off", "status_404", 0.0),
        ("forbidden", "forbidden", 0.0),
    ],
)
@pytest.mark.parametrize("effect", [an_ask(1), A_SWEEP])
async def test_what_is_no_answer_is_a_failure_with_its_reason(  # noqa: PLR0917 -- fixtures
    trouble: str,
    reason: str,
    again_s: float,
    effect: AskWitness | SweepMembers,
    here: Gateway,
    guild: Guild,
    sandbox: Sandbox,
    town: Town,
):
    sandbox.world.add_guild()
    match trouble:
        case "elsewhere":
            sandbox.faults.bend_search(Bend.ELSEWHERE)
        case "nonsense":
            sandbox.faults.garble("search", b'{"members": [{"member": 5}]}')
        case "not_ready":
            sandbox.faults.index_not_ready(retry_after_s=17.0)
        case "off":
            sandbox.faults.search_off()
        case _:
            sandbox.world.set_permissions(guild, manage_guild=False)
    here.outside.run_errand(name(guild), effect)
    [failed] = await town.until_heard(guild.id, m.WitnessFailed)
    assert failed.number == effect.number
    assert failed.reason.startswith(reason)
    assert failed.again_s == again_s
    assert here.status().errands[ErrandOutcome.WITNESS_FAILED] == 1


async def test_a_sweep_goes_on_behind_its_last_member_until_nobody_comes_any_more(
    here: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    sandbox.world.settle(guild, 700)
    effect, pages = A_SWEEP, list[m.WitnessAnswered]()
    for number in range(1, 4):
        here.outside.run_errand(name(guild), effect)
        page = (await town.until_heard(guild.id, m.WitnessAnswered, number))[-1]
        pages.append(page)
        if page.rows:
            last = page.rows[-1]
            effect = SweepMembers(number=9, after_us=last.joined_at_us, after=last.user, due_us=0)
    assert [(page.swept, page.done) for page in pages] == [(True, False), (True, False), (True, True)]
    assert {row.user for page in pages for row in page.rows} == {user(each) for each in guild.members}


async def test_an_errand_that_crashes_is_answered_too(
    here: Gateway, guild: Guild, town: Town, lines: Lines, monkeypatch: pytest.MonkeyPatch
):
    async def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Rest, "audit", crash)
    monkeypatch.setattr(Rest, "search_members", crash)
    here.outside.run_errand(name(guild), an_audit())
    here.outside.run_errand(name(guild), an_ask(1))
    [audit] = await town.until_heard(guild.id, m.AuditFailed)
    [witness] = await town.until_heard(guild.id, m.WitnessFailed)
    assert audit.reason == witness.reason == "malformed: the errand crashed"
    await lines.until("job.failed")


async def test_a_guild_that_is_away_is_answered_without_asking(gateway: Gateway, sandbox: Sandbox, town: Town):
    gateway.outside.run_errand(GuildId("5"), an_ask(1))
    [failed] = await town.until_heard(5, m.WitnessFailed)
    assert failed.reason == "malformed: the guild is away"
    assert sandbox.count("search") == 0


async def test_a_second_witness_that_is_switched_off_is_not_asked_but_answers(
    make_gateway: MakeGateway, guild: Guild, sandbox: Sandbox, town: Town, lines: Lines
):
    gateway = make_gateway(witness=False)
    async with running(gateway):
        await town.until_heard(guild.id, m.GuildCameUp)
        gateway.outside.run_errand(name(guild), an_ask(1))
        gateway.outside.run_errand(name(guild), A_SWEEP)
        failed = await town.until_heard(guild.id, m.WitnessFailed, 2)
        gateway.outside.run_errand(name(guild), an_audit())
        await town.until_heard(guild.id, m.AuditArrived)
    assert {(each.reason, each.again_s) for each in failed} == {("switched_off", 86_400.0)}
    assert sandbox.count("search") == 0
    assert lines.named("witness.failed") == []
    assert gateway.status().errands[ErrandOutcome.WITNESS_FAILED] == 0


async def test_a_gateway_that_stops_takes_no_more_errands(here: Gateway, guild: Guild, sandbox: Sandbox):
    here.outside.stop()
    here.outside.run_errand(name(guild), an_audit())
    assert sandbox.count("audit") == 0
