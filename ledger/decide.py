"""``decide``: what follows from a message. Pure: it reads state and presence, and returns records and effects.

Rules. Twice is once: a dispatch at or below the highest one handled of its lane, a join whose key is known, an
interaction handled before, give no records. A join is recorded before any counter is fetched for it. One fetch at a
time. What a sample means is in ``ledger/closing.py``, what the member list means in ``ledger/members.py``. No handler
looks at the phase to see whether a message counts now: that is the table's business (``ledger/fates.py``).
"""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.announcing import announced, announcing_failed
from ledger.answers import Assigned, Forgot, Salvaged, SettingsReport
from ledger.audit import audit_arrived, audit_failed, note_logged
from ledger.channels import codes_in, deleted_lately, with_deaths, without_channel
from ledger.clocks import SET_BACK, doubted, was_set_back
from ledger.closing import sample_arrived, sample_failed, solve_again
from ledger.credits import with_upgrades
from ledger.decision import Decision
from ledger.effects import NO_REQUEST, Effect, ListMembers, Welcome
from ledger.fates import DECIDED, Fate, fate_of
from ledger.fetching import ask_sample
from ledger.forgetting import era_key, names
from ledger.members import (
    doubting,
    heard,
    is_doubtful,
    join_drafts,
    leave_drafts,
    review_members,
    unreadable_join,
    was_there_before,
)
from ledger.owner import change_settings, decide_join, review_report
from ledger.phases import Phase, move
from ledger.presence import LEFT, NO_ERRAND, Presence
from ledger.reports import codes_report, guild_report, member_report, open_window
from ledger.salvage import Salvaging
from ledger.samples import APPROVAL, SKEW_US, broken_since, told_dead
from ledger.state import Assignment, GuildState, identity_of
from ledger.vip import vip_drafts
from ledger.windows import needs_sample
from ledger.witness import witness_answered, witness_failed

CONTROL: Final = r.InternalCause(what="gateway")
FORGET: Final = r.InternalCause(what="forget")
FORGOTTEN: Final = "forgotten"
"""How keys of what was forgotten begin; the database finds them by it (``persistence/renaming.py``)."""


def decide(state: GuildState, presence: Presence, message: m.Message) -> Decision:
    """The decision on one message. A request that cannot be met gives no records, and an answer that says so."""
    fate = fate_of(presence.phase, message)
    assert fate in DECIDED, f"nobody decides while a guild is {presence.phase}"
    if fate is Fate.IGNORED:
        return Decision(presence=presence)
    decision = _decide(state, presence, message)
    if fate_of(decision.presence.phase, message) is Fate.POSTPONED:
        decision = _postponed(presence, decision)
    if not decision.drafts or isinstance(message, m.Salvage):  # which sees to all of this on its way
        return decision
    drafts = with_upgrades(state, with_deaths(state, presence.channels, decision.drafts))
    if state.era:
        drafts = tuple(msgspec.structs.replace(each, key=era_key(state, each.key)) for each in drafts)
    return msgspec.structs.replace(decision, drafts=drafts)


