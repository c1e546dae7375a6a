"""Which release wrote a thing: the header of whatever is written says so, for an older one that cannot read it.

A format's number rises where an earlier release would misread what is written. A record of a new kind needs no new
number: its header names the release, and an earlier one refuses it by its kind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

import msgspec

from ledger.errors import NewerFormat

RELEASE: Final = version("inviteledger")
"""This one."""


class Format(msgspec.Struct, frozen=True):
    """What can be read of a header of any release. ``release``: "" = of one that did not say."""

    format: int
    release: str = ""

    def refuse_above(self, known: int, where: str) -> None:
        """What this release can read goes on.

        Raises:
            NewerFormat: when the format is above ``known``.
        """
        if self.format > known:
            raise NewerFormat(where, f"format {self.format}, known here up to {known}", self.release)


@contextmanager
def written_by(release: str) -> Iterator[None]:
    """Whatever in this block is found to be of a later release was written by this one ("" = not known)."""
    try:
        yield
    except NewerFormat as error:
        raise NewerFormat(error.where, error.what, error.release or release) from error
