"""Whether a store can do what the cloud layer stands on: tried at start and by ``doctor``, with keys of its own.

What must hold: a key is created once, also by several who try at the same time; what was written is read and listed
at once; what was deleted is gone. Some S3-compatible stores know no conditional writes and silently write over what
is there: with them two processes would both believe that they hold the history, so they are refused. Replacing an
object if it is still the same (If-Match) is not tried, for it is not used: every key that two writers could want is
created once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ledger.errors import LedgerError, StorageError
from ledger.ports import Randomness
from persistence.objects import Objects, Refused, create_once

PROBES: Final = "probe/"
"""Where its keys are; what a killed process left there is harmless."""
RACERS: Final = 4


class StoreUnfit(LedgerError):
    """A store cannot do what fencing stands on. ``failings``: what, a clause each."""

    hint = "use S3, R2, MinIO, SeaweedFS, Tigris, another store with conditional writes (If-None-Match), or the vault"

    def __init__(self, address: str, failings: Sequence[str]) -> None:
        super().__init__(f"{address} cannot keep two writers apart: it {'; it '.join(failings)}")
        self.failings = tuple(failings)


async def probe(objects: Objects, randomness: Randomness) -> None:
    """Writes, reads, lists and deletes two small objects.

    Raises:
        StoreUnfit: when it does not do all of it as it must.
        Unreachable: when it does not answer; nothing is known then.
        Refused: when it lets us not do some of it.
    """
    token = randomness.token()
    once, raced = f"{PROBES}{token}-once", f"{PROBES}{token}-raced"
    try:
        failings = [*await _once(objects, once, token), *await _raced(objects, raced, token)]
    except Refused:
        with suppress(StorageError):
            await _tidy(objects, once, raced)
        raise
    await _tidy(objects, once, raced)
    if await objects.get(once) is not None:
        failings.append("still gives what was deleted")
    if failings:
        raise StoreUnfit(objects.address, failings)


async def _once(objects: Objects, key: str, token: str) -> list[str]:
    failings: list[str] = []
    first, second = f"first {token}".encode(), f"second {token}".encode()
    if await objects.get(key) is not None or not await create_once(objects, key, first):
        failings.append("says that there is something where nothing was written")
    if await objects.create(key, second) or await objects.get(key) == second:
        failings.append("writes over what is there, though told not to (it ignores If-None-Match)")
    elif await objects.get(key) != first:
        failings.append("does not give what was written just before")
    if key not in [each async for each in objects.keys(PROBES)]:
        failings.append("does not list what was written just before")
    return failings


async def _raced(objects: Objects, key: str, token: str) -> list[str]:
    bodies = [f"{racer} {token}".encode() for racer in range(RACERS)]
    won = await asyncio.gather(*(create_once(objects, key, body) for body in bodies))
    return [] if won.count(True) == 1 else ["lets several create the same object at the same time"]


async def _tidy(objects: Objects, *keys: str) -> None:
    for key in keys:
        await objects.delete(key)
