"""What the commands do: ask the guild's actor, fetch where needed, and word the answer. No Discord object in sight.

A command changes nothing by itself; what it wants is a message to the guild, and the answer is shown as it is.
"""

from typing import Final

import msgspec

from actors.gateway.counters import is_guest
from actors.gateway.failures import explain
from actors.gateway.pacing import Urgency
from actors.gateway.payloads import InviteRow
from actors.gateway.render import render
from actors.gateway.rest import Rest
from actors.gateway.wording import code as shown
from actors.roster import Roster
from ledger import messages as m
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, UserId
from ledger.ports import Clock
from ledger.samples import Sample

QUICK_S: Final = 2.5
"""Discord waits 3 s for a first answer."""
PATIENT_S: Final = 20.0
"""For an ask whose interaction was deferred."""
NOT_HERE: Final = "I have not been told about this server yet. Please try again in a moment."


class Assign(msgspec.Struct, frozen=True, kw_only=True):
    """/setup_staff_invite. ``code`` "": make a new invite, to ``channel``."""

    interaction: InteractionId
    guild: GuildId
    channel: ChannelId
    staff: UserId
    by: UserId
    code: str = ""


class Desk:
    """The commands' work.

    Args:
        roster: where guild actors are asked.
        rest: for fresh counters and new invites.
        clock: stamps assignments.
    """

    def __init__(self, roster: Roster, rest: Rest, clock: Clock) -> None:
        self._roster = roster
        self._rest = rest
        self._clock = clock

    async def debug(self, guild: GuildId, missing: tuple[str, ...]) -> str:
        """The guild in numbers; ``missing``: permissions the bot lacks."""
        return render(await self._roster.ask(guild, m.DescribeGuild(), QUICK_S), missing)

    async def who(self, guild: GuildId, user: UserId) -> str:
        """All memberships of a user."""
        return render(await self._roster.ask(guild, m.DescribeMember(user=user), QUICK_S))

    async def refresh(self, guild: GuildId) -> str:
        """Fetches the counters and closes the window if they allow it."""
        greeting = self._roster.greeting(guild)
        if greeting is None:
            return NOT_HERE
        sample = await self._rest.sample(guild, greeting.session, vanity=greeting.vanity, urgency=Urgency.PERSON)
        if not isinstance(sample, Sample):
            return f"The counters could not be read. {explain(sample)}"
        return render(await self._roster.ask(guild, m.SampleArrived(sample=sample, request=None), PATIENT_S))

    async def assign(self, wish: Assign) -> str:
        """Gives an invite to a staff member: the one that was named, or a new one."""
        invite = await self._named(wish) if wish.code else await self._new(wish)
        if isinstance(invite, str):
            return invite
        message = m.AssignInvite(
            interaction=wish.interaction,
            code=invite.code,
            staff=wish.staff,
            by=wish.by,
            at_us=self._clock.stamp_us(),
        )
        text = render(await self._roster.ask(wish.guild, message, PATIENT_S))
        return text if wish.code else f"https://discord.gg/{invite.code}\n{text}"

    async def _named(self, wish: Assign) -> InviteRow | str:
        """The invite with that code, or why it will not do."""
        invites = await self._rest.invites(wish.guild)
        if not isinstance(invites, tuple):
            return f"The invites could not be read. {explain(invites)}"
        wanted = bare_code(wish.code)
        found = next((each for each in invites if each.code == wanted), None)
        if found is None:
            return f"This server has no invite {shown(wanted)}. Codes are case-sensitive."
        if is_guest(found):
            return f"{shown(wanted)} is a guest invite: it never makes anybody a member."
        if found.temporary:
            return f"{shown(wanted)} gives temporary membership only, so its joins would not last."
        return found

    async def _new(self, wish: Assign) -> InviteRow | str:
        reason = f"staff invite for {wish.staff}, asked for by {wish.by}"
        made = await self._rest.create_invite(wish.channel, reason)
        return made if isinstance(made, InviteRow) else f"No invite could be made. {explain(made)}"


def bare_code(text: str) -> InviteCode:
    """The code in what people paste: with or without the address."""
    return InviteCode(text.strip().rstrip("/").rpartition("/")[2])
