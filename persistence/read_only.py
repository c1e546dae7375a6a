"""A store that is only looked at: for commands that read the cloud beside whoever writes it."""

from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from persistence.objects import Objects


class ReadOnly:
    """``Objects`` that nobody can write through; some keys may be kept out of sight."""

    def __init__(
        self, objects: Objects, *, hidden: tuple[str, ...] = (), advance: Callable[[], None] = lambda: None
    ) -> None:
        """``hidden``: beginnings of keys that seem not to be there; ``advance`` is told of every object read."""
        self._objects = objects
        self._hidden = hidden
        self._advance = advance

    @property
    def address(self) -> str:
        return self._objects.address

    async def get(self, key: str) -> bytes | None:
        if key.startswith(self._hidden):
            return None
        data = await self._objects.get(key)
        self._advance()
        return data

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        async for key in self._objects.keys(prefix, after):
            if not key.startswith(self._hidden):
                yield key

    async def create(self, key: str, data: bytes) -> NoReturn:
        del data
        raise AssertionError(f"{key} would be written by who may only read")

    async def put(self, key: str, data: bytes) -> NoReturn:
        await self.create(key, data)

    async def delete(self, key: str) -> NoReturn:
        await self.create(key, b"")

    async def close(self) -> None:
        await self._objects.close()
