"""The audit log as evidence: which vanished invite a person deleted, and which was used up.

The log is read once things have vanished, and says of each what ``ledger/deletions.py`` makes of it. A deletion that
is told after that turns a proof into a mere possibility again. Either way the gap's sources change, and its window
is solved again.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.closing import solve_again
from ledger.creations import LOGGED_LATE_US, is_news, with_creation, with_end
from ledger.decision import Decision
from ledger.deletions import as_read, with_deletions
from ledger.fetching import retry_after_s
from ledger.ids import InviteCode
from ledger.presence import Errand, Presence
from ledger.state import Gap, GuildState
from ledger.verdicts import plain_verdict, pronounce

CAUSE: Final = r.InternalCause(what="audit")
AGAIN_US: Final = 30_000_000
"""Where people keep coming by no invite the log is not read more often than that."""
TOO_LONG_AGAIN_US: Final = 300_000_000
"""Ten pages for each try, and the log grows: it becomes short enough as gaps get too old for what it says."""
FORBIDDEN_AGAIN_US: Final = 3_600_000_000
"""A change of permissions is heard of at once; this is for what is not."""


def note_logged(state: GuildState, presence: Presence, message: m.NoteLogged) -> Decision:
    """The decision on an entry that is told live."""
    facts, gaps = _facts(state, message, message.arrived_us, message.cause)
    adders = _adders(state, message.bots, message.cause)
    return Decision(presence=presence, drafts=(*facts, *adders, *solve_again(state, gaps, message.cause)))


def audit_arrived(state: GuildState, presence: Presence, message: m.AuditArrived) -> Decision:
    """The decision on a reading of the whole log."""
    if message.number != presence.audit.number:
        return Decision(presence=presence)
    presence = msgspec.structs.replace(presence, audit=Errand(from_us=message.requested_us + AGAIN_US))
    read = r.AuditRead(requested_us=message.requested_us, since_us=message.since_us)
    facts, gaps = _facts(state, message, message.requested_us, CAUSE)
    drafts = (
        *facts,
        r.Draft(event=read, cause=CAUSE, key=f"audit/{message.requested_us}/{state.seq}"),
        *_adders(state, message.bots, CAUSE),
        *solve_again(state, as_read(state, gaps, read), CAUSE),
    )
    return Decision(presence=presence, drafts=drafts)


def audit_failed(presence: Presence, message: m.AuditFailed) -> Decision:
    """The decision on a log that could not be read: nothing is used up until it is."""
    if message.number != presence.audit.number:
        return Decision(presence=presence)
    failures = presence.audit.failures + 1
    wait_us = round(retry_after_s(failures) * 1_000_000)
    if message.forbidden or message.too_long:
        wait_us = FORBIDDEN_AGAIN_US if message.forbidden else TOO_LONG_AGAIN_US
    audit = Errand(trouble=message.reason, failures=failures, from_us=message.at_us + wait_us)
    return Decision(presence=msgspec.structs.replace(presence, audit=audit))


def _facts(
    state: GuildState, logged: m.NoteLogged | m.AuditArrived, at_us: int, cause: r.Cause
) -> tuple[tuple[r.Draft, ...], tuple[Gap, ...]]:
    """What the entries say of invites that is news, heard at ``at_us``; and the gaps, knowing of it."""
    created = tuple(_creations(state, logged))
    drafts = (
        *(r.Draft(event=each, cause=cause, key=f"creation/{each.code}/{each.at_us}/{state.seq}") for each in created),
        *_deletions(state, logged.deletions, at_us, cause),
    )
    return drafts, with_deletions(reduce(with_creation, created, state.gaps), logged.deletions)


def _deletions(
    state: GuildState, deletions: Iterable[m.DeletedInvite], arrived_us: int, cause: r.Cause
) -> Iterator[r.Draft]:
    for each in sorted({_when(each): each for each in deletions}.values(), key=_when):
        if state.deletions.get(each.code) == each.at_us:
            continue
        by = state.name_of(each.by) if each.by else None
        event = r.DeletionLogged(code=each.code, at_us=each.at_us, arrived_us=arrived_us, by=by)
        yield r.Draft(event=event, cause=cause, key=f"deletion/{each.code}/{each.at_us}/{state.seq}")


def _when(deletion: m.DeletedInvite) -> tuple[int, InviteCode]:
    """The order in which they are recorded: of two of one code each finds the invite that it is of."""
    return deletion.at_us, deletion.code


def _creations(state: GuildState, logged: m.NoteLogged | m.AuditArrived) -> Iterator[r.CreationLogged]:
    """Invites that nobody told of and no sample showed, and that a join of a window may have used."""
    deleted = [*((each.code, each.at_us) for each in logged.deletions), *state.deletions.items()]
    for each in {(each.code, each.at_us): each for each in logged.creations}.values():
        made = r.CreationLogged(
            code=each.code,
            at_us=each.at_us,
            made_us=each.at_us - LOGGED_LATE_US,
            dead_us=each.at_us + each.max_age_s * 1_000_000 if each.max_age_s else 0,
            max_uses=each.max_uses,
            by=state.name_of(each.by) if each.by else None,
            by_bot=each.by_bot,
        )
        event = reduce(with_end, (at_us for code, at_us in deleted if code == each.code), made)
        if is_news(state, event):
            yield event


def _adders(state: GuildState, bots: Iterable[m.AddedBot], cause: r.Cause) -> Iterator[r.Draft]:
    """Who added a bot belongs to its verdict, which names no invite."""
    newest = {each.bot: each for each in bots}  # one that was added twice is there by the second
    for each in newest.values():
        period = state.current(each.bot)
        if period is None or not (period.bot and period.is_open()) or period.inviter is not None:
            continue
        plain = plain_verdict(state.name_of(each.bot), period, r.Status.NON_INVITE, "bot")
        yield from pronounce(state, period, msgspec.structs.replace(plain, inviter=state.name_of(each.by)), cause)
