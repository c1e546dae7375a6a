"""Objects that are asked again: a network has blips, and a blip is no outage.

Each call is safe to repeat: whoever creates looks whose object it is (``create_once``). What lasts longer than these
few seconds is an outage, and the uploader's to wait out (``actors/uploader.py``).
"""

from collections.abc import AsyncIterator
from typing import Final

from stamina import AsyncRetryingCaller

from persistence.objects import Objects, Unreachable

ATTEMPTS: Final = 3
LIMIT_S: Final = 20.0
"""No other try is begun after so long; one that is under way may take the store's own limit."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0


class PatientObjects:
    """``Objects``, each call of which is tried up to three times while the store does not answer."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._again = AsyncRetryingCaller(
            attempts=ATTEMPTS,
            timeout=LIMIT_S,
            wait_initial=FIRST_PAUSE_S,
            wait_max=LONGEST_PAUSE_S,
            wait_jitter=FIRST_PAUSE_S,
        ).on(Unreachable)

    @property
    def address(self) -> str:
        return self._objects.address

    async def get(self, key: str) -> bytes | None:
        return await self._again(self._objects.get, key)

    async def create(self, key: str, data: bytes) -> bool:
        return await self._again(self._objects.create, key, data)

    async def put(self, key: str, data: bytes) -> None:
        await self._again(self._objects.put, key, data)

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        for key in await self._again(self._listed, prefix, after):
            yield key

    async def delete(self, key: str) -> None:
        await self._again(self._objects.delete, key)

    async def close(self) -> None:
        await self._objects.close()

    async def _listed(self, prefix: str, after: str) -> list[str]:
        return [key async for key in self._objects.keys(prefix, after)]
