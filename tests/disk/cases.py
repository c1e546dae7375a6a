"""The workloads on the log, by name: what they begin with and what they do.

``life`` is an ordinary one; in the others the log was damaged, or lost against the database, and is made good. In
``merging`` it is opened often, and its files are merged by twos.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from ledger.errors import Fenced
from persistence.reading import read_log
from persistence.store import Append
from tests.disk.judge import GUILDS
from tests.disk.process import Step, batch, close, die, driven, save
from tests.disk.worlds import DATA, Ground, World
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, join

_MARK: Final = b'"join_recorded"'


class Case(msgspec.Struct, frozen=True):
    """A workload, and what it begins with."""

    ground: Callable[[], Ground]
    script: Sequence[Step]


LIFE: Final = (
    batch((RED, 1), (BLUE, 2)),
    batch((RED, 5)),
    save(RED),
    batch((RED, 2), (BLUE, 1)),
    batch((BLUE, 1)),
    die,
    batch((RED, 2), (BLUE, 1)),
    save(RED),
    save(RED, forget=True),
    batch((BLUE, 2), (RED, 1)),
    close,
)
AFTERWARDS: Final = (batch((RED, 1), (BLUE, 2)), close)
BEFORE: Final = (
    batch((RED, 2), (BLUE, 1)),
    batch((RED, 3)),
    save(RED),
    batch((BLUE, 2), (RED, 1)),
    close,
    batch((RED, 1)),
    batch((BLUE, 1)),
    save(RED),
    close,
)


def _before() -> Ground:
    """Two layers with the same records, in three files of the log."""
    ground = Ground(MemoryLayer("database"))
    world = World(ground, BEFORE)
    driven(world.run())
    ground.number = world.number
    return ground


def holed() -> Ground:
    """A record in the midst of the log and one of the last are damaged."""
    ground = _before()
    paths = [DATA / "log" / name for name in ground.disk.names(DATA / "log")]
    full = [path for path in paths if _MARK in ground.disk.read(path)]
    for path in (full[0], full[-1]):
        ground.disk.overwrite(path, ground.disk.read(path).replace(_MARK, b"#", 1))
    return _hurt(ground)


def garbled() -> Ground:
    """The log's first file is garbage, and so is the newest checkpoint."""
    ground = _before()
    names = ground.disk.names(DATA / "log")
    ground.disk.overwrite(DATA / "log" / names[0], b"garbage")
    checkpoints = DATA / "checkpoints" / RED
    ground.disk.overwrite(checkpoints / ground.disk.names(checkpoints)[-1], b"garbage")
    return _hurt(ground)


def beaten() -> Ground:
    """The database holds another end than the log, of a higher epoch."""
    ground = _before()
    assert ground.database is not None
    lost = [frame.record for frame in read_log(ground.disk, DATA / "log")][-2:]
    ground.database.lose(lost[0].gsn, lost[-1].gsn)
    for record in lost:
        ground.judge.acknowledged[record.guild].remove(record.key)
    driven(_win(ground, ground.database))
    return _hurt(ground, without={record.key for record in lost})


async def _win(ground: Ground, database: MemoryLayer) -> None:
    """A process that has the database alone takes an epoch and records other things."""
    store = store_of([database], TestClock(), TestRandomness())
    report = await store.start()
    appends = [
        Append(guild=guild, base_seq=store.head_of(guild).seq, drafts=(join(90 + n),))
        for n, guild in enumerate(GUILDS)
    ]
    for result in await store.append(appends):
        assert not isinstance(result, Fenced)
        ground.judge.acknowledge(result)
    ground.judge.started(report)


MERGING: Final = (
    batch((RED, 1), (BLUE, 2)),
    close,
    batch((RED, 4)),
    die,
    batch((BLUE, 3)),
    save(BLUE),
    close,
    batch((RED, 1), (BLUE, 1)),
    die,
    batch((RED, 2)),
    close,
)


CASES: Final[Mapping[str, Case]] = {
    "life": Case(Ground, LIFE),
    "holed": Case(holed, AFTERWARDS),
    "garbled": Case(garbled, AFTERWARDS),
    "beaten": Case(beaten, AFTERWARDS),
    "merging": Case(lambda: Ground(merge_files=2), MERGING),
}


def _hurt(ground: Ground, without: AbstractSet[str] = frozenset()) -> Ground:
    ground.judge.hurt = ground.judge.rotten = True
    ground.legible = {frame.record.key for frame in read_log(ground.disk, DATA / "log")} - without
    return ground
