"""The slash commands /invite for and /invite create; what was typed is checked, `made_invites` works."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, answer, deferred
from actors.gateway.asked import Person, asker_of, guild_of, id_of, interaction_of, place_of
from actors.gateway.invitation import Terms
from actors.gateway.made_invites import MadeInvites, MakeInvite
from ledger.ids import RoleId

Expiry: TypeAlias = Literal["never", "1 hour", "1 day", "7 days"]
EXPIRY_S: Final[Mapping[Expiry, int]] = {"never": 0, "1 hour": 3_600, "1 day": 86_400, "7 days": 604_800}
MAX_LABEL: Final = 100

BOT_ASKED: Final = "A bot cannot use an invite: it is added by its own link. Please name a person."
MEMBER_ASKED: Final = (
    "This person is a member here already, so the invite would never count a join. "
    "Please name somebody who is not, or use /invite create."
)
NO_STAFF: Final = (
    "Joins can be credited only to a person who is a member here, and not to a bot. Please name another."
)
UNKNOWN_ROLES: Final = (
    "I do not know this server's roles yet, so I cannot say whether I may give this one. "
    "Please try again in a moment."
)
NOT_GIVABLE: Final = (
    "Discord lets nobody give this role by hand: it belongs to an app, to boosts, or is everyone's. "
    "Please name another, or none."
)
ABOVE_ME: Final = (
    "I cannot give this role: it does not stand below my own highest one, or I lack Manage Roles. "
    "Please move my role above it in the server's settings, or name another."
)
ABOVE_YOU: Final = (
    "You may not hand out this role: that takes Manage Roles and a role of yours above it. "
    "Please name another, or ask somebody who may."
)


def install_invites(
    tree: app_commands.CommandTree[discord.Client], made: MadeInvites, log: FilteringBoundLogger
) -> None:
    """Puts both into the tree."""
    group = app_commands.Group(name="invite", description="Make an invite that is counted for a staff member")

    @group.command(name="for", description="An invite for one person: used once, within 7 days")
    @app_commands.describe(user="Who may use it", role="Given on joining", staff="Who is credited (you)")
    async def invite_for(
        interaction: Interaction,
        user: discord.User,
        role: discord.Role | None = None,
        staff: discord.User | None = None,
    ) -> None:
        refusal = _no_target(user) or _no_staff(staff) or (_no_role(interaction, role) if role else "")
        roles = (RoleId(str(role.id)),) if role else ()
        terms = Terms(max_uses=1, max_age_s=EXPIRY_S["7 days"], roles=roles, targets=(id_of(user),))
        if refusal:
            await answer(interaction, refusal, log)
        else:
            await deferred(interaction, lambda: made.make(_wish(interaction, staff, terms)), log)

    @group.command(description="An invite for everybody, with a label for a campaign")
    @app_commands.describe(
        label="What it is for", staff="Who is credited (you)", max_uses="Any number (0)", expires="Never"
    )
    async def create(
        interaction: Interaction,
        label: app_commands.Range[str, 0, MAX_LABEL] = "",
        staff: discord.User | None = None,
        max_uses: app_commands.Range[int, 0, 100] = 0,
        expires: Expiry = "never",
    ) -> None:
        refusal = _no_staff(staff)
        terms = Terms(max_uses=max_uses, max_age_s=EXPIRY_S[expires])
        if refusal:
            await answer(interaction, refusal, log)
        else:
            await deferred(interaction, lambda: made.make(_wish(interaction, staff, terms, label.strip())), log)

    tree.add_command(group)


def _no_target(user: Person) -> str:
    if user.bot:
        return BOT_ASKED
    return MEMBER_ASKED if isinstance(user, discord.Member) else ""


def _no_staff(staff: Person | None) -> str:
    """Whoever asks is a member, and no bot."""
    return NO_STAFF if staff and (staff.bot or not isinstance(staff, discord.Member)) else ""


def _no_role(interaction: Interaction, role: discord.Role) -> str:
    """Why the role cannot be given; the bot must not lend its own power to who could not give it."""
    guild, asker = interaction.guild, interaction.user
    if guild is None or guild.me is None or not isinstance(asker, discord.Member):  # pyright: ignore[reportUnnecessaryComparison] -- the cache may lack us
        return UNKNOWN_ROLES
    if role.managed or role.is_default():
        return NOT_GIVABLE
    if role >= guild.me.top_role or not guild.me.guild_permissions.manage_roles:
        return ABOVE_ME
    if asker.id != guild.owner_id and (role >= asker.top_role or not interaction.permissions.manage_roles):
        return ABOVE_YOU
    return ""


def _wish(interaction: Interaction, staff: Person | None, terms: Terms, label: str = "") -> MakeInvite:
    return MakeInvite(
        interaction=interaction_of(interaction),
        guild=guild_of(interaction),
        channel=place_of(interaction),
        staff=id_of(staff or interaction.user),
        by=asker_of(interaction),
        terms=terms,
        label=label,
        me=id_of(me) if (me := interaction.client.user) else None,
        reads_audit=interaction.app_permissions.view_audit_log,
    )
