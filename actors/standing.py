"""What the process knows of a guild beside its actor, and does for it: what commands may ask (``Inside``).

Values and a protocol; ``supervisor.py`` keeps it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from actors.mailbox import MailboxStatistics
from ledger.errors import StorageError
from ledger.ids import GuildId
from persistence.lists import Lists

T = TypeVar("T")

UNKNOWN_SEQ: Final = -1


class NotRunning(StorageError):
    """The guild's actor has no life that could do it now."""

    hint = "ask again in a moment; if it stays so, look at the log lines actor.restarted and guild.parked"


class LayerStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as one guild sees it.

    ``seq``: the guild's newest record there, -1 = not known while the layer is broken; ``behind``: how many records
    of the process it lacks; ``error``: "" = healthy.
    """

    name: str
    seq: int
    behind: int
    error: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """How a life came to its state: from which layer ("" = nothing was there), at which seq, by how many records."""

    layer: str = ""
    seq: int = 0
    records: int = 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A guild from outside its actor.

    ``phase``: the actor's, or "parked", "passivated" or "left"; ``restored_from``: the layer the running life came
    back from ("" = nothing was there), at ``restored_seq``, by ``replayed`` records behind a checkpoint; ``leader``:
    the layer that won when the process started; ``restarts``: of the guild's actor since then.
    """

    phase: str
    layers: tuple[LayerStanding, ...]
    restored_from: str
    restored_seq: int
    replayed: int
    leader: str
    mailbox: MailboxStatistics
    restarts: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: the seq it stands at, and by layer "" (written and read back equal) or what went wrong."""

    seq: int
    layers: Mapping[str, str]


class Inside(Protocol):
    """The process, for commands."""

    def is_standby(self) -> bool:
        """Whether another process still writes the history, and answers."""
        ...

    def standing(self, guild: GuildId) -> Standing | None:
        """What is known of a guild; None for one that has no actor."""
        ...

    async def keep_checkpoint(self, guild: GuildId) -> Kept:
        """Writes a checkpoint of the guild as it is now into every layer, and reads it back.

        Raises:
            StorageError: when no layer takes one; ``NotRunning`` when the guild has no life at its head.
        """
        ...

    async def read(self, query: Callable[[Lists], Awaitable[T]]) -> T:
        """Runs a short query on the lists, between two batches of the journal. Long ones are cut into pages.

        Raises:
            StorageError: when the database cannot be read now.
        """
        ...
