"""The probe finds out what a store cannot do, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from persistence.disk import RealDisk
from persistence.objects import Objects, Refused, Unreachable
from persistence.offload import inline
from persistence.probe import StoreUnfit, probe
from persistence.stores import open_objects
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.careless_s3 import careless_s3
from tests.persistence.making import TestRandomness
from tests.servers import S3


def opened(s3: S3) -> Objects:
    return open_objects(s3.address(), None, s3.environ, disk=RealDisk(), offload=inline, randomness=TestRandomness())


@pytest.mark.parametrize("server", ["seaweed", "moto"])
async def test_a_fit_store_passes_and_nothing_stays(request: pytest.FixtureRequest, server: str):
    objects = opened(request.getfixturevalue(server))
    await objects.create("probe/of-another", b"x")
    await probe(objects, TestRandomness())
    assert [key async for key in objects.keys("")] == ["probe/of-another"]


async def test_an_s3_that_ignores_conditions_is_found_out():
    async with careless_s3() as (s3, _):
        objects = opened(s3)
        with pytest.raises(StoreUnfit, match=r"^s3://ledger/.* cannot keep two writers apart") as caught:
            await probe(objects, TestRandomness())
        assert caught.value.failings[0].startswith("writes over what is there")
        assert "If-None-Match" in caught.value.hint
        assert [key async for key in objects.keys("")] == []


class Overwriting(MemoryObjects):
    async def create(self, key: str, data: bytes) -> bool:
        await self.put(key, data)
        return True


class SilentlyOverwriting(MemoryObjects):
    """Tells the truth about what was there, and writes all the same."""

    async def create(self, key: str, data: bytes) -> bool:
        there = await self.get(key) is not None
        await self.put(key, data)
        return not there


class Looking(MemoryObjects):
    """Looks first and writes then: two who look at the same time both write."""

    async def create(self, key: str, data: bytes) -> bool:
        if await self.get(key) is not None:
            return False
        await asyncio.sleep(0)
        await self.put(key, data)
        return True


class Lagging(MemoryObjects):
    """Lists what was there before."""

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        for key in sorted(self.bucket.objects)[:-1]:
            if key.startswith(prefix) and key > after:
                yield key


class Forgetful(MemoryObjects):
    """Gives what is there only when asked again."""

    async def get(self, key: str) -> bytes | None:
        self.asked = getattr(self, "asked", 0) + 1
        return await super().get(key) if self.asked > 4 else None


class Keeping(MemoryObjects):
    async def delete(self, key: str) -> None:
        del key


class Full(MemoryObjects):
    """Has something everywhere."""

    async def create(self, key: str, data: bytes) -> bool:
        self.bucket.objects.setdefault(key, b"mine")
        return await super().create(key, data)


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (Overwriting, "writes over what is there"),
        (SilentlyOverwriting, "writes over what is there"),
        (Looking, "lets several create the same object"),
        (Lagging, "does not list what was written"),
        (Forgetful, "does not give what was written"),
        (Keeping, "still gives what was deleted"),
        (Full, "there is something where nothing was written"),
    ],
)
async def test_each_failing_is_named(kind: Callable[[MemoryBucket], MemoryObjects], failing: str):
    with pytest.raises(StoreUnfit, match=failing):
        await probe(kind(MemoryBucket()), TestRandomness())


@pytest.mark.parametrize("error", [Unreachable("no answer"), Refused("403")])
async def test_a_store_that_does_not_answer_is_not_called_unfit(error: Exception):
    async def fail(_: Call) -> None:
        raise error

    objects = MemoryObjects(MemoryBucket())
    objects.before = fail
    with pytest.raises(type(error)):
        await probe(objects, TestRandomness())


async def test_what_was_written_is_removed_though_listing_is_refused():
    async def fail(call: Call) -> None:
        if call.verb == "keys":
            raise Refused("403")

    objects = MemoryObjects(MemoryBucket())
    objects.before = fail
    with pytest.raises(Refused):
        await probe(objects, TestRandomness())
    assert objects.bucket.objects == {}
