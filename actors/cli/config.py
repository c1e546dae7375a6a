"""``inviteledger config``: each setting, its value and its source, and what was found out about the disk."""

import os
from typing import TextIO

from rich.console import Console
from rich.table import Table

from actors.cli.exits import OK
from actors.footing import find_footing, read_mountinfo
from actors.settings import Settings
from actors.sources import Row, described

PIPED_WIDTH = 160
"""Columns where nobody tells how wide the output is."""


def show_config(settings: Settings, out: TextIO) -> int:
    """Prints the table. Secrets are masked."""
    table = Table("setting", "value", "source")
    for row in described(settings):
        told = _with_disk(row, settings) if row.name == "LEDGER_DISK" else row
        table.add_row(told.name, told.value, told.source)
    Console(file=out, width=None if out.isatty() else PIPED_WIDTH, markup=False, highlight=False).print(table)
    return OK


def _with_disk(row: Row, settings: Settings) -> Row:
    footing = find_footing(settings.ledger_data, settings.ledger_disk, os.environ, read_mountinfo())
    return Row(row.name, footing.kind, f"{row.source}: {footing.why}")
