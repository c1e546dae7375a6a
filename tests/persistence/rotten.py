"""A database whose files rot, and the judge of it: what is believed is what was written, and a log makes it whole."""

import shutil
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from persistence.checkpoints import make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame
from persistence.layer import LayerSummary
from persistence.sqlite import SqliteLayer
from tests.persistence.making import BLUE, RED, Chain, bytes_of

LINEAGE = "lineage"


def layer_in(folder: Path) -> SqliteLayer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")


class Original:
    """A database of five batches: closed in ``closed/``; in ``killed/`` with the last two of them in its WAL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = Chain()
        self.frames: list[Frame] = []
        self.batches: list[int] = []

    async def make(self) -> None:
        work = self.folder / "work"
        layer = layer_in(work)
        for number in range(5):
            if number in (0, 3):
                await layer.close()
                await layer.open()
                await layer.begin(number + 1, LINEAGE)
            self.frames += (batch := [*self.chain.append(RED, 7), *self.chain.batch(*[BLUE] * 14)])
            await layer.append(batch)
            self.batches.append(self.chain.gsn)
        await layer.save_checkpoint(make_checkpoint(RED, self.chain.heads[RED], LINEAGE, (b"{}" * 3000,)))
        shutil.copytree(work, self.folder / "killed")
        await layer.close()
        work.rename(self.folder / "closed")

    def damaged(self, state: str, name: str, at: int, data: bytes) -> Path:
        """A copy of ``closed`` or ``killed`` in which one file holds ``data``."""
        folder = self.folder / f"{state}-{name}-{at}"
        shutil.copytree(self.folder / state, folder)
        (folder / name).write_bytes(data)
        return folder


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


async def everything(layer: SqliteLayer) -> list[bytes]:
    async with aclosing(layer.frames_after(0)) as stream:
        return [frame.data async for frame in stream]


async def mend(layer: SqliteLayer, frames: Sequence[Frame]) -> None:
    """What the store does with a database and a healthy log."""
    summary = await layer.open()
    if summary.missing:
        summary = await layer.fill(frames)
    assert (summary.missing, summary.lineage) in (((), LINEAGE), ((), ""))
    await layer.begin(9, LINEAGE)
    rest = [frame for frame in frames if frame.record.gsn > summary.gsn]
    if rest:
        await layer.append(rest)


async def judge(folder: Path, original: Original, *, may_be_shorter: bool = False) -> bool:
    """Nothing false is believed, what is not believed is kept and said, and the log makes it whole.

    Whether something was said. ``may_be_shorter``: a file that was cut between two commits is whole as it is.
    """
    layer = layer_in(folder)
    summary = await layer.open()
    held, whole = await everything(layer), bytes_of(original.frames)
    assert set(held) <= set(whole), "what is believed is what was written"
    if held != whole and not (may_be_shorter and summary.gsn in (0, *original.batches)):
        assert summary.notes, "what is lost is said"
    if summary.notes:
        assert list((folder / "quarantine").glob("*ledger.db*")), "what is not believed is kept"
    await layer.close()
    await mend(layer, original.frames)
    assert await everything(layer) == whole
    assert len(await layer.lists.joins_page(BLUE, 0, 100)) == len(original.frames) - 5 * 7
    healed = await reopened(layer)
    assert (healed.heads, healed.notes) == (original.chain.heads, ())
    await layer.close()
    return bool(summary.notes)


async def reopened(layer: SqliteLayer) -> LayerSummary:
    await layer.close()
    return await layer.open()
