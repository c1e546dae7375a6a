"""What a command works with: handed in, so that a test can hand in something else."""

from typing import TextIO

import msgspec

from ledger.ports import Clock, Randomness
from persistence.disk import Disk


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """``out``: what was asked for; ``err``: notes, and the bar."""

    disk: Disk
    clock: Clock
    randomness: Randomness
    out: TextIO
    err: TextIO
