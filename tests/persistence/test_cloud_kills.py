"""Killed at every request to the cloud, before and after it took effect: on the same folder and on an empty one.

A process starts, records, uploads, takes a new epoch, keeps a checkpoint. What the cloud has confirmed must come back
anywhere, what is in the folder must come back on the folder, and whoever comes next must be able to go on.
"""

import copy

import pytest

from persistence.layer import all_checkpoints
from tests.memory.objects import Call, MemoryBucket
from tests.persistence.making import BLUE, RED
from tests.persistence.test_store_cloud import Machine


class Killed(BaseException):
    """The process is gone. Nothing in the product catches this."""


class Life:
    """A process that is killed at its n-th request (0 = the first); -1 = it lives."""

    def __init__(self, bucket: MemoryBucket, at: int, *, after: bool) -> None:
        self.machine = Machine(bucket, "a")
        self.calls = 0
        self.confirmed = 0
        self._at, self._after = at, after
        self.machine.objects.before = self._before
        self.machine.objects.after = self._done

    async def play(self) -> None:
        machine = await self.machine.started()
        await machine.join(RED, 3)
        await self._upload()
        await machine.join(BLUE, 2)
        await machine.join(RED)
        await self._upload()
        await machine.store.restart_epoch()
        await machine.join(BLUE)
        await self._upload()
        await self._keep_checkpoint()
        await machine.join(RED, 2)
        await self._upload()

    async def _upload(self) -> None:
        following = self.machine.store.following
        assert following is not None
        while following.behind():
            await following.give(self.machine.store.frames_after)

    async def _keep_checkpoint(self) -> None:
        store = self.machine.store
        await store.save_checkpoint(RED, store.head_of(RED), (b'{"page":1}',))
        (checkpoint,) = await all_checkpoints(self.machine.log, RED)
        assert store.following is not None
        await store.following.layer.save_checkpoint(checkpoint)

    async def _before(self, call: Call) -> None:
        if self.calls == self._at and not self._after:
            raise self._killed(call)

    async def _done(self, call: Call) -> None:
        self.calls += 1
        if self.calls - 1 == self._at and self._after:
            raise self._killed(call)

    def _killed(self, call: Call) -> Killed:
        assert self.machine.store.following is not None
        self.confirmed = self.machine.store.following.seat.gsn
        return Killed(call)


async def goes_on(machine: Machine, wanted: int) -> None:
    """The next process has at least the records up to the gsn that is wanted, and can record and upload."""
    await machine.started()
    seqs = [machine.store.head_of(guild).seq for guild in machine.store.guilds()]
    assert sum(seqs) >= wanted
    for guild in machine.store.guilds():
        opened = await machine.store.open_guild(guild)
        assert opened.head is not None
        assert opened.head.seq == machine.store.head_of(guild).seq
    await machine.join(RED)
    await machine.upload()


async def requests() -> int:
    life = Life(MemoryBucket(), -1, after=False)
    await life.play()
    return life.calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_nothing_that_was_confirmed_is_lost_wherever_it_is_killed(*, after: bool):
    count = await requests()
    assert count > 30
    for at in range(count):
        bucket = MemoryBucket()
        life = Life(bucket, at, after=after)
        with pytest.raises(Killed):
            await life.play()
        elsewhere = bucket.copy()
        written = (await copy.deepcopy(life.machine.log).open()).gsn
        life.machine.process()
        life.machine.connect()
        await goes_on(life.machine, written)
        await goes_on(Machine(elsewhere, "b"), life.confirmed)


async def test_the_next_one_too_is_killed_at_every_request():
    """A take-over on an empty folder, killed, then another one."""
    full = MemoryBucket()
    life = Life(full, -1, after=False)
    await life.play()
    confirmed = sum(life.machine.seqs.values())
    for after in (False, True):
        for at in range(200):
            bucket = full.copy()
            second = Life(bucket, at, after=after)
            try:
                await second.machine.started()
            except Killed:
                await goes_on(Machine(bucket, "c"), confirmed)
            else:
                break
        else:
            raise AssertionError("a start has an end")
