"""What durability costs: joins and records a second through actors, journal and layers.

raw = one small append and fdatasync after another. So many *guilds at once* have a join each under way.
"""

from collections.abc import Sequence
from typing import Final

from ledger.ids import GuildId
from persistence.layer import Layer
from tests.bench import peers
from tests.bench.figures import Measure, Row, Theme
from tests.bench.ground import PATIENCE_S, Ground, bot_over, bring_up, draft_of, join_of, per_s

JOINS: Final = {1: 0.25, 10: 1.5, 100: 5.0, 1_000: 6.0}
RECORDS: Final = {1: 0.35, 10: 4.0, 100: 18.0, 1_000: 28.0}
"""Wanted, × raw, by how many at once."""
RAW: Final = "raw append + fdatasync"
ONE_COMMIT: Final = "one SQLite FULL commit each"


def theme(ground: Ground) -> Theme:
    return Theme(title="Durable", rows=(*_joins(ground), *_records(ground)))


def _joins(ground: Ground) -> Sequence[Row]:
    both = ("log", "database")

    def through(guilds: int, *names: str) -> Measure:
        return lambda: joins_per_s(ground.layers(*names), guilds)

    return (
        *(
            Row(
                name=f"join/{guilds}",
                what=f"joins, {guilds:,} guilds at once: actor, journal, log, SQLite",
                unit="/s",
                ours=through(guilds, *both),
                peer=_raw(ground),
                beside=RAW,
                wanted=wanted,
            )
            for guilds, wanted in JOINS.items()
        ),
        Row(
            name="join/commits",
            what="joins, 100 guilds at once",
            unit="/s",
            ours=through(100, *both),
            peer=_commits(ground),
            beside=ONE_COMMIT,
            wanted=8,
        ),
        Row(
            name="join/sink",
            what="joins, 1,000 guilds at once",
            unit="/s",
            ours=through(1_000, *both),
            peer=lambda: joins_per_s((peers.Sink(),), 1_000),
            beside="the same into a layer that does nothing",
            wanted=0.4,
        ),
        Row(
            name="join/layers",
            what="joins, 1,000 guilds at once, log and SQLite",
            unit="/s",
            ours=through(1_000, *both),
            peer=through(1_000, "database"),
            beside="the same into SQLite alone",
            wanted=0.6,
        ),
        Row(
            name="join/log",
            what="joins, 1,000 guilds at once, log and SQLite",
            unit="/s",
            ours=through(1_000, *both),
            peer=through(1_000, "log"),
            beside="the same into the log alone",
        ),
    )


def _records(ground: Ground) -> Sequence[Row]:
    def into_database(writers: int) -> Measure:
        return lambda: records_per_s(ground.layers("database"), writers)

    return (
        *(
            Row(
                name=f"journal/{writers}",
                what=f"records, {writers:,} writers at once: journal into SQLite alone",
                unit="/s",
                ours=into_database(writers),
                peer=_raw(ground),
                beside=RAW,
                wanted=wanted,
            )
            for writers, wanted in RECORDS.items()
        ),
        Row(
            name="journal/commits",
            what="records, 100 writers at once: journal into SQLite alone",
            unit="/s",
            ours=into_database(100),
            peer=_commits(ground),
            beside=ONE_COMMIT,
            wanted=10,
        ),
    )


async def joins_per_s(layers: Sequence[Layer], guilds: int) -> float:
    """Joins through so many guild actors, each waiting for its own; counters are never fetched."""
    async with bot_over(layers) as bot:
        known = await bring_up(bot, guilds)
        return await per_s(guilds, lambda writer, n: bot.roster.ask(known[writer], join_of(n), PATIENCE_S))


async def records_per_s(layers: Sequence[Layer], writers: int) -> float:
    """One record a writer at a time into the journal."""
    async with bot_over(layers) as bot:
        guilds = [GuildId(f"{1_000 + writer}") for writer in range(writers)]
        for guild in guilds:
            await bot.journal.open(guild, 1)
        return await per_s(writers, lambda writer, n: bot.journal.append(guilds[writer], 1, n, (draft_of(n),)))


def _raw(ground: Ground) -> Measure:
    async def measure() -> float:
        return peers.raw_appends(ground.fresh())

    return measure


def _commits(ground: Ground) -> Measure:
    async def measure() -> float:
        return peers.commits(ground.fresh())

    return measure
