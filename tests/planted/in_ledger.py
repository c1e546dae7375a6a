"""Bugs of the pure part: what is counted twice, never taken back, believed too early, replayed to another state."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger import (
    announcing,
    audit,
    closing,
    decide,
    deletions,
    evolve,
    judging,
    members,
    owner,
    salvage,
    samples,
    testimony,
    verdicts,
    witness,
)
from ledger import credits as credits_of
from ledger import messages as m
from ledger import origins as origins_of
from ledger import records as r
from ledger.decision import Decision
from ledger.effects import NO_REQUEST
from ledger.fates import Fate, fate_of
from ledger.ids import NO_COUNTER, InviteCode, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.state import Birth, Death, GapSource, GuildState, Period
from ledger.windows import Finding, Findings, Ground, Window
from tests.planted.bug import Bug, Origin, Swap

_gone: Final = samples._gone
_pronounce: Final = verdicts.pronounce
_judge: Final = verdicts.judge


def never_handled(state: GuildState, cause: r.Cause) -> bool:
    del state, cause
    return False


def never_known(state: GuildState, user: UserId, joined_at_us: int) -> bool:
    del state, user, joined_at_us
    return False


def without_reversal(
    state: GuildState, period: Period, verdict: r.VerdictReached, cause: r.Cause
) -> Iterator[r.Draft]:
    return (
        each for each in _pronounce(state, period, verdict, cause) if not isinstance(each.event, r.CreditReversed)
    )


def never_ignored(phase: Phase, message: m.Message) -> Fate:
    """An answer counts also where its question is no longer asked."""
    fate = fate_of(phase, message)
    return Fate.HANDLED if fate is Fate.IGNORED else fate


def cold_when_away(presence: Presence, why: str) -> Presence:
    """Moves the phase by hand."""
    return msgspec.structs.replace(presence, phase=Phase.COLD, request=NO_REQUEST, reconciled=False, trouble=why)


def left_by_the_wall_clock(state: GuildState, event: r.LeaveRecorded) -> None:
    period = state.current(event.user)
    if period is not None and period.is_open():
        left = msgspec.structs.replace(period, left_us=time.perf_counter_ns())
        evolve._put_period(state, event.user, left)


def never_between(state: GuildState, birth: Birth, taken: r.SampleTaken) -> Iterator[GapSource]:
    """An invite that is in neither of two samples was not used."""
    del state, birth, taken
    return iter(())


def page_not_compared(state: GuildState, presence: Presence, page: m.ReviewMembers) -> Decision:
    """Who joined or left while nobody looked stays unknown."""
    del state
    return Decision(presence=msgspec.structs.replace(presence, reconciled=presence.reconciled or page.upto == ""))


def before_by_two_clocks(state: GuildState, joined_at_us: int) -> bool:
    """Discord's clock is compared with ours as if they were one."""
    return joined_at_us < state.counting_since_us


def never_too_early(state: GuildState, sample: samples.Sample) -> float:
    del state, sample
    return 0.0


def first_of_several(
    findings: Findings, finding: Finding, origins: Mapping[InviteCode, origins_of.Origin]
) -> judging.Judgement:
    """The silent guess of most trackers."""
    real = sorted(finding.feasible - {NO_COUNTER})
    if not real:
        return _judge(findings, finding, origins)
    return judging.Judgement(r.Status.CERTAIN, finding.feasible, origins[real[0]])


def without_the_last(
    findings: Findings, finding: Finding, origins: Mapping[InviteCode, origins_of.Origin]
) -> judging.Judgement:
    judged = _judge(findings, finding, origins)
    real = sorted(judged.candidates - {NO_COUNTER})
    if judged.status is not r.Status.CANDIDATES or len(real) < 2:
        return judged
    return msgspec.structs.replace(judged, candidates=judged.candidates - {real[-1]})


def as_if_nobody_had_decided(
    state: GuildState, period: Period, verdict: r.VerdictReached, cause: r.Cause
) -> Iterator[r.Draft]:
    if period.status is r.Status.MANUAL and verdict.status is not r.Status.MANUAL:
        period = msgspec.structs.replace(period, status=r.Status.CANDIDATES)
    return _pronounce(state, period, verdict, cause)


def any_membership(state: GuildState, row: m.SearchedMember) -> Period | None:
    return state.current(row.user)


