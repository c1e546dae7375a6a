"""The whole bot and its log channel, over real sockets: a join is shown once over crashes, and corrected later."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.records import Status
from sandbox.models import Channel, Permission
from tests.system.conftest import staged
from tests.system.test_witnesses import Hurried

WAIT_S = 20.0


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Hurried]:
    async with staged(Hurried, tmp_path) as stage:
        yield stage


@pytest.fixture
def channel(stage: Hurried) -> Channel:
    return stage.world.add_channel(stage.guild, "log")


async def set_up(stage: Hurried, channel: Channel) -> str:
    return (
        await stage.sandbox.slash(
            stage.guild, stage.staff, "log_channel set", {"channel": channel.id}, timeout_s=WAIT_S
        )
    ).text


async def begin(stage: Hurried, channel: Channel) -> None:
    """Starts the bot, waits for its greeting, which is a message too, and sets the log channel."""
    await stage.start()
    await stage.sandbox.until(lambda: stage.sandbox.count("messages") == 1, timeout_s=WAIT_S)
    assert "From now on" in await set_up(stage, channel)


def shown(stage: Hurried, channel: Channel) -> list[str]:
    return [str(each["content"]) for each in stage.world.messages if each["channel_id"] == str(channel.id)]


async def until_shown(stage: Hurried, channel: Channel, *words: str) -> None:
    """Waits until these and no others are in the messages, one each."""

    def done() -> bool:
        texts = shown(stage, channel)
        return len(texts) == len(words) and all(any(word in text for text in texts) for word in words)

    await stage.sandbox.until(done, timeout_s=WAIT_S)


async def test_every_kind_of_join_is_announced_once(stage: Hurried, channel: Channel):
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS="off")
    await begin(stage, channel)
    first = stage.world.join(stage.guild, via=stage.invite.code)
    by = f"<@{stage.staff.id}>"
    await until_shown(stage, channel, f"joined with `{stage.invite.code}`; for {by} (1 join credited)")
    stage.world.join(stage.guild, via=stage.invite.code)
    await until_shown(stage, channel, f"<@{first.user_id}>", f"for {by} (2 joins credited)")
    stage.world.add_bot(stage.guild, stage.staff)
    await until_shown(stage, channel, "(1 join credited)", "(2 joins credited)", f"a bot, added by {by}")
    assert stage.sandbox.count("messages") == 4


async def test_a_campaigns_label_stands_beside_its_code_and_fills_its_placeholder(stage: Hurried, channel: Channel):
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS="off")
    await begin(stage, channel)
    typed = {"label": "夏 **sale** @everyone"}
    await stage.sandbox.slash(stage.guild, stage.staff, "invite create", typed, timeout_s=WAIT_S)
    made = stage.guild.invites[-1].code
    stage.world.join(stage.guild, via=made)
    await until_shown(stage, channel, f"joined with `{made}` (\u2068夏 \\*\\*sale\\*\\* \\@everyone\u2069); for")
    template = {"kind": "known", "text": "campaign {label}"}
    await stage.sandbox.slash(stage.guild, stage.staff, "log_channel template", template, timeout_s=WAIT_S)
    stage.world.join(stage.guild, via=made)
    await until_shown(stage, channel, "joined with", "campaign \u2068夏 \\*\\*sale\\*\\* \\@everyone\u2069")


async def test_killed_between_post_and_record_the_next_life_posts_no_second_message(stage: Hurried, channel: Channel):
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS="off")
    await begin(stage, channel)
    gate = stage.sandbox.faults.hang("messages", late=True)
    stage.world.join(stage.guild, via=stage.invite.code)
    await gate.arrived(WAIT_S)
    await stage.bot.kill()
    gate.open()
    assert len(shown(stage, channel)) == 1
    await stage.bot.start(guilds=1)
    await stage.sandbox.until(lambda: stage.sandbox.count("messages") == 3, timeout_s=WAIT_S)
    last = stage.world.join(stage.guild, via=stage.invite.code)  # the outbox goes on
    await until_shown(stage, channel, "(1 join credited)", f"<@{last.user_id}>")
    assert stage.sandbox.count("messages") == 4


async def test_a_superseding_verdict_edits_the_message(stage: Hurried, channel: Channel):
    stage.bot = stage.make_bot("bot.log")
    gate = stage.sandbox.faults.hang("search")
    await begin(stage, channel)
    other = stage.world.add_invite(stage.guild, stage.world.add_staff(stage.guild))
    stage.world.feed.hold()
    joins = [stage.world.join(stage.guild, via=code) for code in (stage.invite.code, other.code)]
    stage.world.feed.release()
    await stage.worked_out(*joins)
    await until_shown(stage, channel, *(f"<@{join.user_id}>: `" for join in joins))
    gate.open()
    await stage.until_all(Status.REPORTED, *joins)
    await until_shown(stage, channel, *(f"<@{join.user_id}>: Discord reports `{join.via}`" for join in joins))
    assert stage.sandbox.count("messages") == 3


@pytest.mark.parametrize("trouble", ["deleted", "closed"])
async def test_a_log_channel_that_is_gone_or_closed_is_not_tried_for_ever_and_that_is_said(
    trouble: str, stage: Hurried, channel: Channel
):
    stage.bot = stage.make_bot("bot.log", LEDGER_SECOND_WITNESS="off")
    await begin(stage, channel)
    if trouble == "deleted":
        stage.world.delete_channel(stage.guild, channel)
    else:
        stage.world.set_overwrite(stage.guild, channel, stage.world.bot, deny=Permission.SEND_MESSAGES)
    stage.world.join(stage.guild, via=stage.invite.code)
    await stage.bot.line("join.not_announced")
    assert f"**Log channel**: <#{channel.id}> is deleted or closed to me" in await stage.debug()
    other = stage.world.add_channel(stage.guild, "other")
    assert "From now on" in await set_up(stage, other)
    join = stage.world.join(stage.guild, via=stage.invite.code)
    await until_shown(stage, other, f"<@{join.user_id}>")
    assert stage.said().count('"join.not_announced"') == 1
    assert f"**Log channel**: <#{other.id}>" in await stage.debug()


async def test_a_channel_without_permission_is_refused_with_words(stage: Hurried, channel: Channel):
    stage.world.set_overwrite(stage.guild, channel, stage.world.bot, deny=Permission.SEND_MESSAGES)
    await stage.start()
    assert "I lack Send Messages in" in await set_up(stage, channel)
    stage.world.join(stage.guild, via=stage.invite.code)
    await stage.bot.line("verdict.reached")
    assert stage.sandbox.count("messages") == 1  # the greeting