def _decide(state: GuildState, presence: Presence, message: m.Message) -> Decision:  # noqa: C901, PLR0911, PLR0912 -- one arm a message, nothing else
    match message:
        case m.RecordJoin() | m.NoteMember() | m.RecordLeave() | m.NoteInviteBorn() | m.NoteInviteDied():
            return _dispatch(state, presence, message)
        case m.NoteChannelDied():
            return _channel(state, presence, message)
        case m.NoteUnreadable():
            return _unreadable(state, presence, message)
        case m.GuildCameUp():
            return _came_up(state, presence, message)
        case m.GuildWentAway():
            return _went_away(state, presence, message)
        case m.RemoveGuild():
            draft = _control(state, r.GuildLeft(at_us=message.at_us), "left")
            return Decision(presence=_away(presence, LEFT), drafts=(draft,))
        case m.NotePermissions():
            return _permissions(state, presence, message)
        case m.NoteGap():
            return _gap(state, presence, message)
        case m.SampleArrived():
            return sample_arrived(state, presence, message)
        case m.SampleFailed():
            return sample_failed(state, presence, message)
        case m.ReviewMembers():
            return review_members(state, presence, message)
        case m.NoteLogged():
            return _logged(state, presence, message)
        case m.AuditArrived():
            return audit_arrived(state, presence, message)
        case m.AuditFailed():
            return audit_failed(presence, message)
        case m.WitnessAnswered():
            return witness_answered(state, presence, message)
        case m.WitnessFailed():
            return witness_failed(presence, message)
        case m.Announced():
            return announced(state, presence, message)
        case m.AnnouncingFailed():
            return announcing_failed(presence, message)
        case m.AssignInvite():
            return _assign(state, presence, message)
        case m.DecideJoin():
            return decide_join(state, presence, message)
        case m.ChangeSettings():
            return change_settings(state, presence, message)
        case m.ForgetMember():
            return _forget_member(state, presence, message)
        case m.ForgetGuild():
            return _forget_guild(state, presence, message)
        case m.Salvage():
            return _salvage(state, presence, message)
        case m.DescribeGuild():
            return Decision(presence=presence, answer=guild_report(state, presence))
        case m.DescribeMember():
            return Decision(presence=presence, answer=member_report(state, message.user))
        case m.DescribeWindow():
            return Decision(presence=presence, answer=open_window(state, presence))
        case m.DescribeSettings():
            return Decision(presence=presence, answer=SettingsReport(settings=state.settings))
        case m.DescribeReview():
            return Decision(presence=presence, answer=review_report(state))
        case m.DescribeCodes():
            return Decision(presence=presence, answer=codes_report(state))
        case _:
            assert_never(message)


def _postponed(before: Presence, decision: Decision) -> Decision:
    """The decision without what it asks of Discord."""
    presence = msgspec.structs.replace(decision.presence, request=before.request, asks=before.asks)
    return msgspec.structs.replace(decision, presence=presence, effects=())


_Dispatch = m.RecordJoin | m.NoteMember | m.RecordLeave | m.NoteInviteBorn | m.NoteInviteDied


def _dispatch(state: GuildState, presence: Presence, message: _Dispatch) -> Decision:
    cause = message.join.cause if isinstance(message, m.NoteMember) else message.cause
    if is_handled(state, cause):
        return Decision(presence=presence)
    if isinstance(message, m.RecordLeave) and is_doubtful(state, presence, message):
        return Decision(presence=doubting(presence, message), effects=(ListMembers(session=presence.session),))
    drafts = _drafts(state, presence, message)
    presence = heard(presence, message)
    joined = any(isinstance(draft.event, r.JoinRecorded | r.RepeatRecorded) for draft in drafts)
    if not joined or presence.asked:
        return Decision(presence=presence, drafts=drafts)
    presence, effect = ask_sample(presence)
    return Decision(presence=presence, drafts=drafts, effects=(effect,))


def _drafts(state: GuildState, presence: Presence, message: _Dispatch) -> tuple[r.Draft, ...]:
    match message:
        case m.RecordJoin():
            doubted = message.user in presence.left
            return tuple(join_drafts(state, message, origin="live", reconciled=presence.reconciled, doubted=doubted))
        case m.NoteMember():
            return _unseen_member(state, presence, message)
        case m.RecordLeave():
            return tuple(leave_drafts(state, message))
        case m.NoteInviteBorn():
            born = r.InviteCreated(invite=message.invite, arrived_us=message.arrived_us)
            return _unless_too_many(state, len(state.births), born, message.cause)
        case m.NoteInviteDied():
            died = r.InviteDied(code=message.code, arrived_us=message.arrived_us, replayed=message.replayed)
            drafts = _unless_too_many(state, len(state.deaths), died, message.cause)
            is_first = message.code not in state.deaths and any(draft.event == died for draft in drafts)
            gaps = told_dead(state, died) if is_first else state.gaps
            return drafts if gaps == state.gaps else (*drafts, *solve_again(state, gaps, message.cause))
        case _:
            assert_never(message)


