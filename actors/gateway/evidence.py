"""What Discord knows besides its counters, read for the solver: entries of the audit log.

Pure: rows of an answer in, facts out. Asking is ``rest``'s business, what a fact proves the solver's.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from actors.gateway.payloads import AuditRow, Code, User
from ledger.ids import InviteCode, UserId

SNOWFLAKE_EPOCH_MS: Final = 1_420_070_400_000
"""Discord's: the first moment of 2015."""
_TIME_BITS: Final = 22
"""Of an id these low ones are no time."""


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
        by: who did it; None = Discord does not say.
        at_us: when, down to the millisecond, as the entry's id says.
    """

    action: Action
    code: InviteCode | None
    target: UserId | None
    by: UserId | None
    at_us: int


def moment_of(snowflake: str) -> int:
    """When the id was made, in microseconds since the epoch; exact to the millisecond."""
    return ((int(snowflake) >> _TIME_BITS) + SNOWFLAKE_EPOCH_MS) * 1_000


def audited(rows: Sequence[AuditRow], action: Action, since_us: int) -> tuple[Audited, ...]:
    """The entries of that action that are not older, the oldest first.

    Raises:
        msgspec.ValidationError: when an invite's entry does not name its code.
    """
    wanted = [row for row in rows if row.action_type == action and not is_older(row, since_us)]
    return tuple(_entry(row, action) for row in sorted(wanted, key=lambda row: int(row.id)))


def is_older(row: AuditRow, since_us: int) -> bool:
    """Whether the entry is older; in the same millisecond nobody can say, so it is not."""
    return moment_of(row.id) // 1_000 < since_us // 1_000


def _entry(row: AuditRow, action: Action) -> Audited:
    is_bot = action is Action.BOT_ADDED
    return Audited(
        action=action,
        code=None if is_bot else _code(row),
        target=msgspec.convert(row.target_id, User) if is_bot else None,
        by=row.user_id,
        at_us=moment_of(row.id),
    )


def _code(row: AuditRow) -> InviteCode:
    """What was deleted stands as the old value, what was made as the new one."""
    values = {change.key: (change.old_value, change.new_value) for change in row.changes}
    old, new = values.get("code", (None, None))
    return msgspec.convert(new if old is None else old, Code)
