"""What people are told of a guild: answers made from its state, for commands. Pure; nothing is decided here."""

from collections.abc import Iterable, Iterator

from ledger.answers import CodeReport, CodesReport, GuildReport, MemberReport, OpenWindow
from ledger.ids import InviteCode, UserId
from ledger.presence import Presence
from ledger.records import Counter, join_key
from ledger.state import GuildState, Period, identity


def guild_report(state: GuildState, presence: Presence) -> GuildReport:
    """The guild in numbers."""
    waiting = [join.arrived_us for join in state.open_joins()]
    return GuildReport(
        phase=presence.phase,
        seq=state.seq,
        counting_since_us=state.counting_since_us,
        baseline_us=state.baseline.answered_us if state.baseline else 0,
        counters=len(state.counters),
        open_joins=len(waiting),
        open_since_us=min(waiting, default=0),
        unclaimed=dict(state.unclaimed),
        labels=_labels(state, state.unclaimed),
        bots=tuple(each for each in codes_report(state).codes if each.listed and each.bot and not each.assignments),
        tombstones=len(state.tombstones),
        breaks=state.breaks,
        broken=state.broken,
        trouble=presence.trouble,
        members=state.members.here,
        reconciled=presence.reconciled,
        unheard=len(state.unheard),
        witness_trouble=presence.witness.trouble,
        audit_trouble=presence.audit.trouble,
        log_channel=state.settings.log_channel,
        unshown=len(state.outbox),
        showing_trouble=presence.announcing.trouble,
    )


def member_report(state: GuildState, user: UserId) -> MemberReport:
    """All memberships of a user."""
    periods = state.members.get(user, ())
    return MemberReport(
        user=user, periods=periods, forgotten=frozenset(state.forgotten), labels=labels_in(state, periods)
    )


def open_window(state: GuildState, presence: Presence) -> OpenWindow:
    """The joins that are not worked out yet."""
    return OpenWindow(
        joins=frozenset(join_key(join.user, join.joined_at_us) for join in state.open_joins()),
        fetching=presence.asked != 0,
        trouble=presence.trouble,
    )


def codes_report(state: GuildState) -> CodesReport:
    """Every code of which somebody may ask for whom it stands."""
    known = {invite.code: invite for invite in _invites(state)}
    listed = {*state.counters, *(birth.invite.code for birth in state.births.values())} - state.deaths.keys()
    codes = {**known, **dict.fromkeys(state.assignments.keys() - known.keys())}
    return CodesReport(
        codes=tuple(
            CodeReport(
                code=code,
                listed=code in listed,
                uses=invite.uses if invite else 0,
                inviter=_human(state, invite) if invite else None,
                bot=invite.inviter if invite and invite.inviter_is_bot else None,
                assignments=state.assignments.get(code, ()),
                label=state.labels.get(code, ""),
                targets=state.targets.get(identity(invite), ()) if invite else (),
                made_us=invite.created_at_us if invite else 0,
            )
            for code, invite in codes.items()
        )
    )


def labels_in(state: GuildState, periods: Iterable[Period]) -> dict[InviteCode, str]:
    """The labels of the codes that the verdicts in force name."""
    return _labels(state, {code for period in periods for code in (period.code, *period.candidates) if code})


def _labels(state: GuildState, codes: Iterable[InviteCode]) -> dict[InviteCode, str]:
    return {code: state.labels[code] for code in codes if code in state.labels}


def _human(state: GuildState, invite: Counter) -> UserId | None:
    """Who made the invite, by the name that they are called by now; nobody for a bot's."""
    return state.name_of(invite.inviter) if invite.inviter and not invite.inviter_is_bot else None


def _invites(state: GuildState) -> Iterator[Counter]:
    """Gone ones first: a code that came back is the invite of now."""
    yield from state.tombstones.values()
    yield from state.counters.values()
    yield from (birth.invite for birth in state.births.values())