MAX_UNSAMPLED: Final = 2_000
"""So many births, and deaths, wait for a sample, which may not come for long; a guild has 1,000 invites at once."""
TOO_MANY: Final = "too_many_invites"


def _unless_too_many(
    state: GuildState, held: int, event: r.InviteCreated | r.InviteDied, cause: r.Cause
) -> tuple[r.Draft, ...]:
    """What is not kept breaks continuity, once."""
    if held < MAX_UNSAMPLED:
        what, code = ("born", event.invite.code) if isinstance(event, r.InviteCreated) else ("died", event.code)
        return (_numbered(state, event, cause, f"{what}/{code}"),)
    if TOO_MANY in state.broken:
        return ()
    broken = r.ContinuityBroken(reason=TOO_MANY, at_us=event.arrived_us)
    return (_numbered(state, broken, cause, "broken"),)


def _channel(state: GuildState, presence: Presence, message: m.NoteChannelDied) -> Decision:
    if is_handled(state, message.cause):
        return Decision(presence=presence)
    arrived_us, replayed = message.arrived_us, message.replayed
    codes = codes_in(state, message.channel, arrived_us)
    deaths = (r.InviteDied(code=code, arrived_us=arrived_us, how="channel", replayed=replayed) for code in codes)
    drafts = tuple(_numbered(state, each, message.cause, f"died/{each.code}") for each in deaths)
    gaps = without_channel(state.gaps, codes, arrived_us, replayed=replayed)
    channels = deleted_lately(presence.channels, message.channel, arrived_us)
    presence = msgspec.structs.replace(presence, channels=channels)
    return Decision(presence=presence, drafts=(*drafts, *solve_again(state, gaps, message.cause)))


def _logged(state: GuildState, presence: Presence, message: m.NoteLogged) -> Decision:
    if is_handled(state, message.cause):
        return Decision(presence=presence)
    return note_logged(state, presence, message)


def _unseen_member(state: GuildState, presence: Presence, message: m.NoteMember) -> tuple[r.Draft, ...]:
    """An update of somebody unknown tells of a join that was missed; of somebody known, which roles they have."""
    join = message.join
    current = state.current(join.user)
    if current and current.is_open():
        if not current.began_at(join.joined_at_us):
            return ()  # of a membership that we have not heard of: the roles are not this one's
        return tuple(vip_drafts(state, join.user, join.roles, join.arrived_us, join.cause))
    if was_there_before(state, join.joined_at_us):
        return ()
    fresh = join.arrived_us - join.joined_at_us < FRESH_US
    return tuple(join_drafts(state, join, origin="update" if fresh else "away", reconciled=presence.reconciled))


MAY_HIDE_JOINS: Final = frozenset({"GUILD_MEMBER_ADD", "GUILD_CREATE"})
"""Unreadable, these hide joins: one of whom too little can be read, or those since the connection was lost."""
FRESH_US: Final = 60_000_000
"""An update within a minute of the join came just before the join's own event."""


def is_handled(state: GuildState, cause: r.Cause) -> bool:
    """Whether what this caused is in the records already."""
    match cause:
        case r.GatewayCause():
            session, number = state.lanes.get(cause.lane, ("", 0))
            return session == cause.session and cause.number <= number
        case r.InteractionCause():
            return cause.interaction in state.interactions
        case r.InternalCause():
            return False
        case _:
            assert_never(cause)


