"""In every recorded world no claim is wrong, totals are exact, and what is heard twice or in another order changes
nothing.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ledger import messages as m
from ledger import records as r
from ledger.credits import CREDITING
from ledger.ids import NO_COUNTER, VANITY, InviteCode
from ledger.state import Period
from tests.ledger.listeners import LISTED_US, Auditing, Hearing, Misled, Ours, Told, differences, played
from tests.ledger.lives import in_bytes, replayed, restored
from tests.ledger.recordings import Died, Heard, Joined, Recording, Used, record

recordings = st.builds(
    lambda seed, rate, hidden: record(seed, per_minute=rate, joins=40, lags="never", hidden=hidden),
    st.integers(0, 10**9),
    st.sampled_from([1, 6, 20, 60]),
    st.sampled_from([0.0, 0.5, 1.0]),
)


recordings_by_hand = st.builds(
    lambda seed, rate, hidden: record(seed, per_minute=rate, joins=40, lags="never", by_hand=True, hidden=hidden),
    st.integers(0, 10**9),
    st.sampled_from([1, 6, 20, 60]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
kinds = st.sampled_from([Ours, Told, Auditing, Hearing])
"""By counters alone, with what the audit log tells live, with its readings, with the second witness as well."""


@given(recordings, st.sampled_from([Ours, Told, Auditing]))
def test_no_claim_is_wrong_and_the_truth_is_among_the_candidates(recording: Recording, kind: type[Ours]):
    ours = played(recording, kind)
    known, unheard = {VANITY, *_known(ours)}, list(_unheard(recording, ours))
    for join, used in recording.truth.items():
        period = ours.verdict(join)
        if period is None:
            assert used in unheard, "a join that was told of, or is there, is recorded"
            continue
        assert period.status is not r.Status.PENDING
        truth = used.code if used.code in known else NO_COUNTER  # of an invite that nobody saw, no trace is left
        assert truth in period.candidates or (unheard and _is_broken(ours, period))
        assert period.status not in CREDITING or _names(period, used)


@given(recordings)
def test_with_an_honest_witness_no_claim_is_wrong_and_most_joins_have_one(recording: Recording):
    ours = played(recording, Hearing)
    statuses = Counter[r.Status]()
    for join, used in recording.truth.items():
        period = ours.verdict(join)
        if period is not None:
            statuses[period.status] += 1
            assert period.status not in CREDITING | {r.Status.REPORTED} or _names(period, used)
            assert period.status is not r.Status.NON_INVITE or used.code == NO_COUNTER
    seen = not list(_unheard(recording, ours))  # else reports may clash with what they left behind
    assert not seen or sum(statuses[each] for each in DECIDED) > len(recording.truth) / 2


DECIDED: Final = (r.Status.CERTAIN, r.Status.CONFIRMED, r.Status.REPORTED, r.Status.NON_INVITE)


@given(recordings)
def test_a_witness_that_lies_makes_no_proof_wrong(recording: Recording):
    """What rests on its word alone, ``reported``, may be; what is proven becomes a conflict at most."""
    for period, used in _credited(recording, Misled):
        assert _names(period, used)


@pytest.mark.parametrize("kind", [Ours, Told, Auditing, Hearing, Misled])
def test_there_are_proofs_to_judge(kind: type[Ours]):
    """A recording may have none; here more than a half of the joins have one, also where the witness lies."""
    recording = record(7, per_minute=1, joins=40, lags="never")
    assert len(list(_credited(recording, kind))) > len(recording.truth) / 2


def _credited(recording: Recording, kind: type[Ours]) -> Iterator[tuple[Period, Used]]:
    """Each verdict that credits somebody, and the truth."""
    ours = played(recording, kind)
    for join, used in recording.truth.items():
        period = ours.verdict(join)
        if period is not None and period.status in CREDITING:
            yield period, used


@given(recordings_by_hand, kinds)
def test_where_members_are_approved_by_hand_only_the_witness_names_anybody(recording: Recording, kind: type[Ours]):
    """An applicant's use may lie hours before the join, so an invite that only the log tells of is not thought of."""
    ours = played(recording, kind)
    known, unheard = {VANITY, *_seen(ours)}, list(_unheard(recording, ours))
    for join, used in recording.truth.items():
        period = ours.verdict(join)
        if period is None:
            continue
        assert kind is Hearing or period.status not in CREDITING | {r.Status.REPORTED}
        assert period.status not in CREDITING | {r.Status.REPORTED} or _names(period, used)
        truth = used.code if used.code in known else NO_COUNTER
        assert kind is Hearing or truth in period.candidates or unheard


