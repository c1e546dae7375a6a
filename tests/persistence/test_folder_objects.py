"""A folder as a store: nothing acknowledged is lost to a power cut or a failing disk, and no object is ever in parts.

The power is cut, or an error comes, at each operation of a script; two processes meet at each of them.
"""

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

import pytest

from ledger.errors import DiskFull, NotConfirmed, StorageError
from persistence.disk import RealDisk
from persistence.folder_objects import UNFINISHED, FolderObjects
from persistence.objects import Refused, Unreachable, create_once
from persistence.offload import inline
from tests.disk.faults import Fault, Hit, Trouble
from tests.disk.trace import Trace, WatchedDisk
from tests.persistence.making import TestRandomness
from tests.persistence.simdisk import PowerCut, SimDisk

FOLDER: Final = Path("/store/objects")
ONE: Final = b"one" * 60
TWO: Final = b"two" * 60
"""Some pages each, so that a part of it can be durable."""
PAIRS: Final = 400


def objects_in(folder: Path, disk: RealDisk | SimDisk | None = None, seed: int = 0) -> FolderObjects:
    return FolderObjects(disk or RealDisk(), folder, inline, TestRandomness(seed * 1_000))


async def listed(objects: FolderObjects, prefix: str = "") -> list[str]:
    return [key async for key in objects.keys(prefix)]


class Witness:
    """Calls a store, and knows of each key what may stand there: a value that was told, or is on its way."""

    def __init__(self) -> None:
        self.may: dict[str, set[bytes | None]] = {}

    async def create(self, objects: FolderObjects, key: str, data: bytes) -> None:
        before = self._begun(key, data)
        try:
            created = await objects.create(key, data)
            if created:
                assert None in before, f"{key} was there"
                self.may[key] = {data}
            else:
                stands = await objects.get(key)
                assert stands in before - {None}, f"{key} was not there"
                self.may[key] = {stands}
        except Refused:
            self.may[key] = before

    async def put(self, objects: FolderObjects, key: str, data: bytes) -> None:
        before = self._begun(key, data)
        try:
            await objects.put(key, data)
            self.may[key] = {data}
        except Refused:
            self.may[key] = before

    async def delete(self, objects: FolderObjects, key: str) -> None:
        self._begun(key, None)
        await objects.delete(key)
        self.may[key] = {None}

    async def list(self, objects: FolderObjects) -> None:
        found = await listed(objects)
        for key, may in self.may.items():
            assert None in may if key not in found else may != {None}
            may.discard(None if key in found else object())

    async def judge(self, disk: SimDisk) -> None:
        """Whatever is there after a cut was promised, and all that was promised is there."""
        objects = objects_in(FOLDER, disk, seed=1)
        for key, may in self.may.items():
            found = await objects.get(key)
            assert found in may, f"{key} holds {found!r}"
            self.may[key] = {found}
        assert await listed(objects) == sorted(key for key, may in self.may.items() if may != {None})
        assert await objects.create("at/last", ONE)
        assert disk.names(FOLDER / UNFINISHED) == []

    def _begun(self, key: str, data: bytes | None) -> set[bytes | None]:
        before = self.may.get(key, {None})
        self.may[key] = before | {data}
        return before


Step: TypeAlias = Callable[[Witness, FolderObjects], Awaitable[None]]
SCRIPT: Final[tuple[Step, ...]] = (
    lambda witness, objects: witness.create(objects, "seg/1", ONE),
    lambda witness, objects: witness.create(objects, "seg/1", TWO),
    lambda witness, objects: witness.put(objects, "pulse/1", ONE),
    lambda witness, objects: witness.list(objects),
    lambda witness, objects: witness.put(objects, "pulse/1", TWO),
    lambda witness, objects: witness.create(objects, "checkpoint/1/1", TWO),
    lambda witness, objects: witness.delete(objects, "checkpoint/1/1"),
    lambda witness, objects: witness.create(objects, "checkpoint/1/1", ONE),
    lambda witness, objects: witness.list(objects),
)


async def play(plan: tuple[Hit, ...], seed: int) -> Trouble:
    """Carries out the script while the plan spoils it, cuts the power at the end or before, and judges."""
    random = Random(seed)
    disk, trouble, witness = SimDisk(), Trouble(plan, random), Witness()
    trouble.sits_on(disk)
    objects = objects_in(FOLDER, disk)
    for step in SCRIPT:
        try:
            await step(witness, objects)
        except PowerCut:
            disk = disk.crashed(random, trouble.luck)
            trouble.sits_on(disk)
            objects = objects_in(FOLDER, disk, seed=disk.operations)
        except (Unreachable, Refused):
            pass
    await witness.judge(disk.crashed(random, random.choice((0.0, None, 1.0))))
    return trouble


async def test_a_power_cut_or_an_error_at_any_operation_loses_nothing_that_was_promised():
    operations = (await play((), 0)).seen
    assert len(operations) > 60
    for at, operation in enumerate(operations, 1):
        for fault in operation.faults():
            assert (await play((Hit(at, fault),), at)).fired


async def test_two_of_them_lose_nothing_either():
    operations = (await play((), 0)).seen
    random = Random(5)
    for seed in range(PAIRS):
        at = random.randrange(len(operations))
        first = Hit(at + 1, random.choice(list(operations[at].faults())))
        await play((first, Hit(random.randrange(1, 40), random.choice(list(Fault)))), seed)


