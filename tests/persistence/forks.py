"""Forks: a log and a database that went on separately, and what the salvage of one of them comes to."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import structlog

from actors.asks import Answered, Outcome
from actors.roster import Roster
from actors.salvager import Salvager
from ledger import messages as m
from ledger import records as r
from ledger.answers import Answer
from ledger.decide import decide
from ledger.evolve import evolve
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.state import GuildState, from_pages
from persistence.local import LocalLayer
from persistence.numbering import Append
from persistence.offload import inline
from persistence.salvage import FileSalvage
from persistence.store import Appended, Store
from tests.memory.layer import MemoryLayer
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, joins
from tests.persistence.simdisk import PowerCut, SimDisk

DATA = Path("data")
FOLDER = DATA / "salvage"


def on(disk: SimDisk) -> FileSalvage:
    return FileSalvage(disk, DATA, inline)


class Fork:
    """A log on a simulated disk and a database in memory that share three joins, and have one or two of their own."""

    def __init__(self, disk: SimDisk, database: MemoryLayer) -> None:
        self.disk = disk
        self.database = database
        self.acknowledged: set[tuple[GuildId, UserId]] = set()

    def process(self) -> Store:
        layers = [LocalLayer(self.disk, DATA, inline), self.database]
        return store_of(layers, TestClock(), TestRandomness(), salvage=on(self.disk))

    async def join(self, store: Store, guild: GuildId, base: int, *numbers: int) -> None:
        (result,) = await store.append([joins(guild, base, *numbers)])
        assert isinstance(result, Appended)
        self.acknowledged |= {(guild, UserId(str(number))) for number in numbers}


async def forked(*, newer: str) -> Fork:
    """``newer``: the layer whose own branch has the higher epoch."""
    fork = Fork(SimDisk(), MemoryLayer("database"))
    both = fork.process()
    await both.start()
    await fork.join(both, RED, 0, 1, 2)
    await fork.join(both, BLUE, 0, 3)
    await both.close()
    own = {"log": LocalLayer(fork.disk, DATA, inline), "database": fork.database}
    for number, (name, layer) in enumerate(own.items()):
        for life in range(2 if name == newer else 1):
            alone = store_of([layer], TestClock(), TestRandomness())
            await alone.start()
            if life == 0:
                await fork.join(alone, RED, 2, 10 + number, 20 + number)
            else:
                await fork.join(alone, RED, 4, 30)
        await fork.join(alone, BLUE, 1, 40 + number)
        await alone.close()
    return fork


class Guilds(Roster):
    """The guilds' actors, one message after the other and without tasks."""

    def __init__(self, store: Store) -> None:
        super().__init__(TestClock(), lambda _guild, _address: None)
        self._store = store

    async def ask(self, guild: GuildId, message: m.Message, timeout_s: float) -> Outcome[Answer]:
        del timeout_s
        state = await state_of(self._store, guild)
        decision = decide(state, Presence(phase=Phase.REHYDRATING), message)
        if decision.drafts:
            await self._store.append([Append(guild=guild, base_seq=state.seq, drafts=decision.drafts)])
        return Outcome(kind=Answered.OK, answer=decision.answer)


async def state_of(store: Store, guild: GuildId) -> GuildState:
    opened = await store.open_guild(guild)
    state = GuildState(guild=guild) if opened.checkpoint is None else from_pages(opened.checkpoint.pages)
    for record in opened.tail():
        state = evolve(state, record)
    return state


async def salvaging(store: Store) -> None:
    """A process starts, and its salvager goes round once."""
    await store.start()
    await handed_out(store)


async def handed_out(store: Store) -> None:
    """All that waits is taken."""
    log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
    await Salvager(store.salvage, Guilds(store), TestClock(), asyncio.sleep, log).salvage_all()


async def joined(store: Store) -> list[tuple[GuildId, UserId]]:
    found: list[tuple[GuildId, UserId]] = []
    for guild in store.guilds():
        opened = await store.open_guild(guild)
        found += [(guild, each.event.user) for each in opened.tail() if isinstance(each.event, r.JoinRecorded)]
    return found


async def cut_short(newer: str, operation: int, luck: float) -> bool:
    """The power is cut before an operation of a salvage, and once more on the way back; then all must be there once.

    False when the salvage has not so many operations.
    """
    fork = await forked(newer=newer)
    for number in (operation, operation // 2):
        fork.disk.operations = 0
        fork.disk.before = cut_at(number)
        try:
            await salvaging(fork.process())
        except PowerCut:
            fork.disk = fork.disk.crashed(Random(number), luck)
        else:
            if number == operation:
                return False
    fork.disk.before = nothing_fails
    last = fork.process()
    await salvaging(last)
    assert Counter(await joined(last)) == Counter(fork.acknowledged), f"cut before operation {operation}"
    assert not [name for name in fork.disk.names(FOLDER) if name.endswith(".jsonl")]
    return True


def cut_at(operation: int) -> Callable[[int, str], None]:
    def cut(number: int, what: str) -> None:
        if number == operation:
            raise PowerCut(what)

    return cut


def nothing_fails(number: int, what: str) -> None:
    del number, what
