"""The slash commands /review list and /review decide; what was typed is checked, `review` works."""

from typing import Final

import discord
import msgspec
from discord import app_commands
from structlog.typing import FilteringBoundLogger

from actors.gateway.answering import Interaction, answer, deferred, may_use
from actors.gateway.asked import Person, asker_of, guild_of, id_of, interaction_of
from actors.gateway.review import Reviews
from actors.gateway.review_words import Decide
from actors.gateway.staff_invites import StaffInvites, bare_code
from ledger.ids import UserId

MAX_REASON: Final = 300
NO_REASON: Final = (
    "Please say why: the reason is kept with the decision, for whoever asks later. Nothing was changed."
)
NO_BOT_STAFF: Final = "A bot cannot be credited with joins. Please name a person, or nobody."
NO_BOT_MEMBER: Final = "A bot is added, not invited, so there is nothing to decide. Please name a person."


def install_review(
    tree: app_commands.CommandTree[discord.Client],
    reviews: Reviews,
    invites: StaffInvites,
    log: FilteringBoundLogger,
) -> None:
    """Puts both into the tree."""
    group = app_commands.Group(name="review", description="Joins that wait for a person's decision")

    @group.command(name="list", description="The open cases, the newest first, with their evidence")
    async def listed(interaction: Interaction) -> None:
        await deferred(interaction, lambda: reviews.page(guild_of(interaction), 0), log)

    @group.command(description="Say whom a join counts for, and why; what was worked out is kept beside it")
    @app_commands.describe(
        member="Whose join",
        reason="Why, in your words; kept with the decision",
        staff="Whom it counts for; left out, nobody",
        code="The invite that was used; left out, it stays open",
        join="Which of their joins; left out, the newest open case",
    )
    async def decide(  # an option each, as Discord wants them
        interaction: Interaction,
        *,
        member: discord.User,
        reason: app_commands.Range[str, 1, MAX_REASON],
        staff: discord.User | None = None,
        code: str = "",
        join: str = "",
    ) -> None:
        refusal = _refusal(member, staff, reason)
        if refusal:
            await answer(interaction, refusal, log)
        else:
            wish = msgspec.structs.replace(_wish(interaction, member, staff, code, reason), join=join)
            await deferred(interaction, lambda: reviews.decide(wish), log)

    @decide.autocomplete("code")
    async def suggest(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        if not may_use(interaction):
            return []
        guild, member = guild_of(interaction), _member_typed(interaction)
        join = str(interaction.namespace.join or "")
        first = await reviews.possible(guild, member, join) if member else ()
        choices = await invites.suggest(guild, typed, first)
        return [app_commands.Choice(name=each.name, value=each.code) for each in choices]

    @decide.autocomplete("join")
    async def suggest_joins(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        member = _member_typed(interaction)
        if not may_use(interaction) or not member:
            return []
        joins = await reviews.joins(guild_of(interaction), member, typed)
        return [app_commands.Choice(name=each.name, value=each.value) for each in joins]

    tree.add_command(group)


def _member_typed(interaction: Interaction) -> UserId | None:
    """Who was filled in for the member so far; while typing Discord sends only their id."""
    member: object = interaction.namespace.member
    return UserId(str(member.id)) if isinstance(member, discord.Object | discord.User | discord.Member) else None


def _refusal(member: Person, staff: Person | None, reason: str) -> str:
    """Why it cannot be decided so, "" where it can."""
    if member.bot:
        return NO_BOT_MEMBER
    if staff and staff.bot:
        return NO_BOT_STAFF
    return "" if reason.strip() else NO_REASON


def _wish(interaction: Interaction, member: Person, staff: Person | None, code: str, reason: str) -> Decide:
    return Decide(
        interaction=interaction_of(interaction),
        guild=guild_of(interaction),
        user=id_of(member),
        name=member.display_name,
        staff=id_of(staff) if staff else None,
        is_member=isinstance(staff, discord.Member),
        code=bare_code(code),
        why=reason.strip(),
        by=asker_of(interaction),
    )
