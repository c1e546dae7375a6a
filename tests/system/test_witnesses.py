"""The whole bot with the audit log and the second witness, over real sockets: what each proves, and what is said
where it is missing, lies or breaks.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.cli.history import JoinLine
from actors.cli.scoreboard import exported, score, truth_of
from ledger.records import Status
from sandbox import Bend, Invite, Join
from sandbox.models import Guild, Permission
from tests.system.conftest import Stage, staged

SKEW_S = 0.25
"""Later than any clock may be off, for a bot that is hurried: who comes then came after the last sample."""
JOIN_EVERY_S = 0.1
"""60 a minute, ten times as fast as everything else that is hurried here."""
BURST = 36
CODES = 6


class Hurried(Stage):
    """A stage whose bot does not wait as long as it should, and hears the second witness."""

    module = "tests.system.hurried"
    witness = "on"

    async def until_all(self, status: Status, *joins: Join) -> list[JoinLine]:
        """Waits until each of them has that verdict."""

        def done() -> bool:
            return all((line := self.told(join)) and line.status is status for join in joins)

        await self.bot.until(done, f"verdicts: {status}")
        return [line for join in joins if (line := self.told(join)) is not None]

    async def start(self) -> None:
        """Starts the bot, and waits until nobody who joins can be in its first sample any more."""
        await self.bot.start(guilds=1)
        await asyncio.sleep(SKEW_S)

    async def debug(self) -> str:
        return (await self.sandbox.slash(self.guild, self.staff, "debug_invites", timeout_s=20)).text

    def failures(self) -> int:
        return self.said().count('"witness.failed"')


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Hurried]:
    async with staged(Hurried, tmp_path) as stage:
        yield stage


async def test_a_channel_that_is_deleted_behind_the_sample_proves_no_use(stage: Hurried):
    """A one-use invite goes with its channel while somebody joins by none, and CHANNEL_DELETE comes late."""
    without_witness(stage)
    harbour = stage.world.add_channel(stage.guild, "harbour")
    invite = stage.world.add_invite(stage.guild, stage.staff, max_uses=1, channel=harbour)
    await stage.start()
    first = stage.sandbox.faults.hang("invites")
    join = stage.world.join(stage.guild)
    await first.arrived()
    stage.world.feed.hold()
    stage.world.delete_channel(stage.guild, harbour)
    fetched = stage.sandbox.count("invites")
    first.open()
    await stage.bot.until(lambda: stage.sandbox.count("invites") > fetched, "another sample")
    stage.world.feed.release()
    [line] = await stage.until_all(Status.CANDIDATES, join)
    assert {*line.candidates} == {invite.code, "NI"}
    assert '"status":"certain"' not in stage.said()


def without_witness(stage: Hurried) -> None:
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS="off")


async def test_an_invite_that_was_used_up_is_certain_once_the_audit_log_was_read(stage: Hurried):
    without_witness(stage)
    once = stage.world.add_invite(stage.guild, stage.staff, max_uses=1)
    await stage.start()
    join = stage.world.join(stage.guild, via=once.code)
    (line,) = await stage.worked_out(join)
    assert (line.status, line.code) == (Status.LIKELY, once.code)
    (line,) = await stage.until_all(Status.CERTAIN, join)
    assert (line.code, line.credited) == (once.code, str(stage.staff.id))


async def test_an_invite_that_a_person_deleted_proves_nothing(stage: Hurried):
    without_witness(stage)
    once = stage.world.add_invite(stage.guild, stage.staff, max_uses=1)
    await stage.start()
    stage.world.delete_invite(stage.guild, once.code, stage.staff)
    join = stage.world.join(stage.guild)
    (line,) = await stage.worked_out(join)
    later = stage.world.join(stage.guild, via=stage.world.add_invite(stage.guild, stage.staff, max_uses=1).code)
    await stage.until_all(Status.CERTAIN, later)  # the log was read, of all before
    last = stage.told(join)
    assert line.status is not Status.CERTAIN
    assert last is not None
    assert last.status is not Status.CERTAIN
    assert last.credited is None


async def test_an_invite_for_one_person_proves_their_join_also_where_the_bot_is_not_told_of_invites(stage: Hurried):
    without_witness(stage)
    guild = stage.guild
    stage.world.set_overwrite(guild, guild.channel, guild.bot_role, deny=Permission.MANAGE_CHANNELS)
    await stage.start()
    friend = stage.world.add_user()
    await stage.sandbox.slash(guild, stage.staff, "invite for", {"user": friend}, timeout_s=20)
    code = next(each.code for each in guild.invites if each.targets)
    join = stage.world.join(guild, friend, via=code)
    (line,) = await stage.until_all(Status.CERTAIN, join)
    assert (line.code, line.credited) == (code, str(stage.staff.id))


async def test_without_view_audit_log_a_used_up_invite_stays_likely_and_that_is_said(stage: Hurried):
    without_witness(stage)
    stage.world.set_permissions(stage.guild, view_audit_log=False)
    once = stage.world.add_invite(stage.guild, stage.staff, max_uses=1)
    await stage.start()
    join = stage.world.join(stage.guild, via=once.code)
    await stage.until_all(Status.LIKELY, join)
    await stage.bot.line("audit.failed")
    told = await stage.debug()
    assert "**Audit log**: not read, because I need the permission View Audit Log" in told
    assert "**Without View Audit Log** the last uses of limited invites stay likely" in told
    stage.world.set_permissions(stage.guild, view_audit_log=True)
    await stage.until_all(Status.CERTAIN, join)  # by itself


async def a_burst(stage: Hurried) -> tuple[Join, Join]:
    """Two joins at once over the codes of two people: the counters cannot tell who came by which."""
    other = stage.world.add_invite(stage.guild, stage.world.add_staff(stage.guild))
    await stage.start()
    stage.world.feed.hold()
    joins = tuple(stage.world.join(stage.guild, via=code) for code in (stage.invite.code, other.code))
    stage.world.feed.release()
    return joins[0], joins[1]


async def test_a_burst_over_two_codes_is_reported_by_the_second_witness(stage: Hurried):
    gate = stage.sandbox.faults.hang("search")
    joins = await a_burst(stage)
    assert {line.status for line in await stage.worked_out(*joins)} == {Status.CANDIDATES}
    gate.open()
    lines = await stage.until_all(Status.REPORTED, *joins)
    assert [line.code for line in lines] == [str(join.via) for join in joins]
    assert "member search): no answer" not in await stage.debug()


async def test_after_sigkill_the_next_life_asks_for_what_the_last_one_did_not_hear(stage: Hurried):
    gate = stage.sandbox.faults.hang("search")
    joins = await a_burst(stage)
    assert {line.status for line in await stage.worked_out(*joins)} == {Status.CANDIDATES}
    await gate.arrived()
    await stage.bot.kill()
    gate.open()
    await stage.bot.start(guilds=1)
    lines = await stage.until_all(Status.REPORTED, *joins)
    assert [line.code for line in lines] == [str(join.via) for join in joins]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("off", "Discord does not offer it here"),
        ("forbidden", "Discord does not let me ask it"),
        ("nonsense", "Discord sent an answer I cannot read"),
        ("elsewhere", "Discord sent an answer I cannot read"),
        ("not_ready", "Discord is still listing this server's members"),
    ],
)
async def test_without_an_answer_joins_stay_open_the_breaker_opens_and_it_is_said(
    stage: Hurried, trouble: str, words: str
):
    stage.world.remove_bot(stage.world.add_guild("Elsewhere"))
    faults = stage.sandbox.faults
    match trouble:
        case "off":
            faults.search_off()
        case "forbidden":
            faults.fail("search", 403, times=None)
        case "nonsense":
            faults.garble("search", b"[]", times=None)
        case "elsewhere":
            faults.bend_search(Bend.ELSEWHERE, times=None)
        case _:
            faults.index_not_ready(retry_after_s=0.05, times=None)
    joins = await a_burst(stage)
    tries = 14 if trouble == "not_ready" else 6  # of the search and the sweep; then the breakers are open
    await stage.bot.until(lambda: stage.failures() >= tries, "failures")
    told = await stage.debug()
    assert f"2 joins to ask about; no answer, because {words}" in told
    assert {line.status for line in await stage.worked_out(*joins)} == {Status.CANDIDATES}
    later = stage.world.join(stage.guild, via=stage.invite.code)
    assert [line.status for line in await stage.worked_out(later)] == [Status.CERTAIN]
    assert (stage.sandbox.count("search"), stage.failures()) == (tries, tries)
    assert '"job.failed"' not in stage.said()


async def burst_by_the_minute(stage: Hurried) -> list[Join]:
    """Joins over six codes of six people, one of which is used up on the way and one deleted."""
    guild: Guild = stage.guild
    staff = [stage.world.add_staff(guild) for _ in range(CODES)]
    invites: list[Invite] = [
        stage.world.add_invite(guild, each, max_uses=4 if number == 0 else 0) for number, each in enumerate(staff)
    ]
    await stage.start()
    joins = list[Join]()
    for number in range(BURST):
        live = [each.code for each in invites if each.gone_at_us is None]
        joins.append(stage.world.join(guild, via=live[number * 5 % len(live)] if number % 9 else None))
        if number == BURST // 2:
            stage.world.delete_invite(guild, invites[1].code, staff[1])
        await asyncio.sleep(JOIN_EVERY_S)  # people come when they come; nothing is waited for by it
    return joins


@pytest.mark.parametrize("audit", [True, False], ids=["audit", "no audit"])
@pytest.mark.parametrize("witness", ["on", "off"])
async def test_sixty_joins_a_minute_over_six_codes_are_never_named_wrongly(
    stage: Hurried, witness: str, *, audit: bool
):
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS=witness)
    stage.world.set_permissions(stage.guild, view_audit_log=audit)
    joins = await burst_by_the_minute(stage)
    lines = await stage.worked_out(*joins)
    if witness == "on":
        by_code = [join for join in joins if str(join.via) != "NI"]

        def named() -> bool:
            return all((line := stage.told(join)) and line.code == str(join.via) for join in by_code)

        await stage.bot.until(named, "every join by a code named")
    result = score(truth_of(stage.world.truth), exported(stage.data), stage.bot.acknowledged, stage.data)
    assert result.is_clean(), str(result)
    assert len(lines) == BURST


async def test_who_added_a_bot_is_read_from_the_audit_log(stage: Hurried):
    without_witness(stage)
    await stage.start()
    join = stage.world.add_bot(stage.guild, stage.staff)

    def named() -> bool:
        line = stage.told(join)
        return line is not None and line.inviter == str(stage.staff.id)

    await stage.bot.until(named, "who added the bot")
    line = stage.told(join)
    assert line is not None
    assert (line.status, line.code, line.credited) == (Status.NON_INVITE, None, None)
