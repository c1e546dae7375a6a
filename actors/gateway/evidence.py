"""What Discord knows besides its counters, read for the solver: entries of the audit log, and by
which way members came.

Pure: rows of an answer in, facts out. Asking is ``rest``'s business, what a fact proves the solver's.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Final

import msgspec

from actors.gateway.failures import Malformed, NotReady, wait_of
from actors.gateway.payloads import AuditRow, Code, Count, SearchAnswer, SearchRow, User, micros
from actors.gateway.snowflakes import moment_of
from ledger import messages as m
from ledger.ids import GuildId, InviteCode, UserId

INDEX_NOT_READY: Final = 110_000
UNSAID_S: Final = 5.0
"""To wait for the index, where the answer does not say."""


class Action(IntEnum):
    """The actions that are read, by Discord's numbers."""

    BOT_ADDED = 28
    INVITE_CREATED = 40
    INVITE_DELETED = 42  # by somebody; an invite that is used up or expires has no entry


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log.

    Attributes:
        code: the invite it is about; None = about none.
        target: the id of whom it is about, a bot's; None = about an invite.
        by: who did it; None = Discord does not say. ``by_bot``: a bot did.
        at_us: when, down to the millisecond, as the entry's id says.
        max_uses, max_age_s: of the invite; 0 = no limit.
    """

    action: Action
    code: InviteCode | None
    target: UserId | None
    by: UserId | None
    at_us: int
    by_bot: bool = False
    max_uses: int = 0
    max_age_s: int = 0


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What Discord reports of one membership, which need not be the member's present one.

    Attributes:
        joined_at_us: exact to the millisecond at least; older memberships leave stale rows.
        code: the invite or the vanity code; None = by no invite, or Discord does not say.
        way: ``join_source_type``: 0 unspecified, 1 bot, 2 integration, 3 discovery, 4 hub, 5 invite, 6 vanity,
            7 manual approval, 8 lobby; others may come.
    """

    user: UserId
    joined_at_us: int
    code: InviteCode | None
    inviter: UserId | None
    way: int


def audited(
    rows: Sequence[AuditRow], action: Action, since_us: int, bots: Collection[UserId] = ()
) -> tuple[Audited, ...]:
    """The entries of that action that are not older, the oldest first. ``bots``: who of their authors is one.

    Raises:
        msgspec.ValidationError: when an invite's entry does not name its code.
    """
    wanted = [row for row in rows if row.action_type == action and not is_older(row, since_us)]
    return tuple(entry_of(row, action, bots) for row in sorted(wanted, key=lambda row: int(row.id)))


def searched(answer: SearchAnswer, guild: GuildId) -> tuple[Searched, ...] | Malformed | NotReady:
    """The rows of an answer, by the time of joining; without guests, who have none."""
    if answer.members is None and answer.code == INDEX_NOT_READY:
        return NotReady(retry_after_s=wait_of(answer.retry_after, UNSAID_S))
    if answer.members is None:
        return Malformed(why=f"a search without members, code {answer.code}")
    if answer.guild_id != guild:
        return Malformed(why="the search of another guild")
    rows = (_searched(row, row.member.joined_at) for row in answer.members if row.member.joined_at is not None)
    return tuple(sorted(rows, key=place_of))


def place_of(row: Searched) -> tuple[int, int]:
    """Where it stands, the oldest first: milliseconds since the epoch and the id, which are the search's cursor."""
    return row.joined_at_us // 1_000, int(row.user)


def is_older(row: AuditRow, since_us: int) -> bool:
    """Whether the entry is older; in the same millisecond nobody can say, so it is not."""
    return moment_of(row.id) // 1_000 < since_us // 1_000


def entry_of(row: AuditRow, action: Action, bots: Collection[UserId] = ()) -> Audited:
    """The entry, which is one of that action.

    Raises:
        msgspec.ValidationError: when it does not name its invite, or its bot.
    """
    is_bot = action is Action.BOT_ADDED
    return Audited(
        action=action,
        code=None if is_bot else msgspec.convert(_value(row, "code"), Code),
        target=msgspec.convert(row.target_id, User) if is_bot else None,
        by=row.user_id,
        at_us=moment_of(row.id),
        by_bot=row.user_id in bots,
        max_uses=msgspec.convert(_value(row, "max_uses") or 0, Count),
        max_age_s=msgspec.convert(_value(row, "max_age") or 0, Count),
    )


def deletions_in(entries: Iterable[Audited]) -> tuple[m.DeletedInvite, ...]:
    """Those of the entries that are about a deletion, as guilds are told of it."""
    return tuple(
        m.DeletedInvite(code=each.code, at_us=each.at_us, by=each.by)
        for each in entries
        if each.action is Action.INVITE_DELETED and each.code
    )


def creations_in(entries: Iterable[Audited]) -> tuple[m.CreatedInvite, ...]:
    """Those of the entries that are about a creation, as guilds are told of it."""
    return tuple(
        m.CreatedInvite(
            code=each.code,
            at_us=each.at_us,
            max_uses=each.max_uses,
            max_age_s=each.max_age_s,
            by=each.by,
            by_bot=each.by_bot,
        )
        for each in entries
        if each.action is Action.INVITE_CREATED and each.code
    )


def bots_in(entries: Iterable[Audited]) -> tuple[m.AddedBot, ...]:
    """Those of the entries that say who added a bot, as guilds are told of it."""
    return tuple(m.AddedBot(bot=each.target, by=each.by) for each in entries if each.target and each.by)


def _searched(row: SearchRow, joined_at: datetime) -> Searched:
    return Searched(
        user=row.member.user.id,
        joined_at_us=micros(joined_at),
        code=row.source_invite_code,
        inviter=row.inviter_id,
        way=row.join_source_type,
    )


def _value(row: AuditRow, field: str) -> object:
    """Of what was deleted the old value, of what was made the new one; None where there is neither."""
    values = {
        change.key: change.new_value if change.old_value is None else change.old_value for change in row.changes
    }
    return values.get(field)
