"""What the last drill found: whether the cloud alone brings the history back. ``data/drill.json``.

Written by ``inviteledger restore --drill``, read by the running bot, which tells of it in its metrics.
"""

from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import StorageError
from persistence.disk import Disk
from persistence.writing import replace

NAME: Final = "drill.json"


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """A drill. ``at_ms``: when it ended (milliseconds since 1970); ``records``, ``guilds``: what came back.

    ``lag_records``: how many the live history had behind the cloud's last one: no difference; ``differences``: a
    sentence each, empty = what came back is the live history; ``took_s``: how long restoring and comparing took.
    """

    source: str
    differences: tuple[str, ...]
    lineage: str = ""
    records: int = 0
    guilds: int = 0
    gsn: int = 0
    lag_records: int = 0
    at_ms: int = 0
    took_s: float = 0.0


def keep_drill(disk: Disk, data: Path, drill: Drill) -> None:
    """Writes the report in the place of the one before, durably."""
    replace(disk, data / NAME, msgspec.json.format(msgspec.json.encode(drill)) + b"\n")


def last_drill(disk: Disk, data: Path) -> Drill | None:
    """The last report; None = there is none that can be read."""
    try:
        path = data / NAME
        return None if disk.identity(path) is None else msgspec.json.decode(disk.read(path), type=Drill)
    except (StorageError, msgspec.MsgspecError):
        return None
