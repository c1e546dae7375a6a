"""The client over real sockets: what happens in a guild reaches its actor, once each, with its own number."""

import pytest

from actors.gateway.runner import Gateway
from ledger import messages as m
from ledger.ids import GuildId
from ledger.records import GatewayCause
from sandbox import Sandbox
from sandbox.models import Guild, InviteFlag
from tests.actors.gateway.town import Lines, Town

pytestmark = pytest.mark.usefixtures("gateway")


def number_of(message: m.RecordJoin | m.RecordLeave | m.NoteInviteBorn | m.NoteInviteDied) -> int:
    assert isinstance(message.cause, GatewayCause)
    return message.cause.number


async def test_a_join_arrives_with_its_microseconds_and_its_own_number(guild: Guild, sandbox: Sandbox, town: Town):
    [session] = sandbox.sessions
    joins, numbers = [], []
    for _ in range(5):
        joins.append(sandbox.world.join(guild))
        numbers.append(session.seq)
    heard = await town.until_heard(guild.id, m.RecordJoin, 5)
    assert [each.joined_at_us for each in heard] == [each.joined_at_us for each in joins]
    assert [number_of(each) for each in heard] == numbers
    assert {each.session for each in heard} == {session.id}
    assert sorted(each.arrived_us for each in heard) == [each.arrived_us for each in heard]


