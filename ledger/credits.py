"""Who is credited for a join, and for its member's upgrade to VIP; and how credits move when a verdict changes.

Only what is proven, or what a person decided, credits by itself; what Discord reports, where the owner allows it.
A credit is by membership and kind, and is taken back in the same append that takes away what it rests on.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ledger.ids import UserId
from ledger.records import Cause, Credit, CreditGranted, CreditReversed, Draft, Status, VerdictReached
from ledger.state import GuildState, Period

CREDITING: Final = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN, Status.MANUAL})


def move_credits(state: GuildState, period: Period, verdict: VerdictReached, cause: Cause) -> Iterator[Draft]:
    """What a verdict that will be in force changes in the credits of its membership."""
    user, number = verdict.user, period.verdicts + 1
    holder = join_credit(state, period, verdict.status, verdict.staff, user)
    yield from _Credited("join", user, period.opened_us, number).moves(period.credited, holder, cause)
    vip = vip_credit(state, period, verdict.status, verdict.staff, user)
    yield from _Credited("vip", user, period.opened_us, number).moves(period.vip_credited, vip, cause)
    if period.vip_credited and not vip:
        yield from _pass_on(state, user, period, cause)


def credit_vip(state: GuildState, user: UserId, period: Period, cause: Cause) -> Iterator[Draft]:
    """The credit for an upgrade, by the verdict in force now; none yet, where that is open."""
    holder = vip_credit(state, period, period.status, period.staff, user, has=True)
    credited = _Credited("vip", user, period.opened_us, period.verdicts)
    yield from credited.moves(period.vip_credited, holder, cause)


def _pass_on(state: GuildState, user: UserId, period: Period, cause: Cause) -> Iterator[Draft]:
    """The one credit of a life is free again: it goes to the oldest other upgrade that somebody stands behind."""
    others = [each for each in state.periods_of(user) if each.opened_us != period.opened_us]
    if state.settings.vip_once != "life" or any(each.vip_credited for each in others):
        return
    for each in others:
        holder = _creditable(state, each, each.status, each.staff, user) if each.vip_since_us else None
        if holder and each.counted:
            name = state.holder_of(user, each.opened_us)
            yield from _Credited("vip", name, each.opened_us, each.verdicts).moves(None, holder, cause)
            return


def join_credit(
    state: GuildState, period: Period, status: Status, staff: UserId | None, user: UserId
) -> UserId | None:
    """Who holds the credit for a join under such a verdict."""
    if status is not Status.MANUAL and period.rejoin and not state.settings.credit_rejoins:
        return None
    return _creditable(state, period, status, staff, user)


def vip_credit(
    state: GuildState, period: Period, status: Status, staff: UserId | None, user: UserId, *, has: bool = False
) -> UserId | None:
    """Who holds the credit for the upgrade: whoever is behind the membership in which it came, rejoin or not."""
    if not (has or period.vip_since_us) or not period.counted:
        return None
    if state.settings.vip_once == "life" and _was_credited_before(state, user, period):
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


def _was_credited_before(state: GuildState, user: UserId, period: Period) -> bool:
    return any(each.vip_credited for each in state.periods_of(user) if each.opened_us != period.opened_us)


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
