"""What every store of objects keeps, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from persistence.buckets import PAGE_KEYS
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.objects import KEY_CHARS, PART_CHARS, Objects, Refused, create_once
from persistence.offload import inline
from persistence.stores import open_objects
from persistence.vault_objects import VaultObjects
from tests.actors.vaults import TOKEN, serving
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.persistence.making import TestRandomness
from tests.servers import S3

NO_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    ".hidden",
    "a/.b",
    "a\\b",
    "a b",
    "a\n",
    "ä",
    "٣",
    "a\0",
    "x" * (PART_CHARS + 1),
    "x/" * (KEY_CHARS // 2) + "xx",
)


Open: TypeAlias = Callable[[], Objects]


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Open]:
    del folder
    bucket = MemoryBucket()
    yield lambda: MemoryObjects(bucket)


@asynccontextmanager
async def in_folder(folder: Path) -> AsyncIterator[Open]:
    first = count(1, 1_000)
    yield lambda: FolderObjects(RealDisk(), folder / "objects", inline, TestRandomness(next(first)))


@asynccontextmanager
async def in_vault(folder: Path) -> AsyncIterator[Open]:
    kept = FolderObjects(RealDisk(), folder / "objects", inline, TestRandomness())
    async with serving(kept) as vault:
        yield lambda: VaultObjects(vault.address, TOKEN)


def in_bucket(s3: S3) -> Callable[[Path], AbstractAsyncContextManager[Open]]:
    @asynccontextmanager
    async def place(_: Path) -> AsyncIterator[Open]:
        address = s3.address()
        disk, randomness = RealDisk(), TestRandomness()
        yield lambda: open_objects(address, None, s3.environ, disk=disk, offload=inline, randomness=randomness)

    return place


Place: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Open]]
PLACES: Final[Mapping[str, Place]] = {"memory": in_memory, "folder": in_folder, "vault": in_vault}
"""Makes a place with nothing in it, and tells how a process opens it."""
SERVERS: Final = ("seaweed", "moto")
"""Buckets, by the fixture of the server (``tests/servers.py``)."""


@pytest.fixture(params=(*PLACES, *SERVERS))
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Objects] = []
    made = PLACES.get(request.param) or in_bucket(request.getfixturevalue(request.param))
    async with made(tmp_path) as opens:

        def opening() -> Objects:
            opened.append(opens())
            return opened[-1]

        yield opening
        for each in (*opened, *opened):
            await each.close()


@pytest.fixture
def store(place: Open) -> Objects:
    return place()


async def listed(store: Objects, prefix: str = "", after: str = "") -> list[str]:
    return [key async for key in store.keys(prefix, after)]


async def test_what_is_created_is_read_and_listed(store: Objects):
    assert await store.get("seg/1") is None
    assert await store.create("seg/1", b"one")
    assert await store.get("seg/1") == b"one"
    assert await listed(store) == ["seg/1"]


async def test_what_was_created_is_never_written_over_by_a_creation(store: Objects):
    assert await store.create("epoch/1", b"mine")
    assert not await store.create("epoch/1", b"another's")
    assert not await store.create("epoch/1", b"mine")
    assert await store.get("epoch/1") == b"mine"


async def test_only_whose_bytes_stand_under_the_key_created_it(store: Objects):
    assert await create_once(store, "epoch/1", b"mine")
    assert await create_once(store, "epoch/1", b"mine"), "the first answer was lost"
    assert not await create_once(store, "epoch/1", b"another's")


async def test_of_several_processes_one_creates(place: Open):
    stores = [place() for _ in range(6)]
    created = await asyncio.gather(*(each.create("epoch/1", bytes([at])) for at, each in enumerate(stores)))
    assert created.count(True) == 1
    winner = bytes([created.index(True)])
    assert [await each.get("epoch/1") for each in stores] == [winner] * 6


async def test_put_writes_over_and_leaves_others_alone(store: Objects):
    await store.put("pulse/1", b"1")
    await store.put("pulse/2", b"1")
    await store.put("pulse/1", b"2")
    assert (await store.get("pulse/1"), await store.get("pulse/2")) == (b"2", b"1")


async def test_any_bytes_are_kept(store: Objects):
    for key, data in (("empty", b""), ("bytes", bytes(range(256))), ("large", b"\0\xff" * 600_000)):
        assert await store.create(key, data)
        assert await store.get(key) == data


async def test_a_large_object_is_created_once_as_well(store: Objects):
    """Above what a client would upload in parts, whose conditions a store may not keep."""
    large = bytes(12 * 1024 * 1024)
    assert await store.create("pack/1", large)
    assert not await store.create("pack/1", large[1:] + b"x")
    assert await store.get("pack/1") == large
    await store.put("pack/1", large[1:] + b"y")
    assert (await store.get("pack/1") or b"")[-1:] == b"y"


async def test_keys_of_a_folder_come_in_the_order_of_bytes(store: Objects):
    mixed = ["b/2", "b/10", "b/1", "b/_", "b/1-2", "b/1.2", "b/1_2", "b/B", "b/b", "b/aa"]
    for key in mixed:
        await store.create(key, b"x")
    assert await listed(store, "b/") == sorted(mixed)
    assert await listed(store, "b/", after="b/1.2") == sorted(key for key in mixed if key > "b/1.2")


async def test_keys_of_all_folders_are_listed(store: Objects):
    mixed = ["a", "b/2", "b/1/x", "b-1", "b.1", "b0", "B/1", "b_1", "c/d/e/f"]
    for key in mixed:
        await store.create(key, b"x")
    assert sorted(await listed(store)) == sorted(mixed)
    assert await listed(store, "c/") == ["c/d/e/f"]


@pytest.mark.parametrize("place", ["seaweed"], indirect=True)
async def test_more_keys_than_a_page_holds_are_listed(place: Open):
    """Two writers at once, so that it does not take long."""
    keys = [f"seg/{number:010d}" for number in range(1, PAGE_KEYS + 3)]
    store, other = place(), place()

    async def create(store: Objects, keys: Sequence[str]) -> None:
        for key in keys:
            await store.put(key, b"x")

    await asyncio.gather(create(store, keys[::2]), create(other, keys[1::2]))
    assert await listed(store, "seg/") == keys
    assert await listed(store, "seg/", after=keys[-2]) == keys[-1:]


async def test_keys_are_those_with_the_prefix_behind_the_given_one(store: Objects):
    for key in ("seg/1", "seg/2", "seg/3", "segments/1", "sea/1", "seg-1"):
        await store.create(key, b"x")
    assert await listed(store, "seg/") == ["seg/1", "seg/2", "seg/3"]
    assert sorted(await listed(store, "seg")) == ["seg-1", "seg/1", "seg/2", "seg/3", "segments/1"]
    assert await listed(store, "seg/", after="seg/1") == ["seg/2", "seg/3"]
    assert await listed(store, "seg/", after="seg/2x") == ["seg/3"]
    assert await listed(store, "seg/", after="seg/3") == []
    assert await listed(store, "seg/", after="a") == ["seg/1", "seg/2", "seg/3"]
    assert await listed(store, "seg/2") == ["seg/2"]
    assert await listed(store, "nothing/") == []
    assert await listed(store, "seg/1/") == []


async def test_what_is_deleted_is_gone_and_may_be_created_anew(store: Objects):
    await store.create("standby/1", b"one")
    await store.delete("standby/1")
    await store.delete("standby/1")
    await store.delete("never/there")
    assert await store.get("standby/1") is None
    assert await listed(store) == []
    assert await store.create("standby/1", b"two")


@pytest.mark.parametrize("key", NO_KEYS)
async def test_what_is_no_key_is_refused_before_anything_happens(store: Objects, key: str):
    for call in (store.get(key), store.create(key, b"x"), store.put(key, b"x"), store.delete(key)):
        with pytest.raises(Refused, match="is no key"):
            await call
    assert await listed(store) == []
