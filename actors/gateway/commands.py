"""Slash commands: their names, options and descriptions; what was typed is parsed, the desk works, `answering` shows.

Each is for staff. Who may use them is said twice: to Discord (default permissions, which a server can change) and at
run time. Nothing is decided here.
"""

from collections.abc import Callable
from typing import Final, Literal

import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, Work, answer, at_once, deferred, excuse, may_use, turned
from actors.gateway.asked import Person, asker_of, guild_of, id_of, interaction_of, place_of
from actors.gateway.board import wish_of
from actors.gateway.desk import Desk
from actors.gateway.invite_commands import install_invites
from actors.gateway.log_channel import writable_channels
from actors.gateway.log_commands import install_log_channel
from actors.gateway.paged import turn_of
from actors.gateway.permissions import missing, optional, unheard_channels, unproving
from actors.gateway.ranking import Wish
from actors.gateway.report import Permitted
from actors.gateway.review import REVIEW
from actors.gateway.review_commands import install_review
from actors.gateway.rulings_commands import install_rulings
from actors.gateway.staff_board import report_wish_of
from actors.gateway.staff_commands import install_staff_report
from actors.gateway.staff_invites import Assign
from actors.gateway.tallies import Window
from actors.gateway.tally import By
from actors.gateway.why import WHY
from ledger.ids import UserId

NO_BOTS: Final = "A bot cannot be credited with joins. Please name a person."
NO_STRANGERS: Final = (
    "This person is not a member here, so I take the name for a mistake. "
    "Whoever leaves keeps the invites that are assigned already."
)
FAILED: Final = (
    "Something went wrong inside me, so I cannot say whether this was done. Please look before you try it again; "
    "the operator finds the cause in my log (command.failed)."
)


