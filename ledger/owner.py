"""What people with a say decide: a join that stays open, and the guild's settings."""

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.answers import Decided, MemberReport, OpenCase, ReviewReport, SettingsReport
from ledger.decision import Decision
from ledger.effects import ListMembers
from ledger.ids import NO_COUNTER
from ledger.judging import Judgement
from ledger.origins import Origin
from ledger.presence import Presence
from ledger.state import GuildState
from ledger.verdicts import pronounce, verdict_of


def decide_join(state: GuildState, presence: Presence, message: m.DecideJoin) -> Decision:
    """A person's word on a join: it supersedes what was worked out, and is never superseded by that.

    Of a join that is not known the answer tells, which is a report of the member.
    """
    user = message.user
    period = state.membership(user, message.opened_us) if message.opened_us else state.current(user)
    if period is None:
        return Decision(presence=presence, answer=MemberReport(user=user, periods=state.periods_of(user)))
    if message.interaction in state.interactions:
        return Decision(presence=presence, answer=Decided(user=user, period=period, before=period))
    origin = Origin(message.code or NO_COUNTER, staff=state.name_of(message.staff) if message.staff else None)
    codes = frozenset([message.code] if message.code else [])
    judged = Judgement(r.Status.MANUAL, codes, origin, message.why)
    verdict = verdict_of(state.holder_of(user, period.opened_us), period, judged)
    verdict = msgspec.structs.replace(verdict, by=state.name_of(message.by))
    cause = r.InteractionCause(interaction=message.interaction)
    drafts = tuple(pronounce(state, period, verdict, cause))
    after = msgspec.structs.replace(
        period,
        status=verdict.status,
        code=verdict.code,
        staff=verdict.staff,
        candidates=verdict.candidates,
        reason=verdict.reason,
        credited=verdict.staff,
    )
    return Decision(presence=presence, drafts=drafts, answer=Decided(user=user, period=after, before=period))


def change_settings(state: GuildState, presence: Presence, message: m.ChangeSettings) -> Decision:
    """What is named holds from now on; other VIP roles are looked for in the member list at once."""
    before = state.settings
    if message.interaction in state.interactions:
        return Decision(presence=presence, answer=SettingsReport(settings=before))
    after = settled(before, message)
    answer = SettingsReport(settings=after, before=before)
    if after == before:
        return Decision(presence=presence, answer=answer)
    event = r.SettingsChanged(settings=after, by=state.name_of(message.by))
    cause = r.InteractionCause(interaction=message.interaction)
    draft = r.Draft(event=event, cause=cause, key=f"settings/{state.seq + 1}")
    listing = after.vip_roles != before.vip_roles and presence.session
    effects = (ListMembers(session=presence.session),) if listing else ()
    return Decision(presence=presence, drafts=(draft,), effects=effects, answer=answer)


def settled(settings: r.Settings, message: m.ChangeSettings) -> r.Settings:
    """Settings as a change leaves them."""
    ours = {kind for kind, text in message.templates.items() if not text}
    templates = {k: text for k, text in {**settings.templates, **message.templates}.items() if k not in ours}
    roles = [role for role in settings.vip_roles if role not in message.no_vips]
    roles += [role for role in message.vips if role not in roles]
    named = {field: getattr(message.settings, field) for field in message.fields}
    return msgspec.structs.replace(settings, **({"templates": templates, "vip_roles": tuple(roles)} | named))


def review_report(state: GuildState) -> ReviewReport:
    """The joins that wait for a person, the newest first."""
    cases = [
        OpenCase(user=user, period=period)
        for user in state.members.cases
        for period in state.members[user]
        if period.is_case()
    ]
    return ReviewReport(cases=tuple(sorted(cases, key=lambda case: (-case.period.opened_us, case.user))))
