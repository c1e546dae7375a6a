"""/setup_staff_invite: which invite, for whom, and what became of it; and the codes that are offered while typing."""

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.gateway.asking import PATIENT_S, QUICK_S, ask_codes
from actors.gateway.counters import is_guest, just_made
from actors.gateway.failures import Failure, Malformed, TimedOut, Unavailable, explain
from actors.gateway.payloads import InviteRow
from actors.gateway.render import render
from actors.gateway.rest import Rest
from actors.gateway.wording import MAX_CHOICE, MAX_CHOICES, count, link, person, visible
from actors.gateway.wording import code as shown
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import CodeReport
from ledger.ids import VANITY, ChannelId, GuildId, InteractionId, InviteCode, UserId
from ledger.ports import Clock

SERVER_IS_FULL: Final = 30016
"""Discord's code for "Maximum number of invites reached"."""


class Assign(msgspec.Struct, frozen=True, kw_only=True):
    """/setup_staff_invite. ``code`` "": make a new invite, to ``channel``."""

    interaction: InteractionId
    guild: GuildId
    channel: ChannelId
    staff: UserId
    by: UserId
    code: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A code that is offered: what is read, and what is sent."""

    name: str
    code: InviteCode


class StaffInvites:
    """Assigns codes to staff.

    Args:
        roster: guild actors, who keep the assignments.
        rest: the invites as they are, and new ones.
        clock: from when an assignment holds.
    """

    def __init__(self, roster: Roster, rest: Rest, clock: Clock) -> None:
        self._roster = roster
        self._rest = rest
        self._clock = clock

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
            made=None if wish.code else just_made(invite),
        )
        outcome = await self._roster.ask(wish.guild, message, PATIENT_S)
        text = render(outcome)
        if wish.code:
            return text
        if outcome.answer is None:
            return f"{text}\n{_made_in_vain(invite.code, wish.staff)}"
        return f"{link(invite.code)}\n{text}"

    async def suggest(self, guild: GuildId, typed: str, first: Sequence[InviteCode] = ()) -> Sequence[Choice]:
        """Codes of this server with what was typed in them, as far as its actor knows; never fetches.

        ``first``: those that stand above the others, whether they can still be used or not.
        """
        codes = await ask_codes(self._roster, guild, QUICK_S)
        if isinstance(codes, str):
            return ()
        wanted = bare_code(typed).casefold()
        labels = {each.code: each.label for each in codes}
        above = [_possible(code, labels.get(code, "")) for code in first]
        fitting = [each for each in codes if each.listed and each.code not in first]
        fitting.sort(key=lambda each: (bool(each.assignments), -each.uses, each.code))
        offered = [*above, *map(_choice, fitting)]
        found = [each for each in offered if wanted in f"{each.code} {labels.get(each.code, '')}".casefold()]
        return [each for each in found if len(each.code) <= MAX_CHOICE][:MAX_CHOICES]

    async def _named(self, wish: Assign) -> InviteRow | str:
        """The invite with that code, or why it will not do."""
        invites = await self._rest.invites(wish.guild)
        if not isinstance(invites, tuple):
            return f"The invites could not be read. {explain(invites)}"
        wanted = bare_code(wish.code)
        found = next((each for each in invites if each.code == wanted), None)
        if found is None:
            return (
                f"This server has no invite {shown(wanted)}: it may have ended, or lead to another server. "
                "Codes are case-sensitive, and the vanity URL cannot be assigned."
            )
        if is_guest(found):
            return f"{shown(wanted)} is a guest invite: it never makes anybody a member."
        if found.temporary:
            return f"{shown(wanted)} gives temporary membership only, so its joins would not last."
        return found

    async def _new(self, wish: Assign) -> InviteRow | str:
        reason = f"staff invite for {wish.staff}, asked for by {wish.by}"
        made = await self._rest.create_invite(wish.channel, reason)
        return made if isinstance(made, InviteRow) else not_made(made)


def bare_code(text: str) -> InviteCode:
    """The code in what people paste: with or without the address, and what an event's link has behind it."""
    return InviteCode(text.strip().partition("?")[0].rstrip("/").rpartition("/")[2])


def not_made(failure: Failure, needed: str = "Create Invite in this channel") -> str:
    """Why there is no invite; ``needed``: the permissions that it takes."""
    doubt = " It may have been made all the same: look at the server's invites." if is_doubtful(failure) else ""
    return f"No invite could be made. {_why(failure, needed)}{doubt}"


def _why(failure: Failure, needed: str) -> str:
    match failure:
        case Unavailable(code=code) if code == SERVER_IS_FULL:
            return "This server has 1,000 invites, as many as Discord allows: delete some, or name one of them here."
        case Unavailable(status=400, code=code):
            return (
                f"Discord takes none for this channel (code {code}): ask in a text channel, or name an invite here."
            )
        case _:
            return explain(failure, needed)


def is_doubtful(failure: Failure) -> bool:
    """Whether what was asked for may have been done all the same."""
    match failure:
        case TimedOut() | Malformed():
            return True
        case Unavailable(status=status):
            return status == 0 or status >= 500  # noqa: PLR2004 -- HTTP's words for "our fault"
        case _:
            return False


def _made_in_vain(code: InviteCode, staff: UserId) -> str:
    return (
        f"The invite {link(code)} was made, but I cannot say that it stands for {person(staff)}. "
        f"Please use /setup_staff_invite again with the code {shown(code)}."
    )


def _possible(code: InviteCode, label: str) -> Choice:
    named = "the vanity URL" if code == VANITY else visible(code)
    name = f"{named} · may be it{f' · {visible(label)}' if label else ''}"
    return Choice(name=name[:MAX_CHOICE], code=code)


def _choice(report: CodeReport) -> Choice:
    state = "assigned" if report.assignments else "not assigned"
    label = f" · {visible(report.label)}" if report.label else ""
    name = f"{visible(report.code)} · {count(report.uses, 'use')} · {state}{label}"
    return Choice(name=name[:MAX_CHOICE], code=report.code)