class Tree(app_commands.CommandTree[discord.Client]):
    """The commands of one client, with our word for what goes wrong in them."""

    def __init__(self, client: discord.Client, log: FilteringBoundLogger) -> None:
        super().__init__(client)
        self.log = log
        self.is_silent: Callable[[], bool] = lambda: False

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Both of two processes hear every interaction; the one that stands by leaves it to the other."""
        del interaction
        return not self.is_silent()

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """An error in a command: told to the log and, if it can still be, to whoever gave the command."""
        await self.failed(interaction, error)

    async def failed(self, interaction: Interaction, error: Exception) -> None:
        """The same for an error in the answer to a click."""
        self.log.error("command.failed", guild=interaction.guild_id, error=repr(error), exc_info=error)
        await excuse(interaction, FAILED, self.log)


def install(tree: Tree, desk: Desk) -> None:
    """Puts the commands into the tree, and the answers to clicks into its client."""
    tree.is_silent = desk.is_standby
    _install_debugging(tree, desk)
    _install_staff_invites(tree, desk)
    install_invites(tree, desk.made_invites, tree.log)
    _install_people(tree, desk)
    _install_leaderboard(tree, desk)
    install_staff_report(tree, desk.staff_reports, tree.log)
    install_review(tree, desk.reviews, desk.staff_invites, tree.log)
    install_log_channel(tree, desk.log_channel, tree.log)
    install_rulings(tree, desk.rulings, tree.log)
    _install_clicks(tree, desk)
    for command in tree.get_commands():
        app_commands.guild_only(command)
        app_commands.default_permissions(manage_guild=True)(command)


def _install_debugging(tree: Tree, desk: Desk) -> None:
    @tree.command(description="How this server's invites are being counted")
    async def debug_invites(interaction: Interaction) -> None:
        me = interaction.client.user
        mine = id_of(me) if me else None
        await at_once(interaction, lambda: desk.debug(guild_of(interaction), _permitted(interaction), mine), tree.log)

    @tree.command(description="Read the invite counters now, work out open joins, keep a checkpoint")
    async def refresh_invite_cache(interaction: Interaction) -> None:
        await deferred(interaction, lambda: desk.refresh(guild_of(interaction)), tree.log)


def _install_staff_invites(tree: Tree, desk: Desk) -> None:
    @tree.command(description="Credit an invite's joins to a staff member from now on")
    @app_commands.describe(staff="Who is credited", code="An invite of this server; left out, a new one is made")
    async def setup_staff_invite(interaction: Interaction, staff: discord.User, code: str = "") -> None:
        refusal = _refusal(staff)
        if refusal:
            await answer(interaction, refusal, tree.log)
            return
        await deferred(interaction, lambda: desk.staff_invites.assign(_wish(interaction, staff, code)), tree.log)

    @setup_staff_invite.autocomplete("code")
    async def suggest(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        if not may_use(interaction):
            return []
        choices = await desk.staff_invites.suggest(guild_of(interaction), typed)
        return [app_commands.Choice(name=each.name, value=each.code) for each in choices]

    @tree.command(description="Read the display names of staff from Discord again")
    async def fix_staff_usernames(interaction: Interaction) -> None:
        await deferred(interaction, lambda: desk.fix_names(guild_of(interaction)), tree.log)


def _install_people(tree: Tree, desk: Desk) -> None:
    @tree.command(description="Which invite a member joined with")
    @app_commands.describe(member="Whose joins to show; may have left")
    async def who_invited(interaction: Interaction, member: discord.User) -> None:
        name = member.display_name
        await at_once(interaction, lambda: desk.who(guild_of(interaction), id_of(member), name), tree.log)

    @tree.command(description="The evidence for how a member joined, and every correction")
    @app_commands.describe(member="Whose joins to explain; may have left")
    async def why(interaction: Interaction, member: discord.User) -> None:
        name = member.display_name
        await deferred(interaction, lambda: desk.whys.page(guild_of(interaction), id_of(member), name, 0), tree.log)

    @tree.command(description="Whom a member brought: joined, left, still here")
    @app_commands.describe(member="Left out, it is you")
    async def invites(interaction: Interaction, member: discord.User | None = None) -> None:
        who = member or interaction.user
        guild, user, name = guild_of(interaction), id_of(who), who.display_name
        await deferred(interaction, lambda: desk.rankings.of_person(guild, user, name), tree.log)


def _install_leaderboard(tree: Tree, desk: Desk) -> None:
    @tree.command(description="Who brought the most members")
    @app_commands.describe(window="How far back (all)", by="For whom an invite counts, or who made it (staff)")
    async def leaderboard(
        interaction: Interaction, window: Window = "all", by: Literal["staff", "inviter"] = "staff"
    ) -> None:
        wish = Wish(window=window, by=By(by))
        await deferred(interaction, lambda: desk.rankings.board(guild_of(interaction), wish), tree.log)


def _install_clicks(tree: Tree, desk: Desk) -> None:
    @tree.client.event
    async def on_interaction(interaction: Interaction) -> None:
        work = _page_turned(interaction, desk)
        if work is None or desk.is_standby():
            return
        try:
            await turned(interaction, work, tree.log)
        except Exception as error:  # noqa: BLE001 -- as the library does around a command: whoever clicked waits, too
            await tree.failed(interaction, error)


def _page_turned(interaction: Interaction, desk: Desk) -> Work | None:
    """What a click asks for; None where it is no button of ours."""
    clicked = _clicked(interaction)
    if (wish := wish_of(clicked)) is not None:
        return lambda: desk.rankings.board(guild_of(interaction), wish)
    if (report := report_wish_of(clicked)) is not None:
        return lambda: desk.staff_reports.page(guild_of(interaction), report)
    if (turn := turn_of(clicked, REVIEW)) is not None:
        return lambda: desk.reviews.page(guild_of(interaction), turn.number)
    if (asked := turn_of(clicked, WHY)) is not None:
        return lambda: desk.whys.page(guild_of(interaction), UserId(asked.about), "", asked.number)
    return None


def _clicked(interaction: Interaction) -> str:
    """The custom_id of the component that was used; "" for every other interaction."""
    if interaction.type is not discord.InteractionType.component or interaction.data is None:
        return ""
    return str(interaction.data.get("custom_id", ""))


def _refusal(staff: Person) -> str:
    """Why nothing can be credited to that person, "" where it can."""
    if staff.bot:
        return NO_BOTS
    return "" if isinstance(staff, discord.Member) else NO_STRANGERS


def _wish(interaction: Interaction, staff: Person, code: str) -> Assign:
    return Assign(
        interaction=interaction_of(interaction),
        guild=guild_of(interaction),
        channel=place_of(interaction),
        staff=id_of(staff),
        by=asker_of(interaction),
        code=code,
    )


def _permitted(interaction: Interaction) -> Permitted:
    guild = interaction.guild
    me = guild.me if guild else None
    held = me.guild_permissions if me else interaction.app_permissions
    return Permitted(
        missing=missing(held),
        unproving=unproving(held),
        optional=optional(held),
        unheard=unheard_channels(guild) if guild and me else (),
        writable=writable_channels(guild) if guild and me else None,
    )