async def test_a_join_arrives_although_the_library_has_cached_the_member(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    """A chunk fills the library's cache whatever its flags say; its own parser then drops the join."""
    [user] = sandbox.world.settle(guild, 1)
    sandbox.world.set_roles(guild, user, [])
    await town.until_heard(guild.id, m.NoteMember)
    client = gateway._client()
    assert client is not None
    library_guild = client.get_guild(guild.id)
    assert library_guild is not None
    await library_guild.chunk()
    assert library_guild.get_member(user.id) is not None
    sandbox.world.repeat_join(guild, user)
    [join] = await town.until_heard(guild.id, m.RecordJoin)
    assert join.user == str(user.id)


async def test_updates_leaves_and_invites_arrive_in_their_lanes(guild: Guild, sandbox: Sandbox, town: Town):
    world = sandbox.world
    invite = world.add_invite(guild, guild.owner, max_uses=1, max_age_s=3600)
    join = world.join(guild, via=invite.code)
    world.set_roles(guild, world.users[join.user_id], [guild.staff_role])
    world.leave(guild, world.users[join.user_id])
    [leave] = await town.until_heard(guild.id, m.RecordLeave)
    [born], [died] = town.heard(guild.id, m.NoteInviteBorn), await town.until_heard(guild.id, m.NoteInviteDied)
    [update] = town.heard(guild.id, m.NoteMember)
    assert (born.invite.code, born.invite.max_uses, born.invite.inviter) == (invite.code, 1, str(guild.owner.id))
    assert born.invite.created_at_us == invite.created_at_us
    assert born.invite.expires_at_us == invite.created_at_us + 3_600_000_000
    assert died.code == invite.code
    assert update.join.roles == (str(guild.staff_role.id),)
    lanes = [each.cause.lane for each in (born, died, leave)]
    assert lanes == ["rest", "rest", "members"]


async def test_a_guest_invite_is_not_told(guild: Guild, sandbox: Sandbox, town: Town):
    sandbox.world.add_invite(guild, flags=InviteFlag.GUEST)
    plain = sandbox.world.add_invite(guild)
    [born] = await town.until_heard(guild.id, m.NoteInviteBorn)
    assert born.invite.code == plain.code


async def test_a_channel_that_invites_lead_to_is_deleted(guild: Guild, sandbox: Sandbox, town: Town):
    channel = sandbox.world.add_channel(guild, "harbour")
    sandbox.world.add_invite(guild, channel=channel)
    sandbox.world.delete_channel(guild, channel)
    [born] = await town.until_heard(guild.id, m.NoteInviteBorn)
    [died] = await town.until_heard(guild.id, m.NoteChannelDied)
    assert died.channel == born.invite.channel == str(channel.id)


async def test_events_find_their_guild(guild: Guild, sandbox: Sandbox, town: Town):
    other = sandbox.world.add_guild("The Other")
    await town.until_heard(other.id, m.GuildCameUp)
    there, here = sandbox.world.join(other), sandbox.world.join(guild)
    assert [each.user for each in await town.until_heard(guild.id, m.RecordJoin)] == [str(here.user_id)]
    assert [each.user for each in await town.until_heard(other.id, m.RecordJoin)] == [str(there.user_id)]


async def test_what_happened_while_the_wire_was_cut_is_replayed_in_the_same_session(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, lines: Lines
):
    [session] = sandbox.sessions
    first, second, third = (sandbox.world.add_invite(guild, guild.owner) for _ in range(3))
    sandbox.world.join(guild)
    sandbox.world.delete_invite(guild, first.code)
    await town.until_heard(guild.id, m.RecordJoin)
    sandbox.gateway.drop_all()
    await sandbox.until(lambda: not session.connected)
    sandbox.world.join(guild)
    sandbox.world.delete_invite(guild, second.code)
    heard = await town.until_heard(guild.id, m.RecordJoin, 2)
    assert {each.session for each in heard} == {session.id}
    assert number_of(heard[0]) < number_of(heard[1])
    assert len(town.heard(guild.id, m.GuildCameUp)) == 1
    await lines.until("gateway.resumed")
    sandbox.world.delete_invite(guild, third.code)
    deaths = await town.until_heard(guild.id, m.NoteInviteDied, 3)
    assert [death.replayed for death in deaths] == [False, True, False]
    assert [shard.session for shard in gateway.status().shards] == [session.id]


async def test_a_lost_session_is_a_new_one_to_the_guild(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, monkeypatch: pytest.MonkeyPatch
):
    async def at_once(*_: object, **__: object) -> None:
        """The library waits for 5 s before it identifies again."""

    client = gateway._client()
    assert client is not None
    monkeypatch.setattr(client, "before_identify_hook", at_once)
    [first] = await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.gateway.invalidate()
    second = (await town.until_heard(guild.id, m.GuildCameUp, 2))[1]
    assert second.session != first.session
    assert first.lost_us == 0
    assert first.at_us < second.lost_us < second.at_us, "when the socket was last heard of"
    sandbox.world.join(guild)
    assert (await town.until_heard(guild.id, m.RecordJoin))[0].session == second.session


async def test_who_was_removed_while_away_is_told_by_the_next_ready(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town, monkeypatch: pytest.MonkeyPatch
):
    async def at_once(*_: object, **__: object) -> None: ...

    client = gateway._client()
    assert client is not None
    monkeypatch.setattr(client, "before_identify_hook", at_once)
    await town.until_heard(guild.id, m.GuildCameUp)
    guild.has_bot = False  # nothing is told of it
    sandbox.gateway.invalidate()
    await town.until_heard(guild.id, m.RemoveGuild)
    assert town.roster.greeting(GuildId(str(guild.id))) is None


async def test_outages_and_removals_are_told_apart(guild: Guild, sandbox: Sandbox, town: Town):
    world = sandbox.world
    world.make_unavailable(guild)
    await town.until_heard(guild.id, m.GuildWentAway)
    world.make_available(guild)
    await town.until_heard(guild.id, m.GuildCameUp, 2)
    world.remove_bot(guild)
    await town.until_heard(guild.id, m.RemoveGuild)
    world.invite_bot(guild)
    await town.until_heard(guild.id, m.GuildCameUp, 3)


async def test_a_vanity_url_that_comes_and_goes_is_told_and_other_changes_are_not(
    guild: Guild, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.world.set_vanity(guild, "harbour")
    sandbox.world.set_vanity(guild, "quay")
    sandbox.world.set_vanity(guild, None)
    greetings = await town.until_heard(guild.id, m.GuildCameUp, 3)
    assert [each.vanity for each in greetings] == [False, True, False]


async def test_only_a_change_of_the_needed_permissions_is_told(guild: Guild, sandbox: Sandbox, town: Town):
    await town.until_heard(guild.id, m.GuildCameUp)
    bot = sandbox.world.bot
    sandbox.world.set_permissions(guild, manage_guild=True)  # as before
    sandbox.world.set_permissions(guild, manage_guild=False)
    await town.until_heard(guild.id, m.NotePermissions, 1)
    sandbox.world.set_roles(guild, bot, [])
    await town.until_heard(guild.id, m.NotePermissions, 2)
    sandbox.world.set_roles(guild, bot, [guild.bot_role])
    await town.until_heard(guild.id, m.NotePermissions, 3)
    sandbox.world.join(guild)
    await town.until_heard(guild.id, m.RecordJoin)
    assert len(town.heard(guild.id, m.NotePermissions)) == 3


async def test_what_is_missing_is_said_once_until_it_changes_and_that_it_is_back(
    guild: Guild, sandbox: Sandbox, town: Town, lines: Lines
):
    await town.until_heard(guild.id, m.GuildCameUp)
    sandbox.world.set_permissions(guild, manage_guild=False)
    sandbox.world.set_permissions(guild, manage_guild=False)  # as before
    sandbox.world.set_permissions(guild, view_audit_log=False)
    sandbox.world.set_permissions(guild, manage_channels=False)
    sandbox.world.set_permissions(guild, manage_guild=True, manage_channels=True)
    sandbox.world.set_permissions(guild, view_audit_log=True)
    assert (await lines.until("permission.restored"))["guild"] == str(guild.id)
    told = [line["permissions"] for line in lines.named("permission.missing")]
    assert told == [
        ["Manage Server"],
        ["Manage Server", "View Audit Log"],
        ["Manage Server", "Manage Channels", "View Audit Log"],
        ["View Audit Log"],
    ]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("GUILD_MEMBER_ADD", {"joined_at": "yesterday"}),
        ("GUILD_MEMBER_ADD", {"user": None}),
        ("GUILD_MEMBER_REMOVE", {"user": {}}),
        ("INVITE_CREATE", {"created_at": 5}),
        ("GUILD_MEMBER_UPDATE", {"roles": "all"}),
    ],
)
async def test_a_payload_that_does_not_decode_goes_to_quarantine_and_the_socket_lives(  # noqa: PLR0917 -- fixtures
    name: str,
    change: dict[str, object],
    guild: Guild,
    sandbox: Sandbox,
    town: Town,
    quarantine: dict[str, bytes],
):
    good: dict[str, object] = {"guild_id": str(guild.id), "user": {"id": "77"}, "joined_at": "2026-08-01T00:00:00Z"}
    sandbox.world.inject(name, good | {"code": "abc"} | change, guild)
    [note] = await town.until_heard(guild.id, m.NoteUnreadable)
    assert note.name == name
    assert set(quarantine) == {note.digest}
    assert isinstance(note.cause, GatewayCause)
    assert note.cause.lane == "members"
    sandbox.world.join(guild)
    await town.until_heard(guild.id, m.RecordJoin)
    assert len(sandbox.sessions) == 1


