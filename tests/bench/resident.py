"""Many guilds at once: 10,000 resident with 50 invites each. What they cost to bring up, to keep, and for one join.

Their records are made once, without actors; each row then lets the actors come up anew over the same store.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from statistics import median
from typing import Final

import msgspec

from actors.clock import SystemClock, SystemRandomness
from actors.guild import Nowhere
from ledger import messages as m
from ledger.effects import ListMembers
from ledger.evolve import evolve
from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import Counter, Draft, GuildAdopted, InternalCause, Record, SampleTaken
from ledger.state import GuildState
from persistence.layer import guild_frames
from persistence.numbering import Append
from persistence.store import Store
from tests.bench import peers
from tests.bench.figures import Row, Theme
from tests.bench.ground import NOW_US, PATIENCE_S, SESSION, Bot, Ground, bot_over, join_of
from tests.memory.store import store_of

MANY: Final = 10_000
INVITES: Final = 50
INVITES_OF_ONE: Final = 200
BATCH_GUILDS: Final = 100
WEIGHED: Final = 2_000
"""Guilds whose memory is traced, which makes everything several times slower."""
JOINS: Final = 200
KILLS: Final = 50
REWRITES: Final = 3
STORM_S: Final = 2.0
FOUNDING: Final = ("adopted", "sampled")
"""Keys of the records that a guild of a town begins with."""
CAUSE: Final = InternalCause(what="bench")


def theme(ground: Ground) -> Theme:
    town = Town(ground, MANY, INVITES)
    return Theme(title="10,000 guilds", rows=(*_rows_of(town), *_rows_of_one(ground)), close=town.close)


def _rows_of(town: "Town") -> Sequence[Row]:
    return (
        Row(
            name="resident/rehydration",
            what="10,000 guilds, 50 invites each, from their records to live",
            unit="ms",
            ours=town.rehydrate_ms,
            peer=town.decode_ms,
            beside="decoding the same bytes with msgspec",
            wanted=3,
            at_most=True,
            rounds=2,
        ),
        Row(
            name="resident/join",
            what="one join after another, 10,000 guilds resident",
            unit="ms",
            ours=town.join_ms,
            peer=town.join_alone_ms,
            beside="the same, 1 guild resident",
            wanted=1.3,
            at_most=True,
        ),
        Row(
            name="resident/json",
            what="a peer: one JSON of all 10,000 guilds rewritten at each change",
            unit="ms",
            ours=town.rewrite_ms,
            peer=town.rewrite_one_ms,
            beside="the same, 1 guild",
            at_most=True,
            rounds=1,
        ),
        Row(
            name="resident/pause",
            what="longest collection while 10,000 are resident and join, one of all generations among them",
            unit="ms",
            ours=town.longest_pause_ms,
            wanted=20,
            at_most=True,
            rounds=1,
        ),
        Row(
            name="resident/memory",
            what="a live idle guild, beside its state (tracemalloc, 2,000 guilds)",
            unit="KiB",
            ours=town.weigh_kib,
            wanted=4,
            at_most=True,
            rounds=1,
        ),
    )


def _rows_of_one(ground: Ground) -> Sequence[Row]:
    return (
        Row(
            name="kill",
            what="a guild of 200 invites, from its kill to live (median of 50)",
            unit="ms",
            ours=lambda: kill_ms(ground),
            wanted=1,
            at_most=True,
        ),
    )


class Listed(Nowhere):
    """Outside, for whoever counts how many guilds are live: a live guild asks for its members."""

    def __init__(self) -> None:
        self._asked = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        del guild, effect
        self._asked += 1
        if self._asked == self._wanted:
            self._enough.set()

    def expect(self, count: int) -> asyncio.Event:
        """What is set when so many more have asked."""
        self._wanted = self._asked + count
        self._enough = asyncio.Event()
        return self._enough


class Town:
    """Guilds with a baseline, in a store that stays open while bots come and go; the newest bot stays up."""

    def __init__(self, ground: Ground, guilds: int, invites: int) -> None:
        self.guilds = tuple(GuildId(str(1_000 + number)) for number in range(guilds))
        self._ground = ground
        self._invites = invites
        self._layers = ground.layers("log", "database")
        self._store: Store | None = None
        self._up: tuple[Bot, Listed] | None = None
        self._ending = AsyncExitStack()
        self._joined = 0

    async def rehydrate_ms(self) -> float:
        """From telling all guilds that they are there until the last is live; they stay up."""
        await self.go_down()
        bot, listed = await self._new_bot()
        began = time.perf_counter()
        await _all_live(bot, listed, self.guilds)
        took_ms = (time.perf_counter() - began) * 1_000
        self._up = bot, listed
        return took_ms

    async def decode_ms(self) -> float:
        """The bytes of the same records, decoded and nothing else."""
        await self._opened()
        known = len(self.guilds) * len(FOUNDING)
        lines = [frame.data async for frame in self._layers[0].frames_after(0) if frame.record.gsn <= known]
        decoder = msgspec.json.Decoder(Record)
        began = time.perf_counter()
        for line in lines:
            decoder.decode(line)
        return (time.perf_counter() - began) * 1_000

    async def join_ms(self) -> float:
        """One join of one guild after another, with all guilds resident."""
        bot, _ = await self.up()
        return await self._joins_ms(bot)

    async def join_alone_ms(self) -> float:
        async with bot_over(self._ground.layers("log", "database")) as bot:
            return await self._joins_ms(bot)

    async def rewrite_ms(self) -> float:
        return self._rewrites_ms(await self._states())

    async def rewrite_one_ms(self) -> float:
        return self._rewrites_ms((await self._states())[:1])

    async def longest_pause_ms(self) -> float:
        """People join everywhere; at last everything is collected once, as happens sooner or later."""
        bot, _ = await self.up()
        with _collections() as pauses_s:
            ends = time.perf_counter() + STORM_S
            while time.perf_counter() < ends:
                await asyncio.gather(*(self._join(bot, guild) for guild in self.guilds[:BATCH_GUILDS]))
            gc.collect()
        return max(pauses_s) * 1_000

    async def weigh_kib(self) -> float:
        """What is allocated while guilds come up, without what their states alone take."""
        await self.go_down()
        bot, listed = await self._new_bot()
        guilds = self.guilds[:WEIGHED]
        before = _traced()
        await _all_live(bot, listed, guilds)
        whole = _traced() - before
        tracemalloc.stop()  # what is freed below does not count
        await self.go_down()
        before = _traced()
        states = [await self._replayed(guild) for guild in guilds]
        bare = _traced() - before
        tracemalloc.stop()
        return (whole - bare) / len(states) / 1_024

    async def up(self) -> tuple[Bot, Listed]:
        """A bot with all guilds live."""
        if self._up is None:
            await self.rehydrate_ms()
        assert self._up is not None, "it has just come up"
        return self._up

    async def go_down(self) -> None:
        """Ends the newest bot."""
        self._up = None
        await self._ending.aclose()
        gc.collect()

    async def close(self) -> None:
        await self.go_down()
        if self._store is not None:
            await self._store.close()

    async def _new_bot(self) -> tuple[Bot, Listed]:
        listed = Listed()
        made = Bot(await self._opened(), listed, frozenset(each.name for each in self._layers))
        return await self._ending.enter_async_context(made.running()), listed

    async def _opened(self) -> Store:
        if self._store is None:
            self._store = store_of(self._layers, SystemClock(), SystemRandomness())
            await self._store.start()
            for start in range(0, len(self.guilds), BATCH_GUILDS):
                batch = self.guilds[start : start + BATCH_GUILDS]
                await self._store.append([_founded(guild, self._invites) for guild in batch])
        return self._store

    async def _states(self) -> list[GuildState]:
        bot, _ = await self.up()
        return [child.actor.state for child in bot.supervisor._guilds.values() if child.actor is not None]

    async def _replayed(self, guild: GuildId) -> GuildState:
        state = GuildState(guild=guild)
        for frame in await guild_frames(self._layers[0], guild, 0):
            evolve(state, frame.record)
        return state

    async def _joins_ms(self, bot: Bot) -> float:
        guild = self.guilds[0]
        await bot.roster.ask(guild, m.DescribeWindow(), PATIENCE_S)
        began = time.perf_counter()
        for _ in range(JOINS):
            await self._join(bot, guild)
        return (time.perf_counter() - began) * 1_000 / JOINS

    async def _join(self, bot: Bot, guild: GuildId) -> None:
        self._joined += 1
        await bot.roster.ask(guild, join_of(self._joined), PATIENCE_S)

    def _rewrites_ms(self, states: list[GuildState]) -> float:
        folder = self._ground.fresh()
        began = time.perf_counter()
        for _ in range(REWRITES):
            peers.rewrite_all(folder, states)
        return (time.perf_counter() - began) * 1_000 / REWRITES


async def kill_ms(ground: Ground) -> float:
    """From a kill until the next life is live; Discord answers nothing."""
    town = Town(ground, 1, INVITES_OF_ONE)
    bot, listed = await town.up()
    took_ms: list[float] = []
    for _ in range(KILLS):
        live = listed.expect(1)
        began = time.perf_counter()
        bot.supervisor.kill(f"guild/{town.guilds[0]}")
        await live.wait()
        took_ms.append((time.perf_counter() - began) * 1_000)
    await town.close()
    return median(took_ms)


async def _all_live(bot: Bot, listed: Listed, guilds: Sequence[GuildId]) -> None:
    live = listed.expect(len(guilds))
    for guild in guilds:
        bot.roster.tell(guild, m.GuildCameUp(session=SESSION, at_us=NOW_US))
    await live.wait()


def _founded(guild: GuildId, invites: int) -> Append:
    sample = SampleTaken(
        number=1,
        requested_us=NOW_US,
        answered_us=NOW_US + 1,
        session=SESSION,
        changed=tuple(_counter(guild, number) for number in range(invites)),
    )
    events = (GuildAdopted(counting_since_us=NOW_US), sample)
    drafts = tuple(Draft(event=event, cause=CAUSE, key=key) for event, key in zip(events, FOUNDING, strict=True))
    return Append(guild=guild, base_seq=0, drafts=drafts)


def _counter(guild: GuildId, number: int) -> Counter:
    return Counter(
        code=InviteCode(f"{guild}x{number:04}"),
        created_at_us=NOW_US - number,
        uses=number,
        inviter=UserId(str(10**17 + number)),
    )


def _traced() -> int:
    """Bytes in use that were allocated since the first call."""
    tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@contextmanager
def _collections() -> Iterator[list[float]]:
    """How long each collection takes, in seconds."""
    took_s: list[float] = []
    began_s = 0.0

    def note(phase: str, _info: object) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.perf_counter()
        else:
            took_s.append(time.perf_counter() - began_s)

    gc.callbacks.append(note)
    try:
        yield took_s
    finally:
        gc.callbacks.remove(note)
