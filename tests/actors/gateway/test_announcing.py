"""Join messages over real sockets: posted once, edited, and answered whatever Discord says."""

import asyncio

import msgspec
import pytest
from structlog.typing import FilteringBoundLogger

from actors.clock import SystemClock
from actors.gateway.announcing import Announcer, nonce_of
from actors.gateway.join_words import join_message
from actors.gateway.payloads import Sent
from actors.gateway.rest import Rest
from actors.gateway.runner import Gateway
from actors.traffic import ErrandOutcome
from ledger import messages as m
from ledger.effects import AnnounceJoin
from ledger.ids import ChannelId, GuildId, UserId
from ledger.records import Status
from ledger.state import Period
from sandbox import Sandbox
from sandbox.models import Channel, Guild, Permission
from tests.actors.gateway.town import Lines, Town

MEMBER = UserId("41771983423143937")
PERIOD = Period(5_000_000, 5_000_000, status=Status.UNKNOWN, reason="no_use_seen", verdicts=1)


@pytest.fixture
def channel(sandbox: Sandbox, guild: Guild) -> Channel:
    return sandbox.world.add_channel(guild, "log")


@pytest.fixture
async def here(gateway: Gateway, guild: Guild, town: Town) -> Gateway:
    await town.until_heard(guild.id, m.GuildCameUp)
    return gateway


def name(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


def a_join(channel: Channel, message: str = "", period: Period = PERIOD) -> AnnounceJoin:
    return AnnounceJoin(
        number=7,
        user=MEMBER,
        period=period,
        channel=ChannelId(str(channel.id)),
        message=message,
        template={},
        young_days=7,
        total=0,
        due_us=0,
    )


def shown(sandbox: Sandbox) -> list[object]:
    return [message["content"] for message in sandbox.world.messages]


async def test_a_join_is_posted_and_told_with_its_message(
    here: Gateway, guild: Guild, channel: Channel, sandbox: Sandbox, town: Town
):
    effect = a_join(channel)
    here.outside.run_errand(name(guild), effect)
    [told] = await town.until_heard(guild.id, m.Announced)
    [message] = sandbox.world.messages
    assert (told.number, told.user, told.opened_us, told.verdict) == (7, MEMBER, 5_000_000, 1)
    assert (told.channel, told.message) == (str(channel.id), message["id"])
    assert (message["content"], message["nonce"]) == (join_message(effect), nonce_of(name(guild), effect))
    assert here.status().errands[ErrandOutcome.JOIN_ANNOUNCED] == 1


def test_the_nonce_follows_from_the_join_alone():
    channel = Channel(id=5, name="log", position=0)
    later = msgspec.structs.replace(PERIOD, status=Status.LIKELY, verdicts=2)
    other = msgspec.structs.replace(PERIOD, opened_us=6_000_000)
    nonces = [nonce_of(GuildId("1"), a_join(channel, period=period)) for period in (PERIOD, later, other)]
    assert nonces[0] == nonces[1] != nonces[2]
    assert nonces[0] != nonce_of(GuildId("2"), a_join(channel))
    assert {len(each) for each in nonces} == {24}


async def test_whoever_posts_again_gets_the_message_that_stands_there_and_corrects_it(
    here: Gateway, guild: Guild, channel: Channel, sandbox: Sandbox, town: Town
):
    here.outside.run_errand(name(guild), a_join(channel))
    later = a_join(channel, period=msgspec.structs.replace(PERIOD, reason="no_baseline", verdicts=2))
    [first] = await town.until_heard(guild.id, m.Announced)
    here.outside.run_errand(name(guild), later)
    [_, second] = await town.until_heard(guild.id, m.Announced, 2)
    assert (second.message, second.verdict) == (first.message, 2)
    assert shown(sandbox) == [join_message(later)]


async def test_a_later_verdict_edits_the_message(
    here: Gateway, guild: Guild, channel: Channel, sandbox: Sandbox, town: Town
):
    here.outside.run_errand(name(guild), a_join(channel))
    [first] = await town.until_heard(guild.id, m.Announced)
    later = a_join(channel, first.message, msgspec.structs.replace(PERIOD, reason="no_baseline", verdicts=2))
    here.outside.run_errand(name(guild), later)
    await town.until_heard(guild.id, m.Announced, 2)
    assert shown(sandbox) == [join_message(later)]
    assert (sandbox.count("messages"), sandbox.count("edit_message")) == (1, 1)


async def test_a_message_that_was_deleted_is_not_posted_again(  # noqa: PLR0917 -- fixtures
    here: Gateway, guild: Guild, channel: Channel, sandbox: Sandbox, town: Town, lines: Lines
):
    here.outside.run_errand(name(guild), a_join(channel))
    [first] = await town.until_heard(guild.id, m.Announced)
    sandbox.world.delete_message(sandbox.world.messages[0])
    here.outside.run_errand(name(guild), a_join(channel, first.message))
    [_, second] = await town.until_heard(guild.id, m.Announced, 2)
    assert (second.message, shown(sandbox)) == ("", [])
    assert (await lines.until("join.not_announced"))["reason"] == "status_404_10008"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("deleted", "status_404_10003"), ("hidden", "forbidden_50001"), ("silent", "forbidden_50013")],
)
async def test_a_channel_that_is_gone_or_closed_is_answered_for_good(  # noqa: PLR0917 -- fixtures
    trouble: str,
    said: str,
    here: Gateway,
    guild: Guild,
    channel: Channel,
    sandbox: Sandbox,
    town: Town,
    lines: Lines,
):
    world = sandbox.world
    match trouble:
        case "deleted":
            world.delete_channel(guild, channel)
        case "hidden":
            world.set_overwrite(guild, channel, world.bot, deny=Permission.VIEW_CHANNEL)
        case _:
            world.set_overwrite(guild, channel, world.bot, deny=Permission.SEND_MESSAGES)
    here.outside.run_errand(name(guild), a_join(channel))
    [told] = await town.until_heard(guild.id, m.Announced)
    line = await lines.until("join.not_announced")
    assert (told.message, line["reason"], line["channel"]) == ("", said, str(channel.id))
    assert here.status().errands[ErrandOutcome.JOIN_NOT_ANNOUNCED] == 1


