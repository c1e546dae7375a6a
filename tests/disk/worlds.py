"""The log of a process on a disk that a plan spoils; its power is cut, and it goes on with what is left.

Beside the log there may be a database in memory, whose own power is never cut; then the log is judged alone as well,
after every cut.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Final

from persistence.layer import Layer, all_checkpoints, guild_frames
from persistence.local import LocalLayer
from persistence.merging import MERGE_FILES
from persistence.offload import Offload, inline
from persistence.reading import read_log
from tests.disk.faults import Hit, Trouble
from tests.disk.judge import GUILDS, Judge, Violation
from tests.disk.process import Process, Step
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import TestClock, TestRandomness
from tests.persistence.simdisk import PowerCut, SimDisk

DATA: Final = Path("data")
SEGMENT_BYTES: Final = 3_000


class Ground:
    """What a workload begins with.

    ``legible``: keys that can be read in a log that was damaged; ``number``: of the last join; ``merge_files``: so
    many files of the log are merged.
    """

    def __init__(self, database: MemoryLayer | None = None, merge_files: int = MERGE_FILES) -> None:
        self.disk = SimDisk()
        self.database = database
        self.merge_files = merge_files
        self.judge = Judge()
        self.number = 0
        self.legible: set[str] = set()

    def copy(self) -> "Ground":
        ground = Ground(deepcopy(self.database), self.merge_files)
        ground.disk = self.disk.crashed(Random(0), 1.0)
        ground.judge, ground.number = deepcopy(self.judge), self.number
        ground.legible = self.legible
        return ground


class World(Process):
    """A ground, a script, and a plan for the disk.

    ``states``: how many disks were judged behind a cut; ``recovery``: how many operations the first start took after
    the plan was over.
    """

    def __init__(
        self,
        ground: Ground,
        script: Sequence[Step],
        plan: Sequence[Hit] = (),
        seed: int = 0,
        offload: Offload = inline,
    ) -> None:
        self.ground = ground
        self.trouble = Trouble(plan, Random(seed))
        self.states = 0
        self.recovery = 0
        self._random = Random(seed)
        self._offload = offload
        super().__init__(ground.judge, script, ground.number)

    async def run(self) -> None:
        """To the end of the script, and once more from what a last cut leaves."""
        last = False
        while True:
            try:
                await (self.be_reborn() if last else self.live())
            except PowerCut:
                await self._power_is_back(self.trouble.luck)
                continue
            if last:
                return
            last = True
            self.trouble.mend()
            await self._power_is_back(0.0)

    def _layers(self) -> tuple[Layer, Sequence[Layer]]:
        self.trouble.sits_on(self.ground.disk)
        merge_files = self.ground.merge_files
        log = LocalLayer(self.ground.disk, DATA, self._offload, segment_bytes=SEGMENT_BYTES, merge_files=merge_files)
        return log, [log] if self.ground.database is None else [log, self.ground.database]

    def _mend(self) -> None:
        self.trouble.mend()

    async def _started(self) -> None:
        self.recovery = self.recovery or len(self.trouble.seen)

    async def _power_is_back(self, luck: float | None) -> None:
        self.judge.power_was_cut()
        self.ground.disk = self.ground.disk.crashed(self._random, luck)
        self.states += 1
        await self._judge_log_alone(self.ground.disk.crashed(self._random))
        self.layer, self.layers = self._layers()
        self.store = store_of(self.layers, TestClock(), TestRandomness())

    async def _judge_log_alone(self, disk: SimDisk) -> None:
        if self.judge.hurt:
            return self._judge_legible(disk)
        log = LocalLayer(disk, DATA, inline)
        store = store_of([log], TestClock(), TestRandomness())
        self.judge.no_corruption(await store.start())
        for guild in GUILDS:
            opened = await store.open_guild(guild)
            self.judge.opened(guild, opened, [frame.record for frame in await guild_frames(log, guild, 0)])
            self.judge.has_saved(guild, await all_checkpoints(log, guild))
        return None

    def _judge_legible(self, disk: SimDisk) -> None:
        """A damaged log still gives what was not damaged."""
        read = {frame.record.key for frame in read_log(disk, DATA / "log")}
        if gone := self.ground.legible - read:
            raise Violation(f"{gone} could be read before")
