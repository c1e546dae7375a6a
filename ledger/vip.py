"""VIPs: who has one of the roles that the owner named, and who is credited for that.

The role is compared wherever Discord shows a member: their events, and the member list after an absence. So an
upgrade is noticed late rather than never, and twice is once.
"""

from collections.abc import Iterator, Sequence

import msgspec

from ledger import records as r
from ledger.ids import RoleId, UserId
from ledger.messages import RecordJoin
from ledger.state import GuildState


def vip_drafts(
    state: GuildState, user: UserId, roles: Sequence[RoleId], at_us: int, cause: r.Cause
) -> Iterator[r.Draft]:
    """What a member's roles say that is news: the upgrade, or its end, which takes no credit back."""
    wanted, period = state.settings.vip_roles, state.current(user)
    if not wanted or period is None or not period.is_open() or period.bot:
        return
    has = not set(wanted).isdisjoint(roles)
    if has == period.vip:
        return
    name = state.holder_of(user, period.opened_us)
    event = r.VipChanged(user=name, opened_us=period.opened_us, has=has, at_us=at_us)
    yield r.Draft(event=event, cause=cause, key=f"vip/{name}/{period.opened_us}/{state.seq}")


def joined_as_vip(state: GuildState, join: RecordJoin) -> Iterator[r.Draft]:
    """Who has a role at the join, or in the list that shows it, gained it in this membership, not in one before."""
    if join.bot or set(state.settings.vip_roles).isdisjoint(join.roles):
        return
    event = r.VipChanged(user=join.user, opened_us=join.joined_at_us, has=True, at_us=join.arrived_us)
    yield r.Draft(event=event, cause=join.cause, key=f"vip/{join.user}/{join.joined_at_us}/{state.seq}")


def vip_changed(state: GuildState, event: r.VipChanged) -> None:
    """What the event means for the membership."""
    period = state.membership(event.user, event.opened_us)
    if period is not None:
        since_us = period.vip_since_us or (event.at_us if event.has else 0)
        changed = msgspec.structs.replace(period, vip=event.has, vip_since_us=since_us)
        state.members[event.user] = tuple(
            changed if each is period else each for each in state.members.get(event.user, ())
        )
