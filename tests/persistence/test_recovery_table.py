"""Recovery's table (docs/operations.md, "What comes back"): each row, on real files, SQLite and a cloud in a folder.

A ledger of two guilds is lost in one way after the other; what was acknowledged must come back, and the report says
from where.
"""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from actors.clock import SystemRandomness
from ledger.errors import StorageError
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.local import LocalLayer
from persistence.objects import Objects, Unreachable
from persistence.offload import inline
from persistence.sqlite import SqliteLayer
from persistence.store import Appended, StartReport, Store
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, joins

KNOWN = {RED: 3, BLUE: 2}
"""Records of each guild that were acknowledged, and are in the cloud."""


class Ledger:
    """A data folder, a cloud in another one, and a process on them."""

    def __init__(self, folder: Path) -> None:
        self.data, self.sky = folder / "data", folder / "cloud"
        self.is_cloud_away = False
        self.report: StartReport | None = None

    async def start(self, *, anew: bool = False) -> Store:
        disk = RealDisk()
        objects: Objects = FolderObjects(disk, self.sky, inline, SystemRandomness())
        if self.is_cloud_away:
            objects = Away()  # type: ignore[assignment]
        cloud = CloudLayer(objects, inline, SystemRandomness(), TestClock(), "folder")
        layers = (LocalLayer(disk, self.data, inline), SqliteLayer(disk, self.database, self.data / "quarantine"))
        self.store = store_of(layers, TestClock(), SystemRandomness(), cloud, may_begin_anew=anew)
        self.report = await self.store.start()
        return self.store

    @property
    def database(self) -> Path:
        return self.data / "ledger.db"

    async def upload(self) -> None:
        following = self.store.following
        assert following is not None
        while following.behind():
            await following.give(self.store.frames_after)

    async def seqs(self) -> dict[str, int]:
        """What comes back of each guild: how many records, all of them readable."""
        found = {}
        for guild in self.store.guilds():
            opened = await self.store.open_guild(guild)
            found[guild] = len(opened.lines)
        return found

    def lose(self, *paths: Path) -> None:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def lose_log(self) -> None:
        self.lose(self.data / "log", self.data / "checkpoints")

    def lose_database(self) -> None:
        self.lose(*self.data.glob("ledger.db*"))

    def corrupt_database(self) -> None:
        spoil(self.database)

    def spoil_log(self) -> None:
        spoil(max((self.data / "log").iterdir(), key=lambda path: path.stat().st_size))

    def rot(self, what: bytes) -> None:
        """Flips a bit of the log where this stands."""
        for path in (self.data / "log").iterdir():
            data = path.read_bytes()
            path.write_bytes(data.replace(what, bytes([what[0] ^ 1]) + what[1:]))

    def lose_all_here(self) -> None:
        self.lose(self.data)

    def lose_cloud(self) -> None:
        self.lose(self.sky)


class Away:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        async def call(*_: object) -> object:
            raise Unreachable(f"no answer to {name}")

        async def keys(*_: object) -> AsyncIterator[str]:
            raise Unreachable("no answer to keys")
            yield ""

        return keys if name == "keys" else call


