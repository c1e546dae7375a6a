"""A new guild is told once, in its system channel, that it is counted from now and what is missing."""

from actors.gateway.runner import Gateway
from actors.gateway.welcome import greeting
from ledger import messages as m
from ledger.decide import decide
from ledger.effects import Welcome
from ledger.evolve import evolve
from ledger.ids import GuildId, SessionId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.records import Draft, GuildAdopted, InternalCause, Record
from ledger.state import GuildState
from sandbox import Sandbox
from sandbox.models import Guild
from tests.actors.gateway.town import Lines, Town

SINCE_US = 1_700_000_000_000_000
NEW = Welcome(counting_since_us=SINCE_US)


def name(guild: Guild) -> GuildId:
    return GuildId(str(guild.id))


async def test_a_new_guild_gets_one_message_that_mentions_nobody(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, lines: Lines
):
    await town.until_heard(guild.id, m.GuildCameUp)
    gateway.outside.welcome(name(guild), NEW)
    line = await lines.until("guild.adopted")
    await sandbox.until(lambda: sandbox.count("messages") == 1)
    assert (line["missing"], line["counting_since_ms"]) == ([], SINCE_US // 1_000)
    assert [seen.path for seen in sandbox.requests if seen.kind == "messages"] == [
        f"/api/v10/channels/{guild.channel.id}/messages"
    ]
    assert [message["content"] for message in sandbox.world.messages] == [greeting(SINCE_US, (), ())]
    assert lines.named("welcome.failed") == []


async def test_a_guild_where_the_bot_lacks_permissions_is_told_which(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, lines: Lines
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.world.set_permissions(guild, manage_guild=False, manage_channels=False)
    await town.until_heard(guild.id, m.NotePermissions)
    gateway.outside.welcome(name(guild), NEW)
    line = await lines.until("guild.adopted")
    assert line["missing"] == ["Manage Server", "Manage Channels"]


async def test_a_message_that_discord_refuses_is_told_and_not_tried_again(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, lines: Lines
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.faults.fail("messages", 403)
    gateway.outside.welcome(name(guild), NEW)
    assert (await lines.until("welcome.failed"))["reason"] == "forbidden"
    assert sandbox.count("messages") == 1


async def test_a_guild_that_is_gone_is_not_greeted(gateway: Gateway, sandbox: Sandbox, lines: Lines):
    gateway.outside.welcome(GuildId("1"), NEW)
    await gateway._jobs.stop()
    assert (sandbox.count("messages"), lines.named("guild.adopted")) == (0, [])


def test_the_message_names_what_is_missing_and_how_to_begin():
    text = greeting(SINCE_US, ("Manage Server", "Manage Channels"), ())
    assert "I count from now, <t:1700000000:f>" in text
    assert "I lack Manage Server and Manage Channels" in text
    assert "/setup_staff_invite" in text
    assert "lack" not in greeting(SINCE_US, (), ())
    assert len(text) <= 2_000


def test_what_only_makes_invites_is_told_as_such():
    text = greeting(SINCE_US, (), ("Create Invite",))
    assert "I lack" not in text
    assert "Without Create Invite I cannot make invites" in text


def test_a_guild_is_greeted_when_it_is_adopted_and_never_again():
    guild, came = GuildId("7"), m.GuildCameUp(session=SessionId("s"), at_us=SINCE_US)
    presence = Presence(phase=Phase.REHYDRATING)
    first = decide(GuildState(guild=guild), presence, came)
    assert first.effects[0] == NEW
    (draft,) = first.drafts
    assert isinstance(draft.event, GuildAdopted)
    adopted = evolve(GuildState(guild=guild), sealed(draft, guild))
    again = decide(adopted, presence, came)
    assert not any(isinstance(effect, Welcome) for effect in again.effects)


def sealed(draft: Draft, guild: GuildId) -> Record:
    return Record(
        gsn=1,
        guild=guild,
        seq=1,
        epoch=1,
        at_ms=0,
        cause=InternalCause(what="gateway"),
        key=draft.key,
        event=draft.event,
        last=1,
    )
