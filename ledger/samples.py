"""Samples of the invite counters, and what two of them prove about the gap between them.

A sample is complete or it is none: partial and failed answers never get here. The classes of sources are those of
docs/attribution.md, "Sources in a gap"; each is named in ``GapSource.why``. Nothing here looks at joins.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import msgspec

from ledger.forgetting import person
from ledger.ids import VANITY, SessionId, UserId
from ledger.records import ContinuityBroken, Counter, CreationLogged, InviteDied, SampleTaken, Vanity
from ledger.state import Birth, Bound, Death, Gap, GapSource, GuildState, identity, identity_of, is_same_moment

SKEW_US: Final = 2_000_000
LATE_DEATH_US: Final = 600_000_000
"""How far Discord's clock and ours may differ; and how late a death may be told: a RESUME replays what is old."""
TOLD_AT_ONCE_US: Final = 2_000_000
"""What a sample does not show any more was told to be dead by so long after it, but behind a RESUME."""
LOG_AHEAD_US: Final = 1_000_000
"""An entry of the log may be dated before what it tells of: both by Discord's clocks, which differ little."""
UNLIMITED: Final = -1
LOGGED: Final = "logged"
"""The class of an invite that only the audit log has told of."""
CHANNEL_DELETED: Final = "channel_deleted"
"""The class of an invite whose channel was deleted under it."""
APPROVAL: Final = "approval"
"""Why continuity is broken where approval by hand was switched on or off."""
APPLIED: Final = "applied"
"""The class of uses in a guild that approves by hand: an applicant's, who may join much later or never."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All counters of a guild, from the first request's time to the last answer's."""

    requested_us: int
    answered_us: int
    session: SessionId
    counters: tuple[Counter, ...]
    vanity: Vanity | None = None


def as_record(state: GuildState, sample: Sample, *, approval: bool) -> SampleTaken:
    """The sample as its difference to the baseline."""
    listed = {each.code for each in sample.counters}
    return SampleTaken(
        number=next_number(state),
        requested_us=sample.requested_us,
        answered_us=sample.answered_us,
        session=sample.session,
        changed=tuple(each for each in sample.counters if state.counters.get(each.code) != each),
        gone=tuple(code for code in state.counters if code not in listed),
        vanity=sample.vanity,
        approval=approval,
    )


def next_number(state: GuildState) -> int:
    """The number of the next sample; the first is 1."""
    return state.baseline.number + 1 if state.baseline else 1


def is_overtaken(state: GuildState, sample: Sample) -> bool:
    """Whether Discord may have looked at this one before it looked at the baseline: it was asked for before that was
    answered, by two people who refresh at once.
    """
    before = state.baseline
    return before is not None and before.session == sample.session and sample.requested_us < before.answered_us


def is_stale(state: GuildState, sample: Sample) -> bool:
    """Whether a counter of a live code is lower than before: counters never fall, so the list is an old one."""
    return any(_fell(state, each) for each in sample.counters) or _vanity_fell(state.vanity, sample.vanity)


def is_listed(state: GuildState, invite: Counter) -> bool:
    """Whether the last sample listed this very invite."""
    before = state.counters.get(invite.code)
    return before is not None and is_same_moment(before.created_at_us, invite.created_at_us)


def shown_again(state: GuildState, taken: SampleTaken) -> tuple[Gap, ...]:
    """The gaps, where a sample lists an invite that had seemed to vanish: an earlier list was not complete.

    It may have been used by whoever joined there, but it was neither used up nor did it go.
    """
    shown = {identity(each) for each in taken.changed if not is_listed(state, each)}
    return tuple(_lived(gap, lambda source: identity(source) in shown) for gap in state.gaps) if shown else state.gaps


def told_dead(state: GuildState, died: InviteDied) -> tuple[Gap, ...]:
    """The gaps, where an invite that had seemed to vanish is told to die, for the first time: just behind the sample
    that says when, well behind it that it had lived on. What a RESUME tells says neither.
    """
    alive = (state.counters.get(died.code), *(birth.invite for birth in state.births.values()))
    another = {identity(each) for each in alive if each is not None and each.code == died.code}

    def is_it(source: GapSource) -> bool:
        return source.code == died.code and not source.dead_us and not another - {identity(source)}

    def told(gap: Gap) -> Gap:
        if died.arrived_us - gap.closed.answered_us > TOLD_AT_ONCE_US:
            return _lived(gap, is_it)
        return mapped(gap, lambda source: _dead(source, died.arrived_us) if is_it(source) else source)

    return state.gaps if died.replayed else tuple(map(told, state.gaps))