def sent_is_shown(state: GuildState, event: r.JoinAnnounced) -> None:
    """A verdict that was superseded while its message was on its way is never put right."""
    _shown(state, event)
    state.outbox.pop(r.join_key(event.user, event.opened_us), None)


def only_told_once(state: GuildState, event: r.VerdictReached, before: Period) -> None:
    if not before.verdicts:
        _to_be_shown(state, event, before)


def never_settled(state: GuildState, event: r.JoinAnnounced) -> None:
    del state, event


def used_up_unread(
    state: GuildState, last: r.Counter, death: Death | None, taken: r.SampleTaken
) -> Iterator[GapSource]:
    return (
        msgspec.structs.replace(each, exact=True, why="used_up", left=samples.UNLIMITED)
        if deletions.is_undecided(each)
        else each
        for each in _gone(state, last, death, taken)
    )


def never_to_others(window: Window, ground: Ground) -> bool:
    del window, ground
    return False


_moved: Final = credits_of._moved


def as_if_for_each(state: GuildState, who: UserId, judged: Mapping[int, Period], cause: r.Cause) -> Iterator[r.Draft]:
    settings = msgspec.structs.replace(state.settings, vip_once="membership")
    return _moved(msgspec.structs.replace(state, settings=settings), who, judged, cause)


def one_by_one(state: GuildState, who: UserId, judged: Mapping[int, Period], cause: r.Cause) -> Iterator[r.Draft]:
    for opened_us, period in judged.items():
        yield from _moved(state, who, {opened_us: period}, cause)


def never_deleted(source: GapSource, at_us: int | None) -> GapSource:
    del at_us
    return source


_shown: Final = announcing.shown
_to_be_shown: Final = announcing.to_be_shown

NO_KEY: Final = (Swap(GuildState, "is_known_join", never_known),)

