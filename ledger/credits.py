"""Who is credited for a join, and for its member's upgrade to VIP; and how credits move when a verdict changes.

Only what is proven, or what a person decided, credits by itself; what Discord reports, where the owner allows it.
A credit is by membership and kind, and is taken back in the same append that takes away what it rests on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ledger.forgetting import person
from ledger.ids import UserId
from ledger.records import (
    Cause,
    Credit,
    CreditGranted,
    CreditReversed,
    Draft,
    Status,
    VerdictReached,
    VipChanged,
)
from ledger.state import GuildState, Period

CREDITING: Final = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN, Status.MANUAL})


def move_credit(state: GuildState, period: Period, verdict: VerdictReached, cause: Cause) -> Iterator[Draft]:
    """What a verdict that will be in force changes in the credit for its join."""
    holder = join_credit(state, period, verdict.status, verdict.staff, verdict.user)
    credited = _Credited("join", verdict.user, period.opened_us, period.verdicts + 1)
    yield from credited.moves(period.credited, holder, cause)


def with_upgrades(state: GuildState, drafts: Iterable[Draft]) -> tuple[Draft, ...]:
    """The drafts of one append, and what they change in the credits for upgrades.

    That is worked out behind all of them: an append may judge several memberships of a person, of whose upgrades one
    is credited in a life.
    """
    held = tuple(drafts)
    judged: dict[UserId, dict[int, Period]] = {}
    for draft in held:
        event = draft.event
        if isinstance(event, VerdictReached | VipChanged):
            who = person(state, event.user)
            mine = judged.get(who, {})
            period = mine.get(event.opened_us) or state.membership(who, event.opened_us)
            if period is not None and _weighs(period, event):
                judged[who] = mine | {event.opened_us: _behind(period, event)}
    moves = (move for who, mine in judged.items() for move in _moved(state, who, mine, held[-1].cause))
    return (*held, *moves)


def _weighs(period: Period, event: VerdictReached | VipChanged) -> bool:
    """Whether it can change the credit: of an upgrade that is known already no more is to be said."""
    return isinstance(event, VerdictReached) or (event.has and not period.vip_since_us)


def _behind(period: Period, event: VerdictReached | VipChanged) -> Period:
    """The membership as it will be, as far as credits go."""
    if isinstance(event, VipChanged):
        return msgspec.structs.replace(period, vip_since_us=event.at_us)
    return msgspec.structs.replace(period, status=event.status, staff=event.staff, verdicts=period.verdicts + 1)


def _moved(state: GuildState, who: UserId, judged: Mapping[int, Period], cause: Cause) -> Iterator[Draft]:
    """The credits of a person's upgrades, where memberships were ``judged`` (by when they began)."""
    periods = [judged.get(each.opened_us, each) for each in state.periods_of(who)]
    holders = {each.opened_us: _vip_holder(state, who, each) for each in periods}
    rightful = {*judged} if state.settings.vip_once != "life" else _one_of_a_life(periods, judged, holders)
    for each in periods:
        opened_us, holder = each.opened_us, holders[each.opened_us]
        stays = each.vip_credited and (opened_us not in judged or holder == each.vip_credited)
        if not stays and opened_us in rightful.union(judged):
            credited = _Credited("vip", state.holder_of(who, opened_us), opened_us, each.verdicts)
            yield from credited.moves(each.vip_credited, holder if opened_us in rightful else None, cause)


def _one_of_a_life(
    periods: Sequence[Period], judged: Mapping[int, Period], holders: Mapping[int, UserId | None]
) -> set[int]:
    """The membership whose upgrade is credited: as before while somebody stands behind it, else the oldest judged.

    A credit that is free again passes on to the oldest of all.
    """
    standing = [
        each for each in periods if each.vip_credited and (each.opened_us not in judged or holders[each.opened_us])
    ]
    is_free = any(each.vip_credited for each in judged.values())
    backed = [each for each in periods if holders[each.opened_us] and (is_free or each.opened_us in judged)]
    return {each.opened_us for each in (standing or backed)[:1]}


def _vip_holder(state: GuildState, who: UserId, period: Period) -> UserId | None:
    """Whoever is behind the membership in which an upgrade came, rejoin or not."""
    if not period.vip_since_us or not period.counted:
        return None
    return _creditable(state, period, period.status, period.staff, state.holder_of(who, period.opened_us))


def join_credit(
    state: GuildState, period: Period, status: Status, staff: UserId | None, user: UserId
) -> UserId | None:
    """Who holds the credit for a join under such a verdict."""
    if status is not Status.MANUAL and period.rejoin and not state.settings.credit_rejoins:
        return None
    return _creditable(state, period, status, staff, user)


def _creditable(
    state: GuildState, period: Period, status: Status, staff: UserId | None, user: UserId
) -> UserId | None:
    settings = state.settings
    reported = settings.credit_reported if period.counted else settings.credit_backfill
    if status not in CREDITING and not (status is Status.REPORTED and reported):
        return None
    if staff == user and status is not Status.MANUAL and not settings.credit_self:
        return None
    return staff


class _Credited(msgspec.Struct, frozen=True):
    """What is credited: an upgrade or a join, of whose membership, by which of its verdicts."""

    kind: Credit
    user: UserId
    opened_us: int
    verdict: int

    def moves(self, before: UserId | None, after: UserId | None, cause: Cause) -> Iterator[Draft]:
        """From one holder to another, where they differ."""
        if before == after:
            return
        suffix = f"{self.kind}/{self.user}/{self.opened_us}/{self.verdict}"
        if before:
            undo = CreditReversed(user=self.user, opened_us=self.opened_us, kind=self.kind, staff=before)
            yield Draft(event=undo, cause=cause, key=f"reversal/{suffix}")
        if after:
            grant = CreditGranted(
                user=self.user, opened_us=self.opened_us, kind=self.kind, staff=after, verdict=self.verdict
            )
            yield Draft(event=grant, cause=cause, key=f"credit/{suffix}")