def _dead(source: GapSource, arrived_us: int) -> GapSource:
    vanished = source.why in ("gone", "used_up")
    return msgspec.structs.replace(source, dead_us=arrived_us + SKEW_US) if vanished else source


def mapped(gap: Gap, change: Callable[[GapSource], GapSource]) -> Gap:
    """The gap with each of its sources changed; itself, where none is another one then."""
    sources = tuple(map(change, gap.sources))
    return gap if sources == gap.sources else msgspec.structs.replace(gap, sources=sources)


def _lived(gap: Gap, did: Callable[[GapSource], bool]) -> Gap:
    """The gap, where some of its sources only seemed to vanish in it."""

    def corrected(source: GapSource) -> GapSource:
        if source.why not in ("gone", "used_up") or not did(source):
            return source
        return msgspec.structs.replace(source, exact=False, why="gone", left=UNLIMITED, dead_us=0)

    return mapped(gap, corrected)


def close_gap(state: GuildState, taken: SampleTaken) -> Gap | None:
    """The gap that this sample closes, or None for the very first sample."""
    if state.baseline is None:
        return None
    closed = Bound(taken.number, taken.requested_us, taken.answered_us, taken.session)
    changed_session = (
        ("session",) if closed.session != state.baseline.session and "session" not in state.broken else ()
    )
    seen = (*_risen(state, taken), *_vanished(state, taken), *_vanity_uses(state.vanity, taken.vanity))
    by_hand = taken.approval or state.approval or APPROVAL in state.broken
    sources = tuple(_applied(each) for each in seen) if by_hand else seen
    return Gap(state.baseline, closed, state.broken + changed_session, (*sources, *_logged(state, taken)))


def broken_since(gaps: tuple[Gap, ...], broken: ContinuityBroken) -> tuple[Gap, ...]:
    """The gaps, where a break may have been in those that were closed just before it was told."""

    def doubted(gap: Gap) -> Gap:
        if not broken.since_us or gap.closed.answered_us < broken.since_us or broken.reason in gap.broken:
            return gap
        known = msgspec.structs.replace(gap, broken=(*gap.broken, broken.reason))
        if broken.reason != APPROVAL:
            return known
        return mapped(known, lambda each: each if each.why == LOGGED else _applied(each))

    return tuple(map(doubted, gaps))


def _applied(source: GapSource) -> GapSource:
    """A use that may be an applicant's: the invite can be dead for long when they are let in, in a later gap."""
    return msgspec.structs.replace(source, exact=False, why=APPLIED, left=UNLIMITED, dead_us=0, anywhere=True)


def listed(state: GuildState, bound: Bound) -> tuple[GapSource, ...]:
    """What a join before ``bound`` may have used: every invite that is or was listed and is older, the vanity URL."""
    invites = (*state.counters.values(), *state.tombstones.values())
    older = tuple(
        _source(state, each, exact=False, uses=UNLIMITED, why="listed_before")
        for each in invites
        if each.created_at_us <= bound.answered_us + SKEW_US
    )
    vanity = GapSource(VANITY, 0, exact=False, uses=UNLIMITED, why="listed_before")
    return older if state.vanity is None else (*older, vanity)


def is_unseen(state: GuildState, made: CreationLogged) -> bool:
    """Whether neither a sample nor the gateway has shown the invite; a code can come back as another one."""
    listed = (state.counters.get(made.code), state.tombstones.get(made.code))
    created = [each.created_at_us for each in listed if each is not None]
    created += [each.invite.created_at_us for each in state.births.values() if each.invite.code == made.code]
    sources = [each for gap in state.gaps for each in gap.sources if each.code == made.code]
    created += [each.created_at_us for each in sources if each.why != LOGGED]
    return not any(_is_it(made, each) for each in created)


