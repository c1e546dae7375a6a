"""A million records in the cloud: how long restoring them takes, a drill of them, and how much memory at most.

Making them takes minutes, so these rows are measured only when they are asked for: ``make bench ONLY=million``. Each
figure is of a process of its own, as a user runs it; the cloud is a folder.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

from actors.clock import SystemClock, SystemRandomness
from ledger.ids import GuildId
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.local import LocalLayer
from persistence.numbering import Append, Numbering
from tests.bench.figures import Measure, Row, Theme
from tests.bench.ground import Ground, draft_of

RECORDS: Final = 1_000_000
GUILDS: Final = 100
SEGMENT_RECORDS: Final = 1_000
MOST_MIB: Final = 300
PROGRAM: Final = "tests.bench.weighed"
COLD: Final = "tests.bench.cold"
LINEAGE: Final = "lineage"


def theme(ground: Ground) -> Theme:
    history = History(ground)
    rows = (
        _memory("restore", history.restore_mib, "`restore` of 1,000,000 records from the cloud"),
        _memory("drill", history.drill_mib, "`restore --drill` of them: restored, replayed, compared"),
        _memory("start", history.start_mib, "a bot's start on an empty folder: from the cloud into log and SQLite"),
        _time("restore-s", history.restore_s, "`restore` of them, from segments without an index"),
        _time("drill-s", history.drill_s, "`restore --drill` of them"),
        _time("start-s", history.start_s, "that start"),
    )
    return Theme(title="A million records", rows=rows)


def _memory(name: str, ours: Measure, what: str) -> Row:
    what = f"{what}: memory at most (VmHWM)"
    return Row(
        name=f"million/{name}", what=what, unit="MiB", ours=ours, wanted=MOST_MIB, at_most=True, rounds=1, alone=True
    )


def _time(name: str, ours: Measure, what: str) -> Row:
    return Row(name=f"million/{name}", what=what, unit="s", ours=ours, rounds=1, alone=True)


class History:
    """A data folder and its cloud, made when they are first asked for; what was measured is known from then on."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._folder: Path | None = None
        self._known: dict[str, tuple[float, float]] = {}

    async def restore_mib(self) -> float:
        return (await self._restored())[0]

    async def restore_s(self) -> float:
        return (await self._restored())[1]

    async def drill_mib(self) -> float:
        return (await self._measured("restore", "--drill"))[0]

    async def drill_s(self) -> float:
        return (await self._measured("restore", "--drill"))[1]

    async def start_mib(self) -> float:
        return (await self._started())[0]

    async def start_s(self) -> float:
        return (await self._started())[1]

    async def _started(self) -> tuple[float, float]:
        folder = await self._made()
        return await self._measured(str(folder / "started"), str(folder / "cloud"), main=COLD)

    async def _restored(self) -> tuple[float, float]:
        folder = await self._made()
        return await self._measured("restore", "--to", str(folder / "restored"))

    async def _measured(self, *words: str, main: str = PROGRAM) -> tuple[float, float]:
        """MiB at most, and seconds, of a command."""
        folder = await self._made()
        key = " ".join(words)
        if key not in self._known:
            began_s = time.perf_counter()
            mib = await _weighed(folder, main, *words)
            self._known[key] = mib, time.perf_counter() - began_s
        return self._known[key]

    async def _made(self) -> Path:
        if self._folder is None:
            self._folder = self._ground.fresh()
            await self._make(self._folder)
        return self._folder

    async def _make(self, folder: Path) -> None:
        randomness, offload = SystemRandomness(), self._ground.offload
        objects = FolderObjects(RealDisk(), folder / "cloud", offload, randomness)
        log = LocalLayer(RealDisk(), folder / "data", offload)
        cloud = CloudLayer(objects, offload, randomness, SystemClock(), "bench")
        heads = dict((await log.open()).heads)
        await cloud.open()
        for layer in (log, cloud):
            await layer.begin(1, LINEAGE)
        for gsn in range(0, RECORDS, SEGMENT_RECORDS):
            numbering = Numbering(heads, gsn, 1, SystemClock().now_ms())
            for n in range(gsn, gsn + SEGMENT_RECORDS):
                guild = GuildId(str(1_000 + n % GUILDS))
                base_seq = n // GUILDS
                numbering.take(Append(guild=guild, base_seq=base_seq, drafts=(draft_of(n),)))
            heads |= numbering.moved
            for layer in (log, cloud):
                await layer.append(numbering.frames)
        await log.close()


async def _weighed(folder: Path, main: str, *words: str) -> float:
    """Runs a command on the folder; MiB at most."""
    environ = {"LEDGER_DATA": str(folder / "data"), "LEDGER_CLOUD": (folder / "cloud").as_uri()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", main, *words),
        cwd=Path.cwd(),
        env={**os.environ, **environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return float(out.split()[-1])
