"""``inviteledger config``: each setting, its value and its source, and what was found out about the disk."""

import os
from typing import TextIO

from rich.console import Console
from rich.table import Column, Table

from actors.cli.exits import OK
from actors.cli.piping import printing
from actors.footing import find_footing, read_mountinfo
from actors.settings import BadSettings, Settings
from actors.sources import Reading, Row, described

PIPED_WIDTH = 160
"""Columns where nobody tells how wide the output is."""


def show_config(reading: Reading, out: TextIO) -> int:
    """Prints the table. Secrets are masked.

    Raises:
        BadSettings: with the findings, after the table.
    """
    settings = reading.settings
    table = Table(*(Column(title, overflow="fold") for title in ("setting", "value", "source")))
    for row in described(settings, reading.refused):
        told = _with_disk(row, settings) if row.name == "LEDGER_DISK" else row
        table.add_row(told.name, told.value, told.source)
    with printing(out):
        Console(file=out, width=None if out.isatty() else PIPED_WIDTH, markup=False, highlight=False).print(table)
    if reading.findings:
        raise BadSettings(reading.findings)
    return OK


def _with_disk(row: Row, settings: Settings) -> Row:
    footing = find_footing(settings.ledger_data, settings.ledger_disk, os.environ, read_mountinfo())
    return Row(row.name, footing.kind, f"{row.source}: {footing.why}")