def logged_source(made: CreationLogged) -> GapSource:
    """What an invite that only the audit log tells of may have brought, of which nothing is proven."""
    return GapSource(
        made.code,
        made.made_us,
        exact=False,
        uses=made.max_uses or UNLIMITED,
        why=LOGGED,
        dead_us=made.dead_us,
        inviter=made.by,
        inviter_is_bot=made.by_bot,
    )


def _logged(state: GuildState, taken: SampleTaken) -> Iterator[GapSource]:
    """Invites of which only the log has told since the sample before."""
    for made in state.logged.values():
        shown = any(each.code == made.code and _is_it(made, each.created_at_us) for each in taken.changed)
        if not shown and is_unseen(state, made):
            yield logged_source(made)


def _is_it(made: CreationLogged, created_at_us: int) -> bool:
    """Whether an invite of the same code that was created then is the one that the log tells of."""
    return made.made_us < created_at_us <= made.at_us + LOG_AHEAD_US


def _fell(state: GuildState, now: Counter) -> bool:
    return is_listed(state, now) and now.uses < state.counters[now.code].uses


def _vanity_fell(before: Vanity | None, now: Vanity | None) -> bool:
    return before is not None and now is not None and before.code == now.code and now.uses < before.uses


def _risen(state: GuildState, taken: SampleTaken) -> Iterator[GapSource]:
    for now in taken.changed:
        before = state.counters.get(now.code)
        if before is None or not is_listed(state, now):
            source = _newcomer(state, now)
        elif now.uses < before.uses:
            source = _source(state, now, exact=False, uses=UNLIMITED, why="counter_fell")
        else:
            source = _source(state, now, exact=True, uses=now.uses - before.uses, why="live")
        if source.uses:
            yield source


def _newcomer(state: GuildState, now: Counter) -> GapSource:
    """New with a birth in this gap: all uses are of this gap. Older, or missed by a list before: some may be."""
    assert state.baseline is not None
    born_here = identity(now) in state.births
    is_news = born_here or now.created_at_us > state.baseline.answered_us
    if is_news and not any(identity(source) == identity(now) for gap in state.gaps for source in gap.sources):
        return _source(state, now, exact=True, uses=now.uses, why="new")
    tombstone = state.tombstones.get(now.code)
    is_it = tombstone is not None and is_same_moment(tombstone.created_at_us, now.created_at_us)
    known = tombstone.uses if tombstone and is_it else 0
    return _source(state, now, exact=False, uses=max(0, now.uses - known), why="unlisted_before")


def _vanished(state: GuildState, taken: SampleTaken) -> Iterator[GapSource]:
    reborn = {now.code for now in taken.changed if _is_reborn(state, now)}
    for code in (*taken.gone, *reborn):
        if code in state.counters:
            last = state.counters[code]
            yield from _gone(state, last, _death(state, last, _born_us(state, last)), taken)
    shown = _shown(state, taken) if state.births else ()
    for birth in state.births.values():
        if birth.arrived_us < taken.requested_us and identity(birth.invite) not in shown:
            yield from _born_and_gone(state, birth, taken)


def _shown(state: GuildState, taken: SampleTaken) -> frozenset[str]:
    """Those born that a sample shows or has shown, or that are a gap's source already: we know of an invite of our
    own before INVITE_CREATE tells of it, perhaps late.
    """
    codes = {birth.invite.code for birth in state.births.values()}
    invites = (*state.counters.values(), *state.tombstones.values(), *taken.changed)
    sources = (source for gap in state.gaps for source in gap.sources)
    known: Iterator[Counter | GapSource] = chain(invites, sources)
    return frozenset(identity(each) for each in known if each.code in codes)


def _born_and_gone(state: GuildState, birth: Birth, taken: SampleTaken) -> Iterator[GapSource]:
    """An invite that was made, and is in neither sample: used, perhaps, in between or even before."""
    death = _death(state, birth.invite, (birth.arrived_us, birth.arrived_us))
    for source in _gone(state, birth.invite, death, taken):
        yield msgspec.structs.replace(source, anywhere=_is_told_late(state, birth))


def _born_us(state: GuildState, last: Counter) -> tuple[int, int]:
    """When it was born at the earliest and at the latest: when that was told, since nobody tells of its death before,
    or by Discord's clock.
    """
    birth = state.births.get(identity(last))
    if birth is not None:
        return birth.arrived_us, birth.arrived_us
    return last.created_at_us - SKEW_US, last.created_at_us + SKEW_US


