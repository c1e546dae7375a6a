"""A hole in the log and a cloud far behind it, a cloud that breaks while it feeds others: nobody else gets a hole."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest

from ledger.errors import StorageError
from persistence import recovery
from persistence.cloud import CloudLayer
from persistence.frames import Frame
from persistence.layer import Layer
from persistence.local import LocalLayer
from persistence.memory_objects import MemoryBucket
from persistence.offload import inline
from tests.persistence.forks import DATA
from tests.persistence.holes import rot
from tests.persistence.making import BLUE, RED
from tests.persistence.simdisk import SimDisk
from tests.persistence.test_store_cloud import Machine


class LogMachine(Machine):
    """Its log is a real one."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        self.disk = SimDisk()
        super().__init__(bucket, writer)

    def near(self) -> Sequence[Layer]:
        return LocalLayer(self.disk, DATA, inline), self.database


async def bytes_in(layer: Layer) -> list[bytes]:
    return [frame.data async for frame in layer.frames_after(0)]


async def test_where_a_hole_hides_what_a_cloud_far_behind_holds_the_log_leads_and_all_get_what_it_has():
    machine = await LogMachine(MemoryBucket(), "a").started()
    await machine.join(RED)
    await machine.join(BLUE)
    await machine.upload()
    machine.database.go_away(StorageError("away"))
    machine.cut_off()
    for _ in range(4):
        await machine.join(RED)
    head = machine.store.head_of(RED)
    await machine.store.save_checkpoint(RED, head, (b"{}",))
    await machine.store.close()

    lines = await bytes_in(LocalLayer(machine.disk, DATA, inline))
    rot(machine.disk, DATA / "log", lines[3])
    machine.database.come_back()
    machine.connect()
    report = await machine.process().start()
    assert (report.leader, report.missing) == ("log", ((4, 4),))
    assert machine.store.head_of(RED) == head
    await machine.join(RED)
    await machine.upload()
    following = machine.store.following
    assert following is not None
    held = await bytes_in(LocalLayer(machine.disk, DATA, inline))
    assert held[:5] == [*lines[:3], *lines[4:]]
    assert await bytes_in(machine.database) == held
    assert await bytes_in(following.layer) == held


class Breaking(CloudLayer):
    """Gives so many frames, and then no more."""

    left = 0

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        async for frame in super().frames_after(gsn):
            if self.left == 0:
                raise StorageError("no connection")
            self.left -= 1
            yield frame


@pytest.mark.parametrize("given", range(7))
async def test_a_cloud_that_breaks_while_it_feeds_a_wiped_folder_leaves_no_hole_there(
    given: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recovery, "FEED_RECORDS", 1)
    bucket = MemoryBucket()
    old = await Machine(bucket, "a").started()
    for _ in range(3):
        await old.join(RED)
    await old.upload()
    monkeypatch.setattr(Breaking, "left", given)
    monkeypatch.setattr("tests.persistence.test_store_cloud.CloudLayer", Breaking)
    new = Machine(bucket, "b")
    with suppress(StorageError):
        await new.started()
    if given < 3:
        assert not new.store.guilds(), "neither of the two has it all"
        return
    await new.join(RED)
    assert len(await bytes_in(new.log)) == 4
    assert await bytes_in(new.database) == await bytes_in(new.log)
