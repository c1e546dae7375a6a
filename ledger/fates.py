"""What becomes of each message in each phase: one table, which ``decide`` asks before and after it decides.

Rules. A *fact* (who joined, left, which invite came or went) is recorded wherever anybody decides. An *answer* of
Discord's counts only while the guild is there in a session: before and after that it is ignored, since whoever moves
the guild on asks again. What else a message would ask of Discord is postponed to the same moment, or, in a blind
guild, to its own slow retries; so it waits as one request, however many messages want it. People are always answered.
Nobody decides in phases without the guild's state (``waits``: in the mailbox, which is bounded) or after the end.
The table of docs/architecture.md is made from this one (``python -m tests.diagram``).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from ledger import messages as m
from ledger.phases import Phase


class Fate(StrEnum):
    """What becomes of a message."""

    HANDLED = "handled"  # its records, its effects, its answer
    POSTPONED = "postponed"  # its records now; what it asks of Discord when the phase ends
    IGNORED = "ignored"  # nothing: it answers a question that is no longer asked
    WAITS = "waits"  # it stays in its mailbox, which holds so many and then says that there is a gap
    REJECTED = "rejected"  # nobody will decide: the mailbox is closed, an ask is answered ``crashed``


DECIDED: Final = frozenset({Fate.HANDLED, Fate.POSTPONED, Fate.IGNORED})
"""The fates of a message that somebody decides on; to ask about another is a bug of ours."""

_H, _P, _I = Fate.HANDLED, Fate.POSTPONED, Fate.IGNORED


def _row(rehydrating: Fate, syncing: Fate, live: Fate, blind: Fate, away: Fate) -> Mapping[Phase, Fate]:
    """A message's fates; where nobody decides they are the same for all."""
    return {
        Phase.COLD: Fate.WAITS,
        Phase.REHYDRATING: rehydrating,
        Phase.SYNCING: syncing,
        Phase.LIVE: live,
        Phase.BLIND: blind,
        Phase.AWAY: away,
        Phase.STALLED: Fate.WAITS,
        Phase.STOPPING: Fate.REJECTED,
        Phase.STOPPED: Fate.REJECTED,
    }


# fmt: off
FATES: Final[Mapping[type[m.Message], Mapping[Phase, Fate]]] = {
    #                        rehydrating, syncing, live, blind, away
    m.RecordJoin:       _row(_P, _H, _H, _P, _P),
    m.NoteMember:       _row(_P, _H, _H, _P, _P),
    m.RecordLeave:      _row(_H, _H, _H, _H, _H),
    m.NoteInviteBorn:   _row(_H, _H, _H, _H, _H),
    m.NoteInviteDied:   _row(_H, _H, _H, _H, _H),
    m.NoteChannelDied:  _row(_H, _H, _H, _H, _H),
    m.NoteUnreadable:   _row(_P, _H, _H, _H, _P),
    m.GuildCameUp:      _row(_H, _H, _H, _H, _H),
    m.GuildWentAway:    _row(_H, _H, _H, _H, _H),
    m.RemoveGuild:      _row(_H, _H, _H, _H, _H),
    m.NotePermissions:  _row(_P, _H, _H, _H, _P),
    m.NoteGap:          _row(_P, _H, _H, _H, _P),
    m.SampleArrived:    _row(_I, _H, _H, _H, _I),
    m.SampleFailed:     _row(_I, _H, _H, _H, _I),
    m.ReviewMembers:    _row(_I, _H, _H, _P, _I),
    m.NoteLogged:       _row(_H, _H, _H, _H, _H),
    m.AuditArrived:     _row(_I, _H, _H, _H, _I),
    m.AuditFailed:      _row(_I, _H, _H, _H, _I),
    m.WitnessAnswered:  _row(_I, _H, _H, _H, _I),
    m.WitnessFailed:    _row(_I, _H, _H, _H, _I),
    m.Announced:        _row(_H, _H, _H, _H, _H),
    m.AnnouncingFailed: _row(_I, _H, _H, _H, _I),
    m.AssignInvite:     _row(_H, _H, _H, _H, _H),
    m.DecideJoin:       _row(_H, _H, _H, _H, _H),
    m.ChangeSettings:   _row(_P, _H, _H, _H, _P),
    m.ForgetMember:     _row(_H, _H, _H, _H, _H),
    m.ForgetGuild:      _row(_P, _H, _H, _H, _P),
    m.Salvage:          _row(_P, _H, _H, _P, _P),
    m.DescribeGuild:    _row(_H, _H, _H, _H, _H),
    m.DescribeMember:   _row(_H, _H, _H, _H, _H),
    m.DescribeWindow:   _row(_H, _H, _H, _H, _H),
    m.DescribeSettings: _row(_H, _H, _H, _H, _H),
    m.DescribeReview:   _row(_H, _H, _H, _H, _H),
    m.DescribeCodes:    _row(_H, _H, _H, _H, _H),
}
# fmt: on


def fate_of(phase: Phase, message: m.Message) -> Fate:
    """What becomes of the message in the phase."""
    return FATES[type(message)][phase]
