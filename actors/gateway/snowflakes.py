"""What Discord's ids (snowflakes) tell of time: when each was made, and so how old an account was. Pure."""

from typing import Final

from ledger.ids import UserId, is_tombstone

SNOWFLAKE_EPOCH_MS: Final = 1_420_070_400_000
"""Discord's: the first moment of 2015."""
DAY_US: Final = 86_400_000_000
_TIME_BITS: Final = 22
"""Of an id these low ones are no time."""


def moment_of(snowflake: str) -> int:
    """When the id was made, in microseconds since the epoch; exact to the millisecond."""
    return ((int(snowflake) >> _TIME_BITS) + SNOWFLAKE_EPOCH_MS) * 1_000


def age_us(user: UserId, joined_us: int) -> int | None:
    """How old the account was at its join; clocks may differ, so it is never below 0. None: of somebody forgotten."""
    return None if is_tombstone(user) or not user.isdecimal() else max(0, joined_us - moment_of(user))


def is_young(user: UserId, joined_us: int, young_days: int) -> bool:
    """Whether the account was younger than that at its join; of somebody forgotten it is not known, so it is not."""
    return young_days > 0 and not is_tombstone(user) and joined_us - moment_of(user) < young_days * DAY_US