def _unreadable(state: GuildState, presence: Presence, message: m.NoteUnreadable) -> Decision:
    if is_handled(state, message.cause):
        return Decision(presence=presence)
    event = r.EventUnreadable(
        name=message.name,
        digest=message.digest,
        reason=message.reason,
        at_us=message.at_us,
        user=message.user,
    )
    drafts = (
        _numbered(state, event, message.cause, f"unreadable/{message.digest}"),
        *unreadable_join(state, message),
    )
    lost = _broken("unreadable_event", message.at_us, message.lost_us)
    if message.name in MAY_HIDE_JOINS and len(drafts) == 1 and _is_late(state, lost):
        drafts = (*drafts, *_breaks(state, (lost,)))
    if not message.name.startswith("GUILD_MEMBER_"):
        return Decision(presence=presence, drafts=drafts)
    list_again, presence = ListMembers(session=presence.session), _unsure(presence)
    if presence.asked or not any(isinstance(draft.event, r.JoinRecorded) for draft in drafts):
        return Decision(presence=presence, drafts=drafts, effects=(list_again,))
    presence, fetch = ask_sample(presence)
    return Decision(presence=presence, drafts=drafts, effects=(fetch, list_again))


def _came_up(
    state: GuildState, presence: Presence, message: m.GuildCameUp, broken: Sequence[r.ContinuityBroken] = ()
) -> Decision:
    """The guild is there: straight to live with a baseline of this session, else a first sample is needed."""
    drafts: tuple[r.Draft, ...] = ()
    effects: tuple[Effect, ...] = ()
    if not state.counting_since_us:
        since_us = max(message.at_us, state.ours_from_us)
        drafts = (_control(state, r.GuildAdopted(counting_since_us=since_us), "adopted"),)
        effects = (Welcome(counting_since_us=since_us),)
    switched = _has_switched(state, presence, message)
    if was_set_back(state, presence):
        drafts = (*drafts, *solve_again(msgspec.structs.replace(state, unsolved=0), doubted(state), CONTROL))
        broken = (r.ContinuityBroken(reason=SET_BACK, at_us=message.at_us), *broken)
        kept = msgspec.structs.replace(state, gaps=())  # what the set-back leaves: no gap that can be doubted
    else:
        kept = state
    drafts = (*drafts, *_breaks(kept, (*_broken_before(kept, message, switched=switched), *broken)))
    known = presence.session == message.session
    ready = _is_of_baseline(state, message) and not state.broken and not switched
    presence = msgspec.structs.replace(
        _moved(presence, Phase.LIVE if ready else Phase.SYNCING),
        session=message.session,
        vanity=message.vanity,
        approval=message.approval,
        reconciled=known and presence.reconciled,
        request=NO_REQUEST,
        trouble="",
    )
    if not ready or needs_sample(state):
        presence, fetch = ask_sample(presence)
        effects = (*effects, fetch)
    if not presence.reconciled:
        effects = (*effects, ListMembers(session=message.session))
    return Decision(presence=presence, drafts=drafts, effects=effects)


def _is_of_baseline(state: GuildState, message: m.GuildCameUp) -> bool:
    return state.baseline is not None and state.baseline.session == message.session


def _broken_before(state: GuildState, message: m.GuildCameUp, *, switched: bool) -> Iterator[r.ContinuityBroken]:
    """What was broken before the guild came up: told by a RESUME or in a new session, it may be since the connection
    was lost.
    """
    is_new = not _is_of_baseline(state, message)
    if switched:
        since_us = message.lost_us if is_new or message.replayed else 0
        yield _broken(APPROVAL, message.at_us, since_us)
    lost = _broken("session", message.at_us, message.lost_us)
    if message.lost_us and is_new and _is_late(state, lost):
        yield lost


def _is_late(state: GuildState, broken: r.ContinuityBroken) -> bool:
    """Whether a gap was closed before it was told, which it makes doubtful; the open one sees to itself."""
    return broken_since(state.gaps, broken) != state.gaps


def _broken(reason: str, at_us: int, since_us: int) -> r.ContinuityBroken:
    """Continuity is broken since then (0: now); what was closed just before is doubtful, too: clocks differ."""
    return r.ContinuityBroken(reason=reason, at_us=at_us, since_us=(since_us or at_us) - SKEW_US)


def _breaks(state: GuildState, breaks: Sequence[r.ContinuityBroken]) -> Iterator[r.Draft]:
    """What breaks continuity, and the windows that were closed since then, worked out anew."""
    gaps = state.gaps
    for each in breaks:
        yield _control(state, each, each.reason)
        gaps = broken_since(gaps, each)
    yield from solve_again(state, gaps, CONTROL)


