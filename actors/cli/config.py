"""``inviteledger config``: each setting and variable of a store, its value and source, and what the disk is."""

from typing import TextIO

from rich.table import Column, Table

from actors.cli.exits import OK
from actors.cli.page import Page
from actors.settings import BadSettings
from actors.sources import Reading, described

PIPED_WIDTH = 160
"""Columns where nobody tells how wide the output is."""


def show_config(reading: Reading, out: TextIO) -> int:
    """Prints the table. Secrets are masked.

    Raises:
        BadSettings: with the findings, after the table.
    """
    table = Table(*(Column(title, overflow="fold") for title in ("setting", "value", "source")))
    for row in described(reading.settings, reading.refused):
        table.add_row(row.name, row.value, row.source)
    Page(file=out, width=None if out.isatty() else PIPED_WIDTH, markup=False, highlight=False).print(table)
    if reading.findings:
        raise BadSettings(reading.findings)
    return OK