@pytest.mark.parametrize(("seed", "rate"), [(13, 1), (727, 6)])
def test_an_applicants_use_may_lie_in_an_earlier_gap_of_the_window(seed: int, rate: int):
    recording = record(seed, per_minute=rate, joins=40, lags="never", by_hand=True)
    ours = played(recording)
    known = {VANITY, *_known(ours)}
    verdicts = [(ours.verdict(join), used.code) for join, used in recording.truth.items() if used.code in known]
    judged = [(period, code) for period, code in verdicts if period is not None]
    assert len(judged) > len(recording.truth) / 2
    for period, code in judged:
        assert code in period.candidates


def test_what_an_honest_witness_reports_of_an_applicant_is_not_contradicted_later():
    ours = played(record(0, per_minute=20, joins=40, lags="never", by_hand=True), Hearing)
    verdicts = [each.event for each in ours.model.records if isinstance(each.event, r.VerdictReached)]
    reported = {(each.user, each.opened_us) for each in verdicts if each.status is r.Status.REPORTED}
    assert not [join for join in reported if (said := ours.verdict(join)) and said.status is r.Status.CONFLICT]


def _known(ours: Ours) -> Iterator[InviteCode]:
    """Every code that a sample, an event or the audit log has told of."""
    yield from _seen(ours)
    for each in ours.model.records:
        if isinstance(each.event, r.CreationLogged):
            yield each.event.code


def _seen(ours: Ours) -> Iterator[InviteCode]:
    """Every code that a sample or an event has told of."""
    for each in ours.model.records:
        match each.event:
            case r.SampleTaken(changed=changed):
                yield from (invite.code for invite in changed)
            case r.InviteCreated(invite=invite):
                yield invite.code
            case _:
                pass


def _is_broken(ours: Ours, period: Period) -> bool:
    verdict = ours.model.records[period.verdict_seq - 1].event
    return isinstance(verdict, r.VerdictReached) and bool(verdict.evidence.broken)


def _unheard(recording: Recording, ours: Ours) -> Iterator[Used]:
    """Who came while nobody listened and went before anybody looked: P0 does not hold for the others of then."""
    joins = ((each.event, each.at_us) for each in recording.heard)
    told = {(event.user, event.joined_at_us): at_us for event, at_us in joins if isinstance(event, Joined)}
    for join, used in recording.truth.items():
        away = (span for span in recording.absences if span.holds(told[join]))
        gone = any(join not in recording.members_at(span.until_us + LISTED_US) for span in away)
        if gone and ours.verdict(join) is None:
            yield used


def _names(period: Period, used: Used) -> bool:
    return period.code in (None, used.code) and period.staff == used.inviter


@given(recordings, kinds)
def test_totals_by_code_are_exact_where_uses_equal_joins(recording: Recording, kind: type[Ours]):
    ours = played(recording, kind)
    samples = {each.event.number: each.event for each in ours.model.records if isinstance(each.event, r.SampleTaken)}
    counted = 0
    for window in _final_windows(ours):
        if window.reason or not window.first_sample:
            continue
        since_us, until_us = (
            recording.shown_us(samples[number].requested_us) for number in (window.first_sample, window.last_sample)
        )
        uses = Counter(used.code for used in recording.truth.values() if since_us < used.at_us <= until_us)
        proven = sum(window.tally.values()) == window.joins
        if uses.total() == window.joins and (proven or uses.keys() <= _counted_at(recording, until_us)):
            counted += window.joins
            assert window.tally == uses
    event(f"counted {counted // 10 * 10} joins or more")


