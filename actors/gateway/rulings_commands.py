"""The slash commands /settings and /vip_role; what was typed is checked, `rulings` works."""

from typing import Final, Literal

import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, answer, deferred
from actors.gateway.asked import asker_of, guild_of, interaction_of
from actors.gateway.rulings import Change, Rulings, VipWish
from ledger.ids import RoleId

EVERYONE: Final = (
    "Everybody here has @\u200beveryone, so it would make each join a VIP at once. "
    "Please name a role that is given for an upgrade."
)
UNKNOWN: Final = (
    "I do not know this role: it was just deleted, or I am not connected to this server yet. "
    "Nothing was changed; please try again in a moment."
)
MANAGED: Final = "Note that an app, a subscription or Discord itself gives this role: I count it when it comes."
ABOVE: Final = (
    "Note that this role does not stand below my own highest one. I see who gains it, so it counts; "
    "but I could not give it with an invite (`/invite for`), unless my role is moved above it."
)


def install_rulings(
    tree: app_commands.CommandTree[discord.Client], rulings: Rulings, log: FilteringBoundLogger
) -> None:
    """Puts them into the tree."""

    @tree.command(description="What is credited here: shows all settings, or changes those you name")
    @app_commands.describe(
        credit_reported="Credit joins that only Discord's member search explains",
        credit_backfill="Also credit members who joined before I began to count",
        credit_rejoins="Credit members who come back",
        credit_self="Credit people who join with their own invite",
        vip_once="How often an upgrade to VIP is credited",
        young_days="Mark accounts younger than this; 0 = none",
    )
    async def settings(  # an option each, as Discord wants them
        interaction: Interaction,
        *,
        credit_reported: bool | None = None,
        credit_backfill: bool | None = None,
        credit_rejoins: bool | None = None,
        credit_self: bool | None = None,
        vip_once: Literal["life", "membership"] | None = None,
        young_days: app_commands.Range[int, 0, 365] | None = None,
    ) -> None:
        typed = {
            "credit_reported": credit_reported,
            "credit_backfill": credit_backfill,
            "credit_rejoins": credit_rejoins,
            "credit_self": credit_self,
            "vip_once": vip_once,
            "young_days": young_days,
        }
        values = {field: value for field, value in typed.items() if value is not None}
        change = Change(
            interaction=interaction_of(interaction),
            guild=guild_of(interaction),
            by=asker_of(interaction),
            values=values,
        )
        work = (
            (lambda: rulings.change(change)) if values else (lambda: rulings.show(change.guild, _known(interaction)))
        )
        await deferred(interaction, work, log)

    group = app_commands.Group(name="vip_role", description="Which roles make a member a VIP")

    @group.command(
        description="Whoever gains this role is a VIP from now on, credited once to whoever the join counts for"
    )
    async def add(interaction: Interaction, role: discord.Role) -> None:
        refusal = _refusal(interaction, role)
        if refusal:
            await answer(interaction, refusal, log)
        else:
            wish = _wish(interaction, role, add=True)
            await deferred(interaction, lambda: rulings.set_vip(wish), log)

    @group.command(description="This role no longer makes anybody a VIP; what was credited stays")
    @app_commands.describe(role="Left out: those that were deleted")
    async def remove(interaction: Interaction, role: discord.Role | None = None) -> None:
        wish = _wish(interaction, role, add=False)
        await deferred(interaction, lambda: rulings.set_vip(wish), log)

    @group.command(name="list", description="The roles that make a VIP here")
    async def listed(interaction: Interaction) -> None:
        await deferred(interaction, lambda: rulings.vip_roles(guild_of(interaction), _known(interaction)), log)

    tree.add_command(group)


def _refusal(interaction: Interaction, role: discord.Role) -> str:
    """Why the role can make nobody a VIP, "" where it can."""
    if role.is_default():
        return EVERYONE
    return "" if RoleId(str(role.id)) in _known(interaction) else UNKNOWN


def _remark(interaction: Interaction, role: discord.Role | None) -> str:
    """What there is to know about a role that can."""
    me = interaction.guild.me if interaction.guild else None
    if role is None:
        return ""
    if role.managed:
        return MANAGED
    return ABOVE if me and role >= me.top_role else ""


def _wish(interaction: Interaction, role: discord.Role | None, *, add: bool) -> VipWish:
    return VipWish(
        interaction=interaction_of(interaction),
        guild=guild_of(interaction),
        by=asker_of(interaction),
        role=RoleId(str(role.id)) if role else None,
        add=add,
        known=_known(interaction),
        remark=_remark(interaction, role),
    )


def _known(interaction: Interaction) -> frozenset[RoleId]:
    """The server's roles, as far as they are known; nothing before it has come."""
    roles = interaction.guild.roles if interaction.guild else ()
    return frozenset(RoleId(str(each.id)) for each in roles)
