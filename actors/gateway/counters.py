"""Invites as counters: how a row of the invite list, or an INVITE_CREATE, becomes a ``ledger.records.Counter``.

Guest invites (flag 1) become none: they never bring a member.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from actors.gateway.payloads import InviteBorn, InviteRow, micros
from ledger.ids import ChannelId
from ledger.records import Counter

GUEST_INVITE_FLAG: Final = 1


def is_guest(invite: InviteBorn | InviteRow) -> bool:
    """Whether it lets people in as guests only."""
    return bool(invite.flags & GUEST_INVITE_FLAG)


def newborn(invite: InviteBorn) -> Counter:
    """The counter of an invite that was just created; its uses are 0."""
    return _counter(invite, invite.created_at, uses=0, channel=invite.channel_id)


def just_made(row: InviteRow) -> Counter | None:
    """The counter of an invite that we made, from Discord's answer; None where that came without its metadata."""
    return next(iter(counters_of((row,)) or ()), None)


def counters_of(rows: Iterable[InviteRow]) -> tuple[Counter, ...] | None:
    """The counters of an invite list; None when the list came without its metadata."""
    counters: list[Counter] = []
    for row in rows:
        if row.uses is None or row.created_at is None:
            return None
        if not is_guest(row):
            channel = row.channel.id if row.channel else None
            counters.append(_counter(row, row.created_at, uses=row.uses, channel=channel))
    return tuple(counters)


def _counter(
    invite: InviteBorn | InviteRow, created_at: datetime, *, uses: int, channel: ChannelId | None
) -> Counter:
    created_at_us = micros(created_at)
    return Counter(
        code=invite.code,
        created_at_us=created_at_us,
        uses=uses,
        max_uses=invite.max_uses,
        expires_at_us=_expiry_us(invite, created_at_us),
        inviter=invite.inviter.id if invite.inviter else None,
        inviter_is_bot=invite.inviter is not None and invite.inviter.bot,
        channel=channel,
        roles=invite.role_ids,
    )


def _expiry_us(invite: InviteBorn | InviteRow, created_at_us: int) -> int | None:
    if invite.expires_at is not None:
        return micros(invite.expires_at)
    return created_at_us + invite.max_age * 1_000_000 if invite.max_age else None