def _has_switched(state: GuildState, presence: Presence, message: m.GuildCameUp) -> bool:
    """Whether members are approved by hand since just now, or no more: an applicant's use may lie in the gap."""
    before = presence.approval if presence.session else state.approval
    return state.baseline is not None and message.approval != before


def _went_away(state: GuildState, presence: Presence, message: m.GuildWentAway) -> Decision:
    drafts = tuple(_breaks(state, (_broken("unavailable", message.at_us, message.lost_us),)))
    return Decision(presence=_away(presence, "unavailable"), drafts=drafts)


def _away(presence: Presence, why: str) -> Presence:
    away = _on_no_errand(_moved(presence, Phase.AWAY))
    return msgspec.structs.replace(away, request=NO_REQUEST, reconciled=False, list_us=0, trouble=why)


def _gap(state: GuildState, presence: Presence, message: m.NoteGap) -> Decision:
    """Anything may have been dropped: members, invites, the answer that was waited for, the guild's own coming."""
    lost = (_broken("gap", message.at_us, message.since_us),)
    if message.greeting:
        greeted = _came_up(state, presence, message.greeting, lost)
    else:
        greeted = Decision(presence=presence, drafts=tuple(_breaks(state, lost)))
    presence = msgspec.structs.replace(_unsure(greeted.presence), since_us=message.at_us)  # no list of before counts
    presence, fetch = ask_sample(presence)
    welcomes = [effect for effect in greeted.effects if isinstance(effect, Welcome)]
    effects: tuple[Effect, ...] = (*welcomes, fetch, ListMembers(session=presence.session))
    return Decision(presence=presence, drafts=greeted.drafts, effects=effects)


def _unsure(presence: Presence) -> Presence:
    """An open membership is not taken for sure until the member list was compared again."""
    return msgspec.structs.replace(presence, reconciled=False, list_us=0)


def _on_no_errand(presence: Presence) -> Presence:
    """Answers to what was asked so far count no more: all that is still open is asked for again, in its time."""
    return msgspec.structs.replace(
        presence,
        audit=msgspec.structs.replace(presence.audit, number=0),
        witness=msgspec.structs.replace(presence.witness, number=0),
        sweeping=msgspec.structs.replace(presence.sweeping, number=0),
        announcing=msgspec.structs.replace(presence.announcing, number=0),
    )


def _permissions(state: GuildState, presence: Presence, message: m.NotePermissions) -> Decision:
    draft = _control(state, r.ContinuityBroken(reason="permissions", at_us=message.at_us), "broken")
    presence = msgspec.structs.replace(presence, audit=NO_ERRAND, witness=NO_ERRAND, sweeping=NO_ERRAND)
    presence, fetch = ask_sample(presence)
    return Decision(presence=presence, drafts=(draft,), effects=(fetch,))


def _assign(state: GuildState, presence: Presence, message: m.AssignInvite) -> Decision:
    """A redelivery, or the same person once more, writes nothing. Label and targets stay where none are named."""
    held = state.assignments.get(message.code, ())
    current = held[-1] if held else None
    cause = r.InteractionCause(interaction=message.interaction)
    repeated = is_handled(state, cause)
    made_us = message.made.created_at_us if message.made else 0
    label, targets = state.labels.get(message.code, ""), state.targets.get(identity_of(message.code, made_us), ())
    wanted = (message.staff, message.label or label, message.targets or targets)
    if current is not None and (repeated or wanted == (current.staff, label, targets)):
        before = next(reversed(held[:-1]), None) if repeated else None
        kept = Assigned(code=message.code, label=label, assignment=current, before=before, news=repeated)
        return Decision(presence=presence, answer=kept)
    event = r.InviteAssigned(
        code=message.code,
        staff=message.staff,
        since_us=message.at_us,
        version=state.assigned + 1,
        by=state.name_of(message.by),
        label=message.label,
        targets=message.targets,
        made_us=made_us,
    )
    draft = r.Draft(event=event, cause=cause, key=f"assignment/{event.version}")
    assignment = Assignment(event.version, event.staff, event.since_us, event.by)
    answer = Assigned(code=event.code, label=message.label or label, assignment=assignment, before=current)
    born: tuple[r.Draft, ...] = ()
    if message.made is not None:
        created = r.InviteCreated(invite=message.made, arrived_us=message.at_us)
        born = _unless_too_many(state, len(state.births), created, cause)
    return Decision(presence=presence, drafts=(*born, draft), answer=answer)


