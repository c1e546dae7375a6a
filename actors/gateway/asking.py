"""What several commands ask of a guild's actor, and how long they wait."""

from typing import Final

from actors.gateway.render import render
from actors.roster import Roster
from ledger import messages as m
from ledger.ids import GuildId

QUICK_S: Final = 2.5
"""Discord waits 3 s for a first answer."""
PATIENT_S: Final = 20.0
"""For an ask whose interaction was deferred."""


async def ask_codes(roster: Roster, guild: GuildId, timeout_s: float = PATIENT_S) -> tuple[m.CodeReport, ...] | str:
    """Every code the guild knows and whom it stands for, or in words why that is not known now."""
    outcome = await roster.ask(guild, m.DescribeCodes(), timeout_s)
    return outcome.answer.codes if isinstance(outcome.answer, m.CodesReport) else render(outcome)