@pytest.mark.parametrize(("status", "reason"), [(403, "forbidden"), (404, "status_404"), (503, "status_503")])
async def test_what_may_pass_is_a_failure_that_is_tried_again(  # noqa: PLR0917 -- fixtures
    status: int,
    reason: str,
    here: Gateway,
    guild: Guild,
    channel: Channel,
    sandbox: Sandbox,
    town: Town,
    lines: Lines,
):
    sandbox.faults.fail("messages", status, times=5)
    here.outside.run_errand(name(guild), a_join(channel))
    [failed] = await town.until_heard(guild.id, m.AnnouncingFailed)
    assert (failed.number, failed.reason) == (7, reason)
    assert (await lines.until("join.announcing_failed"))["reason"] == reason
    assert here.status().errands[ErrandOutcome.ANNOUNCING_FAILED] == 1


async def test_an_answer_that_is_no_message_is_a_failure(
    here: Gateway, guild: Guild, channel: Channel, sandbox: Sandbox, town: Town
):
    sandbox.faults.garble("messages", b"[]")
    here.outside.run_errand(name(guild), a_join(channel))
    [failed] = await town.until_heard(guild.id, m.AnnouncingFailed)
    assert failed.reason.startswith("malformed")


async def test_announcing_that_crashes_is_answered_too(
    here: Gateway, guild: Guild, channel: Channel, town: Town, monkeypatch: pytest.MonkeyPatch
):
    async def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Rest, "announce", crash)
    here.outside.run_errand(name(guild), a_join(channel))
    [failed] = await town.until_heard(guild.id, m.AnnouncingFailed)
    assert failed.reason == "malformed: the errand crashed"


class HeldRest:
    """Edits when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.done: list[str] = []
        self.may = asyncio.Event()

    async def edit(self, channel: ChannelId, message: str, text: str) -> Sent:
        del channel
        self.asked.append(text)
        await self.may.wait()
        self.done.append(text)
        return Sent(id=message, content=text)


async def test_what_a_life_has_under_way_lands_before_what_the_next_one_of_its_guild_says(log: FilteringBoundLogger):
    rest, channel = HeldRest(), Channel(id=5, name="log", position=0)
    announcer = Announcer(rest, SystemClock(), log)
    old, new = (
        a_join(channel, "9", period=msgspec.structs.replace(PERIOD, verdicts=number, status=status))
        for number, status in ((2, Status.UNKNOWN), (3, Status.NON_INVITE))
    )
    async with asyncio.TaskGroup() as group:
        for guild, effect in (("1", old), ("1", new), ("2", new)):
            group.create_task(announcer.announce(GuildId(guild), effect))
        for _ in range(5):
            await asyncio.sleep(0)
        assert rest.asked == [join_message(old), join_message(new)], "the second guild waits for nobody"
        rest.may.set()
    assert rest.done == [join_message(old), join_message(new), join_message(new)]