def _forget_member(state: GuildState, presence: Presence, message: m.ForgetMember) -> Decision:
    user = message.user
    if not names(state, user):
        return Decision(presence=presence, answer=Forgot(known=False))
    number = state.forgotten.get(user) or max(state.forgotten.values(), default=0) + 1
    draft = _numbered(state, r.MemberForgotten(user=user, tombstone=number), FORGET, FORGOTTEN)
    answer = Forgot(known=True, memberships=len(state.members.get(user, ())))
    return Decision(presence=presence, drafts=(draft,), answer=answer)


def _forget_guild(state: GuildState, presence: Presence, message: m.ForgetGuild) -> Decision:
    """Where the bot is there it adopts the guild anew at once, as if it had just come up."""
    if state.seq == state.forgot_seq and not state.counting_since_us:
        return Decision(presence=presence, answer=Forgot(known=False))
    memberships = [period for periods in state.members.values() for period in periods]
    newest_us = max((at_us for period in memberships for at_us in (period.opened_us, *period.aliases)), default=0)
    event = r.GuildForgotten(until_us=max(message.at_us, newest_us + 1, state.ours_from_us))
    draft = _numbered(state, event, FORGET, FORGOTTEN)
    decision = Decision(presence=_on_no_errand(_unsure(presence)))
    if fate_of(presence.phase, message) is Fate.HANDLED:
        empty = GuildState(guild=state.guild, seq=state.seq + 1, ours_from_us=event.until_us)
        here = m.GuildCameUp(
            session=presence.session, at_us=message.at_us, vanity=presence.vanity, approval=presence.approval
        )
        decision = _came_up(empty, decision.presence, here)
    answer = Forgot(known=True, memberships=len(memberships))
    return msgspec.structs.replace(decision, drafts=(draft, *decision.drafts), answer=answer)


def _salvage(state: GuildState, presence: Presence, message: m.Salvage) -> Decision:
    """Its joins are worked out by the next sample; whether its members are still there the member list tells.

    A guild that was forgotten whole begins as if it had come up.
    """
    salvaging = Salvaging(state, message)
    effects: tuple[Effect, ...] = ()
    if salvaging.emptied:
        presence = _on_no_errand(_unsure(presence))
        if fate_of(presence.phase, message) is Fate.HANDLED:
            here = m.GuildCameUp(
                session=presence.session, at_us=message.at_us, vanity=presence.vanity, approval=presence.approval
            )
            up = _came_up(salvaging.state, presence, here)
            presence, effects = up.presence, up.effects
    elif salvaging.drafts:
        presence, effects = _unsure(presence), (ListMembers(session=presence.session),)
        if salvaging.joins and not presence.asked and needs_sample(salvaging.state):
            presence, fetch = ask_sample(presence)
            effects = (fetch, *effects)
    answer = Salvaged(facts=len(salvaging.drafts), joins=salvaging.joins)
    return Decision(presence=presence, drafts=tuple(salvaging.drafts), effects=effects, answer=answer)


def _moved(presence: Presence, phase: Phase) -> Presence:
    return msgspec.structs.replace(presence, phase=move(presence.phase, phase))


def _control(state: GuildState, event: r.Event, what: str) -> r.Draft:
    return _numbered(state, event, CONTROL, what)


def _numbered(state: GuildState, event: r.Event, cause: r.Cause, what: str) -> r.Draft:
    """A draft whose key is unique because it names the place where it will stand."""
    return r.Draft(event=event, cause=cause, key=f"{what}/{state.seq + 1}")
