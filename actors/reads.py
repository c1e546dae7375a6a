"""Reads, waiting until the journal has a moment: between two batches, on the connection that they share.

Rules: one at a time, first come, first served. What a layer raises breaks the layer (``Store.read``); whatever else
a query raises is its author's bug, which whoever asked is told, and nobody else. All joins wait for a query, so its
time is limited; one that is cut off may have left a transaction open, and breaks its layer as well.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from ledger.errors import LedgerError, StorageError
from persistence.store import Store

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_READ_S: Final = 10.0
"""A page takes milliseconds; what takes so long hangs."""


class _Read(Generic[T_co]):
    """What is to be read of the store, and who waits for it."""

    __slots__ = ("_done", "_work")

    def __init__(self, work: Callable[[Store], Awaitable[T_co]], done: asyncio.Future[T_co]) -> None:
        self._work = work
        self._done = done

    def is_over(self) -> bool:
        """Whether it was answered, or nobody waits any more."""
        return self._done.done()

    async def serve(self, store: Store) -> None:
        (outcome,) = await asyncio.gather(self._work(store), return_exceptions=True)
        if isinstance(outcome, BaseException):
            self.fail(outcome)
        elif not self.is_over():
            self._done.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        if not self.is_over():
            self._done.set_exception(error)
            self._done.exception()  # whoever waited may be gone by the time it is fetched, and that is no news


class Reads:
    """The queue of reads. The journal serves it, and voids it when it dies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Read[object]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, work: Callable[[Store], Awaitable[T]]) -> asyncio.Future[T]:
        """Puts a read behind those that wait; the future has its result, or what it raised."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        read: _Read[T] = _Read(work, done)
        self._waiting.append(read)
        return done

    async def serve_one(self) -> None:
        """Runs the first that somebody still waits for. Cancelled on the way, it is answered all the same."""
        while self._waiting:
            read = self._waiting.popleft()
            if read.is_over():
                continue
            try:
                await read.serve(self._store)
            finally:
                read.fail(StorageError("the journal stopped while this was in its hands"))
            return

    def void(self, error: LedgerError) -> None:
        """Answers all that wait with an error."""
        while self._waiting:
            self._waiting.popleft().fail(error)


async def in_time(query: Callable[[S], Awaitable[T]], source: S) -> T:
    """A query's result, if it comes in time.

    Raises:
        StorageError: when it does not.
    """
    limit = asyncio.timeout(MAX_READ_S)
    try:
        async with limit:
            return await query(source)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the query's own
        raise StorageError(f"a query was not done after {MAX_READ_S:g} s") from error
