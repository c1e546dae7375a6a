"""Objects in memory, for tests and models: one bucket that several processes look at, and whatever can go wrong.

A hook is awaited *before* a call takes effect and one *after* it; what it raises the call raises, how long it takes
the call takes. So a test has each fault of a real store:

    the answer is late              ``after`` sleeps (``before``: the call takes effect late)
    it is lost after the write      ``after`` raises ``Unreachable``
    it is refused, the store away   ``before`` raises ``Refused``, ``Unreachable``
    a write arrives after all       ``before`` keeps the call and raises ``Unreachable``; later ``bucket.take(call)``
    yesterday's copy is restored    ``bucket.roll_back(copy)``

Deterministic: nothing here waits by itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Literal, TypeAlias

import msgspec

from persistence.objects import check_key


class Call(msgspec.Struct, frozen=True):
    """What a process asks of the bucket; ``key`` of ``keys`` is the prefix."""

    verb: Literal["get", "create", "put", "keys", "delete"]
    key: str
    data: bytes = b""


Hook: TypeAlias = Callable[[Call], Awaitable[None]]


class MemoryBucket:
    """What is durable, whoever looks at it."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})

    def take(self, call: Call) -> bool:
        """Lets a write take effect; False when it is a ``create`` of a key that is taken."""
        if call.verb == "create" and call.key in self.objects:
            return False
        if call.verb == "delete":
            self.objects.pop(call.key, None)
        else:
            self.objects[call.key] = call.data
        return True

    def copy(self) -> "MemoryBucket":
        return MemoryBucket(self.objects)

    def roll_back(self, earlier: "MemoryBucket") -> None:
        """Becomes what it was when the copy was made; the copy stays as it is."""
        self.objects = dict(earlier.objects)


class MemoryObjects:
    """``Objects`` of one process. ``before``, ``after``: the hooks."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self.bucket = bucket
        self.before: Hook = _nothing
        self.after: Hook = _nothing

    @property
    def address(self) -> str:
        return "memory://bucket"

    async def get(self, key: str) -> bytes | None:
        call = await self._begin(Call("get", key))
        found = self.bucket.objects.get(key)
        await self.after(call)
        return found

    async def create(self, key: str, data: bytes) -> bool:
        return await self._write(Call("create", key, data))

    async def put(self, key: str, data: bytes) -> None:
        await self._write(Call("put", key, data))

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        call = Call("keys", prefix)
        await self.before(call)
        found = sorted(key for key in self.bucket.objects if key.startswith(prefix) and key > after)
        await self.after(call)
        for key in found:
            yield key

    async def delete(self, key: str) -> None:
        await self._write(Call("delete", key))

    async def close(self) -> None:
        """Nothing to release."""

    async def _write(self, call: Call) -> bool:
        await self._begin(call)
        done = self.bucket.take(call)
        await self.after(call)
        return done

    async def _begin(self, call: Call) -> Call:
        check_key(call.key)
        await self.before(call)
        return call


async def _nothing(call: Call) -> None:
    del call
