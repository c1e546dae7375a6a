"""The whole bot: a VIP is credited once, whenever the upgrade is noticed; what people decide holds."""

from actors.cli.scoreboard import vip_credits
from ledger.records import Status, VipChanged
from persistence.disk import RealDisk
from persistence.reading import read_log
from sandbox.models import User
from tests.system.conftest import Stage


def upgrades(stage: Stage) -> int:
    events = (frame.record.event for frame in read_log(RealDisk(), stage.data / "log"))
    return sum(isinstance(event, VipChanged) and event.has for event in events)


def member_of(stage: Stage) -> User:
    return stage.world.users[stage.world.join(stage.guild, via=stage.invite.code).user_id]


async def test_a_vip_is_credited_once_live_and_over_restarts_and_when_the_role_came_while_the_bot_was_away(
    stage: Stage,
):
    gold = stage.world.add_role(stage.guild, "Gold")
    await stage.bot.start(guilds=1)
    live, away = member_of(stage), member_of(stage)
    await stage.worked_out(*stage.world.truth)
    await stage.sandbox.slash(stage.guild, stage.staff, "vip_role add", {"role": gold.id})
    stage.world.give_role(stage.guild, live, gold)
    await stage.bot.until(lambda: upgrades(stage) == 1, "the upgrade that was told")
    await stage.bot.kill()
    stage.world.give_role(stage.guild, away, gold)
    await stage.bot.start(guilds=1)
    await stage.bot.until(lambda: upgrades(stage) == 2, "the upgrade of the absence")
    await stage.bot.stop()
    await stage.bot.start(guilds=1)
    await stage.bot.line("members.listed")  # and nobody in it is a new VIP
    staff = str(stage.staff.id)
    assert vip_credits(stage.data) == {(str(live.id), staff): 1, (str(away.id), staff): 1}


async def test_a_decision_moves_both_credits_and_is_told_as_the_last_word(stage: Stage):
    gold = stage.world.add_role(stage.guild, "Gold")
    other = stage.world.add_staff(stage.guild)
    await stage.bot.start(guilds=1)
    member = member_of(stage)
    (join,) = stage.world.truth
    await stage.worked_out(join)
    stage.world.give_role(stage.guild, member, gold)
    await stage.sandbox.slash(stage.guild, stage.staff, "vip_role add", {"role": gold.id})
    await stage.bot.until(lambda: upgrades(stage) == 1, "the holder of the role, from the member list")
    typed = {"member": member, "staff": other, "code": stage.invite.code, "reason": "she *asked* @everyone"}
    said = (await stage.sandbox.slash(stage.guild, stage.staff, "review decide", typed)).text
    assert f"Credit for the join: <@{stage.staff.id}> → <@{other.id}>" in said
    assert f"Credit for the VIP: <@{stage.staff.id}> → <@{other.id}>" in said
    line = stage.told(join)
    assert line is not None
    assert (line.status, line.credited) == (Status.MANUAL, str(other.id))
    assert vip_credits(stage.data) == {(str(member.id), str(other.id)): 1}
    why = (await stage.sandbox.slash(stage.guild, stage.staff, "why", {"member": member})).text
    assert "she \\*asked\\* \\@everyone" in why
    assert why.index("joined with") < why.index("decided by a person")
    assert "No case is open" in (await stage.sandbox.slash(stage.guild, stage.staff, "review list")).text
