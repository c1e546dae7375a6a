"""Objects in memory let a test make each fault of a real store."""

import pytest

from persistence.objects import Unreachable, create_once
from tests.memory.objects import Call, MemoryBucket, MemoryObjects


async def fail(call: Call) -> None:
    raise Unreachable(f"{call.verb} {call.key}: no answer")


async def test_processes_look_at_one_bucket():
    bucket = MemoryBucket()
    one, other = MemoryObjects(bucket), MemoryObjects(bucket)
    assert await one.create("epoch/1", b"one")
    assert not await other.create("epoch/1", b"other")


async def test_an_answer_is_lost_before_or_after_the_write():
    objects = MemoryObjects(MemoryBucket())
    objects.before = fail
    with pytest.raises(Unreachable):
        await objects.create("seg/1", b"one")
    assert objects.bucket.objects == {}
    objects.before, objects.after = MemoryObjects(objects.bucket).before, fail
    with pytest.raises(Unreachable):
        await objects.create("seg/1", b"one")
    assert await create_once(MemoryObjects(objects.bucket), "seg/1", b"one")


async def test_a_write_arrives_when_nobody_waits_for_it_any_more():
    objects = MemoryObjects(MemoryBucket())
    late: list[Call] = []

    async def keep(call: Call) -> None:
        late.append(call)
        await fail(call)

    objects.before = keep
    with pytest.raises(Unreachable):
        await objects.create("seg/1", b"late")
    assert MemoryBucket({"seg/1": b"other"}).take(late[0]) is False
    assert objects.bucket.take(late[0])
    assert objects.bucket.objects == {"seg/1": b"late"}


async def test_an_earlier_copy_is_restored():
    objects = MemoryObjects(MemoryBucket())
    await objects.create("seg/1", b"one")
    yesterday = objects.bucket.copy()
    await objects.create("seg/2", b"two")
    objects.bucket.roll_back(yesterday)
    assert [key async for key in objects.keys("")] == ["seg/1"]
    await objects.create("seg/2", b"other")
    assert yesterday.objects == {"seg/1": b"one"}
