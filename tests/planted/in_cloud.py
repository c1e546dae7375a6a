"""Bugs of the cloud's protocol: each takes one of its safety devices away."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.errors import Stale
from ledger.ids import GuildId
from persistence import cloud
from persistence.cloud import CloudLayer
from persistence.cloud_checkpoints import NO_BOUNDARY, CloudCheckpoints
from persistence.frames import Frame
from persistence.layer import LayerSummary, Place
from persistence.objects import Objects
from tests.memory.objects import Call, MemoryBucket
from tests.planted.bug import Bug, Origin, Swap

_append: Final = CloudLayer.append
_fence: Final = CloudLayer.fence
LEASE_MS: Final = 2_000


class Lease(msgspec.Struct, frozen=True):
    """Whose turn it is, and until when by everybody's clock."""

    epoch: int
    until_ms: int


def taken_over_what_is_there(bucket: MemoryBucket, call: Call) -> bool:
    """A store that ignores If-None-Match."""
    if call.verb == "delete":
        bucket.objects.pop(call.key, None)
    else:
        bucket.objects[call.key] = call.data
    return True


async def lease_of(objects: Objects) -> Lease:
    data = await objects.get("lease")
    return Lease(0, 0) if data is None else msgspec.json.decode(data, type=Lease)


async def leased(layer: CloudLayer, epoch: int) -> None:
    """Takes the lease, or has it go on."""
    until_ms = layer._epochs._clock.now_ms() + LEASE_MS
    await layer._objects.put("lease", msgspec.json.encode(Lease(epoch, until_ms)))


async def fenced_by_a_lease(layer: CloudLayer, epoch: int, lineage: str) -> LayerSummary:
    """Waits until the holder's lease is over, and writes no fence."""
    layer._epoch, layer._lineage = epoch, lineage
    while (lease := await lease_of(layer._objects)).until_ms > layer._epochs._clock.now_ms():
        if lease.epoch >= epoch:
            break
        await asyncio.sleep(0.5)
    if lease.epoch > epoch:
        raise Stale("another process has the lease")
    await leased(layer, epoch)
    return await layer._read()


async def appended_under_a_lease(layer: CloudLayer, frames: Sequence[Frame]) -> None:
    """Looks at the lease, then writes."""
    lease = await lease_of(layer._objects)
    if lease.epoch != layer._epoch:
        raise Stale("another process has the lease")
    if lease.until_ms < layer._epochs._clock.now_ms() + LEASE_MS // 2:
        await leased(layer, layer._epoch)
    await _append(layer, frames)


async def never_overtaken(layer: CloudLayer) -> None:
    """Whoever has a fence runs."""
    del layer


async def created(objects: Objects, key: str, data: bytes) -> bool:
    """An object that is there is somebody else's."""
    return await objects.create(key, data)


async def all_of_them(layer: CloudLayer, frames: Sequence[Frame]) -> Sequence[Frame]:
    """Whatever took the slot, it was not these."""
    del layer
    return frames


async def no_boundary(checkpoints: CloudCheckpoints, guild: GuildId) -> Place:
    del checkpoints, guild
    return NO_BOUNDARY


def not_stale(layer: CloudLayer) -> None:
    """A slot is taken: then the next one."""
    del layer


BUGS: Final = (
    Bug(
        name="slots-overwritten",
        origin=Origin.DURABILITY,
        what="segments and epochs are written over whatever lies there",
        swaps=(Swap(MemoryBucket, "take", taken_over_what_is_there),),
        breaks=frozenset({"C1", "C2", "C3", "C4", "C5"}),
        hunts=("fencing",),
    ),
    Bug(
        name="lease-instead-of-fence",
        origin=Origin.DURABILITY,
        what="a newcomer waits until the holder's lease has expired, and writes no fence",
        swaps=(
            Swap(CloudLayer, "fence", fenced_by_a_lease),
            Swap(CloudLayer, "append", appended_under_a_lease),
        ),
        breaks=frozenset({"C1", "C4", "C5"}),
        hunts=("fencing",),
    ),
    Bug(
        name="epochs-listed-once",
        origin=Origin.DURABILITY,
        what="epochs are not listed again after the fence",
        swaps=(Swap(CloudLayer, "_refuse_if_overtaken", never_overtaken),),
        breaks=frozenset({"C1", "C4", "C5"}),
        hunts=("fencing",),
    ),
    Bug(
        name="lost-answer-believed",
        origin=Origin.DURABILITY,
        what="an object that is there after a lost answer is never known for one's own: no put-id, nothing read back",
        swaps=(Swap(cloud, "create_once", created), Swap(CloudLayer, "_beyond", all_of_them)),
        breaks=frozenset({"C2"}),
        hunts=("fencing",),
    ),
    Bug(
        name="boundary-not-looked-for",
        origin=Origin.DURABILITY,
        what="a checkpoint that was on its way for long stays, whatever was cleaned meanwhile",
        swaps=(Swap(CloudCheckpoints, "_boundary", no_boundary),),
        breaks=frozenset({"C6"}),
        hunts=("fencing",),
    ),
    Bug(
        name="stale-writer-goes-on",
        origin=Origin.DURABILITY,
        what="a writer whose slot is taken by a higher epoch tries the next slot",
        swaps=(Swap(CloudLayer, "_refuse_behind_higher", not_stale),),
        breaks=frozenset({"C1", "C4"}),
        hunts=("fencing",),
    ),
)
