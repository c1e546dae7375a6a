"""The workloads on the database, by name: what they begin with and what they do.

``life`` is an ordinary one; in ``migrated`` the file is an earlier release's; in the others it was damaged, or lost
against the log, and is written anew.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Fenced
from persistence.store import Append
from tests.disk.cases import BEFORE
from tests.disk.database import PEOPLE, DatabaseProcess, Site, forget_name, put_name
from tests.disk.judge import GUILDS, Judge
from tests.disk.process import Step, batch, close, die, save
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence import earlier
from tests.persistence.making import BLUE, RED, Chain, TestClock, TestRandomness, join

ANN, BOB, _ = PEOPLE
_MARK: Final = b'"join_recorded"'


class DatabaseCase(msgspec.Struct, frozen=True):
    """A workload. ``site`` makes what it begins with in a folder that is not there."""

    site: Callable[[Path], Site]
    script: Sequence[Step]


LIFE: Final = (
    batch((RED, 1), (BLUE, 2)),
    batch((RED, 5)),
    save(RED),
    put_name(RED, ANN, "Ann"),
    put_name(RED, BOB, "Bob"),
    batch((RED, 2), (BLUE, 4)),
    save(RED),
    close,
    batch((BLUE, 1)),
    forget_name(RED, ANN),
    die,
    batch((RED, 1), (BLUE, 1)),
    save(RED),
    save(BLUE),
    batch((BLUE, 2)),
    close,
)
AFTERWARDS: Final = (batch((RED, 1), (BLUE, 2)), close)


def nothing(folder: Path) -> Site:
    folder.mkdir()
    return Site(folder, Judge("database"))


def old(folder: Path) -> Site:
    """A file of an earlier release, with some records."""
    folder.mkdir()
    chain, judge = Chain(), Judge("database")
    frames = [*chain.batch(RED, BLUE, RED), *chain.append(BLUE, 3), *chain.append(RED, 2)]
    earlier.leave(folder / "ledger.db", earlier.SECOND, frames)
    for frame in frames:
        judge.acknowledged[frame.record.guild].append(frame.record.key)
    judge.is_whole()
    return Site(folder, judge, number=chain.gsn)


def rotten(folder: Path) -> Site:
    """Two records are damaged; the log has them."""
    site = _before(folder)
    path = folder / "ledger.db"
    data = path.read_bytes()
    for key in (site.judge.acknowledged[RED][0], site.judge.acknowledged[BLUE][-1]):
        at = data.index(f'"{key}"'.encode())
        data = data[: at + 1] + b"#" + data[at + 2 :]
        site.legible.discard(key)
    path.write_bytes(data)
    return site


def beaten(folder: Path) -> Site:
    """The log holds another end than the database, of a higher epoch."""
    site = _before(folder)
    assert site.log is not None
    last = max(site.log._frames)
    site.log.lose(last - 1, last)
    asyncio.run(_win(site, site.log))
    return site


async def _win(site: Site, log: MemoryLayer) -> None:
    """A process that has the log alone takes an epoch and records other things."""
    store = store_of([log], TestClock(), TestRandomness())
    site.judge.started(await store.start())
    for guild in GUILDS:
        known = site.judge.acknowledged[guild]
        site.kept.update(known[store.head_of(guild).seq :])
        del known[store.head_of(guild).seq :]
    site.legible -= site.kept
    appends = [
        Append(guild=guild, base_seq=store.head_of(guild).seq, drafts=(join(90 + n),))
        for n, guild in enumerate(GUILDS)
    ]
    for result in await store.append(appends):
        assert not isinstance(result, Fenced)
        site.judge.acknowledge(result)


def _before(folder: Path) -> Site:
    """A log and a database with the same records; the database is closed."""
    folder.mkdir()
    site = Site(folder, Judge("database"), log=MemoryLayer("log"))
    process = DatabaseProcess(site, BEFORE)
    asyncio.run(process.run())
    site.number = process.number
    site.judge.hurt = site.judge.rotten = True
    site.legible = {key for keys in site.judge.acknowledged.values() for key in keys}
    return site


DATABASE_CASES: Final[Mapping[str, DatabaseCase]] = {
    "life": DatabaseCase(nothing, LIFE),
    "migrated": DatabaseCase(old, AFTERWARDS),
    "rotten": DatabaseCase(rotten, AFTERWARDS),
    "beaten": DatabaseCase(beaten, AFTERWARDS),
}
