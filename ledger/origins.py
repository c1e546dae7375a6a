"""Who stands behind an invite at the time of a join: by our own assignments, else the human who made it."""

import msgspec

from ledger.forgetting import person
from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Report
from ledger.samples import LOGGED, SKEW_US
from ledger.state import DeskJoin, GapSource, GuildState
from ledger.windows import Finding


class Origin(msgspec.Struct, frozen=True):
    """Who stands behind a code at the time of a join. ``assignment`` 0: the inviter himself, or nobody."""

    code: InviteCode
    created_at_us: int | None = None
    inviter: UserId | None = None
    staff: UserId | None = None
    assignment: int = 0


NOBODY: Origin = Origin(NO_COUNTER)


def origin_in(state: GuildState, code: InviteCode, finding: Finding) -> Origin:
    """By what a window knows; nobody, where the code may have been one of two invites of different people.

    Where an invite was seen as well, the log's word of it counts nothing: told live, it does not say who made it.
    """
    sources = [source for source in finding.sources if source.code == code]
    seen = [source for source in sources if source.why != LOGGED]
    origins = {_origin_of(state, source, finding.join) for source in seen or sources}
    if len({origin.staff for origin in origins}) == 1:
        return max(origins, key=lambda origin: origin.created_at_us or 0)
    return Origin(code)


def origin_told(state: GuildState, code: InviteCode, at_us: int, report: Report) -> Origin:
    """By what the second witness and the counters know of an invite, of a join that no window can tell of.

    Who made it the witness says best: the code may be another invite's by now.
    """
    assignment = state.assignment_at(code, at_us)
    listed = state.counters.get(code) or state.tombstones.get(code)
    was_there = listed is not None and listed.created_at_us <= at_us + SKEW_US
    known = listed if listed and was_there and may_be_of(state, listed.inviter, report) else None
    maker = known.inviter if known else report.inviter
    inviter = state.name_at(maker, at_us) if maker and code != VANITY else None
    bot = known.inviter_is_bot if known else inviter is not None and _is_bot(state, inviter)
    staff = assignment.staff if assignment else None if bot else inviter
    created_us = known.created_at_us if known else None
    return Origin(code, created_us, inviter, staff, assignment.version if assignment else 0)


def may_be_of(state: GuildState, maker: UserId | None, report: Report) -> bool:
    """Whether the witness may speak of an invite of this person; it need not say whose it was."""
    said = report.inviter
    return said is None or (maker is not None and person(state, said) == person(state, maker))


def _is_bot(state: GuildState, user: UserId) -> bool:
    period = state.current(user)
    return period is not None and period.bot


def _origin_of(state: GuildState, source: GapSource, join: DeskJoin) -> Origin:
    assignment = state.assignment_at(source.code, join.joined_at_us)
    inviter = state.name_at(source.inviter, join.joined_at_us) if source.inviter else None
    human = None if source.inviter_is_bot else inviter
    staff = assignment.staff if assignment else human
    if staff in (join.user, state.tombstone_of(join.user)):  # themselves, by either name
        staff = state.holder_of(join.user, join.opened_us)
    return Origin(source.code, source.created_at_us, inviter, staff, assignment.version if assignment else 0)
