"""A data folder and a cloud as earlier releases have left them: each of their layers alone still gives all of it.

``python -m tests.persistence.test_golden_folder NAME`` writes one with the code of now;
those before are never changed. ``folder-1``: before headers named the release that wrote them; ``folder-2``: before
files of the log were merged.
"""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, from_pages, pages_of
from persistence import cloud_packs, merging
from persistence.chains import head_of
from persistence.checkpoints import make_checkpoint
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.frames import Frame, unseal
from persistence.layer import Checkpoint, Layer, all_checkpoints, guild_frames
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.sqlite import SqliteLayer
from tests.actors.written import Sealer, in_time
from tests.ledger.worlds import World
from tests.memory.store import store_of
from tests.persistence.making import TestClock, TestRandomness, bytes_of

FOLDER: Final = Path(__file__).parent / "golden"
FOLDERS: Final = tuple(path.name for path in sorted(FOLDER.glob("folder-*")))
GUILD: Final = GuildId("1")
RECORDS: Final = "records.jsonl"
"""All of its records, as they were sealed."""
LAYERS: Final = ("local", "database", "cloud")


def layer_in(folder: Path, name: str) -> Layer:
    disk = RealDisk()
    if name == "local":
        return LocalLayer(disk, folder / "data", inline)
    if name == "database":
        return SqliteLayer(disk, folder / "data" / "ledger.db", folder / "data" / "quarantine")
    objects = FolderObjects(disk, folder / "cloud", inline, TestRandomness())
    return CloudLayer(objects, inline, TestRandomness(), TestClock(), "folder")


def state_behind(frames: Sequence[Frame], state: GuildState) -> GuildState:
    for frame in frames:
        state = evolve(state, frame.record)
    return state


def write(folder: Path) -> None:
    """Two guilds in two terms, the first of which ends with a checkpoint; the cloud packs, and has an index.

    The log is opened once more, and the first term's file is merged.
    """
    first, second = World(7, joins=12), World(8, joins=3)
    first.run()
    second.run()
    appends = in_time(first.records, second.records)
    half, seal = len(appends) // 2, Sealer()
    terms = [batches_in(term, epoch, seal) for epoch, term in enumerate((appends[:half], appends[half:]), start=1)]
    folder.mkdir()
    frames = [frame for batches in terms for batch in batches for frame in batch]
    (folder / RECORDS).write_bytes(b"".join(frame.data + b"\n" for frame in frames))
    for name in LAYERS:
        asyncio.run(fill(layer_in(folder, name), terms))
    for _ in range(2):
        asyncio.run(reopen(layer_in(folder, "local")))
    assert any((folder / "data" / "log").glob("*.zst"))
    assert any((folder / "cloud" / "pack").iterdir())
    assert any((folder / "cloud" / "index").iterdir())


async def fill(layer: Layer, terms: Sequence[Sequence[Sequence[Frame]]]) -> None:
    """A life each term."""
    for epoch, batches in enumerate(terms, start=1):
        await layer.open()
        await layer.begin(epoch, "lineage")
        for batch in batches:
            await layer.append(batch)
            if isinstance(layer, CloudLayer):
                await layer.pack()
        if epoch == 1:
            await layer.save_checkpoint(checkpoint_of([frame for batch in batches for frame in batch]))
        await layer.close()


async def reopen(layer: Layer) -> None:
    await layer.open()
    await layer.close()


def batches_in(appends: Sequence[Sequence[Record]], epoch: int, seal: Sealer) -> list[list[Frame]]:
    of_term = [[msgspec.structs.replace(record, epoch=epoch) for record in append] for append in appends]
    return [seal(of_term[start : start + 2]) for start in range(0, len(of_term), 2)]


def checkpoint_of(frames: Sequence[Frame]) -> Checkpoint:
    of_guild = [frame for frame in frames if frame.record.guild == GUILD]
    pages = tuple(pages_of(state_behind(of_guild, GuildState(guild=GUILD))))
    return make_checkpoint(GUILD, head_of(of_guild[-1]), "lineage", pages)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("release", FOLDERS)
async def test_each_layer_of_an_earlier_release_gives_all_of_it(release: str, name: str, tmp_path: Path):
    folder = shutil.copytree(FOLDER / release, tmp_path / "copy")
    layer = layer_in(folder, name)
    summary = await layer.open()
    assert (summary.epoch, summary.lineage, summary.notes, summary.missing) == (2, "lineage", (), ())
    frames = [frame async for frame in layer.frames_after(0)]
    assert bytes_of(frames) == (folder / RECORDS).read_bytes().splitlines()
    (checkpoint,) = await all_checkpoints(layer, GUILD)
    tail = await guild_frames(layer, GUILD, checkpoint.header.seq)
    of_guild = [frame for frame in frames if frame.record.guild == GUILD]
    assert 0 < len(tail) < len(of_guild)
    assert state_behind(tail, from_pages(checkpoint.pages)) == state_behind(of_guild, GuildState(guild=GUILD))
    assert layer.take_notes() == (), "nothing stood in for what cannot be read"
    await layer.close()


@pytest.mark.parametrize("release", FOLDERS)
async def test_a_bot_starts_on_it_and_finds_all_layers_whole(release: str, tmp_path: Path):
    folder = shutil.copytree(FOLDER / release, tmp_path / "copy")
    local, database, cloud = (layer_in(folder, name) for name in LAYERS)
    assert isinstance(cloud, CloudLayer)
    store = store_of((local, database), TestClock(), TestRandomness(), cloud)
    report = await store.start()
    assert report.notes == ()
    sealed = [unseal(line, RECORDS) for line in (folder / RECORDS).read_bytes().splitlines()]
    heads = {frame.record.guild: head_of(frame) for frame in sealed}
    assert {guild: store.head_of(guild) for guild in store.guilds()} == heads
    await store.close()


if __name__ == "__main__":
    cloud_packs.PACK_SEGMENTS = merging.MERGE_RECORDS = 6  # or the history would have to be long
    write(FOLDER / sys.argv[1])
