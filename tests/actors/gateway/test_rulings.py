"""/settings and /vip_role: what is shown, what is changed, and what is refused with its reason."""

import pytest

from actors.gateway.rulings import ELSEWHERE, MEANING
from ledger import messages as m
from ledger.answers import Answer, SettingsReport
from ledger.ids import RoleId
from ledger.owner import settled
from ledger.records import Settings
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.town import Town


@pytest.fixture
async def ready(town: Town, guild: Guild, gateway: object) -> Town:
    """The gateway is connected; the guild keeps its settings, as the ledger does."""
    del gateway
    await town.until_heard(guild.id, m.GuildCameUp)
    kept = [Settings()]

    def answer(message: m.Message) -> Answer:
        before = kept[0]
        if isinstance(message, m.ChangeSettings):
            kept[0] = settled(before, message)
            return SettingsReport(settings=kept[0], before=before)
        return SettingsReport(settings=before)

    town.answer = answer
    return town


def test_each_setting_has_its_meaning_or_a_command_of_its_own():
    assert MEANING.keys() | ELSEWHERE == set(Settings.__struct_fields__)


async def test_settings_are_shown_and_only_what_is_named_changes(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    text = (await sandbox.slash(guild, staff, "settings")).text
    assert all(f"`{field}`" in text for field in MEANING)
    assert ready.heard(guild.id, m.ChangeSettings) == []
    changed = await sandbox.slash(guild, staff, "settings", {"young_days": 0, "credit_self": True})
    (told,) = ready.heard(guild.id, m.ChangeSettings)
    assert set(told.fields) == {"young_days", "credit_self"}
    assert "7\u2069 → **\u20680" in changed.text
    assert "no → **yes**" in changed.text
    again = await sandbox.slash(guild, staff, "settings", {"young_days": 0})
    assert "nothing was changed" in again.text
    assert changed.ephemeral


async def test_a_role_makes_a_vip_until_it_does_not_any_more(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    role = sandbox.world.add_role(guild, "**金** @everyone")
    assert "No role makes a VIP" in (await sandbox.slash(guild, staff, "vip_role list")).text
    added = (await sandbox.slash(guild, staff, "vip_role add", {"role": role.id})).text
    assert f"<@&{role.id}>" in added
    assert "credited once for life" in added
    assert "Mind" not in added
    assert "already" in (await sandbox.slash(guild, staff, "vip_role add", {"role": role.id})).text
    assert f"<@&{role.id}>" in (await sandbox.slash(guild, staff, "vip_role list")).text
    removed = (await sandbox.slash(guild, staff, "vip_role remove", {"role": role.id})).text
    assert "nobody a VIP any more" in removed
    it = (RoleId(str(role.id)),)
    assert [(told.vips, told.no_vips) for told in ready.heard(guild.id, m.ChangeSettings)] == [(it, ()), ((), it)]


async def test_what_is_odd_about_a_role_is_told_when_it_is_set(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    everyone = (await sandbox.slash(guild, staff, "vip_role add", {"role": guild.everyone.id})).text
    assert "each join a VIP" in everyone
    assert ready.heard(guild.id, m.ChangeSettings) == []
    managed = (await sandbox.slash(guild, staff, "vip_role add", {"role": guild.bot_role.id})).text
    assert "an app, a subscription or Discord itself" in managed
    high = sandbox.world.add_role(guild, "high")
    high.position = 9
    sandbox.world.change_role(guild, high)
    above = (await sandbox.slash(guild, staff, "vip_role add", {"role": high.id})).text
    assert "does not stand below my own highest one" in above


async def test_a_role_that_was_deleted_while_the_command_was_typed_is_told_and_not_taken(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    role = sandbox.world.add_role(guild, "gone already")
    typed = sandbox.interaction_payload(guild, staff, "vip_role add", {"role": role.id})
    sandbox.world.delete_role(guild, role)
    assert "I do not know this role: it was just deleted" in (await sandbox.interactions.ask(typed, 5.0)).text
    assert ready.heard(guild.id, m.ChangeSettings) == []


async def test_a_deleted_role_is_said_and_can_be_cleared(ready: Town, guild: Guild, staff: User, sandbox: Sandbox):
    role = sandbox.world.add_role(guild, "gone soon")
    await sandbox.slash(guild, staff, "vip_role add", {"role": role.id})
    sandbox.world.delete_role(guild, role)
    assert "this role is deleted" in (await sandbox.slash(guild, staff, "vip_role list")).text
    assert f"VIP roles: `{role.id}` (deleted)" in (await sandbox.slash(guild, staff, "settings")).text
    cleared = (await sandbox.slash(guild, staff, "vip_role remove")).text
    assert f"Removed, since deleted: `{role.id}`." in cleared
    assert "None of the VIP roles is deleted" in (await sandbox.slash(guild, staff, "vip_role remove")).text
    assert ready.heard(guild.id, m.ChangeSettings)[-1].no_vips == (RoleId(str(role.id)),)


async def test_whoever_may_not_manage_the_server_changes_nothing(
    ready: Town, guild: Guild, staff: User, sandbox: Sandbox
):
    del staff
    nobody = sandbox.world.users[sandbox.world.join(guild, via=None).user_id]
    for name in ("settings", "vip_role list", "vip_role remove"):
        assert "Manage Server" in (await sandbox.slash(guild, nobody, name)).text
    assert ready.heard(guild.id, m.ChangeSettings) == []
