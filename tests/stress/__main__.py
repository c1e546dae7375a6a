"""``make stress``: what is too long for every run of the tests: 5,000 guilds on four shards, 5,000 joins at once.

The sandbox answers out of the same process, so the figures are worse than the bot's own. Memory is what the process
has grown by; beside it stand four empty discord.py clients with the same guilds and a sandbox of their own.
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
from tests.system.startup import resident_mib, start_up

GUILDS, SHARDS, JOINS = 5_000, 4, 5_000
PATIENCE_S = 1_200.0
MOST_RATIO, MOST_PER_S = 1.3, 50


async def many_guilds(folder: Path, console: Console) -> bool:
    async with Sandbox(seed=11) as sandbox:
        fleet = Fleet(sandbox, folder, guilds=GUILDS, shards=SHARDS)
        before_mib = resident_mib()
        figures = await start_up(fleet, PATIENCE_S)
        fleet.assert_clean()
        with_bot_mib = figures.memory_mib - before_mib
    table = Table("figure", "value")
    for name, value in (msgspec.structs.asdict(figures) | {"ratio": figures.ratio}).items():
        table.add_row(name, f"{value:,.2f}")
    table.add_row("MiB: bot, all live", f"{with_bot_mib:,.0f}")
    table.add_row("MiB: empty clients with the same guilds", f"{await empty_clients_mib():,.0f}")
    console.print(table)
    return figures.ratio <= MOST_RATIO and figures.most_in_a_second <= MOST_PER_S and figures.limited == 0


async def empty_clients_mib() -> float:
    """What clients that do nothing take, in a process that has made its guilds before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stress.empty", str(GUILDS), str(SHARDS)), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return float(told)


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
