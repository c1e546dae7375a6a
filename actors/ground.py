"""What the bot stands on before it starts: the data folder's lock, and a disk that lasts.

What kind of disk it is, is found out in ``actors/footing.py``; the lock itself is ``persistence/local.py``'s.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep, SystemClock
from actors.footing import Footing, find_footing, look_back, read_mountinfo
from actors.settings import BadSettings, Settings
from ledger.errors import FolderInUse, StorageError
from persistence.disk import Disk, Held
from persistence.local import hold_folder

LOCK_TRIES: Final = 5
LOCK_PAUSE_S: Final = 2.0
"""A second process on one data folder waits 10 s for the first."""


class FolderRefused(BadSettings):
    """The data folder cannot be made or written."""

    hint = "give it to the user who runs the bot (chown), or name another folder in LEDGER_DATA"


def warn_of_disk(data: Path, settings: Settings, log: FilteringBoundLogger) -> None:
    """Says loudly, at each start, when what is kept in a folder will not outlive a deploy."""
    _warn(_footing(data, settings), data, log)


def warn_of_first_start(
    data: Path, settings: Settings, log: FilteringBoundLogger, *, seen: bool, earlier: int
) -> None:
    """Says so when only the layers elsewhere remember an earlier start; after recovery (see ``look_back``)."""
    before = _footing(data, settings)
    after = look_back(before, settings.ledger_disk, seen=seen, earlier=earlier)
    if after != before:
        _warn(after, data, log)


def _footing(data: Path, settings: Settings) -> Footing:
    return find_footing(data, settings.ledger_disk, os.environ, read_mountinfo())


def _warn(footing: Footing, data: Path, log: FilteringBoundLogger) -> None:
    if footing.kind == "ephemeral":
        log.warning(
            "disk.ephemeral_found",
            why=footing.why,
            data=str(data),
            hint="what is kept there goes with this disk: mount a volume at `data` (or say LEDGER_DISK=lasting)",
        )


async def hold(disk: Disk, data: Path, sleep: Sleep, log: FilteringBoundLogger) -> Held:
    """The data folder's lock; another process may be on its way out, so it is waited for.

    Raises:
        FolderInUse: when it is still held after the wait.
        FolderRefused: when the folder cannot be made or written.
    """
    started = datetime.fromtimestamp(SystemClock().now_ms() / 1_000, UTC).isoformat(timespec="seconds")
    for _ in range(LOCK_TRIES):
        try:
            return hold_folder(disk, data, started)
        except FolderInUse as busy:
            log.warning("folder.awaited", owner=busy.owner, hint=busy.hint)
            await sleep(LOCK_PAUSE_S)
        except StorageError as refused:
            raise FolderRefused([f"nothing can be recorded in LEDGER_DATA, {data} ({refused})"]) from refused
    return hold_folder(disk, data, started)
