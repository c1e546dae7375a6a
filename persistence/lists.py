"""What lists and names are asked of: the database's side tables, beside the records (``sqlite_lists.py``).

Lists are for people to read: whatever decides something asks the guild's state. Names lie outside the chain, so that
a person can be forgotten without breaking it; they are asked of Discord again when they are lost.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from ledger.ids import GuildId, UserId
from ledger.records import Credit, Record, Status

MAX_PAGE: Final = 250
"""Joins a page: so few that reading them takes less than 5 ms."""
MAX_VERDICTS: Final = 50
MAX_CREDITS: Final = 100
"""Of one user: each of their verdicts moves two at most."""
MAX_NAMES: Final = 1_000
"""Names read or kept at once."""
MAX_NAME_CHARACTERS: Final = 100
"""The longest name Discord has is a guild's; members' are shorter."""


class JoinRow(msgspec.Struct, frozen=True, kw_only=True):
    """A join and the verdict in force. ``left_us``: 0 = still a member, -1 = unknown; ``verdict_seq``: 0 = none yet.

    Without a verdict ``status`` is ``pending``.
    """

    seq: int
    user: UserId
    opened_us: int
    origin: str
    left_us: int
    verdict_seq: int
    status: Status
    code: str | None
    inviter: UserId | None
    staff: UserId | None
    candidates: tuple[str, ...]
    reason: str


class CreditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A credit that was granted (``amount`` 1) or taken back (-1), for the membership opened at ``opened_us``."""

    seq: int
    staff: UserId
    amount: int
    user: UserId
    opened_us: int
    kind: Credit


CreditPlace: TypeAlias = tuple[int, int]
"""Behind which credit a page begins: its staff member, as a number, and its seq."""
FIRST_CREDIT: Final[CreditPlace] = (-(2**63), 0)
"""Before all of them; who was forgotten has a number below 0."""


class Lists(Protocol):
    """Reads and writes of a few milliseconds each. Errors of every method: ``StorageError``, ``Corrupt``."""

    async def joins_page(self, guild: GuildId, after_seq: int, limit: int) -> Sequence[JoinRow]:
        """The guild's joins behind a seq, in order, at most ``limit`` (1 to ``MAX_PAGE``)."""
        ...

    async def credits_page(self, guild: GuildId, after: CreditPlace, limit: int) -> Sequence[CreditRow]:
        """The guild's credits of every kind behind a place, by staff member and seq, at most ``limit``."""
        ...

    async def verdicts(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        """The newest ``MAX_VERDICTS`` verdicts on a user's joins as they were recorded, oldest first.

        Whoever was forgotten has none under their id. Who is named in them may have been forgotten since.
        """
        ...

    async def credits_of(self, guild: GuildId, user: UserId) -> Sequence[Record]:
        """The newest ``MAX_CREDITS`` credits for a user's joins, granted or taken back, likewise.

        Looks through all credits of the guild, which lie by staff member: 7 ms for each 100,000.
        """
        ...

    async def names(self, guild: GuildId, users: Collection[UserId]) -> Mapping[UserId, str]:
        """The display names that are known, of at most ``MAX_NAMES`` users."""
        ...

    async def put_names(self, guild: GuildId, names: Mapping[UserId, str]) -> None:
        """Keeps display names (at most ``MAX_NAMES``), over those that were there; each as ``storable`` gives it."""
        ...

    async def forget_names(self, guild: GuildId | None, user: UserId | None) -> int:
        """Deletes names: of a user in a guild, of all users of a guild (``user`` None), or of a user everywhere
        (``guild`` None). How many rows were deleted. Both None would be everything, and is a bug.
        """
        ...


def storable(name: str) -> str:
    """A name as it is kept: half a surrogate pair is no text and becomes U+FFFD; what is too long is cut."""
    text = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text[:MAX_NAME_CHARACTERS]