def _counted_at(recording: Recording, at_us: int) -> set[InviteCode]:
    """Whose counters can be read."""
    return {VANITY, *(each.code for each in recording.listing_at(at_us).counters)}


def _final_windows(ours: Ours) -> list[r.WindowClosed]:
    """Windows that no late join has opened again."""
    final: list[r.WindowClosed] = []
    for each in ours.model.records:
        if isinstance(each.event, r.WindowClosed):
            final = [window for window in final if window.last_sample <= each.event.first_sample]
            final.append(each.event)
    return final


@given(recordings, kinds)
def test_the_order_of_an_invites_deletion_and_its_last_join_changes_nothing(recording: Recording, kind: type[Ours]):
    joined_first, deleted_first = (_together(recording, first=kind) for kind in (Joined, Died))
    assert differences(played(joined_first, kind), played(deleted_first, kind)) == {}


def _together(recording: Recording, *, first: type) -> Recording:
    """Each invite that was used up: its deletion and its last user's join arrive at one moment, in that order."""
    last_user = {used.code: join for join, used in recording.truth.items()}
    times = {each.event: each.at_us for each in recording.heard if isinstance(each.event, Joined)}
    deleted = {each.code for each in recording.deletions}
    moments: dict[Joined | Died, int] = {}
    for each in recording.heard:
        if isinstance(each.event, Died) and each.event.code not in deleted:
            join = Joined(*last_user[each.event.code])
            moments[join] = moments[each.event] = max(each.at_us, times[join])
    heard = [
        Heard(moments.get(each.event, each.at_us), each.event) if isinstance(each.event, Joined | Died) else each
        for each in recording.heard
    ]
    heard.sort(key=lambda each: (each.at_us, not isinstance(each.event, first)))
    return msgspec.structs.replace(recording, heard=tuple(heard))


class Stuttering(Hearing):
    """Hears of each join and invite twice, the second time later, under the same number.

    Leaves once: one that seemed doubtful wrote nothing, and may be doubtful no more when it is told again.
    """

    def tell(self, message: m.Message) -> None:
        super().tell(message)
        if isinstance(message, m.RecordJoin | m.NoteInviteBorn | m.NoteInviteDied | m.NoteLogged):
            super().tell(msgspec.structs.replace(message, arrived_us=message.arrived_us + 700_000))


@given(recordings)
def test_what_is_delivered_again_changes_nothing(recording: Recording):
    assert in_bytes(played(recording, Stuttering).model.state) == in_bytes(played(recording, Hearing).model.state)


@given(recordings, kinds, st.integers(0, 5_000_000))
def test_joins_that_are_told_twice_change_no_verdict(recording: Recording, kind: type[Ours], after_us: int):
    again = (Heard(each.at_us + after_us, each.event) for each in recording.heard if isinstance(each.event, Joined))
    heard = sorted([*recording.heard, *again], key=lambda each: each.at_us)
    twice = msgspec.structs.replace(recording, heard=tuple(heard))
    assert differences(played(recording, kind), played(twice, kind)) == {}


@given(recordings, st.sampled_from([Ours, Hearing, Misled]))
def test_replay_is_live_also_through_a_checkpoint(recording: Recording, kind: type[Ours]):
    model = played(recording, kind).model
    live = in_bytes(model.state)
    assert in_bytes(replayed(model.records)) == live
    half = len(model.records) // 2
    checkpoint = restored(replayed(model.records[:half]))
    assert in_bytes(replayed(model.records[half:], checkpoint)) == live


def test_everybody_is_played_the_same_world():
    assert record(7, per_minute=60, joins=60) == record(7, per_minute=60, joins=60)
    assert record(7, per_minute=60, joins=60) != record(8, per_minute=60, joins=60)


def test_a_world_has_what_makes_it_hard():
    worlds = [record(seed, per_minute=20, joins=100) for seed in range(5)]
    used = {used.code for world in worlds for used in world.truth.values()}
    assert NO_COUNTER in used
    assert all(world.deletions and world.absences and world.failing and world.lagging for world in worlds)
