"""``make stress``: what is too long for every run of the tests: 5,000 guilds on four shards, 5,000 joins at once.

The sandbox answers out of the same process, so the figures are worse than the bot's own.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from sandbox import Sandbox
from tests.system.fleet import Fleet
from tests.system.startup import start_up

GUILDS, SHARDS, JOINS = 5_000, 4, 5_000
PATIENCE_S = 1_200.0
MOST_RATIO, MOST_PER_S = 1.3, 50


async def many_guilds(folder: Path, console: Console) -> bool:
    async with Sandbox(seed=11) as sandbox:
        fleet = Fleet(sandbox, folder, guilds=GUILDS, shards=SHARDS)
        figures = await start_up(fleet, PATIENCE_S)
        fleet.assert_clean()
    table = Table("figure", "value")
    for name, value in (msgspec.structs.asdict(figures) | {"ratio": figures.ratio}).items():
        table.add_row(name, f"{value:,.2f}")
    console.print(table)
    return figures.ratio <= MOST_RATIO and figures.most_in_a_second <= MOST_PER_S and figures.limited == 0


async def many_joins(folder: Path, console: Console) -> None:
    async with Sandbox(seed=12) as sandbox:
        fleet = Fleet(sandbox, folder, guilds=2, shards=1)
        async with fleet.running():
            await fleet.live()
            began_s = time.monotonic()
            for _ in range(JOINS):
                fleet.join(fleet.guilds[0])
            await fleet.worked_out(PATIENCE_S)
            took_s = time.monotonic() - began_s
        fleet.assert_clean()
        dropped = len(fleet.named("dispatch.dropped"))
    console.print(
        f"{JOINS:,} joins at once in one guild: worked out after {took_s:.1f} s; mailbox full: {dropped > 0}"
    )


async def main() -> int:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        await many_joins(Path(folder) / "joins", console)
        good = await many_guilds(Path(folder) / "guilds", console)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
