"""``decide`` and ``evolve`` together against a small model of memberships, lanes, interactions and assignments."""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger import messages as m
from ledger import records as r
from ledger.clocks import SET_BACK
from ledger.ids import UserId
from ledger.records import Status
from ledger.state import GuildState
from tests.ledger.lives import Life, Script, addressed, in_bytes, played, scripts
from tests.ledger.model import Model, Stay

CREDITING = {Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN, Status.MANUAL}


@given(scripts(forgetting=False))
def test_who_is_there_and_what_was_handled_is_what_the_model_says(script: Script):
    life, model = Life(), Model()
    for step in script:
        if isinstance(step, int):
            life.kill(step)
            model.dies(step)
            continue
        message = addressed(life.presence, step)
        if not isinstance(message, m.AuditArrived) or message.number == life.presence.audit.number:
            model.hears(message)  # a log that nobody asked for is not read
        decision = life.tell(step)
        if any(
            isinstance(each.event, r.ContinuityBroken) and each.event.reason == SET_BACK for each in decision.drafts
        ):
            return  # the model knows no clock
        assert seen(life) == expected(model)


def seen(life: Life) -> tuple[object, ...]:
    state = life.state
    stays = {
        user: [
            Stay(
                each.opened_us,
                each.arrived_us,
                rejoin=each.rejoin,
                bot=each.bot,
                aliases=list(each.aliases),
                left_us=each.left_us,
                listed=each.listed,
            )
            for each in periods
        ]
        for user, periods in state.members.items()
    }
    assigned = {code: [(each.staff, each.since_us) for each in held] for code, held in state.assignments.items()}
    return stays, state.lanes, set(state.interactions), assigned, state.counting_since_us, life.presence.reconciled


def expected(model: Model) -> tuple[object, ...]:
    stays = {user: each for user, each in model.stays.items() if each}
    assigned = {code: held for code, held in model.assigned.items() if held}
    return stays, model.lanes, model.interactions, assigned, model.counting_since_us, model.compared


@given(scripts(forgetting=False))
def test_records_have_no_gaps_no_key_twice_and_credits_follow_the_verdict_in_force(script: Script):
    life = played(script)
    assert [record.seq for record in life.records] == list(range(1, len(life.records) + 1))
    keys = Counter(record.key for record in life.records)
    assert not [key for key, times in keys.items() if times > 1]
    assert held_by_records(life.records) == held_by_state(life.state)


Credit = tuple[str, int, str]


def held_by_records(records: list[r.Record]) -> dict[Credit, str]:
    """Who holds the credit of which join, going by the records; each rule of credits is asserted on the way."""
    held: dict[Credit, str] = {}
    verdicts: dict[tuple[str, int], r.VerdictReached] = {}
    told_in: dict[tuple[str, int], int] = {}
    settings = r.Settings()
    for record in records:
        match record.event:
            case r.VerdictReached() as verdict:
                verdicts[verdict.user, verdict.opened_us] = verdict
                told_in[verdict.user, verdict.opened_us] = record.last
            case r.SettingsChanged(settings=settings):
                pass
            case r.CreditReversed(user=user, opened_us=opened_us, staff=staff, kind=kind):
                assert held.pop((user, opened_us, kind)) == staff
                assert told_in[user, opened_us] == record.last, "reversed in the append of the verdict that reverses"
            case r.CreditGranted(user=user, opened_us=opened_us, staff=staff, kind=kind):
                assert (user, opened_us, kind) not in held, "one net credit a join and kind"
                verdict = verdicts.get((user, opened_us))
                if verdict is not None:  # who was there before we counted has a report, and no verdict of ours
                    assert verdict.status in CREDITING or verdict.status is r.Status.REPORTED
                    assert staff == verdict.staff
                    assert staff != user or verdict.status is r.Status.MANUAL or settings.credit_self
                held[user, opened_us, kind] = staff
            case _:
                pass
    for (user, opened_us, _), staff in held.items():
        if (user, opened_us) in verdicts:
            assert verdicts[user, opened_us].staff == staff
    return held


def held_by_state(state: GuildState) -> dict[Credit, str]:
    periods = [(user, each) for user, all_of in state.members.items() for each in all_of]
    assert not [each for _, each in periods if each.credited and each.bot and each.status is not r.Status.MANUAL]
    joins = {(user, each.opened_us, "join"): each.credited for user, each in periods if each.credited}
    return joins | {(user, each.opened_us, "vip"): each.vip_credited for user, each in periods if each.vip_credited}


# Redelivery


@given(script=scripts(forgetting=True, kills=False), data=st.data(), killed=st.booleans())
def test_dispatches_told_again_in_any_order_also_to_the_next_life_write_nothing(
    script: Script, data: st.DataObject, *, killed: bool
):
    """What a RESUME replays, or a successor finds in the mailbox: handled by lane and number."""
    life = played(script)
    told = [step for step in script if not isinstance(step, int) and _was_handled(life.state, step)]
    if killed:
        life.kill()
    before = in_bytes(life.state)
    for message in data.draw(st.lists(st.sampled_from(told), max_size=8)) if told else []:
        assert life.tell(_later(message)).drafts == ()
    assert in_bytes(life.state) == before


def _cause_of(message: m.Message) -> r.Cause | None:
    match message:
        case m.NoteMember():
            return message.join.cause
        case (
            m.RecordJoin() | m.RecordLeave() | m.NoteInviteBorn() | m.NoteInviteDied() | m.NoteChannelDied()
            | m.NoteUnreadable() | m.NoteLogged()
        ):  # fmt: skip
            return message.cause
        case m.AssignInvite() | m.DecideJoin() | m.ChangeSettings():
            return r.InteractionCause(interaction=message.interaction)
        case _:
            return None


def _was_handled(state: GuildState, message: m.Message) -> bool:
    match _cause_of(message):
        case r.GatewayCause() as cause:
            session, number = state.lanes.get(cause.lane, ("", 0))
            return session == cause.session and cause.number <= number
        case r.InteractionCause() as cause:
            held = not isinstance(message, m.AssignInvite) or message.code in state.assignments
            return held and cause.interaction in state.interactions
        case _:
            return False


def _later(message: m.Message) -> m.Message:
    """Told again it arrives later; what Discord says of it is the same."""
    if isinstance(message, m.RecordJoin | m.RecordLeave | m.NoteInviteBorn | m.NoteInviteDied):
        return msgspec.structs.replace(message, arrived_us=message.arrived_us + 1_000_000)
    return message


@given(scripts(forgetting=True))
def test_a_join_is_recorded_once_whichever_session_and_list_told_of_it(script: Script):
    """The key alone: two sessions, an update, a page of the list, a message that a dead life left."""
    life = played([*script, *(step for step in script if isinstance(step, m.RecordJoin | m.NoteMember))])
    joins = Counter(_joins(life.records))
    assert not [join for join, times in joins.items() if times > 1]


def _joins(records: Iterable[r.Record]) -> Iterator[tuple[int, UserId, int]]:
    """By the era too: a join since the time that a lost branch forgot is taken into the era that begins there."""
    era = 0
    for record in records:
        if isinstance(record.event, r.GuildForgotten):
            era += 1
        if isinstance(record.event, r.JoinRecorded):
            yield era, record.event.user, record.event.joined_at_us
