"""Tables as CSV that a spreadsheet opens as they are meant: in UTF-8 with its mark, and no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula, or skips before one."""


class Sheet:
    """A table under a header row."""

    def __init__(self, header: Sequence[str]) -> None:
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text)
        self._rows.writerow(header)

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Rows of text or digits; a few hundred at once take a millisecond."""
        self._rows.writerows([harmless(cell) for cell in row] for row in rows)

    def data(self) -> bytes:
        """The file. Half a surrogate pair is no text and becomes "?"."""
        return self._text.getvalue().encode("utf-8-sig", "replace")


def harmless(cell: str) -> str:
    """The cell, with an apostrophe before what would be a formula: spreadsheets read it as text."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