def spoil(path: Path) -> None:
    """Overwrites a stretch in the middle of a file."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = b"\xa5" * 64
    path.write_bytes(data)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """It has acknowledged what is ``KNOWN``, and its process is gone without a word."""
    ledger = Ledger(tmp_path)
    store = await ledger.start()
    for guild, first, count in ((RED, 1, 3), (BLUE, 11, 2)):
        (appended,) = await store.append([joins(guild, 0, *range(first, first + count))])
        assert isinstance(appended, Appended)
    await ledger.upload()
    await store.close()
    yield ledger
    await ledger.store.close()


@pytest.mark.parametrize(
    ("lose", "leader"),
    [
        ((Ledger.lose_all_here,), "cloud"),
        ((Ledger.lose_log,), "database"),
        ((Ledger.lose_database,), "log"),
        ((Ledger.corrupt_database,), "log"),
        ((Ledger.spoil_log,), "log"),
        ((Ledger.lose_log, Ledger.lose_cloud), "database"),
        ((Ledger.lose_database, Ledger.lose_cloud), "log"),
        ((Ledger.lose_cloud,), "log"),
        ((), "log"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(each.__name__ for each in value) or "nothing",
)
async def test_whatever_one_layer_has_comes_back_into_all(
    ledger: Ledger, lose: tuple[Callable[[Ledger], None], ...], leader: str
):
    for each in lose:
        each(ledger)
    await ledger.start()
    assert ledger.report is not None
    assert ledger.report.leader == leader
    found = {layer.name: layer.found for layer in ledger.report.layers if layer.found is not None}
    assert found[leader] == max(found.values()), "the highest leads, and the report tells that"
    assert await ledger.seqs() == KNOWN
    await ledger.upload()
    await ledger.store.close()
    ledger.lose_all_here()
    await ledger.start()
    assert await ledger.seqs() == KNOWN, "the cloud has it all again"
    assert not ledger.report.missing


@pytest.mark.parametrize("has_checkpoint", [True, False])
async def test_behind_a_hole_that_nobody_can_fill_a_checkpoint_keeps_the_rest_and_else_its_records_are_told(
    ledger: Ledger, *, has_checkpoint: bool
):
    store = await ledger.start()
    await store.append([joins(RED, 3, 4)])
    await store.append([joins(RED, 4, 5, 6, 7), joins(BLUE, 2, 13)])
    if has_checkpoint:
        await store.save_checkpoint(RED, store.head_of(RED), (b"{}",))
    await store.append([joins(RED, 7, 8)])
    heads = {guild: store.head_of(guild) for guild in store.guilds()}
    await store.close()
    ledger.lose_database()
    ledger.lose_cloud()
    ledger.rot(b"join/4/4")
    store = await ledger.start()
    assert ledger.report is not None
    assert ledger.report.missing == ((6, 6),)
    assert store.head_of(BLUE) == heads[BLUE], "another guild misses nothing"
    if has_checkpoint:
        assert ledger.report.aside == {}
        assert (await store.open_guild(RED)).head == heads[RED]
    else:
        assert ledger.report.aside == {RED: 3 + 1}
        assert store.head_of(RED).seq == KNOWN[RED], "where the hole begins"


async def test_a_cloud_that_comes_back_gets_everything_in_order(ledger: Ledger):
    ledger.is_cloud_away = True
    store = await ledger.start()
    for seq in range(3, 20):
        await store.append([joins(RED, seq, seq + 100)])
    await store.close()
    ledger.is_cloud_away = False
    await ledger.start()
    await ledger.upload()
    await ledger.store.close()
    ledger.lose_all_here()
    await ledger.start()
    assert await ledger.seqs() == KNOWN | {RED: 20}


async def test_with_all_gone_there_is_nothing_and_a_new_history_begins(ledger: Ledger):
    lineage = ledger.report.lineage if ledger.report else ""
    ledger.lose_all_here()
    ledger.lose_cloud()
    await ledger.start()
    assert await ledger.seqs() == {}
    assert ledger.report is not None
    assert ledger.report.lineage != lineage


async def test_an_empty_disk_waits_for_a_cloud_that_is_away_and_then_has_it_all(ledger: Ledger):
    ledger.lose_all_here()
    ledger.is_cloud_away = True
    for _ in range(2):
        with pytest.raises(StorageError, match="all is empty here, and the cloud cannot be asked"):
            await ledger.start()
        await ledger.store.close()
    ledger.is_cloud_away = False
    await ledger.start()
    assert await ledger.seqs() == KNOWN


async def test_whoever_abandons_the_history_begins_a_new_one_and_the_cloud_keeps_the_old(ledger: Ledger):
    ledger.lose_all_here()
    ledger.is_cloud_away = True
    store = await ledger.start(anew=True)
    await store.append([joins(RED, 0, 1)])
    assert await ledger.seqs() == {RED: 1}
    before = sorted(ledger.sky.rglob("*"))
    ledger.is_cloud_away = False
    following = store.following
    assert following is not None
    with pytest.raises(StorageError):
        await following.ask()
    assert sorted(ledger.sky.rglob("*")) == before


async def test_an_empty_folder_and_a_cloud_whose_newest_records_have_rotted(ledger: Ledger):
    store = await ledger.start()
    (appended,) = await store.append([joins(RED, 3, 4)])
    assert isinstance(appended, Appended)
    await ledger.upload()
    await store.close()
    segment = max((ledger.sky / "seg").iterdir())
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    ledger.lose_all_here()
    for _ in range(3):
        store = await ledger.start()
        assert await ledger.seqs() == KNOWN
        assert ledger.report is not None
        assert ledger.report.missing == ((6, 6),)
        await store.close()
    store = await ledger.start()
    (appended,) = await store.append([joins(RED, 3, 5)])
    assert isinstance(appended, Appended)
    assert appended.records[0].gsn == 7
    await ledger.upload()
    await store.close()
    for layer in (ledger.lose_log, ledger.lose_database, ledger.lose_all_here):
        layer()
        store = await ledger.start()
        assert await ledger.seqs() == {**KNOWN, RED: 4}
        await store.close()
