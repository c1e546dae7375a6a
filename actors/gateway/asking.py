"""What several commands ask of a guild's actor and of the lists, and how long they wait."""

from collections.abc import Mapping, Sequence
from typing import Final

from actors.gateway.render import render
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.answers import CodeReport, CodesReport, SettingsReport
from ledger.errors import LedgerError
from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import Settings

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


async def ask_settings(roster: Roster, guild: GuildId) -> Settings | str:
    """The server's settings, or in words why they are not known now."""
    outcome = await roster.ask(guild, m.DescribeSettings(), PATIENT_S)
    return outcome.answer.settings if isinstance(outcome.answer, SettingsReport) else render(outcome)


async def read_names(inside: Inside, guild: GuildId, users: Sequence[UserId]) -> Mapping[UserId, str]:
    """The names that are kept; none where they cannot be read now: a list without them is still right."""
    try:
        return await inside.read(lambda lists: lists.names(guild, users))
    except LedgerError:
        return {}
