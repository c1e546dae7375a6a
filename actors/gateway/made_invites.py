"""/invite: makes an invite, waits until Discord lets in those alone whom it is for, assigns it, then shows it.

The order is what makes it exact: nobody sees the link before its assignment is durable. What fails on the way
withdraws the invite, and is told in words; also where Discord made it and the answer was lost, so that it has to be
looked for.
"""

from collections import Counter
from typing import Final

import msgspec

from actors.clock import Sleep
from actors.gateway.asking import PATIENT_S, ask_codes
from actors.gateway.counters import just_made
from actors.gateway.failures import Failure, Unavailable, explain
from actors.gateway.invitation import JobState, TargetJob, Terms
from actors.gateway.payloads import InviteRow
from actors.gateway.render import render
from actors.gateway.rest import Rest
from actors.gateway.staff_invites import is_doubtful, not_made
from actors.gateway.wording import code, link, person
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import Assigned
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, UserId
from ledger.ports import Clock

JOB_LOOKS: Final = 10
JOB_PAUSE_S: Final = 1.0
"""Between two looks at what Discord makes of a list of one person, which takes it a moment."""
GONE: Final = 404
UNPROVEN: Final = (
    "I lack View Audit Log, by which I would know that it was used and not deleted: "
    "the join will be likely until Discord's member search confirms it.\n"
)
LOST: Final = "Discord's answer was lost on the way, so it is not sure that it would let in one person alone."


class MakeInvite(msgspec.Struct, frozen=True, kw_only=True):
    """/invite for (``terms.targets``: that person) and /invite create. ``me``: the bot's own id, None = not known.

    ``reads_audit``: whether the bot may view the audit log.
    """

    interaction: InteractionId
    guild: GuildId
    channel: ChannelId
    staff: UserId
    by: UserId
    terms: Terms
    label: str = ""
    me: UserId | None = None
    reads_audit: bool = True


class MadeInvites:
    """Makes invites that are assigned from their first moment.

    Args:
        roster: guild actors, who keep the assignments.
        rest: makes and withdraws invites.
        clock: from when an assignment holds.
        sleep: between two looks at Discord's job.
    """

    def __init__(self, roster: Roster, rest: Rest, clock: Clock, sleep: Sleep) -> None:
        self._roster = roster
        self._rest = rest
        self._clock = clock
        self._sleep = sleep
        self._making: Counter[GuildId] = Counter()

    async def make(self, wish: MakeInvite) -> str:
        """The link and for whom it counts, or what went wrong and what became of the invite."""
        self._making[wish.guild] += 1
        try:
            return await self._make(wish)
        finally:
            self._making[wish.guild] -= 1

    async def _make(self, wish: MakeInvite) -> str:
        reason = f"invite for {wish.staff}, asked for by {wish.by}"
        made = await self._rest.create_invite(wish.channel, reason, wish.terms)
        if not isinstance(made, InviteRow):
            lost = await self._lost(wish) if wish.terms.targets and is_doubtful(made) else None
            return await self._withdrawn(lost, LOST) if lost else not_made(made, _needed(wish.terms))
        trouble = await self._unlisted(made.code) if wish.terms.targets else ""
        if trouble:
            return await self._withdrawn(made.code, trouble)
        message = m.AssignInvite(
            interaction=wish.interaction,
            code=made.code,
            staff=wish.staff,
            by=wish.by,
            at_us=self._clock.stamp_us(),
            label=wish.label,
            targets=wish.terms.targets,
            made=just_made(made),
        )
        outcome = await self._roster.ask(wish.guild, message, PATIENT_S)
        if not isinstance(outcome.answer, Assigned):
            unsure = f"I cannot say that it stands for {person(wish.staff)}, so its join might count for nobody."
            return await self._withdrawn(made.code, f"{unsure} {render(outcome)}")
        return f"{link(made.code)}\n{_terms(wish)}{render(outcome)}"

    async def _lost(self, wish: MakeInvite) -> InviteCode | None:
        """The invite that Discord made without telling; None where there is none, or it may be another one's.

        It is ours, has these terms, was never used and stands for nobody; nothing else in the making is like it.
        """
        codes = await ask_codes(self._roster, wish.guild)
        rows = await self._rest.invites(wish.guild)
        if isinstance(codes, str) or not isinstance(rows, tuple) or self._making[wish.guild] > 1:
            return None
        taken = {each.code for each in codes if each.assignments}
        wanted = (wish.me, wish.terms.max_uses, wish.terms.max_age_s, 0)
        alike = (
            row.code
            for row in rows
            if row.code not in taken
            and row.inviter
            and (row.inviter.id, row.max_uses, row.max_age, row.uses) == wanted
        )
        return next(alike, None)

    async def _unlisted(self, made: InviteCode) -> str:
        """Why it is not sure that only those may use it whom it is for; "" once Discord says so."""
        seen: TargetJob | Failure | None = None
        for look in range(JOB_LOOKS):
            if look:
                await self._sleep(JOB_PAUSE_S)
            seen = await self._rest.target_job(made)
            if isinstance(seen, TargetJob) and seen.status is JobState.COMPLETED:
                return ""
            if isinstance(seen, TargetJob) and seen.status is JobState.FAILED:
                break
        why = "Discord has not taken the list" if isinstance(seen, TargetJob | None) else explain(seen)
        return f"It is not sure that it lets in one person alone, and others might use it ({why.rstrip('.')})."

    async def _withdrawn(self, made: InviteCode, why: str) -> str:
        gone = await self._rest.delete_invite(made, "could not be finished")
        if isinstance(gone, InviteRow) or (isinstance(gone, Unavailable) and gone.status == GONE):
            return f"The invite could not be finished and was withdrawn: nobody can use it. {why} Please try again."
        because = explain(gone).rstrip(".")
        return (
            f"The invite could not be finished. {why} It could not be withdrawn either ({because}): "
            f"please delete {code(made)} in the server's settings, then try again."
        )


def _needed(terms: Terms) -> str:
    """The permissions that such an invite takes."""
    more = [*(["Manage Server"] if terms.targets else []), *(["Manage Roles"] if terms.roles else [])]
    return " and ".join(["Create Invite in this channel", *more])


def _terms(wish: MakeInvite) -> str:
    if not wish.terms.targets:
        return ""
    only = f"Only {person(wish.terms.targets[0])} can use it, once, within 7 days.\n"
    return only if wish.reads_audit else only + UNPROVEN
