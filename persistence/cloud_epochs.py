"""Epochs in the cloud: ``epoch/{e}``, created once, so that each is one process's alone.

    {"epoch":3,"writer":"…","put_id":"…","at_ms":…}

``writer``: the id of the data folder; ``at_ms``: our clock, for people.
"""

from typing import Final

import msgspec

from ledger.ports import Clock, Randomness
from persistence.cloud_bytes import numbers
from persistence.objects import Objects, create_once

EPOCHS: Final = "epoch/"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What lies under an epoch's key."""

    epoch: int
    writer: str
    put_id: str
    at_ms: int


class _Claimed(msgspec.Struct, frozen=True):
    """What is asked of a claim, whichever release wrote the rest of it."""

    writer: str


def writer_of(body: bytes) -> str:
    """Who claimed an epoch, by its object; "" where that was damaged."""
    try:
        return msgspec.json.decode(body, type=_Claimed).writer
    except ValueError:
        return ""


def epoch_key(epoch: int) -> str:
    """Where an epoch's claim lies."""
    return f"{EPOCHS}{epoch:010d}"


class CloudEpochs:
    """The epochs that were claimed, by whomever."""

    def __init__(self, objects: Objects, randomness: Randomness, clock: Clock, writer: str) -> None:
        self._objects = objects
        self._randomness = randomness
        self._clock = clock
        self._writer = writer
        self._claims: dict[int, bytes] = {}
        self._highest = 0

    async def claim(self, epoch: int) -> bool:
        """Whether the epoch is this process's own: now, or since an earlier call, whose answer may have been lost."""
        if epoch not in self._claims:
            claim = Claim(
                epoch=epoch, writer=self._writer, put_id=self._randomness.token(), at_ms=self._clock.now_ms()
            )
            self._claims[epoch] = msgspec.json.encode(claim)
        return await create_once(self._objects, epoch_key(epoch), self._claims[epoch])

    async def highest(self) -> int:
        """The highest epoch that anybody has claimed; 0 = none."""
        there = await self._from(self._highest)
        if self._highest not in there:
            there = await self._from(0)  # at the first time, or where a copy of before was put in the store's place
        self._highest = max(there, default=0)
        return self._highest

    async def has_claimed(self, epoch: int) -> bool:
        """Whether this folder has claimed it, in this life or an earlier one; one that was damaged counts."""
        body = await self._objects.get(epoch_key(epoch))
        return body is not None and writer_of(body) in ("", self._writer)

    async def _from(self, epoch: int) -> set[int]:
        return {number async for number in numbers(self._objects, EPOCHS, max(0, epoch - 1))}
