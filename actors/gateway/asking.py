"""What several commands ask of a guild's actor, and how long they wait."""

from collections.abc import Mapping
from typing import Final

from actors.gateway.render import render
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import CodeReport, CodesReport
from ledger.ids import GuildId, InviteCode

QUICK_S: Final = 2.5
"""Discord waits 3 s for a first answer."""
PATIENT_S: Final = 20.0
"""For an ask whose interaction was deferred."""


async def ask_codes(roster: Roster, guild: GuildId, timeout_s: float = PATIENT_S) -> tuple[CodeReport, ...] | str:
    """Every code the guild knows and whom it stands for, or in words why that is not known now."""
    outcome = await roster.ask(guild, m.DescribeCodes(), timeout_s)
    return outcome.answer.codes if isinstance(outcome.answer, CodesReport) else render(outcome)


async def ask_labels(roster: Roster, guild: GuildId) -> Mapping[InviteCode, str]:
    """The labels of codes; none where they are not known now: a text without them is still right."""
    codes = await ask_codes(roster, guild)
    return {} if isinstance(codes, str) else {each.code: each.label for each in codes if each.label}
