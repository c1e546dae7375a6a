"""/log_channel as real interactions: what cannot be written in is refused, and every change is one of settings."""

from collections.abc import Callable

import pytest

from actors.gateway.join_words import DEFAULTS
from ledger import messages as m
from ledger.answers import Answer, SettingsReport
from ledger.ids import ChannelId
from ledger.owner import settled
from ledger.records import Settings
from sandbox import Sandbox
from sandbox.models import Channel, Guild, Permission, User
from tests.actors.gateway.town import Town

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
def channel(guild: Guild, sandbox: Sandbox) -> Channel:
    return sandbox.world.add_channel(guild, "log")


def answers(before: Settings) -> Callable[[m.Message], Answer]:
    """As a guild with these settings would."""

    def answer(message: m.Message) -> Answer:
        if not isinstance(message, m.ChangeSettings):
            return SettingsReport(settings=before)
        return SettingsReport(settings=settled(before, message), before=before)

    return answer


@pytest.fixture
async def ready(town: Town, guild: Guild) -> Town:
    await town.until_heard(guild.id, m.GuildCameUp)
    town.answer = answers(Settings(log_channel=ChannelId("1"), templates={"bot": "a bot"}))
    return town


async def test_a_channel_is_set_by_who_asked(
    ready: Town, guild: Guild, staff: User, channel: Channel, sandbox: Sandbox
):
    reply = await sandbox.slash(guild, staff, "log_channel set", {"channel": channel.id})
    [change] = ready.heard(guild.id, m.ChangeSettings)
    assert (change.settings.log_channel, change.fields, change.by) == (
        str(channel.id),
        ("log_channel",),
        str(staff.id),
    )
    assert reply.text == f"From now on I say in <#{channel.id}> who joined. Earlier joins are not announced."


@pytest.mark.parametrize(
    ("deny", "words"),
    [
        (Permission.SEND_MESSAGES, "I lack Send Messages in"),
        (Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES, "I lack View Channel and Send Messages in"),
    ],
)
async def test_a_channel_that_is_closed_to_the_bot_is_refused_with_what_is_missing(  # noqa: PLR0917 -- fixtures
    deny: Permission, words: str, ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    shut = sandbox.world.add_channel(guild, "shut")
    sandbox.world.set_overwrite(guild, shut, sandbox.world.bot, deny=deny)
    sandbox.world.set_permissions(guild, manage_channels=False)  # whose news comes behind the others
    await ready.until_heard(guild.id, m.NotePermissions)
    reply = await sandbox.slash(guild, staff, "log_channel set", {"channel": shut.id})
    assert words in reply.text
    assert ready.heard(guild.id, m.ChangeSettings) == []


async def test_it_is_switched_off(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    reply = await sandbox.slash(guild, staff, "log_channel off")
    [change] = ready.heard(guild.id, m.ChangeSettings)
    assert (change.settings.log_channel, change.fields) == (None, ("log_channel",))
    assert "no longer announced" in reply.text


async def test_what_is_so_already_is_said(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    ready.answer = answers(Settings())
    assert "It is so already" in (await sandbox.slash(guild, staff, "log_channel off")).text


@pytest.mark.parametrize(
    ("kind", "text", "words"), [("known", "欢迎 {member} 🎉", "欢迎 {member} 🎉"), ("bot", "", DEFAULTS["bot"])]
)
async def test_a_template_is_set_beside_the_others_or_taken_back(  # noqa: PLR0917 -- fixtures
    kind: str,
    text: str,
    words: str,
    ready: Town,
    guild: Guild,
    staff: User,
    sandbox: Sandbox,
):
    reply = await sandbox.slash(guild, staff, "log_channel template", {"kind": kind, "text": text})
    [change] = ready.heard(guild.id, m.ChangeSettings)
    assert (change.templates, change.fields) == ({kind: text}, ())
    assert words in reply.text


async def test_a_template_with_an_unknown_placeholder_is_refused(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    wish = {"kind": "known", "text": "{everyone}"}
    reply = await sandbox.slash(guild, staff, "log_channel template", wish)
    assert "I do not know the placeholder {everyone}" in reply.text
    assert ready.heard(guild.id, m.ChangeSettings) == []