BUGS: Final = (
    Bug(
        name="no-dedup-on-redelivery",
        origin=Origin.KERNEL,
        what="what a RESUME or a dead life's mailbox tells again is news",
        swaps=(Swap(decide, "is_handled", never_handled), *NO_KEY),
        breaks=frozenset({"I2"}),
        hunts=("scripts",),
    ),
    Bug(
        name="no-key",
        origin=Origin.DURABILITY,
        what="a join is told from another by its dispatch only: two sessions, or a list, record it twice",
        swaps=NO_KEY,
        breaks=frozenset({"I2"}),
        hunts=("scripts",),
    ),
    Bug(
        name="credit-not-reversed",
        origin=Origin.OURS,
        what="a superseding verdict leaves the credit of the one before it",
        swaps=tuple(
            Swap(each, "pronounce", without_reversal) for each in (verdicts, closing, members, audit, owner, witness)
        ),
        breaks=frozenset({"I2"}),
        hunts=("verdicts", "scripts"),
    ),
    Bug(
        name="late-answer",
        origin=Origin.KERNEL,
        what="a sample that was asked for before an outage makes a guild live that is away",
        swaps=(Swap(decide, "fate_of", never_ignored),),
        breaks=frozenset({"I7"}),
        hunts=("scripts",),
    ),
    Bug(
        name="phase-by-hand",
        origin=Origin.OURS,
        what="an unavailable guild is cold again, which no table says",
        swaps=(Swap(decide, "_away", cold_when_away),),
        breaks=frozenset({"I7"}),
        hunts=("scripts",),
    ),
    Bug(
        name="evolve-asks-the-clock",
        origin=Origin.OURS,
        what="when somebody left is when the record is replayed",
        swaps=(Swap(evolve, "_leave", left_by_the_wall_clock),),
        breaks=frozenset({"I11"}),
        hunts=("worlds",),
    ),
    Bug(
        name="list-not-compared",
        origin=Origin.OURS,
        what="a member list is read and not compared with who is known",
        swaps=(Swap(decide, "review_members", page_not_compared),),
        breaks=frozenset({"I10"}),
        hunts=("swarm",),
    ),
    Bug(
        name="first-code-that-rose",
        origin=Origin.OURS,
        what="of several invites that may have been used the first is said to be the one",
        swaps=(Swap(verdicts, "judge", first_of_several),),
        breaks=frozenset({"T1"}),
        hunts=("worlds", "swarm"),
    ),
    Bug(
        name="there-before-by-two-clocks",
        origin=Origin.OURS,
        what="who joined after the first sample was there before, where Discord's clock is behind ours",
        swaps=tuple(Swap(each, "was_there_before", before_by_two_clocks) for each in (decide, members, salvage)),
        breaks=frozenset({"T1"}),
        hunts=("worlds",),
    ),
    Bug(
        name="counted-at-once",
        origin=Origin.OURS,
        what="the first sample of a guild that was just forgotten counts, though who joins then may be no join",
        swaps=(Swap(closing, "_too_early_s", never_too_early),),
        breaks=frozenset({"T1"}),
        hunts=("worlds",),
    ),
    Bug(
        name="invite-between-samples",
        origin=Origin.OURS,
        what="an invite that was made and used up between two samples is no source of theirs",
        swaps=(Swap(samples, "_born_and_gone", never_between),),
        breaks=frozenset({"T1"}),
        hunts=("worlds",),
    ),
    Bug(
        name="last-candidate-left-out",
        origin=Origin.OURS,
        what="of several invites that may have been used the last one is left out",
        swaps=(Swap(verdicts, "judge", without_the_last),),
        breaks=frozenset({"T2"}),
        hunts=("swarm",),
    ),
    Bug(
        name="person-overruled",
        origin=Origin.OURS,
        what="a window that is solved again supersedes what a person decided",
        swaps=tuple(
            Swap(each, "pronounce", as_if_nobody_had_decided) for each in (verdicts, closing, members, audit, witness)
        ),
        breaks=frozenset({"T3"}),
        hunts=("swarm",),
    ),
    Bug(
        name="stale-row-counts",
        origin=Origin.OURS,
        what="what the member search tells of an earlier membership is taken for the one that is open",
        swaps=(Swap(witness, "_membership", any_membership),),
        breaks=frozenset({"T1"}),
        hunts=("swarm",),
    ),
    Bug(
        name="message-never-edited",
        origin=Origin.OURS,
        what="a join that was shown keeps its first verdict in the log channel",
        swaps=(Swap(evolve, "to_be_shown", only_told_once),),
        breaks=frozenset({"T4"}),
        hunts=("swarm",),
    ),
    Bug(
        name="message-overtaken",
        origin=Origin.OURS,
        what="a verdict that fell while a message was on its way is not shown any more",
        swaps=(Swap(evolve, "shown", sent_is_shown),),
        breaks=frozenset({"T4"}),
        hunts=("swarm",),
    ),
    Bug(
        name="outbox-not-settled",
        origin=Origin.OURS,
        what="a join that is shown stays in the outbox and is shown again for ever",
        swaps=(Swap(evolve, "shown", never_settled),),
        breaks=frozenset({"I10"}),
        hunts=("swarm",),
    ),
    Bug(
        name="used-up-unread",
        origin=Origin.OURS,
        what="a limited invite that vanished counts as used up before the audit log was read",
        swaps=(Swap(samples, "_gone", used_up_unread),),
        breaks=frozenset({"T1"}),
        hunts=("examples",),
    ),
    Bug(
        name="nobody-unseen",
        origin=Origin.OURS,
        what="also after an absence every use must be a join that was seen, or the reports clash",
        swaps=(Swap(testimony, "_leave_uses_to_others", never_to_others),),
        breaks=frozenset({"T5"}),
        hunts=("swarm",),
    ),
    Bug(
        name="upgrade-of-each-membership",
        origin=Origin.OURS,
        what="who comes back and is upgraded again is credited again, though once for life was asked for",
        swaps=(Swap(credits_of, "_moved", as_if_for_each),),
        breaks=frozenset({"I2"}),
        hunts=("examples",),
    ),
    Bug(
        name="upgrades-one-by-one",
        origin=Origin.OURS,
        what="of two upgrades of one person that an append judges, neither knows of the other's credit",
        swaps=(Swap(credits_of, "_moved", one_by_one),),
        breaks=frozenset({"I2"}),
        hunts=("examples",),
    ),
    Bug(
        name="deletion-ignored",
        origin=Origin.OURS,
        what="an invite that a person deleted counts as used up, whatever the audit log says",
        swaps=(Swap(deletions, "_deleted", never_deleted),),
        breaks=frozenset({"T1", "T2"}),
        hunts=("examples", "swarm"),
    ),
)
