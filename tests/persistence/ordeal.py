"""An ordeal: several lives of a store on one disk whose power is cut and whose operations fail, and a judge of them.

What was acknowledged has to come back, whole; only what a further cut of the power leaves is judged.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

from ledger.errors import DiskFull, Fenced, NotConfirmed, StorageError
from ledger.ids import GuildId
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.store import Append, Appended, Store
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, join
from tests.persistence.simdisk import PowerCut, SimDisk

LIVES = 4
GUILDS = (RED, BLUE)
DATA = Path("data")
SMALL_SEGMENT = 2_500


Wear: TypeAlias = Callable[[int, str], None]
"""Fails an operation, by its number and name, or lets it pass."""


class Violation(AssertionError):
    """An acknowledged append is not there, not whole, or not in its place."""


class Judge:
    """What was acknowledged, and what was only tried, by guild and seq."""

    def __init__(self) -> None:
        self.acknowledged: dict[GuildId, list[str]] = {guild: [] for guild in GUILDS}
        self.next_number = 1
        self.seen: Counter[str] = Counter()

    def draft(self, random: Random, guild: GuildId, base_seq: int) -> Append:
        size = random.choice((1, 1, 2, 5))
        first, self.next_number = self.next_number, self.next_number + size
        return Append(guild=guild, base_seq=base_seq, drafts=tuple(join(first + i) for i in range(size)))

    def acknowledge(self, result: Appended) -> None:
        for record in result.records:
            known = self.acknowledged[record.guild]
            if len(known) != record.seq - 1:
                raise Violation(f"seq {record.seq} was acknowledged behind {len(known)}")
            known.append(record.key)

    def judge(self, guild: GuildId, keys: list[str], last_of: list[int]) -> None:
        known = self.acknowledged[guild]
        if keys[: len(known)] != known:
            raise Violation(f"{len(known)} acknowledged, {len(keys)} came back")
        if any(last > len(keys) for last in last_of):
            raise Violation("an append came back in part")
        self.acknowledged[guild] = keys  # what came back has been seen by others from now on


class Database(MemoryLayer):
    """A database that fails and comes back. Its own power is never cut."""

    def moods(self, random: Random) -> None:
        """It works again; then every fourth time something is wrong with it."""
        self.calm()
        if random.random() < 0.12:
            self.fail_next(NotConfirmed("commit"), took_effect=random.random() < 0.5)
        elif random.random() < 0.12:
            self.go_away(StorageError("away"))

    def calm(self) -> None:
        self.come_back()
        self.heal_next()


async def live(disk: SimDisk, random: Random, judge: Judge, turns: int, database: Database | None = None) -> None:
    """One life: start, judge what is there, append. Ends by itself or by a cut."""
    log = LocalLayer(disk, DATA, inline, segment_bytes=SMALL_SEGMENT)
    store = store_of([log] if database is None else [log, database], TestClock(), TestRandomness())
    heads = await start(store, judge)
    for _ in range(turns):
        if database is not None:
            database.moods(random)
        batch = [judge.draft(random, guild, heads[guild]) for guild in GUILDS if random.random() < 0.8]
        try:
            results = await store.append(batch)
        except StorageError as error:
            judge.seen[type(error).__name__] += 1
            if database is not None:
                database.calm()
            heads = await start(store, judge)
            continue
        for result in results:
            if isinstance(result, Fenced):
                raise Violation(str(result))
            judge.acknowledge(result)
            heads[result.records[0].guild] = result.head.seq
            judge.seen["only " + " and ".join(sorted(result.durable_in))] += 1
        if database is not None and random.random() < 0.5:
            judge.seen["caught up"] += await store.catch_up()
    if random.random() < 0.3:
        await store.close()


async def start(store: Store, judge: Judge) -> dict[GuildId, int]:
    report = await store.restart_epoch()
    if any("cannot be read" in note or "on no chain" in note for note in report.notes):
        raise Violation(f"a cut is no corruption: {report.notes}")
    judge.seen["torn tail"] += any("never whole" in note for note in report.notes)
    heads: dict[GuildId, int] = {}
    for guild in GUILDS:
        opened = await store.open_guild(guild)
        judge.judge(guild, [record.key for record in opened.tail()], [record.last for record in opened.tail()])
        heads[guild] = len(opened.lines)
    return heads


async def ordeal(seed: int, wear: Wear | None = None, database: Database | None = None) -> Counter[str]:
    """Several lives on one disk, each ended by a cut at its latest; gives which rare states were reached."""
    random, judge, disk = Random(seed), Judge(), SimDisk()
    for _ in range(LIVES):
        disk.before = _cutting(random.randrange(1, 60), wear)
        try:
            await live(disk, random, judge, turns=12, database=database)
        except PowerCut:
            judge.seen["cut"] += 1
        except StorageError:
            judge.seen["start refused"] += 1
        disk = disk.crashed(random)
        if database is not None:
            database.calm()
    await live(disk, random, judge, turns=0, database=database)
    return judge.seen


def _cutting(at: int, wear: Wear | None) -> Wear:
    def before(number: int, what: str) -> None:
        if number == at:
            raise PowerCut
        if wear is not None:
            wear(number, what)

    return before


def wearing(random: Random) -> Wear:
    """Every eighth operation fails."""

    def wear(number: int, what: str) -> None:
        if what in {"write", "sync", "rename", "sync_folder", "cut"} and random.random() < 0.12:
            raise random.choice((DiskFull, NotConfirmed))(f"{what} {number}")

    return wear