async def test_what_the_librarys_own_parser_cannot_take_does_not_end_the_connection(
    guild: Guild, sandbox: Sandbox, town: Town, lines: Lines
):
    sandbox.world.inject("GUILD_ROLE_UPDATE", {"guild_id": "x"}, guild)
    sandbox.world.inject("THREAD_CREATE", None, guild)
    sandbox.world.join(guild)
    await town.until_heard(guild.id, m.RecordJoin)
    assert [line["name"] for line in lines.named("dispatch.failed")] == [
        "GUILD_ROLE_UPDATE",
        "GUILD_ROLE_UPDATE",
        "THREAD_CREATE",
    ]


async def test_after_the_intake_is_stopped_nothing_is_taken(
    guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town
):
    sandbox.world.join(guild)
    await town.until_heard(guild.id, m.RecordJoin)
    gateway.stop_intake()
    sandbox.world.join(guild)
    reply = sandbox.send_interaction(sandbox.interaction_payload(guild, guild.owner, "debug_invites"))
    await sandbox.until(lambda: reply.done)  # the socket still works, and came to it after the join
    assert len(town.heard(guild.id, m.RecordJoin)) == 1


async def test_the_status_says_whether_we_hear_discord(guild: Guild, gateway: Gateway, sandbox: Sandbox, town: Town):
    await town.until_heard(guild.id, m.GuildCameUp)
    status = gateway.status()
    [shard] = status.shards
    assert (shard.session, status.connected, status.awaited) == (sandbox.sessions[0].id, True, 0)


async def test_what_the_audit_log_says_of_an_invite_is_told(
    gateway: Gateway, guild: Guild, sandbox: Sandbox, town: Town
):
    await town.until_heard(guild.id, m.GuildCameUp)
    mod = sandbox.world.add_staff(guild)
    invite = sandbox.world.add_invite(guild, mod)
    sandbox.world.delete_invite(guild, invite.code, mod)
    made, deleted = await town.until_heard(guild.id, m.NoteLogged, 2)
    assert [each.code for each in made.creations] == [invite.code]
    [deletion] = deleted.deletions
    assert (deletion.code, deletion.by) == (invite.code, str(mod.id))
    assert gateway.status().dispatches.dispatches["GUILD_AUDIT_LOG_ENTRY_CREATE"] >= 1