async def meet(number: int, folder: Path, work: Callable[[FolderObjects], Awaitable[object]]) -> tuple[SimDisk, bool]:
    """One process creates ``seg/1``; right before its operation of that number another one does its work whole."""
    disk = SimDisk()
    other = objects_in(folder, disk, seed=2)
    await other.create("seg/0", ONE)
    start = disk.operations

    def interrupt(at: int, what: str) -> None:
        del what
        if at == start + number:
            disk.before = disk.after
            at_once(work(other))

    disk.before = interrupt
    return disk, await objects_in(folder, disk, seed=1).create("seg/1", ONE)


def at_once(work: Awaitable[object]) -> None:
    with pytest.raises(StopIteration):
        next(work.__await__())


async def test_of_two_processes_one_creates_wherever_they_meet():
    outcomes = set[bool]()
    for number in range(1, 9):
        disk, created = await meet(number, FOLDER, lambda other: other.create("seg/1", TWO))
        assert disk.read(FOLDER / "seg/1") == (ONE if created else TWO)
        outcomes.add(created)
        cut = objects_in(FOLDER, disk.crashed(Random(number), 0.0), seed=3)
        assert await cut.get("seg/1") == (ONE if created else TWO), "the loser's word is durable too"
    assert outcomes == {True, False}


async def test_a_process_that_starts_takes_nothing_from_one_that_writes():
    for number in range(1, 9):
        disk = SimDisk()
        _, created = await meet(number, FOLDER, lambda _, disk=disk: objects_in(FOLDER, disk, 9).create("x", TWO))
        assert created


async def test_what_other_processes_keep_removing_is_given_up():
    disk = SimDisk()

    def remove(number: int, what: str) -> None:
        del number
        if what == "link":
            for name in disk.names(FOLDER / UNFINISHED):
                disk.remove(FOLDER / UNFINISHED / name)

    disk.before = remove
    with pytest.raises(Unreachable, match="keep removing"):
        await objects_in(FOLDER, disk).create("seg/1", ONE)
    assert await listed(objects_in(FOLDER, disk)) == []


@pytest.mark.parametrize("error", [StorageError("open: Permission denied"), DiskFull("open: Read-only file system")])
async def test_a_folder_in_which_no_file_can_be_begun_is_told_as_it_is(error: StorageError):
    disk = SimDisk()

    def refuse(number: int, what: str) -> None:
        del number
        if what == "open":
            raise error

    disk.before = refuse
    with pytest.raises(Refused, match=str(error)) as caught:
        await objects_in(FOLDER, disk).create("seg/1", ONE)
    assert "rights and room" in caught.value.hint
    assert caught.value.__cause__ is error, "by which a vault tells a full disk"


async def test_the_trace_of_a_real_folder_is_cut_anywhere(tmp_path: Path):
    trace = Trace(tmp_path)
    objects = objects_in(tmp_path / "objects", WatchedDisk(trace))
    assert await objects.create("seg/1", ONE)
    told = len(trace.operations)
    assert not await objects.create("seg/1", TWO)
    for number in range(len(trace.operations) + 1):
        for luck in (0.0, None, 1.0):
            left = trace.volume_behind(number).crashed(Random(number), luck).contents()
            assert left.get(Path("objects/seg/1")) in ({ONE} if number >= told else {ONE, None})


async def test_files_that_are_no_objects_are_no_keys(tmp_path: Path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "seg").mkdir()
    for name in (".git/config", "seg/.DS_Store", "seg/a copy", "seg/1"):
        (tmp_path / name).write_bytes(b"x")
    assert await listed(objects_in(tmp_path)) == ["seg/1"]


async def test_links_lead_nowhere_but_below_the_folder(tmp_path: Path):
    """A key has no dots that lead upwards; what an operator linked is the operator's will."""
    objects = objects_in(tmp_path / "objects")
    for key in ("../secret", "seg/../../secret", "/etc/passwd"):
        with pytest.raises(Refused, match="is no key"):
            await objects.put(key, b"x")
    assert RealDisk().names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EPERM, Refused), (errno.EOPNOTSUPP, Refused), (errno.ENOSPC, Refused), (errno.EIO, Unreachable)],
)
async def test_a_link_that_fails_is_told_with_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
):
    def fail(old: Path, new: Path) -> None:
        del old, new
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(kind, match=os.strerror(number)):
        await objects_in(tmp_path).create("seg/1", ONE)
    assert RealDisk().names(tmp_path / UNFINISHED) == []


async def test_a_lost_answer_is_known_again():
    disk = SimDisk()

    def fail(number: int, what: str) -> None:
        del number
        if what == "link":
            disk.after = disk.before
            raise NotConfirmed("EIO")

    disk.after = fail
    objects = objects_in(FOLDER, disk)
    with pytest.raises(Unreachable):
        await objects.create("seg/1", ONE)
    assert await create_once(objects, "seg/1", ONE)
    assert not await create_once(objects, "seg/1", TWO)


def test_its_address_is_where_it_is(tmp_path: Path):
    assert objects_in(tmp_path / "a b").address == f"{tmp_path.as_uri()}/a%20b"


async def test_a_copy_that_is_put_in_the_stores_place_is_written_into(tmp_path: Path):
    """``mv store away; mkdir store; cp -a away/* store/``: what begins with a dot stays behind."""
    objects = objects_in(tmp_path)
    assert await objects.create("seg/1", ONE)
    (tmp_path / UNFINISHED).rmdir()
    assert await objects.create("seg/2", TWO)
    assert await listed(objects) == ["seg/1", "seg/2"]
