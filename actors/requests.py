"""What stands in the journal's queue, and how it is cut into batches. Values; the journal serves them.

Appends that stand together become one batch, up to a limit; whatever else is a batch alone, and a barrier.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

import msgspec

from ledger.errors import LedgerError
from ledger.ids import GuildId
from ledger.records import Record
from persistence import store
from persistence.layer import Head

T = TypeVar("T")

MAX_BATCH_RECORDS: Final = 1_000
"""An append is never split; a larger one is a batch alone."""


class Committed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records that are durable. ``degraded``: not yet in every layer that LEDGER_ACK names."""

    records: tuple[Record, ...]
    head: Head
    size_bytes: int
    degraded: bool


class _Base:
    """Base of what stands in the queue: whoever waits, and for which life of which guild."""

    __slots__ = ("guild", "incarnation")

    def __init__(self, guild: GuildId, incarnation: int) -> None:
        self.guild = guild
        self.incarnation = incarnation


class Open(_Base):
    __slots__ = ("done",)

    def __init__(self, guild: GuildId, incarnation: int, done: asyncio.Future[store.Opened]) -> None:
        super().__init__(guild, incarnation)
        self.done = done


class Append(_Base):
    __slots__ = ("append", "done")

    def __init__(self, incarnation: int, append: store.Append, done: asyncio.Future[Committed]) -> None:
        super().__init__(append.guild, incarnation)
        self.append = append
        self.done = done


class Checkpoint(_Base):
    __slots__ = ("done", "forgot_seq", "head", "pages", "read_back")

    def __init__(
        self,
        guild: GuildId,
        incarnation: int,
        head: Head,
        pages: tuple[bytes, ...],
        done: asyncio.Future[Mapping[str, str]],
        *,
        forgot_seq: int,
        read_back: bool,
    ) -> None:
        super().__init__(guild, incarnation)
        self.forgot_seq = forgot_seq
        self.head = head
        self.pages = pages
        self.done = done
        self.read_back = read_back


Request: TypeAlias = Open | Append | Checkpoint


def next_batch(queue: deque[Request]) -> tuple[Request, ...]:
    """Takes the first request, which must be there, and the appends that stand right behind an append."""
    first = queue.popleft()
    if not isinstance(first, Append):
        return (first,)
    batch, size = [first], len(first.append.drafts)
    while queue and isinstance(follower := queue[0], Append):
        size += len(follower.append.drafts)
        if size > MAX_BATCH_RECORDS:
            break
        batch.append(follower)
        queue.popleft()
    return tuple(batch)


def resolve(done: asyncio.Future[T], value: T) -> None:
    """Answers whoever still waits."""
    if not done.done():
        done.set_result(value)


def fail(request: Request, error: LedgerError) -> None:
    """Answers whoever still waits with an error."""
    if not request.done.done():
        request.done.set_exception(error)
        # Whoever waited may be dead; its exception then has nobody to fetch it, and that is no news.
        request.done.exception()
