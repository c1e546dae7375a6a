"""/why: on what evidence a member's joins were attributed, and every correction since, page by page.

Verdicts and credits are read as they were recorded; what is in force now, and what Discord's member search said,
stands in the guild's state. Nothing is concluded here, and the words are those of ``why_words``.
"""

from collections.abc import Sequence
from typing import Final

from actors.gateway.asking import PATIENT_S, ask_labels
from actors.gateway.paged import TextPage, Turn, packed
from actors.gateway.render import render
from actors.gateway.why_evidence import Told
from actors.gateway.why_words import explained
from actors.gateway.wording import person
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.answers import MemberReport
from ledger.errors import StorageError
from ledger.ids import GuildId, UserId
from ledger.records import Record
from persistence.lists import Lists

WHY: Final = "why"
PAGE_CHARACTERS: Final = 1_750
"""Of Discord's 2,000; head and foot need the rest."""
NO_EVIDENCE: Final = "I cannot read my records right now. Please ask again in a moment; /who_invited still answers."


class Whys:
    """The command's work.

    Args:
        roster: where the guild's actor is asked.
        inside: where the records are read.
    """

    def __init__(self, roster: Roster, inside: Inside) -> None:
        self._roster = roster
        self._inside = inside

    async def page(self, guild: GuildId, user: UserId, name: str, number: int) -> TextPage | str:
        """A page of all that is known of the member's joins, the newest join first; one page needs no buttons."""
        outcome = await self._roster.ask(guild, m.DescribeMember(user=user), PATIENT_S)
        report = outcome.answer
        if not isinstance(report, MemberReport) or not report.periods:
            return render(outcome, name)

        async def read(lists: Lists) -> Sequence[Record]:
            return [*await lists.verdicts(guild, user), *await lists.credits_of(guild, user)]

        try:
            records = await self._inside.read(read)
        except StorageError:
            return NO_EVIDENCE
        told = Told(user, report.forgotten, await ask_labels(self._roster, guild))
        pages = packed(explained(report.periods, records, told), PAGE_CHARACTERS)
        at = min(number, len(pages) - 1)
        text = f"**{person(user, name)}**\n{pages[at]}"
        if len(pages) == 1:
            return text
        text = f"{text}\n-# Page {at + 1:,} of {len(pages):,}, the newest join first."
        return TextPage(turn=Turn(WHY, user, at), pages=len(pages), text=text)