def _death(state: GuildState, last: Counter, born_us: tuple[int, int]) -> Death | None:
    """The death of a code's last invite, born at the earliest and at the latest then; None where it is not known.

    That of an invite before it may be told late, behind its birth: when it died is not known then (0). That a channel
    took one of them with it holds for both.
    """
    death, (earliest_us, latest_us) = state.deaths.get(last.code), born_us
    if death is None:
        return None
    if death.arrived_us >= (latest_us + LATE_DEATH_US if _came_back(state, last) else earliest_us):
        return death
    return Death(0, death.how) if death.how == "channel" else None


def _came_back(state: GuildState, last: Counter) -> bool:
    """Whether the code had another invite before, as far as is known."""
    held = (state.counters.get(last.code), state.tombstones.get(last.code))
    born = (birth.invite for birth in state.births.values() if birth.invite.code == last.code)
    sources = (each for gap in state.gaps for each in gap.sources if each.code == last.code)
    known: Iterator[Counter | GapSource | None] = chain(held, born, sources)
    return bool(state.broken) or any(each is not None and each.created_at_us < last.created_at_us for each in known)


def _is_told_late(state: GuildState, birth: Birth) -> bool:
    """Whether the invite may be older than the gap in which we heard of it."""
    assert state.baseline is not None
    return birth.invite.created_at_us <= state.baseline.answered_us + SKEW_US


def _is_reborn(state: GuildState, now: Counter) -> bool:
    before = state.counters.get(now.code)
    return before is not None and not is_same_moment(before.created_at_us, now.created_at_us)


def _gone(state: GuildState, last: Counter, death: Death | None, taken: SampleTaken) -> Iterator[GapSource]:
    room = last.max_uses - last.uses if last.max_uses else UNLIMITED
    if room == 0:
        return
    expiry, died_us = last.expires_at_us, death.arrived_us if death else 0
    dead_us = died_us + SKEW_US if died_us else 0
    deleted_us = state.deletions.get(last.code, 0)
    if deleted_us >= last.created_at_us:
        dead_us = min(dead_us or deleted_us + SKEW_US, deleted_us + SKEW_US)
        yield _source(state, last, exact=False, uses=room, why="deleted", dead_us=dead_us)
    elif expiry is not None and expiry <= taken.answered_us + SKEW_US and not 0 < died_us < expiry:
        yield _source(state, last, exact=False, uses=room, why="expired", dead_us=expiry)
    elif death is not None and death.how == "channel":
        yield _source(state, last, exact=False, uses=room, why=CHANNEL_DELETED, dead_us=dead_us)
    else:
        left = room if last.max_uses else UNLIMITED
        yield _source(state, last, exact=False, uses=room, why="gone", dead_us=dead_us, left=left)


def _vanity_uses(before: Vanity | None, now: Vanity | None) -> Iterator[GapSource]:
    if before is None and now is None:
        return
    if before is None or now is None or before.code != now.code or now.uses < before.uses:
        yield GapSource(VANITY, 0, exact=False, uses=UNLIMITED, why="vanity_changed")
    elif now.uses > before.uses:
        yield GapSource(VANITY, 0, exact=True, uses=now.uses - before.uses, why="vanity")


def _source(
    state: GuildState, of: Counter, *, exact: bool, uses: int, why: str, dead_us: int = 0, left: int = UNLIMITED
) -> GapSource:
    return GapSource(
        of.code,
        of.created_at_us,
        exact=exact,
        uses=uses,
        why=why,
        left=left,
        dead_us=dead_us,
        inviter=of.inviter,
        inviter_is_bot=of.inviter_is_bot,
        roles=of.roles,
        channel=of.channel,
        targets=of.targets or _targets_of(state, of),
    )


def _targets_of(state: GuildState, invite: Counter) -> tuple[UserId, ...]:
    """For whom it is alone; where Discord did not say when it was made, its code has to do."""
    if not state.targets:
        return ()  # most often: each recovery comes by here, once a source
    told = state.targets.get(identity(invite)) or state.targets.get(identity_of(invite.code, 0), ())
    return tuple(person(state, each) for each in told)
