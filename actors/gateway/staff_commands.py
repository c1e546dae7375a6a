"""The slash command /staff_report."""

import discord
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, deferred
from actors.gateway.asked import guild_of
from actors.gateway.staff_report import ReportWish, StaffReports
from actors.gateway.tallies import Window


def install_staff_report(
    tree: app_commands.CommandTree[discord.Client], reports: StaffReports, log: FilteringBoundLogger
) -> None:
    """Puts it into the tree."""

    @tree.command(description="Joins, VIPs and open cases of each staff member, also as CSV")
    @app_commands.describe(window="How far back (all)")
    async def staff_report(interaction: Interaction, window: Window = "all") -> None:
        await deferred(interaction, lambda: reports.page(guild_of(interaction), ReportWish(window=window)), log)
