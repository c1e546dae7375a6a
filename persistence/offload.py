"""How blocking disk work leaves the event loop: one call at a time, in order.

One thread, so that work whose caller was cancelled is over before the next begins: a layer that is opened again never
meets its own late write. What was asked for is done, also where the caller went while it still waited for its turn: a
database that is never closed stays locked. The thread belongs to whoever made the offload and is closed there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking work elsewhere and gives its result, or raises what it raised."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """Runs ``work``. A cancelled caller goes on at once; the work is done all the same, and nobody hears how."""
        ...


class ThreadOffload:
    """One thread of its own."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, work: Callable[[], T]) -> T:
        asked = asyncio.get_running_loop().run_in_executor(self._executor, work)
        asked.add_done_callback(_heard)
        return await asyncio.shield(asked)  # noqa: TID251 -- a thread's work outlives its owner anyhow

    def close(self) -> None:
        """Ends the thread when what it was asked for is done, and waits for that."""
        self._executor.shutdown(wait=True)

    def drop(self) -> None:
        """Ends the thread behind the work in hand, and waits for that; what waited for its turn is not done."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def leave(self) -> None:
        """As ``close``, and nobody waits: a folder on another machine may hang for ever."""
        self._executor.shutdown(wait=False)


def _heard(asked: "asyncio.Future[T]") -> None:
    """Whoever asked may be gone by the time it fails."""
    if not asked.cancelled():
        asked.exception()


async def inline(work: Callable[[], T]) -> T:
    """Runs the work where it stands: for tests, which have no loop to protect."""
    return work()
